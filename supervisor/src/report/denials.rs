//! What was denied in a run, all at once at its end: the lines of a profile that would have allowed what no
//! rule allowed, written as a learned profile's are, and how often each rule denied something.

use super::escape::Escaped;
use rxbox_policy::learn::Learned;
use rxbox_policy::{Decision, DeniedWhat, Variables};
use std::collections::BTreeMap;

/// What was denied.
#[derive(Debug, Default)]
pub struct Denials {
    /// By no rule.
    lacking: Learned,
    /// By rule: how often, and what it says.
    refused: BTreeMap<String, (u64, String)>,
}

impl Denials {
    /// Takes note of a denial.
    pub fn note(&mut self, what: &DeniedWhat<'_>, decision: &Decision<'_>, program: &[u8]) {
        if decision.is_lack() {
            return self.lacking.note(what, program);
        }
        let said = || (0, Escaped(decision.rule.text.as_bytes()).to_string());
        let rule = Escaped(decision.rule.to_string().as_bytes()).to_string();
        self.refused.entry(rule).or_insert_with(said).0 += 1;
    }

    /// What a profile lacks to allow what no rule allowed: lists, and entries of them.
    pub fn lacking(&self, variables: &Variables) -> Vec<(&'static str, String)> {
        self.lacking.lacking(variables)
    }

    /// What is said of it at the end; nothing of a single denial, of which all is said already.
    pub fn lines(&self, variables: &Variables) -> Vec<String> {
        let (lacking, refused) = (self.lacking.times(), self.refused.values().map(|(n, _)| n).sum::<u64>());
        if lacking + refused < 2 {
            return Vec::new();
        }
        let mut lines = Vec::new();
        if lacking > 0 {
            lines.push(format!(
                "rxbox: {} denied since no rule allows it; lines for a profile that would have:",
                times(lacking)
            ));
            lines.extend(self.lacking.lines(variables));
        }
        let refused = self.refused.iter();
        lines.extend(
            refused.map(|(rule, (n, text))| format!("rxbox: {} denied by {rule}, `{text}`", times(*n))),
        );
        lines
    }
}

fn times(n: u64) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

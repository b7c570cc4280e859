//! What one policy allows that another one does not.

use super::probe::Probes;
use crate::decision::{Access, Rule};
use crate::hint::{DeniedWhat, address_entry};
use crate::policy::Policy;
use crate::profile::limits::Limit;
use crate::rules::network::Endpoint;
use crate::vocabulary;
use std::collections::BTreeMap;

/// What a rule allows beyond another policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gain<'p> {
    /// The rule; that of no profile stands for what is allowed without one.
    pub rule: Rule<'p>,
    /// What: accesses, and other verbs.
    pub verbs: Vec<&'static str>,
    /// The first thing that it is allowed for: a path, as a rule.
    pub example: Vec<u8>,
    /// The rule of the other policy that denies that.
    pub denied_by: Rule<'p>,
}

/// What `new` allows and `old` does not, by the rule that does.
pub fn gains<'p>(old: &'p Policy, new: &'p Policy) -> Vec<Gain<'p>> {
    let mut probes = Probes::default();
    probes.take(old);
    probes.take(new);
    let mut found: BTreeMap<(&str, u32, &str), Gain<'p>> = BTreeMap::new();
    probes.each(|what| {
        let (before, now) = (old.decide(what), new.decide(what));
        if !now.allowed() || before.allowed() {
            return;
        }
        let (verb, example) = parts(what);
        let rule = now.rule;
        let gain = found.entry((rule.file, rule.line, rule.text)).or_insert_with(|| Gain {
            rule,
            verbs: Vec::new(),
            example,
            denied_by: before.rule,
        });
        if !gain.verbs.contains(&verb) {
            gain.verbs.push(verb);
        }
    });
    let mut gains: Vec<_> = found.into_values().collect();
    for limit in Limit::ALL {
        let (before, now) = (old.limits().amount(limit), new.limits().amount(limit));
        let more = match (before, now) {
            (Some(before), Some(now)) => now > before,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if more {
            let (rule, denied_by) = (new.limit_rule(limit), old.limit_rule(limit));
            gains.push(Gain { rule, verbs: vec![limit.name()], example: b"limits".to_vec(), denied_by });
        }
    }
    gains
}

/// An address as an entry names it.
fn address(endpoint: &Endpoint<'_>) -> Vec<u8> {
    let entry = address_entry(endpoint).unwrap_or_default();
    entry.trim_matches('"').as_bytes().to_vec()
}

fn parts(what: &DeniedWhat<'_>) -> (&'static str, Vec<u8>) {
    match *what {
        DeniedWhat::Path(access, path) => (access.name(), path.to_vec()),
        DeniedWhat::Program(path, _) => (Access::Execute.name(), path.to_vec()),
        DeniedWhat::Connect(endpoint) => ("connect", address(&endpoint)),
        DeniedWhat::Bind(endpoint) => ("bind", address(&endpoint)),
        DeniedWhat::Socket { domain, .. } => {
            ("socket", vocabulary::family_name(domain).unwrap_or_default().into_bytes())
        }
        DeniedWhat::Variable(name) => ("variable", name.as_bytes().to_vec()),
        DeniedWhat::Call(number, _) => ("call", vocabulary::call_name(number).into_bytes()),
        _ => ("", Vec::new()),
    }
}

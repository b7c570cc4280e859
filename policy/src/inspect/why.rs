//! Which rules speak of a path, from the root down to it.

use crate::decision::{Access, Rule};
use crate::policy::Policy;
use crate::rules::tree::Effect;

/// A rule that speaks of a path, or of a directory that it lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speaks<'p> {
    /// Where it begins to hold.
    pub place: Vec<u8>,
    /// What it does: `allows`, `denies` or `hides`.
    pub verb: &'static str,
    /// For which accesses; all, if it hides.
    pub accesses: Vec<Access>,
    /// The rule.
    pub rule: Rule<'p>,
}

impl Policy {
    /// The rules that speak of a path, from the root down.
    pub fn why(&self, path: &[u8]) -> Vec<Speaks<'_>> {
        let all = self.compiled.paths.speaking(path).into_iter();
        all.map(|(place, effect, rule)| {
            let (verb, set) = match effect {
                Effect::Allow(set) => ("allows", Some(set)),
                Effect::Deny(set) => ("denies", Some(set)),
                Effect::Hide => ("hides", None),
                Effect::Private => ("makes private", None),
            };
            let accesses = Access::ALL.into_iter().filter(|a| set.is_none_or(|set| set.contains(*a)));
            Speaks { place, verb, accesses: accesses.collect(), rule: self.rule(rule) }
        })
        .collect()
    }
}

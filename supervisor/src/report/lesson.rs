//! What is learned from a run: what the policy allows and the profile that is built on would not have.

use super::escape::Escaped;
use rxbox_policy::learn::{Learned, MergeError, Terms};
use rxbox_policy::{Access, DeniedWhat, Policy, Variables};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A lesson under way.
#[derive(Debug)]
pub struct Lesson {
    base: Policy,
    learned: Mutex<Learned>,
    /// The rules of the policy that allowed something, by line and text.
    used: Mutex<BTreeSet<(u32, String)>>,
}

impl Lesson {
    /// A lesson about what goes beyond a policy.
    pub fn beyond(base: Policy) -> Lesson {
        Lesson { base, learned: Mutex::default(), used: Mutex::default() }
    }

    /// Takes note of what a program was allowed to do.
    pub fn note(&self, what: &DeniedWhat<'_>, program: &[u8]) {
        // What it then connects to says more.
        if matches!(what, DeniedWhat::Resolve(_)) {
            return;
        }
        let decision = self.base.decide(what);
        if !decision.allowed() {
            return self.learned().note(what, program);
        }
        // A directory on the way to an entry is no use of the entry.
        let on_the_way = |path| !self.base.path(Access::List, path).allowed();
        if !matches!(*what, DeniedWhat::Path(Access::Metadata, path) if on_the_way(path)) {
            let rule = (decision.rule.line, decision.rule.text.to_owned());
            self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(rule);
        }
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first of these profiles with what all of them allow, and what has been learned.
    ///
    /// # Errors
    /// One of them cannot be merged.
    pub fn merged(&self, profiles: &[String], variables: &Variables) -> Result<String, MergeError> {
        merged(self.learned().clone(), profiles, variables)
    }

    /// What the policy's own profile grants that was not used, and what was used that it does not grant.
    pub fn difference(&self, profile: &str, variables: &Variables) -> Vec<String> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let all = self.base.own_grants();
        let idle = all.iter().filter(|rule| !used.contains(&(rule.line, rule.text.to_owned())));
        let idle = idle.map(|rule| format!("    {rule} {}", Escaped(rule.text.as_bytes())));
        let idle: Vec<_> = idle.collect();
        let lacking = self.learned().lines(variables);
        let title = |what: &str, lines: &[String]| {
            let none = if lines.is_empty() { " nothing" } else { "" };
            format!("rxbox: {what}:{none}")
        };
        let granted = title(&format!("granted by {profile} and not used"), &idle);
        let lacks = title(&format!("used and not granted by {profile}"), &lacking);
        std::iter::once(granted).chain(idle).chain([lacks]).chain(lacking).collect()
    }

    /// The profile that comes of it.
    pub fn profile(&self, base: &str, command: &str, variables: &Variables, denied: &[String]) -> String {
        let terms = Terms { base, command, variables, denied };
        self.learned().profile(&terms)
    }
}

/// The first of these profiles with what all of them allow, and what has been learned.
///
/// # Errors
/// One of them cannot be merged.
pub fn merged(
    mut learned: Learned,
    profiles: &[String],
    variables: &Variables,
) -> Result<String, MergeError> {
    for (n, profile) in profiles.iter().enumerate() {
        learned.recall(profile, n > 0)?;
    }
    learned.merged(profiles.first().map_or("", String::as_str), variables)
}

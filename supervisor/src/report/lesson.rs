//! What is learned from a run: what the policy allows and the profile that is built on would not have.

use rxbox_policy::learn::{Learned, Terms};
use rxbox_policy::{DeniedWhat, Policy, Variables};
use std::sync::{Mutex, PoisonError};

/// A lesson under way.
#[derive(Debug)]
pub struct Lesson {
    base: Policy,
    learned: Mutex<Learned>,
}

impl Lesson {
    /// A lesson about what goes beyond a policy.
    pub fn beyond(base: Policy) -> Lesson {
        Lesson { base, learned: Mutex::default() }
    }

    /// Takes note of what a program was allowed to do.
    pub fn note(&self, what: &DeniedWhat<'_>, program: &[u8]) {
        if !self.base.decide(what).allowed() {
            self.learned.lock().unwrap_or_else(PoisonError::into_inner).note(what, program);
        }
    }

    /// The profile that comes of it.
    pub fn profile(&self, base: &str, command: &str, variables: &Variables, denied: &[String]) -> String {
        let terms = Terms { base, command, variables, denied };
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).profile(&terms)
    }
}

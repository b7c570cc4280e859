//! Which environment variables reach the guest: those that a pattern lets pass, and those that the profile
//! sets. What is denied is neither passed nor set. What is withheld, since its name looks like a secret's, no
//! wildcard passes.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::pattern::glob::{GlobError, Wildcard};
use crate::profile::words::{NameError, check_name};
use crate::report::ledger::{Item, RuleId};
use crate::rules::network::Answer;

/// The compiled rules of `[environment]`.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    pub(crate) pass: Vec<Item<Wildcard>>,
    /// What no wildcard of `pass` passes.
    pub(crate) withhold: Vec<Item<Wildcard>>,
    pub(crate) deny: Vec<Item<Wildcard>>,
    pub(crate) set: BTreeMap<OsString, Item<OsString>>,
}

/// Why a text is no pattern of variables' names.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Glob(#[from] GlobError),
}

/// The pattern of variables' names.
pub(crate) fn pattern(text: &str) -> Result<Wildcard, PatternError> {
    check_name(text)?;
    Ok(Wildcard::parse(text.as_bytes())?)
}

impl Environment {
    /// Whether the guest sees a variable of this name.
    pub(crate) fn judge(&self, name: &OsStr) -> Answer {
        let first = |items: &[Item<Wildcard>]| {
            items.iter().find(|i| i.value.matches(name.as_bytes())).map(|i| i.rule)
        };
        if let Some(rule) = first(&self.deny) {
            return (false, rule);
        }
        if let Some(set) = self.set.get(name) {
            return (true, set.rule);
        }
        let withheld = first(&self.withhold);
        let mut passing = self.pass.iter().filter(|item| item.value.matches(name.as_bytes())).peekable();
        let matched = passing.peek().is_some();
        match (passing.find(|item| withheld.is_none() || item.value.literal().is_some()), withheld) {
            (Some(item), _) => (true, item.rule),
            (None, Some(rule)) if matched => (false, rule),
            (None, _) => (false, RuleId::NONE),
        }
    }

    /// The guest's environment: the host's variables that pass, in their order, then those that are set, by
    /// name.
    pub(crate) fn build(
        &self,
        host: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Vec<(OsString, OsString)> {
        let passed = host.into_iter().filter(|(name, _)| !self.set.contains_key(name) && self.judge(name).0);
        let set = self.set.iter().filter(|(name, _)| self.judge(name).0);
        passed.chain(set.map(|(name, item)| (name.clone(), item.value.clone()))).collect()
    }
}

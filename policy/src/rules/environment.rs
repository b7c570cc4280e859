//! Which environment variables reach the guest: those that a pattern lets pass, and those that the profile
//! sets. What is denied is neither passed nor set.

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
        let allowed = self.set.get(name).map(|s| s.rule).or_else(|| first(&self.pass));
        allowed.map_or((false, RuleId::NONE), |rule| (true, rule))
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

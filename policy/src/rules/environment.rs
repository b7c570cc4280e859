//! Which environment variables reach the guest: those that a pattern lets pass, and those that the profile
//! sets. What is denied is neither passed nor set. What is withheld, since its name looks like a secret's, no
//! wildcard passes; a secret is told by a variable that says where it is.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

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
    /// One of each name.
    pub(crate) secrets: Vec<Item<Secret>>,
}

/// A secret that the guest gets by a descriptor, and a variable that says by which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Its name, by which the guest has no variable.
    pub name: String,
    /// Where it is.
    pub source: SecretSource,
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// In a file.
    File(PathBuf),
    /// In a variable of rxbox's own environment.
    Variable(OsString),
}

impl Secret {
    /// The variable that says where the guest finds it.
    pub fn variable(&self) -> String {
        format!("{}_FILE", self.name)
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::File(path) => write!(f, "file:{}", path.display()),
            SecretSource::Variable(name) => write!(f, "env:{}", name.display()),
        }
    }
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

/// The first that matches a name.
fn first(items: &[Item<Wildcard>], name: &OsStr) -> Option<RuleId> {
    items.iter().find(|item| item.value.matches(name.as_bytes())).map(|item| item.rule)
}

impl Environment {
    /// Whether the guest sees a variable of this name.
    pub(crate) fn judge(&self, name: &OsStr) -> Answer {
        if let Some(rule) = first(&self.deny, name) {
            return (false, rule);
        }
        let is = |other: &str| name == other;
        let mut secrets = self.secrets.iter();
        if let Some(item) = secrets.find(|item| is(&item.value.name) || is(&item.value.variable())) {
            return (!is(&item.value.name), item.rule);
        }
        if let Some(set) = self.set.get(name) {
            return (true, set.rule);
        }
        let withheld = first(&self.withhold, name);
        let mut passing = self.pass.iter().filter(|item| item.value.matches(name.as_bytes())).peekable();
        let matched = passing.peek().is_some();
        match (passing.find(|item| withheld.is_none() || item.value.literal().is_some()), withheld) {
            (Some(item), _) => (true, item.rule),
            (None, Some(rule)) if matched => (false, rule),
            (None, _) => (false, RuleId::NONE),
        }
    }

    /// The secrets, but for those whose name is denied.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let given = |secret: &&Secret| first(&self.deny, secret.name.as_ref()).is_none();
        self.secrets.iter().map(|item| &item.value).filter(given)
    }

    /// The guest's environment: the host's variables that pass, in their order, then those that are set, by
    /// name. What says where secrets are is not among them.
    pub(crate) fn build(
        &self,
        host: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Vec<(OsString, OsString)> {
        let says = |name: &OsStr| self.secrets.iter().any(|item| name == item.value.variable().as_str());
        let there = |name: &OsStr| self.judge(name).0 && !says(name);
        let passed = host.into_iter().filter(|(name, _)| !self.set.contains_key(name) && there(name));
        let set = self.set.iter().filter(|(name, _)| there(name));
        passed.chain(set.map(|(name, item)| (name.clone(), item.value.clone()))).collect()
    }
}

//! What the profiles say, before it is compiled: lists grow with every profile that is read, a scalar read later
//! replaces the one before.

use std::collections::BTreeMap;

use crate::profile::hardening::{Denials, Layer};
use crate::profile::limits::Limit;
use crate::report::ledger::Item;
use crate::rules::calls::{Action, CallRule};
use crate::rules::tree::{AccessSet, Effect};

/// A list of `[filesystem]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathList {
    Read,
    Modify,
    Write,
    Execute,
    Hidden,
    Deny,
    DenyWrite,
    DenyExecute,
}

impl PathList {
    pub(crate) fn effect(self) -> Effect {
        match self {
            Self::Read => Effect::Allow(AccessSet::READ),
            Self::Modify => Effect::Allow(AccessSet::MODIFY),
            Self::Write => Effect::Allow(AccessSet::WRITE),
            Self::Execute => Effect::Allow(AccessSet::EXECUTE),
            Self::Hidden => Effect::Hide,
            Self::Deny => Effect::Deny(AccessSet::ALL),
            Self::DenyWrite => Effect::Deny(AccessSet::CHANGE),
            Self::DenyExecute => Effect::Deny(AccessSet::RUN),
        }
    }
}

/// A list of `[network]` with addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NetList {
    Allow,
    Deny,
    Bind,
}

/// A list of `[environment]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnvList {
    Pass,
    Deny,
}

/// Everything that was read.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) description: Option<String>,
    pub(crate) paths: Vec<(PathList, Item<String>)>,
    pub(crate) denied_error: Option<i32>,
    pub(crate) network: Vec<(NetList, Item<String>)>,
    pub(crate) families: Vec<Item<i32>>,
    pub(crate) environment: Vec<(EnvList, Item<String>)>,
    pub(crate) set: BTreeMap<String, Item<String>>,
    pub(crate) limits: Vec<(Limit, Item<Option<u64>>)>,
    pub(crate) calls: Vec<Item<CallRule>>,
    pub(crate) default_call: Option<Item<Action>>,
    pub(crate) layers: Vec<Item<Layer>>,
    pub(crate) denials: Option<Denials>,
}

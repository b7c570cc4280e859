//! What a profile may say, declared once. From the fields of these types and their comments come the reader
//! ([`super::reader`]) with the vocabulary of its suggestions, the JSON Schema ([`super::schema`]), the
//! tables of keys in `docs/policy.md` and the written form of a profile.
//!
//! A profile with those that it extends and the options of the command line is a stack of layers, each of
//! type [`Profile`], the ones read first at the bottom. Lists of several layers add up; of a single value the
//! topmost counts. So layers are never merged: whoever compiles a key goes through all of them, or asks for
//! the [`last`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits::LimitKeys;
use super::value::{Entry, List, NonEmpty, Plural, Table};
use super::words::{
    ActionWord, AddressText, ArgumentName, ArgumentValue, CallName, Capability, Denials, DeniedError,
    DescriptorText, ErrnoName, Family, Layer, Notice, PathText, PinText, ProfileName, SecretText, UserName,
    VariableName, VariablePattern, Version,
};
use crate::report::ledger::Item;

/// What a guest may do, and what happens when it does more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a profile")]
#[schemars(extend("required" = ["version"]))]
pub(crate) struct Profile {
    /// The version of the language.
    pub(crate) version: Entry<Version>,
    /// A sentence for people.
    pub(crate) description: Entry<String>,
    /// Profiles to build on: bare names, or paths (with a `/`) relative to this file.
    pub(crate) extends: List<ProfileName>,
    /// What the guest may do with files.
    pub(crate) filesystem: Filesystem,
    /// What it may reach and offer.
    pub(crate) network: Network,
    /// What environment it gets.
    pub(crate) environment: Environment,
    /// As whom it runs.
    pub(crate) identity: Identity,
    /// What descriptors it gets beside the standard streams.
    pub(crate) descriptors: Descriptors,
    /// What it may tell the service manager.
    pub(crate) service: Service,
    /// How much it may use.
    pub(crate) limits: LimitKeys,
    /// Rules about raw system calls.
    pub(crate) syscalls: Syscalls,
    /// What the host must have.
    pub(crate) hardening: Hardening,
    /// What is told.
    pub(crate) audit: Audit,
}

/// What the guest may do with files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "[filesystem]")]
pub(crate) struct Filesystem {
    /// Grants reading files, listing directories, metadata.
    pub(crate) read: List<PathText>,
    /// Grants listing directories and metadata, but no contents.
    pub(crate) list: List<PathText>,
    /// Grants `read`, and changing the contents of existing files (for devices).
    pub(crate) modify: List<PathText>,
    /// Grants `read`, and creating, modifying, removing, renaming, changing mode, owner, times.
    pub(crate) write: List<PathText>,
    /// Grants `read`, and running it or mapping it as code.
    pub(crate) execute: List<PathText>,
    /// In place of the directory the guest finds a folder of the run's own, empty at first and gone with the
    /// run, in which it may do everything.
    pub(crate) private: List<PathText>,
    /// Grants `write` in the directory, but what the guest changes there is kept apart, and the host sees
    /// nothing of it until it is applied.
    pub(crate) overlay: List<PathText>,
    /// The path does not exist (`ENOENT`) and is left out of listings.
    pub(crate) hidden: List<PathText>,
    /// As `hidden`, and nobody is told: for what programs look for wherever they run, and do without.
    pub(crate) absent: List<PathText>,
    /// Every access is denied, sockets included.
    pub(crate) deny: List<PathText>,
    /// Takes away what changes something.
    pub(crate) deny_write: List<PathText>,
    /// Takes away running.
    pub(crate) deny_execute: List<PathText>,
    /// A SHA-256 and a path, as sha256sum(1) prints them: the file is run, or mapped as code, only with these
    /// contents, and the guest does not change it.
    pub(crate) pinned: List<PinText>,
    /// What a denied access answers; `"EACCES"` if not given.
    pub(crate) denied_error: Entry<DeniedError>,
}

/// What the guest may reach and offer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "[network]")]
pub(crate) struct Network {
    /// What the guest may connect and send to.
    pub(crate) allow: List<AddressText>,
    /// What it may neither connect nor bind to.
    pub(crate) deny: List<AddressText>,
    /// What it may bind to.
    pub(crate) bind: List<AddressText>,
    /// Further address families that it may use, whole: `"netlink"`, `"packet"`, `"vsock"`, …
    pub(crate) families: List<Family>,
}

/// What environment the guest gets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "[environment]")]
pub(crate) struct Environment {
    /// Names of variables that the guest inherits; wildcards as within a file name.
    pub(crate) pass: List<VariablePattern>,
    /// A table of variables with values.
    pub(crate) set: Table<VariableName, String>,
    /// Names that no wildcard of `pass` passes on, but only an entry that spells them out, or `set`.
    pub(crate) withhold: List<VariablePattern>,
    /// A table of secrets that the guest gets by descriptors: where each is, `"file:PATH"` or `"env:NAME"`.
    pub(crate) secrets: Table<VariableName, SecretText>,
    /// Names that are neither passed nor set.
    pub(crate) deny: List<VariablePattern>,
}

/// What descriptors the guest gets beside the standard streams.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "[descriptors]")]
pub(crate) struct Descriptors {
    /// Numbers of descriptors, open when rxbox is started, that the guest inherits; `"*"` for all that are,
    /// `"listen"` for those that a service manager passes (sd_listen_fds(3)).
    pub(crate) pass: List<DescriptorText>,
}

/// What the guest may tell the service manager, if one has started rxbox.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "[service]")]
pub(crate) struct Service {
    /// What the guest may tell the service manager (sd_notify(3)), each with the variables that belong to it.
    /// Where `"ready"` is not listed, rxbox says so itself once the program runs.
    pub(crate) notify: List<Notice>,
}

/// Rules about raw system calls, asked before all others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "[syscalls]")]
pub(crate) struct Syscalls {
    /// What happens to calls that no rule speaks of; `"allow"` if not given. `"errno"` is `EPERM`.
    pub(crate) default: Entry<ActionWord>,
    /// Names of calls to allow under another default.
    pub(crate) allow: List<CallName>,
    /// Names of calls that answer `EPERM`.
    pub(crate) deny: List<CallName>,
    /// Names of calls that are allowed and recorded.
    pub(crate) log: List<CallName>,
    /// Names of calls that end the sandbox.
    pub(crate) kill: List<CallName>,
    /// Rules with more to say.
    pub(crate) rules: List<SyscallRule>,
}

/// A rule about one call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a rule of [syscalls]")]
pub(crate) struct SyscallRule {
    /// The call's name.
    pub(crate) call: Entry<CallName>,
    /// The argument to compare, by its name in the manual page; not a pointer.
    #[serde(default)]
    pub(crate) arg: Entry<ArgumentName>,
    /// What it is compared with: a number, or the names of values joined by `|`.
    #[serde(default)]
    pub(crate) equals: Entry<ArgumentValue>,
    /// Several such, of which one must be equal.
    #[serde(default)]
    pub(crate) one_of: Entry<NonEmpty<ArgumentValue>>,
    /// Several such, of which none may be equal.
    #[serde(default)]
    pub(crate) none_of: Entry<NonEmpty<ArgumentValue>>,
    /// The bits that are compared; alone, the rule applies if any of them is set.
    #[serde(default)]
    pub(crate) mask: Entry<ArgumentValue>,
    /// What happens to the call.
    pub(crate) action: Entry<ActionWord>,
    /// The error for `action = "errno"`; `EPERM` if not given.
    #[serde(default)]
    pub(crate) errno: Entry<ErrnoName>,
}

impl Plural for SyscallRule {
    const PLURAL: &'static str = "tables";
}

/// As whom it runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "[identity]")]
pub(crate) struct Identity {
    /// The user as whom rxbox itself and the guest run, if it is root who starts rxbox.
    pub(crate) user: Entry<UserName>,
    /// Whether guest processes may take on other users and groups, as root's may on Linux; `false` if not
    /// given. It means something only if rxbox runs as root. Each process is then served with its own user,
    /// groups and capabilities.
    pub(crate) change: Entry<bool>,
}

/// What the host must have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "[hardening]")]
pub(crate) struct Hardening {
    /// Layers without which the guest shall not run. One that is not listed is used where the host offers it,
    /// but for `"cgroup"`, which is used only where it is listed.
    pub(crate) require: List<Layer>,
    /// Capabilities (capabilities(7)) that the supervisor keeps if it has them, for calls that it makes for
    /// the guest. All others are given up before the guest runs.
    pub(crate) capabilities: List<Capability>,
}

/// What is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "[audit]")]
pub(crate) struct Audit {
    /// Where denials are told; `"stderr"` if not given.
    pub(crate) denials: Entry<Denials>,
}

/// A single value as the topmost layer has it that has one.
pub(crate) fn last<T>(layers: &[Profile], key: impl Fn(&Profile) -> &Entry<T>) -> Option<&Item<T>> {
    layers.iter().rev().find_map(|layer| key(layer).get())
}

/// The entries of several lists of one layer in the order of writing, each with what its list means.
pub(crate) fn in_order<'a, M: Copy, T>(
    lists: impl IntoIterator<Item = (M, &'a List<T>)>,
) -> Vec<(M, &'a Item<T>)> {
    let entries = |(meaning, list): (M, &'a List<T>)| list.iter().map(move |item| (meaning, item));
    let mut entries: Vec<_> = lists.into_iter().flat_map(entries).collect();
    entries.sort_by_key(|(_, item)| item.rule);
    entries
}

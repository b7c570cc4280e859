//! The words of the language: those of a fixed few, and texts of one meaning each. What a text means is
//! looked at when it is compiled, for that can depend on other entries and on the host.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use super::value::{Plural, Scalar, scalar};
use crate::{errno, vocabulary};

/// An enum whose variants are words of profiles and of reports. The string behind its name is what errors
/// call such a word.
macro_rules! words {
    ($(
        $(#[$meta:meta])*
        $visibility:vis enum $name:ident: $noun:literal {
            $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)*
        }
    )*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
            #[serde(expecting = $noun)]
            #[schemars(inline)]
            $visibility enum $name {
                $($(#[$variant_meta])* #[serde(rename = $word)] $variant,)*
            }

            impl $name {
                /// Every one, in the order of declaration.
                $visibility const ALL: [Self; [$($word),*].len()] = [$(Self::$variant),*];

                /// The word in profiles and reports.
                $visibility fn name(self) -> &'static str {
                    match self {
                        $(Self::$variant => $word,)*
                    }
                }
            }

            impl Plural for $name {}
        )*
    };
}

words! {
    /// A layer of confinement around the emulator child.
    pub enum Layer: "layer" {
        /// The seccomp filter of the emulator child.
        Seccomp = "seccomp",
        /// A Landlock ruleset.
        Landlock = "landlock",
        /// Namespaces of its own.
        Namespaces = "namespaces",
        /// A PID namespace of its own, which ends with rxbox.
        PidNamespace = "pid_namespace",
        /// All capabilities dropped.
        Capabilities = "capabilities",
        /// `no_new_privs` set.
        NoNewPrivs = "no_new_privs",
        /// Resource limits of the kernel (setrlimit(2)): no core files, a usual stack, files of a length.
        Rlimits = "rlimits",
        /// Forks that the kernel holds until the supervisor lets them through.
        ForkGate = "fork_gate",
        /// A cgroup of its own.
        Cgroup = "cgroup",
    }

    /// A privilege of root's (capabilities(7)) that the supervisor can keep for calls of the guest.
    pub enum Capability: "capability" {
        /// Give files to others.
        Chown = "chown",
        /// Read and write whatever the permissions say.
        DacOverride = "dac_override",
        /// Read whatever the permissions say.
        DacReadSearch = "dac_read_search",
        /// Change attributes of files of others.
        Fowner = "fowner",
        /// Keep set-user-id bits when a file changes.
        Fsetid = "fsetid",
        /// Lock any amount of memory.
        IpcLock = "ipc_lock",
        /// Signal processes of other users.
        Kill = "kill",
        /// Take leases on any file.
        Lease = "lease",
        /// Change immutable and append-only attributes.
        LinuxImmutable = "linux_immutable",
        /// Make device nodes.
        Mknod = "mknod",
        /// Configure the network, and sockets beyond what users may.
        NetAdmin = "net_admin",
        /// Bind ports below 1024.
        NetBindService = "net_bind_service",
        /// Make raw and packet sockets.
        NetRaw = "net_raw",
        /// Set capabilities of files.
        Setfcap = "setfcap",
        /// Administer the system: among much else attributes of the `trusted` name space.
        SysAdmin = "sys_admin",
        /// Raise priorities.
        SysNice = "sys_nice",
        /// Exceed resource limits.
        SysResource = "sys_resource",
    }

    /// What a service may tell its manager (sd_notify(3)).
    pub enum Notice: "notice" {
        /// That it has started, or has reloaded its configuration: `READY`.
        Ready = "ready",
        /// That it reloads its configuration: `RELOADING`, `MONOTONIC_USEC`.
        Reloading = "reloading",
        /// That it is about to end: `STOPPING`.
        Stopping = "stopping",
        /// What it does, for people: `STATUS`.
        Status = "status",
        /// Why it fails: `ERRNO`, `BUSERROR`, `EXIT_STATUS`.
        Errno = "errno",
        /// That it is alive, or that it is not: `WATCHDOG`.
        Watchdog = "watchdog",
        /// How much time it needs: `EXTEND_TIMEOUT_USEC`, `WATCHDOG_USEC`.
        Timeouts = "timeouts",
        /// Descriptors to keep for its next start: `FDSTORE`, `FDSTOREREMOVE`, `FDNAME`, `FDPOLL`.
        Fdstore = "fdstore",
    }

    /// Where denials are told.
    #[derive(Default)]
    pub enum Denials: "place" {
        /// On the supervisor's standard error.
        #[default]
        Stderr = "stderr",
        /// Nowhere.
        None = "none",
    }
}

/// What a denied path may answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE", expecting = "error")]
#[schemars(inline)]
pub(crate) enum DeniedError {
    /// Permission denied.
    #[default]
    Eacces,
    /// Operation not permitted.
    Eperm,
    /// No such file or directory.
    Enoent,
}

/// What a rule about calls does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", expecting = "action")]
#[schemars(inline)]
pub(crate) enum ActionWord {
    /// The call is allowed.
    Allow,
    /// The call answers an error.
    Errno,
    /// The call is allowed and recorded.
    Log,
    /// The call ends the sandbox.
    Kill,
}

impl DeniedError {
    pub(crate) fn errno(self) -> i32 {
        match self {
            Self::Eacces => errno::EACCES,
            Self::Eperm => errno::EPERM,
            Self::Enoent => errno::ENOENT,
        }
    }
}

/// A text of one meaning: what it is called in the schema, and the words that it can be, if they are known
/// beforehand.
macro_rules! texts {
    ($($(#[$meta:meta])* $name:ident: $title:literal $(, $words:expr)?;)*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
            pub(crate) struct $name(pub(crate) String);

            impl Plural for $name {}

            impl From<String> for $name {
                fn from(text: String) -> Self {
                    Self(text)
                }
            }

            impl JsonSchema for $name {
                fn inline_schema() -> bool {
                    true $(&& { let _ = $words; false })?
                }

                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }

                #[allow(unused_mut, reason = "only some have words")]
                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    let mut schema = json_schema!({ "type": "string", "title": $title });
                    $(schema.insert("enum".to_owned(), $words.into_iter().collect());)?
                    schema
                }
            }
        )*
    };
}

texts! {
    /// A profile by its bare name or path.
    ProfileName: "profile";
    /// A path pattern.
    PathText: "path";
    /// An entry of `pinned`.
    PinText: "SHA-256 and path";
    /// An entry of `allow`, `deny` or `bind`.
    AddressText: "address";
    /// A wildcard for names of environment variables.
    VariablePattern: "name of a variable";
    /// Where a secret is.
    SecretText: "place of a secret";
    /// A user by name.
    UserName: "user";
    /// A number of a descriptor, or all.
    DescriptorText: "number of a descriptor";
    /// The name of an address family.
    Family: "address family", vocabulary::families();
    /// The name of a system call.
    CallName: "system call", vocabulary::calls();
    /// The name of a system call's argument.
    ArgumentName: "argument";
    /// The name of an error number.
    ErrnoName: "errno", errno::all();
}

/// The version of the profile language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Version(pub(crate) i128);

impl Version {
    /// The one that this program reads.
    pub(crate) const KNOWN: Self = Self(1);
}

impl Scalar for Version {
    const EXPECTED: &'static str = "an integer";

    fn from_number(number: i128) -> Result<Self, String> {
        Ok(Self(number))
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer)
    }
}

impl JsonSchema for Version {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "const": Self::KNOWN.0 as i64 })
    }
}

/// What an argument is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline, title = "value")]
pub(crate) enum ArgumentValue {
    /// The number itself.
    Number(#[schemars(with = "i64")] i128),
    /// Names that the manual page has for it, such as `O_WRONLY|O_CREAT`.
    Names(String),
}

impl Plural for ArgumentValue {
    const PLURAL: &'static str = "values";
}

impl Scalar for ArgumentValue {
    const EXPECTED: &'static str = "an integer or a name";

    fn from_number(number: i128) -> Result<Self, String> {
        Ok(Self::Number(number))
    }

    fn from_text(text: &str) -> Option<Result<Self, String>> {
        Some(Ok(Self::Names(text.to_owned())))
    }
}

impl<'de> Deserialize<'de> for ArgumentValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer)
    }
}

/// The name of an environment variable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, title = "name of a variable")]
pub(crate) struct VariableName(String);

/// Why a text names no variable.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    #[error("an empty name of a variable")]
    Empty,
    #[error("the name of a variable holds neither `=` nor NUL")]
    Character,
}

impl VariableName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for VariableName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        check_name(&text).map(|()| Self(text))
    }
}

/// Whether a text can name a variable.
pub(crate) fn check_name(text: &str) -> Result<(), NameError> {
    match text {
        "" => Err(NameError::Empty),
        _ if text.contains(['=', '\0']) => Err(NameError::Character),
        _ => Ok(()),
    }
}

//! Layers of confinement that a profile can insist on, and how denials are told.

/// A layer of confinement around the emulator child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// The seccomp filter of the emulator child.
    Seccomp,
    /// A Landlock ruleset.
    Landlock,
    /// Namespaces of its own.
    Namespaces,
    /// All capabilities dropped.
    Capabilities,
    /// `no_new_privs` set.
    NoNewPrivs,
    /// Resource limits of the kernel (setrlimit(2)).
    Rlimits,
    /// A cgroup of its own.
    Cgroup,
}

impl Layer {
    /// Every layer.
    pub const ALL: [Self; 7] = [
        Self::Seccomp,
        Self::Landlock,
        Self::Namespaces,
        Self::Capabilities,
        Self::NoNewPrivs,
        Self::Rlimits,
        Self::Cgroup,
    ];

    /// The name in profiles and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seccomp => "seccomp",
            Self::Landlock => "landlock",
            Self::Namespaces => "namespaces",
            Self::Capabilities => "capabilities",
            Self::NoNewPrivs => "no_new_privs",
            Self::Rlimits => "rlimits",
            Self::Cgroup => "cgroup",
        }
    }
}

/// Where denials are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Denials {
    /// On the supervisor's standard error.
    #[default]
    Stderr,
    /// Nowhere.
    None,
}

impl Denials {
    /// Both, in the order of declaration.
    pub const ALL: [Self; 2] = [Self::Stderr, Self::None];

    /// The word in profiles.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stderr => "stderr",
            Self::None => "none",
        }
    }
}

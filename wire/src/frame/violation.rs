//! What only a child that the guest has taken over sends.

/// Why a request cannot have come from an honest child. The sandbox is killed with this text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// No row has this number, and an honest child answers ENOSYS itself.
    #[error("call number {0:#x} is not in the table")]
    UnknownCall(u32),
    /// A length differs from what the table says.
    #[error("{call}: argument {arg} has {len} bytes where the table says {want}")]
    Length {
        /// The call's name.
        call: &'static str,
        /// The argument's name.
        arg: &'static str,
        /// What the frame says.
        len: u32,
        /// What it must be.
        want: u64,
    },
    /// Data for an argument that has none.
    #[error("{call}: data given for argument {arg}, which takes none")]
    Unexpected {
        /// The call's name.
        call: &'static str,
        /// The argument's name, or its index.
        arg: &'static str,
    },
    /// Nothing for an argument that cannot be null.
    #[error("{call}: nothing given for argument {arg}, which is needed")]
    Missing {
        /// The call's name.
        call: &'static str,
        /// The argument's name.
        arg: &'static str,
    },
    /// The arguments' data together exceed the data area.
    #[error("{0}: the data exceed the data area")]
    TooMuch(&'static str),
    /// A string without its NUL or with one inside.
    #[error("{call}: argument {arg} is not a NUL-terminated string")]
    String {
        /// The call's name.
        call: &'static str,
        /// The argument's name.
        arg: &'static str,
    },
    /// A composite (message, string array) that is not laid out as the protocol says.
    #[error("{call}: argument {arg} is malformed")]
    Malformed {
        /// The call's name.
        call: &'static str,
        /// The argument's name.
        arg: &'static str,
    },
}

//! Layouts and names of data, for sizes, tracing and policy.

/// The layout of a structure, for its size and for tracing.
#[derive(Debug, PartialEq, Eq)]
pub struct Struct {
    /// The name of the manual page.
    pub name: &'static str,
    /// Bytes.
    pub size: u32,
    /// The members worth showing, by offset; what lies between them is not shown.
    pub fields: &'static [Field],
}

/// A member of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Offset in bytes.
    pub at: u32,
    /// How it is read.
    pub scalar: Scalar,
}

/// The type of a structure's member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// Signed 16-bit.
    S16,
    /// Unsigned 16-bit.
    U16,
    /// Signed 32-bit.
    S32,
    /// Unsigned 32-bit.
    U32,
    /// Signed 64-bit.
    S64,
    /// Unsigned 64-bit.
    U64,
    /// 16 bits, shown in hexadecimal.
    X16,
    /// 32 bits, shown in hexadecimal.
    X32,
    /// 64 bits, shown in hexadecimal.
    X64,
    /// 32 bits, shown in octal.
    O32,
}

impl Scalar {
    /// Bytes.
    pub const fn size(self) -> u32 {
        match self {
            Scalar::S16 | Scalar::U16 | Scalar::X16 => 2,
            Scalar::S32 | Scalar::U32 | Scalar::X32 | Scalar::O32 => 4,
            Scalar::S64 | Scalar::U64 | Scalar::X64 => 8,
        }
    }
}

/// Names of bits or values, for tracing and policy. `(value, name)`.
#[derive(Debug, PartialEq, Eq)]
pub struct Names {
    /// What the set is called, e.g. `open flags`.
    pub title: &'static str,
    /// The bits that together hold one value (the access mode of open flags); 0 if every name is a bit of its
    /// own. Irrelevant to [`Kind::Choice`](super::Kind::Choice).
    pub field: u64,
    /// Each value with its name; a name of several bits comes before those of its bits.
    pub names: &'static [(u64, &'static str)],
}

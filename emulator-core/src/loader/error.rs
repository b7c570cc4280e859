//! Why a program cannot be started.

use nix::errno::Errno;

/// Why a file cannot be loaded as a program. The text is for the user, behind the file's name;
/// [`LoadError::errno`] is for a guest that called execve(2).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LoadError {
    /// Neither an ELF file nor a script.
    #[error("not a program: neither an ELF file nor a script with a #! line")]
    NotElf,
    /// An ELF file for another kind of machine.
    #[error("a program for {0}, not for x86-64")]
    Foreign(String),
    /// The file ends before something that it announces.
    #[error("truncated: {what} needs {need} bytes, but the file has {have}")]
    Truncated {
        /// What is cut off.
        what: &'static str,
        /// Bytes that the file must have at least.
        need: u64,
        /// Bytes that it has.
        have: u64,
    },
    /// A field of the ELF headers with an impossible value.
    #[error("malformed ELF file: {field} is {value:#x}: {why}")]
    BadField {
        /// The field, by its name in elf(5).
        field: &'static str,
        /// Its value.
        value: u64,
        /// What is wrong with that.
        why: &'static str,
    },
    /// An impossible `#!` line.
    #[error("malformed #! line: {0}")]
    BadScript(&'static str),
    /// Scripts whose interpreters are scripts, too many deep.
    #[error("too many levels of scripts that interpret scripts")]
    ScriptDepth,
    /// The interpreter that a program or script names cannot be opened.
    #[error("its interpreter {} cannot be opened: {errno}", String::from_utf8_lossy(path).escape_debug())]
    Interpreter {
        /// As named in the file.
        path: Vec<u8>,
        /// Why not.
        errno: Errno,
    },
    /// The dynamic linker that a program names cannot be used.
    #[error("its dynamic linker {} is unusable: {why}", String::from_utf8_lossy(path).escape_debug())]
    BadInterpreter {
        /// As named in the file.
        path: Vec<u8>,
        /// Why not.
        why: Box<LoadError>,
    },
    /// No place for it.
    #[error("no room for {what} ({len} bytes)")]
    NoRoom {
        /// What does not fit.
        what: &'static str,
        /// Its length in bytes.
        len: u64,
    },
    /// Arguments and environment exceed the limits of execve(2).
    #[error("argument list too long")]
    ArgumentsTooLong,
    /// The host refused.
    #[error("{what}: {errno}")]
    Host {
        /// What was being done.
        what: &'static str,
        /// The host's answer.
        errno: Errno,
    },
}

impl LoadError {
    /// What execve(2) says of it.
    pub fn errno(&self) -> Errno {
        match self {
            LoadError::NotElf
            | LoadError::Foreign(_)
            | LoadError::Truncated { .. }
            | LoadError::BadField { .. }
            | LoadError::BadScript(_) => Errno::ENOEXEC,
            LoadError::ScriptDepth => Errno::ELOOP,
            LoadError::BadInterpreter { why, .. } => match **why {
                LoadError::Host { errno, .. } => errno,
                _ => Errno::ELIBBAD,
            },
            LoadError::NoRoom { .. } => Errno::ENOMEM,
            LoadError::ArgumentsTooLong => Errno::E2BIG,
            LoadError::Interpreter { errno, .. } | LoadError::Host { errno, .. } => *errno,
        }
    }
}

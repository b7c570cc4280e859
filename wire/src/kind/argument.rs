//! What an argument is, and so how it crosses the channel. One can be the command of a multiplexer, which has
//! arguments of its own.

use super::extent::{Extent, Presence, Timeout};
use super::how::{Restart, Route, Wait};
use super::shape::Names;
use crate::effect::Effect;

/// What an argument is, and so how it crosses the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Signed 32-bit; the high half of the register is ignored, as the kernel does.
    I32,
    /// Unsigned 32-bit; the high half is ignored.
    U32,
    /// Signed 64-bit.
    I64,
    /// Unsigned 64-bit.
    U64,
    /// A guest descriptor number (32-bit).
    Fd,
    /// A guest descriptor number or `AT_FDCWD` that the path beside it is relative to.
    DirFd,
    /// The descriptor of a file that is mapped (mmap(2)), unless there is none by the flags.
    MapFd {
        /// Index of the argument that has MAP_ANONYMOUS for no file.
        flags: u8,
    },
    /// The number of a System V segment that is mapped (32-bit signed).
    Segment,
    /// Where in the file a transfer begins (signed 64-bit): it moves along with the pieces. -1 is the file's
    /// own position to preadv2(2) and pwritev2(2).
    Offset,
    /// A process or thread id (32-bit signed).
    Pid,
    /// A signal number (32-bit).
    Signal,
    /// File mode bits (32-bit).
    Mode,
    /// A 32-bit set of named bits.
    Flags(&'static Names),
    /// A 32-bit value out of named ones.
    Choice(&'static Names),
    /// A multiplexer's command: the sub-table's row replaces the kinds of the arguments behind it.
    Command(&'static Commands),
    /// The first half of a command of two arguments (level and name of a socket option): the sub-table is
    /// looked up with both ([`Commands::find_pair`]), its row replaces the kinds of the arguments behind the
    /// second.
    Level(&'static Commands),
    /// The second half, behind a [`Kind::Level`].
    OptionName,
    /// A guest address that only the child follows.
    Addr,
    /// The address of memory that only the child looks at: nothing of it crosses.
    Local(Presence, Extent),
    /// The longest time to wait in milliseconds, for ever if negative (32-bit signed).
    Millis,
    /// The address of a signal mask, which the child puts in place of the thread's own while the call waits.
    /// If it is null there is none.
    SigMask {
        /// Index of the argument that holds the mask's size.
        size: u8,
    },
    /// The address of address and size of such a mask (pselect(2)).
    SigMaskPair,
    /// A NUL-terminated path of at most 4096 bytes with its NUL; ENAMETOOLONG for a longer one.
    Path(Presence),
    /// A NUL-terminated string that is not a path (attribute names, ...), at most 4096 bytes with its NUL.
    /// The child cuts a longer one: all such names have far lower limits, which the handlers hold.
    Text(Presence),
    /// A socket address that the call reads, of as many bytes as argument `len` says: at most
    /// [`crate::sizes::ADDRESS_MAX`], beyond which it is EINVAL, as in the kernel.
    Address {
        /// Whether it may be null.
        presence: Presence,
        /// Index of the argument that holds the length.
        len: u8,
    },
    /// Memory that the call reads.
    In(Presence, Extent),
    /// Memory that the call writes.
    Out(Presence, Extent),
    /// Memory that the call reads and writes.
    InOut(Presence, Extent),
    /// An array of `iovec` that the call reads through, gathered by the child into one piece; the count is
    /// argument `count`.
    IovecIn {
        /// Index of the argument that counts the vectors.
        count: u8,
    },
    /// An array of `iovec` that the call writes through, scattered by the child.
    IovecOut {
        /// Index of the argument that counts the vectors.
        count: u8,
    },
    /// A `msghdr` to send: crosses as [`crate::frame::MessageHeader`], name, control data and gathered bytes.
    MsgIn,
    /// A `msghdr` to receive into: crosses likewise with capacities; the reply fills them.
    MsgOut,
    /// An `ifconf` (netdevice(7)), by which the guest is told a list of interfaces: crosses as
    /// [`crate::sizes::LIST_HEAD`] bytes and room for the list. The reply's first four bytes say how long it
    /// is, also where there is no room.
    InterfaceList,
    /// A NULL-terminated array of strings (argv, envp): crosses as the strings with their NULs, one after the
    /// other. The supervisor only shows and records them, so as many whole strings cross as fit
    /// [`crate::sizes::STRINGS_MAX`].
    Strings,
    /// The register is not used by the call.
    Unused,
}

impl Kind {
    /// The bits of the register that count for a value: the kernel ignores the high half of a 32-bit one.
    /// `None` for addresses, which say nothing by themselves.
    pub const fn significant(self) -> Option<u64> {
        match self {
            Kind::I32
            | Kind::U32
            | Kind::Fd
            | Kind::DirFd
            | Kind::MapFd { .. }
            | Kind::Segment
            | Kind::Pid
            | Kind::Signal
            | Kind::Mode
            | Kind::Flags(_)
            | Kind::Choice(_)
            | Kind::Millis
            | Kind::Level(_)
            | Kind::OptionName => Some(u32::MAX as u64),
            Kind::Command(commands) => Some(commands.mask as u64),
            Kind::I64 | Kind::U64 | Kind::Offset => Some(u64::MAX),
            Kind::Addr
            | Kind::Local(..)
            | Kind::SigMask { .. }
            | Kind::SigMaskPair
            | Kind::Path(_)
            | Kind::Text(_)
            | Kind::Address { .. }
            | Kind::In(..)
            | Kind::Out(..)
            | Kind::InOut(..)
            | Kind::IovecIn { .. }
            | Kind::IovecOut { .. }
            | Kind::MsgIn
            | Kind::MsgOut
            | Kind::InterfaceList
            | Kind::Strings
            | Kind::Unused => None,
        }
    }

    /// How the argument limits the time of the call, if it does.
    pub const fn timeout(self) -> Option<Timeout> {
        match self {
            Kind::Millis => Some(Timeout::FromNow),
            Kind::In(_, Extent::Timeout(_, form))
            | Kind::InOut(_, Extent::Timeout(_, form))
            | Kind::Local(_, Extent::Timeout(_, form)) => Some(form),
            _ => None,
        }
    }

    /// Whether the call reads memory of a fixed form there.
    pub const fn is_read(self) -> bool {
        matches!(self, Kind::In(..) | Kind::InOut(..))
    }

    /// Whether the pointer may be null; `None` for what is no pointer, or one of which the call that is sent
    /// says nothing.
    pub const fn presence(self) -> Option<Presence> {
        match self {
            Kind::Path(presence)
            | Kind::Text(presence)
            | Kind::Address { presence, .. }
            | Kind::Local(presence, _)
            | Kind::In(presence, _)
            | Kind::Out(presence, _)
            | Kind::InOut(presence, _) => Some(presence),
            Kind::IovecIn { .. }
            | Kind::IovecOut { .. }
            | Kind::MsgIn
            | Kind::MsgOut
            | Kind::InterfaceList => Some(Presence::Needed),
            // execve(2): on Linux a null pointer is an empty array.
            Kind::Strings | Kind::SigMask { .. } | Kind::SigMaskPair => Some(Presence::Optional),
            Kind::I32
            | Kind::U32
            | Kind::I64
            | Kind::U64
            | Kind::Fd
            | Kind::DirFd
            | Kind::MapFd { .. }
            | Kind::Segment
            | Kind::Offset
            | Kind::Pid
            | Kind::Signal
            | Kind::Mode
            | Kind::Flags(_)
            | Kind::Choice(_)
            | Kind::Command(_)
            | Kind::Level(_)
            | Kind::OptionName
            | Kind::Addr
            | Kind::Millis
            | Kind::Unused => None,
        }
    }
}

/// One argument of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arg {
    /// The name of the manual page.
    pub name: &'static str,
    /// The kind.
    pub kind: Kind,
}

/// Rows of a multiplexer (ioctl, fcntl, prctl, ...), by command value.
#[derive(Debug, PartialEq, Eq)]
pub struct Commands {
    /// What the commands are called, e.g. `ioctl request`.
    pub title: &'static str,
    /// The bits of the register that select the row: the low 32 for most, without the option bits for
    /// futex(2).
    pub mask: u32,
    /// Names of the remaining bits, if there are any.
    pub options: Option<&'static Names>,
    /// The rows, ascending by value. A command without a row is refused.
    pub rows: &'static [Command],
    /// The errno (positive) that an unknown command answers.
    pub unknown: i32,
}

/// One command of a multiplexer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// The command's value; of a pair, the first is the high half.
    pub value: u64,
    /// Its name.
    pub name: &'static str,
    /// The arguments behind the command argument. Those not listed are unused.
    pub args: &'static [Arg],
    /// What it does beside acting on what these name; nothing if it is refused.
    pub effects: &'static [Effect],
    /// The route, if it is not the call's own.
    pub route: Option<Route>,
    /// Whether it waits; [`Wait::Never`] leaves that to the call's row.
    pub wait: Wait,
    /// What a signal does to it; [`Restart::Never`] leaves that to the call's row.
    pub restart: Restart,
}

impl Commands {
    /// The row of a command; only the bits of the mask count, the high half never, as in the kernel.
    pub fn find(&self, value: u64) -> Option<&'static Command> {
        self.row(u64::from(value as u32 & self.mask))
    }

    /// The row of a command of two arguments ([`Kind::Level`]); the high halves do not count.
    pub fn find_pair(&self, level: u64, name: u64) -> Option<&'static Command> {
        self.row(u64::from(level as u32) << 32 | u64::from(name as u32))
    }

    fn row(&self, value: u64) -> Option<&'static Command> {
        self.rows.binary_search_by_key(&value, |c| c.value).ok().map(|i| &self.rows[i])
    }
}

//! What an argument is, and so how it crosses the channel.

use super::row::Commands;
use super::shape::{Names, Struct};

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

/// What a null pointer is to a call. Whatever it is, where no bytes are to be read or written the pointer is
/// not looked at, as in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A bad address like any other: EFAULT where the call comes to it.
    Needed,
    /// The same, and whether the memory can be written is looked up before the call is made, for what such a
    /// call gives is lost or left over otherwise (pipe(2), getdents(2)).
    Probed,
    /// Something of its own, mostly that there is none.
    Optional,
    /// Not looked at where the pointer in argument `other` is null; else a bad address.
    With {
        /// Index of the other pointer.
        other: u8,
    },
}

/// How many bytes a pointer argument stands for. A counting argument is read as wide as its own kind says
/// ([`crate::frame::count`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// This many bytes.
    Fixed(u32),
    /// One structure.
    Struct(&'static Struct),
    /// The longest time to wait, or its end. Where it may be null, that is for ever.
    Timeout(&'static Struct, Timeout),
    /// As many elements of `size` bytes as argument `count` says: all of them, or the call fails. More than
    /// [`crate::sizes::BULK_MAX`] bytes are E2BIG if `size == 1`, else EINVAL.
    Elements {
        /// Index of the counting argument.
        count: u8,
        /// Bytes of an element.
        size: u32,
    },
    /// The same of structures.
    Array {
        /// Index of the counting argument.
        count: u8,
        /// The element.
        of: &'static Struct,
    },
    /// As many elements of `size` bytes as argument `count` says, of a call that may do fewer: where they
    /// exceed [`crate::sizes::BULK_MAX`] bytes the child puts the largest count that fits in the register.
    Batch {
        /// Index of the counting argument.
        count: u8,
        /// Bytes of an element.
        size: u32,
    },
    /// As many bytes as argument `count` says, of a call that may be cut: the child sends at most
    /// [`crate::sizes::BULK_MAX`] bytes, in a call whose count argument says so.
    Bulk {
        /// Index of the counting argument.
        count: u8,
    },
    /// Records of different lengths in at most as many bytes as argument `count` says: as many whole ones as
    /// can be written. The child puts how many bytes can in the register.
    Records {
        /// Index of the counting argument.
        count: u8,
    },
    /// As many bytes as argument `count` says, of a transfer between guest memory and a descriptor: the rest
    /// follows in further calls ([`Pieces`]).
    Transfer {
        /// Index of the counting argument.
        count: u8,
    },
    /// The same of a socket, where the bytes may be one message: that is whole, or the call fails.
    Payload {
        /// Index of the counting argument.
        count: u8,
    },
    /// As many bytes as the `u32` says that argument `pointer` (itself `InOut(Fixed(4))`) points at, at most
    /// `cap`.
    Behind {
        /// Index of the argument that points at the length.
        pointer: u8,
        /// Upper bound in bytes; a larger length is taken as this.
        cap: u32,
    },
    /// Memory whose size only the supervisor knows, at most this many bytes: of what the call reads as many
    /// as there are, of what it writes as many as the reply says.
    Within(u32),
    /// A message of a queue (msgop(2)): its type, 8 bytes, and as many bytes of text as argument `count`
    /// says, but never more than [`crate::sizes::MESSAGE_MAX`], beyond which there is none.
    Message {
        /// Index of the argument that counts the text's bytes.
        count: u8,
    },
    /// A descriptor set of select(2) for the number of descriptors in argument `count`: whole 64-bit words. A
    /// count beyond 65536 is taken as that (the kernel takes it as the size of the descriptor table).
    Bits {
        /// Index of the argument that bounds the descriptors.
        count: u8,
    },
}

impl Extent {
    /// Whether the bytes only pass through: nobody decides on them.
    pub const fn is_opaque(self) -> bool {
        matches!(self, Extent::Bulk { .. } | Extent::Transfer { .. } | Extent::Payload { .. })
    }
}

/// How a time in memory limits a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// It counts from the beginning of the call.
    FromNow,
    /// The same, and the kernel puts what is left of it in its place when the call ends.
    CountedDown,
    /// It counts from the beginning of the call, but is only looked at between messages (recvmmsg(2)).
    BetweenMessages,
    /// A point in time.
    Until,
    /// One of the two by a flag, on a clock of the caller's choice (clock_nanosleep(2)).
    OnClock {
        /// Index of the argument that names the clock.
        clock: u8,
        /// Index of the argument that has TIMER_ABSTIME for a point in time.
        flags: u8,
    },
}

impl Timeout {
    /// Whether the time counts from the beginning of a call with these registers, by a clock that goes on
    /// like that of the wall, and nobody else keeps what is left of it.
    pub fn is_from_now(self, args: &[u64; 6]) -> bool {
        const CLOCKS: [i32; 4] =
            [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC, libc::CLOCK_BOOTTIME, libc::CLOCK_TAI];
        match self {
            Timeout::FromNow => true,
            Timeout::OnClock { clock, flags } => {
                args[flags as usize] as i32 & libc::TIMER_ABSTIME == 0
                    && CLOCKS.contains(&(args[clock as usize] as i32))
            }
            Timeout::CountedDown | Timeout::BetweenMessages | Timeout::Until => false,
        }
    }
}

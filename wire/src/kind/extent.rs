//! How many bytes a pointer stands for, and what a null pointer is.

use super::shape::Struct;

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
    /// follows in further calls ([`Pieces`](super::Pieces)).
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

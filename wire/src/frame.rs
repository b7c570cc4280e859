//! The request and the reply as bytes, and where the arguments' data lie.
//!
//! A request is a call number, six registers and six lengths. The data of argument *i* take `len[i]` bytes of
//! the data area, one argument behind the other, each start rounded up to [`ALIGN`]: offsets are never sent,
//! so none can be forged. [`Request::check`] compares every length with what the table says it must be for
//! those registers; what depends on guest memory (lengths behind pointers, gathered vectors) is checked once
//! the data are copied.

mod length;
mod message;
mod violation;
mod words;

pub use length::{Length, check_data, count, cut, length, null};
pub use message::MessageHeader;
pub use violation::Violation;

use crate::kind::{Arg, Command, Presence, Syscall};
use crate::sizes::{ABSENT, ALIGN, DATA_SIZE, errno_of};
use crate::table;
use std::ops::Range;
use words::{u32_at, u64_at};

/// A request as it lies in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Call number; [`crate::sizes::INTERNAL`] and up for the runtime's own requests.
    pub nr: u32,
    /// [`Request::PART`] and the like.
    pub flags: u32,
    /// The registers rdi, rsi, rdx, r10, r8, r9.
    pub args: [u64; 6],
    /// Bytes of each argument's data, or [`ABSENT`], or why there are none ([`crate::sizes::WRONG`]).
    pub len: [u32; 6],
}

/// A reply as it lies in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The result: a value or a negative errno. For route `grant`: 0 is the approval.
    pub ret: i64,
    /// [`Reply::MORE`] and the like.
    pub flags: u32,
    /// How many bytes of each argument's data the child copies back to the guest; at most the request's
    /// length.
    pub out: [u32; 6],
}

impl Reply {
    /// Bytes on the wire.
    pub const SIZE: usize = 40;
    /// A full transfer on a regular file (or the like): the child may go on with the next piece.
    pub const MORE: u32 = 1;
    /// A descriptor was sent over the control socket for this reply.
    pub const FD: u32 = 2;
    /// The child is to carry out the call itself (route grant).
    pub const GRANTED: u32 = 4;
    /// The call was interrupted and is to be restarted as SA_RESTART says (the kernel's ERESTARTSYS).
    pub const RESTART: u32 = 8;
    /// A signal was raised in the calling thread or process: the child enters the kernel once before the
    /// guest goes on, so that the guest gets it before its next instruction, as after kill(2) to itself.
    pub const SIGNALLED: u32 = 16;
    /// No processor is to spare: the guest thread should not spin for its replies.
    pub const CONTENDED: u32 = 32;
    /// The call was interrupted since the process was stopped and goes on, and fails even if no handler runs.
    pub const CONTINUED: u32 = 64;
    /// What was opened is a terminal that the caller may take as its controlling one: the child is to do so.
    pub const TAKE: u32 = 128;

    /// The bytes.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut b = [0; Self::SIZE];
        b[0..8].copy_from_slice(&self.ret.to_le_bytes());
        b[8..12].copy_from_slice(&self.flags.to_le_bytes());
        for (i, n) in self.out.iter().enumerate() {
            b[16 + 4 * i..20 + 4 * i].copy_from_slice(&n.to_le_bytes());
        }
        b
    }

    /// From bytes.
    pub fn decode(b: &[u8; Self::SIZE]) -> Reply {
        Reply {
            ret: u64_at(b, 0) as i64,
            flags: u32_at(b, 8),
            out: std::array::from_fn(|i| u32_at(b, 16 + 4 * i)),
        }
    }
}

/// A checked request: its row and the kinds in force (a multiplexer's command replaced).
#[derive(Clone, Copy, Debug)]
pub struct Checked {
    /// The call's row.
    pub call: &'static Syscall,
    /// The command's row, if the call is a multiplexer and knows the command.
    pub command: Option<&'static Command>,
    /// The kinds in force.
    pub kinds: [Arg; 6],
    /// Where each argument's data lie in the data area; empty ranges for absent ones.
    pub place: [ArgRange; 6],
}

/// A copyable range of the data area.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ArgRange {
    /// First byte.
    pub start: usize,
    /// Number of bytes; for a pointer that leads nowhere, as many as the guest says are there.
    pub len: usize,
    /// What the guest gives.
    pub given: Given,
}

/// What a guest gives as an argument that is memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Given {
    /// Nothing: the argument is no memory, or a null pointer where the row allows one.
    #[default]
    Nothing,
    /// Something from which no data can be taken: the (positive) errno is EFAULT for a pointer that leads
    /// nowhere, null where the row does not allow that among them.
    Wrong(i32),
    /// Memory.
    Memory,
}

impl ArgRange {
    /// As a standard range.
    pub fn range(self) -> Range<usize> {
        self.start..self.start + self.len
    }
}

/// Places data of these lengths one behind the other; `None` if they exceed the data area.
pub fn place(len: &[u32; 6]) -> Option<[ArgRange; 6]> {
    let mut at = 0usize;
    let mut out = [ArgRange::default(); 6];
    for (slot, &n) in out.iter_mut().zip(len) {
        if n == ABSENT {
            continue;
        }
        if let Some(errno) = errno_of(n) {
            slot.given = Given::Wrong(errno);
            continue;
        }
        *slot = ArgRange { start: at, len: n as usize, given: Given::Memory };
        at = at.checked_add(n as usize)?.checked_next_multiple_of(ALIGN)?;
        if slot.start + slot.len > DATA_SIZE {
            return None;
        }
    }
    Some(out)
}

impl Request {
    /// Bytes on the wire.
    pub const SIZE: usize = 80;
    /// Bytes of all but the lengths.
    pub const HEAD: usize = 56;
    /// The data are the beginning of a transfer that is longer than what crosses at once. What cannot be cut,
    /// a message, is refused then.
    pub const PART: u32 = 1;
    /// Behind the data there are more that the guest names, where its memory is not.
    pub const CUT: u32 = 2;
    /// A pointer that leads nowhere names memory beyond user space, which the kernel tells at once where it
    /// is to transfer bytes.
    pub const BEYOND: u32 = 4;
    /// No argument has data: only the first [`Request::HEAD`] bytes are sent, and each length is
    /// [`ABSENT`].
    pub const BARE: u32 = 8;

    /// The request as it is sent, and how many of its bytes are.
    pub fn packed(&self) -> ([u8; Self::SIZE], usize) {
        let bare = self.len == [ABSENT; 6];
        let flags = self.flags | if bare { Self::BARE } else { 0 };
        (Request { flags, ..*self }.encode(), if bare { Self::HEAD } else { Self::SIZE })
    }

    /// Whether a request that begins so is sent without its lengths.
    pub fn is_bare(head: &[u8]) -> bool {
        u32_at(head, 4) & Self::BARE != 0
    }

    /// The bytes.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut b = [0; Self::SIZE];
        b[0..4].copy_from_slice(&self.nr.to_le_bytes());
        b[4..8].copy_from_slice(&self.flags.to_le_bytes());
        for (i, a) in self.args.iter().enumerate() {
            b[8 + 8 * i..16 + 8 * i].copy_from_slice(&a.to_le_bytes());
        }
        for (i, n) in self.len.iter().enumerate() {
            b[56 + 4 * i..60 + 4 * i].copy_from_slice(&n.to_le_bytes());
        }
        b
    }

    /// From bytes.
    pub fn decode(b: &[u8; Self::SIZE]) -> Request {
        Request {
            nr: u32_at(b, 0),
            flags: u32_at(b, 4),
            args: std::array::from_fn(|i| u64_at(b, 8 + 8 * i)),
            len: std::array::from_fn(|i| u32_at(b, 56 + 4 * i)),
        }
    }

    /// Compares the frame with the table. Lengths that guest memory decides (strings, vectors, messages,
    /// [`crate::kind::Extent::Behind`]) are only bounded here; [`check_data`] looks at them once the data are
    /// copied.
    pub fn check(&self) -> Result<Checked, Violation> {
        let call = table::row(self.nr).ok_or(Violation::UnknownCall(self.nr))?;
        let (kinds, command) = table::kinds(call, &self.args);
        for i in 0..kinds.len() {
            self.check_length(call.name, &kinds, i)?;
        }
        let mut place = place(&self.len).ok_or(Violation::TooMuch(call.name))?;
        for (i, place) in
            place.iter_mut().enumerate().filter(|(_, place)| matches!(place.given, Given::Wrong(_)))
        {
            if let Some(Length::Exactly(n) | Length::AtMost(n)) = length(&kinds, i, &self.args) {
                place.len = n as usize;
            }
        }
        Ok(Checked { call, command, kinds, place })
    }

    fn check_length(&self, call: &'static str, kinds: &[Arg; 6], i: usize) -> Result<(), Violation> {
        let (len, arg) = (self.len[i], kinds[i].name);
        let Some(rule) = length(kinds, i, &self.args) else {
            return if len == ABSENT { Ok(()) } else { Err(Violation::Unexpected { call, arg }) };
        };
        if len == ABSENT {
            return match kinds[i].kind.presence() {
                Some(Presence::Optional) => Ok(()),
                Some(Presence::With { other }) if self.len[usize::from(other)] == ABSENT => Ok(()),
                _ => Err(Violation::Missing { call, arg }),
            };
        }
        if errno_of(len).is_some() {
            return Ok(());
        }
        let (ok, want) = match rule {
            Length::Exactly(n) => (u64::from(len) == n, n),
            Length::AtMost(n) => (u64::from(len) <= n, n),
            Length::TooMany { .. } => (false, 0),
        };
        if ok { Ok(()) } else { Err(Violation::Length { call, arg, len, want }) }
    }
}

//! Tracing (ptrace(2)): what a traced thread says when it stops, and what it is told to do while it is
//! stopped.
//!
//! A traced thread stops by a request of its own ([`Internal::TraceStop`]), which hands its registers over;
//! the reply is an [`Order`]. Any order but [`Order::Resume`] is answered by [`Internal::TraceObeyed`], whose
//! reply is the next order.
//!
//! [`Internal::TraceStop`]: crate::table::Internal::TraceStop
//! [`Internal::TraceObeyed`]: crate::table::Internal::TraceObeyed

use crate::relay;

/// Bytes of `struct user_regs_struct`.
pub const GENERAL: usize = 27 * 8;
/// Where the signal mask lies in a thread's state, 8 bytes behind the general registers.
pub const MASK: usize = GENERAL;
/// Where the extended registers begin in a thread's state: as many bytes as NT_X86_XSTATE has.
pub const EXTENDED: usize = MASK + 8;
/// Bytes of the smallest extended registers: FXSAVE part and header.
pub const EXTENDED_MIN: usize = 576;
/// Most bytes of a thread's state.
pub const STATE_MAX: usize = EXTENDED + 4096;
/// Most bytes of memory that one order reads or writes.
pub const PIECE: usize = 4096;
/// Most bytes of an order.
pub const ORDER_MAX: usize = HEADER + relay::SIZE + STATE_MAX;
const HEADER: usize = 24;

/// Indices of the words of `struct user_regs_struct`.
pub mod word {
    /// The result of a system call.
    pub const RAX: usize = 10;
    /// The number of the system call under way, or -1.
    pub const ORIG_RAX: usize = 15;
    /// Program counter.
    pub const RIP: usize = 16;
    /// Stack pointer.
    pub const RSP: usize = 19;
    /// The six arguments of a system call.
    pub const ARGUMENTS: [usize; 6] = [14, 13, 12, 7, 9, 8];
}

/// Why a traced thread stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum StopKind {
    /// It was asked to look up; it stops if its tracer wants it to.
    Attention = 0,
    /// Before a system call.
    CallEntry = 1,
    /// Behind a system call.
    CallExit = 2,
    /// Before a signal is delivered.
    Signal = 3,
    /// A signal stops the process, with this number.
    Group = 4,
    /// An event, `PTRACE_EVENT_*` in the upper half of the value, and its message in the lower.
    Event = 5,
    /// It is about to end, with this wait status.
    Ending = 6,
}

impl StopKind {
    /// The kind of this number.
    pub fn of(number: u32) -> Option<StopKind> {
        use StopKind::*;
        [Attention, CallEntry, CallExit, Signal, Group, Event, Ending].get(number as usize).copied()
    }
}

bitflags::bitflags! {
    /// How a thread goes on.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Mode: u32 {
        /// It has a tracer.
        const TRACED = 1;
        /// It stops at system calls.
        const CALLS = 2;
        /// It stops after one instruction.
        const STEP = 4;
    }
}

/// What a stopped thread is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Go on.
    Resume {
        /// How.
        mode: Mode,
        /// With this signal: the one to deliver at a stop before a delivery, else one that arrives.
        signal: Option<[u8; relay::SIZE]>,
        /// With this state, if it was changed.
        state: Option<Vec<u8>>,
    },
    /// Read so many bytes of guest memory.
    Read {
        /// From here.
        addr: u64,
        /// At most [`PIECE`].
        len: u32,
    },
    /// Write these bytes to guest memory.
    Write {
        /// From here.
        addr: u64,
        /// At most [`PIECE`].
        bytes: Vec<u8>,
    },
    /// Tell the supervisor this view ([`Internal::View`](crate::table::Internal::View)).
    Tell(u32),
}

impl Order {
    /// A thread goes on, with nothing changed.
    pub fn go_on(mode: Mode) -> Order {
        Order::Resume { mode, signal: None, state: None }
    }

    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let empty: &[u8] = &[];
        let (what, first, second, addr, parts) = match self {
            Order::Resume { mode, signal, state } => (
                0,
                mode.bits(),
                u32::from(signal.is_some()),
                0,
                [signal.as_ref().map_or(empty, |s| s), state.as_ref().map_or(empty, |s| s)],
            ),
            Order::Read { addr, len } => (1, *len, 0, *addr, [empty; 2]),
            Order::Write { addr, bytes } => (2, 0, 0, *addr, [bytes, empty]),
            Order::Tell(view) => (3, *view, 0, 0, [empty; 2]),
        };
        let mut b = Vec::with_capacity(HEADER + parts[0].len() + parts[1].len());
        for word in [what, first, second, 0] {
            b.extend(u32::to_le_bytes(word));
        }
        b.extend(u64::to_le_bytes(addr));
        parts.iter().for_each(|part| b.extend(*part));
        b
    }

    /// From bytes; `None` if they are no order.
    pub fn decode(b: &[u8]) -> Option<Order> {
        let (head, rest) = b.split_first_chunk::<HEADER>()?;
        let word = |i: usize| u32::from_le_bytes(std::array::from_fn(|k| head[4 * i + k]));
        let addr = u64::from_le_bytes(std::array::from_fn(|k| head[16 + k]));
        Some(match word(0) {
            0 => {
                let (signal, state) = match (word(2), rest.split_first_chunk::<{ relay::SIZE }>()) {
                    (0, _) => (None, rest),
                    (_, Some((signal, state))) => (Some(*signal), state),
                    (_, None) => return None,
                };
                let state = (!state.is_empty()).then(|| state.to_vec());
                Order::Resume { mode: Mode::from_bits_truncate(word(1)), signal, state }
            }
            1 => Order::Read { addr, len: word(1) },
            2 => Order::Write { addr, bytes: rest.to_vec() },
            3 => Order::Tell(word(1)),
            _ => return None,
        })
    }
}

/// What the supervisor says with the approval of a wait for children, in the value of the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitAnswer {
    /// The kernel knows of everything that is waited for.
    Plain,
    /// The process of this id is meant, for a process descriptor; with `hurried` the wait is not to block.
    Process {
        /// Its id.
        pid: i32,
        /// The descriptor says so.
        hurried: bool,
    },
    /// The wait fails with this errno (positive). The kernel tells of nobody then, where there is room for
    /// it.
    Refused(i32),
    /// Threads that the caller traces are waited for, too: where the kernel knows of no child the wait goes
    /// on until the supervisor interrupts it.
    Tracees,
    /// This happened to a thread that the caller traces.
    Event {
        /// Its id.
        tid: i32,
        /// As wait4(2) tells it, of at most 24 bits.
        status: u32,
    },
}

impl WaitAnswer {
    const HURRIED: i64 = 1 << 32;
    const TRACEES: i64 = 1 << 33;
    const REFUSED: i64 = 1 << 34;
    const EVENT: i64 = 1 << 62;

    /// The value.
    pub fn encode(self) -> i64 {
        match self {
            WaitAnswer::Plain => 0,
            WaitAnswer::Process { pid, hurried } => {
                i64::from(pid as u32) | if hurried { Self::HURRIED } else { 0 }
            }
            WaitAnswer::Refused(errno) => Self::REFUSED | i64::from(errno as u32),
            WaitAnswer::Tracees => Self::TRACEES,
            WaitAnswer::Event { tid, status } => {
                Self::EVENT | i64::from(status & 0xff_ffff) << 32 | i64::from(tid as u32)
            }
        }
    }

    /// From a value.
    pub fn decode(value: i64) -> WaitAnswer {
        let id = value as u32 as i32;
        match value {
            0 => WaitAnswer::Plain,
            _ if value & Self::EVENT != 0 => {
                WaitAnswer::Event { tid: id, status: (value >> 32) as u32 & 0xff_ffff }
            }
            _ if value & Self::TRACEES != 0 => WaitAnswer::Tracees,
            _ if value & Self::REFUSED != 0 => WaitAnswer::Refused(id),
            _ => WaitAnswer::Process { pid: id, hurried: value & Self::HURRIED != 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_answers_come_back_as_they_were() {
        let signal = Some(std::array::from_fn(|i| i as u8));
        for order in [
            Order::go_on(Mode::empty()),
            Order::Resume { mode: Mode::all(), signal, state: None },
            Order::Resume { mode: Mode::TRACED, signal: None, state: Some(vec![7; STATE_MAX]) },
            Order::Resume { mode: Mode::STEP, signal, state: Some(vec![1, 2, 3]) },
            Order::Read { addr: u64::MAX, len: 4096 },
            Order::Write { addr: 8, bytes: vec![0xcc] },
            Order::Tell(1),
        ] {
            let bytes = order.encode();
            assert!(bytes.len() <= ORDER_MAX);
            assert_eq!(Order::decode(&bytes), Some(order));
        }
        assert_eq!((Order::decode(&[0; 23]), Order::decode(&[9; 24])), (None, None));
        for answer in [
            WaitAnswer::Plain,
            WaitAnswer::Tracees,
            WaitAnswer::Process { pid: 7, hurried: true },
            WaitAnswer::Process { pid: i32::MAX, hurried: false },
            WaitAnswer::Event { tid: i32::MAX, status: 0x80_057f },
        ] {
            assert_eq!(WaitAnswer::decode(answer.encode()), answer);
        }
    }

    #[test]
    fn kinds_have_their_numbers() {
        for number in 0..7 {
            assert_eq!(StopKind::of(number).map(|kind| kind as u32), Some(number));
        }
        assert_eq!(StopKind::of(7), None);
    }
}

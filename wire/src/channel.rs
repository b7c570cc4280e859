//! Where things lie in a channel.
//!
//! A channel is one shared memory file per guest process: an array of [`MAX_SLOTS`](crate::sizes::MAX_SLOTS)
//! slots, one for each guest thread. A slot is a header page ([`handoff`](crate::handoff) words, request,
//! reply) and a data area. The file is sparse: a slot that was never used costs no memory.
//!
//! What takes the time of a short call is the passing of cache lines from one core to the other. So the turn
//! word and all of a request but its lengths lie in one line, the reply in their place, since only one of the
//! two is needed at any time; lengths lie in the next line, which a call without data does not touch
//! ([`Request::BARE`](crate::frame::Request::BARE)); and what seldom changes lies in lines that both cores
//! can keep.

/// Offset in the header of the word that says whose turn it is (also the futex word).
pub const TURN: usize = 0;
/// Offset of the flag "the guest thread sleeps on the turn word".
pub const GUEST_SLEEPS: usize = 4;
/// Offset of the request's bytes.
pub const REQUEST: usize = 8;
/// Offset of the reply's bytes, which take the place of the request's.
pub const REPLY: usize = REQUEST;
/// Offset of the flag "the worker sleeps on the turn word". On a cache line of its own.
pub const WORKER_SLEEPS: usize = 128;
/// Offset of the word by which the worker says on which processor it is
/// ([`Handoff`](crate::handoff::Handoff)). It seldom changes.
pub const WORKER_PROCESSOR: usize = 132;
/// Offset of the word by which the guest thread asks its worker to interrupt a blocking call. On a cache line
/// of its own.
pub const INTERRUPT: usize = 192;

/// Offset of the word by which the supervisor asks the guest thread to look up
/// ([`StopKind::Attention`](crate::ptrace::StopKind)). As rarely used as [`INTERRUPT`], and beside it.
pub const ATTENTION: usize = 196;
/// Offset of the word by which the guest thread says that cores are short
/// ([`crate::spin_policy::Wait::has_lost_core`]). As rarely used, too.
pub const CONTENDED: usize = 200;
/// Offset of the word by which the guest thread says on which processor it is.
pub const GUEST_PROCESSOR: usize = 204;

/// Bytes of a cache line.
const LINE: usize = 64;

const _: () = assert!(REQUEST + crate::frame::Request::HEAD <= LINE);
const _: () = assert!(REQUEST + crate::frame::Request::SIZE <= WORKER_SLEEPS);
const _: () = assert!(REPLY + crate::frame::Reply::SIZE <= LINE);

//! What emulator child and supervisor say to each other.
//!
//! * [`table`]: every x86-64 Linux system call, once: argument names and kinds, route, class. Marshalling in
//!   the child, validation in the supervisor, policy vocabulary, tracing and `rxbox syscalls` are all read
//!   from it.
//! * [`effect`]: what commands of multiplexers do beside acting on what their arguments name.
//! * [`names`]: what flags, signals, errors and the like are called; [`text`] renders calls with them, as
//!   strace does.
//! * [`frame`]: the request and the reply, as the bytes that lie in a slot of the channel, and the rule by
//!   which the arguments' data are placed behind them.
//! * [`handoff`]: the hand-over of a slot between its two owners, without a lost wake-up; [`spin_policy`]:
//!   how long each looks for it before it sleeps.
//! * [`boot`]: what a child is told before it starts; [`log`]: what it and the supervisor can be asked to
//!   log.
//! * [`channel`]: where slots lie in the shared memory; [`control`]: what goes over the socket beside it;
//!   [`relay`]: how the codes of relayed signals travel; [`space`]: where guest memory lies; [`ptrace`]: what
//!   a stopped thread is told; [`kept`]: the form of translations on disk.
//! * [`sizes`]: the sizes and limits that all of these share.
//!
//! The crate does no I/O and touches no shared memory itself: each side copies the bytes in and out and hands
//! them over as plain slices. Whatever comes from the child is hostile; [`frame::Request::check`] is the one
//! gate.
#![forbid(unsafe_code)]

pub mod boot;
pub mod channel;
pub mod control;
pub mod effect;
pub mod frame;
pub mod handoff;
pub mod kept;
pub mod kind;
pub mod lock;
pub mod log;
pub mod names;
pub mod ptrace;
pub mod relay;
pub mod sizes;
pub mod space;
pub mod spin_policy;
pub mod table;
pub mod text;

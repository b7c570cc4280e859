//! Guest signals.
//!
//! The host's kernel does most of the work, because the guest's signal state is mirrored to the host: the
//! mask of each thread, the actions of the process, the timers. So queueing, discarding, stopping, continuing
//! and killing are the kernel's own, and a guest killed by a signal is a child killed by that signal. What is
//! left:
//!
//! | floor | part | what it does |
//! | --- | --- | --- |
//! | state | [`action`] | guest actions, and the host action for each |
//! | | [`state`] | a thread's mask, alternate stack, and signals that are not delivered yet |
//! | | [`info`], [`fault`], [`frame`], [`stack`], [`xstate`] | what the guest sees of a signal |
//! | | [`host`] | the host's side |
//! | verbs | [`deliver`] | calls a handler, sigreturn(2), death by a fault |
//! | | [`calls`], [`timers`], [`descriptor`] | the system calls on all this |
//! | | [`lifecycle`] | what begins and ends with processes, threads and programs |
//! | | [`ptrace`] | stops for a tracer |
//!
//! The state stands below [`crate::process`] and [`crate::thread`], which hold it; the verbs stand above.
//!
//! Two things differ between guest and host. A *handler* on the host is always the runtime's
//! ([`crate::runtime::stop`]), which stops translated code at an exact instruction and queues the signal; the
//! guest's own runs as guest code afterwards. And the *fault signals* (SIGSEGV, SIGBUS, SIGILL, SIGFPE,
//! SIGTRAP) are never blocked, ignored or defaulted on the host, since the runtime needs them; what the guest
//! wants of them is decided on delivery.
//!
//! Invariants:
//! * The host mask of a guest thread is its guest mask without the fault signals, whenever the cpu loop runs.
//! * A signal is in the kernel, in the ring, or taken ([`state::ThreadSignals`]): never in two places and
//!   never in none.
//! * A taken signal that the mask lets through is delivered before the next guest instruction: the code that
//!   takes one or opens the mask leaves `pending` set.

pub mod action;
pub mod calls;
pub mod deliver;
pub mod descriptor;
pub mod fault;
pub mod frame;
#[expect(unsafe_code, reason = "host calls on signals, and the x87 unit")]
pub mod host;
pub mod info;
pub mod lifecycle;
pub mod ptrace;
pub mod stack;
pub mod state;
pub mod timers;
pub mod xstate;

#[cfg(test)]
#[expect(unsafe_code, reason = "takes frames from the host's kernel")]
mod tests;

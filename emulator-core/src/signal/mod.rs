//! Guest signals.
//!
//! The host's kernel does most of the work, because the guest's signal state is mirrored to the host: the mask of each
//! thread, the actions of the process, the timers. So queueing, discarding, stopping, continuing and killing are the
//! kernel's own, and a guest killed by a signal is a child killed by that signal. What is left:
//!
//! | part | what it does |
//! | --- | --- |
//! | [`action`](Action) | guest actions, and the host action for each |
//! | [`ThreadSignals`] | a thread's mask and alternate stack, and signals that arrived but cannot be delivered yet |
//! | [`deliver()`], [`fault`] | a handler's frame, sigreturn(2), death by a fault |
//! | [`SignalDescriptors`] | signals that are read from descriptors |
//! | [`system_call`], [`with_mask`] | the calls on all this |
//!
//! Two things differ between guest and host. A *handler* on the host is always the runtime's ([`crate::runtime::stop`]), which
//! stops translated code at an exact instruction and queues the signal; the guest's own runs as guest code afterwards. And the
//! *fault signals* (SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP) are never blocked, ignored or defaulted on the host, since the
//! runtime needs them; what the guest wants of them is decided on delivery.
//!
//! Invariants:
//! * The host mask of a guest thread is its guest mask without the fault signals, whenever the cpu loop runs.
//! * A signal is in the kernel, in the ring, or taken ([`ThreadSignals`]): never in two places and never in none.
//! * A taken signal that the mask lets through is delivered before the next guest instruction: whoever takes one or opens
//!   the mask leaves `pending` set.

mod action;
mod calls;
mod deliver;
mod descriptor;
mod frame;
mod host;
mod info;
mod stack;
mod state;
mod timers;
mod xstate;

pub use action::{Action, Actions, Disposition};
pub use calls::{system_call, with_mask};
pub use deliver::{Restart, deliver, fault};
pub use descriptor::{SignalDescriptors, made as descriptor_made, read as read_descriptor};
pub use info::{ILL_ILLOPN, SEGV_ACCERR, SEGV_MAPERR, SI_KERNEL, SigInfo, TRAP_BRKPT};
pub use state::ThreadSignals;

use crate::base::sigset::SigSet;
use crate::thread::Thread;

/// Makes the host ready for the first thread of a process: actions for all signals, then as [`thread_start`]. What is ignored
/// and blocked from the start is what the supervisor found when it was started itself. The thread has its processor state; until
/// now every signal is blocked.
pub fn start(thread: &mut Thread, ignored: SigSet, blocked: SigSet) {
    thread.process.actions.lock().start(ignored);
    thread_start(thread, blocked);
}

/// Gives the calling host thread a stack for the runtime's handler, and the guest thread its mask. The thread has its
/// processor state; until now every signal is blocked.
pub fn thread_start(thread: &mut Thread, mask: SigSet) {
    match host::AltStack::install() {
        Ok(stack) => thread.signals.host_stack = Some(stack),
        Err(e) => crate::host::fatal::fatal(&format!("no stack for signal handlers: {e}")),
    }
    thread.signals.mask = mask.minus(SigSet::UNBLOCKABLE);
    host::set_mask(thread.signals.mask.on_host());
}

/// What execve(2) does to signals: handlers are gone, ignored signals stay ignored, the mask and what waits stay, the
/// alternate stack and the timers are gone.
pub fn exec(thread: &mut Thread) {
    thread.process.actions.lock().exec();
    let ThreadSignals { stack, trap, saved, .. } = &mut thread.signals;
    (*stack, *trap, *saved) = (stack::AlternateStack::default(), frame::LastTrap::default(), None);
}

/// What a program keeps of the signals of the thread that executed it: the mask, and what waits.
#[derive(Debug)]
pub struct Estate {
    mask: SigSet,
    waiting: Vec<SigInfo>,
}

/// Takes the estate of a thread that is about to end, with all signals but faults blocked.
pub fn estate(thread: &mut Thread) -> Estate {
    thread.signals.collect(thread.cpu.ring());
    let mut waiting = thread.signals.give_up();
    // What waits for this thread in the kernel would be lost with it.
    waiting.extend(std::iter::from_fn(host::take_pending));
    Estate { mask: thread.signals.mask, waiting }
}

/// Gives the calling thread the estate of another.
pub fn inherit(thread: &mut Thread, estate: Estate) {
    thread.signals.collect(thread.cpu.ring());
    thread.signals.add(estate.waiting);
    deliver::set_mask(thread, estate.mask);
}

/// Default actions for all signals that have handlers (CLONE_CLEAR_SIGHAND).
pub fn clear_handlers(thread: &Thread) {
    thread.process.actions.lock().clear();
}

/// In the child of a fork(2), on its only thread: what waited was the parent's, and timers are not inherited. To be called
/// with all signals blocked since before the fork.
pub fn forked(thread: &mut Thread) {
    thread.signals.collect(thread.cpu.ring());
    thread.signals.discard(SigSet::ALL);
    thread.process.actions.lock().timers.clear();
}

#[cfg(test)]
mod tests;

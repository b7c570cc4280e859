//! What begins and ends with a process, a thread or a program: actions, masks, waiting signals.

use super::deliver;
use super::frame::LastTrap;
use super::host;
use super::stack::AlternateStack;
use super::state::{InheritedSignals, ThreadSignals};
use crate::base::sigset::SigSet;
use crate::host::fatal::fatal;
use crate::thread::Thread;

/// Makes the host ready for the first thread of a process: actions for all signals, then as [`thread_start`].
/// What is ignored and blocked from the start is what the supervisor found when it was started itself. The
/// thread has its processor state; until now every signal is blocked.
pub fn start(thread: &mut Thread, ignored: SigSet, blocked: SigSet) {
    thread.process.actions.lock().start(ignored);
    thread_start(thread, blocked);
}

/// Gives the calling host thread a stack for the runtime's handler, and the guest thread its mask. The thread
/// has its processor state; until now every signal is blocked.
pub fn thread_start(thread: &mut Thread, mask: SigSet) {
    match host::AltStack::install() {
        Ok(stack) => thread.signals.host_stack = Some(stack),
        Err(e) => fatal(&format!("no stack for signal handlers: {e}")),
    }
    thread.signals.mask = mask.minus(SigSet::UNBLOCKABLE);
    host::set_mask(thread.signals.mask.on_host());
}

/// What execve(2) does to signals: handlers are gone, ignored signals stay ignored, the mask and what waits
/// stay, the alternate stack and the timers are gone.
pub fn exec(thread: &mut Thread) {
    thread.process.actions.lock().exec();
    let ThreadSignals { stack, trap, saved, .. } = &mut thread.signals;
    (*stack, *trap, *saved) = (AlternateStack::default(), LastTrap::default(), None);
}

/// Takes from a thread that is about to end, with all signals but faults blocked, what the program keeps that
/// it executes.
pub fn take_inherited(thread: &mut Thread) -> InheritedSignals {
    thread.signals.collect(thread.cpu.ring());
    let mut waiting = thread.signals.give_up();
    // What waits for this thread in the kernel would be lost with it.
    waiting.extend(std::iter::from_fn(host::take_pending));
    InheritedSignals { mask: thread.signals.mask, waiting }
}

/// Gives the calling thread what another handed over.
pub fn inherit(thread: &mut Thread, signals: InheritedSignals) {
    thread.signals.collect(thread.cpu.ring());
    thread.signals.add(signals.waiting);
    deliver::set_mask(thread, signals.mask);
}

/// Default actions for all signals that have handlers (CLONE_CLEAR_SIGHAND).
pub fn clear_handlers(thread: &Thread) {
    thread.process.actions.lock().clear();
}

/// In the child of a fork(2), on its only thread: what waited was the parent's, and timers are not inherited.
/// To be called with all signals blocked since before the fork.
pub fn forked(thread: &mut Thread) {
    thread.signals.collect(thread.cpu.ring());
    thread.signals.discard(SigSet::ALL);
    thread.process.actions.lock().timers.clear();
}

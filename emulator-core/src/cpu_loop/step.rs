//! Single steps: one guest instruction, then SIGTRAP with TRAP_TRACE.
//!
//! Two may ask for them: the guest itself by its trap flag (`popf`, `iret`, a signal frame), and a tracer
//! ([`Thread::single_step`]). Each guest instruction becomes a block of its own, which is in no index and
//! leads to no other, and the runtime raises the signal that the processor would have raised behind it
//! (Intel SDM 3B, 18.3.1.4).
//!
//! What has not completed raises no trap: an instruction with a fault, or one that a signal kept from
//! running. A repeated string instruction traps after each iteration. After `syscall`, and after a load of
//! ss, the guest's trap flag takes effect one instruction later; a tracer sees the end of the call at once.

use super::act::{Went, act};
use super::enter::enter_single;
use super::{fetch, vsyscall};
use crate::process::translate::BlockRequest;
use crate::signal::deliver::raise;
use crate::signal::fault::Fault;
use crate::thread::Thread;
use rxbox_translate::decode::{Class, Insn, SegmentOp};

/// Runs the instruction at the pc, and raises the trap behind it.
pub(super) fn one(thread: &mut Thread) {
    let pc = thread.state().pc;
    let insn = fetch::instruction(thread).map(|(insn, _)| insn).ok();
    let entry = match thread.process.resolve(pc, BlockRequest { step: true, ..BlockRequest::default() }) {
        Ok(entry) => entry,
        Err(_) if vsyscall::called(thread) => return,
        Err(e) => return fetch::fault(thread, e),
    };
    let before = (pc, thread.state().gpr);
    let (exit, repetition) = enter_single(thread, entry, insn.as_ref());
    let went = act(thread, exit);
    if let Some(repetition) = repetition {
        repetition.go_on(thread);
    }
    let traps = match went {
        Went::On(_) => !insn.is_some_and(|i| holds_traps_back(&i)),
        Went::Called => thread.single_step,
        Went::Interrupted => (thread.state().pc, thread.state().gpr) != before,
        Went::Stopped(_) => false,
    };
    if traps && thread.exit.is_none() {
        thread.single_step = false;
        let pc = thread.state().pc;
        raise(thread, Fault::single_step(pc));
    }
}

/// Whether the processor holds traps back until the next instruction has completed, too (Intel SDM 3A,
/// 6.8.3).
fn holds_traps_back(insn: &Insn) -> bool {
    const SS: u8 = 2;
    matches!(insn.class, Class::Segment(SegmentOp::Load(SS) | SegmentOp::Pop(SS)))
}

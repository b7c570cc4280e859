//! Single steps: one guest instruction, then SIGTRAP with TRAP_TRACE.
//!
//! Two may ask for them: the guest itself by its trap flag (`popf`, `iret`, a signal frame), and a tracer
//! ([`Thread::single_step`]). Translated code never runs with the trap flag: the processor would trap on every
//! host instruction. Instead each guest instruction becomes a block of its own, which is in no index and
//! leads to no other, and the runtime raises the signal that the processor would have raised behind it (Intel
//! SDM 3B, 18.3.1.4).
//!
//! What has not completed raises no trap: an instruction with a fault, or one that a signal kept from
//! running. A repeated string instruction traps after each iteration. After `syscall`, and after a load of ss,
//! the guest's trap flag takes effect one instruction later; a tracer sees the end of the call at once.

use super::{BlockExit, Went, act, emulate, enter, fetch_fault};
use crate::process::translate::BlockRequest;
use crate::runtime::blocks::HostEntry;
use crate::runtime::state::{RESUME_FLAG, TRAP_FLAG};
use crate::signal::deliver::raise;
use crate::signal::fault::Fault;
use crate::thread::Thread;
use rxbox_translate::decode::{Class, Insn, SegmentOp, Space};

/// Whether the thread runs one instruction at a time.
pub(super) fn is_wanted(thread: &mut Thread) -> bool {
    thread.single_step || thread.state().rflags & TRAP_FLAG != 0
}

/// Runs the instruction at the pc, and raises the trap behind it.
pub(super) fn one(thread: &mut Thread) {
    let pc = thread.state().pc;
    let insn = emulate::decode_at(thread).map(|(insn, _)| insn).ok();
    let entry = match thread.process.resolve(pc, BlockRequest { step: true, ..BlockRequest::default() }) {
        Ok(entry) => entry,
        Err(e) => return fetch_fault(thread, e),
    };
    let before = thread.state().gpr;
    let (exit, repetition) = enter_single(thread, entry, insn.as_ref());
    let went = act(thread, exit);
    if let Some(repetition) = repetition {
        repetition.go_on(thread);
    }
    let traps = match went {
        Went::On(_) => !insn.is_some_and(|i| holds_traps_back(&i)),
        Went::Called => thread.single_step,
        // A signal can stop a block behind its instruction, too.
        Went::Stopped(_) => thread.state().raw.signal == 0 && thread.state().gpr != before,
    };
    if traps && thread.exit.is_none() {
        thread.single_step = false;
        let pc = thread.state().pc;
        raise(thread, Fault::single_step(pc));
    }
}

/// Runs a block that consists of this one instruction, as a single step if that is wanted. What it gives
/// besides is to go on once the exit was acted on.
pub(super) fn enter_single(
    thread: &mut Thread,
    entry: HostEntry,
    insn: Option<&Insn>,
) -> (BlockExit, Option<Repetition>) {
    if !is_wanted(thread) {
        return (enter(thread, entry), None);
    }
    let mut repetition = insn.and_then(|insn| Repetition::begin(thread, insn));
    let flag = thread.state().rflags & TRAP_FLAG;
    thread.state().rflags &= !TRAP_FLAG;
    let exit = enter(thread, entry);
    thread.state().rflags |= flag;
    if let Some(repetition) = &mut repetition {
        repetition.count(thread);
    }
    (exit, repetition)
}

/// Whether the processor holds traps back until the next instruction has completed, too (Intel SDM 3A,
/// 6.8.3).
fn holds_traps_back(insn: &Insn) -> bool {
    const SS: u8 = 2;
    matches!(insn.class, Class::Segment(SegmentOp::Load(SS) | SegmentOp::Pop(SS)))
}

/// One iteration of a repeated string instruction: it runs with a count of one.
pub(super) struct Repetition {
    /// The address of the instruction.
    pc: u64,
    /// rcx as it was.
    rcx: u64,
    /// How often it was to be repeated; more than once.
    times: u64,
    /// The zero flag with which it goes on, if it looks at that.
    while_zero: Option<bool>,
    /// Whether the iteration was done, and is not the last one.
    goes_on: bool,
}

impl Repetition {
    /// `None` if it is not a repeated instruction with more than one iteration to do.
    fn begin(thread: &mut Thread, insn: &Insn) -> Option<Repetition> {
        let form = &insn.form;
        let string = form.space == Space::Legacy
            && form.map == 0
            && matches!(form.opcode, 0xa4..=0xa7 | 0xaa..=0xaf)
            && form.rep != 0;
        let state = thread.state();
        let (pc, rcx) = (state.pc, state.gpr[1]);
        let times = if form.addr32 { rcx & 0xffff_ffff } else { rcx };
        if !string || times <= 1 {
            return None;
        }
        state.gpr[1] = 1;
        let compares = matches!(form.opcode, 0xa6 | 0xa7 | 0xae | 0xaf);
        let while_zero = compares.then_some(form.rep == 0xf3);
        Some(Repetition { pc, rcx, times, while_zero, goes_on: false })
    }

    /// Counts the iteration if it was done.
    fn count(&mut self, thread: &mut Thread) {
        const ZERO_FLAG: u64 = 1 << 6;
        let state = thread.state();
        if state.gpr[1] != 0 {
            state.gpr[1] = self.rcx;
            return;
        }
        state.gpr[1] = self.times - 1;
        let zero = state.rflags & ZERO_FLAG != 0;
        self.goes_on = self.while_zero.is_none_or(|wanted| wanted == zero);
    }

    /// Goes back to the instruction if there is more of it to do.
    pub(super) fn go_on(&self, thread: &mut Thread) {
        if self.goes_on {
            let state = thread.state();
            state.pc = self.pc;
            state.rflags |= RESUME_FLAG;
        }
    }
}

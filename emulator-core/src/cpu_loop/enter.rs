//! Into translated code and out of it, with the guest state put together where a signal stopped it.
//!
//! A thread that runs one instruction at a time ([`is_stepping`]) enters blocks of one instruction only.
//! Translated code never runs with the trap flag, which the processor would heed at every host instruction;
//! and a repeated string instruction is run for one iteration.

use crate::host::fatal::fatal;
use crate::runtime::blocks::HostEntry;
use crate::runtime::enter::EXIT_ABORTED;
use crate::runtime::state::{ARITH_FLAGS, RESUME_FLAG, TRAP_FLAG};
use crate::thread::Thread;
use rxbox_translate::decode::{Insn, Space};
use rxbox_translate::emit::{EXIT_LOOKUP, EXIT_STOPPED, Exit, Mark, PcAt};

/// How translated code was left, with all that only the blocks know of it.
pub(super) enum BlockExit {
    /// It was not entered.
    Aborted,
    /// An indirect branch that found no block.
    Lookup,
    /// Stopped by a signal; the guest state is put together.
    Stopped,
    /// By an exit with this number.
    Exit(u32, Exit),
}

/// Runs translated code.
pub(super) fn enter(thread: &mut Thread, entry: HostEntry) -> BlockExit {
    let exit_id = thread.cpu.enter(entry);
    let exit = look_up(thread, exit_id);
    thread.cpu.outside();
    exit
}

/// Looks an exit up. The thread still counts as inside, so the blocks that it came from are there.
fn look_up(thread: &mut Thread, exit_id: u32) -> BlockExit {
    match exit_id {
        EXIT_ABORTED => BlockExit::Aborted,
        EXIT_LOOKUP => BlockExit::Lookup,
        EXIT_STOPPED => {
            let pc = thread.state().raw.pc;
            let mark = thread.process.blocks.lock().recover(pc);
            match mark {
                Some(mark) => {
                    recover(thread, &mark);
                    // The right to execute kept code was taken away: nothing that the guest did.
                    let raw = &mut thread.state().raw;
                    if raw.signal == libc::SIGSEGV && raw.addr == raw.pc {
                        raw.signal = 0;
                    }
                }
                None => fatal(&format!("stopped at {pc:#x}, where no block lies")),
            }
            BlockExit::Stopped
        }
        _ => match thread.process.blocks.lock().exit(exit_id) {
            Some(exit) => BlockExit::Exit(exit_id, exit),
            None => fatal(&format!("exit {exit_id} belongs to no block")),
        },
    }
}

/// The guest state at a mark, from the host registers of the stop.
fn recover(thread: &mut Thread, mark: &Mark) {
    let state = thread.state();
    let raw = state.raw;
    for (n, (home, host)) in state.gpr.iter_mut().zip(raw.gpr).enumerate() {
        if mark.borrowed >> n & 1 == 0 {
            *home = host;
        }
    }
    state.pc = match mark.pc {
        PcAt::Known(pc) | PcAt::Along(pc) => pc,
        PcAt::R11 => raw.gpr[11],
        PcAt::Target => state.target,
    };
    state.rflags = raw.rflags;
    if mark.flags_saved {
        state.rflags = raw.rflags & !ARITH_FLAGS | raw.rflags & 0x400 | saved_flags(state.stub_flags);
    }
}

/// The arithmetic flags out of what `lahf` and `seto al` left in rax.
fn saved_flags(rax: u64) -> u64 {
    (rax >> 8 & 0xd5) | (rax & 1) << 11
}

/// Whether the thread runs one instruction at a time.
pub(super) fn is_stepping(thread: &mut Thread) -> bool {
    thread.single_step || thread.state().rflags & TRAP_FLAG != 0
}

/// Runs a block that consists of this one instruction. What it gives
/// besides is to go on once the exit was acted on.
pub(super) fn enter_single(
    thread: &mut Thread,
    entry: HostEntry,
    insn: Option<&Insn>,
) -> (BlockExit, Option<Repetition>) {
    if !is_stepping(thread) {
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
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_saved_by_the_stub_come_back_bit_for_bit() {
        for flags in 0..0x1000u64 {
            let flags = flags & (ARITH_FLAGS & !0x400);
            let rax = (flags & 0xff | 2) << 8 | flags >> 11 & 1;
            assert_eq!(saved_flags(rax), flags);
        }
    }
}

//! Instructions that address memory through gs by registers that no modrm byte can be rewritten to avoid:
//! sources of strings, `xlat`, `maskmovq`, `maskmovdqu`, `clzero`, and gathers and scatters.
//!
//! The host's gs base is not the guest's, so the instruction runs alone and without the prefix, with the
//! guest's gs base added to the register that holds the address, and subtracted when it has run or faulted.

use super::super::enter::{BlockExit, enter_single};
use crate::signal::fault::Fault;
use crate::thread::Thread;
use rxbox_translate::decode::{Insn, Space};
use rxbox_translate::emit::Exit;
use rxbox_translate::ir::op::Reason;

/// Number of rbp, and of r13 with an extension.
const RBP: u8 = 5;

/// How an instruction ended that ran alone.
pub(in super::super) enum Ended {
    /// It has completed.
    Completed,
    /// It has not begun.
    NotBegun,
    /// A signal has stopped it.
    Stopped,
}

/// Runs the instruction at the pc, whose bytes are `bytes`. The pc is then what the instruction left.
///
/// # Errors
/// SIGILL for what is not carried: vectors of 32-bit addresses.
pub(super) fn run(thread: &mut Thread, insn: &Insn, bytes: &[u8]) -> Result<Ended, Fault> {
    let pc = thread.state().pc;
    let vector = insn.mem.filter(|mem| mem.vsib);
    let register = match (vector, insn.form.map, insn.form.opcode) {
        (Some(mem), ..) if !mem.addr32 => mem.base.unwrap_or(RBP | insn.form.rex << 3 & 8),
        (None, 0, 0xa4..=0xa7 | 0xac | 0xad) => 6,
        (None, 0, 0xd7) => 3,
        (None, 1, 0xf7) => 7,
        (None, 1, 0x01) => 0,
        _ => return Err(Fault::invalid(pc)),
    };
    let mut code: Vec<u8> = Vec::with_capacity(bytes.len());
    let prefixes = prefixes(insn);
    code.extend(bytes[..prefixes].iter().filter(|b| !matches!(b, 0x64 | 0x65 | 0x67)));
    let removed = prefixes - code.len();
    code.extend(&bytes[prefixes..insn.len.into()]);
    if vector.is_some_and(|mem| mem.base.is_none()) {
        // `[disp32 + index]` becomes `[rbp + disp32 + index]`.
        code[usize::from(insn.form.modrm_at) - removed] |= 0x80;
    }
    let moved = Moved::begin(thread, insn, register, vector.is_some_and(|mem| mem.base.is_none()));
    let entry = thread.process.translate_alone(pc, &code);
    let (exit, repetition) = enter_single(thread, entry, Some(insn));
    moved.end(thread);
    let state = thread.state();
    match exit {
        BlockExit::Exit(_, Exit::Leave { reason: Reason::Step, .. }) => {
            state.pc = pc.wrapping_add(insn.len.into());
        }
        // Behind the instruction, whose length was another.
        BlockExit::Stopped if state.pc != pc => state.pc = pc.wrapping_add(insn.len.into()),
        BlockExit::Stopped => return Ok(Ended::Stopped),
        BlockExit::Aborted => return Ok(Ended::NotBegun),
        BlockExit::Lookup | BlockExit::Exit(..) => return Err(Fault::invalid(pc)),
    }
    if let Some(repetition) = repetition {
        repetition.go_on(thread);
    }
    Ok(Ended::Completed)
}

/// Bytes before the opcode, or before a VEX or EVEX prefix.
fn prefixes(insn: &Insn) -> usize {
    let form = &insn.form;
    let escape = usize::from(form.map.min(1));
    match form.space {
        Space::Legacy if form.has_rex => form.rex_at.into(),
        Space::Legacy => usize::from(form.opcode_at) - escape,
        Space::Vex | Space::Evex => form.rex_at.into(),
    }
}

/// Registers that hold other values while the instruction runs.
struct Moved {
    /// The register with the address.
    register: usize,
    /// What was added to it.
    base: u64,
    /// All registers before and as they were set.
    before: [u64; 16],
    set: [u64; 16],
    /// Addresses and counts are 32 bits wide.
    narrow: bool,
    /// The register is not an operand.
    spare: bool,
}

impl Moved {
    fn begin(thread: &mut Thread, insn: &Insn, register: u8, spare: bool) -> Moved {
        let (register, narrow) = (usize::from(register & 15), insn.form.addr32);
        let state = thread.state();
        let (before, base) = (state.gpr, state.gs_base);
        if narrow {
            // The registers of strings; the others are the address itself.
            for n in [1, 6, 7, register] {
                state.gpr[n] &= 0xffff_ffff;
            }
        }
        state.gpr[register] = if spare { base } else { state.gpr[register].wrapping_add(base) };
        Moved { register, base, before, set: state.gpr, narrow, spare }
    }

    /// What the instruction has not changed is as it was before.
    fn end(&self, thread: &mut Thread) {
        let state = thread.state();
        for (n, value) in state.gpr.iter_mut().enumerate() {
            let changed = *value != self.set[n] && !(self.spare && n == self.register);
            if !changed {
                *value = self.before[n];
            } else if n == self.register {
                *value = value.wrapping_sub(self.base);
            }
            if changed && self.narrow && [1, 6, 7].contains(&n) {
                *value &= 0xffff_ffff;
            }
        }
    }
}

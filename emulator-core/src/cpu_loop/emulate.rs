//! Instructions that translated code leaves to the runtime.
//!
//! They are rare, so each is decoded again where it stands and carried out on the CPU state in memory.

mod branch;
mod flags;
mod operand;
mod segment;

use super::fetch;
use crate::signal::fault::Fault;
use crate::thread::Thread;
use operand::{address, canonical};
use rxbox_translate::decode::{Class, FpuEnv, Insn, Space, Trap, text};

/// Carries out the instruction at the pc.
///
/// # Errors
/// The signal that it raises.
pub(super) fn instruction(thread: &mut Thread) -> Result<(), Fault> {
    let (insn, bytes) = fetch::instruction(thread)?;
    carry_out(thread, &insn, &bytes)
}

fn carry_out(thread: &mut Thread, insn: &Insn, bytes: &[u8; 15]) -> Result<(), Fault> {
    let pc = thread.state().pc;
    let next = pc.wrapping_add(insn.len.into());
    match insn.class {
        Class::Cpuid => {
            let state = thread.cpu.state();
            let [a, b, c, d] = thread.process.cpuid.query(state.gpr[0] as u32, state.gpr[1] as u32);
            (state.gpr[0], state.gpr[3], state.gpr[1], state.gpr[2]) =
                (a.into(), b.into(), c.into(), d.into());
        }
        Class::Xgetbv => {
            let state = thread.cpu.state();
            let value = match state.gpr[1] as u32 {
                0 => thread.process.cpuid.xcr0(),
                1 if thread.process.cpuid.has_xgetbv1() => state.in_use & thread.process.cpuid.xcr0(),
                _ => return Err(Fault::protection(0)),
            };
            state.gpr[0] = value & 0xffff_ffff;
            state.gpr[2] = value >> 32;
        }
        Class::Rdtsc | Class::Rdtscp => return Err(Fault::invalid(pc)),
        Class::Popf => flags::popf(thread, insn)?,
        Class::Native if is_pushf(insn) => flags::pushf(thread, insn)?,
        Class::JmpIndirect | Class::CallIndirect | Class::Ret { .. } => {
            return branch::near(thread, insn, next);
        }
        Class::WriteGsBase { reg, wide } => {
            let state = thread.state();
            let value = state.gpr[usize::from(reg & 15)];
            let value = if wide { value } else { value & 0xffff_ffff };
            if !canonical(value) {
                return Err(Fault::protection(0));
            }
            state.gs_base = value;
        }
        Class::Segment(op) => segment::segment(thread, insn, op, next)?,
        Class::Trap(trap) => return Err(trapped(thread, trap, pc, next)),
        _ => {
            thread.process.log.unsupported_text(pc, &text(bytes, pc));
            return Err(Fault::invalid(pc));
        }
    }
    thread.state().pc = next;
    Ok(())
}

fn is_pushf(insn: &Insn) -> bool {
    insn.form.space == Space::Legacy && (insn.form.map, insn.form.opcode) == (0, 0x9c)
}

fn trapped(thread: &mut Thread, trap: Trap, pc: u64, next: u64) -> Fault {
    match trap {
        Trap::Breakpoint | Trap::Interrupt(3) => {
            thread.state().pc = next;
            Fault::breakpoint()
        }
        // `into` in other modes; the kernel lets user mode raise it here too.
        Trap::Interrupt(4) => {
            thread.state().pc = next;
            Fault::overflow()
        }
        Trap::Interrupt(n) => Fault::protection(u64::from(n) << 3 | 2),
        // int1 is never left to the runtime: the host raises it in translated code.
        Trap::DebugTrap | Trap::InvalidOpcode => Fault::invalid(pc),
        Trap::GeneralProtection => Fault::protection(0),
    }
}

/// Clears the x87 instruction pointer that the instruction at the pc has just stored: it is an address in the
/// code cache. The data pointer is the guest's own.
pub(super) fn clear_fpu_pointer(thread: &mut Thread) {
    let Ok((insn, _)) = fetch::instruction(thread) else { return };
    let pc = thread.state().pc;
    let next = pc.wrapping_add(insn.len.into());
    if let (Class::FpuEnvStore(kind), Some(mem)) = (insn.class, insn.mem) {
        let at = address(thread, &mem, next).linear;
        let (offset, size) = match kind {
            FpuEnv::Fnstenv | FpuEnv::Fnsave if insn.form.opsize && insn.form.rex & 8 == 0 => (6, 2),
            FpuEnv::Fnstenv | FpuEnv::Fnsave => (12, 4),
            FpuEnv::Fxsave | FpuEnv::Xsave => (8, 8),
        };
        let stored = kind != FpuEnv::Xsave || thread.state().gpr[0] & 1 != 0;
        // The instruction itself has written there; if another thread unmapped it since, there is nothing to
        // clear.
        if stored {
            let _ = thread.process.copy_out(at + offset, &[0; 8][..size]);
        }
    }
    thread.state().pc = next;
}

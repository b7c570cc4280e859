//! Instructions that translated code leaves to the runtime.
//!
//! They are rare, so each is decoded again where it stands and carried out on the CPU state in memory.

mod branch;
mod flags;
mod operand;
mod segment;
mod through_gs;

use super::fetch;
use crate::guest::access;
use crate::guest::layout::is_canonical;
use crate::signal::fault::Fault;
use crate::signal::host::Legacy;
use crate::thread::{Thread, request};
use operand::address;
use rxbox_translate::decode::{Class, FpuEnv, Insn, Space, Trap, text};
use rxbox_translate::frontend::is_narrow;
use std::sync::atomic::AtomicBool;
pub(super) use through_gs::Ended;

/// Carries out the instruction at the pc.
///
/// # Errors
/// The signal that it raises.
pub(super) fn instruction(thread: &mut Thread) -> Result<Ended, Fault> {
    let (insn, bytes) = fetch::instruction(thread)?;
    if insn.class == Class::Native && insn.form.segment == 0x65 && !is_pushf(&insn) {
        return through_gs::run(thread, &insn, &bytes);
    }
    carry_out(thread, &insn, &bytes).map(|()| Ended::Completed)
}

fn carry_out(thread: &mut Thread, insn: &Insn, bytes: &[u8; 15]) -> Result<(), Fault> {
    let pc = thread.state().pc;
    let next = pc.wrapping_add(insn.len.into());
    if thread.process.config.narrow_branches && is_narrow(insn) {
        thread.process.log.unsupported_text(pc, &text(bytes, pc));
        return Err(Fault::invalid(pc));
    }
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
            if !is_canonical(value) {
                return Err(Fault::protection(0));
            }
            state.gs_base = value;
        }
        Class::Segment(op) => segment::segment(thread, insn, op, next)?,
        Class::Far(branch) => return branch::far(thread, insn, branch, next),
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
        Trap::Interrupt(0x80) => {
            static TOLD: AtomicBool = AtomicBool::new(false);
            let text = "int 0x80 raises SIGSEGV: the system calls of 32-bit programs are not offered";
            request::report_missing(thread, &TOLD, text);
            Fault::protection(0x80 << 3 | 2)
        }
        Trap::Interrupt(n) => Fault::protection(u64::from(n) << 3 | 2),
        // int1 is never left to the runtime: the host raises it in translated code.
        Trap::DebugTrap | Trap::InvalidOpcode => Fault::invalid(pc),
        Trap::GeneralProtection => Fault::protection(0),
    }
}

/// Makes the x87 instruction pointer that the instruction at the pc has just stored the guest's: it is an
/// address in the code cache. The data pointer is the guest's own.
pub(super) fn fpu_pointer(thread: &mut Thread) {
    let Ok((insn, _)) = fetch::instruction(thread) else { return };
    let pc = thread.state().pc;
    let next = pc.wrapping_add(insn.len.into());
    if let (Class::FpuEnvStore(kind), Some(mem)) = (insn.class, insn.mem) {
        let at = address(thread, &mem, next).linear;
        let wide = insn.form.rex & 8 != 0;
        let (offset, size) = match kind {
            FpuEnv::Fnstenv | FpuEnv::Fnsave if insn.form.opsize && !wide => (6, 2),
            FpuEnv::Fnstenv | FpuEnv::Fnsave => (12, 4),
            FpuEnv::Fxsave | FpuEnv::Xsave => (8, if wide { 8 } else { 4 }),
        };
        let mut stored = [0; 8];
        let asked = kind != FpuEnv::Xsave || thread.state().gpr[0] & 1 != 0;
        // The instruction itself has written there; if another thread unmapped it since, there is nothing to
        // change.
        if asked && access::copy_in(&mut stored[..size], at + offset).is_ok() {
            // Of sixteen bits the processor still has the rest, unless the instruction has cleared it.
            let host =
                if size == 2 { Legacy::save().instruction_pointer() } else { u64::from_le_bytes(stored) };
            let guest = thread.process.x87_pointer(host);
            if guest != host || size == 2 {
                let _ = thread.process.copy_out(at + offset, &guest.to_le_bytes()[..size]);
            }
        }
    }
    thread.state().pc = next;
}

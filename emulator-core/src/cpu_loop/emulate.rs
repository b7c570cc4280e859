//! Instructions that translated code leaves to the runtime.
//!
//! They are rare, so each is decoded again where it stands and carried out on the CPU state in memory.

use crate::guest::access;
use crate::runtime::state::USER_FLAGS;
use crate::signal::fault::Fault;
use crate::thread::Thread;
use rxbox_translate::decode::{Class, DecodeError, FpuEnv, Insn, MemOperand, SegmentOp, Trap, decode, text};

/// Selector of data in 64-bit user mode on Linux.
const USER_SS: u16 = 0x2b;

/// Carries out the instruction at the pc.
///
/// # Errors
/// The signal that it raises.
pub(super) fn instruction(thread: &mut Thread) -> Result<(), Fault> {
    let (insn, bytes) = decode_at(thread)?;
    carry_out(thread, &insn, &bytes)
}

/// A page fault of such an instruction.
fn page(addr: u64) -> Fault {
    Fault::unmapped(addr, 0)
}

fn decode_at(thread: &mut Thread) -> Result<(Insn, [u8; 15]), Fault> {
    let pc = thread.state().pc;
    let mut bytes = [0; 15];
    let n = match access::copy_in(&mut bytes, pc) {
        Ok(()) => bytes.len(),
        Err(fault) => fault.done,
    };
    decode(&bytes[..n]).map(|insn| (insn, bytes)).map_err(|e| {
        if !matches!(e, DecodeError::Invalid) {
            thread.process.log.unsupported(pc, &bytes[..n], &e);
        }
        Fault::invalid(pc)
    })
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
        Class::Popf => popf(thread, insn)?,
        Class::WriteGsBase { reg, wide } => {
            let state = thread.state();
            let value = state.gpr[usize::from(reg & 15)];
            let value = if wide { value } else { value & 0xffff_ffff };
            if !canonical(value) {
                return Err(Fault::protection(0));
            }
            state.gs_base = value;
        }
        Class::Segment(op) => segment(thread, insn, op)?,
        Class::Trap(trap) => return Err(trapped(thread, trap, pc, next)),
        _ => {
            thread.process.log.unsupported_text(pc, &text(bytes, pc));
            return Err(Fault::invalid(pc));
        }
    }
    thread.state().pc = next;
    Ok(())
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

/// `popf`: the flags that user mode may set, without TF (rxbox has no single-step mode). AC is in force while
/// guest code runs, as natively; epilogue and signal entry clear it for the runtime.
fn popf(thread: &mut Thread, insn: &Insn) -> Result<(), Fault> {
    let rsp = thread.state().gpr[4];
    let size = if insn.form.opsize { 2 } else { 8 };
    let mut b = [0; 8];
    access::copy_in(&mut b[..size], rsp).map_err(|_| page(rsp))?;
    let value = u64::from_le_bytes(b);
    let width = if insn.form.opsize { 0xffff } else { u64::MAX };
    let mask = USER_FLAGS & width & !(1 << 8);
    let state = thread.state();
    state.rflags = state.rflags & !mask | value & mask;
    state.gpr[4] = rsp.wrapping_add(size as u64);
    Ok(())
}

fn canonical(addr: u64) -> bool {
    (addr as i64) << 16 >> 16 == addr as i64
}

/// The linear address of the instruction's memory operand.
fn address(thread: &mut Thread, mem: &MemOperand, next: u64) -> u64 {
    let state = thread.state();
    let mut a = mem.disp as u64;
    if let Some(b) = mem.base {
        a = a.wrapping_add(state.gpr[usize::from(b & 15)]);
    }
    if let Some((i, scale)) = mem.index {
        a = a.wrapping_add(state.gpr[usize::from(i & 15)].wrapping_mul(scale.into()));
    }
    if mem.rip_relative {
        a = a.wrapping_add(next);
    }
    if mem.addr32 {
        a &= 0xffff_ffff;
    }
    match mem.segment {
        0x64 => a.wrapping_add(state.fs_base),
        0x65 => a.wrapping_add(state.gs_base),
        _ => a,
    }
}

/// gs and ss, the segment registers that the host cannot take over: its own gs base leads to the CPU state.
/// gs can be loaded with a null or the flat selector, which clears the base; the selector itself is not kept
/// and reads as null.
fn segment(thread: &mut Thread, insn: &Insn, op: SegmentOp) -> Result<(), Fault> {
    let next = thread.state().pc.wrapping_add(insn.len.into());
    let short = insn.form.opsize && insn.form.rex & 8 == 0;
    let size = if short { 2 } else { 8 };
    match op {
        SegmentOp::Store(_) => match insn.mem {
            Some(mem) => {
                let at = address(thread, &mem, next);
                thread.process.copy_out(at, &[0; 2]).map_err(|_| page(at))
            }
            None => {
                let register = &mut thread.state().gpr[register(insn)];
                *register = if short { *register & !0xffff } else { 0 };
                Ok(())
            }
        },
        SegmentOp::Load(n) => {
            let selector = match insn.mem {
                Some(mem) => {
                    let at = address(thread, &mem, next);
                    let mut b = [0; 2];
                    access::copy_in(&mut b, at).map_err(|_| page(at))?;
                    u16::from_le_bytes(b)
                }
                None => thread.state().gpr[register(insn)] as u16,
            };
            load(thread, n, selector)
        }
        SegmentOp::Push(_) => {
            let rsp = thread.state().gpr[4].wrapping_sub(size);
            thread.process.copy_out(rsp, &[0; 8][..size as usize]).map_err(|_| page(rsp))?;
            thread.state().gpr[4] = rsp;
            Ok(())
        }
        SegmentOp::Pop(n) => {
            let rsp = thread.state().gpr[4];
            let mut b = [0; 2];
            access::copy_in(&mut b, rsp).map_err(|_| page(rsp))?;
            load(thread, n, u16::from_le_bytes(b))?;
            thread.state().gpr[4] = rsp.wrapping_add(size);
            Ok(())
        }
        SegmentOp::FarPointer(_) => Err(Fault::protection(0)),
    }
}

/// The general register in modrm.rm.
fn register(insn: &Insn) -> usize {
    usize::from(insn.form.modrm & 7 | insn.form.rex << 3 & 8)
}

/// Loading a selector: null (with any privilege bits) or the flat data segment; ss takes only the latter.
fn load(thread: &mut Thread, register: u8, selector: u16) -> Result<(), Fault> {
    const SS: u8 = 2;
    let null = selector & !3 == 0;
    if selector != USER_SS && (!null || register == SS) {
        return Err(Fault::protection(u64::from(selector & !3)));
    }
    if register != SS {
        thread.state().gs_base = 0;
    }
    Ok(())
}

/// Clears the x87 instruction pointer that the instruction at the pc has just stored: it is an address in the
/// code cache. The data pointer is the guest's own.
pub(super) fn clear_fpu_pointer(thread: &mut Thread) {
    let Ok((insn, _)) = decode_at(thread) else { return };
    let pc = thread.state().pc;
    let next = pc.wrapping_add(insn.len.into());
    if let (Class::FpuEnvStore(kind), Some(mem)) = (insn.class, insn.mem) {
        let at = address(thread, &mem, next);
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

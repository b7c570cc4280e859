//! Loads and stores of segment registers that the host cannot take over: of gs, since its own leads to the
//! CPU state, and loads of ss, behind which the processor would hold signals back.
//!
//! A selector that user mode may load clears the base; the selector itself is kept for being read.

use super::operand::{self, Address, address, far_size, load, load_number};
use crate::signal::fault::Fault;
use crate::thread::Thread;
use rxbox_translate::decode::{Insn, SegmentOp};

/// Selector of data in 64-bit user mode on Linux.
const USER_DATA: u16 = 0x2b;
/// Number of ss.
const SS: u8 = 2;

/// Descriptors of the kernel's table that user mode may load into a data segment register: 32-bit code, data,
/// 64-bit code, and the one that holds the processor's number (`arch/x86/include/asm/segment.h`).
const LOADABLE: [u16; 4] = [4, 5, 6, 15];

/// Carries it out; the next instruction lies at `next`.
pub(super) fn segment(thread: &mut Thread, insn: &Insn, op: SegmentOp, next: u64) -> Result<(), Fault> {
    let short = insn.form.opsize && insn.form.rex & 8 == 0;
    let size = if short { 2 } else { 8 };
    let register = usize::from(insn.form.rm());
    let kept = u64::from(thread.state().gs_selector);
    match op {
        SegmentOp::Store(_) => match insn.mem {
            Some(mem) => {
                let at = address(thread, &mem, next);
                operand::store(thread, at, &kept.to_le_bytes()[..2])
            }
            None => {
                let register = &mut thread.state().gpr[register];
                *register = if short { *register & !0xffff | kept } else { kept };
                Ok(())
            }
        },
        SegmentOp::Load(number) => {
            let selector = match insn.mem {
                Some(mem) => {
                    let at = address(thread, &mem, next);
                    u16::from_le_bytes(load(thread, at)?)
                }
                None => thread.state().gpr[register] as u16,
            };
            set(thread, number, selector)
        }
        SegmentOp::Push(_) => operand::push(thread, kept, size),
        SegmentOp::Pop(number) => {
            let at = Address::on_stack(thread, 0);
            let selector = u16::from_le_bytes(load(thread, at)?);
            set(thread, number, selector)?;
            thread.state().gpr[4] = at.plus(size).linear;
            Ok(())
        }
        SegmentOp::FarPointer(number) => far_pointer(thread, insn, number, next),
    }
}

/// `lss`, `lgs`: the offset to a general register, the selector behind it to the segment register.
fn far_pointer(thread: &mut Thread, insn: &Insn, number: u8, next: u64) -> Result<(), Fault> {
    let Some(mem) = insn.mem else { return Err(Fault::invalid(thread.state().pc)) };
    let size = far_size(thread, insn);
    let at = address(thread, &mem, next);
    let offset = load_number(thread, at, size)?;
    let selector = u16::from_le_bytes(load(thread, at.plus(size))?);
    set(thread, number, selector)?;
    let register = usize::from(insn.form.modrm >> 3 & 7 | insn.form.rex << 1 & 8);
    let register = &mut thread.state().gpr[register];
    *register = if size == 2 { *register & !0xffff | offset } else { offset };
    Ok(())
}

/// Loads a selector: null, or one that user mode may load; ss takes only that of data.
fn set(thread: &mut Thread, number: u8, selector: u16) -> Result<(), Fault> {
    const LOCAL: u16 = 4;
    let null = selector & !3 == 0;
    let loadable = null || selector & LOCAL == 0 && LOADABLE.contains(&(selector >> 3));
    let allowed = if number == SS { selector == USER_DATA } else { loadable };
    if !allowed {
        return Err(Fault::selector(selector));
    }
    if number != SS {
        let state = thread.state();
        (state.gs_selector, state.gs_base) = (selector, 0);
    }
    Ok(())
}

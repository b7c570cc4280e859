//! Branches that the runtime carries out: indirect ones that are single steps or that translated code has no
//! form for, and far ones.
//!
//! A target that is not canonical is a general protection fault of the branch itself, before it has changed
//! anything.

use super::flags;
use super::operand::{Address, address, far_size, load, load_number, store};
use crate::guest::layout::is_canonical;
use crate::signal::fault::Fault;
use crate::thread::{Thread, request};
use rxbox_translate::decode::{Class, FarBranch, Insn};
use std::sync::atomic::AtomicBool;

/// `jmp` and `call` through a register or memory, and `ret`; the next instruction lies at `next`.
pub(super) fn near(thread: &mut Thread, insn: &Insn, next: u64) -> Result<(), Fault> {
    if let Class::Ret { release } = insn.class {
        let at = Address::on_stack(thread, 0);
        let target = checked(load_number(thread, at, 8)?)?;
        let state = thread.state();
        state.gpr[4] = at.plus(8 + u64::from(release)).linear;
        state.pc = target;
        return Ok(());
    }
    let target = match insn.mem {
        Some(mem) => {
            let at = address(thread, &mem, next);
            load_number(thread, at, 8)?
        }
        None => thread.state().gpr[usize::from(insn.form.rm())],
    };
    if insn.class == Class::CallIndirect {
        // The return address is there before the target is looked at; rsp changes with the pc.
        let at = Address::on_stack(thread, 8u64.wrapping_neg());
        store(thread, at, &next.to_le_bytes())?;
        checked(target)?;
        thread.state().gpr[4] = at.linear;
    }
    thread.state().pc = checked(target)?;
    Ok(())
}

/// The address, if code may lie there.
fn checked(target: u64) -> Result<u64, Fault> {
    if is_canonical(target) { Ok(target) } else { Err(Fault::protection(0)) }
}

/// Selector of 64-bit code in user mode on Linux, and of its data.
const USER_CODE: u16 = 0x33;
const USER_DATA: u16 = 0x2b;
/// Selector of 32-bit code.
const USER_CODE_32: u16 = 0x23;
/// The privilege level in a selector.
const RPL: u16 = 3;
/// Flag with which `iret` would return to another task.
const NESTED_TASK: u64 = 1 << 14;

/// A branch that loads the code segment: to 64-bit code of user mode only. The next instruction lies at
/// `next`.
pub(super) fn far(thread: &mut Thread, insn: &Insn, branch: FarBranch, next: u64) -> Result<(), Fault> {
    match branch {
        FarBranch::Jump | FarBranch::Call => {
            let Some(mem) = insn.mem else { return Err(Fault::invalid(thread.state().pc)) };
            let size = far_size(thread, insn);
            let at = address(thread, &mem, next);
            let target = load_number(thread, at, size)?;
            let selector = u16::from_le_bytes(load(thread, at.plus(size))?);
            // The privilege that the selector asks for is replaced by the one that there is.
            code_segment(thread, selector | RPL)?;
            let target = checked(target)?;
            if branch == FarBranch::Call {
                let low = Address::on_stack(thread, (2 * size).wrapping_neg());
                let bytes = size as usize;
                store(thread, low.plus(size), &u64::from(USER_CODE).to_le_bytes()[..bytes])?;
                store(thread, low, &next.to_le_bytes()[..bytes])?;
                thread.state().gpr[4] = low.linear;
            }
            thread.state().pc = target;
        }
        FarBranch::Return { release } => {
            let size = stack_size(insn);
            let at = Address::on_stack(thread, 0);
            // In the order in which processors of Intel read.
            let selector = u16::from_le_bytes(load(thread, at.plus(size))?);
            let target = load_number(thread, at, size)?;
            code_segment(thread, selector)?;
            let target = checked(target)?;
            let state = thread.state();
            state.gpr[4] = at.plus(2 * size + u64::from(release)).linear;
            state.pc = target;
        }
        FarBranch::InterruptReturn => interrupt_return(thread, stack_size(insn))?,
    }
    Ok(())
}

/// `iret` within the same privilege, which in 64-bit mode takes the stack with it.
fn interrupt_return(thread: &mut Thread, size: u64) -> Result<(), Fault> {
    if thread.state().rflags & NESTED_TASK != 0 {
        return Err(Fault::protection(0));
    }
    let mut words = [0; 5];
    // In the order in which processors of Intel read.
    for i in [2, 1, 0, 4, 3] {
        let at = Address::on_stack(thread, i as u64 * size);
        words[i] = load_number(thread, at, size)?;
    }
    let [target, code, flags, sp, stack] = words;
    code_segment(thread, code as u16)?;
    let stack = stack as u16;
    if stack != USER_DATA {
        return Err(Fault::selector(stack));
    }
    let target = checked(target)?;
    flags::set(thread, flags, if size == 2 { 0xffff } else { u64::MAX });
    let state = thread.state();
    (state.pc, state.gpr[4]) = (target, sp);
    Ok(())
}

/// Bytes of the words that a return pops.
fn stack_size(insn: &Insn) -> u64 {
    match (insn.form.rex & 8 != 0, insn.form.opsize) {
        (true, _) => 8,
        (false, true) => 2,
        (false, false) => 4,
    }
}

/// Whether the selector can be loaded into cs.
fn code_segment(thread: &mut Thread, selector: u16) -> Result<(), Fault> {
    if selector == USER_CODE {
        return Ok(());
    }
    if selector == USER_CODE_32 {
        static TOLD: AtomicBool = AtomicBool::new(false);
        request::report_missing(
            thread,
            &TOLD,
            "32-bit code is not offered: a far branch to it raises SIGSEGV",
        );
    }
    Err(Fault::selector(selector))
}

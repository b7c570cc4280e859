//! `pushf` and `popf`, and the flags that an interrupt return loads.

use super::operand::{self, Address, load_number};
use crate::runtime::state::{RESUME_FLAG, USER_FLAGS};
use crate::signal::fault::Fault;
use crate::thread::Thread;
use rxbox_translate::decode::Insn;

/// Bytes that the instruction pushes or pops.
fn size(insn: &Insn) -> u64 {
    if insn.form.opsize && insn.form.rex & 8 == 0 { 2 } else { 8 }
}

/// `pushf`, where translated code would not push the guest's trap flag.
pub(super) fn pushf(thread: &mut Thread, insn: &Insn) -> Result<(), Fault> {
    let flags = thread.state().rflags & !RESUME_FLAG;
    operand::push(thread, flags, size(insn))
}

/// `popf`: the flags that user mode may set. AC is in force while guest code runs, as natively; epilogue and
/// signal entry clear it for the runtime.
pub(super) fn popf(thread: &mut Thread, insn: &Insn) -> Result<(), Fault> {
    let (at, size) = (Address::on_stack(thread, 0), size(insn));
    let value = load_number(thread, at, size)?;
    set(thread, value, if size == 2 { 0xffff } else { u64::MAX });
    thread.state().gpr[4] = at.plus(size).linear;
    Ok(())
}

/// Sets those flags in `width` that user mode may set.
pub(super) fn set(thread: &mut Thread, value: u64, width: u64) {
    let mask = USER_FLAGS & width;
    let state = thread.state();
    state.rflags = state.rflags & !(mask | RESUME_FLAG) | value & mask;
}

//! Branches that the runtime carries out: indirect ones that are single steps or that translated code has no
//! form for, and far ones.
//!
//! A target that is not canonical is a general protection fault of the branch itself, before it has changed
//! anything.

use super::operand::{Address, address, canonical, load_number, push};
use crate::signal::fault::Fault;
use crate::thread::Thread;
use rxbox_translate::decode::{Class, Insn};

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
    let target = checked(target)?;
    if insn.class == Class::CallIndirect {
        push(thread, next, 8)?;
    }
    thread.state().pc = target;
    Ok(())
}

/// The address, if code may lie there.
fn checked(target: u64) -> Result<u64, Fault> {
    if canonical(target) { Ok(target) } else { Err(Fault::protection(0)) }
}

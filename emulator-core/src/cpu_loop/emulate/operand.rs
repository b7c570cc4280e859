//! Operands in memory of the instructions that the runtime carries out, with the faults that the processor
//! raises for them.

use crate::guest::access;
use crate::guest::layout::{PAGE, is_canonical};
use crate::signal::fault::{Fault, page_fault};
use crate::thread::Thread;
use rxbox_translate::decode::{Insn, MemOperand};

/// Number of rsp.
const RSP: usize = 4;
/// Number of rbp.
const RBP: u8 = 5;

/// Where an access goes to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    /// Linear address.
    pub(super) linear: u64,
    /// Whether it lies in the stack segment, in which the processor raises another exception.
    pub(super) stack: bool,
}

impl Address {
    /// A number of bytes from the stack pointer on.
    pub(super) fn on_stack(thread: &mut Thread, offset: u64) -> Address {
        Address { linear: thread.state().gpr[RSP].wrapping_add(offset), stack: true }
    }

    /// A number of bytes further on.
    pub(super) fn plus(self, offset: u64) -> Address {
        Address { linear: self.linear.wrapping_add(offset), ..self }
    }
}

/// The address of the instruction's memory operand.
pub(super) fn address(thread: &mut Thread, mem: &MemOperand, next: u64) -> Address {
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
    let (base, stack) = match mem.segment {
        0x64 => (state.fs_base, false),
        0x65 => (state.gs_base, false),
        _ => (0, mem.base.is_some_and(|b| b == RSP as u8 || b == RBP)),
    };
    Address { linear: a.wrapping_add(base), stack }
}

/// Bytes of the offset in a far pointer that is an operand: AMD's processors have none of eight (AMD64
/// manual, volume 3, LSS, JMP (Far)).
pub(super) fn far_size(thread: &Thread, insn: &Insn) -> u64 {
    let wide = insn.form.rex & 8 != 0;
    match (wide, insn.form.opsize) {
        (true, _) if thread.process.cpuid.is_intel() => 8,
        (false, true) => 2,
        _ => 4,
    }
}

/// Reads.
///
/// # Errors
/// What the processor raises.
pub(super) fn load<const N: usize>(thread: &mut Thread, at: Address) -> Result<[u8; N], Fault> {
    aligned(thread, at, N)?;
    let mut bytes = [0; N];
    match access::copy_in(&mut bytes, at.linear) {
        Ok(()) => Ok(bytes),
        Err(fault) => Err(fault_at(thread, at.plus(fault.done as u64), 0)),
    }
}

/// Reads a number of `size` bytes, at most eight.
///
/// # Errors
/// What the processor raises.
pub(super) fn load_number(thread: &mut Thread, at: Address, size: u64) -> Result<u64, Fault> {
    Ok(match size {
        2 => u16::from_le_bytes(load(thread, at)?).into(),
        4 => u32::from_le_bytes(load(thread, at)?).into(),
        _ => u64::from_le_bytes(load(thread, at)?),
    })
}

/// Writes.
///
/// # Errors
/// What the processor raises.
pub(super) fn store(thread: &mut Thread, at: Address, bytes: &[u8]) -> Result<(), Fault> {
    aligned(thread, at, bytes.len())?;
    if thread.process.copy_out(at.linear, bytes).is_ok() {
        return Ok(());
    }
    let first_page = PAGE - at.linear % PAGE;
    let whole = first_page >= bytes.len() as u64 || thread.process.writable(at.linear, 1) == 0;
    Err(fault_at(thread, at.plus(if whole { 0 } else { first_page }), page_fault::WRITE))
}

/// Pushes the low `size` bytes of a number.
///
/// # Errors
/// What the processor raises; the stack pointer is then unchanged.
pub(super) fn push(thread: &mut Thread, value: u64, size: u64) -> Result<(), Fault> {
    let at = Address::on_stack(thread, size.wrapping_neg());
    store(thread, at, &value.to_le_bytes()[..size as usize])?;
    thread.state().gpr[RSP] = at.linear;
    Ok(())
}

/// What the processor demands of an address while the guest has the alignment check flag set.
fn aligned(thread: &mut Thread, at: Address, size: usize) -> Result<(), Fault> {
    const ALIGNMENT_CHECK: u64 = 1 << 18;
    let checks = thread.state().rflags & ALIGNMENT_CHECK != 0;
    if checks && !at.linear.is_multiple_of(size as u64) { Err(Fault::misaligned()) } else { Ok(()) }
}

/// Why an access to this very byte faults.
fn fault_at(thread: &mut Thread, at: Address, access: u64) -> Fault {
    let addr = at.linear;
    if !is_canonical(addr) {
        return if at.stack { Fault::stack() } else { Fault::protection(0) };
    }
    let write = access & page_fault::WRITE != 0;
    match thread.process.memory.lock().space.query(addr) {
        Some(area) if write && area.prot.write || !write && area.prot.read => {
            Fault::beyond_file(addr, access)
        }
        Some(_) => Fault::not_allowed(addr, access),
        None => Fault::unmapped(addr, access),
    }
}

//! What the processor demands of an encoding beyond what the rows tell apart; each function refuses what it
//! would refuse.

use super::encoding::Encoding;
use super::form::{MemOperand, Space};
use super::insn::DecodeError;
use super::table::row::{self, Operand, Place, Row};

/// Checks everything that does not depend on the memory operand.
pub(super) fn check(e: &Encoding, row: &Row) -> Result<(), DecodeError> {
    let ok = match e.form.space {
        Space::Legacy => lock(e, row),
        Space::Vex => vvvv(e, row) && opmasks(e, row),
        Space::Evex => {
            vvvv(e, row) && opmasks(e, row) && high_registers(e, row) && evex_b(e, row) && masking(e, row)
        }
    };
    if ok { Ok(()) } else { Err(DecodeError::Invalid) }
}

/// A control or debug register that does not exist, which is refused before the privilege is looked at.
pub(super) fn missing_register(e: &Encoding, row: &Row) -> bool {
    row.has(row::CONTROL) && !matches!(e.reg(), 0 | 2 | 3 | 4 | 8) || row.has(row::DEBUG) && e.reg() > 7
}

/// LOCK needs a memory destination and an instruction that can be locked.
fn lock(e: &Encoding, row: &Row) -> bool {
    !e.form.lock || row.has(row::LOCK) && !e.register_form()
}

/// vvvv is all ones, which is register 0 here, unless an operand lies there; EVEX's V' may extend a vector
/// index instead.
fn vvvv(e: &Encoding, row: &Row) -> bool {
    row.has(row::VVVV) || if row.has(row::VSIB) { e.vvvv & 15 == 0 } else { e.vvvv == 0 }
}

fn has(row: &Row, places: &[Place]) -> bool {
    row.operands.iter().any(|o| places.contains(&o.place))
}

/// There are eight opmask registers, in four-bit fields.
fn opmasks(e: &Encoding, row: &Row) -> bool {
    !(has(row, &[Place::VvvvMask]) && e.vvvv > 7
        || has(row, &[Place::RegMask, Place::RegMaskPair]) && e.reg() > 7)
}

/// There are sixteen general registers, in five-bit fields.
fn high_registers(e: &Encoding, row: &Row) -> bool {
    !(has(row, &[Place::RegGpr]) && e.reg() > 15 || has(row, &[Place::VvvvGpr]) && e.vvvv > 15)
}

/// The b bit means broadcast with memory and rounding with registers.
fn evex_b(e: &Encoding, row: &Row) -> bool {
    !e.evex_b || if e.register_form() { row.has(row::ROUNDING) } else { row.broadcast != 0 }
}

fn masking(e: &Encoding, row: &Row) -> bool {
    let allowed = e.mask == 0 || row.has(row::MASK);
    let required = e.mask != 0 || !row.has(row::MASK_REQUIRED);
    allowed && required && (!e.zeroing || zeroing(e, row))
}

/// Zeroing needs a mask and a destination that is a vector register.
fn zeroing(e: &Encoding, row: &Row) -> bool {
    let in_memory = matches!(row.operands[0].place, Place::RmVector | Place::Memory) && !e.register_form();
    row.has(row::ZEROING) && e.mask != 0 && !in_memory
}

/// Registers that must differ: the destination from every source, and the three of a VEX gather from each
/// other.
pub(super) fn distinct(e: &Encoding, row: &Row, mem: Option<&MemOperand>) -> Result<(), DecodeError> {
    if !row.has(row::DISTINCT) {
        return Ok(());
    }
    let destination = e.reg();
    let index = mem.and_then(|m| if m.vsib { m.index.map(|(n, _)| n) } else { None });
    let vvvv = row.has(row::VVVV).then_some(e.vvvv);
    let rm = row.operands.iter().any(|o: &Operand| o.place == Place::RmVector) && e.register_form();
    let rm = rm.then(|| e.rm_vector());
    let sources = [index, vvvv, rm];
    let clash = sources.contains(&Some(destination)) || index.is_some() && index == vvvv;
    if clash { Err(DecodeError::Invalid) } else { Ok(()) }
}

//! How the translator carries an instruction: the row's class with what the encoding adds to it.

use super::form::Encoding;
use super::table::row::{self, Row};
use super::{Class, DecodeError, SegmentOp, Trap};

const UNDEFINED: Class = Class::Trap(Trap::InvalidOpcode);

/// The class of an encoding that `row` accepts.
pub(super) fn class(e: &Encoding, row: &Row) -> Result<Class, DecodeError> {
    let opcode = e.form.opcode;
    // Branch displacements are at most 32 bits wide, the others here at most 16.
    let immediate = e.immediate;
    Ok(match row.class {
        Class::Jcc { .. } => Class::Jcc { cc: opcode & 15, disp: immediate as i32 },
        Class::Loop { .. } => Class::Loop { opcode, disp: immediate as i8 },
        Class::Jmp { .. } => Class::Jmp { disp: immediate as i32 },
        Class::Call { .. } => Class::Call { disp: immediate as i32 },
        Class::Ret { .. } => Class::Ret { release: immediate as u16 },
        Class::ReadGsBase { .. } => Class::ReadGsBase { reg: e.rm(), wide: e.wide() },
        Class::WriteGsBase { .. } => Class::WriteGsBase { reg: e.rm(), wide: e.wide() },
        Class::Segment(op) => segment(e, op)?,
        Class::Trap(Trap::Interrupt(_)) => Class::Trap(Trap::Interrupt(immediate as u8)),
        // Undefined registers are refused before the privilege is looked at.
        Class::Trap(_) if row.has(row::CONTROL) && !matches!(e.reg(), 0 | 2 | 3 | 4 | 8) => UNDEFINED,
        Class::Trap(_) if row.has(row::DEBUG) && e.reg() > 7 => UNDEFINED,
        class => class,
    })
}

/// The segment register lies in modrm.reg, or is implied by the opcode.
fn segment(e: &Encoding, op: SegmentOp) -> Result<Class, DecodeError> {
    let opcode = e.form.opcode;
    let named = e.form.modrm >> 3 & 7;
    let op = match op {
        SegmentOp::Store(_) | SegmentOp::Load(_) if named > 5 => return Err(DecodeError::Invalid),
        SegmentOp::Load(_) if named == 1 => return Ok(UNDEFINED),
        SegmentOp::Store(_) => SegmentOp::Store(named),
        SegmentOp::Load(_) => SegmentOp::Load(named),
        // 0f a0, a1: fs; a8, a9: gs.
        SegmentOp::Push(_) => SegmentOp::Push(4 + (opcode >> 3 & 1)),
        SegmentOp::Pop(_) => SegmentOp::Pop(4 + (opcode >> 3 & 1)),
        // 0f b2: ss; b4: fs; b5: gs.
        SegmentOp::FarPointer(_) => SegmentOp::FarPointer(opcode & 7),
    };
    Ok(Class::Segment(op))
}

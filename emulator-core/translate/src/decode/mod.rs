//! From guest bytes to a described instruction.
//!
//! The rule is an allow-list: [`decode`] accepts an encoding only if a row of the project's own tables
//! (`table`) does and `rules` finds nothing that the processor would refuse. From the row follow the
//! length (`encoding`), what is read and written (`effect`) and how the translator carries it (`class`).
//! Encodings with legacy prefixes have the least regular lengths, so there a second decoder must agree
//! (`second`): guest code and host code must agree on where an instruction ends. VEX and EVEX encodings
//! are regular, and that second decoder lacks many of them.
//!
//! Everything here is a pure function of the bytes, and no bytes make it panic.

mod class;
mod effect;
mod encoding;
mod form;
mod insn;
mod memo;
mod rules;
mod second;
mod table;
mod text;

#[cfg(test)]
mod tests;

pub use class::{Class, FarBranch, FpuEnv, SegmentOp, Trap};
pub use form::{Form, MemOperand, Space};
pub use insn::{DecodeError, Insn};
pub use memo::Decoder;
pub use text::text;

use encoding::{Cursor, Encoding};
use table::row;

/// Decodes the instruction at the start of `bytes`, of which no more than 15 are looked at.
///
/// # Errors
/// [`DecodeError`]. What follows an instruction that is refused early is not looked at: an unsupported opcode
/// at the end of the readable bytes is [`DecodeError::Unsupported`], not [`DecodeError::Truncated`].
pub fn decode(bytes: &[u8]) -> Result<Insn, DecodeError> {
    let mut cursor = Cursor::new(bytes);
    let result = read(&mut cursor, bytes);
    match cursor.excess() {
        Some(error) => Err(error),
        None => result,
    }
}

/// Decodes what the cursor reads, which may be more than there is.
fn read(cursor: &mut Cursor, bytes: &[u8]) -> Result<Insn, DecodeError> {
    let (mut e, row) = select(cursor)?;
    let checked = rules::check(&e, row);
    let named = e.form.modrm_at != 0 && !e.register_form() && !row.has(row::NO_MOD);
    let mem = if named { Some(e.memory(cursor, row)?) } else { None };
    if checked.is_err() {
        // What is too long is that before it is refused.
        e.immediate(cursor, row.immediate);
    }
    checked?;
    rules::distinct(&e, row, mem.as_ref())?;
    let mem = e.immediate(cursor, row.immediate).or(mem);
    let class = row.class.completed(&e.form, e.immediate).ok_or(DecodeError::Invalid)?;
    let class = if rules::missing_register(&e, row) { Class::UNDEFINED } else { class };
    let len = cursor.at();
    if cursor.excess().is_none() {
        second::agree(&e, row, bytes, len)?;
    }
    let effect::Effects { reads, writes, may_fault, side_effect } = effect::effects(&e, row, mem.as_ref());
    Ok(Insn { len, form: e.form, class, mem, reads, writes, may_fault, side_effect })
}

/// Reads as far as the modrm byte and finds the row that carries the encoding.
fn select(cursor: &mut Cursor) -> Result<(Encoding, &'static row::Row), DecodeError> {
    let mut e = Encoding::parse(cursor)?;
    let rows = table::rows(e.form.space, e.form.map, e.form.opcode);
    let Some(first) = rows.first() else {
        e.skip_operands(cursor);
        return Err(e.unsupported());
    };
    if first.has(row::MODRM) {
        e.modrm(cursor);
    }
    let key = e.accepted_by();
    let row = rows.iter().find(|row| row.accepts & key == key).ok_or(DecodeError::Invalid)?;
    Ok((e, row))
}

//! The second opinion on encodings with legacy prefixes.

use super::form::Encoding;
use super::table::row::{Row, UNKNOWN_TO_YAXPEAX};
use super::{Class, DecodeError, Space};
use yaxpeax_arch::LengthedInstruction;
use yaxpeax_x86::long_mode::{InstDecoder, Instruction};

/// Decodes with yaxpeax-x86.
pub(super) fn yaxpeax(bytes: &[u8]) -> Option<Instruction> {
    InstDecoder::default().decode_slice(bytes).ok()
}

/// Refuses a legacy encoding on which yaxpeax-x86 does not agree that it is an instruction of `len` bytes.
/// Instructions of which the host never sees the bytes need no second opinion.
pub(super) fn agree(e: &Encoding, row: &Row, bytes: &[u8], len: u8) -> Result<(), DecodeError> {
    let asked =
        e.form.space == Space::Legacy && !matches!(row.class, Class::Trap(_)) && !row.has(UNKNOWN_TO_YAXPEAX);
    let same_length = |i: Instruction| i.len().to_const() == u64::from(len);
    if !asked || yaxpeax(bytes).is_some_and(same_length) { Ok(()) } else { Err(e.unsupported()) }
}

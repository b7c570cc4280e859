//! The second opinion on encodings with legacy prefixes. It costs as much as all the rest of decoding, so it
//! is asked where lengths are least regular: where there is more than a REX prefix and one other. The tests
//! ask it, and a third decoder, about all encodings.

use super::encoding::Encoding;
use super::form::Space;
use super::insn::DecodeError;
use super::table::row::{Row, UNKNOWN_TO_YAXPEAX};
use yaxpeax_arch::LengthedInstruction;
use yaxpeax_x86::long_mode::{InstDecoder, Instruction};

/// Decodes with yaxpeax-x86.
pub(super) fn yaxpeax(bytes: &[u8]) -> Option<Instruction> {
    InstDecoder::default().decode_slice(bytes).ok()
}

/// Prefixes besides REX with which an encoding is still an ordinary one.
const ORDINARY: u8 = 1;

/// Refuses an unusual legacy encoding on which yaxpeax-x86 does not agree that it is an instruction of `len`
/// bytes. Instructions that are never copied need no second opinion.
pub(super) fn agree(e: &Encoding, row: &Row, bytes: &[u8], len: u8) -> Result<(), DecodeError> {
    let unusual = e.prefixes > ORDINARY || e.form.addr32;
    let asked =
        unusual && e.form.space == Space::Legacy && row.class.is_copied() && !row.has(UNKNOWN_TO_YAXPEAX);
    if !asked {
        return Ok(());
    }
    // It does not take a REX that another prefix follows, nor many segment prefixes, all of which the
    // processor ignores.
    let mut plain = [0; 16];
    let mut n = 0;
    let opcode_at = usize::from(e.form.opcode_at);
    for (at, &byte) in bytes.iter().take(len.into()).enumerate() {
        let counts = e.form.has_rex && at == usize::from(e.form.rex_at);
        let rex = byte & 0xf0 == 0x40 && !counts;
        let ignored = rex || matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e);
        if at >= opcode_at || !ignored {
            plain[n] = byte;
            n += 1;
        }
    }
    let same_length = |i: Instruction| i.len().to_const() == n as u64;
    if yaxpeax(&plain[..n]).is_some_and(same_length) { Ok(()) } else { Err(e.unsupported()) }
}

//! A decoder that remembers.
//!
//! Programs use few instructions, and mostly differ in displacements and immediates. All else of a decoded
//! instruction follows from its *signature*: one mandatory prefix, REX, opcode, modrm and sib. So what was
//! decoded once serves for every instruction of the same signature, with displacement and immediate read
//! again. Encodings of any other shape, and the few rows whose effects depend on the immediate, are decoded
//! each time.

use super::class::Class;
use super::decode;
use super::form::Space;
use super::insn::{DecodeError, Insn};
use super::table::{self, row};

/// Places for signatures; a new one replaces what is in its place.
const PLACES: usize = 2048;

/// [`decode`] with a memory.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    places: Vec<Option<(u64, Insn)>>,
}

impl Decoder {
    /// Decodes the instruction at the start of `bytes`.
    ///
    /// # Errors
    /// As [`decode`].
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Insn, DecodeError> {
        let (Some(first), Some(signature)) = (bytes.first_chunk::<16>(), signature(bytes)) else {
            return decode(bytes);
        };
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
        }
        let place = &mut self.places[(signature.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 53) as usize % PLACES];
        if let Some((known, insn)) = place
            && *known == signature
        {
            return Ok(refreshed(insn, first));
        }
        let insn = decode(bytes)?;
        if is_regular(&insn) {
            *place = Some((signature, insn.clone()));
        }
        Ok(insn)
    }
}

/// The bytes from the first one to the modrm or sib byte as a number, if the encoding begins as a regular one
/// does.
fn signature(bytes: &[u8]) -> Option<u64> {
    let word = u64::from_le_bytes(*bytes.first_chunk()?);
    let byte = |at: u32| (word >> (8 * at)) as u8;
    let mut at = u32::from(matches!(byte(0), 0x66 | 0xf2 | 0xf3));
    at += u32::from(byte(at) & 0xf0 == 0x40);
    let map = u8::from(byte(at) == 0x0f);
    at += u32::from(map);
    let rows = table::rows(Space::Legacy, map, byte(at));
    if rows.first()?.has(row::MODRM) {
        at += 1;
        let modrm = byte(at);
        at += u32::from(modrm < 0xc0 && modrm & 7 == 4);
    }
    Some(word & (u64::MAX >> (56 - 8 * at)))
}

/// Whether displacement and immediate are all that another instruction of the same signature can differ in.
fn is_regular(insn: &Insn) -> bool {
    let form = &insn.form;
    let row = table::rows(form.space, form.map, form.opcode).iter();
    let simple = form.space == Space::Legacy && form.map < 2 && matches!(form.imm_size, 0 | 1 | 2 | 4);
    let moved = insn.mem.is_some() && form.modrm_at == 0;
    simple && !moved && insn.class.is_regular() && !row.into_iter().any(|r| r.has(row::COUNT))
}

/// The instruction at the start of `bytes`, which has the signature of `known`.
fn refreshed(known: &Insn, bytes: &[u8; 16]) -> Insn {
    let mut insn = known.clone();
    let form = &insn.form;
    if let Some(mem) = &mut insn.mem
        && form.disp_size != 0
    {
        mem.disp = number(bytes, form.disp_at, form.disp_size);
    }
    let immediate = || number(bytes, form.imm_at, form.imm_size) as i32;
    match &mut insn.class {
        Class::Jcc { disp, .. } | Class::Jmp { disp } | Class::Call { disp } => *disp = immediate(),
        _ => {}
    }
    insn
}

/// A little-endian number of 1, 2 or 4 bytes, sign-extended.
fn number(bytes: &[u8; 16], at: u8, size: u8) -> i64 {
    let word = (u128::from_le_bytes(*bytes) >> (8 * u32::from(at & 15))) as u32;
    match size {
        1 => i64::from(word as i8),
        2 => i64::from(word as i16),
        _ => i64::from(word as i32),
    }
}

//! The host's copy of a guest instruction, with its memory operand rewritten where the front end says so; and
//! the encoding of `mov`/`lea` with a guest operand.

use super::buffer::CodeBuffer;
use super::code::{EmitError, displacement};
use crate::decode::{Insn, MemOperand, Space};
use crate::ir::op::Mem;
use dynasmrt::DynasmApi;

/// Copies the instruction whose bytes are `bytes` (at least `insn.len`). For [`Mem::At`] the
/// operand becomes `[reg]`, with `reg` one of the eight low registers except rsp.
pub fn emit(asm: &mut CodeBuffer, insn: &Insn, bytes: &[u8], mem: Mem, reg: u8) -> Result<(), EmitError> {
    let len = usize::from(insn.len);
    let bytes = bytes.get(..len).ok_or(EmitError::Place)?;
    match mem {
        Mem::AsIs => asm.copy(bytes),
        Mem::Rip(target) => {
            let disp = displacement(target, asm.here() + len as u64)?;
            let (head, tail) = bytes.split_at_checked(insn.form.disp_at.into()).ok_or(EmitError::Place)?;
            asm.copy(head);
            asm.copy(&disp.to_le_bytes());
            asm.copy(tail.get(4..).ok_or(EmitError::Place)?);
        }
        Mem::At(_) => at_register(asm, insn, bytes, reg)?,
    }
    Ok(())
}

/// The operand becomes `[reg + 0]` with a 32-bit displacement, which every prefix scheme encodes alike (a
/// compressed 8-bit displacement would not be). No index and a low base: the extension bits X and B of any
/// prefix become 0. The `mov` forms with an absolute address (a0 to a3) become the general ones of rax (88 to
/// 8b).
fn at_register(asm: &mut CodeBuffer, insn: &Insn, bytes: &[u8], reg: u8) -> Result<(), EmitError> {
    let form = &insn.form;
    let absolute = form.modrm_at == 0;
    let opcode_at = usize::from(form.opcode_at);
    let opcode = if absolute { form.opcode & 3 ^ 0x8a } else { form.opcode };
    if reg > 7 || reg == 4 {
        return Err(EmitError::Place);
    }
    let prefix_end = match form.space {
        Space::Legacy if !form.has_rex => opcode_at - map_bytes(form.map),
        _ => usize::from(form.rex_at),
    };
    for &b in &bytes[..prefix_end] {
        let goes = match b {
            // Meant nothing here, but would if what followed it were removed.
            0x40..=0x4f => true,
            // In the computed address, or overridden by the other.
            0x64 | 0x65 => b != form.segment || b == 0x65,
            // In the computed address, which gs may have made a large one. Where there is no gs the address
            // is small, and what the instruction adds to it (`bt`) wraps.
            0x67 => form.segment == 0x65,
            _ => false,
        };
        if !goes {
            asm.push(b);
        }
    }
    for (i, &b) in bytes[prefix_end..opcode_at].iter().enumerate() {
        asm.push(match (form.space, form.has_rex, i) {
            (Space::Legacy, true, 0) => b & if absolute { !7 } else { !3 },
            (Space::Vex, _, 1) if bytes[prefix_end] == 0xc4 => b | 0x60,
            (Space::Evex, _, 1) => b | 0x60,
            _ => b,
        });
    }
    asm.push(opcode);
    asm.push(0x80 | form.modrm & 0x38 | reg);
    asm.push_i32(0);
    asm.copy(&bytes[bytes.len() - usize::from(form.imm_size)..]);
    Ok(())
}

/// Escape bytes in front of a legacy opcode.
fn map_bytes(map: u8) -> usize {
    match map {
        0 => 0,
        1 => 1,
        _ => 2,
    }
}

/// `opcode r64, m` (8b `mov`, 8d `lea`) with a guest operand that is neither rip-relative nor gs; an `fs`
/// override and 32-bit address arithmetic are kept.
pub fn with_operand(asm: &mut CodeBuffer, opcode: u8, reg: u8, mem: &MemOperand) -> Result<(), EmitError> {
    let disp = i32::try_from(mem.disp).map_err(|_| EmitError::Reach)?;
    if mem.rip_relative || mem.vsib || mem.index.is_some_and(|(i, _)| i == 4) {
        return Err(EmitError::Place);
    }
    if mem.segment == 0x64 {
        asm.push(0x64);
    }
    if mem.addr32 {
        asm.push(0x67);
    }
    let (index, scale) = mem.index.unwrap_or((4, 1));
    let base = mem.base.unwrap_or(5);
    asm.push(0x48 | reg >> 3 << 2 | index >> 3 << 1 | base >> 3);
    asm.push(opcode);
    let short = i8::try_from(disp).ok().filter(|_| mem.base.is_some());
    let modrm_mod = match (mem.base, short) {
        (None, _) => 0,
        (Some(base), Some(0)) if base & 7 != 5 => 0,
        (Some(_), Some(_)) => 0x40,
        (Some(_), None) => 0x80,
    };
    asm.push(modrm_mod | (reg & 7) << 3 | 4);
    asm.push((scale.trailing_zeros() as u8) << 6 | (index & 7) << 3 | base & 7);
    match short {
        Some(_) if modrm_mod == 0 => {}
        Some(disp) => asm.push_i8(disp),
        None => asm.push_i32(disp),
    }
    Ok(())
}

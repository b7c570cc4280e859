//! Disassembly, for traces and error messages.

use super::encoding::Cursor;
use super::form::Space;
use super::insn::Insn;
use super::{decode, second, select};
use std::fmt::Write;
use yaxpeax_arch::LengthedInstruction;

/// The instruction at the start of `bytes` as one line in Intel syntax, with the addresses that depend on its
/// own, `pc`, resolved.
///
/// What the disassembler lacks but [`decode`] carries is written as mnemonic and encoding, what neither knows
/// as its first bytes.
pub fn text(bytes: &[u8], pc: u64) -> String {
    let insn = decode(bytes);
    let foreign = second::yaxpeax(bytes);
    let mut out = match (&insn, foreign) {
        (Ok(insn), Some(foreign)) if foreign.len().to_const() == u64::from(insn.len) => {
            match branch(insn, pc) {
                Some(target) => return format!("{} {target:#x}", foreign.opcode()),
                None => foreign.to_string(),
            }
        }
        (Ok(insn), _) => encoding(insn, bytes),
        (Err(_), Some(foreign)) => format!("(refused) {foreign}"),
        (Err(error), None) => format!("({error}) {}", hex(bytes.get(..bytes.len().min(15)).unwrap_or(bytes))),
    };
    if let Ok(Insn { len, mem: Some(mem), .. }) = insn
        && mem.rip_relative
    {
        let target = pc.wrapping_add(len.into()).wrapping_add_signed(mem.disp);
        let target = if mem.addr32 { target & 0xffff_ffff } else { target };
        // Writing to a string does not fail.
        let _ = write!(out, " ; {target:#x}");
    }
    out
}

/// Target of a direct branch.
fn branch(insn: &Insn, pc: u64) -> Option<u64> {
    let disp = insn.class.displacement()?;
    Some(pc.wrapping_add(insn.len.into()).wrapping_add_signed(disp))
}

/// Mnemonic, encoding in the manner of the manuals, and the bytes.
fn encoding(insn: &Insn, bytes: &[u8]) -> String {
    let form = &insn.form;
    let space = match form.space {
        Space::Legacy => "legacy",
        Space::Vex => "vex",
        Space::Evex => "evex",
    };
    let prefix = match (form.opsize, form.rep) {
        (_, 0xf3) => ".f3",
        (_, 0xf2) => ".f2",
        (true, _) => ".66",
        _ => "",
    };
    let map = ["", ".0f", ".0f38", ".0f3a", ".map4", ".map5", ".map6", ".map7"][usize::from(form.map & 7)];
    let wide = form.rex >> 3 & 1;
    let mnemonic = select(&mut Cursor::new(bytes)).map_or("?", |(_, row)| row.name.as_str());
    let bytes = hex(bytes.get(..insn.len.into()).unwrap_or(bytes));
    format!("{mnemonic} ({space}{prefix}{map}.w{wide} {:02x}) {bytes}", form.opcode)
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (i, byte) in bytes.iter().enumerate() {
        let _ = write!(out, "{}{byte:02x}", if i == 0 { "" } else { " " });
    }
    out
}

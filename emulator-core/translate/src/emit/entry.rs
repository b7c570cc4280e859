//! Entries for indirect branches: what stands in front of a block that is reached by a return, a jump or a
//! call through a register or memory.
//!
//! The branch leaves its target in r11 and the guest's [`BRANCH_REGS`] in their homes, and has found the
//! entry in a table by a part of the target. The entry compares the whole target without touching the flags,
//! which may be live, and goes to the look-up stub if it is another. From the branch to here the target stays
//! in a register: a word in memory would have to be loaded before it can be compared.

use super::buffer::CodeBuffer;
use super::code::{EmitError, displacement};
use super::mark::{BRANCH_REGS, Mark, Marker, PcAt};
use super::stubs;
use crate::state::{self, Region};
use dynasmrt::{DynasmApi, dynasm};

/// Compares, and goes on if `pc` is the target.
pub(super) fn compare(
    asm: &mut CodeBuffer,
    marks: &mut Marker<'_>,
    region: Region,
    pc: u64,
) -> Result<(), EmitError> {
    marks.set(Mark::arrival(asm.at()));
    if let Ok(pc) = i32::try_from(pc) {
        dynasm!(asm; .arch x64; lea rcx, [DWORD r11 + -pc]);
    } else {
        dynasm!(asm; .arch x64; mov rcx, QWORD pc.wrapping_neg() as i64; lea rcx, [r11 + rcx]);
    }
    // jrcxz over the jump.
    asm.copy(&[0xe3, 5]);
    jump(asm, stubs::lookup(region))
}

/// Loads the registers that the branch has taken; what follows is the block.
pub(super) fn take_back(asm: &mut CodeBuffer, marks: &mut Marker<'_>, pc: u64) {
    let known = PcAt::Known(pc);
    marks.set(Mark { borrowed: BRANCH_REGS, ..Mark::plain(asm.at(), known) });
    dynasm!(asm; .arch x64; gs mov rcx, [DWORD state::gpr(1)]; gs mov r11, [DWORD state::gpr(11)]);
    marks.set(Mark::plain(asm.at(), known));
}

/// A jump of five bytes to a host address.
fn jump(asm: &mut CodeBuffer, to: u64) -> Result<(), EmitError> {
    let disp = displacement(to, asm.here() + 5)?;
    asm.push(0xe9);
    asm.copy(&disp.to_le_bytes());
    Ok(())
}

/// An entry that was made later than its block, apart from it.
#[derive(Debug)]
pub struct LateEntry {
    /// Its host code.
    pub code: CodeBuffer,
    /// State recovery of the code, ascending.
    pub marks: Vec<Mark>,
}

impl LateEntry {
    /// For indirect branches to a block that direct jumps enter at host address `direct`. It is to lie at
    /// `at`.
    pub fn indirect(region: Region, at: u64, pc: u64, direct: u64) -> Result<LateEntry, EmitError> {
        LateEntry::made(at, |code, marks| {
            compare(code, marks, region, pc)?;
            take_back(code, marks, pc);
            jump(code, direct)
        })
    }

    /// For direct jumps to a block whose `matched` is the host address behind an entry for indirect branches:
    /// does as such a branch does. It is to lie at `at`.
    pub fn direct(at: u64, pc: u64, matched: u64) -> Result<LateEntry, EmitError> {
        LateEntry::made(at, |code, marks| {
            marks.set(Mark::plain(code.at(), PcAt::Known(pc)));
            dynasm!(code; .arch x64; gs mov [DWORD state::gpr(1)], rcx);
            dynasm!(code; .arch x64; gs mov [DWORD state::gpr(11)], r11);
            jump(code, matched)
        })
    }

    fn made(
        at: u64,
        emit: impl FnOnce(&mut CodeBuffer, &mut Marker<'_>) -> Result<(), EmitError>,
    ) -> Result<LateEntry, EmitError> {
        let (mut code, mut marks) = (CodeBuffer::default(), Vec::new());
        code.restart(at);
        emit(&mut code, &mut Marker::new(&mut marks))?;
        Ok(LateEntry { code, marks })
    }
}

//! Entries for indirect branches: what stands in front of a block that is reached by a return, a jump or a
//! call through a register or memory.

use super::buffer::CodeBuffer;
use super::code::{EmitError, displacement};
use super::stubs;
use crate::state::{self, Region};
use dynasmrt::{DynasmApi, dynasm};

/// The entry for indirect branches: the branch left its target in [`state::TARGET`] and guest rcx in its
/// home, and found this address in a table by a part of the target. Compares the whole target without
/// touching the flags, falls into what follows on a match and goes to the look-up stub otherwise.
pub(super) fn indirect_entry(asm: &mut CodeBuffer, region: Region, pc: u64) -> Result<(), EmitError> {
    dynasm!(asm; .arch x64; gs mov rcx, [DWORD state::TARGET]);
    if let Ok(pc) = i32::try_from(pc) {
        dynasm!(asm; .arch x64; lea rcx, [DWORD rcx + -pc]);
    } else {
        // The low half cancelled, then what is left of the high half.
        let low = (pc as i32).wrapping_neg();
        let high = (pc.wrapping_add(i64::from(low) as u64) >> 32) as i32;
        dynasm!(asm; .arch x64
            ; lea rcx, [DWORD rcx + low]
            ; rorx rcx, rcx, 32
            ; lea rcx, [DWORD rcx + high.wrapping_neg()]
        );
    }
    // jrcxz over the jump.
    asm.copy(&[0xe3, 5]);
    jump(asm, stubs::lookup(region))?;
    dynasm!(asm; .arch x64; gs mov rcx, [DWORD state::gpr(1)]);
    Ok(())
}

/// A jump of five bytes to a host address.
fn jump(asm: &mut CodeBuffer, to: u64) -> Result<(), EmitError> {
    let disp = displacement(to, asm.here() + 5)?;
    asm.push(0xe9);
    asm.copy(&disp.to_le_bytes());
    Ok(())
}

/// An entry for indirect branches apart from its block, to lie at host address `at` of the region; it jumps
/// to `entry`.
pub fn late_entry(region: Region, at: u64, pc: u64, entry: u64) -> Result<CodeBuffer, EmitError> {
    let mut asm = CodeBuffer::default();
    asm.restart(at);
    indirect_entry(&mut asm, region, pc)?;
    jump(&mut asm, entry)?;
    Ok(asm)
}

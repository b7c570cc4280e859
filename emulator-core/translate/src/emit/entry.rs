//! Entries for indirect branches: what stands in front of a block that is reached by a return, a jump or a call through a
//! register or memory.

use super::{EmitError, displacement, stubs};
use crate::state;
use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynasmApi, VecAssembler, dynasm};

/// The entry for indirect branches: the branch left its target in [`state::TARGET`] and guest rcx in its home, and found
/// this address in a table by a part of the target. Compares the whole target without touching the flags, falls into
/// what follows on a match and goes to the look-up stub otherwise. The guest pc lies in the eight bytes before it.
/// Returns the offset of the entry. The assembler's code will lie at host address `base`.
pub(super) fn indirect_entry(
    asm: &mut VecAssembler<X64Relocation>,
    base: u64,
    pc: u64,
) -> Result<u32, EmitError> {
    asm.extend(pc.to_le_bytes());
    let entry = asm.offset().0 as u32;
    match i32::try_from(pc) {
        Ok(pc) => dynasm!(asm; .arch x64
            ; gs mov rcx, [DWORD state::TARGET]
            ; lea rcx, [DWORD rcx + -pc]
        ),
        Err(_) => dynasm!(asm; .arch x64
            ; gs mov [DWORD state::gpr(2)], rdx
            ; mov rdx, QWORD (pc as i64).wrapping_neg()
            ; gs mov rcx, [DWORD state::TARGET]
            ; lea rcx, [rcx + rdx]
            ; gs mov rdx, [DWORD state::gpr(2)]
        ),
    }
    // jrcxz over the jump.
    asm.extend([0xe3, 5]);
    jump(asm, base, stubs::LOOKUP)?;
    dynasm!(asm; .arch x64; gs mov rcx, [DWORD state::gpr(1)]);
    Ok(entry)
}

/// A jump of five bytes to a host address.
fn jump(asm: &mut VecAssembler<X64Relocation>, base: u64, to: u64) -> Result<(), EmitError> {
    let disp = displacement(to, base + asm.offset().0 as u64 + 5)?;
    asm.push(0xe9);
    asm.extend(disp.to_le_bytes());
    Ok(())
}

/// An entry for indirect branches apart from its block, to lie at host address `at`; it begins with the eight bytes of the
/// pc and jumps to `entry`.
pub fn late_entry(at: u64, pc: u64, entry: u64) -> Result<Vec<u8>, EmitError> {
    let mut asm: VecAssembler<X64Relocation> = VecAssembler::new(at as usize);
    indirect_entry(&mut asm, at, pc)?;
    jump(&mut asm, at, entry)?;
    asm.finalize().map_err(|_| EmitError::Reach)
}

//! The look-up stub: what an indirect branch does when the first-level table has another target in its place.
//!
//! It looks in the second-level table, which is indexed by a hash of the whole target, copies what it finds
//! to the first level and goes there (the entry compares again), or leaves to the cpu loop. The second level
//! says beside each address which target it is for. Threads race on the tables, but every word is replaced
//! whole and every entry compares, so at worst they look once more.

use super::code::{EXIT_LOOKUP, EmitError};
use super::mark::{BRANCH_REGS, Mark, PcAt};
use crate::state::{self, Region};
use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynasmApi, DynasmLabelApi, VecAssembler, dynasm};

/// What an unused place of the second-level table says it is for: nothing is ever executed there.
pub const NO_TARGET: u64 = u64::MAX;
/// Address of the look-up stub; every unused entry of the first-level table points here.
pub const fn lookup(region: Region) -> u64 {
    region.stubs()
}

/// The registers in their homes: those of the branch, and rax.
const TAKEN: u16 = BRANCH_REGS | 1;

const MULTIPLIER: i32 = 0x1e37_79b1;

/// Index of a target in the first-level table.
pub fn first_index(pc: u64) -> u64 {
    pc & (Region::TABLE_ENTRIES - 1)
}

/// Index of a target in the second-level table.
pub fn second_index(pc: u64) -> u64 {
    pc.wrapping_mul(MULTIPLIER as u64) >> 24 & (Region::TABLE_ENTRIES - 1)
}

/// The bytes for [`Region::stubs`] and their state recovery.
pub fn stubs(region: Region) -> Result<(Vec<u8>, Vec<Mark>), EmitError> {
    let mut marks = Vec::new();
    let mut asm: VecAssembler<X64Relocation> = VecAssembler::new(region.stubs() as usize);
    let mut mark = |asm: &VecAssembler<X64Relocation>, borrowed, flags_saved, pc| {
        marks.push(Mark { at: asm.offset().0 as u32, pc, borrowed, flags_saved });
    };
    mark(&asm, BRANCH_REGS, false, PcAt::R11);
    dynasm!(asm; .arch x64; gs mov [DWORD state::gpr(0)], rax);
    mark(&asm, TAKEN, false, PcAt::R11);
    dynasm!(asm; .arch x64
        ; lahf
        ; seto al
        ; gs mov [DWORD state::STUB_FLAGS], rax
    );
    // The homes stay valid to the end of the stub, also while the registers are loaded again.
    mark(&asm, TAKEN, true, PcAt::R11);
    dynasm!(asm; .arch x64
        ; imul rcx, r11, DWORD MULTIPLIER
        ; shr rcx, 24
        ; movzx ecx, cx
        ; shl ecx, 4
        ; cmp [rcx + region.second_table() as i32], r11
        ; jne >miss
        ; mov rcx, [rcx + region.second_table() as i32 + 8]
        ; movzx eax, r11w
        ; mov [rax * 8 + region.jump_table() as i32], rcx
        ; gs mov rax, [DWORD state::STUB_FLAGS]
        ; add al, 0x7f
        ; sahf
        ; gs mov rax, [DWORD state::gpr(0)]
        ; jmp rcx
        ; miss:
        ; gs mov [DWORD state::TARGET], r11
    );
    mark(&asm, TAKEN, true, PcAt::Target);
    dynasm!(asm; .arch x64
        ; gs mov rax, [DWORD state::STUB_FLAGS]
        ; add al, 0x7f
        ; sahf
        ; gs mov rax, [DWORD state::gpr(0)]
        ; gs mov rcx, [DWORD state::gpr(1)]
        ; gs mov r11, [DWORD state::gpr(11)]
        ; gs mov DWORD [DWORD state::EXIT_ID], EXIT_LOOKUP as i32
        ; gs jmp QWORD [DWORD state::LEAVE]
    );
    let bytes = asm.finalize().map_err(|_| EmitError::Reach)?;
    Ok((bytes, marks))
}

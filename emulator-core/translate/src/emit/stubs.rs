//! The look-up stub: what an indirect branch does when the first-level table has another target in its place.
//!
//! It looks in the second-level table, which is indexed by a hash of the whole target, copies what it finds to the first
//! level and goes there (the entry compares again), or leaves to the cpu loop. Both tables hold one-word entries that are
//! replaced whole, so threads that race on them at worst look once more.

use super::{EXIT_LOOKUP, EmitError, Mark, PcAt};
use crate::state;
use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynasmApi, DynasmLabelApi, VecAssembler, dynasm};

/// What an unused entry of the second-level table points at: eight bytes that no target equals lie in front of it.
pub const NOTHING: u64 = state::STUBS + 8;
/// Address of the look-up stub; every unused entry of the first-level table points here.
pub const LOOKUP: u64 = state::STUBS + 16;

const MULTIPLIER: i32 = 0x1e37_79b1;

/// Index of a target in the first-level table.
pub fn first_index(pc: u64) -> u64 {
    pc & (state::JUMP_TABLE_ENTRIES - 1)
}

/// Index of a target in the second-level table.
pub fn second_index(pc: u64) -> u64 {
    pc.wrapping_mul(MULTIPLIER as u64) >> 24 & (state::JUMP_TABLE_ENTRIES - 1)
}

/// The bytes for [`state::STUBS`] and their state recovery.
pub fn stubs() -> Result<(Vec<u8>, Vec<Mark>), EmitError> {
    let mut marks = Vec::new();
    let mut asm: VecAssembler<X64Relocation> = VecAssembler::new(state::STUBS as usize);
    asm.extend(u64::MAX.to_le_bytes());
    asm.extend([0xcc; 8]);
    let mut mark = |asm: &VecAssembler<X64Relocation>, borrowed, flags_saved| {
        marks.push(Mark { at: asm.offset().0 as u32, pc: PcAt::Target, borrowed, flags_saved });
    };
    mark(&asm, 0b010, false);
    dynasm!(asm; .arch x64
        ; gs mov [DWORD state::gpr(0)], rax
        ; gs mov [DWORD state::gpr(2)], rdx
    );
    mark(&asm, 0b111, false);
    dynasm!(asm; .arch x64
        ; lahf
        ; seto al
        ; gs mov [DWORD state::STUB_FLAGS], rax
    );
    // The homes stay valid to the end of the stub, also while the registers are loaded again.
    mark(&asm, 0b111, true);
    dynasm!(asm; .arch x64
        ; gs mov rcx, [DWORD state::TARGET]
        ; imul rdx, rcx, DWORD MULTIPLIER
        ; shr rdx, 24
        ; movzx edx, dx
        ; mov rdx, [rdx * 8 + state::SECOND_TABLE as i32]
        ; cmp [rdx - 8], rcx
        ; jne >miss
        ; movzx ecx, cx
        ; mov [rcx * 8 + state::JUMP_TABLE as i32], rdx
        ; gs mov [DWORD state::JUMP], rdx
        ; gs mov rax, [DWORD state::STUB_FLAGS]
        ; add al, 0x7f
        ; sahf
        ; gs mov rax, [DWORD state::gpr(0)]
        ; gs mov rdx, [DWORD state::gpr(2)]
        ; gs jmp QWORD [DWORD state::JUMP]
        ; miss:
        ; gs mov rax, [DWORD state::STUB_FLAGS]
        ; add al, 0x7f
        ; sahf
        ; gs mov rax, [DWORD state::gpr(0)]
        ; gs mov rdx, [DWORD state::gpr(2)]
        ; gs mov rcx, [DWORD state::gpr(1)]
        ; gs mov DWORD [DWORD state::EXIT_ID], EXIT_LOOKUP as i32
        ; gs jmp QWORD [DWORD state::LEAVE]
    );
    let bytes = asm.finalize().map_err(|_| EmitError::Reach)?;
    Ok((bytes, marks))
}

//! Prologue and epilogue: the way from the cpu loop into translated code and back.
//!
//! The prologue puts the whole guest state into the processor and jumps to a block; the epilogue, which
//! blocks reach through the CPU state, takes it out again and returns the number of the exit. Between the
//! two, every register but the GS base is the guest's, the FS base and the stack included.
//!
//! Invariants:
//! * `in_cache` is set before `pending` is looked at, with a locked instruction between: who sets `pending`
//!   and then sees `in_cache` clear knows that the thread will see `pending` before it runs translated code.
//! * `in_cache` stays set until the cpu loop has looked up what the exit means: who flushes the cache waits
//!   for that.
//! * A signal handler that finds the pc between `rxbox_enter_check` and `rxbox_enter_end` sends it to
//!   `rxbox_enter_abort`: the guest state in memory is complete over that whole range.
//! * Vector state: only what XINUSE says is in use is saved, and parts that were not are put back to their
//!   initial state, so that a guest with clean upper halves is not slowed down by dirty ones.

use super::state::CpuState;
use crate::host::cpu::VectorKind;
use std::arch::global_asm;
use std::mem::offset_of;

unsafe extern "sysv64" {
    fn rxbox_enter(host_pc: u64) -> u32;
    fn rxbox_leave();
    fn rxbox_leave_stopped();
    fn rxbox_enter_check();
    fn rxbox_enter_end();
    fn rxbox_enter_abort();
}

/// Exit number that says: nothing ran, the thread has pending work.
pub const EXIT_ABORTED: u32 = u32::MAX;

global_asm!(
    ".text",
    ".p2align 4",
    ".globl rxbox_enter",
    "rxbox_enter:",
    "push rbx; push rbp; push r12; push r13; push r14; push r15; sub rsp, 8",
    "mov gs:[{host_rsp}], rsp",
    "mov gs:[{jump}], rdi",
    "mov eax, 1",
    "xchg gs:[{in_cache}], eax",
    ".globl rxbox_enter_check",
    "rxbox_enter_check:",
    "cmp dword ptr gs:[{pending}], 0",
    "jne rxbox_enter_abort",
    "cmp dword ptr gs:[{vector_kind}], 2",
    "je 62f",
    "cmp dword ptr gs:[{vector_kind}], 1",
    "je 61f",
    // SSE only.
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "movups xmm\\n, gs:[{vectors} + \\n * 64]",
    ".endr",
    "jmp 90f",
    "61:",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "vmovups ymm\\n, gs:[{vectors} + \\n * 64]",
    ".endr",
    "jmp 90f",
    // AVX-512: by what is in use. Bit 2 ymm, 5 opmask, 6 zmm0-15, 7 zmm16-31.
    "62:",
    "mov eax, gs:[{in_use}]",
    "test al, 0x44",
    "jnz 22f",
    "vzeroupper",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "vmovups xmm\\n, gs:[{vectors} + \\n * 64]",
    ".endr",
    "vzeroupper",
    "jmp 23f",
    "22:",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "vmovdqu64 zmm\\n, gs:[{vectors} + \\n * 64]",
    ".endr",
    "23:",
    "test al, 0x80",
    "jz 24f",
    ".irp n, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
    "vmovdqu64 zmm\\n, gs:[{vectors} + \\n * 64]",
    ".endr",
    "jmp 25f",
    "24:",
    ".irp n, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
    "vpxord xmm\\n, xmm\\n, xmm\\n",
    ".endr",
    "25:",
    "test al, 0x20",
    "jz 26f",
    ".irp n, 0,1,2,3,4,5,6,7",
    "kmovq k\\n, gs:[{opmasks} + \\n * 8]",
    ".endr",
    "jmp 90f",
    "26:",
    ".irp n, 0,1,2,3,4,5,6,7",
    "kxorq k\\n, k\\n, k\\n",
    ".endr",
    "90:",
    "ldmxcsr gs:[{mxcsr}]",
    "mov rax, gs:[{fs_base}]",
    "wrfsbase rax",
    "push qword ptr gs:[{rflags}]",
    "popfq",
    "mov rax, gs:[{gpr} + 0 * 8]",
    "mov rcx, gs:[{gpr} + 1 * 8]",
    "mov rdx, gs:[{gpr} + 2 * 8]",
    "mov rbx, gs:[{gpr} + 3 * 8]",
    "mov rbp, gs:[{gpr} + 5 * 8]",
    "mov rsi, gs:[{gpr} + 6 * 8]",
    "mov rdi, gs:[{gpr} + 7 * 8]",
    "mov r8, gs:[{gpr} + 8 * 8]",
    "mov r9, gs:[{gpr} + 9 * 8]",
    "mov r10, gs:[{gpr} + 10 * 8]",
    "mov r11, gs:[{gpr} + 11 * 8]",
    "mov r12, gs:[{gpr} + 12 * 8]",
    "mov r13, gs:[{gpr} + 13 * 8]",
    "mov r14, gs:[{gpr} + 14 * 8]",
    "mov r15, gs:[{gpr} + 15 * 8]",
    "mov rsp, gs:[{gpr} + 4 * 8]",
    "jmp qword ptr gs:[{jump}]",
    ".globl rxbox_enter_end",
    "rxbox_enter_end:",
    // Blocks come here with their exit number stored and all guest state in the processor.
    ".p2align 4",
    ".globl rxbox_leave",
    "rxbox_leave:",
    "mov gs:[{gpr} + 4 * 8], rsp",
    "mov rsp, gs:[{host_rsp}]",
    "mov gs:[{gpr} + 0 * 8], rax",
    "mov gs:[{gpr} + 1 * 8], rcx",
    "mov gs:[{gpr} + 2 * 8], rdx",
    "mov gs:[{gpr} + 3 * 8], rbx",
    "mov gs:[{gpr} + 5 * 8], rbp",
    "mov gs:[{gpr} + 6 * 8], rsi",
    "mov gs:[{gpr} + 7 * 8], rdi",
    "mov gs:[{gpr} + 8 * 8], r8",
    "mov gs:[{gpr} + 9 * 8], r9",
    "mov gs:[{gpr} + 10 * 8], r10",
    "mov gs:[{gpr} + 11 * 8], r11",
    "mov gs:[{gpr} + 12 * 8], r12",
    "mov gs:[{gpr} + 13 * 8], r13",
    "mov gs:[{gpr} + 14 * 8], r14",
    "mov gs:[{gpr} + 15 * 8], r15",
    "pushfq",
    "pop qword ptr gs:[{rflags}]",
    "63:",
    // The guest's DF and AC must not be the runtime's.
    "push 0x202",
    "popfq",
    "rdfsbase rax",
    "mov gs:[{fs_base}], rax",
    "mov rax, gs:[{host_fs_base}]",
    "wrfsbase rax",
    "stmxcsr gs:[{mxcsr}]",
    "ldmxcsr gs:[{host_mxcsr}]",
    "cmp dword ptr gs:[{vector_kind}], 2",
    "je 65f",
    "cmp dword ptr gs:[{vector_kind}], 1",
    "je 64f",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "movups gs:[{vectors} + \\n * 64], xmm\\n",
    ".endr",
    "jmp 99f",
    "64:",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "vmovups gs:[{vectors} + \\n * 64], ymm\\n",
    ".endr",
    "jmp 99f",
    "65:",
    "mov ecx, 1",
    "xgetbv",
    "mov gs:[{in_use}], eax",
    "test al, 0x44",
    "jnz 52f",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "vmovups gs:[{vectors} + \\n * 64], xmm\\n",
    ".endr",
    "jmp 53f",
    "52:",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "vmovdqu64 gs:[{vectors} + \\n * 64], zmm\\n",
    ".endr",
    "vzeroupper",
    "53:",
    "test al, 0x80",
    "jz 54f",
    ".irp n, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
    "vmovdqu64 gs:[{vectors} + \\n * 64], zmm\\n",
    ".endr",
    "54:",
    "test al, 0x20",
    "jz 99f",
    ".irp n, 0,1,2,3,4,5,6,7",
    "kmovq gs:[{opmasks} + \\n * 8], k\\n",
    ".endr",
    "99:",
    "mov eax, gs:[{exit_id}]",
    "add rsp, 8; pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx",
    "ret",
    // A signal handler has put the host registers into `raw` and sends the thread here.
    ".p2align 4",
    ".globl rxbox_leave_stopped",
    "rxbox_leave_stopped:",
    "mov rsp, gs:[{host_rsp}]",
    "mov dword ptr gs:[{exit_id}], {stopped}",
    "jmp 63b",
    ".globl rxbox_enter_abort",
    "rxbox_enter_abort:",
    "mov rsp, gs:[{host_rsp}]",
    "push 0x202",
    "popfq",
    "mov rax, gs:[{host_fs_base}]",
    "wrfsbase rax",
    "ldmxcsr gs:[{host_mxcsr}]",
    "mov dword ptr gs:[{in_cache}], 0",
    "mov eax, -1",
    "add rsp, 8; pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx",
    "ret",
    gpr = const offset_of!(CpuState, gpr),
    host_rsp = const offset_of!(CpuState, host_rsp),
    jump = const offset_of!(CpuState, jump),
    in_cache = const offset_of!(CpuState, in_cache),
    pending = const offset_of!(CpuState, pending),
    vector_kind = const offset_of!(CpuState, vector_kind),
    vectors = const offset_of!(CpuState, vectors),
    opmasks = const offset_of!(CpuState, opmasks),
    in_use = const offset_of!(CpuState, in_use),
    mxcsr = const offset_of!(CpuState, mxcsr),
    host_mxcsr = const offset_of!(CpuState, host_mxcsr),
    fs_base = const offset_of!(CpuState, fs_base),
    host_fs_base = const offset_of!(CpuState, host_fs_base),
    rflags = const offset_of!(CpuState, rflags),
    exit_id = const offset_of!(CpuState, exit_id),
    stopped = const rxbox_translate::emit::EXIT_STOPPED,
);

/// Runs translated code at `host_pc` until it leaves; returns the exit number, or [`EXIT_ABORTED`] if pending
/// work kept the thread from entering.
///
/// # Safety
/// The GS base is a [`CpuState`] that [`adopt`] made this thread's, its guest state is what the guest is to
/// have, and `host_pc` is the entry of a live block of the code cache.
pub unsafe fn enter(host_pc: u64) -> u32 {
    // SAFETY: the caller's contract; the routine keeps the callee-saved registers and the runtime's stack.
    unsafe { rxbox_enter(host_pc) }
}

/// Whether `host_pc` is where a signal handler must send the thread to [`abort_address`].
pub fn in_prologue(host_pc: u64) -> bool {
    (rxbox_enter_check as *const () as u64..rxbox_enter_end as *const () as u64).contains(&host_pc)
}

/// Where a signal handler sends a thread that it found in the prologue.
pub fn abort_address() -> u64 {
    rxbox_enter_abort as *const () as u64
}

/// Where a signal handler sends a thread that it found in translated code, with the registers in `raw`.
pub fn stopped_address() -> u64 {
    rxbox_leave_stopped as *const () as u64
}

/// Makes `state` the CPU state of this host thread: sets the GS base and what the prologue needs of the host.
///
/// # Safety
/// `state` outlives the thread's last [`enter`], and no other thread uses it.
pub unsafe fn adopt(state: *mut CpuState, kind: VectorKind) {
    let fs: u64;
    // SAFETY: FSGSBASE was checked at start-up. The host's own code (the System V ABI on Linux) does not use
    // GS.
    unsafe {
        std::arch::asm!("rdfsbase {0}", out(reg) fs, options(nomem, nostack, preserves_flags));
        std::arch::asm!("wrgsbase {0}", in(reg) state, options(nostack, preserves_flags));
        (*state).host_fs_base = fs;
        (*state).vector_kind = kind as u32;
        (*state).leave = rxbox_leave as *const () as u64;
    }
}

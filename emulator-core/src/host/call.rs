//! Raw host calls, and the one kind of call that a signal can interrupt without a race.
//!
//! A thread that is about to block in the kernel may be signalled between its last look at `pending` and the
//! `syscall` instruction; the handler would run, the call would then block, and the signal would be lost
//! until something else woke the thread. [`interruptible`] closes that window: the check of `pending` and the
//! `syscall` lie between two labels, and the handler moves a pc that it finds there to a place that returns
//! EINTR.

use nix::errno::Errno;
use rxbox_translate::state::PENDING;
use std::arch::{asm, global_asm};

unsafe extern "sysv64" {
    fn rxbox_guest_call(nr: u64, args: *const u64) -> i64;
    fn rxbox_guest_call_check();
    fn rxbox_guest_call_syscall();
    fn rxbox_guest_call_eintr();
}

global_asm!(
    ".text",
    ".p2align 4",
    ".globl rxbox_guest_call",
    "rxbox_guest_call:",
    "mov rax, rdi",
    "mov r11, rsi",
    "mov rdi, [r11]",
    "mov rsi, [r11 + 8]",
    "mov rdx, [r11 + 16]",
    "mov r10, [r11 + 24]",
    "mov r8, [r11 + 32]",
    "mov r9, [r11 + 40]",
    ".globl rxbox_guest_call_check",
    "rxbox_guest_call_check:",
    "cmp dword ptr gs:[{pending}], 0",
    "jne rxbox_guest_call_eintr",
    ".globl rxbox_guest_call_syscall",
    "rxbox_guest_call_syscall:",
    "syscall",
    "ret",
    ".globl rxbox_guest_call_eintr",
    "rxbox_guest_call_eintr:",
    "mov rax, {eintr}",
    "ret",
    pending = const PENDING,
    eintr = const -(libc::EINTR as i64),
);

/// Makes a host call that blocks; returns its value or a negative errno, which is EINTR at once if work is
/// pending.
///
/// # Safety
/// As for the call itself: pointers among the arguments must be valid for what the kernel does with them. The
/// calling thread has a CPU state.
pub unsafe fn interruptible(nr: i64, args: [u64; 6]) -> i64 {
    // SAFETY: the caller's contract.
    unsafe { rxbox_guest_call(nr as u64, args.as_ptr()) }
}

/// If the pc lies in the window before the kernel is entered: where to send it instead.
pub fn interrupted_before_kernel(pc: u64) -> Option<u64> {
    let (check, syscall) =
        (rxbox_guest_call_check as *const () as u64, rxbox_guest_call_syscall as *const () as u64);
    (check..=syscall).contains(&pc).then_some(rxbox_guest_call_eintr as *const () as u64)
}

/// Makes a host call; returns its value or a negative errno.
///
/// # Safety
/// As for the call itself.
pub unsafe fn raw(nr: i64, args: [u64; 6]) -> i64 {
    let ret;
    // SAFETY: the caller's contract; the kernel clobbers rcx and r11 only.
    unsafe {
        asm!("syscall", inlateout("rax") nr => ret, in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5], lateout("rcx") _, lateout("r11") _,
                options(nostack));
    }
    ret
}

/// The value that a host call has returned, or its errno. A number that is no errno of Linux counts as
/// EINVAL.
///
/// # Errors
/// The errno.
pub fn result(value: i64) -> Result<i64, Errno> {
    if (-4095..0).contains(&value) {
        return Err(match Errno::from_raw(-value as i32) {
            Errno::UnknownErrno => Errno::EINVAL,
            e => e,
        });
    }
    Ok(value)
}

/// Enters the kernel and comes back: signals that were sent to this thread before have then arrived.
pub fn enter_kernel() {
    // SAFETY: no arguments.
    unsafe { raw(libc::SYS_getpid, [0; 6]) };
}

/// Ends the process at once.
pub fn exit_process(status: i32) -> ! {
    loop {
        // SAFETY: does not return.
        unsafe { raw(libc::SYS_exit_group, [status as u64, 0, 0, 0, 0, 0]) };
    }
}

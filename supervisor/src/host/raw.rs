//! The system call instruction, and what the kernel's return value means.

use nix::errno::Errno;

/// What a system call gives: its value, or the errno.
pub type SyscallResult = Result<i64, Errno>;

/// Makes the host call `nr`.
///
/// # Safety
/// Every argument that the kernel takes as a pointer must be null or valid for what the call reads and writes
/// there, until it returns; the call must not take away memory, descriptors or threads that Rust code relies
/// on.
pub(super) unsafe fn call(nr: i64, args: [u64; 6]) -> SyscallResult {
    let ret: i64;
    // SAFETY: the caller's promise; a system call clobbers rcx and r11 besides rax.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") nr => ret,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result(ret)
}

/// The kernel's return value as a result.
pub(super) fn result(ret: i64) -> SyscallResult {
    const LAST: i64 = -4095;
    if (LAST..0).contains(&ret) { Err(Errno::from_raw(-ret as i32)) } else { Ok(ret) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_from_values_that_only_look_negative() {
        assert_eq!(result(-2), Err(Errno::ENOENT));
        assert_eq!(result(-4096), Ok(-4096));
        assert_eq!(result(0), Ok(0));
        // SAFETY: takes no arguments.
        assert_eq!(unsafe { call(libc::SYS_getpid, [0; 6]) }, Ok(i64::from(std::process::id())));
    }
}

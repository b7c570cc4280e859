//! Calls to the host's kernel.
//!
//! Whatever the supervisor asks of the kernel that nix has no safe wrapper for is wrapped here, in the modules by
//! subject; they and the mapping of the channel are the only places with unsafe code. A call that may wait for somebody else
//! is made through [`interrupt`], so that a signal to the guest can break it off.

pub mod cmsg;
pub mod control;
pub mod dirent;
pub mod futex;
pub mod interrupt;
pub mod limit;
pub mod mqueue;
pub mod name;
pub mod net;
pub mod number;
pub mod sched;
pub mod signal;
pub mod spawn;
pub mod stat;
pub mod transfer;
pub mod wait;

pub use crate::context::Answer;
use interrupt::interruptible;
use nix::errno::Errno;

/// Makes the host call `nr`.
///
/// # Safety
/// Every argument that the kernel takes as a pointer must be null or valid for what the call reads and writes there,
/// until it returns; the call must not take away memory, descriptors or threads that Rust code relies on.
unsafe fn call(nr: i64, args: [u64; 6]) -> Answer {
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
    answer(ret)
}

/// The kernel's return value as an answer.
fn answer(ret: i64) -> Answer {
    const LAST: i64 = -4095;
    if (LAST..0).contains(&ret) { Err(Errno::from_raw(-ret as i32)) } else { Ok(ret) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_from_values_that_only_look_negative() {
        assert_eq!(answer(-2), Err(Errno::ENOENT));
        assert_eq!(answer(-4096), Ok(-4096));
        assert_eq!(answer(0), Ok(0));
        // SAFETY: takes no arguments.
        assert_eq!(unsafe { call(libc::SYS_getpid, [0; 6]) }, Ok(i64::from(std::process::id())));
    }
}

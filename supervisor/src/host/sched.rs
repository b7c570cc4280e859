//! Scheduling of other threads: those of emulator children.

use super::SyscallResult;
use super::number::{Wait, raw};
use super::transfer::Buffer;
use super::wait::Time;
use nix::errno::Errno;

/// sched_getaffinity(2) of thread `tid`: the kernel's call, which answers how many bytes it wrote.
pub fn affinity(tid: i32, mask: Buffer<'_>) -> SyscallResult {
    let args = [tid as u64, mask.len() as u64, mask.address(), 0, 0, 0];
    // SAFETY: the kernel writes at most the buffer's length.
    unsafe { raw(Wait::Short, libc::SYS_sched_getaffinity, args) }
}

/// sched_setaffinity(2) of thread `tid`.
pub fn set_affinity(tid: i32, mask: &[u8]) -> SyscallResult {
    let args = [tid as u64, mask.len() as u64, mask.as_ptr() as u64, 0, 0, 0];
    // SAFETY: the kernel reads the mask, borrowed here.
    unsafe { raw(Wait::Short, libc::SYS_sched_setaffinity, args) }
}

/// sched_setscheduler(2) of thread `tid`, with priority 0.
pub fn set_policy(tid: i32, policy: i32) -> SyscallResult {
    let priority = 0u32;
    let args = [tid as u64, policy as u64, &raw const priority as u64, 0, 0, 0];
    // SAFETY: the kernel reads one `struct sched_param`, four bytes.
    unsafe { raw(Wait::Short, libc::SYS_sched_setscheduler, args) }
}

/// sched_rr_get_interval(2) of thread `tid`.
pub fn interval(tid: i32) -> Result<Time, Errno> {
    let mut time = [0; 2];
    // SAFETY: the kernel writes one timespec.
    unsafe {
        raw(Wait::Short, libc::SYS_sched_rr_get_interval, [tid as u64, time.as_mut_ptr() as u64, 0, 0, 0, 0])
    }?;
    Ok(time)
}

//! Granted calls on threads and processes.

use crate::base::result::SyscallResult;
use crate::guest::layout::TASK_SIZE;
use crate::host::futex::{ROBUST_LIST_SIZE, set_robust_list};
use crate::host::{process, thread};
use crate::thread::Thread;
use nix::errno::Errno;

/// sched_yield(2).
pub fn sched_yield() -> SyscallResult {
    std::thread::yield_now();
    SyscallResult::Value(0)
}

/// setpgid(2).
pub fn setpgid(args: &[u64; 6]) -> Result<i64, Errno> {
    process::set_group(args[0] as i32, args[1] as i32)
}

/// setsid(2).
pub fn setsid() -> Result<i64, Errno> {
    process::new_session()
}

/// getrusage(2) of children that were waited for.
pub fn usage_of_children(thread: &Thread, addr: u64) -> Result<i64, Errno> {
    thread.process.copy_out(addr, &process::usage_of_children()?).map(|()| 0)
}

/// set_tid_address(2).
pub fn set_tid_address(thread: &mut Thread, addr: u64) -> SyscallResult {
    thread.clear_child_tid = addr;
    SyscallResult::Value(thread.tid.into())
}

/// PR_GET_TID_ADDRESS(2const).
pub fn get_tid_address(thread: &Thread, addr: u64) -> Result<i64, Errno> {
    give(thread, addr, thread.clear_child_tid)
}

/// PR_GET_AUXV(2const): as much as there is room for; how many bytes there are.
pub fn get_auxiliary_vector(thread: &Thread, addr: u64, room: u64) -> Result<i64, Errno> {
    let vector = thread.auxiliary_vector();
    let n = vector.len().min(usize::try_from(room).unwrap_or(usize::MAX));
    thread.process.copy_out(addr, &vector[..n])?;
    Ok(vector.len() as i64)
}

/// PR_SET_CHILD_SUBREAPER(2const).
pub fn set_child_subreaper(set: u64) -> Result<i64, Errno> {
    process::set_subreaper(set != 0)
}

/// PR_GET_CHILD_SUBREAPER(2const).
pub fn get_child_subreaper(thread: &Thread, addr: u64) -> Result<i64, Errno> {
    let set = i32::from(process::is_subreaper());
    thread.process.copy_out(addr, &set.to_le_bytes()).map(|()| 0)
}

/// ARCH_SET_GS of arch_prctl(2).
pub fn set_gs(thread: &mut Thread, base: u64) -> Result<i64, Errno> {
    thread.state().gs_base = user_space(base)?;
    Ok(0)
}

/// ARCH_SET_FS of arch_prctl(2).
pub fn set_fs(thread: &mut Thread, base: u64) -> Result<i64, Errno> {
    thread.state().fs_base = user_space(base)?;
    Ok(0)
}

/// ARCH_GET_FS of arch_prctl(2).
pub fn get_fs(thread: &mut Thread, addr: u64) -> Result<i64, Errno> {
    let base = thread.state().fs_base;
    give(thread, addr, base)
}

/// ARCH_GET_GS of arch_prctl(2).
pub fn get_gs(thread: &mut Thread, addr: u64) -> Result<i64, Errno> {
    let base = thread.state().gs_base;
    give(thread, addr, base)
}

fn user_space(addr: u64) -> Result<u64, Errno> {
    if addr >= TASK_SIZE { Err(Errno::EPERM) } else { Ok(addr) }
}

fn give(thread: &Thread, addr: u64, value: u64) -> Result<i64, Errno> {
    thread.process.copy_out(addr, &value.to_le_bytes()).map(|()| 0)
}

/// membarrier(2): the guest's threads are the process's. Without what is about restartable sequences, which
/// no guest has, and without what Linux 6.18 does not know.
pub fn membarrier(args: &[u64; 6]) -> Result<i64, Errno> {
    /// `MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ` and its registration.
    const SEQUENCES: i64 = 1 << 7 | 1 << 8;
    /// All commands are single bits, but for the query, which is none.
    const KNOWN: i64 = (1 << 10) - 1;
    let command = i64::from(args[0] as i32);
    let one = command & command.wrapping_sub(1) == 0;
    // Flags are defined for restartable sequences alone.
    if command & (!KNOWN | SEQUENCES) != 0 || !one || args[1] as u32 != 0 {
        return Err(Errno::EINVAL);
    }
    // The query, and what is registered, are sets of commands.
    thread::membarrier(args[0], args[1], args[2]).map(|commands| commands & KNOWN & !SEQUENCES)
}

/// set_robust_list(2).
pub fn register_robust_list(thread: &mut Thread, head: u64, size: u64) -> Result<i64, Errno> {
    if size != ROBUST_LIST_SIZE {
        return Err(Errno::EINVAL);
    }
    thread.robust_list = (head, size);
    set_robust_list(head);
    Ok(0)
}

/// get_robust_list(2).
pub fn get_robust_list(thread: &Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    let (process, (head, size)) = (thread.process, thread.robust_list);
    if args[0] != 0 && args[0] as i32 != thread.tid {
        return Err(Errno::EPERM);
    }
    process.copy_out(args[1], &head.to_le_bytes())?;
    process.copy_out(args[2], &size.to_le_bytes())?;
    Ok(0)
}

//! Granted calls on threads and processes.

use crate::guest::layout::TASK_SIZE;
use crate::host::futex::{ROBUST_LIST_SIZE, set_robust_list};
use crate::host::{process, thread};
use crate::thread::Thread;
use nix::errno::Errno;

/// Carries out an approved call of this module; `None` if it is not one.
pub fn system_call(thread: &mut Thread, nr: u32, args: &[u64; 6]) -> Option<Result<i64, Errno>> {
    Some(match i64::from(nr) {
        libc::SYS_arch_prctl => arch_prctl(thread, args[0], args[1]),
        libc::SYS_set_tid_address => {
            thread.clear_child_tid = args[0];
            Ok(thread.tid.into())
        }
        libc::SYS_set_robust_list => register_robust_list(thread, args[0], args[1]),
        libc::SYS_get_robust_list => get_robust_list(thread, args),
        libc::SYS_sched_yield => {
            std::thread::yield_now();
            Ok(0)
        }
        libc::SYS_membarrier => membarrier(args),
        libc::SYS_setpgid => process::set_group(args[0] as i32, args[1] as i32),
        libc::SYS_setsid => process::new_session(),
        libc::SYS_prctl => prctl(thread, args),
        _ => return None,
    })
}

/// The commands of prctl(2) on what only the kernel keeps.
fn prctl(thread: &Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    match args[0] as i32 {
        libc::PR_SET_CHILD_SUBREAPER => process::set_subreaper(args[1] != 0),
        libc::PR_GET_CHILD_SUBREAPER => {
            let set = i32::from(process::is_subreaper());
            thread.process.copy_out(args[1], &set.to_le_bytes()).map(|()| 0)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// arch_prctl(2): the segment bases.
fn arch_prctl(thread: &mut Thread, code: u64, addr: u64) -> Result<i64, Errno> {
    const SET_GS: u64 = 0x1001;
    const SET_FS: u64 = 0x1002;
    const GET_FS: u64 = 0x1003;
    const GET_GS: u64 = 0x1004;
    match code {
        SET_GS | SET_FS if addr >= TASK_SIZE => return Err(Errno::EPERM),
        SET_GS => thread.state().gs_base = addr,
        SET_FS => thread.state().fs_base = addr,
        GET_FS | GET_GS => {
            let state = thread.state();
            let base = if code == GET_FS { state.fs_base } else { state.gs_base };
            thread.process.copy_out(addr, &base.to_le_bytes())?;
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// membarrier(2): the guest's threads are the process's. Without what is about restartable sequences, which
/// no guest has.
fn membarrier(args: &[u64; 6]) -> Result<i64, Errno> {
    /// `MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ` and its registration.
    const SEQUENCES: i64 = 1 << 7 | 1 << 8;
    let command = i64::from(args[0] as i32);
    if command & SEQUENCES != 0 {
        return Err(Errno::EINVAL);
    }
    // The query, and what is registered, are sets of commands.
    thread::membarrier(args[0], args[1], args[2]).map(|commands| commands & !SEQUENCES)
}

/// set_robust_list(2).
fn register_robust_list(thread: &mut Thread, head: u64, size: u64) -> Result<i64, Errno> {
    if size != ROBUST_LIST_SIZE {
        return Err(Errno::EINVAL);
    }
    thread.robust_list = (head, size);
    set_robust_list(head);
    Ok(0)
}

fn get_robust_list(thread: &Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    let (process, (head, size)) = (thread.process, thread.robust_list);
    if args[0] != 0 && args[0] as i32 != thread.tid {
        return Err(Errno::EPERM);
    }
    process.copy_out(args[1], &head.to_le_bytes())?;
    process.copy_out(args[2], &size.to_le_bytes())?;
    Ok(0)
}

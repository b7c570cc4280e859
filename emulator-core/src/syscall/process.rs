//! Granted calls on threads and processes.

use super::{Answer, copy_out};
use crate::host::call;
use crate::robust;
use crate::thread::Thread;
use libc::{EFAULT, EINVAL, EPERM};

/// Carries out an approved call of this module; `None` if it is not one.
pub fn system_call(thread: &mut Thread, nr: u32, args: &[u64; 6], approved: i64) -> Option<Answer> {
    Some(match i64::from(nr) {
        libc::SYS_arch_prctl => Answer::Value(arch_prctl(thread, args[0], args[1])),
        libc::SYS_set_tid_address => {
            thread.clear_child_tid = args[0];
            Answer::Value(thread.tid.into())
        }
        libc::SYS_set_robust_list => {
            if args[1] != robust::SIZE {
                return Some(Answer::Value(-i64::from(EINVAL)));
            }
            thread.robust_list = (args[0], args[1]);
            robust::register(args[0]);
            Answer::Value(0)
        }
        libc::SYS_get_robust_list => Answer::Value(get_robust_list(thread, args)),
        libc::SYS_sched_yield => {
            std::thread::yield_now();
            Answer::Value(0)
        }
        libc::SYS_futex => crate::threads::futex(thread, args),
        libc::SYS_futex_waitv => crate::threads::futex_of_many(args),
        libc::SYS_membarrier => Answer::Value(membarrier(args)),
        libc::SYS_exit => crate::threads::exit(thread, args[0] as i32),
        libc::SYS_exit_group => crate::threads::exit_group(thread, args[0] as i32),
        libc::SYS_clone | libc::SYS_clone3 | libc::SYS_fork | libc::SYS_vfork => {
            crate::threads::clone(thread, nr, args)
        }
        libc::SYS_execve | libc::SYS_execveat => crate::exec::exec(thread, nr, args),
        libc::SYS_wait4 | libc::SYS_waitid => crate::threads::wait(thread, nr, args, approved),
        libc::SYS_setpgid => Answer::Value(crate::host::process::set_group(args[0] as i32, args[1] as i32)),
        libc::SYS_setsid => Answer::Value(crate::host::process::new_session()),
        libc::SYS_prctl => Answer::Value(prctl(thread, args)),
        _ => return None,
    })
}

/// The commands of prctl(2) on what only the kernel keeps.
fn prctl(thread: &Thread, args: &[u64; 6]) -> i64 {
    match args[0] as i32 {
        libc::PR_SET_CHILD_SUBREAPER => crate::host::process::set_subreaper(args[1] != 0),
        libc::PR_GET_CHILD_SUBREAPER => {
            let set = i32::from(crate::host::process::is_subreaper());
            copy_out(thread.process, args[1], &set.to_le_bytes()).map_or(-i64::from(EFAULT), |()| 0)
        }
        _ => -i64::from(EINVAL),
    }
}

/// arch_prctl(2): the segment bases.
fn arch_prctl(thread: &mut Thread, code: u64, addr: u64) -> i64 {
    const SET_GS: u64 = 0x1001;
    const SET_FS: u64 = 0x1002;
    const GET_FS: u64 = 0x1003;
    const GET_GS: u64 = 0x1004;
    /// End of user space with four-level paging.
    const TASK_SIZE: u64 = 0x7fff_ffff_f000;
    let process = thread.process;
    let give = |value: u64| match copy_out(process, addr, &value.to_le_bytes()) {
        Ok(()) => 0,
        Err(_) => -i64::from(EFAULT),
    };
    match code {
        SET_GS | SET_FS if addr >= TASK_SIZE => -i64::from(EPERM),
        SET_GS => {
            thread.state().gs_base = addr;
            0
        }
        SET_FS => {
            thread.state().fs_base = addr;
            0
        }
        GET_FS => give(thread.state().fs_base),
        GET_GS => give(thread.state().gs_base),
        _ => -i64::from(EINVAL),
    }
}

/// membarrier(2): the guest's threads are the process's. Without what is about restartable sequences, which no guest has.
fn membarrier(args: &[u64; 6]) -> i64 {
    /// `MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ` and its registration.
    const SEQUENCES: i64 = 1 << 7 | 1 << 8;
    let command = i64::from(args[0] as i32);
    if command & SEQUENCES != 0 {
        return -i64::from(EINVAL);
    }
    // SAFETY: takes only numbers.
    let value = unsafe { call::raw(libc::SYS_membarrier, [args[0], args[1], args[2], 0, 0, 0]) };
    // The query, and what is registered, are sets of commands.
    if value > 0 { value & !SEQUENCES } else { value }
}

fn get_robust_list(thread: &mut Thread, args: &[u64; 6]) -> i64 {
    let (process, (head, size)) = (thread.process, thread.robust_list);
    if args[0] != 0 && args[0] as i32 != thread.tid {
        return -i64::from(EPERM);
    }
    match copy_out(process, args[1], &head.to_le_bytes()).and(copy_out(process, args[2], &size.to_le_bytes()))
    {
        Ok(()) => 0,
        Err(e) => -i64::from(e.0),
    }
}

//! clone(2), fork(2), vfork(2): which of them makes a thread, and which a process.

use super::clone_args::CloneArgs;
use super::clone3::clone3;
use super::fork::fork;
use super::thread::new_thread;
use crate::base::result::SyscallResult;
use crate::thread::Thread;

/// clone(2), clone3(2), fork(2), vfork(2).
pub fn clone(thread: &mut Thread, nr: u32, args: &[u64; 6]) -> SyscallResult {
    /// What makes a thread of the same process; clone(2) requires each for the next.
    const THREAD: u64 = (libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD) as u64;
    match i64::from(nr) {
        libc::SYS_clone if args[0] & THREAD == THREAD => new_thread(thread, &CloneArgs::of_clone(args)),
        libc::SYS_clone3 => clone3(thread, args),
        libc::SYS_clone if CloneArgs::of_clone(args).is_companion() => {
            new_thread(thread, &CloneArgs::of_clone(args))
        }
        libc::SYS_clone => fork(thread, &CloneArgs::of_clone(args)),
        libc::SYS_vfork => fork(thread, &CloneArgs::VFORK),
        _ => fork(thread, &CloneArgs::FORK),
    }
}

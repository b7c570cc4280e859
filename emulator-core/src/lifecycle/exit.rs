//! The end of a guest thread, and of a process.

use crate::base::result::SyscallResult;
use crate::host::thread::BlockedSignals;
use crate::host::{call, futex};
use crate::signal::ptrace;
use crate::thread::{Thread, origins, robust};

/// exit(2): this thread ends.
pub fn exit(thread: &mut Thread, status: i32) -> SyscallResult {
    ptrace::ending(thread, (status & 0xff) << 8);
    thread.exit = Some(status);
    SyscallResult::Done
}

/// exit_group(2): the process ends; a companion is one.
pub fn exit_all(thread: &mut Thread, status: i32) -> SyscallResult {
    if thread.companion { exit(thread, status) } else { exit_group(thread, status) }
}

/// The process ends.
pub fn exit_group(thread: &mut Thread, status: i32) -> ! {
    ptrace::ending(thread, (status & 0xff) << 8);
    thread.process.release_parent();
    origins::tell_points(thread);
    call::exit_process(status)
}

/// A thread that is not the leader has ended. The processor state is given back last, with every signal
/// blocked for good.
pub fn exit_thread(thread: Thread, status: i32) {
    std::mem::forget(BlockedSignals::but_faults());
    release(&thread);
    thread.slot.close();
    thread.process.leave(thread.cpu.handle(), status);
    std::mem::forget(BlockedSignals::all());
    thread.cpu.release();
}

/// What the kernel does when a thread ends: robust futexes that it holds are marked, the word at
/// clear_child_tid becomes 0 and its waiters wake (set_tid_address(2)).
pub fn release(thread: &Thread) {
    robust::release(thread.robust_list.0, thread.tid);
    let at = thread.clear_child_tid;
    if at != 0 && thread.process.copy_out(at, &[0; 4]).is_ok() {
        futex::wake(at);
    }
}

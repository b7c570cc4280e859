//! execve(2) from a process with several threads: all but one end, and the one has the process's id from then
//! on (the kernel's `de_thread`).
//!
//! Thread ids are those of host threads, so the new program runs on the host's first thread, the *leader*,
//! whichever thread has asked for it. That thread hands over what an execve(2) keeps ([`PendingExec`]) and
//! ends like the others. The leader is always there: when its guest thread has ended it stays and waits for
//! the last thread to end, and with it the process, or for a program.
//!
//! Invariants:
//! * At most one thread replaces the program: a thread that finds the right to it claimed ends.
//! * No thread sleeps through the claim. It is made before every other thread's `pending` is set, so one that
//!   sees `pending` clear is going to look again before it sleeps; and those that sleep already are sent a
//!   signal by the supervisor ([`request::kick_siblings`]).
//! * The leader goes on only once no other thread is registered, and threads take themselves off as their
//!   last act on guest memory.

use super::exit;
use super::load;
use crate::base::result::SyscallResult;
use crate::host::call;
use crate::host::thread::{BlockedSignals, is_leader};
use crate::process::exec_state::{PendingExec, PreparedExec};
use crate::signal::lifecycle;
use crate::thread::{Thread, request};
use std::sync::atomic::Ordering;

/// Replaces the program by one that can be loaded.
pub fn replace(thread: &mut Thread, prepared: PreparedExec) -> SyscallResult {
    let process = thread.process;
    if is_leader() {
        if process.threads.lock().len() > 1 {
            if !process.exec.claim(None) {
                return end(thread);
            }
            kick_others(thread);
            process.wait_for_threads(1);
            process.exec.settle();
        }
        return load::replace(thread, prepared);
    }
    // Signals that come from now on are the leader's.
    std::mem::forget(BlockedSignals::but_faults());
    let signals = lifecycle::take_inherited(thread);
    if process.exec.claim(Some(PendingExec { prepared, signals })) {
        kick_others(thread);
    }
    end(thread)
}

fn end(thread: &mut Thread) -> SyscallResult {
    thread.exit = Some(0);
    SyscallResult::Done
}

fn kick_others(thread: &Thread) {
    thread.process.kick_others(thread.cpu.handle());
    request::kick_siblings(thread);
}

/// The leader's guest thread has ended with this status. Comes back with another program in place; without
/// one the process ends with its last thread, and has that one's status (as since Linux 5.19).
pub fn run_leader(thread: &mut Thread, status: i32) {
    let process = thread.process;
    let quiet = BlockedSignals::but_faults();
    exit::release(thread);
    process.leave(thread.cpu.handle(), status);
    process.wait_for_threads(0);
    let Some(PendingExec { prepared, signals }) = process.exec.settle() else {
        process.release_parent();
        call::exit_process(process.exec.status.load(Ordering::Relaxed))
    };
    process.threads.lock().push(thread.cpu.handle());
    thread.exit = None;
    (thread.robust_list, thread.clear_child_tid) = ((0, 0), 0);
    drop(quiet);
    lifecycle::inherit(thread, signals);
    // Whatever comes of it, the registers say how to go on, or the process has ended.
    let _ = load::replace(thread, prepared);
}

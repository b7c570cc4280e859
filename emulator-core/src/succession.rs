//! execve(2) from a process with several threads: all but one end, and the one has the process's id from then on (the
//! kernel's `de_thread`).
//!
//! Thread ids are those of host threads, so the new program runs on the host's first thread, the *leader*, whichever
//! thread has asked for it: that one is the heir's testator, hands over what an execve(2) keeps ([`Heir`]) and ends like
//! the others. The leader is always there: when its guest thread has ended it stays and waits, for the last thread to end,
//! and with it the process, or for an heir.
//!
//! Invariants:
//! * At most one thread replaces the program: who finds that claimed ends.
//! * No thread sleeps through the claim. It is made before every other thread's `pending` is set, so one that sees
//!   `pending` clear is going to look again before it sleeps; and those that sleep already are sent a signal by the
//!   supervisor ([`request::rouse`]).
//! * The leader goes on only once no other thread is registered, and threads take themselves off as their last act on
//!   guest memory.

use crate::base::sync::{Lock, Rank};
use crate::exec::{self, New};
use crate::host::call;
use crate::host::thread::{BlockedSignals, is_leader};
use crate::process::Process;
use crate::runtime::thread::Beacon;
use crate::signal::{self, Estate};
use crate::syscall::{Answer, request};
use crate::thread::Thread;
use crate::threads;
use std::sync::Condvar;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// What the threads of a process share about its next program.
#[derive(Debug)]
pub struct Succession {
    claimed: AtomicBool,
    /// Changes of `claimed` are made with this locked.
    pub heir: Lock<Option<Heir>>,
    /// A thread has taken itself off [`Process::threads`].
    left: Condvar,
    /// Exit status of the thread that has done so last.
    status: AtomicI32,
}

/// A program that waits for the leader, and what it keeps of the thread that executed it.
#[derive(Debug)]
pub struct Heir {
    new: New,
    estate: Estate,
}

impl Default for Succession {
    fn default() -> Succession {
        Succession {
            claimed: AtomicBool::new(false),
            heir: Lock::new(Rank::PendingExec, None),
            left: Condvar::new(),
            status: AtomicI32::new(0),
        }
    }
}

impl Succession {
    /// Whether a thread is replacing the program, so that the others are to end.
    pub fn claimed(&self) -> bool {
        self.claimed.load(Ordering::SeqCst)
    }

    /// Claims the succession; false if that has been done.
    fn claim(&self, heir: Option<Heir>) -> bool {
        let mut place = self.heir.lock();
        if self.claimed.swap(true, Ordering::SeqCst) {
            return false;
        }
        *place = heir;
        true
    }

    /// Ends the claim: the new program may have threads of its own.
    fn settle(&self) -> Option<Heir> {
        let heir = self.heir.lock().take();
        self.claimed.store(false, Ordering::SeqCst);
        heir
    }

    /// In the child of a fork(2), which concerns no claim of its parent's.
    pub fn forget(&self) {
        self.settle();
    }
}

/// Replaces the program by one that can be loaded.
pub fn replace(thread: &mut Thread, new: New) -> Answer {
    let process = thread.process;
    if is_leader() {
        if process.threads.lock().len() > 1 {
            if !process.succession.claim(None) {
                return end(thread);
            }
            dismiss_others(thread);
            wait_until_left(process, 1);
            process.succession.settle();
        }
        return exec::replace(thread, new);
    }
    // Signals that come from now on are the heir's.
    std::mem::forget(BlockedSignals::but_faults());
    let estate = signal::estate(thread);
    if process.succession.claim(Some(Heir { new, estate })) {
        dismiss_others(thread);
    }
    end(thread)
}

fn end(thread: &mut Thread) -> Answer {
    thread.exit = Some(0);
    Answer::Done
}

fn dismiss_others(thread: &Thread) {
    let own = thread.cpu.beacon();
    thread.process.threads.lock().iter().filter(|b| **b != own).for_each(|b| b.nudge());
    request::rouse(thread);
}

fn wait_until_left(process: &Process, with: usize) {
    let mut threads = process.threads.lock();
    while threads.len() > with {
        threads = threads.wait(&process.succession.left);
    }
}

/// Puts a new thread on the list. It may not even have begun: if the program is being replaced it never will.
pub fn join(process: &Process, beacon: Beacon) {
    let mut threads = process.threads.lock();
    threads.push(beacon);
    if process.succession.claimed() {
        beacon.nudge();
    }
}

/// Takes a thread that has ended with this status off the list.
pub fn leave(thread: &Thread, status: i32) {
    let beacon = thread.cpu.beacon();
    {
        let mut threads = thread.process.threads.lock();
        threads.retain(|b| *b != beacon);
        thread.process.succession.status.store(status, Ordering::Relaxed);
    }
    thread.process.succession.left.notify_all();
}

/// The leader's guest thread has ended with this status. Comes back with another program in place; without one the process
/// ends with its last thread, and has that one's status (as since Linux 5.19).
pub fn outlive(thread: &mut Thread, status: i32) {
    let process = thread.process;
    let quiet = BlockedSignals::but_faults();
    threads::pass_away(thread);
    leave(thread, status);
    wait_until_left(process, 0);
    let Some(Heir { new, estate }) = process.succession.settle() else {
        call::exit_process(process.succession.status.load(Ordering::Relaxed))
    };
    process.threads.lock().push(thread.cpu.beacon());
    thread.exit = None;
    (thread.robust_list, thread.clear_child_tid) = ((0, 0), 0);
    drop(quiet);
    signal::inherit(thread, estate);
    // Whatever comes of it, the registers say how to go on, or the process has ended.
    let _ = exec::replace(thread, new);
}

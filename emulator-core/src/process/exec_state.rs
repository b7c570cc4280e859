//! The next program of a process, from the moment at which it can be loaded until the other threads have
//! ended for it ([`crate::lifecycle::de_thread`]).

use crate::base::sync::{Lock, Rank};
use crate::loader::Executable;
use crate::loader::stack::Auxiliary;
use crate::loader::vdso::Vdso;
use crate::signal::state::InheritedSignals;
use std::sync::Condvar;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// What every program of a process is told of identity and machine, and the vDSO that it gets.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The auxiliary vector's part.
    pub auxiliary: Auxiliary,
    /// The host's vDSO, if the guest gets it.
    pub vdso: Option<Vdso>,
}

/// A program that can be loaded.
#[derive(Debug)]
pub struct PreparedExec {
    /// The path that was called.
    pub called: Vec<u8>,
    /// The path by which its file was found, behind all scripts.
    pub path: Vec<u8>,
    /// The file, checked with its dynamic linker.
    pub executable: Executable,
    /// The arguments for it.
    pub argv: Vec<Vec<u8>>,
    /// The environment.
    pub envp: Vec<Vec<u8>>,
}

/// A program that waits for the leader, and what it keeps of the thread that executed it.
#[derive(Debug)]
pub struct PendingExec {
    /// The program.
    pub prepared: PreparedExec,
    /// What the program has of the thread's signals.
    pub signals: InheritedSignals,
}

/// What the threads of a process share about its next program.
#[derive(Debug)]
pub struct ExecState {
    claimed: AtomicBool,
    /// The program that waits for the leader. Changes of `claimed` are made with this locked.
    pub pending: Lock<Option<PendingExec>>,
    /// A thread has taken itself off [`Process::threads`](super::Process::threads).
    pub left: Condvar,
    /// Exit status of the thread that has done so last.
    pub status: AtomicI32,
}

impl Default for ExecState {
    fn default() -> ExecState {
        ExecState {
            claimed: AtomicBool::new(false),
            pending: Lock::new(Rank::PendingExec, None),
            left: Condvar::new(),
            status: AtomicI32::new(0),
        }
    }
}

impl ExecState {
    /// Whether a thread is replacing the program, so that the others are to end.
    pub fn claimed(&self) -> bool {
        self.claimed.load(Ordering::SeqCst)
    }

    /// Claims the right to replace the program; false if another thread has it.
    pub fn claim(&self, exec: Option<PendingExec>) -> bool {
        let mut pending = self.pending.lock();
        if self.claimed.swap(true, Ordering::SeqCst) {
            return false;
        }
        *pending = exec;
        true
    }

    /// Ends the claim: the new program may have threads of its own. A child of fork(2), which no claim of its
    /// parent's concerns, ends it too.
    pub fn settle(&self) -> Option<PendingExec> {
        let exec = self.pending.lock().take();
        self.claimed.store(false, Ordering::SeqCst);
        exec
    }
}

//! The list of a process's threads: who has been made, who has ended, and waiting for that.

use super::Process;
use crate::runtime::cpu::ThreadHandle;
use std::sync::atomic::Ordering;

impl Process {
    /// Puts a new thread on the list. It may not even have begun: if the program is being replaced it never
    /// will.
    pub fn join(&self, handle: ThreadHandle) {
        let mut threads = self.threads.lock();
        threads.push(handle);
        if self.exec.claimed() {
            handle.kick();
        }
    }

    /// Takes a thread that has ended with this status off the list.
    pub fn leave(&self, handle: ThreadHandle, status: i32) {
        {
            let mut threads = self.threads.lock();
            threads.retain(|t| *t != handle);
            self.exec.status.store(status, Ordering::Relaxed);
        }
        self.exec.left.notify_all();
    }

    /// Makes every thread but this one look after pending work before it enters translated code again.
    pub fn kick_others(&self, own: ThreadHandle) {
        self.threads.lock().iter().filter(|t| **t != own).for_each(ThreadHandle::kick);
    }

    /// Waits until no more than so many threads are on the list.
    pub fn wait_for_threads(&self, most: usize) {
        let mut threads = self.threads.lock();
        while threads.len() > most {
            threads = threads.wait(&self.exec.left);
        }
    }
}

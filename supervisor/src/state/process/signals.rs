//! What makes a process, or one of its threads, look up: signals, and the supervisor itself.

use super::Process;
use crate::host::shm::Interrupt;
use crate::host::signal::Info;
use crate::state::tracees::Tracees;
use nix::errno::Errno;
use rxbox_wire::relay;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Process {
    /// Sends a signal to the emulator child. One that continues it also interrupts what its calls wait for,
    /// as the stop would have done natively, so that they are made again: a read of a terminal now perhaps
    /// from the background.
    pub fn signal(&self, info: &Info) -> Result<i64, Errno> {
        if let Some(done) = self.stop_traced(None, info) {
            return done;
        }
        let continues = info.signal() == libc::SIGCONT;
        let stopped = continues && self.handle.is_stopped();
        let sent = self.handle.signal(info)?;
        if continues {
            let why = if stopped { Interrupt::Continued } else { Interrupt::LookUp };
            self.threads.interrupt_all(&self.line.channel, why);
        }
        Ok(sent)
    }

    /// Sends a signal to one of its threads; ESRCH if it has no such thread.
    pub fn signal_thread(&self, tid: i32, info: &Info) -> Result<i64, Errno> {
        let thread = self.handle.thread(tid)?;
        self.stop_traced(Some(tid), info).unwrap_or_else(|| thread.signal(info))
    }

    /// A SIGSTOP that a traced thread is to get does not reach the host, which would stop the emulator with
    /// it, and a SIGCONT also ends what came of one. `None` if the host is to be told.
    fn stop_traced(&self, tid: Option<i32>, info: &Info) -> Option<Result<i64, Errno>> {
        let tracees = self.tracees.get()?;
        match info.signal() {
            libc::SIGSTOP => {
                self.attend(tracees.stop_signal(self.pid, tid, info.shown())?);
                Some(Ok(0))
            }
            libc::SIGCONT => {
                tracees.continued(self.pid);
                None
            }
            _ => None,
        }
    }

    /// From now on some of its threads may be traced.
    pub fn be_traced(&self, tracees: &Arc<Tracees>) {
        let _ = self.tracees.set(tracees.clone());
    }

    /// Makes a thread look up ([`rxbox_wire::ptrace::StopKind::Attention`]). One that has not said that it is
    /// ready may not have its handler yet, and the signal would end it.
    pub fn attend(&self, tid: i32) {
        if let Some(slot) = self.threads.slot_of(tid).and_then(|n| self.line.channel.slot(n)) {
            slot.attention().store(1, Ordering::SeqCst);
            self.kick(tid);
        }
    }

    /// Makes a thread look up from what it waits for.
    pub fn kick(&self, tid: i32) {
        let kick = Info::sent(relay::KICK_SIGNAL, relay::KICK_CODE, 0, 0);
        // One that is ending needs no call.
        let _ = self.handle.thread(tid).and_then(|thread| thread.signal(&kick));
    }

    /// Ends the emulator child.
    pub fn kill(&self) {
        // It may have ended by itself.
        let _ = self.handle.signal(&Info::sent(libc::SIGKILL, libc::SI_USER, 0, 0));
    }
}

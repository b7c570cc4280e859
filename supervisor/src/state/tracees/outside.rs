//! A tracer that is no process of the sandbox: a debugger that the user connects. It waits for its tracees by
//! a descriptor. Before it has come, what ends a run ends it all the same.

use super::{OUTSIDE, Tracees, Wish};
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;

impl Tracees {
    /// From now on there is one.
    ///
    /// # Errors
    /// As eventfd(2).
    pub fn watch_from_outside(&self) -> Result<(), Errno> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        // It is the first.
        let _ = self.outside.set(bell);
        self.awaited.store(true, Ordering::Release);
        Ok(())
    }

    /// Has the first thread of a process that does not run yet traced from outside, to stop before its first
    /// instruction; whether there is a tracer.
    pub fn trace_from_outside(&self, pid: i32) -> bool {
        const OPTIONS: i32 = libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_TRACEEXEC;
        let wish = Wish { tracer: OUTSIDE, seized: true, options: OPTIONS as u32, signal: None, trap: true };
        self.outside.get().is_some() && self.add(pid, pid, wish, || true).is_ok()
    }

    /// The run is over: nothing is traced from outside any more.
    pub fn end_outside(&self) {
        self.all().by_tid.retain(|_, tracee| {
            tracee.bell.ring();
            tracee.tracer != OUTSIDE
        });
        self.ring_outside();
    }

    /// It has come.
    pub fn outside_has_come(&self) {
        self.awaited.store(false, Ordering::Release);
    }

    /// A signal comes from outside: if it is to end the run, and no tracer has come yet, none is waited for.
    pub fn signalled_from_outside(&self, signal: i32) {
        let ends = matches!(signal, libc::SIGINT | libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT);
        if ends && self.awaited.swap(false, Ordering::AcqRel) {
            self.end_outside();
        }
    }

    /// Readable once something has happened to a thread that is traced from outside; `None` if nobody does.
    pub fn outside(&self) -> Option<BorrowedFd<'_>> {
        self.outside.get().map(AsFd::as_fd)
    }

    /// Something has happened to a thread that is traced from outside.
    pub fn ring_outside(&self) {
        // Full, it is readable anyway.
        self.outside.get().inspect(|bell| _ = bell.write(1));
    }

    /// Nothing has happened since: to be said before one looks.
    pub fn look_from_outside(&self) {
        self.outside.get().inspect(|bell| _ = bell.read());
    }

    /// The threads that a process traces.
    pub fn traced_by(&self, tracer: i32) -> Vec<i32> {
        let all = self.all();
        all.by_tid.iter().filter(|(_, t)| t.tracer == tracer && !t.leaves).map(|(tid, _)| *tid).collect()
    }
}

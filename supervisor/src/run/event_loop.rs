//! The attendant: the one thread that waits for everything that is not a call.
//!
//! * control sockets: a guest thread wants its call interrupted;
//! * process descriptors: a guest process has ended;
//! * the warden: how the first process has ended, which ends the run;
//! * signals to rxbox, which go on to the first process; the time limit; an end that some thread declares.

use crate::host::signal::{Info, queue_process};
use crate::host::spawn;
use crate::host::stat::is_stopped;
use crate::launch::init::{News, Warden};
use crate::report::ending::End;
use crate::report::escape::shown;
use crate::report::outcome::Outcome;
use crate::run::usage::Meter;
use crate::sandbox::Sandbox;
use crate::state::groups::group_of;
use crate::state::process::Process;
use nix::errno::Errno;
use nix::poll::PollTimeout;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::signalfd::SignalFd;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is waited for.
#[derive(Debug)]
pub struct Attendant {
    events: Epoll,
}

/// Who an event is about. Processes come with their id, which is positive and below 2³¹.
const ENDING: u64 = 0;
const SIGNALS: u64 = 1;
const WARDEN: u64 = 2;
const CONTROL: u64 = 1 << 32;
const PROCESS: u64 = 2 << 32;

/// Messages taken from one child before the others get their turn.
const MESSAGES: usize = 64;
/// Exit status of a child that could not load the program.
const NOT_RUNNABLE: i32 = 126;
/// How often limits on time and memory are looked at that nobody tells about.
const TICK: Duration = Duration::from_millis(100);

impl Attendant {
    /// An attendant that waits for the declared end.
    pub fn new(ending: BorrowedFd<'_>) -> Result<Attendant, Errno> {
        let attendant = Attendant { events: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)? };
        attendant.add(ending, ENDING)?;
        Ok(attendant)
    }

    fn add(&self, fd: BorrowedFd<'_>, about: u64) -> Result<(), Errno> {
        self.events.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, about))
    }

    /// Waits for a process, too.
    pub fn watch(&self, process: &Process) -> Result<(), Errno> {
        self.add(process.line.control.as_fd(), CONTROL | process.pid as u64)?;
        self.add(process.pidfd.as_fd(), PROCESS | process.pid as u64)
    }

    /// Waits for a process no more.
    pub fn unwatch(&self, process: &Process) {
        self.forget(process.pidfd.as_fd());
        self.forget(process.line.control.as_fd());
    }

    fn forget(&self, fd: BorrowedFd<'_>) {
        // It may have been forgotten before.
        let _ = self.events.delete(fd);
    }
}

/// A run under way.
#[derive(Debug)]
pub struct Run<'a> {
    /// The sandbox.
    pub sandbox: &'a Sandbox,
    /// The first process.
    pub main: &'a Arc<Process>,
    /// The warden.
    pub warden: &'a Warden,
    /// Signals to rxbox.
    pub signals: &'a SignalFd,
}

impl Run<'_> {
    /// Attends until the run has ended.
    ///
    /// # Errors
    /// The host fails the supervisor itself.
    pub fn attend(&self) -> Result<Outcome, Errno> {
        let attendant = &self.sandbox.attendant;
        attendant.add(self.signals.as_fd(), SIGNALS)?;
        attendant.add(self.warden.as_fd(), WARDEN)?;
        let limits = self.sandbox.policy.limits();
        let deadline = limits.wall_time.map(|t| self.sandbox.started + t);
        let mut meter = Meter::new(limits);
        let mut events = [EpollEvent::empty(); 64];
        loop {
            if deadline.is_some_and(|d| Instant::now() >= d) {
                self.sandbox.ending.end(End::TimeLimit);
            }
            if let Some(end) = meter.check(self.sandbox) {
                self.sandbox.ending.end(end);
            }
            if let Some(end) = self.sandbox.ending.cause() {
                return Ok(Outcome::Ended(end.clone()));
            }
            let n = match attendant.events.wait(&mut events, patience(deadline, meter.needed())) {
                Err(Errno::EINTR) => 0,
                n => n?,
            };
            for about in events[..n].iter().map(EpollEvent::data) {
                if let Some(outcome) = self.event(about)? {
                    return Ok(outcome);
                }
            }
        }
    }

    fn event(&self, about: u64) -> Result<Option<Outcome>, Errno> {
        match about {
            ENDING => {}
            SIGNALS => self.pass_signal_on()?,
            WARDEN => return self.heard_of_main(),
            _ => {
                // One that has left meanwhile needs nothing more.
                let Some(process) = self.sandbox.processes.get(about as u32 as i32) else { return Ok(None) };
                if about & PROCESS != 0 { self.ended(&process) } else { self.message(&process) }
            }
        }
        Ok(None)
    }

    fn message(&self, process: &Process) {
        let (any, open) = process.line.drain(MESSAGES);
        if any {
            process.threads.interrupt_requested(&process.line.channel);
        }
        if !open {
            self.sandbox.attendant.forget(process.line.control.as_fd());
        }
    }

    fn ended(&self, process: &Process) {
        self.sandbox.attendant.unwatch(process);
        self.sandbox.dismiss(process);
    }

    /// The status comes from the warden, whose child the first process is. If that is stopped rxbox stops as well, so that
    /// whoever started it sees what it would see of the program.
    fn heard_of_main(&self) -> Result<Option<Outcome>, Errno> {
        let outcome = match self.warden.news()? {
            None => return Ok(None),
            Some(News::Stopped(signal)) => {
                // It may have been continued meanwhile.
                if is_stopped(self.main.pid) {
                    spawn::act_by_default(signal);
                }
                return Ok(None);
            }
            Some(News::Ended(outcome)) => outcome,
        };
        Ok(Some(match (self.sandbox.ending.cause(), outcome) {
            (Some(end), _) => Outcome::Ended(end.clone()),
            (None, outcome) if self.main.executed() => outcome,
            (None, Outcome::Exited(NOT_RUNNABLE)) => {
                let unsaid = || format!("{} cannot be run", shown(&self.main.exe().path));
                Outcome::NotRunnable(self.main.refusal().map_or_else(unsaid, str::to_owned))
            }
            (None, outcome) => {
                let unsaid =
                    || format!("{outcome:?}; there may be too little memory, or this is another rxbox");
                let why = self.main.refusal().map_or_else(unsaid, str::to_owned);
                Outcome::Failed(format!("the emulator child ended before the program ran: {why}"))
            }
        }))
    }

    /// Signals to rxbox go on to the guest: to the first process what somebody sent, to the group in the foreground what the
    /// terminal raised. Who continues a job (a shell's `fg`) continues the whole group.
    fn pass_signal_on(&self) -> Result<(), Errno> {
        const FROM_PROCESS: [i32; 3] = [libc::SI_USER, libc::SI_QUEUE, libc::SI_TKILL];
        while let Some(signal) = self.signals.read_signal()? {
            let number = signal.ssi_signo as i32;
            let sent = FROM_PROCESS.contains(&signal.ssi_code);
            let code = if sent { libc::SI_USER } else { signal.ssi_code };
            let info = Info::sent(number, code, signal.ssi_pid as i32, signal.ssi_uid);
            if sent && number != libc::SIGCONT {
                // A guest that has just ended needs no signal.
                let _ = queue_process(self.main.pidfd.as_fd(), &info);
                continue;
            }
            let foreground = self.sandbox.terminals.foreground_of_own().filter(|_| !sent);
            if let Some(group) = foreground.or_else(|| group_of(self.main.pid)) {
                self.sandbox.processes.signal_group(group, &info);
            }
        }
        Ok(())
    }
}

/// How long to wait at most.
fn patience(deadline: Option<Instant>, tick: bool) -> PollTimeout {
    let left = deadline.map(|d| d.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
    match (left, tick) {
        (None, false) => PollTimeout::NONE,
        (None, true) => PollTimeout::try_from(TICK).unwrap_or(PollTimeout::MAX),
        (Some(left), tick) => {
            let left = if tick { left.min(TICK) } else { left };
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_has_passed_or_lies_years_ahead_is_a_valid_wait() {
        let now = Instant::now();
        assert_eq!(patience(Some(now - Duration::from_secs(1)), false), PollTimeout::from(1u8));
        assert_eq!(patience(Some(now + Duration::from_secs(1 << 40)), false), PollTimeout::MAX);
        assert_eq!(patience(None, false), PollTimeout::NONE);
        assert_eq!(patience(Some(now + Duration::from_secs(60)), true), PollTimeout::from(100u8));
    }
}

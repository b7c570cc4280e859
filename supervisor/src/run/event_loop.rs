//! The event loop: the one thread that waits for everything that is not a call.
//!
//! * control sockets: a guest thread wants its call interrupted;
//! * process descriptors: a guest process has ended;
//! * the init process: how the first process has ended, which ends the run;
//! * signals to rxbox, which go on to the first process; the time limit; an end that some thread declares;
//! * somebody of the user's asks a run that has a name ([`crate::run::monitor`]).
//!
//! Limits hold because this loop always comes round: it runs in a process that the guest cannot stop
//! ([`crate::run::job`]), and does nothing that can wait for somebody.

use crate::host::maker::Maker;
use crate::host::signal::Info;
use crate::launch::init::{ChildEvent, Init};
use crate::monitor::message::{Reply, Request};
use crate::report::ending::End;
use crate::report::escape::shown;
use crate::report::outcome::Outcome;
use crate::run::execution::Executions;
use crate::run::job::{Job, REPEAT, Received, Said};
use crate::run::monitor::Monitor;
use crate::run::usage::{self, Meter};
use crate::sandbox::Sandbox;
use crate::sandbox::poller::Source;
use crate::state::process::Process;
use nix::errno::Errno;
use nix::poll::PollTimeout;
use std::cell::Cell;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Messages taken from one child before the others are served.
const MESSAGES: usize = 64;
/// Exit status of a child that could not load the program.
const NOT_RUNNABLE: i32 = 126;
/// How often the limits on processor time and memory are checked, which no event reports.
const TICK: Duration = Duration::from_millis(REPEAT as u64);

/// The event loop of a run.
#[derive(Debug)]
pub struct EventLoop<'a> {
    sandbox: &'a Arc<Sandbox>,
    /// The first process.
    main: &'a Arc<Process>,
    init: &'a Init,
    job: &'a Job,
    /// Where the run is asked, if it has a name.
    monitor: Option<&'a Monitor>,
    /// What is started beside the first process, in a container.
    executions: Option<&'a Executions>,
    /// The signals that were passed on to the first process: bit n - 1 for signal n.
    passed_on: Cell<u64>,
}

impl<'a> EventLoop<'a> {
    /// For a run with this first process.
    pub fn new(
        sandbox: &'a Arc<Sandbox>,
        main: &'a Arc<Process>,
        init: &'a Init,
        job: &'a Job,
        monitor: Option<&'a Monitor>,
        executions: Option<&'a Executions>,
    ) -> Self {
        EventLoop { sandbox, main, init, job, monitor, executions, passed_on: Cell::new(0) }
    }

    /// Handles events until the run has ended.
    ///
    /// # Errors
    /// The host fails the supervisor itself.
    pub fn run(&self) -> Result<Outcome, Errno> {
        let (poller, ending) = (&self.sandbox.poller, &self.sandbox.ending);
        poller.add(self.job.as_fd(), Source::Job)?;
        poller.add(self.init.as_fd(), Source::Init)?;
        self.monitor.map_or(Ok(()), |monitor| monitor.watch(self.sandbox))?;
        let limits = self.sandbox.policy.limits();
        // A container may have waited long to be started.
        let deadline = limits.wall_time.map(|t| Instant::now() + t);
        let mut meter = Meter::new(limits);
        let reapers = self.reapers();
        loop {
            if deadline.is_some_and(|d| Instant::now() >= d) {
                ending.end(End::TimeLimit);
            }
            if meter.needed()
                && let Some(end) =
                    meter.check(&self.sandbox.processes.all(), &reapers, || self.sandbox.kept_for_guests())
            {
                ending.end(end);
            }
            if self.sandbox.ran_out_of_memory() {
                ending.end(End::MemoryLimit);
            }
            if let Some(end) = ending.cause() {
                return Ok(Outcome::Ended(end.clone()));
            }
            let catching_up = self.job.is_stopped() && !self.main.handle.is_stopped();
            if catching_up {
                self.job.keep_up();
            }
            let ungated = self.sandbox.forks.are_ungated();
            let tick = meter.needed() || catching_up || ungated || self.sandbox.cgroup.get().is_some();
            if ungated {
                self.sandbox.sweep();
            }
            for source in poller.wait(timeout(deadline, tick))? {
                if let Some(outcome) = self.handle(source)? {
                    return Ok(outcome);
                }
            }
        }
    }

    /// The processes of rxbox that wait for those of guests.
    fn reapers(&self) -> Vec<i32> {
        let maker = self.sandbox.maker.get().and_then(Maker::reaper);
        std::iter::once(self.init.number()).chain(maker).collect()
    }

    /// Handles one event; how the run has ended, if it has.
    fn handle(&self, source: Source) -> Result<Option<Outcome>, Errno> {
        let processes = &self.sandbox.processes;
        match source {
            Source::Ending => {}
            Source::Job => self.hear_job()?,
            Source::Init => return self.first_process_changed(),
            // A process that is gone meanwhile needs nothing more.
            Source::Control(pid) => processes.get(pid).iter().for_each(|process| self.message(process)),
            Source::Process(pid) => processes.get(pid).iter().for_each(|p| self.sandbox.remove_process(p)),
            Source::Monitor => self.monitor.iter().for_each(|monitor| monitor.admit(self.sandbox)),
            Source::Client(number) => {
                self.monitor.iter().for_each(|monitor| self.answer_client(monitor, number));
            }
        }
        Ok(None)
    }

    fn answer_client(&self, monitor: &Monitor, number: i32) {
        let Some(asked) = monitor.asked(self.sandbox, number) else {
            let executions = self.executions.filter(|_| !monitor.has(number));
            return executions.iter().for_each(|executions| executions.client_gone(number));
        };
        let reply = match asked.request {
            Request::Trace { filter } => return monitor.follow(self.sandbox, number, filter),
            Request::Status => {
                let used = usage::used(&self.sandbox.processes.all(), &self.reapers());
                Reply::Status(monitor.status(self.sandbox, used))
            }
            Request::Exec { process } => match (self.executions, monitor.line(number)) {
                (Some(executions), Some(line)) if asked.descriptors.len() >= 3 => {
                    let (client, streams) = ((number, line), asked.descriptors);
                    return executions.begin(self.sandbox, client, process, streams);
                }
                _ => Reply::Refused { why: "it starts nothing beside its program".to_owned() },
            },
            Request::Signal { number: signal @ 1..=64 } => {
                let (pid, uid) = (asked.pid, asked.user.cast_signed());
                if let Some(process) = self.executions.and_then(|executions| executions.process_of(number)) {
                    // One that has just ended needs no signal.
                    let _ = process.handle.signal(&Info::sent(signal, libc::SI_USER, pid, asked.user));
                    return;
                }
                self.forward(Received { signal, code: libc::SI_USER, pid, uid });
                Reply::Done
            }
            Request::Start => Reply::Refused { why: "it has been started already".to_owned() },
            Request::Signal { number } => Reply::Refused { why: format!("{number} is no signal") },
        };
        monitor.answer(number, &reply);
    }

    fn message(&self, process: &Process) {
        let (any, open) = process.line.drain(MESSAGES);
        if any {
            process.threads.interrupt_requested(&process.line.channel);
        }
        if !open {
            self.sandbox.poller.remove(process.line.control.as_fd());
        }
    }

    /// The status comes from the init process, whose child the first process is. If that is stopped or
    /// continued so is the job process, so that whoever started rxbox sees what it would see of the program.
    fn first_process_changed(&self) -> Result<Option<Outcome>, Errno> {
        let outcome = match self.init.event()? {
            None => return Ok(None),
            Some(ChildEvent::Stopped(signal)) => {
                // It may have been continued meanwhile.
                if self.main.handle.is_stopped() {
                    self.job.stop(signal);
                }
                return Ok(None);
            }
            // The loop keeps the job process up with it.
            Some(ChildEvent::Continued) => return Ok(None),
            Some(ChildEvent::Further(started)) => {
                if let Some(executions) = self.executions {
                    executions.started(started);
                }
                return Ok(None);
            }
            Some(ChildEvent::FurtherEnded(child, outcome)) => {
                self.further_has_ended(child, &outcome);
                return Ok(None);
            }
            Some(ChildEvent::Ended(outcome)) => outcome,
        };
        if self.sandbox.ran_out_of_memory() {
            self.sandbox.ending.end(End::MemoryLimit);
        }
        Ok(Some(match (self.sandbox.ending.cause(), outcome) {
            (Some(end), _) => Outcome::Ended(end.clone()),
            (None, outcome) if self.main.executed() => outcome,
            // As it would have ended a program that was still being started.
            (None, Outcome::Signaled(signal)) if self.passed_on.get() & bit(signal) != 0 => {
                Outcome::Signaled(signal)
            }
            (None, Outcome::Exited(NOT_RUNNABLE)) => {
                let unknown = || format!("{} cannot be run", shown(&self.main.exe().path));
                Outcome::NotRunnable(self.main.refusal().map_or_else(unknown, str::to_owned))
            }
            (None, outcome) => {
                let unknown =
                    || format!("{outcome:?}; there may be too little memory, or this is another rxbox");
                let why = self.main.refusal().map_or_else(unknown, str::to_owned);
                Outcome::Failed(format!("the emulator child ended before the program ran: {why}"))
            }
        }))
    }

    /// Tells whoever has asked for it. Other children that have ended were orphans.
    fn further_has_ended(&self, child: i32, outcome: &Outcome) {
        let Some(client) = self.executions.and_then(|executions| executions.ended(child)) else { return };
        let (status, signal) = match outcome {
            Outcome::Exited(status) => (Some(*status), None),
            Outcome::Signaled(signal) => (None, Some(*signal)),
            _ => (None, None),
        };
        self.monitor.iter().for_each(|monitor| monitor.answer(client, &Reply::Ended { status, signal }));
    }

    fn hear_job(&self) -> Result<(), Errno> {
        while let Some(said) = self.job.said()? {
            match said {
                Said::Signal(received) => {
                    self.sandbox.tracees.signalled_from_outside(received.signal);
                    self.forward(received);
                }
                Said::Running => {}
                Said::Ended => {
                    self.sandbox.poller.remove(self.job.as_fd());
                    self.sandbox.ending.end(End::Broken("the job process has ended".to_owned()));
                    break;
                }
            }
        }
        Ok(())
    }

    /// Forwards a signal to rxbox to the guest: one that a process sent to the first process, one that the
    /// terminal raised to the group in the foreground. Who continues a job (a shell's `fg`) continues the
    /// whole group.
    fn forward(&self, received: Received) {
        const FROM_PROCESS: [i32; 3] = [libc::SI_USER, libc::SI_QUEUE, libc::SI_TKILL];
        self.passed_on.set(self.passed_on.get() | bit(received.signal));
        let sent = FROM_PROCESS.contains(&received.code);
        let code = if sent { libc::SI_USER } else { received.code };
        let info = Info::sent(received.signal, code, received.pid, received.uid.cast_unsigned());
        if sent && received.signal != libc::SIGCONT {
            // A guest that has just ended needs no signal.
            let _ = self.main.handle.signal(&info);
            return;
        }
        let foreground = self.sandbox.terminals.foreground_of_own().filter(|_| !sent);
        if let Some(group) = foreground.or_else(|| self.main.handle.group()) {
            self.sandbox.processes.signal_group(group, &info);
        }
    }
}

/// The bit of a signal in a set of signals.
fn bit(signal: i32) -> u64 {
    1u64.checked_shl(signal.cast_unsigned().wrapping_sub(1)).unwrap_or(0)
}

/// How long to wait at most.
fn timeout(deadline: Option<Instant>, tick: bool) -> PollTimeout {
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
        assert_eq!(timeout(Some(now - Duration::from_secs(1)), false), PollTimeout::from(1u8));
        assert_eq!(timeout(Some(now + Duration::from_secs(1 << 40)), false), PollTimeout::MAX);
        assert_eq!(timeout(None, false), PollTimeout::NONE);
        assert_eq!(timeout(Some(now + Duration::from_secs(60)), true), PollTimeout::from(100u8));
    }
}

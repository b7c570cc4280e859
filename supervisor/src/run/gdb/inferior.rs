//! The traced process: all its threads stop with the one that has something to tell, and go on together, as
//! GDB wants it (*All-Stop Mode*).

use crate::host::signal::Info;
use crate::sandbox::Sandbox;
use crate::state::process::{Process, number_of};
use crate::state::tracees::{Going, OUTSIDE, StoppedTracee, WaitFor, Waiter, Whom};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rxbox_wire::ptrace::{Mode, Order, WaitAnswer};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// `PTRACE_EVENT_STOP`.
const EVENT_STOP: u32 = 128;

/// What the debugger is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// A thread got this signal.
    Signal(i32, u8),
    /// The process has exited with this status.
    Exited(u8),
    /// It was ended by this signal.
    Killed(u8),
}

/// The traced process.
pub(super) struct Inferior {
    sandbox: Arc<Sandbox>,
    process: Arc<Process>,
    /// What has happened and is not told yet.
    untold: VecDeque<Told>,
    /// How threads are to go on; others just do.
    actions: BTreeMap<i32, Going>,
    /// Others do not.
    others_stay: bool,
    /// The debugger has asked for a stop.
    interrupted: bool,
}

impl Inferior {
    pub(super) fn new(sandbox: Arc<Sandbox>, process: Arc<Process>) -> Inferior {
        Inferior {
            sandbox,
            process,
            untold: VecDeque::new(),
            actions: BTreeMap::new(),
            others_stay: false,
            interrupted: false,
        }
    }

    /// Readable once something has happened ([`Inferior::look`]).
    pub(super) fn bell(&self) -> PollFd<'_> {
        // There is one, or else nothing is ever ready.
        let bell = self.sandbox.tracees.outside().unwrap_or_else(|| self.process.line.channel.memory());
        PollFd::new(bell, PollFlags::POLLIN)
    }

    /// To be called before one looks what has happened.
    pub(super) fn look(&self) {
        self.sandbox.tracees.look_from_outside();
    }

    /// From now on it is the debugger who says what becomes of signals.
    pub(super) fn debugger_has_come(&self) {
        self.sandbox.tracees.outside_has_come();
    }

    /// Whether there is nothing to trace any more.
    pub(super) fn has_ended(&self) -> bool {
        self.threads().is_empty()
    }

    /// The threads.
    pub(super) fn threads(&self) -> Vec<i32> {
        self.sandbox.tracees.traced_by(OUTSIDE)
    }

    /// Acts on a stopped thread. ESRCH if it is not stopped.
    pub(super) fn at_stop<T>(
        &self,
        tid: i32,
        act: impl FnOnce(&mut StoppedTracee<'_>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.sandbox.tracees.at_stop(OUTSIDE, tid, act)
    }

    /// Reads memory, up to the first byte that is not there.
    pub(super) fn read(&self, tid: i32, addr: u64, to: &mut [u8]) -> Result<usize, Errno> {
        let range = [(addr, to.len() as u64)];
        let read = self.sandbox.tracees.read_memory(OUTSIDE, tid, &range, to.len())?;
        to[..read.len()].copy_from_slice(&read);
        if read.is_empty() && !to.is_empty() { Err(Errno::EFAULT) } else { Ok(read.len()) }
    }

    /// Writes memory.
    pub(super) fn write(&self, tid: i32, addr: u64, bytes: &[u8]) -> Result<(), Errno> {
        let range = [(addr, bytes.len() as u64)];
        self.sandbox.tracees.write_memory(OUTSIDE, tid, &range, bytes).1
    }

    /// The auxiliary vector.
    pub(super) fn auxiliary_vector(&self) -> Result<Vec<u8>, Errno> {
        let tid = self.threads().first().copied().ok_or(Errno::ESRCH)?;
        let view = number_of("auxv").ok_or(Errno::ENOENT)?;
        self.sandbox.tracees.ask(OUTSIDE, tid, Order::Tell(view))?;
        self.process.view("auxv").ok_or(Errno::ENOENT)
    }

    /// How a thread is to go on.
    pub(super) fn plan(&mut self, tid: i32, mode: Mode, signal: Option<u8>) {
        let signal = signal.map(|signal| Info::sent(signal.into(), libc::SI_USER, 0, 0).shown());
        self.actions.insert(tid, Going { mode: Mode::TRACED | mode, signal });
    }

    /// Threads without a plan stay.
    pub(super) fn others_stay(&mut self) {
        self.others_stay = true;
    }

    /// Nothing is planned.
    pub(super) fn forget_plans(&mut self) {
        self.actions.clear();
        self.others_stay = false;
    }

    /// Lets the threads go on as planned, unless there is still something to tell.
    pub(super) fn go_on(&mut self) {
        if !self.untold.is_empty() {
            return;
        }
        for tid in self.threads() {
            let plan = self.actions.get(&tid).copied();
            let plan =
                plan.or_else(|| (!self.others_stay).then_some(Going { mode: Mode::TRACED, signal: None }));
            if let Some(going) = plan {
                // It may run already, or have ended.
                let _ = self.at_stop(tid, |stopped| stopped.go_on(going));
            }
        }
    }

    /// The debugger wants it to stop.
    pub(super) fn interrupt(&mut self) {
        self.interrupted = true;
        if let Some(tid) = self.threads().first() {
            self.stop(*tid);
        }
    }

    fn stop(&self, tid: i32) {
        // It may have ended.
        if self.sandbox.tracees.interrupt(OUTSIDE, tid) == Ok(true) {
            self.process.attend(tid);
        }
    }

    /// What is to be told, if there is anything: then all threads are stopped.
    pub(super) fn news(&mut self) -> Option<Told> {
        while self.untold.is_empty() {
            let Some((tid, status)) = self.event() else {
                // Rather than that the debugger waits for what nobody has told.
                return self.has_ended().then_some(Told::Killed(libc::SIGKILL as u8));
            };
            match self.meaning(tid, status) {
                Some(told) => self.untold.push_back(told),
                // A new thread, or the end of one: nobody's business.
                None => {
                    let going = Going { mode: Mode::TRACED, signal: None };
                    let _ = self.at_stop(tid, |stopped| stopped.go_on(going));
                }
            }
        }
        self.stop_all();
        self.untold.pop_front()
    }

    /// Stops all threads, and keeps in mind what they have to tell.
    pub(super) fn stop_all(&mut self) {
        let runs = |inferior: &Inferior, tid: &i32| inferior.at_stop(*tid, |_| Ok(())).is_err();
        self.threads().into_iter().filter(|tid| runs(self, tid)).for_each(|tid| self.stop(tid));
        loop {
            self.look();
            while let Some((tid, status)) = self.event() {
                let told = self.meaning(tid, status);
                self.untold.extend(told);
            }
            if !self.threads().iter().any(|tid| runs(self, tid)) {
                return;
            }
            // Interrupted, it looks again.
            let _ = poll(&mut [self.bell()], PollTimeout::NONE);
        }
    }

    /// What has happened to a thread, as wait4(2) would tell it.
    fn event(&self) -> Option<(i32, u32)> {
        let wait = WaitFor { whom: Whom::Any, ends: true, keeps: false, blocks: false, clones: true };
        let nobody = Waiter { tracer: OUTSIDE, process: 0, tid: 0 };
        match self.sandbox.tracees.wait(nobody, &wait) {
            WaitAnswer::Event { tid, status } => Some((tid, status)),
            _ => None,
        }
    }

    /// What an event is to the debugger, if anything.
    fn meaning(&mut self, tid: i32, status: u32) -> Option<Told> {
        const STOPPED: u32 = 0x7f;
        if status & 0xff != STOPPED {
            let ended = if status & 0x7f == 0 {
                Told::Exited((status >> 8) as u8)
            } else {
                Told::Killed((status & 0x7f) as u8)
            };
            return (tid == self.process.pid).then_some(ended);
        }
        let (signal, event) = ((status >> 8 & 0x7f) as u8, status >> 16);
        match event {
            0 => Some(Told::Signal(tid, signal)),
            EVENT_STOP if i32::from(signal) != libc::SIGTRAP => Some(Told::Signal(tid, signal)),
            EVENT_STOP if std::mem::take(&mut self.interrupted) => {
                Some(Told::Signal(tid, libc::SIGINT as u8))
            }
            _ if event == libc::PTRACE_EVENT_EXEC as u32 => Some(Told::Signal(tid, signal)),
            _ => None,
        }
    }

    /// Ends the process.
    pub(super) fn kill(&self) {
        self.process.kill();
    }

    /// Traces it no more.
    pub(super) fn let_go(&mut self) {
        self.stop_all();
        for tid in self.threads() {
            let _ = self.at_stop(tid, |s| s.go_on(Going { mode: Mode::empty(), signal: None }));
        }
    }
}

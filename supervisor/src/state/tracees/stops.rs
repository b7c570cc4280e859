//! The tracee's side: it says that it stops, waits for orders, and says what came of them.

use super::{EVENT_EXIT, EVENT_STOP, Notice, SigInfo, Stop, Tracee, Tracees, child_signal, own_signal};
use nix::errno::Errno;
use rxbox_wire::ptrace::{EXTENDED, EXTENDED_MIN, Mode, Order, PIECE, STATE_MAX, StopKind};

/// What a child says of a thread of its that may stop.
#[derive(Debug)]
pub struct Report {
    /// Why.
    pub kind: StopKind,
    /// By the kind ([`StopKind`]).
    pub value: u64,
    /// The signal that is about to be delivered.
    pub info: Option<SigInfo>,
    /// The thread's state.
    pub state: Vec<u8>,
}

/// What follows for the worker of a thread that is stopped, or not.
#[derive(Debug)]
pub enum Step {
    /// The thread gets this order.
    Order(Order),
    /// The tracer is told, and the thread stays stopped.
    Tell(Notice),
}

const TRAP: u32 = libc::SIGTRAP as u32;

impl Tracees {
    /// A thread of a process says that it may stop. Returns whom to tell, and which other threads of its are
    /// to look up. EINVAL for a state that is none.
    pub fn report(&self, tid: i32, report: Report) -> Result<(Option<Notice>, Vec<i32>), Errno> {
        if !(EXTENDED + EXTENDED_MIN..=STATE_MAX).contains(&report.state.len()) {
            return Err(Errno::EINVAL);
        }
        let mut all = self.all();
        let Some(tracee) = all.by_tid.get_mut(&tid) else { return Ok((None, Vec::new())) };
        if tracee.leaves || tracee.stop.is_some() || tracee.order.is_some() {
            return Ok((None, Vec::new()));
        }
        let (pid, joined) = (tracee.pid, report.kind == StopKind::Group);
        let signal = report.value as i32;
        let Some(code) = tracee.stops(tid, report) else { return Ok((None, Vec::new())) };
        let tracer = tracee.tracer;
        let mut others = Vec::new();
        if joined {
            for (&other, tracee) in all.by_tid.iter_mut().filter(|(o, t)| t.pid == pid && **o != tid) {
                tracee.joins = Some(signal);
                others.push(other);
            }
        }
        let info = child_signal(tid, libc::CLD_TRAPPED, code & 0x7f);
        Ok((Some(all.notice(tracer, Some(info))), others))
    }

    /// What is next for a thread that has said that it stops, or what came of an order. Waits until there is
    /// something, or until `ended`.
    pub fn next(&self, tid: i32, ended: impl Fn() -> bool) -> Step {
        loop {
            let mut all = self.all();
            let Some(tracee) = all.by_tid.get_mut(&tid) else {
                return Step::Order(Order::go_on(Mode::empty()));
            };
            let order = tracee.order.take();
            if let Some(order) = order.or_else(|| tracee.stop.is_none().then(|| Order::go_on(tracee.mode))) {
                if matches!(order, Order::Resume { .. }) && tracee.leaves {
                    tracee.bell.ring();
                    all.by_tid.remove(&tid);
                }
                return Step::Order(order);
            }
            if tracee.renews(tid) {
                let tracer = tracee.tracer;
                let info = child_signal(tid, libc::CLD_TRAPPED, TRAP);
                return Step::Tell(all.notice(tracer, Some(info)));
            }
            let (bell, seen) = (tracee.bell.clone(), tracee.bell.seen());
            drop(all);
            if ended() {
                return Step::Order(Order::go_on(Mode::empty()));
            }
            bell.wait(seen);
        }
    }

    /// A thread has carried an order out.
    pub fn obeyed(&self, tid: i32, answer: Result<Vec<u8>, Errno>) {
        let mut all = self.all();
        let Some(tracee) = all.by_tid.get_mut(&tid).filter(|tracee| tracee.asked) else { return };
        tracee.answer = Some(answer.map(|mut bytes| {
            bytes.truncate(PIECE);
            bytes
        }));
        tracee.bell.ring();
    }

    /// A SIGSTOP is sent to a thread of a process, or to the process: which thread is to look up for it, if
    /// one of them is traced. The kernel knows nothing of it.
    pub fn stop_signal(&self, pid: i32, tid: Option<i32>, info: SigInfo) -> Option<i32> {
        let mut all = self.all();
        let wanted = |t: &Tracee, n: i32| t.pid == pid && !t.leaves && tid.is_none_or(|tid| tid == n);
        let found = all.by_tid.iter().filter(|(n, t)| wanted(t, **n)).map(|(n, _)| *n);
        // The first thread has the process's number.
        let found = found.min_by_key(|n| *n != pid)?;
        all.by_tid.get_mut(&found)?.signal = Some(info);
        Some(found)
    }

    /// A SIGCONT is sent to a process: it takes back a stop that has not happened, and ends one that has.
    pub fn continued(&self, pid: i32) {
        for tracee in self.all().by_tid.values_mut().filter(|tracee| tracee.pid == pid) {
            (tracee.signal, tracee.joins) = (None, None);
            if let Some(stop) = tracee.stop.as_mut().filter(|stop| stop.kind == StopKind::Group) {
                stop.continued = true;
                tracee.bell.ring();
            }
        }
    }

    /// Another thread of the process replaces its program: all others that are stopped go on, to end.
    pub fn replaced(&self, pid: i32, by: i32) {
        let mut all = self.all();
        for (_, tracee) in all.by_tid.iter_mut().filter(|(tid, t)| t.pid == pid && **tid != by) {
            tracee.dies = true;
            if tracee.stop.take().is_some() {
                tracee.order = Some(Order::go_on(Mode::empty()));
                tracee.asked = false;
                tracee.bell.ring();
            }
        }
    }
}

impl Tracee {
    /// Decides whether the thread stops; with which code, if so. What it gets if not is in `order`.
    fn stops(&mut self, tid: i32, report: Report) -> Option<u32> {
        let Report { kind, value, info, state } = report;
        let (event, low) = ((value >> 32) as u32, value as u32);
        let option = |event: u32| event < 32 && self.options >> event & 1 != 0;
        let mut told = kind;
        let (code, info, message) = match kind {
            StopKind::Ending => {
                self.status = Some(low as i32);
                (option(EVENT_EXIT).then_some(TRAP | EVENT_EXIT << 8)?, None, value)
            }
            StopKind::Event if event == libc::PTRACE_EVENT_EXEC as u32 => {
                // The first thread goes on with the new program, whoever has executed it.
                self.dies = false;
                if !option(event) {
                    if !self.seized {
                        self.gets(own_signal(libc::SIGTRAP, libc::SI_USER, self.pid));
                    }
                    return None;
                }
                (TRAP | event << 8, None, low.into())
            }
            StopKind::Event => (option(event).then_some(TRAP | event << 8)?, None, low.into()),
            StopKind::CallEntry | StopKind::CallExit => {
                let good = self.options & libc::PTRACE_O_TRACESYSGOOD as u32 != 0;
                (if good { TRAP | 0x80 } else { TRAP }, None, 0)
            }
            StopKind::Signal => (low, Some(info?), 0),
            StopKind::Group => (self.group_code(low), None, 0),
            StopKind::Attention => {
                if let Some(signal) = self.signal.take() {
                    self.gets(signal);
                    return None;
                }
                if let Some(signal) = self.joins.take() {
                    told = StopKind::Group;
                    (self.group_code(signal as u32), None, 0)
                } else if self.trap {
                    (TRAP | EVENT_STOP << 8, None, 0)
                } else {
                    return None;
                }
            }
        };
        if self.dies {
            return None;
        }
        let info = match told {
            StopKind::Group if !self.seized => None,
            _ => info.or_else(|| Some(own_signal((code & 0x7f) as i32, code as i32, tid))),
        };
        self.trap = false;
        self.stop = Some(Stop {
            kind: told,
            code,
            shown: false,
            info,
            message,
            state,
            changed: false,
            listens: false,
            continued: false,
        });
        Some(code)
    }

    /// The thread goes on with a signal that arrives.
    fn gets(&mut self, signal: SigInfo) {
        self.order = Some(Order::Resume { mode: self.mode, signal: Some(signal), state: None });
    }

    /// The code of a stop of the process.
    fn group_code(&self, signal: u32) -> u32 {
        if self.seized { signal | EVENT_STOP << 8 } else { signal }
    }

    /// A thread that listens stops anew if its process was continued, or its tracer wants it to.
    fn renews(&mut self, tid: i32) -> bool {
        let trap = self.trap;
        let Some(stop) = self.stop.as_mut().filter(|stop| stop.listens && (stop.continued || trap)) else {
            return false;
        };
        stop.kind = StopKind::Attention;
        stop.code = TRAP | EVENT_STOP << 8;
        stop.info = Some(own_signal(libc::SIGTRAP, stop.code as i32, tid));
        (stop.listens, stop.continued, stop.shown) = (false, false, false);
        self.trap = false;
        true
    }
}

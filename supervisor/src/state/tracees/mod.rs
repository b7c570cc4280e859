//! Who traces whom (ptrace(2)), and what each traced thread is at.
//!
//! A tracee stops by a request of its emulator child, which its worker serves: the worker waits here, with
//! the thread's registers, until the tracer wants something of the stopped thread or lets it go on. So there
//! are two sides, each with its file: the tracee's ([`stops`]) and the tracer's ([`requests`]), beside what a
//! wait for children finds here ([`waits`]).
//!
//! Invariants:
//! * What a child says counts for the thread whose request it is, and for no other: it can lie about its own
//!   registers and memory.
//! * Only the tracer's process gives orders to a tracee, and only while it is stopped.
//! * A tracee is let go when its tracer ends, and forgotten when it ends itself; nobody waits here for one
//!   who is gone.

mod outside;
mod requests;
mod stops;
#[cfg(test)]
mod tests;
mod waits;

pub use requests::{Going, StoppedTracee};
pub use stops::{Report, Step};
pub use waits::{WaitFor, Whom};

use crate::host::futex;
use crate::host::signal::Info;
use crate::state::ranks::{Guard, Lock, Rank};
use nix::errno::Errno;
use nix::sys::eventfd::EventFd;
use rxbox_wire::ptrace::{Mode, Order, StopKind};
use rxbox_wire::relay;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// The number under which a tracer traces that is outside of the sandbox, as PID namespaces show it.
pub const OUTSIDE: i32 = 0;
/// `PTRACE_EVENT_STOP`.
const EVENT_STOP: u32 = 128;
/// `PTRACE_EVENT_EXIT`.
const EVENT_EXIT: u32 = 6;
/// `PTRACE_O_EXITKILL`.
const EXIT_KILL: u32 = libc::PTRACE_O_EXITKILL as u32;

/// Bytes of a `siginfo_t`.
pub type SigInfo = [u8; relay::SIZE];

/// How a thread is to be traced.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// By which process.
    pub tracer: i32,
    /// As PTRACE_SEIZE does.
    pub seized: bool,
    /// `PTRACE_O_*`.
    pub options: u32,
    /// A SIGSTOP to begin with.
    pub signal: Option<SigInfo>,
    /// A stop without a signal to begin with.
    pub trap: bool,
}

/// The traced threads of a sandbox.
#[derive(Debug)]
pub struct Tracees {
    all: Lock<All>,
    any: AtomicBool,
    /// Rung for the tracer that is outside.
    outside: OnceLock<EventFd>,
    /// Whether that has not come yet.
    awaited: AtomicBool,
}

impl Default for Tracees {
    fn default() -> Tracees {
        let all = Lock::new(Rank::Tracees, All::default());
        let (any, awaited) = (AtomicBool::new(false), AtomicBool::new(false));
        Tracees { all, any, outside: OnceLock::new(), awaited }
    }
}

#[derive(Debug, Default)]
struct All {
    by_tid: BTreeMap<i32, Tracee>,
    /// Threads that have ended, for tracers whose children they are not.
    ended: Vec<Ended>,
    /// Threads that wait for children.
    waiting: Vec<Waiter>,
    /// Threads that are known as processes of their own, with their processes and as which they end.
    companions: BTreeMap<i32, (i32, u32)>,
}

/// A thread that waits for children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter {
    /// The process that waits, as the guest knows it.
    pub tracer: i32,
    /// The process of the thread.
    pub process: i32,
    /// The thread.
    pub tid: i32,
}

/// A traced thread.
#[derive(Debug)]
struct Tracee {
    /// Its process.
    pid: i32,
    /// The process that traces it.
    tracer: i32,
    /// By PTRACE_SEIZE.
    seized: bool,
    /// `PTRACE_O_*`.
    options: u32,
    /// How it was last told to go on.
    mode: Mode,
    /// A SIGSTOP on its way.
    signal: Option<SigInfo>,
    /// It is to stop without a signal (PTRACE_INTERRUPT).
    trap: bool,
    /// The signal of a stop of its process that it is to join.
    joins: Option<i32>,
    /// The stop that it is in.
    stop: Option<Stop>,
    /// What its worker is to take to it.
    order: Option<Order>,
    /// An order is under way that is answered.
    asked: bool,
    /// The answer.
    answer: Option<Result<Vec<u8>, Errno>>,
    /// It was let go, and is forgotten when it has gone on.
    leaves: bool,
    /// Its program is being replaced by another thread: it is to end, and stops no more.
    dies: bool,
    /// As which it ends.
    status: Option<i32>,
    bell: Arc<Bell>,
}

/// A stop.
#[derive(Debug)]
struct Stop {
    kind: StopKind,
    /// The signal that a wait shows, and above it the event.
    code: u32,
    /// A wait has shown it.
    shown: bool,
    /// What PTRACE_GETSIGINFO tells; nothing in a stop of the process, unless it was seized.
    info: Option<SigInfo>,
    /// What PTRACE_GETEVENTMSG tells.
    message: u64,
    /// The thread's registers ([`rxbox_wire::ptrace`]).
    state: Vec<u8>,
    changed: bool,
    /// PTRACE_LISTEN.
    listens: bool,
    /// The process was continued since.
    continued: bool,
}

#[derive(Clone, Copy, Debug)]
struct Ended {
    tracer: i32,
    pid: i32,
    tid: i32,
    status: u32,
    /// It was no tracee but a companion, whose end is found by those only who wait for such.
    companion: bool,
}

/// Tells a tracer that something has happened to a thread of its.
#[derive(Debug)]
pub struct Notice {
    /// The tracer's process.
    pub tracer: i32,
    /// The SIGCHLD, unless it only has to look again.
    pub info: Option<Info>,
    /// Threads of it that wait.
    pub waiting: Vec<Waiter>,
}

/// What workers wait for: raised under the lock, slept on without it.
#[derive(Debug, Default)]
struct Bell(AtomicU32);

impl Bell {
    fn seen(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }
    fn ring(&self) {
        self.0.fetch_add(1, Ordering::Release);
        futex::wake(&self.0);
    }
    fn wait(&self, seen: u32) {
        futex::wait(&self.0, seen);
    }
}

/// A SIGTRAP, or another signal, that no process has sent.
fn own_signal(signal: i32, code: i32, tid: i32) -> SigInfo {
    let mut info = [0; relay::SIZE];
    info[..4].copy_from_slice(&signal.to_le_bytes());
    info[8..12].copy_from_slice(&code.to_le_bytes());
    info[16..20].copy_from_slice(&tid.to_le_bytes());
    info
}

impl Tracees {
    fn all(&self) -> Guard<'_, All> {
        self.all.lock()
    }

    /// Whether any thread was ever traced.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Takes a thread of a process as traced. EPERM if it is already; ESRCH unless both it and its tracer are
    /// `there`, asked for afterwards: if one of them ends later, it is let go.
    pub fn add(&self, pid: i32, tid: i32, wish: Wish, there: impl Fn() -> bool) -> Result<(), Errno> {
        self.insert(pid, tid, wish)?;
        if there() {
            return Ok(());
        }
        let gone = self.all().by_tid.remove(&tid);
        gone.into_iter().for_each(|tracee| tracee.bell.ring());
        Err(Errno::ESRCH)
    }

    fn insert(&self, pid: i32, tid: i32, wish: Wish) -> Result<(), Errno> {
        loop {
            let mut all = self.all();
            let leaving = match all.by_tid.get(&tid) {
                Some(tracee) if tracee.leaves => (tracee.bell.clone(), tracee.bell.seen()),
                Some(_) => return Err(Errno::EPERM),
                None => {
                    all.by_tid.insert(tid, Tracee::new(pid, wish));
                    self.any.store(true, Ordering::Release);
                    return Ok(());
                }
            };
            drop(all);
            leaving.0.wait(leaving.1);
        }
    }

    /// A thread of a process that goes on has ended.
    pub fn thread_ended(&self, pid: i32, tid: i32) -> Option<Notice> {
        if !self.any() {
            return None;
        }
        let mut all = self.all();
        all.waiting.retain(|waiter| waiter.tid != tid);
        if let Some((parent, status)) = all.companions.remove(&tid) {
            all.tracer_ended(tid);
            all.ended.push(Ended { tracer: parent, pid: tid, tid, status, companion: true });
            return Some(all.notice(parent, None));
        }
        // The first thread's number goes on as the process's.
        if tid == pid { None } else { all.forget(tid, None) }
    }

    /// Whether a process is a companion.
    pub fn is_companion(&self, tid: i32) -> bool {
        self.all().companions.contains_key(&tid)
    }

    /// A thread of a process is known as a process of its own.
    pub fn add_companion(&self, pid: i32, tid: i32) {
        self.all().companions.insert(tid, (pid, libc::SIGKILL as u32));
        self.any.store(true, Ordering::Release);
    }

    /// As which a companion ends.
    pub fn companion_exits(&self, tid: i32, status: u32) {
        if let Some(companion) = self.all().companions.get_mut(&tid) {
            companion.1 = status;
        }
    }

    /// A process whose parent is this one has ended: its threads are no tracees any more, and no tracers.
    /// Returns whom to tell, and which processes are to be killed with their tracer.
    pub fn process_ended(&self, pid: i32, parent: i32) -> (Vec<Notice>, Vec<i32>) {
        if !self.any() {
            return Default::default();
        }
        let mut all = self.all();
        all.waiting.retain(|waiter| waiter.process != pid);
        let mut own: Vec<i32> =
            all.by_tid.iter().filter(|(_, t)| t.pid == pid).map(|(tid, _)| *tid).collect();
        // The first thread ends last.
        own.sort_unstable_by_key(|tid| *tid == pid);
        let notices = own.into_iter().filter_map(|tid| all.forget(tid, Some(parent))).collect();
        let companions = all.companions.iter().filter(|(_, (process, _))| *process == pid);
        let companions: Vec<i32> = companions.map(|(tid, _)| *tid).collect();
        all.companions.retain(|_, (process, _)| *process != pid);
        let mut killed = all.tracer_ended(pid);
        companions.into_iter().for_each(|tid| killed.extend(all.tracer_ended(tid)));
        (notices, killed)
    }
}

impl Tracee {
    fn new(pid: i32, wish: Wish) -> Tracee {
        let Wish { tracer, seized, options, signal, trap } = wish;
        Tracee {
            pid,
            tracer,
            seized,
            options,
            mode: Mode::TRACED,
            signal,
            trap,
            joins: None,
            stop: None,
            order: None,
            asked: false,
            answer: None,
            leaves: false,
            dies: false,
            status: None,
            bell: Arc::default(),
        }
    }

    /// Lets a stopped thread go on, without a tracer; whether it was stopped.
    fn let_go(&mut self, signal: Option<SigInfo>) -> bool {
        let Some(stop) = self.stop.take() else {
            self.bell.ring();
            return self.leaves;
        };
        let state = stop.changed.then_some(stop.state);
        self.order = Some(Order::Resume { mode: Mode::empty(), signal, state });
        (self.leaves, self.asked) = (true, false);
        self.bell.ring();
        true
    }
}

impl All {
    /// Lets go what a tracer has traced that has ended; which processes are to be killed with it.
    fn tracer_ended(&mut self, tracer: i32) -> Vec<i32> {
        self.ended.retain(|ended| ended.tracer != tracer);
        let mut killed = Vec::new();
        self.by_tid.retain(|_, tracee| {
            if tracee.tracer != tracer {
                return true;
            }
            if tracee.options & EXIT_KILL != 0 {
                killed.push(tracee.pid);
            }
            let signal = tracee.stop.as_ref().filter(|stop| stop.kind == StopKind::Signal);
            let signal = signal.and_then(|stop| stop.info);
            tracee.let_go(signal)
        });
        killed
    }

    /// Forgets a tracee that has ended. Its tracer is told, unless that is the `parent` and this the first
    /// thread of the process: then the kernel tells it.
    fn forget(&mut self, tid: i32, parent: Option<i32>) -> Option<Notice> {
        let tracee = self.by_tid.remove(&tid)?;
        tracee.bell.ring();
        let (pid, tracer) = (tracee.pid, tracee.tracer);
        if tracee.leaves {
            return None;
        }
        let known = tid == pid && parent == Some(tracer) && tracer != OUTSIDE;
        let status = tracee.status.unwrap_or(libc::SIGKILL) as u32;
        if !known {
            self.ended.push(Ended { tracer, pid, tid, status, companion: false });
        }
        let (code, shown) = match status & 0x7f {
            0 => (libc::CLD_EXITED, status >> 8),
            signal => (libc::CLD_KILLED, signal),
        };
        let info = (!known && tid == pid).then(|| child_signal(tid, code, shown));
        Some(self.notice(tracer, info))
    }

    fn notice(&mut self, tracer: i32, info: Option<Info>) -> Notice {
        let waiting = self.waiting.extract_if(.., |waiter| waiter.tracer == tracer).collect();
        Notice { tracer, info, waiting }
    }
}

/// The SIGCHLD about a thread.
fn child_signal(tid: i32, code: i32, status: u32) -> Info {
    Info::sent(libc::SIGCHLD, code, tid, 0).with_value(status.into())
}

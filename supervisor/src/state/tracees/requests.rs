//! The tracer's side: what it asks of threads that it traces.

use super::{EVENT_STOP, SigInfo, Stop, Tracee, Tracees, Wish};
use nix::errno::Errno;
use rxbox_wire::ptrace::{Mode, Order, PIECE, StopKind};

/// How a stopped thread is to go on.
#[derive(Clone, Copy, Debug)]
pub struct Going {
    /// In which mode; without a tracer if it is empty.
    pub mode: Mode,
    /// With this signal, whose information is the tracer's if it is not the one of the stop.
    pub signal: Option<SigInfo>,
}

impl Tracees {
    /// Acts on a stop of a thread. ESRCH unless the thread is the tracer's and stopped. Waits while another
    /// thread of the tracer's has asked it for something.
    pub fn at_stop<T>(
        &self,
        tracer: i32,
        tid: i32,
        act: impl FnOnce(&mut StoppedTracee<'_>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        loop {
            let mut all = self.all();
            let tracee = all.by_tid.get_mut(&tid).filter(|t| t.tracer == tracer).ok_or(Errno::ESRCH)?;
            if tracee.stop.as_ref().is_none_or(|stop| stop.listens) {
                return Err(Errno::ESRCH);
            }
            if !tracee.asked {
                return act(&mut StoppedTracee(tracee));
            }
            let (bell, seen) = (tracee.bell.clone(), tracee.bell.seen());
            drop(all);
            bell.wait(seen);
        }
    }

    /// Gives a stopped thread an order, and waits for what comes of it.
    pub fn ask(&self, tracer: i32, tid: i32, order: Order) -> Result<Vec<u8>, Errno> {
        self.at_stop(tracer, tid, |stopped| {
            let StoppedTracee(tracee) = stopped;
            (tracee.order, tracee.answer, tracee.asked) = (Some(order), None, true);
            tracee.bell.ring();
            Ok(())
        })?;
        loop {
            let mut all = self.all();
            let tracee = all.by_tid.get_mut(&tid).filter(|t| t.tracer == tracer && t.asked);
            let tracee = tracee.ok_or(Errno::ESRCH)?;
            if let Some(answer) = tracee.answer.take() {
                tracee.asked = false;
                tracee.bell.ring();
                return answer;
            }
            let (bell, seen) = (tracee.bell.clone(), tracee.bell.seen());
            drop(all);
            bell.wait(seen);
        }
    }

    /// Reads ranges of the memory of a stopped thread, at most `most` bytes together, up to the first byte
    /// that is not there.
    pub fn read_memory(
        &self,
        tracer: i32,
        tid: i32,
        ranges: &[(u64, u64)],
        most: usize,
    ) -> Result<Vec<u8>, Errno> {
        let mut bytes = Vec::new();
        for (addr, len) in pieces(ranges, most) {
            let read = self.ask(tracer, tid, Order::Read { addr, len: len as u32 })?;
            bytes.extend(&read[..read.len().min(len)]);
            if read.len() < len {
                break;
            }
        }
        Ok(bytes)
    }

    /// Writes to ranges of the memory of a stopped thread, up to the first page that cannot be written: how
    /// many bytes, and why no more.
    pub fn write_memory(
        &self,
        tracer: i32,
        tid: i32,
        ranges: &[(u64, u64)],
        bytes: &[u8],
    ) -> (usize, Result<(), Errno>) {
        let mut done = 0;
        for (addr, len) in pieces(ranges, bytes.len()) {
            let order = Order::Write { addr, bytes: bytes[done..done + len].to_vec() };
            if let Err(e) = self.ask(tracer, tid, order) {
                return (done, Err(e));
            }
            done += len;
        }
        (done, Ok(()))
    }

    /// A thread is to stop without a signal (PTRACE_INTERRUPT); whether it has to look up for that. ESRCH if
    /// it is not the tracer's, EIO if it was not seized.
    pub fn interrupt(&self, tracer: i32, tid: i32) -> Result<bool, Errno> {
        let mut all = self.all();
        let tracee = all.by_tid.get_mut(&tid).filter(|t| t.tracer == tracer && !t.leaves);
        let tracee = tracee.ok_or(Errno::ESRCH)?;
        if !tracee.seized {
            return Err(Errno::EIO);
        }
        tracee.trap = true;
        tracee.bell.ring();
        Ok(tracee.stop.is_none())
    }

    /// Whether the thread is one that this process traces.
    pub fn is_tracer(&self, tracer: i32, tid: i32) -> bool {
        self.all().by_tid.get(&tid).is_some_and(|t| t.tracer == tracer && !t.leaves)
    }

    /// A thread of the process that is stopped for this tracer.
    pub fn stopped_thread(&self, tracer: i32, pid: i32) -> Option<i32> {
        let all = self.all();
        let stopped = |t: &Tracee| t.pid == pid && t.tracer == tracer && t.stop.is_some();
        all.by_tid.iter().find(|(_, t)| stopped(t)).map(|(tid, _)| *tid)
    }

    /// The process of a traced thread.
    pub fn process_of(&self, tid: i32) -> Option<i32> {
        self.all().by_tid.get(&tid).map(|t| t.pid)
    }

    /// Who traces a thread; 0 for nobody.
    pub fn tracer_of(&self, tid: i32) -> i32 {
        self.all().by_tid.get(&tid).filter(|t| !t.leaves).map_or(0, |t| t.tracer)
    }

    /// Which process traces a thread, and how its new threads and processes are to be traced that this event
    /// announces (`PTRACE_EVENT_*`).
    pub fn inherited(&self, tid: i32, event: u32) -> Option<Wish> {
        if !self.any() || event == 0 || event > 3 {
            return None;
        }
        let all = self.all();
        let tracee = all.by_tid.get(&tid).filter(|t| !t.leaves && t.options >> event & 1 != 0)?;
        let signal = (!tracee.seized).then(|| super::own_signal(libc::SIGSTOP, libc::SI_USER, 0));
        let (tracer, seized, options) = (tracee.tracer, tracee.seized, tracee.options);
        Some(Wish { tracer, seized, options, signal, trap: seized })
    }
}

/// Ranges as pieces within pages, at most `most` bytes together.
fn pieces(ranges: &[(u64, u64)], most: usize) -> Vec<(u64, usize)> {
    let mut pieces = Vec::new();
    let mut left = most as u64;
    for &(mut addr, mut len) in ranges {
        while len > 0 && left > 0 {
            let n = (PIECE as u64 - addr % PIECE as u64).min(len).min(left);
            pieces.push((addr, n as usize));
            (addr, len, left) = (addr.wrapping_add(n), len - n, left - n);
        }
    }
    pieces
}

/// A thread that is stopped, in the hands of its tracer.
#[derive(Debug)]
pub struct StoppedTracee<'a>(&'a mut Tracee);

impl StoppedTracee<'_> {
    fn stop(&mut self) -> Result<&mut Stop, Errno> {
        self.0.stop.as_mut().ok_or(Errno::ESRCH)
    }

    /// The kind of the stop.
    pub fn kind(&mut self) -> Result<StopKind, Errno> {
        self.stop().map(|stop| stop.kind)
    }

    /// The thread's state ([`rxbox_wire::ptrace`]).
    pub fn state(&mut self) -> Result<&[u8], Errno> {
        self.stop().map(|stop| stop.state.as_slice())
    }

    /// The thread's state, to change it.
    pub fn state_mut(&mut self) -> Result<&mut [u8], Errno> {
        let stop = self.stop()?;
        stop.changed = true;
        Ok(&mut stop.state)
    }

    /// PTRACE_GETSIGINFO: EINVAL in a stop of the process.
    pub fn info(&mut self) -> Result<SigInfo, Errno> {
        self.stop()?.info.ok_or(Errno::EINVAL)
    }

    /// PTRACE_SETSIGINFO.
    pub fn set_info(&mut self, info: SigInfo) -> Result<(), Errno> {
        let stop = self.stop()?;
        stop.info = Some(stop.info.and(Some(info)).ok_or(Errno::EINVAL)?);
        Ok(())
    }

    /// PTRACE_GETEVENTMSG.
    pub fn message(&mut self) -> Result<u64, Errno> {
        self.stop().map(|stop| stop.message)
    }

    /// PTRACE_SETOPTIONS.
    pub fn set_options(&mut self, options: u32) {
        self.0.options = options;
    }

    /// PTRACE_LISTEN: EIO unless it was seized and its process is stopped.
    pub fn listen(&mut self) -> Result<(), Errno> {
        let seized = self.0.seized;
        let stop = self.stop()?;
        if !seized || stop.code >> 8 != EVENT_STOP {
            return Err(Errno::EIO);
        }
        stop.listens = true;
        self.0.bell.ring();
        Ok(())
    }

    /// Lets the thread go on.
    pub fn go_on(&mut self, going: Going) -> Result<(), Errno> {
        let stop = self.0.stop.take().ok_or(Errno::ESRCH)?;
        let number = |info: &SigInfo| info[..4].to_vec();
        let same = |own: &SigInfo| going.signal.is_some_and(|signal| number(&signal) == number(own));
        let own = stop.info.filter(|own| stop.kind == StopKind::Signal && same(own));
        if going.mode.is_empty() {
            self.0.stop = Some(stop);
            self.0.let_go(own.or(going.signal));
            return Ok(());
        }
        let state = stop.changed.then_some(stop.state);
        self.0.mode = going.mode;
        self.0.order = Some(Order::Resume { mode: going.mode, signal: own.or(going.signal), state });
        self.0.bell.ring();
        Ok(())
    }
}

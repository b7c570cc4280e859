//! What the debugger's protocol asks of the traced process.

use super::connection::Connection;
use super::inferior::{Inferior, Told};
use super::registers::{Guest, Registers};
use super::signals::{from_gdb, to_gdb};
use gdbstub::common::{Signal, Tid};
use gdbstub::conn::ConnectionExt;
use gdbstub::stub::MultiThreadStopReason;
use gdbstub::stub::run_blocking::{BlockingEventLoop, Event, WaitForStopReasonError};
use gdbstub::target::ext::auxv::{Auxv, AuxvOps};
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::multithread::{
    MultiThreadBase, MultiThreadResume, MultiThreadResumeOps, MultiThreadSchedulerLocking,
    MultiThreadSchedulerLockingOps, MultiThreadSingleStep, MultiThreadSingleStepOps,
};
use gdbstub::target::{Target, TargetError, TargetResult};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rxbox_wire::ptrace::Mode;
use std::os::fd::AsFd;

/// An error that the debugger is told, and goes on.
fn told<T>(result: Result<T, Errno>) -> TargetResult<T, Inferior> {
    result.map_err(|errno| TargetError::Errno(errno as i32 as u8))
}

/// Numbers of threads are positive.
fn number(tid: Tid) -> i32 {
    i32::try_from(tid.get()).unwrap_or(0)
}

impl Target for Inferior {
    type Arch = Guest;
    type Error = Errno;

    fn base_ops(&mut self) -> BaseOps<'_, Guest, Errno> {
        BaseOps::MultiThread(self)
    }
    fn guard_rail_implicit_sw_breakpoints(&self) -> bool {
        // The debugger writes them into memory, from which it goes on as Linux does.
        true
    }
    fn support_auxv(&mut self) -> Option<AuxvOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadBase for Inferior {
    fn read_registers(&mut self, registers: &mut Registers, tid: Tid) -> TargetResult<(), Self> {
        *registers = told(self.at_stop(number(tid), |stopped| Ok(Registers::of(stopped.state()?))))?;
        Ok(())
    }
    fn write_registers(&mut self, registers: &Registers, tid: Tid) -> TargetResult<(), Self> {
        told(self.at_stop(number(tid), |stopped| {
            registers.put(stopped.state_mut()?);
            Ok(())
        }))
    }
    fn read_addrs(&mut self, start: u64, data: &mut [u8], tid: Tid) -> TargetResult<usize, Self> {
        told(self.read(number(tid), start, data))
    }
    fn write_addrs(&mut self, start: u64, data: &[u8], tid: Tid) -> TargetResult<(), Self> {
        told(self.write(number(tid), start, data))
    }
    fn list_active_threads(&mut self, is_active: &mut dyn FnMut(Tid)) -> Result<(), Errno> {
        let tids = self.threads().into_iter().filter_map(|tid| Tid::new(usize::try_from(tid).ok()?));
        tids.for_each(is_active);
        Ok(())
    }
    fn support_resume(&mut self) -> Option<MultiThreadResumeOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadResume for Inferior {
    fn resume(&mut self) -> Result<(), Errno> {
        self.go_on();
        Ok(())
    }
    fn clear_resume_actions(&mut self) -> Result<(), Errno> {
        self.forget_plans();
        Ok(())
    }
    fn set_resume_action_continue(&mut self, tid: Tid, signal: Option<Signal>) -> Result<(), Errno> {
        self.plan(number(tid), Mode::empty(), signal.and_then(|signal| from_gdb(signal.0)));
        Ok(())
    }
    fn support_single_step(&mut self) -> Option<MultiThreadSingleStepOps<'_, Self>> {
        Some(self)
    }
    fn support_scheduler_locking(&mut self) -> Option<MultiThreadSchedulerLockingOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadSingleStep for Inferior {
    fn set_resume_action_step(&mut self, tid: Tid, signal: Option<Signal>) -> Result<(), Errno> {
        self.plan(number(tid), Mode::STEP, signal.and_then(|signal| from_gdb(signal.0)));
        Ok(())
    }
}

impl MultiThreadSchedulerLocking for Inferior {
    fn set_resume_action_scheduler_lock(&mut self) -> Result<(), Errno> {
        self.others_stay();
        Ok(())
    }
}

impl Auxv for Inferior {
    fn get_auxv(&self, offset: u64, length: usize, buf: &mut [u8]) -> TargetResult<usize, Self> {
        let vector = told(self.auxiliary_vector())?;
        let rest = usize::try_from(offset).ok().and_then(|from| vector.get(from..)).unwrap_or_default();
        let n = rest.len().min(length).min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}

/// Waits for the debugger and for the threads at once.
#[derive(Debug)]
pub(super) enum EventLoop {}

type Waited = Result<Event<MultiThreadStopReason<u64>>, WaitForStopReasonError<Errno, Errno>>;

impl BlockingEventLoop for EventLoop {
    type Target = Inferior;
    type Connection = Connection;
    type StopReason = MultiThreadStopReason<u64>;

    fn wait_for_stop_reason(inferior: &mut Inferior, connection: &mut Connection) -> Waited {
        loop {
            inferior.look();
            if let Some(told) = inferior.news() {
                return Ok(Event::TargetStopped(reason(told)));
            }
            let mut ready = [PollFd::new(connection.as_fd(), PollFlags::POLLIN), inferior.bell()];
            let wait = if connection.has_input() { PollTimeout::ZERO } else { PollTimeout::NONE };
            match poll(&mut ready, wait) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(e) => return Err(WaitForStopReasonError::Target(e)),
            }
            if connection.has_input() || ready[0].any() == Some(true) {
                let byte = ConnectionExt::read(connection).map_err(WaitForStopReasonError::Connection)?;
                return Ok(Event::IncomingData(byte));
            }
        }
    }

    fn on_interrupt(inferior: &mut Inferior) -> Result<Option<MultiThreadStopReason<u64>>, Errno> {
        inferior.interrupt();
        Ok(None)
    }
}

fn reason(told: Told) -> MultiThreadStopReason<u64> {
    let signal = |signal| Signal(to_gdb(signal));
    match told {
        Told::Exited(status) => MultiThreadStopReason::Exited(status),
        Told::Killed(by) => MultiThreadStopReason::Terminated(signal(by)),
        Told::Signal(tid, got) => match usize::try_from(tid).ok().and_then(Tid::new) {
            Some(tid) => MultiThreadStopReason::SignalWithThread { tid, signal: signal(got) },
            None => MultiThreadStopReason::Signal(signal(got)),
        },
    }
}

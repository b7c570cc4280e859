//! Timers that raise signals: alarm(2), setitimer(2), timer_create(2).
//!
//! They are the host's: a guest process is a host process and a guest thread a host thread, so the signals
//! arrive where the guest expects them, with the siginfo and the overrun counts that the kernel keeps. Timer
//! numbers are the kernel's, since nothing but the guest makes timers here.

use super::host::{self, IntervalCall};
use crate::guest::access;
use crate::thread::Thread;
use nix::errno::Errno;

/// alarm(2).
pub fn alarm(args: &[u64; 6]) -> Result<i64, Errno> {
    Ok(host::alarm(args[0] as u32))
}

/// getitimer(2).
pub fn getitimer(thread: &Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    interval(thread, IntervalCall::Getitimer, args[0], 0, args[1])
}

/// setitimer(2).
pub fn setitimer(thread: &Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    interval(thread, IntervalCall::Setitimer, args[0], args[1], args[2])
}

/// timer_gettime(2).
pub fn gettime(thread: &Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    interval(thread, IntervalCall::Gettime, args[0], 0, args[1])
}

/// timer_settime(2).
pub fn settime(thread: &Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    interval(thread, IntervalCall::Settime(args[1]), args[0], args[2], args[3])
}

/// timer_getoverrun(2).
pub fn getoverrun(args: &[u64; 6]) -> Result<i64, Errno> {
    host::timer_getoverrun(args[0])
}

/// The structure at a guest address; `None` for a null pointer.
fn read<const N: usize>(addr: u64) -> Result<Option<[u8; N]>, Errno> {
    if addr == 0 {
        return Ok(None);
    }
    let mut bytes = [0; N];
    access::copy_in(&mut bytes, addr)?;
    Ok(Some(bytes))
}

/// A call with a new value, an old one, or both; the addresses may be null.
fn interval(thread: &Thread, call: IntervalCall, timer: u64, new: u64, old: u64) -> Result<i64, Errno> {
    let given = read(new)?;
    let mut before = (old != 0).then_some([0; 32]);
    let value = host::interval_call(call, timer, given.as_ref(), before.as_mut())?;
    if let Some(before) = before {
        thread.process.copy_out(old, &before)?;
    }
    Ok(value)
}

/// The fixed number of a clock on which the guest may have a timer: processor clocks of its own process or
/// thread have one beside those that are made of a process's id (clock_getcpuclockid(3)), and no others are
/// possible.
fn own_clock(thread: &Thread, clock: i32) -> Result<i32, Errno> {
    /// Low bits of a made number: the clock of POSIX, of a process or of a thread.
    const OF_PROCESS: i32 = 2;
    const OF_THREAD: i32 = 6;
    let (whose, which) = (!(clock >> 3), clock & 7);
    match which {
        _ if clock >= 0 => {
            if clock <= libc::CLOCK_TAI {
                Ok(clock)
            } else {
                Err(Errno::EINVAL)
            }
        }
        OF_PROCESS if whose == 0 || whose == std::process::id() as i32 => Ok(libc::CLOCK_PROCESS_CPUTIME_ID),
        OF_THREAD if whose == 0 || whose == thread.tid => Ok(libc::CLOCK_THREAD_CPUTIME_ID),
        _ => Err(Errno::EINVAL),
    }
}

/// timer_create(2). A timer whose number cannot be told is taken away again, as the kernel does.
pub fn create(thread: &Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    let [clock, event, at, ..] = *args;
    let clock = own_clock(thread, clock as i32)?;
    let event = read(event)?;
    let timer = host::timer_create(clock as u64, event.as_ref())?;
    if let Err(e) = thread.process.copy_out(at, &timer.to_le_bytes()) {
        let _ = host::timer_delete(timer);
        return Err(e);
    }
    thread.process.actions.lock().timers.push(timer);
    Ok(0)
}

/// timer_delete(2).
pub fn delete(thread: &Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    let timer = args[0] as i32;
    let value = host::timer_delete(timer)?;
    thread.process.actions.lock().timers.retain(|&t| t != timer);
    Ok(value)
}

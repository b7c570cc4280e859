//! Clocks, sleeping, and the time that a guest has used.
//!
//! Time that passes is the host's. Time that is *used* is that of the emulator child, which runs the guest:
//! clocks of the caller's own process and threads are read there.

use super::event::ALARM_CLOCKS;
use super::usage::thread_time;
use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::wait::{Clock, Time, clock, sleep};
use crate::state::process::Process;
use nix::errno::Errno;
use std::sync::Arc;

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[
    ("clock_gettime", clock_gettime),
    ("clock_getres", clock_getres),
    ("gettimeofday", gettimeofday),
    ("time", time),
    ("nanosleep", nanosleep),
    ("clock_nanosleep", clock_nanosleep),
    ("clock_settime", clock_settime),
];

/// What a guest's clock number means.
#[derive(Debug)]
enum Meaning {
    /// A clock of the host.
    Host(i32),
    /// A processor clock of a process.
    Process(Arc<Process>, i32),
    /// Processor time of this thread of the caller.
    Thread(i32),
}

/// Low bits of the number of a processor clock (posix-timers in the kernel): which of its clocks, and whether
/// of a thread.
const CLOCK_MASK: i32 = 3;
const PER_THREAD: i32 = 4;
/// The processor clock that the POSIX clocks mean.
const SCHEDULED: i32 = 2;

/// The number of the processor clock of process `pid` (clock_getcpuclockid(3)).
fn process_clock(pid: i32, which: i32) -> i32 {
    !pid << 3 | which
}

fn meaning(call: &Call<'_>, id: i32) -> Result<Meaning, Errno> {
    match id {
        libc::CLOCK_PROCESS_CPUTIME_ID => Ok(Meaning::Process(call.process.clone(), SCHEDULED)),
        libc::CLOCK_THREAD_CPUTIME_ID => Ok(Meaning::Thread(call.tid)),
        0.. => Ok(Meaning::Host(id)),
        // Three is the clock of a descriptor, a device that no guest has.
        _ if id & CLOCK_MASK == 3 => Err(Errno::EINVAL),
        _ if id & PER_THREAD != 0 => match !(id >> 3) {
            0 => Ok(Meaning::Thread(call.tid)),
            tid => Ok(Meaning::Thread(tid)),
        },
        _ => match !(id >> 3) {
            0 => Ok(Meaning::Process(call.process.clone(), id & CLOCK_MASK)),
            pid => {
                let process =
                    call.sandbox.processes.meant(pid).filter(|p| p.pid == pid).ok_or(Errno::EINVAL)?;
                Ok(Meaning::Process(process, id & CLOCK_MASK))
            }
        },
    }
}

/// Nanoseconds as a `timespec`.
fn timespec(ns: u64) -> Time {
    [ns / 1_000_000_000, ns % 1_000_000_000]
}

/// What a processor clock of a process tells.
fn used(process: &Process, which: i32, what: Clock) -> Result<Time, Errno> {
    process.handle.look(|pid| clock(what, process_clock(pid, which)))
}

fn clock_gettime(call: &mut Call<'_>) -> SyscallResult {
    let now = match meaning(call, call.i32(0))? {
        Meaning::Host(id) => clock(Clock::Time, id)?,
        Meaning::Process(process, which) => used(&process, which, Clock::Time)?,
        Meaning::Thread(tid) => timespec(thread_time(call.process, tid)?),
    };
    call.put_words(1, &now).map(|()| 0)
}

fn clock_getres(call: &mut Call<'_>) -> SyscallResult {
    let resolution = match meaning(call, call.i32(0))? {
        Meaning::Host(id) => clock(Clock::Resolution, id)?,
        Meaning::Process(process, which) => used(&process, which, Clock::Resolution)?,
        Meaning::Thread(_) => timespec(1),
    };
    call.put_words(1, &resolution)?;
    Ok(0)
}

fn gettimeofday(call: &mut Call<'_>) -> SyscallResult {
    let [s, ns] = clock(Clock::Time, libc::CLOCK_REALTIME)?;
    call.put_words(0, &[s, ns / 1000])?;
    call.put(1, &[0; 8])?;
    Ok(0)
}

fn time(call: &mut Call<'_>) -> SyscallResult {
    let [s, _] = clock(Clock::Time, libc::CLOCK_REALTIME)?;
    call.put_words(0, &[s])?;
    Ok(s as i64)
}

fn nanosleep(call: &mut Call<'_>) -> SyscallResult {
    sleep_on(call, libc::CLOCK_MONOTONIC, 0, [0, 1])
}

fn clock_nanosleep(call: &mut Call<'_>) -> SyscallResult {
    match meaning(call, call.i32(0))? {
        Meaning::Host(id) if ALARM_CLOCKS.contains(&id) => Err(Errno::EPERM),
        Meaning::Host(id) => sleep_on(call, id, call.u32(1), [2, 3]),
        Meaning::Process(process, which) => {
            let id = process.handle.look(|pid| Ok(process_clock(pid, which)))?;
            sleep_on(call, id, call.u32(1), [2, 3])
        }
        // On the caller's own clock nobody can sleep: the kernel does not offer it by its name, and refuses
        // it by the thread's number.
        Meaning::Thread(_) if call.i32(0) == libc::CLOCK_THREAD_CPUTIME_ID => Err(Errno::EOPNOTSUPP),
        Meaning::Thread(_) => Err(Errno::EINVAL),
    }
}

/// clock_settime(2): the clock is the whole machine's.
fn clock_settime(call: &mut Call<'_>) -> SyscallResult {
    if call.i32(0) != libc::CLOCK_REALTIME {
        return Err(Errno::EINVAL);
    }
    let [seconds, nanoseconds] = call.words(1)?;
    let valid = (seconds as i64) >= 0 && nanoseconds < 1_000_000_000;
    Err(if valid { Errno::EPERM } else { Errno::EINVAL })
}

/// Sleeps for the time in the first of the two arguments; an interrupted relative sleep leaves the rest in
/// the second.
fn sleep_on(call: &mut Call<'_>, id: i32, flags: u32, [request, rest]: [usize; 2]) -> SyscallResult {
    let time = call.words(request)?;
    let mut left = [0; 2];
    let done = sleep(id, flags, &time, &mut left);
    if done == Err(Errno::EINTR) && flags & libc::TIMER_ABSTIME as u32 == 0 {
        call.put_words(rest, &left)?;
    }
    done
}

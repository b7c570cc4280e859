//! Resources that a guest has used: getrusage(2), times(2). The kernel accounts them to the emulator child,
//! and tells them in `/proc` (proc_pid_stat(5), proc_pid_schedstat in the kernel's documentation).

use crate::context::{Call, Entry, grant};
use crate::host::SyscallResult;
use crate::host::stat::{Stat, Status};
use crate::host::wait::{Clock, clock};
use crate::state::process::Process;
use nix::errno::Errno;
use std::fs;

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[("getrusage", getrusage), ("times", times)];

/// Clock ticks in a second, fixed in the kernel's interface on x86-64.
const TICKS: u64 = 100;

/// Nanoseconds of processor time of a thread; ESRCH if the process has no such thread.
pub(super) fn thread_time(process: &Process, tid: i32) -> Result<u64, Errno> {
    let read = |pid, tid| fs::read_to_string(format!("/proc/{pid}/task/{tid}/schedstat"));
    let read = |pid, tid| read(pid, tid).map_err(|_| Errno::EINVAL);
    let text = process.handle.look_at_thread(tid, read)?;
    text.split_ascii_whitespace().next().and_then(|ns| ns.parse().ok()).ok_or(Errno::EINVAL)
}

/// Nanoseconds of processor time of a process.
fn process_time(process: &Process) -> Result<u64, Errno> {
    let [s, ns] = process.handle.look(|pid| clock(Clock::Time, !pid << 3 | 2))?;
    Ok(s * 1_000_000_000 + ns)
}

fn stat(process: &Process) -> Result<Stat, Errno> {
    process.handle.look(|pid| Stat::of_process(pid).ok_or(Errno::ESRCH))
}

const MINOR_FAULTS: usize = 10;
const MAJOR_FAULTS: usize = 12;
const USER: usize = 14;
const SYSTEM: usize = 15;
const CHILDREN_USER: usize = 16;
const CHILDREN_SYSTEM: usize = 17;

/// User and system time in microseconds: the exact sum, divided as the ticks are.
fn split(total_ns: u64, user_ticks: u64, system_ticks: u64) -> [u64; 2] {
    let total = total_ns / 1000;
    let ticks = user_ticks + system_ticks;
    let system = if ticks == 0 {
        0
    } else {
        (u128::from(total) * u128::from(system_ticks) / u128::from(ticks)) as u64
    };
    [total - system, system]
}

/// Kibibytes of the largest resident set so far.
fn largest_set(process: &Process) -> u64 {
    let status = process.handle.look(|pid| Status::of_process(pid).ok_or(Errno::ESRCH)).ok();
    let value = status.as_ref().map_or("", |status| status.value("VmHWM"));
    value.split_ascii_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// The 18 words of a `struct rusage` (getrusage(2)).
fn getrusage(call: &mut Call<'_>) -> SyscallResult {
    let (process, tid) = (call.process, call.tid);
    let (stat, [user, system], set) = match call.i32(0) {
        libc::RUSAGE_SELF => {
            let stat = stat(process)?;
            let used = split(process_time(process)?, stat.field(USER), stat.field(SYSTEM));
            (stat, used, largest_set(process))
        }
        libc::RUSAGE_THREAD => {
            let stat = process
                .handle
                .look_at_thread(tid, |pid, tid| Stat::of_thread(pid, tid).ok_or(Errno::ESRCH))?;
            let used = split(thread_time(process, tid)?, stat.field(USER), stat.field(SYSTEM));
            (stat, used, largest_set(process))
        }
        // They were the child's, and the kernel tells it alone what was the largest set among them.
        libc::RUSAGE_CHILDREN => return grant(call),
        _ => return Err(Errno::EINVAL),
    };
    let mut words = [0; 18];
    words[..4].copy_from_slice(&[user / 1_000_000, user % 1_000_000, system / 1_000_000, system % 1_000_000]);
    words[4] = set;
    words[8] = stat.field(MINOR_FAULTS);
    words[9] = stat.field(MAJOR_FAULTS);
    call.put_words(1, &words).map(|()| 0)
}

fn times(call: &mut Call<'_>) -> SyscallResult {
    let stat = stat(call.process)?;
    call.put_words(0, &[USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM].map(|f| stat.field(f)))?;
    let [s, ns] = clock(Clock::Time, libc::CLOCK_BOOTTIME)?;
    Ok((s * TICKS + ns / (1_000_000_000 / TICKS)) as i64)
}

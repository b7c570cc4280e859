//! prctl(2): on what the supervisor keeps of a process and its threads ([`crate::state::attributes`]).
//! Nothing here changes the host process: its own hardening (no new privileges, no capabilities, death with
//! the supervisor) is in force from the start and stays. That orphans go to a process the kernel must be told
//! (PR_SET_CHILD_SUBREAPER), by the emulator child itself.

use super::capability;
use crate::context::{Call, Entry, grant};
use crate::host::SyscallResult;
use crate::state::attributes::{SLACK, comm_field};
use nix::errno::Errno;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[("prctl", prctl)];

/// Gives the auxiliary vector (since Linux 6.4).
const PR_GET_AUXV: i32 = 0x4155_5856;

fn prctl(call: &mut Call<'_>) -> SyscallResult {
    let a = &call.process.attributes;
    match call.i32(0) {
        libc::PR_SET_NAME => {
            call.process.set_thread_name(call.tid, call.string(1)?.to_bytes());
            Ok(0)
        }
        libc::PR_GET_NAME => get_name(call),
        // A companion ends with its process anyway.
        libc::PR_SET_PDEATHSIG if call.process.threads.is_companion(call.tid) => Ok(0),
        libc::PR_SET_PDEATHSIG => set_checked(&a.parent_death_signal, call, 0..=64),
        libc::PR_GET_PDEATHSIG => {
            let signal = a.parent_death_signal.load(Relaxed);
            put_number(call, signal)
        }
        libc::PR_SET_DUMPABLE => set_checked(&a.dumpable, call, 0..=1),
        libc::PR_GET_DUMPABLE => Ok(a.dumpable.load(Relaxed).into()),
        libc::PR_SET_THP_DISABLE => {
            zero(call, 2..5)?;
            a.huge_pages_off.store(i32::from(call.u64(1) != 0), Relaxed);
            Ok(0)
        }
        libc::PR_GET_THP_DISABLE => zero(call, 1..5).map(|()| a.huge_pages_off.load(Relaxed).into()),
        libc::PR_SET_TIMERSLACK => {
            a.slack.store(if call.i64(1) <= 0 { SLACK } else { call.u64(1) }, Relaxed);
            Ok(0)
        }
        libc::PR_GET_TIMERSLACK => Ok(a.slack.load(Relaxed) as i64),
        libc::PR_SET_CHILD_SUBREAPER | libc::PR_GET_CHILD_SUBREAPER | libc::PR_GET_TID_ADDRESS => grant(call),
        PR_GET_AUXV => zero(call, 3..5).and_then(|()| grant(call)),
        _ => unprivileged(call),
    }
}

/// Commands whose answer is the same for every process without privileges and without a way to get any.
fn unprivileged(call: &Call<'_>) -> SyscallResult {
    match call.i32(0) {
        libc::PR_SET_NO_NEW_PRIVS if call.u64(1) != 1 => Err(Errno::EINVAL),
        libc::PR_SET_NO_NEW_PRIVS => zero(call, 2..5).map(|()| 0),
        libc::PR_GET_NO_NEW_PRIVS => zero(call, 1..5).map(|()| 1),
        libc::PR_SET_TIMING if call.u64(1) >= 1 => Err(Errno::EINVAL),
        libc::PR_SET_TIMING | libc::PR_GET_TIMING | libc::PR_GET_SECCOMP => Ok(0),
        libc::PR_SET_PTRACER => match call.i32(1) {
            // Whoever may trace it may do so anyway.
            0 | -1 => Ok(0),
            pid => call.sandbox.processes.meant(pid).map(|_| 0).ok_or(Errno::EINVAL),
        },
        // Nothing can be counted in the first place.
        libc::PR_TASK_PERF_EVENTS_DISABLE | libc::PR_TASK_PERF_EVENTS_ENABLE => Ok(0),
        _ => capability::command(call).unwrap_or(Err(Errno::EINVAL)),
    }
}

/// EINVAL unless these arguments are zero.
fn zero(call: &Call<'_>, mut which: std::ops::Range<usize>) -> Result<(), Errno> {
    if which.all(|i| call.u64(i) == 0) { Ok(()) } else { Err(Errno::EINVAL) }
}

fn set_checked(to: &AtomicI32, call: &Call<'_>, range: std::ops::RangeInclusive<u64>) -> SyscallResult {
    if !range.contains(&call.u64(1)) {
        return Err(Errno::EINVAL);
    }
    to.store(call.i32(1), Relaxed);
    Ok(0)
}

fn put_number(call: &mut Call<'_>, number: i32) -> SyscallResult {
    call.put(1, &number.to_le_bytes())?;
    Ok(0)
}

fn get_name(call: &mut Call<'_>) -> SyscallResult {
    let field = comm_field(&call.process.thread_name(call.tid));
    call.put(1, &field)?;
    Ok(0)
}

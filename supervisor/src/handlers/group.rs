//! The calls on process groups and sessions ([`crate::state::groups`]).

use crate::context::{Call, Entry, grant};
use crate::host::SyscallResult;
use crate::state::groups::{group_of, session_of};
use nix::errno::Errno;

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[
    ("getpgrp", get_own_group),
    ("getpgid", get_group),
    ("setpgid", set_group),
    ("getsid", get_session),
    ("setsid", grant),
];

/// The process that `pid` names, 0 being the caller; ESRCH if it is none of the sandbox.
fn named(call: &Call<'_>, pid: i32) -> Result<i32, Errno> {
    match pid {
        0 => Ok(call.process.pid),
        pid if call.sandbox.processes.get(pid).is_some() || call.sandbox.processes.has_zombie(pid) => Ok(pid),
        _ => Err(Errno::ESRCH),
    }
}

fn get_own_group(call: &mut Call<'_>) -> SyscallResult {
    group_of(call.process.pid).map(i64::from).ok_or(Errno::ESRCH)
}

fn get_group(call: &mut Call<'_>) -> SyscallResult {
    group_of(named(call, call.i32(0))?).map(i64::from).ok_or(Errno::ESRCH)
}

fn get_session(call: &mut Call<'_>) -> SyscallResult {
    session_of(named(call, call.i32(0))?).map(i64::from).ok_or(Errno::ESRCH)
}

/// What the kernel cannot know of a guest: that it has executed a program since it was forked, and that the
/// init process's group is none of its session's. All else it checks itself when the child makes the call.
fn set_group(call: &mut Call<'_>) -> SyscallResult {
    let group = call.i32(1);
    if group < 0 {
        return Err(Errno::EINVAL);
    }
    let target = named(call, call.i32(0))?;
    let other = call.sandbox.processes.get(target).filter(|p| p.pid != call.process.pid);
    if other.is_some_and(|p| p.ppid() == call.process.pid && p.changed_program()) {
        return Err(Errno::EACCES);
    }
    let of_session = group != 0 && Some(group) == session_of(call.process.pid);
    let outside = of_session && call.sandbox.processes.members(group).is_empty();
    if outside { Err(Errno::EPERM) } else { grant(call) }
}

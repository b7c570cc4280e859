//! The calls on process groups and sessions ([`crate::state::groups`]).

use crate::context::{Call, Entry, grant};
use crate::host::SyscallResult;
use crate::state::process::Process;
use nix::errno::Errno;
use std::sync::Arc;

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[
    ("getpgrp", get_own_group),
    ("getpgid", get_group),
    ("setpgid", set_group),
    ("getsid", get_session),
    ("setsid", grant),
];

/// The process that `pid` names, 0 being the caller; ESRCH if it is none of the sandbox.
fn named(call: &Call<'_>, pid: i32) -> Result<Arc<Process>, Errno> {
    let processes = &call.sandbox.processes;
    match pid {
        0 => Ok(call.process.clone()),
        pid => processes.meant(pid).ok_or(Errno::ESRCH),
    }
}

fn get_own_group(call: &mut Call<'_>) -> SyscallResult {
    call.process.handle.group().map(i64::from).ok_or(Errno::ESRCH)
}

fn get_group(call: &mut Call<'_>) -> SyscallResult {
    named(call, call.i32(0))?.handle.group().map(i64::from).ok_or(Errno::ESRCH)
}

fn get_session(call: &mut Call<'_>) -> SyscallResult {
    named(call, call.i32(0))?.handle.session().map(i64::from).ok_or(Errno::ESRCH)
}

/// What the kernel cannot know of a guest: that it has executed a program since it was forked, and that the
/// init process's group is none of its session's. All else it checks itself when the child makes the call.
fn set_group(call: &mut Call<'_>) -> SyscallResult {
    let group = call.i32(1);
    if group < 0 {
        return Err(Errno::EINVAL);
    }
    let target = named(call, call.i32(0))?;
    let of_caller = target.pid != call.process.pid && target.ppid() == call.process.pid;
    if of_caller && target.changed_program() {
        return Err(Errno::EACCES);
    }
    let of_session = group != 0 && Some(group) == call.process.handle.session();
    let outside = of_session && call.sandbox.processes.members(group).is_empty();
    if outside { Err(Errno::EPERM) } else { grant(call) }
}

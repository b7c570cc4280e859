//! Process groups and sessions (credentials(7)).
//!
//! The host's kernel keeps them. The emulator children are in a session of the warden's, which has no terminal, and a
//! guest's setpgid(2) or setsid(2) is carried out by its emulator child on itself or on a child of its own. So groups are
//! inherited over fork(2), waited for (wait4(2)) and orphaned as natively, and the numbers are the guest's own process
//! ids. A group or session of the host outside of the sandbox cannot be reached: a group is joined within the session
//! only, and what the session has besides guests is the warden alone.

use super::signal::{hang_up, in_sandbox};
use crate::context::{Call, Entry, grant};
use crate::host::SyscallResult;
use crate::host::stat::{is_stopped, parent_of};
use crate::sandbox::Sandbox;
use crate::state::process::Process;
use nix::errno::Errno;
use nix::unistd::{Pid, getpgid, getsid};
use std::sync::Arc;

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[
    ("getpgrp", get_own_group),
    ("getpgid", get_group),
    ("setpgid", set_group),
    ("getsid", get_session),
    ("setsid", grant),
];

/// The group of a process; `None` once it is gone.
pub fn of(pid: i32) -> Option<i32> {
    getpgid(Some(Pid::from_raw(pid))).ok().map(Pid::as_raw)
}

/// The session of a process; `None` once it is gone.
pub fn session_of(pid: i32) -> Option<i32> {
    getsid(Some(Pid::from_raw(pid))).ok().map(Pid::as_raw)
}

/// The processes of a group.
pub fn members(sandbox: &Sandbox, group: i32) -> Vec<Arc<Process>> {
    sandbox.processes().into_iter().filter(|p| of(p.pid) == Some(group)).collect()
}

/// Whether the sandbox has a process in `group` of `session`; its leader counts until it has been waited for.
pub(super) fn exists(call: &Call<'_>, group: i32, session: i32) -> bool {
    let is = |pid: i32| of(pid) == Some(group) && session_of(pid) == Some(session);
    in_sandbox(call).iter().any(|p| is(p.pid)) || call.sandbox.has_zombie(group) && is(group)
}

/// Whether no process of the group has a parent that is in another group of the same session: nobody is there then to
/// continue it once it is stopped (the kernel's `will_become_orphaned_pgrp`). The warden is such a parent to the first
/// process only; that it is in the session of others' orphans, too, is no native program's state of things.
pub fn is_orphaned(sandbox: &Sandbox, group: i32) -> bool {
    let kept = |process: &Arc<Process>| {
        let pid = process.pid;
        let parent = parent_of(pid).filter(|p| process.is_first() || sandbox.process(*p).is_some());
        parent.is_some_and(|parent| of(parent) != Some(group) && session_of(parent) == session_of(pid))
    };
    !members(sandbox, group).iter().any(kept)
}

/// A process has left this orphan: if its group has none any more to continue it, and is stopped, it is hung up.
pub fn left_alone(sandbox: &Sandbox, orphan: &Process) {
    let Some(group) = of(orphan.pid) else { return };
    let stopped = |process: &Arc<Process>| is_stopped(process.pid);
    if is_orphaned(sandbox, group) && members(sandbox, group).iter().any(stopped) {
        hang_up(sandbox, group);
    }
}

/// The process that `pid` names, 0 being the caller; ESRCH if it is none of the sandbox.
fn named(call: &Call<'_>, pid: i32) -> Result<i32, Errno> {
    match pid {
        0 => Ok(call.process.pid),
        pid if call.sandbox.process(pid).is_some() || call.sandbox.has_zombie(pid) => Ok(pid),
        _ => Err(Errno::ESRCH),
    }
}

fn get_own_group(call: &mut Call<'_>) -> SyscallResult {
    of(call.process.pid).map(i64::from).ok_or(Errno::ESRCH)
}

fn get_group(call: &mut Call<'_>) -> SyscallResult {
    of(named(call, call.i32(0))?).map(i64::from).ok_or(Errno::ESRCH)
}

fn get_session(call: &mut Call<'_>) -> SyscallResult {
    session_of(named(call, call.i32(0))?).map(i64::from).ok_or(Errno::ESRCH)
}

/// What the kernel cannot know of a guest: that it has executed a program since it was forked, and that the warden's
/// group is none of its session's. All else it checks itself when the child makes the call.
fn set_group(call: &mut Call<'_>) -> SyscallResult {
    let group = call.i32(1);
    if group < 0 {
        return Err(Errno::EINVAL);
    }
    let target = named(call, call.i32(0))?;
    let other = call.sandbox.process(target).filter(|p| p.pid != call.process.pid);
    if other.is_some_and(|p| p.ppid() == call.process.pid && p.changed_program()) {
        return Err(Errno::EACCES);
    }
    let of_session = group != 0 && Some(group) == session_of(call.process.pid);
    let outside = of_session && members(call.sandbox, group).is_empty();
    if outside { Err(Errno::EPERM) } else { grant(call) }
}

//! Process groups and sessions (credentials(7)), kept by the supervisor: on the host all processes of a sandbox stay in
//! the group and session of rxbox, so that none can slip from the terminal's job control or from under its reaper.

use super::Entry;
use super::signal::in_sandbox;
use crate::context::{Answer, Call};
use crate::process::Process;
use nix::errno::Errno;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[
    ("getpgrp", getpgrp),
    ("getpgid", getpgid),
    ("setpgid", setpgid),
    ("getsid", getsid),
    ("setsid", setsid),
];

/// Group and session of one process.
#[derive(Debug)]
pub struct Group {
    group: AtomicI32,
    session: AtomicI32,
}

impl Group {
    /// Of a process that leads its own group and session.
    pub fn leader(pid: i32) -> Group {
        Group { group: pid.into(), session: pid.into() }
    }
    /// Of a forked child: those of its parent.
    pub fn inherited(&self) -> Group {
        Group { group: self.group().into(), session: self.session().into() }
    }
    /// The process group.
    pub fn group(&self) -> i32 {
        self.group.load(Relaxed)
    }
    /// The session.
    pub fn session(&self) -> i32 {
        self.session.load(Relaxed)
    }
}

/// The process that `pid` names, 0 being the caller; ESRCH if it is none of the sandbox.
fn named(call: &Call<'_>, pid: i32) -> Result<Arc<Process>, Errno> {
    if pid == 0 { Ok(call.process.clone()) } else { call.sandbox.process(pid).ok_or(Errno::ESRCH) }
}

/// Whether the sandbox has a process in `group` of `session`.
pub(super) fn exists(call: &Call<'_>, group: i32, session: i32) -> bool {
    in_sandbox(call).iter().any(|p| (p.group.group(), p.group.session()) == (group, session))
}

fn getpgrp(call: &mut Call<'_>) -> Answer {
    Ok(call.process.group.group().into())
}

fn getpgid(call: &mut Call<'_>) -> Answer {
    Ok(named(call, call.i32(0))?.group.group().into())
}

fn getsid(call: &mut Call<'_>) -> Answer {
    Ok(named(call, call.i32(0))?.group.session().into())
}

fn setpgid(call: &mut Call<'_>) -> Answer {
    let group = call.i32(1);
    if group < 0 {
        return Err(Errno::EINVAL);
    }
    let target = named(call, call.i32(0))?;
    if target.pid != call.process.pid && target.ppid() != call.process.pid {
        return Err(Errno::ESRCH);
    }
    let session = call.process.group.session();
    if target.group.session() != session || target.pid == session {
        return Err(Errno::EPERM);
    }
    let group = if group == 0 { target.pid } else { group };
    if group != target.pid && !exists(call, group, session) {
        return Err(Errno::EPERM);
    }
    target.group.group.store(group, Relaxed);
    Ok(0)
}

fn setsid(call: &mut Call<'_>) -> Answer {
    let pid = call.process.pid;
    if in_sandbox(call).iter().any(|p| p.group.group() == pid) {
        return Err(Errno::EPERM);
    }
    call.process.group.session.store(pid, Relaxed);
    call.process.group.group.store(pid, Relaxed);
    Ok(pid.into())
}

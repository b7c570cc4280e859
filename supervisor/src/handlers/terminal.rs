//! Job control of terminals (tty_ioctl(4)). Process groups and sessions of guests exist only in the supervisor's records
//! ([`super::group`]), and so does what terminals know of them. The terminal that rxbox was started on is the controlling
//! terminal of the session that the sandbox starts with.
//!
//! On the host all guests are in rxbox's process group: a key that raises a signal reaches all of them.

use super::group::exists;
use crate::context::{Answer, Call};
use crate::fd::{File, Kind};
use nix::errno::Errno;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The session that a terminal controls, and the group in its foreground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Control {
    session: i32,
    foreground: i32,
}

/// The controlling terminals of the sandbox's sessions, by device number.
#[derive(Debug, Default)]
pub struct Terminals(Mutex<HashMap<u64, Control>>);

impl Terminals {
    fn map(&self) -> MutexGuard<'_, HashMap<u64, Control>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `device` the controlling terminal of the session of process `leader`, in whose group everything starts.
    pub fn start(&self, device: u64, leader: i32) {
        self.map().insert(device, Control { session: leader, foreground: leader });
    }
}

/// The device number of a terminal; ENOTTY for anything else.
fn device(file: &File) -> Result<u64, Errno> {
    if file.kind != Kind::Terminal {
        return Err(Errno::ENOTTY);
    }
    Ok(nix::sys::stat::fstat(&file.host)?.st_rdev)
}

/// The caller's controlling terminal, which `file` must be.
fn controlling(call: &Call<'_>, file: &File) -> Result<(u64, Control), Errno> {
    let device = device(file)?;
    let control = call.sandbox.terminals.map().get(&device).copied();
    control.filter(|c| c.session == call.process.group.session()).map(|c| (device, c)).ok_or(Errno::ENOTTY)
}

fn put_number(call: &mut Call<'_>, number: i32) -> Answer {
    call.put(2, &number.to_le_bytes());
    Ok(0)
}

/// TIOCGPGRP.
pub(super) fn foreground(call: &mut Call<'_>, file: &File) -> Answer {
    let (_, control) = controlling(call, file)?;
    put_number(call, control.foreground)
}

/// TIOCGSID.
pub(super) fn session(call: &mut Call<'_>, file: &File) -> Answer {
    let (_, control) = controlling(call, file)?;
    put_number(call, control.session)
}

/// TIOCSPGRP: a group of the caller's own session.
pub(super) fn set_foreground(call: &mut Call<'_>, file: &File) -> Answer {
    let group = i32::from_le_bytes(call.need(2)?.try_into().map_err(|_| Errno::EFAULT)?);
    let (device, control) = controlling(call, file)?;
    if group < 0 {
        return Err(Errno::EINVAL);
    }
    if !exists(call, group, control.session) {
        return Err(Errno::EPERM);
    }
    call.sandbox.terminals.map().insert(device, Control { foreground: group, ..control });
    Ok(0)
}

/// TIOCSCTTY: a session leader without a terminal takes one that controls no other session.
pub(super) fn take(call: &mut Call<'_>, file: &File) -> Answer {
    let device = device(file)?;
    let (pid, session) = (call.process.pid, call.process.group.session());
    let mut terminals = call.sandbox.terminals.map();
    match terminals.get(&device) {
        Some(c) if c.session == session => return Ok(0),
        Some(_) => return Err(Errno::EPERM),
        None if pid != session || terminals.values().any(|c| c.session == session) => {
            return Err(Errno::EPERM);
        }
        None => {}
    }
    terminals.insert(device, Control { session, foreground: call.process.group.group() });
    Ok(0)
}

/// TIOCNOTTY: if the session's leader gives the terminal up, nobody has it.
pub(super) fn leave(call: &mut Call<'_>, file: &File) -> Answer {
    let (device, control) = controlling(call, file)?;
    if call.process.pid == control.session {
        call.sandbox.terminals.map().remove(&device);
    }
    Ok(0)
}

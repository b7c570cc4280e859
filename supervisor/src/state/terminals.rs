//! Job control of terminals (tty_ioctl(4)).
//!
//! On the host no guest has a terminal: the emulator children are in sessions without one, and the supervisor
//! reads and writes for them. So the supervisor keeps which session of the sandbox a terminal controls and
//! which group is in its foreground, and does what the kernel does by that: a key that raises a signal, which
//! reaches the supervisor alone, is passed on to the foreground ([`Terminals::foreground_of_own`]), and a
//! process in the background that reads is stopped (by the handlers). The terminal that rxbox was started on
//! is the controlling terminal of the session that the sandbox starts with.

use crate::host::command;
use crate::host::number::Wait;
use crate::state::fd::{File, Kind};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The session that a terminal controls, and the group in its foreground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// The session.
    pub session: i32,
    /// The group.
    pub foreground: i32,
    /// It is rxbox's own terminal.
    own: bool,
}

/// The controlling terminals of the sandbox's sessions, by device number.
#[derive(Debug, Default)]
pub struct Terminals(Mutex<HashMap<u32, Terminal>>);

impl Terminals {
    fn map(&self) -> MutexGuard<'_, HashMap<u32, Terminal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes rxbox's terminal, if it has one, that of this session, with this group in the foreground.
    pub fn start(&self, session: i32, foreground: i32) {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let device = open(c"/dev/tty", flags, Mode::empty()).and_then(|own| device_of(own.as_fd()));
        if let Ok(device) = device {
            self.map().insert(device, Terminal { session, foreground, own: true });
        }
    }

    /// The group in the foreground of rxbox's own terminal.
    pub fn foreground_of_own(&self) -> Option<i32> {
        self.map().values().find(|c| c.own).map(|c| c.foreground)
    }

    /// The leader of a session has ended: its terminal controls none any more. The group that was in the
    /// foreground.
    pub fn leader_ended(&self, session: i32) -> Option<i32> {
        let mut map = self.map();
        let device = *map.iter().find(|(_, c)| c.session == session)?.0;
        map.remove(&device).map(|c| c.foreground)
    }

    /// What the terminal with this number controls.
    pub fn get(&self, device: u32) -> Option<Terminal> {
        self.map().get(&device).copied()
    }

    /// Another group of the terminal's session is in its foreground.
    pub fn set_foreground(&self, device: u32, group: i32) {
        if let Some(terminal) = self.map().get_mut(&device) {
            terminal.foreground = group;
        }
    }

    /// The process `pid` of a session takes a terminal: it must be the session's leader, neither have one and
    /// nor be had by another session. EPERM if not.
    pub fn take(&self, device: u32, session: i32, pid: i32) -> Result<(), Errno> {
        let mut map = self.map();
        match map.get(&device) {
            Some(t) if t.session == session => return Ok(()),
            Some(_) => return Err(Errno::EPERM),
            None if pid != session || map.values().any(|t| t.session == session) => {
                return Err(Errno::EPERM);
            }
            None => {}
        }
        map.insert(device, Terminal { session, foreground: pid, own: false });
        Ok(())
    }

    /// The terminal controls no session any more.
    pub fn release(&self, device: u32) {
        self.map().remove(&device);
    }
}

/// The number of a terminal, whatever name it was opened by (TIOCGDEV).
fn device_of(fd: BorrowedFd<'_>) -> Result<u32, Errno> {
    let mut memory = [0; command::IOCTL_MAX];
    command::ioctl(Wait::Short, fd, libc::TIOCGDEV as u32, 0, &mut memory)?;
    Ok(u32::from_le_bytes([memory[0], memory[1], memory[2], memory[3]]))
}

/// The number of a terminal; ENOTTY for anything else.
pub fn device(file: &File) -> Result<u32, Errno> {
    if file.kind != Kind::Terminal {
        return Err(Errno::ENOTTY);
    }
    device_of(file.host.as_fd())
}

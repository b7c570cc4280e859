//! Job control of terminals (tty_ioctl(4)).
//!
//! On the host no guest has a terminal: the emulator children are in sessions without one, and the supervisor reads and
//! writes for them. So the supervisor keeps which session of the sandbox a terminal controls and which group is in its
//! foreground, and does what the kernel does by that: a key that raises a signal, which reaches the supervisor alone, is
//! passed on to the foreground ([`Terminals::foreground_of_own`]), and a process in the background that reads is stopped
//! ([`may_read`]). The terminal that rxbox was started on is the controlling terminal of the session that the sandbox
//! starts with.

use super::group::{self, exists};
use super::signal::to_group;
use crate::context::Call;
use crate::host::SyscallResult;
use crate::host::command;
use crate::host::number::Wait;
use crate::host::signal::Info;
use crate::host::stat::{Status, is_running};
use crate::host::wait::poll;
use crate::state::fd::{File, Kind};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::termios::{LocalFlags, SpecialCharacterIndices, tcgetattr};
use rxbox_wire::frame::Reply;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The session that a terminal controls, and the group in its foreground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Control {
    session: i32,
    foreground: i32,
    /// It is rxbox's own terminal.
    own: bool,
}

/// The controlling terminals of the sandbox's sessions, by device number.
#[derive(Debug, Default)]
pub struct Terminals(Mutex<HashMap<u32, Control>>);

impl Terminals {
    fn map(&self) -> MutexGuard<'_, HashMap<u32, Control>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes rxbox's terminal, if it has one, that of the session of process `leader`, whose group is in the foreground.
    pub fn start(&self, leader: i32) {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let device = open(c"/dev/tty", flags, Mode::empty()).and_then(|own| device_of(own.as_fd()));
        if let (Ok(device), Some(session)) = (device, group::session_of(leader)) {
            self.map().insert(device, Control { session, foreground: leader, own: true });
        }
    }

    /// The group in the foreground of rxbox's own terminal.
    pub fn foreground_of_own(&self) -> Option<i32> {
        self.map().values().find(|c| c.own).map(|c| c.foreground)
    }

    /// The leader of a session has ended: its terminal controls none any more. The group that was in the foreground.
    pub fn leader_ended(&self, session: i32) -> Option<i32> {
        let mut map = self.map();
        let device = *map.iter().find(|(_, c)| c.session == session)?.0;
        map.remove(&device).map(|c| c.foreground)
    }

    /// Number and foreground group of the terminal that controls a session, as in `/proc/PID/stat`.
    pub fn of_session(&self, session: i32) -> Option<(u32, i32)> {
        self.map().iter().find(|(_, c)| c.session == session).map(|(device, c)| (*device, c.foreground))
    }
}

/// The number of a terminal, whatever name it was opened by (TIOCGDEV).
fn device_of(fd: BorrowedFd<'_>) -> Result<u32, Errno> {
    let mut memory = [0; command::IOCTL_MAX];
    command::ioctl(Wait::Short, fd, libc::TIOCGDEV as u32, 0, &mut memory)?;
    Ok(u32::from_le_bytes([memory[0], memory[1], memory[2], memory[3]]))
}

/// The number of a terminal; ENOTTY for anything else.
fn device(file: &File) -> Result<u32, Errno> {
    if file.kind != Kind::Terminal {
        return Err(Errno::ENOTTY);
    }
    device_of(file.host.as_fd())
}

/// The caller's session; 0, which is nobody's, while it is ending.
fn own_session(call: &Call<'_>) -> i32 {
    group::session_of(call.process.pid).unwrap_or(0)
}

/// The caller's controlling terminal, which `file` must be.
fn controlling(call: &Call<'_>, file: &File) -> Result<(u32, Control), Errno> {
    let device = device(file)?;
    let control = call.sandbox.terminals.map().get(&device).copied();
    control.filter(|c| c.session == own_session(call)).map(|c| (device, c)).ok_or(Errno::ENOTTY)
}

/// A process in the background that would read from its terminal is stopped first. Otherwise waits for input, if the read
/// would: a process that is stopped or killed meanwhile must not take what is then typed for another, and the worker that
/// reads for it may not know yet.
///
/// # Errors
/// EINTR once its group has been sent SIGTTIN, or if the process does not run any more; EIO if nobody could continue it or
/// it holds the signal off.
pub(super) fn may_read(call: &mut Call<'_>, file: &File) -> Result<(), Errno> {
    in_foreground(call, file, libc::SIGTTIN)?;
    if !waits_for_input(file) || is_background_of_host(file) {
        return Ok(());
    }
    poll(&mut [libc::pollfd { fd: file.host.as_raw_fd(), events: libc::POLLIN, revents: 0 }], None)?;
    if !is_running(call.process.pid) {
        return Err(Errno::EINTR);
    }
    in_foreground(call, file, libc::SIGTTIN)
}

/// Whether the file is rxbox's own terminal with rxbox in the background: a read then stops rxbox itself.
fn is_background_of_host(file: &File) -> bool {
    nix::unistd::tcgetpgrp(&file.host).is_ok_and(|group| group != nix::unistd::getpgrp())
}

/// Whether a read waits for a line or a character: not if the descriptor does not block, nor if the terminal is set up to
/// answer at once or after a time (termios(3)).
fn waits_for_input(file: &File) -> bool {
    let blocks = file.status_flags().is_ok_and(|flags| flags & libc::O_NONBLOCK == 0);
    blocks
        && tcgetattr(&file.host).is_ok_and(|t| {
            t.local_flags.contains(LocalFlags::ICANON)
                || t.control_chars[SpecialCharacterIndices::VMIN as usize] > 0
        })
}

/// A process in the background that would write to its terminal is stopped first if the terminal is set up so (`tostop`).
///
/// # Errors
/// As [`may_change`].
pub(super) fn may_write(call: &mut Call<'_>, file: &File) -> Result<(), Errno> {
    let stops = tcgetattr(&file.host).is_ok_and(|t| t.local_flags.contains(LocalFlags::TOSTOP));
    if stops { may_change(call, file) } else { Ok(()) }
}

/// A process in the background that would change its terminal is stopped first, unless it holds SIGTTOU off.
///
/// # Errors
/// EINTR once its group has been sent SIGTTOU; EIO if nobody could continue it.
pub(super) fn may_change(call: &mut Call<'_>, file: &File) -> Result<(), Errno> {
    in_foreground(call, file, libc::SIGTTOU)
}

/// The kernel's `__tty_check_change`.
fn in_foreground(call: &mut Call<'_>, file: &File, signal: i32) -> Result<(), Errno> {
    let Ok((_, control)) = controlling(call, file) else { return Ok(()) };
    let Some(group) = group::of(call.process.pid).filter(|g| *g != control.foreground) else { return Ok(()) };
    if holds_off(call, signal) {
        return if signal == libc::SIGTTIN { Err(Errno::EIO) } else { Ok(()) };
    }
    if group::is_orphaned(call.sandbox, group) {
        return Err(Errno::EIO);
    }
    to_group(call.sandbox, group, &Info::sent(signal, libc::SI_KERNEL, 0, 0));
    call.reply.flags |= Reply::SIGNALLED;
    Err(Errno::EINTR)
}

/// Whether the calling thread blocks or its process ignores a signal. The emulator child has the guest's mask and
/// actions, so the host knows.
fn holds_off(call: &Call<'_>, signal: i32) -> bool {
    let status = Status::of_thread(call.process.pid, call.tid);
    let sets = status.map_or(0, |status| status.signals("SigBlk") | status.signals("SigIgn"));
    sets >> (signal - 1) & 1 != 0
}

fn put_number(call: &mut Call<'_>, number: i32) -> SyscallResult {
    call.put(2, &number.to_le_bytes());
    Ok(0)
}

/// TIOCGPGRP.
pub(super) fn foreground(call: &mut Call<'_>, file: &File) -> SyscallResult {
    let (_, control) = controlling(call, file)?;
    put_number(call, control.foreground)
}

/// TIOCGSID.
pub(super) fn session(call: &mut Call<'_>, file: &File) -> SyscallResult {
    let (_, control) = controlling(call, file)?;
    put_number(call, control.session)
}

/// TIOCSPGRP: a group of the caller's own session.
pub(super) fn set_foreground(call: &mut Call<'_>, file: &File) -> SyscallResult {
    let group = i32::from_le_bytes(call.need(2)?.try_into().map_err(|_| Errno::EFAULT)?);
    may_change(call, file)?;
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
pub(super) fn take(call: &mut Call<'_>, file: &File) -> SyscallResult {
    let device = device(file)?;
    let (pid, session) = (call.process.pid, own_session(call));
    let mut terminals = call.sandbox.terminals.map();
    match terminals.get(&device) {
        Some(c) if c.session == session => return Ok(0),
        Some(_) => return Err(Errno::EPERM),
        None if pid != session || terminals.values().any(|c| c.session == session) => {
            return Err(Errno::EPERM);
        }
        None => {}
    }
    terminals.insert(device, Control { session, foreground: pid, own: false });
    Ok(0)
}

/// TIOCNOTTY: if the session's leader gives the terminal up, nobody has it.
pub(super) fn leave(call: &mut Call<'_>, file: &File) -> SyscallResult {
    let (device, control) = controlling(call, file)?;
    if call.process.pid == control.session {
        call.sandbox.terminals.map().remove(&device);
    }
    Ok(0)
}

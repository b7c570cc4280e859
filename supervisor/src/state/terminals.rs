//! Controlling terminals (credentials(7), tty_ioctl(4)).
//!
//! A session of guests is a session of the host, led by an emulator child ([`crate::state::groups`]). A
//! terminal that its leader takes is taken by that child itself, on the host, so the kernel does what it does
//! for any session: keys raise signals in the group in the foreground, a new size and a hang-up are told, the
//! end of the leader hangs up. The supervisor, which reads and writes for guests, is in another session, so
//! what the kernel does to a process of the background that *it* sees reading, the handlers do by what
//! `/proc` tells of the caller ([`Control::of`]).
//!
//! The terminal that rxbox was started on controls the session of the user's shell, in which is the
//! supervisor and no guest. To guests it is the terminal of the session that the sandbox starts with: which
//! group is in its foreground the supervisor keeps, and passes on what a key raises
//! ([`Terminals::foreground_of_own`]).

use crate::host::command;
use crate::host::name::reopen;
use crate::host::number::Wait;
use crate::host::process::ProcessHandle;
use crate::host::stat::Stat;
use crate::state::budget::{Budget, Share};
use crate::state::fd::{File, Kind};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{FileStat, Mode, fstat, makedev};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// rxbox's own terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    device: u32,
    /// The session that it controls: the one that the sandbox starts with.
    pub session: i32,
    /// The group in its foreground.
    pub foreground: i32,
}

/// A terminal that the leader of a session may have taken: held without being open, so that it is not kept
/// from hanging up.
#[derive(Debug)]
struct Taken {
    name: OwnedFd,
    _share: Share,
}

/// The controlling terminals of the sandbox's sessions.
#[derive(Debug, Default)]
pub struct Terminals {
    own: Mutex<Option<Own>>,
    /// By session.
    taken: Mutex<HashMap<i32, Taken>>,
}

impl Terminals {
    fn own_terminal(&self) -> MutexGuard<'_, Option<Own>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<i32, Taken>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes rxbox's terminal, if it has one, that of this session, with this group in the foreground.
    pub fn start(&self, session: i32, foreground: i32) {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let device = open(c"/dev/tty", flags, Mode::empty()).and_then(|own| device_of(own.as_fd()));
        *self.own_terminal() = device.ok().map(|device| Own { device, session, foreground });
    }

    /// rxbox's own terminal, if this is it and the session the one that it controls.
    pub fn own(&self, device: u32, session: i32) -> Option<Own> {
        self.own_terminal().filter(|own| own.device == device && own.session == session)
    }

    /// Whether rxbox's own terminal, if there is one, controls this session.
    pub fn is_own_session(&self, session: i32) -> bool {
        self.own_terminal().is_some_and(|own| own.session == session)
    }

    /// The group in the foreground of rxbox's own terminal.
    pub fn foreground_of_own(&self) -> Option<i32> {
        self.own_terminal().map(|own| own.foreground)
    }

    /// Another group is in the foreground of rxbox's own terminal.
    pub fn set_foreground_of_own(&self, group: i32) {
        if let Some(own) = &mut *self.own_terminal() {
            own.foreground = group;
        }
    }

    /// The leader of a session without a terminal may take this one.
    ///
    /// # Errors
    /// The budget has no descriptor left, or the host.
    pub fn may_be_taken(&self, session: i32, file: &File, budget: &Arc<Budget>) -> Result<(), Errno> {
        let _share = budget.share(1)?;
        let name = reopen(file.host.as_fd(), libc::O_PATH)?;
        self.taken().insert(session, Taken { name, _share });
        Ok(())
    }

    /// The terminal that the session's leader has taken, to be opened anew: what opens `/dev/tty`. ENXIO if
    /// the process has none.
    pub fn name(&self, process: &ProcessHandle) -> Result<OwnedFd, Errno> {
        let control = Control::of(process).ok_or(Errno::ENXIO)?;
        let session = process.session().ok_or(Errno::ENXIO)?;
        let taken = self.taken();
        let name = &taken.get(&session).ok_or(Errno::ENXIO)?.name;
        if device_number(&fstat(name)?) != control.device {
            return Err(Errno::ENXIO);
        }
        name.try_clone().map_err(|_| Errno::EMFILE)
    }

    /// The process has ended: if it led a session, that has no terminal any more.
    pub fn ended(&self, pid: i32) {
        self.taken().remove(&pid);
    }
}

/// What the kernel tells of a process's controlling terminal; all numbers are the host's.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    /// The terminal.
    pub device: u32,
    /// The group of the process.
    group: u64,
    /// The group in the foreground, 0 if there is none.
    foreground: u64,
}

impl Control {
    /// Of a process; `None` if it has no controlling terminal.
    pub fn of(process: &ProcessHandle) -> Option<Control> {
        const GROUP: usize = 5;
        const TERMINAL: usize = 7;
        const FOREGROUND: usize = 8;
        let stat = process.look(|pid| Stat::of_process(pid).ok_or(Errno::ESRCH)).ok()?;
        let device = u32::try_from(stat.field(TERMINAL)).ok().filter(|device| *device != 0)?;
        Some(Control { device, group: stat.field(GROUP), foreground: stat.field(FOREGROUND) })
    }

    /// Whether the process is in the background: another group is in the foreground.
    pub fn in_background(&self) -> bool {
        self.foreground != 0 && self.foreground != self.group
    }
}

/// The number of a terminal, whatever name it was opened by (TIOCGDEV).
fn device_of(fd: BorrowedFd<'_>) -> Result<u32, Errno> {
    let mut memory = [0; command::IOCTL_MAX];
    command::ioctl(Wait::Short, fd, libc::TIOCGDEV as u32, 0, &mut memory)?;
    Ok(u32::from_le_bytes([memory[0], memory[1], memory[2], memory[3]]))
}

/// The number of the device that a name is of, as TIOCGDEV gives it.
fn device_number(status: &FileStat) -> u32 {
    let (major, minor) = (libc::major(status.st_rdev), libc::minor(status.st_rdev));
    minor & 0xff | major << 8 | (minor & !0xff) << 12
}

/// The number of a terminal; ENOTTY for anything else.
pub fn device(file: &File) -> Result<u32, Errno> {
    if file.kind != Kind::Terminal {
        return Err(Errno::ENOTTY);
    }
    device_of(file.host.as_fd())
}

/// Whether it is the other end of a pseudo-terminal (pty(7)), whose number is that of the terminal but which
/// controls nothing.
pub fn is_master(file: &File) -> bool {
    fstat(&file.host).is_ok_and(|status| status.st_rdev == makedev(5, 2))
}

/// Whether opening it never makes it a controlling terminal: the master, `/dev/console` and the foreground
/// console, which stand for others.
pub fn never_controls(file: &File) -> bool {
    let names = [makedev(5, 2), makedev(5, 1), makedev(4, 0)];
    fstat(&file.host).is_ok_and(|status| names.contains(&status.st_rdev))
}

/// Whether a name is `/dev/tty`, which stands for whatever terminal a process has (tty(4)).
pub fn is_own_name(status: &FileStat) -> bool {
    status.st_mode & libc::S_IFMT == libc::S_IFCHR && status.st_rdev == makedev(5, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_a_device_is_the_same_by_name_and_by_request() {
        let pty = nix::pty::openpty(None, None).unwrap();
        assert_eq!(device_of(pty.slave.as_fd()), Ok(device_number(&fstat(&pty.slave).unwrap())));
        assert_eq!(device_of(pty.master.as_fd()), device_of(pty.slave.as_fd()));
        let file = |fd: OwnedFd| File::made(fd).unwrap();
        assert!(is_master(&file(pty.master)) && !is_master(&file(pty.slave)));
    }

    #[test]
    fn whoever_has_no_terminal_is_in_no_background() {
        let mut command = std::process::Command::new("/usr/bin/setsid");
        let mut child = command.arg("/bin/cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let handle = ProcessHandle::open(child.id() as i32).unwrap();
        // It leads a session a moment after it was started.
        while handle.session() != Some(child.id() as i32) {
            std::thread::yield_now();
        }
        assert!(Control::of(&handle).is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        let control = |group, foreground| Control { device: 1, group, foreground }.in_background();
        assert_eq!([control(1, 1), control(1, 2), control(1, 0)], [false, true, false]);
    }
}

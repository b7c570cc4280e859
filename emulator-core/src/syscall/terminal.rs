//! Controlling terminals (tty_ioctl(4)): only a process of the session can take one and move groups into its
//! foreground, so the child asks the supervisor for the terminal, and makes the request itself.

use crate::base::result::SyscallResult;
use crate::guest::access;
use crate::host::terminal;
use crate::thread::{Thread, request};
use nix::errno::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// TIOCSCTTY, TIOCNOTTY, TIOCGPGRP, TIOCSPGRP or TIOCGSID of the guest's. One that is interrupted is made
/// again (the kernel's ERESTARTSYS).
pub fn control(thread: &Thread, args: &[u64; 6]) -> SyscallResult {
    match try_control(thread, args) {
        Err(Errno::EINTR) => SyscallResult::Interrupted { restart: true },
        done => done.into(),
    }
}

fn try_control(thread: &Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    let file: OwnedFd = request::terminal(thread, args[0] as i32)?;
    let file = file.as_fd();
    match u64::from(args[1] as u32) {
        libc::TIOCSCTTY => terminal::take(file),
        libc::TIOCNOTTY => terminal::leave(file),
        libc::TIOCSPGRP => terminal::set_foreground(file, access::read_u32(args[2])?.cast_signed()),
        libc::TIOCGPGRP => give(thread, args[2], terminal::foreground(file)?),
        libc::TIOCGSID => give(thread, args[2], terminal::session(file)?),
        _ => Err(Errno::ENOTTY),
    }
}

fn give(thread: &Thread, addr: u64, number: i32) -> Result<i64, Errno> {
    thread.process.copy_out(addr, &number.to_le_bytes()).map(|()| 0)
}

/// The guest has opened a terminal, which becomes its session's if that has none and no other has it.
pub fn take_opened(thread: &Thread, fd: i64) {
    let Ok(number) = i32::try_from(fd) else { return };
    // It may be another session's; then it is only open.
    let _ = request::terminal(thread, number).and_then(|file| terminal::take(file.as_fd()));
}

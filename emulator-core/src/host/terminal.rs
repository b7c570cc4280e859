//! What only a process of a terminal's session can ask of it (tty_ioctl(4)).

use super::call;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Takes the terminal as the session's controlling one.
///
/// # Errors
/// As TIOCSCTTY.
pub fn take(terminal: BorrowedFd<'_>) -> Result<i64, Errno> {
    request(terminal, libc::TIOCSCTTY, 0)
}

/// Gives the controlling terminal up.
///
/// # Errors
/// As TIOCNOTTY.
pub fn leave(terminal: BorrowedFd<'_>) -> Result<i64, Errno> {
    request(terminal, libc::TIOCNOTTY, 0)
}

/// The group in the foreground.
///
/// # Errors
/// As TIOCGPGRP.
pub fn foreground(terminal: BorrowedFd<'_>) -> Result<i32, Errno> {
    number(terminal, libc::TIOCGPGRP)
}

/// The session.
///
/// # Errors
/// As TIOCGSID.
pub fn session(terminal: BorrowedFd<'_>) -> Result<i32, Errno> {
    number(terminal, libc::TIOCGSID)
}

/// Puts a group in the foreground.
///
/// # Errors
/// As TIOCSPGRP; EINTR if this process is in the background and its group has been sent SIGTTOU.
pub fn set_foreground(terminal: BorrowedFd<'_>, group: i32) -> Result<i64, Errno> {
    request(terminal, libc::TIOCSPGRP, (&raw const group).addr() as u64)
}

fn number(terminal: BorrowedFd<'_>, which: u64) -> Result<i32, Errno> {
    let mut number = 0i32;
    request(terminal, which, (&raw mut number).expose_provenance() as u64)?;
    Ok(number)
}

fn request(terminal: BorrowedFd<'_>, which: u64, argument: u64) -> Result<i64, Errno> {
    let args = [terminal.as_raw_fd() as u64, which, argument, 0, 0, 0];
    // SAFETY: the argument is a number or the address of an int of the caller's, as the request wants it.
    call::result(unsafe { call::interruptible(libc::SYS_ioctl, args) })
}

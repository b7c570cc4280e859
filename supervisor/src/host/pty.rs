//! Pseudo-terminals of a container (ioctl_tty(2), pts(4)).

use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Lets the other end of this master be opened; its number, by which it is found below `/dev/pts`.
///
/// # Errors
/// As ioctl_tty(2).
pub fn unlock(master: BorrowedFd<'_>) -> Result<u32, Errno> {
    let (mut number, locked) = (0u32, 0i32);
    // SAFETY: the kernel reads one number that lives here.
    Errno::result(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const locked) })?;
    // SAFETY: the kernel writes one number, which lives here.
    Errno::result(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &raw mut number) })?;
    Ok(number)
}

/// Makes a terminal that of this process's session, which it leads and which has none.
///
/// # Errors
/// As ioctl_tty(2).
pub fn take(terminal: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: only numbers.
    Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) }).map(drop)
}

/// Sets the size of a terminal.
///
/// # Errors
/// As ioctl_tty(2).
pub fn resize(terminal: BorrowedFd<'_>, rows: u16, columns: u16) -> Result<(), Errno> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel reads one structure that lives here.
    Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }).map(drop)
}

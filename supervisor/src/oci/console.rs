//! The terminal of a container: a pseudo-terminal of its own `/dev/pts`, whose other end the engine gets over
//! a unix socket.

use super::mounts::{Kind, find, place_for};
use crate::host::{mount, pty};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, sendmsg, socket,
};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The engine's socket.
///
/// # Errors
/// Nobody listens there.
pub(super) fn engine(path: &Path) -> Result<OwnedFd, String> {
    let failed = |e: Errno| format!("--console-socket {}: {}", path.display(), e.desc());
    let line = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).map_err(failed)?;
    connect(line.as_raw_fd(), &UnixAddr::new(path).map_err(failed)?).map_err(failed)?;
    Ok(line)
}

/// A terminal of the container's with this size, whose master goes to the engine.
///
/// # Errors
/// As open(2), ioctl_tty(2), sendmsg(2).
pub(super) fn make(
    root: BorrowedFd<'_>,
    engine: BorrowedFd<'_>,
    size: Option<(u16, u16)>,
) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY;
    let master = find(root, Path::new("/dev/pts/ptmx"), flags)?;
    let name = format!("/dev/pts/{}", pty::unlock(master.as_fd())?);
    let slave = find(root, Path::new(&name), flags)?;
    if let Some((rows, columns)) = size.filter(|size| *size != (0, 0)) {
        pty::resize(slave.as_fd(), rows, columns)?;
    }
    let rights = [master.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&rights)];
    let text = [IoSlice::new(name.as_bytes())];
    sendmsg::<UnixAddr>(engine.as_raw_fd(), &text, &rights, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(slave)
}

/// Shows a terminal as `/dev/console`.
///
/// # Errors
/// As open(2), mount(2).
pub(super) fn show(root: BorrowedFd<'_>, terminal: BorrowedFd<'_>) -> Result<(), Errno> {
    let at = place_for(root, Path::new("/dev/console"), Kind::File)?;
    mount::attach(mount::copy(terminal, false)?.as_fd(), at.as_fd())
}

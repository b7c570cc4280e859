//! The host's procfs, as far as the view needs it.

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

/// A process, thread or descriptor number as procfs spells it: decimal, without sign or leading zero.
pub(super) fn number(name: &[u8]) -> Option<i32> {
    let text = std::str::from_utf8(name).ok()?;
    text.parse().ok().filter(|n: &i32| n.to_string() == text)
}

/// The host's `/proc`, as a place to open the files of [`super::system`] from.
pub(super) fn proc_directory() -> Result<BorrowedFd<'static>, Errno> {
    static PROC: OnceLock<Result<OwnedFd, Errno>> = OnceLock::new();
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    match PROC.get_or_init(|| open(c"/proc", flags, nix::sys::stat::Mode::empty())) {
        Ok(fd) => Ok(fd.as_fd()),
        Err(e) => Err(*e),
    }
}

/// The errno of a standard library error.
pub(super) fn errno(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

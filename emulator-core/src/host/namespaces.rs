//! Namespaces of the child's own (namespaces(7)) and an empty root.
//!
//! What the filter lets through acts on nothing that a namespace could hide; this is for the day that a hole
//! is found in it. All of it is optional for the host: an ordinary user may be denied user namespaces, and a
//! container's filter usually refuses them.

use super::call::raw;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Moves this process, which must have one thread, into mount, IPC and UTS namespaces that nobody
/// else is in; in a network of the run's own it is already. It must hold `CAP_SYS_ADMIN` in its user
/// namespace.
///
/// # Errors
/// As unshare(2). Nothing has changed then.
pub fn unshare_all() -> Result<(), Errno> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS)
}

/// Makes an empty read-only file system the root and the working directory. It is attached nowhere, so there
/// is no way from it to any other: no name that this process could still speak leads to a file.
///
/// # Errors
/// As fsopen(2), fsmount(2) and chroot(2), since Linux 5.2.
pub fn empty_root() -> Result<(), Errno> {
    const FSOPEN_CLOEXEC: u64 = 1;
    const FSMOUNT_CLOEXEC: u64 = 1;
    const FSCONFIG_CMD_CREATE: u64 = 6;
    let attributes =
        libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
    let context = descriptor(libc::SYS_fsopen, [c"tmpfs".as_ptr() as u64, FSOPEN_CLOEXEC, 0, 0, 0])?;
    let fd = context.as_raw_fd() as u64;
    check(libc::SYS_fsconfig, [fd, FSCONFIG_CMD_CREATE, 0, 0, 0])?;
    let root = descriptor(libc::SYS_fsmount, [fd, FSMOUNT_CLOEXEC, attributes, 0, 0])?;
    nix::unistd::fchdir(&root)?;
    nix::unistd::chroot(c".")
}

/// A call whose pointers are constant strings or null.
fn check(nr: i64, [a, b, c, d, e]: [u64; 5]) -> Result<i64, Errno> {
    // SAFETY: the calls of this module read constant strings and write nothing.
    let result = unsafe { raw(nr, [a, b, c, d, e, 0]) };
    if result < 0 { Err(Errno::from_raw(-result as i32)) } else { Ok(result) }
}

fn descriptor(nr: i64, args: [u64; 5]) -> Result<OwnedFd, Errno> {
    let number = check(nr, args)?;
    // SAFETY: the number was just made and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(number as i32) })
}

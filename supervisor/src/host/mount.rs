//! Mounts by descriptor (mount(2), open_tree(2), mount_setattr(2), move_mount(2)).
//!
//! Where a mount comes is a directory or file that was looked up before, never a name: what is looked up in
//! files of somebody else's can become something else in between.

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::unistd::{fchdir, pivot_root};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// What mount_setattr(2) changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `MOUNT_ATTR_*` that are set.
    pub set: u64,
    /// Those that are taken away.
    pub clear: u64,
    /// `MS_PRIVATE` and the like, 0 to leave it.
    pub propagation: u64,
}

/// A copy of the mount at `source`, and with `recursive` of those below it, that is attached nowhere.
///
/// # Errors
/// As open_tree(2), which is there since Linux 5.2.
pub fn copy(source: BorrowedFd<'_>, recursive: bool) -> Result<OwnedFd, Errno> {
    let recursive = if recursive { libc::AT_RECURSIVE as u32 } else { 0 };
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_EMPTY_PATH as u32 | recursive;
    let name = c"".as_ptr();
    // SAFETY: the kernel reads an empty constant string.
    let tree = unsafe { libc::syscall(libc::SYS_open_tree, source.as_raw_fd(), name, flags) };
    let tree = Errno::result(tree)?;
    // SAFETY: the number was just made and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(tree as i32) })
}

/// Changes a mount, and with `recursive` those below it.
///
/// # Errors
/// As mount_setattr(2), which is there since Linux 5.12.
pub fn change(mount: BorrowedFd<'_>, attributes: Attributes, recursive: bool) -> Result<(), Errno> {
    let Attributes { set, clear, propagation } = attributes;
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the kernel reads an empty constant string and a structure that lives here.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(done).map(drop)
}

/// Attaches a mount that is attached nowhere.
///
/// # Errors
/// As move_mount(2), which is there since Linux 5.2.
pub fn attach(mount: BorrowedFd<'_>, at: BorrowedFd<'_>) -> Result<(), Errno> {
    /// `MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH` (linux/mount.h).
    const BY_DESCRIPTORS: u32 = 0x4 | 0x40;
    let none = c"".as_ptr();
    // SAFETY: the kernel reads empty constant strings.
    let done = unsafe {
        libc::syscall(libc::SYS_move_mount, mount.as_raw_fd(), none, at.as_raw_fd(), none, BY_DESCRIPTORS)
    };
    Errno::result(done).map(drop)
}

/// A new file system of this kind with this source and these settings (`KEY` or `KEY=VALUE`), that is
/// attached nowhere.
///
/// # Errors
/// As fsopen(2), fsconfig(2) and fsmount(2), since Linux 5.2.
pub fn make(
    kind: &CStr,
    source: &CStr,
    settings: &[(&CStr, Option<&CStr>)],
    attributes: u64,
) -> Result<OwnedFd, Errno> {
    const FSOPEN_CLOEXEC: u32 = 1;
    const FSMOUNT_CLOEXEC: u32 = 1;
    const SET_FLAG: u32 = 0;
    const SET_STRING: u32 = 1;
    const CREATE: u32 = 6;
    let owned = |number: libc::c_long| {
        let number = Errno::result(number)?;
        // SAFETY: the number was just made and nobody else has it.
        Ok::<_, Errno>(unsafe { OwnedFd::from_raw_fd(number as i32) })
    };
    // SAFETY: the kernel reads a string that ends with NUL.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })?;
    let configure = |command: u32, key: Option<&CStr>, value: Option<&CStr>| {
        let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
        let (fd, key, value) = (context.as_raw_fd(), pointer(key), pointer(value));
        // SAFETY: the kernel reads strings that end with NUL, or none.
        Errno::result(unsafe { libc::syscall(libc::SYS_fsconfig, fd, command, key, value, 0) }).map(drop)
    };
    configure(SET_STRING, Some(c"source"), Some(source))?;
    for (key, value) in settings {
        configure(if value.is_some() { SET_STRING } else { SET_FLAG }, Some(key), *value)?;
    }
    configure(CREATE, None, None)?;
    let fd = context.as_raw_fd();
    // SAFETY: only numbers.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, fd, FSMOUNT_CLOEXEC, attributes as u32) })
}

/// Makes a directory, which has to be the root of a mount, the root and the working directory of this
/// process and of its mount namespace, from which everything else goes.
///
/// # Errors
/// As pivot_root(2).
pub fn pivot(root: BorrowedFd<'_>) -> Result<(), Errno> {
    fchdir(root.as_fd())?;
    // The old root comes on top of the new one (pivot_root(2)), and goes from there.
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    nix::unistd::chdir("/")
}

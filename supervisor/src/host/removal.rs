//! Emptying a directory that somebody else has filled: however deep it is, whatever names and modes are in
//! it, and without following a link.

use super::name::reopen_name;
use nix::fcntl::{AT_FDCWD, OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// As what directories are opened.
const DIRECTORY: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
/// As what they are held.
const HOLD: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Takes everything out of a directory, however deep it is: a directory in it is first emptied into it.
pub fn empty(directory: BorrowedFd<'_>) {
    let mut next = 0u64;
    loop {
        let mut progress = false;
        for name in names(directory) {
            if unlinkat(directory, name.as_os_str(), UnlinkatFlags::NoRemoveDir).is_ok()
                || unlinkat(directory, name.as_os_str(), UnlinkatFlags::RemoveDir).is_ok()
            {
                progress = true;
                continue;
            }
            progress |= flatten(directory, &name, &mut next);
        }
        if !progress {
            return;
        }
    }
}

/// Moves what is in the directory `name` of a directory up into that; whether anything was.
fn flatten(directory: BorrowedFd<'_>, name: &OsStr, next: &mut u64) -> bool {
    open_up(directory, name);
    let Ok(inner) = openat(directory, name, DIRECTORY, Mode::empty()) else { return false };
    let mut moved = false;
    for name in names(inner.as_fd()) {
        if unlinkat(&inner, name.as_os_str(), UnlinkatFlags::NoRemoveDir).is_ok() {
            moved = true;
            continue;
        }
        // A name that is taken is passed over.
        *next += 1;
        let aside = format!("{next}");
        // One that may not be written cannot be moved: its `..` changes.
        open_up(inner.as_fd(), &name);
        moved |=
            renameat2(&inner, name.as_os_str(), directory, aside.as_str(), RenameFlags::RENAME_NOREPLACE)
                .is_ok();
    }
    moved
}

/// Lets a directory, which is no link, be listed and changed, whatever the guest has made of its mode.
fn open_up(directory: BorrowedFd<'_>, name: &OsStr) {
    let held = openat(directory, name, HOLD, Mode::empty());
    let _ = held.and_then(|held| {
        let name = reopen_name(held.as_fd());
        fchmodat(AT_FDCWD, name.absolute(), Mode::S_IRWXU, FchmodatFlags::FollowSymlink)
    });
}

/// The names in a directory.
pub fn names(directory: BorrowedFd<'_>) -> Vec<OsString> {
    let path = reopen_name(directory);
    let path = Path::new(OsStr::from_bytes(path.absolute().to_bytes()));
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).collect()
}

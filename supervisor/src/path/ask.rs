//! What a walk asks of the kernel.

use super::look::{lexical, may_walk};
use super::{Lookup, Resolved, Target};
use crate::caller::Caller;
use crate::host::lookup::find;
use crate::host::name::{fstatfs, reopen};
use crate::state::mounts;
use crate::state::names::{Object, in_proc, name_of};
use nix::errno::Errno;
use nix::sys::stat::{FileStat, major};
use rxbox_policy::Access;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

/// A second descriptor of a directory or other object, again `O_PATH`.
pub(super) fn again(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    reopen(fd, libc::O_PATH)
}

/// Whether an object lies in a procfs. Only file systems without a device of their own can be one.
pub(super) fn on_procfs(object: &Object) -> Result<bool, Errno> {
    Ok(major(object.stat.st_dev) == 0 && fstatfs(object.as_fd())?.f_type == libc::PROC_SUPER_MAGIC)
}

/// Goes the whole way in one call of the kernel's, if it leads through no link, not out of a directory, not
/// into a procfs, and nowhere that the guest may not look. `None` says: walk. ENOENT is the one error that
/// needs no second look: hidden and missing are alike. `at` is the name of `base`. What is found is not
/// hidden.
pub(super) fn whole(
    caller: &Caller<'_>,
    (base, at): (BorrowedFd<'_>, &[u8]),
    path: &CStr,
    how: Lookup,
) -> Result<Option<Resolved>, Errno> {
    if in_proc(path.to_bytes()) || leads_out(path.to_bytes()) {
        return Ok(None);
    }
    let there = lexical(at, path.to_bytes());
    if !may_walk(caller, &there) {
        return Ok(None);
    }
    let Ok((start, rest)) = mounts::start((base, at), path, &there, how.restrict) else { return Ok(None) };
    let fd = match find(start, &rest, how.follow, how.restrict) {
        Ok(fd) => fd,
        Err(Errno::ENOENT) if !how.missing => return Err(Errno::ENOENT),
        Err(_) => return Ok(None),
    };
    let object = Object::of(fd)?;
    if on_procfs(&object)? {
        return Ok(None);
    }
    // A name that is gone already: the walk looks again.
    let Ok(path) = name_of(object.as_fd()) else { return Ok(None) };
    // What may be walked to is not hidden; a name that has changed since is another.
    if path != there {
        seen(caller, &path)?;
    }
    Ok(Some(Resolved { path, target: Target::Host(object) }))
}

/// What the policy hides is not found; the question is audited.
pub(super) fn seen(caller: &Caller<'_>, path: &[u8]) -> Result<(), Errno> {
    let hidden = caller.hides_any() && caller.hides(path);
    if hidden { caller.check(Access::Metadata, path) } else { Ok(()) }
}

/// Whether there is a `..` in it: that leads out of a directory that the result does not show, or to one
/// whose name nobody has judged.
pub(super) fn leads_out(path: &[u8]) -> bool {
    path.split(|&b| b == b'/').any(|name| name == b"..")
}

/// Whether the kernel would follow a link at the end of a path (`fs.protected_symlinks`, proc_sys_fs(5)): in
/// a sticky directory that everybody can write to only one's own links and those of the directory's owner.
pub(super) fn may_follow(dir: &FileStat, link: &FileStat) -> bool {
    static PROTECTED: OnceLock<bool> = OnceLock::new();
    let open_to_all = libc::S_ISVTX | libc::S_IWOTH;
    dir.st_mode & open_to_all != open_to_all
        || link.st_uid == nix::unistd::geteuid().as_raw()
        || link.st_uid == dir.st_uid
        || !*PROTECTED.get_or_init(|| {
            std::fs::read("/proc/sys/fs/protected_symlinks").is_ok_and(|text| text.starts_with(b"1"))
        })
}

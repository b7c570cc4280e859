//! Calls that make and take away names: mkdir(2), mknod(2), symlink(2), link(2), rmdir(2), unlink(2).
//!
//! The name is the last component in a directory that is held; these calls never follow it. So the policy
//! decides about the directory's name joined with it, and whatever is swapped under that name meanwhile is
//! just what has the name.

use super::named::{Given, VIEW_IS_FIXED, find, known};
use crate::caller::Caller;
use crate::context::{Call, Entry};
use crate::handlers::fs::directory::shows_any;
use crate::handlers::fs::open::creation_mode;
use crate::host::SyscallResult;
use crate::host::name::{descriptor_directory, reopen_name};
use crate::path::{Lookup, Parent, Target, parent};
use crate::state::fd::{File, Kind};
use crate::state::names::name_of;
use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstatat, mkdirat, mknodat};
use nix::unistd::{self, UnlinkatFlags, symlinkat, unlinkat};
use rxbox_policy::{Access, Make};
use std::ffi::CStr;
use std::os::fd::AsFd;

/// The handlers of this module.
pub(crate) const HANDLERS: &[Entry] = &[
    ("mkdir", |call| make_directory(&Caller::of(call), AT_FDCWD, call.string(0)?, call.u32(1))),
    ("mkdirat", |call| make_directory(&Caller::of(call), call.i32(0), call.string(1)?, call.u32(2))),
    ("mknod", |call| make_node(&Caller::of(call), (AT_FDCWD, call.string(0)), call.u32(1))),
    ("mknodat", |call| make_node(&Caller::of(call), (call.i32(0), call.string(1)), call.u32(2))),
    ("symlink", |call| make_link(&Caller::of(call), call.string(0)?, (AT_FDCWD, call.string(1)))),
    ("symlinkat", |call| make_link(&Caller::of(call), call.string(0)?, (call.i32(1), call.string(2)))),
    ("link", link),
    ("linkat", linkat),
    ("unlink", |call| remove(&Caller::of(call), AT_FDCWD, call.string(0)?, 0)),
    ("unlinkat", |call| remove(&Caller::of(call), call.i32(0), call.string(1)?, call.i32(2))),
    ("rmdir", |call| remove(&Caller::of(call), AT_FDCWD, call.string(0)?, AT_REMOVEDIR)),
];

/// Whether a name exists, without the slashes: a link or file is there even if it is no directory. `None`
/// where the guest may not look.
fn exists(caller: &Caller<'_>, place: &Parent) -> Option<bool> {
    let look = || fstatat(&place.dir, place.name(), AtFlags::AT_SYMLINK_NOFOLLOW).is_ok();
    place.may_look(caller).then(look)
}

/// Whether a name exists and may be known to.
pub(super) fn is_there(caller: &Caller<'_>, place: &Parent) -> bool {
    exists(caller, place) == Some(true)
}

/// Whether a name looks missing: it is, or it is hidden.
pub(super) fn is_missing(caller: &Caller<'_>, place: &Parent) -> bool {
    exists(caller, place) == Some(false) || caller.hides(&place.path())
}

/// The place where a name is to be made, with the policy's consent. A name that is there already is EEXIST
/// whether or not it could be made: programs make directories that may be there (`mkdir -p`) and go on after
/// EEXIST only.
pub(super) fn place_for(caller: &Caller<'_>, dirfd: i32, path: &CStr, what: Make) -> Result<Parent, Errno> {
    let place = parent(caller, dirfd, path)?;
    if place.is_dots() {
        return Ok(place);
    }
    if place.in_view() {
        let there = crate::view::at(caller, &place.path()).is_ok();
        return Err(if there { Errno::EEXIST } else { Errno::ENOENT });
    }
    let name = place.path();
    if !caller.sandbox.policy.make(what, &name).allowed() && is_there(caller, &place) {
        return Err(Errno::EEXIST);
    }
    caller.check_make(what, &name)?;
    Ok(place)
}

pub(super) fn make_directory(caller: &Caller<'_>, dirfd: i32, path: &CStr, mode: u32) -> SyscallResult {
    let place = place_for(caller, dirfd, path, Make::Directory)?;
    let mode = creation_mode(caller, mode) & 0o1777;
    mkdirat(&place.dir, place.leaf(), Mode::from_bits_truncate(mode)).map(|()| 0)
}

/// mknod(2) of what an unprivileged process can make and nobody else can be harmed with: regular files,
/// FIFOs, sockets.
///
/// The kernel looks at the mode before it looks at the path.
pub(super) fn make_node(caller: &Caller<'_>, (dirfd, path): Given<'_>, mode: u32) -> SyscallResult {
    let kind = match mode & libc::S_IFMT {
        0 | libc::S_IFREG => SFlag::S_IFREG,
        libc::S_IFIFO => SFlag::S_IFIFO,
        libc::S_IFSOCK => SFlag::S_IFSOCK,
        libc::S_IFCHR | libc::S_IFBLK | libc::S_IFDIR => return Err(Errno::EPERM),
        _ => return Err(Errno::EINVAL),
    };
    let place = place_for(caller, dirfd, path?, Make::File)?;
    let mode = Mode::from_bits_truncate(creation_mode(caller, mode));
    mknodat(&place.dir, place.leaf(), kind, mode, 0).map(|()| 0)
}

/// symlink(2). The text is free: whoever follows the link is judged by where it leads then.
pub(super) fn make_link(caller: &Caller<'_>, text: &CStr, (dirfd, path): Given<'_>) -> SyscallResult {
    if text.is_empty() {
        return Err(Errno::ENOENT);
    }
    let place = place_for(caller, dirfd, path?, Make::Link)?;
    symlinkat(text, &place.dir, place.leaf()).map(|()| 0)
}

fn link(call: &mut Call<'_>) -> SyscallResult {
    add_name(&Caller::of(call), (AT_FDCWD, call.string(0)), (AT_FDCWD, call.string(1)), 0)
}

fn linkat(call: &mut Call<'_>) -> SyscallResult {
    add_name(&Caller::of(call), (call.i32(0), call.string(1)), (call.i32(2), call.string(3)), call.i32(4))
}

/// link(2). The new name gives what it gives: a file that may only be read must not get a name by which it
/// may be written to, and one that may not be read none at all. So the old name must allow both, and whatever
/// else the new one would give.
pub(super) fn add_name(caller: &Caller<'_>, old: Given<'_>, new: Given<'_>, flags: i32) -> SyscallResult {
    known(flags, AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)?;
    let how = Lookup {
        follow: flags & AT_SYMLINK_FOLLOW != 0,
        empty: flags & AT_EMPTY_PATH != 0,
        ..Lookup::FOLLOW
    };
    let old = (old.0, old.1?);
    let found = find(caller, old.0, old.1, how)?;
    let what = if found.is_link() { Make::Link } else { Make::File };
    let place = place_for(caller, new.0, new.1?, what)?;
    let held = match &found.target {
        Target::View(_) => return Err(Errno::EXDEV),
        Target::Open(file) => {
            may_name(caller, file, &place)?;
            file.host.as_fd()
        }
        Target::Host(object) => {
            may_give(caller, what, &found.path, &place)?;
            if object.is_link() {
                // A second name for a link can only be made by its first. What has that now need not be a
                // link any more, and is judged as either.
                let from = parent(caller, old.0, old.1)?;
                may_give(caller, what, &from.path(), &place)?;
                return unistd::linkat(&from.dir, from.leaf(), &place.dir, place.leaf(), AtFlags::empty())
                    .map(|()| 0);
            }
            object.as_fd()
        }
    };
    let name = reopen_name(held);
    let from = (descriptor_directory()?, name.relative());
    unistd::linkat(from.0, from.1, &place.dir, place.leaf(), AtFlags::AT_SYMLINK_FOLLOW).map(|()| 0)
}

/// Whether the policy gives a file whole, so that it may have another name; EXDEV if that would give more.
fn may_give(caller: &Caller<'_>, what: Make, path: &[u8], place: &Parent) -> Result<(), Errno> {
    caller.check(Access::Read, path)?;
    caller.check(Access::Write, path)?;
    let new = place.path();
    if place.is_dots() || caller.sandbox.policy.link(what, path, &new).allowed() {
        Ok(())
    } else {
        Err(Errno::EXDEV)
    }
}

/// Whether an open file may get a name: one without a name (`O_TMPFILE`) if the guest can write to it; any
/// other as its name says.
fn may_name(caller: &Caller<'_>, file: &File, place: &Parent) -> Result<(), Errno> {
    if file.kind == Kind::View {
        return Err(Errno::EXDEV);
    }
    match name_of(file.host.as_fd()) {
        Ok(path) => may_give(caller, Make::File, &path, place),
        Err(_) if file.writable() => Ok(()),
        Err(_) => Err(Errno::ENOENT),
    }
}

/// unlink(2) and rmdir(2). A directory on the way to something that a rule hides by name stays, whether that
/// is there or not (EBUSY, as for a mount point); so does one in which nothing is left but what a pattern
/// hides.
pub(super) fn remove(caller: &Caller<'_>, dirfd: i32, path: &CStr, flags: i32) -> SyscallResult {
    known(flags, AT_REMOVEDIR)?;
    let place = parent(caller, dirfd, path)?;
    if place.in_view() && !place.is_dots() {
        crate::view::at(caller, &place.path())?;
        return Err(VIEW_IS_FIXED);
    }
    if !place.is_dots() {
        let name = place.path();
        if !caller.allows(Access::Remove, &name) && is_missing(caller, &place) {
            return Err(Errno::ENOENT);
        }
        caller.check(Access::Remove, &name)?;
    }
    if flags & AT_REMOVEDIR == 0 {
        return unlinkat(&place.dir, place.leaf(), UnlinkatFlags::NoRemoveDir).map(|()| 0);
    }
    let hides = |place: &Parent| !place.is_dots() && caller.sandbox.policy.hides_any_below(&place.path());
    if !place.is_dots() && caller.sandbox.policy.names_hidden_below(&place.path()) {
        return Err(if lists_any(caller, &place)? { Errno::ENOTEMPTY } else { Errno::EBUSY });
    }
    match unlinkat(&place.dir, place.leaf(), UnlinkatFlags::RemoveDir) {
        Err(Errno::ENOTEMPTY) if hides(&place) && !lists_any(caller, &place)? => Err(Errno::EBUSY),
        done => done.map(|()| 0),
    }
}

/// Whether the directory of this name, as the guest sees it, has something in it. One that nobody may list
/// does not say.
fn lists_any(caller: &Caller<'_>, place: &Parent) -> Result<bool, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match openat(&place.dir, place.name(), flags, Mode::empty()) {
        Ok(dir) => shows_any(caller, dir.as_fd(), &place.path()),
        Err(Errno::EACCES) => Ok(false),
        Err(Errno::ELOOP) => Err(Errno::ENOTDIR),
        Err(e) => Err(e),
    }
}

//! Asking about files: the stat family, access(2), readlink(2), statfs(2).

use super::named::{find, known, named};
use crate::caller::Caller;
use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::name::{self, Plain, statx as host_statx};
use crate::path::{Lookup, Resolved, Target};
use crate::state::fd::{File, Kind};
use crate::state::names::name_of;
use libc::{AT_EACCESS, AT_EMPTY_PATH, AT_FDCWD, AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW};
use nix::errno::Errno;
use rxbox_policy::Access;
use std::ffi::CStr;
use std::os::fd::AsFd;

/// The handlers of this module.
pub(crate) const HANDLERS: &[Entry] = &[
    ("stat", stat),
    ("lstat", lstat),
    ("fstat", fstat),
    ("newfstatat", newfstatat),
    ("statx", statx),
    ("access", access),
    ("faccessat", faccessat),
    ("faccessat2", faccessat2),
    ("readlink", readlink),
    ("readlinkat", readlinkat),
    ("statfs", statfs),
    ("fstatfs", fstatfs),
];

fn stat(call: &mut Call<'_>) -> SyscallResult {
    let status = status(call, AT_FDCWD, 0, Lookup::FOLLOW)?;
    call.put(1, status.bytes())?;
    Ok(0)
}

fn lstat(call: &mut Call<'_>) -> SyscallResult {
    let status = status(call, AT_FDCWD, 0, Lookup::LINK)?;
    call.put(1, status.bytes())?;
    Ok(0)
}

fn newfstatat(call: &mut Call<'_>) -> SyscallResult {
    let flags = call.i32(3);
    const SYNC: i32 = libc::AT_STATX_FORCE_SYNC | libc::AT_STATX_DONT_SYNC;
    let path = path_or_empty(call, flags);
    // Of an open file alone the kernel looks at no flags.
    let open = flags & AT_EMPTY_PATH != 0 && call.i32(0) >= 0 && path.is_ok_and(CStr::is_empty);
    if !open {
        known(flags, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | SYNC)?;
    }
    let caller = Caller::of(call);
    let found = find(&caller, call.i32(0), path?, Lookup::at(flags))?;
    let status = status_of(&caller, &found)?;
    call.put(2, status.bytes())?;
    Ok(0)
}

fn fstat(call: &mut Call<'_>) -> SyscallResult {
    let file = call.any_file(0)?;
    let status = open_status(&Caller::of(call), &file)?;
    call.put(1, status.bytes())?;
    Ok(0)
}

/// The status of an open file: what the guest opened, not what the supervisor holds in its place.
pub(super) fn open_status(caller: &Caller<'_>, file: &File) -> Result<libc::stat, Errno> {
    match file.path.as_deref().filter(|_| file.kind == Kind::View) {
        Some(path) => crate::view::at(caller, path)?.status(caller),
        None => {
            let mut stat = nix::sys::stat::fstat(&file.host)?;
            if file.kind == Kind::Socket {
                // What the supervisor has set for the file that was bound says nothing of the socket.
                stat.st_mode |= 0o777;
            }
            Ok(told(stat, is_open_veiled(caller, file, stat.st_mode)))
        }
    }
}

/// The links of a directory that does not tell how many folders are in it, as on file systems that do not
/// count them (stat(2) has no word for it; programs that walk trees know it).
const UNTOLD_LINKS: u32 = 1;
/// Its size: the usual one of an empty one, with the blocks of 512 bytes.
const UNTOLD_SIZE: (u32, u32) = (4096, 8);

/// Whether a name leads to a directory in which a rule hides something. It tells neither how many folders nor
/// how many names it has, whether or not there is something hidden.
fn is_veiled(caller: &Caller<'_>, path: &[u8], mode: u32) -> bool {
    mode & libc::S_IFMT == libc::S_IFDIR && caller.sandbox.policy.hides_any_below(path)
}

/// The same of an open file, by the name that it has now. A directory without a name has nothing in it.
fn is_open_veiled(caller: &Caller<'_>, file: &File, mode: u32) -> bool {
    mode & libc::S_IFMT == libc::S_IFDIR
        && caller.hides_any()
        && name_of(file.host.as_fd()).is_ok_and(|path| is_veiled(caller, &path, mode))
}

/// The status without what a veiled directory does not tell.
fn told(mut stat: libc::stat, veiled: bool) -> libc::stat {
    if veiled {
        stat.st_nlink = UNTOLD_LINKS.into();
        (stat.st_size, stat.st_blocks) = (UNTOLD_SIZE.0.into(), UNTOLD_SIZE.1.into());
    }
    stat
}

/// The status of what a name leads to. An open file may always be asked about.
fn status(call: &Call<'_>, dirfd: i32, path: usize, how: Lookup) -> Result<libc::stat, Errno> {
    let (caller, found) = named(call, dirfd, path, how)?;
    status_of(&caller, &found)
}

pub(super) fn status_of(caller: &Caller<'_>, found: &Resolved) -> Result<libc::stat, Errno> {
    match &found.target {
        Target::Host(object) => caller
            .check(Access::Metadata, &found.path)
            .map(|()| told(object.stat, is_veiled(caller, &found.path, object.stat.st_mode))),
        Target::View(node) => caller.check(Access::Metadata, &found.path).and_then(|()| node.status(caller)),
        Target::Open(file) => open_status(caller, file),
    }
}

fn statx(call: &mut Call<'_>) -> SyscallResult {
    const SYNC: i32 = libc::AT_STATX_FORCE_SYNC | libc::AT_STATX_DONT_SYNC;
    let (flags, mask) = (call.i32(2), call.u32(3));
    known(flags, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | SYNC)?;
    if flags & SYNC == SYNC || mask & libc::STATX__RESERVED as u32 != 0 {
        return Err(Errno::EINVAL);
    }
    let caller = Caller::of(call);
    let found = find(&caller, call.i32(0), path_or_empty(call, flags)?, Lookup::at(flags))?;
    let fd = match &found.target {
        Target::Host(object) => {
            caller.check(Access::Metadata, &found.path)?;
            Some(object.as_fd())
        }
        Target::Open(file) if file.kind != Kind::View => Some(file.host.as_fd()),
        Target::Open(_) | Target::View(_) => None,
    };
    let answer = match fd {
        Some(fd) => {
            let mut answer = host_statx(fd, flags & SYNC, mask)?;
            let mode = answer.stx_mode.into();
            let veiled = match &found.target {
                Target::Open(file) => is_open_veiled(&caller, file, mode),
                _ => is_veiled(&caller, &found.path, mode),
            };
            if veiled {
                (answer.stx_nlink, answer.stx_size) = (UNTOLD_LINKS, UNTOLD_SIZE.0.into());
                answer.stx_blocks = UNTOLD_SIZE.1.into();
            }
            answer
        }
        None => extended(&status_of(&caller, &found)?),
    };
    call.put(4, answer.bytes())?;
    Ok(0)
}

/// The path in argument 1. A null one with AT_EMPTY_PATH is an empty one (since Linux 6.11).
fn path_or_empty<'c>(call: &'c Call<'_>, flags: i32) -> Result<&'c CStr, Errno> {
    if !call.present(1) && flags & AT_EMPTY_PATH != 0 { Ok(c"") } else { call.string(1) }
}

/// A status in the form of statx(2), with the basic fields.
fn extended(stat: &libc::stat) -> libc::statx {
    let time = |seconds, nanoseconds: i64| {
        let mut time = libc::statx_timestamp::zeroed();
        (time.tv_sec, time.tv_nsec) = (seconds, nanoseconds as u32);
        time
    };
    let mut out = libc::statx::zeroed();
    out.stx_mask = libc::STATX_BASIC_STATS;
    out.stx_blksize = stat.st_blksize as u32;
    out.stx_nlink = stat.st_nlink as u32;
    (out.stx_uid, out.stx_gid) = (stat.st_uid, stat.st_gid);
    out.stx_mode = stat.st_mode as u16;
    out.stx_ino = stat.st_ino;
    out.stx_size = stat.st_size as u64;
    out.stx_blocks = stat.st_blocks as u64;
    out.stx_atime = time(stat.st_atime, stat.st_atime_nsec);
    out.stx_mtime = time(stat.st_mtime, stat.st_mtime_nsec);
    out.stx_ctime = time(stat.st_ctime, stat.st_ctime_nsec);
    (out.stx_dev_major, out.stx_dev_minor) = (libc::major(stat.st_dev), libc::minor(stat.st_dev));
    (out.stx_rdev_major, out.stx_rdev_minor) = (libc::major(stat.st_rdev), libc::minor(stat.st_rdev));
    out
}

fn access(call: &mut Call<'_>) -> SyscallResult {
    may_access(call, AT_FDCWD, 0, call.i32(1), 0)
}

fn faccessat(call: &mut Call<'_>) -> SyscallResult {
    may_access(call, call.i32(0), 1, call.i32(2), 0)
}

fn faccessat2(call: &mut Call<'_>) -> SyscallResult {
    may_access(call, call.i32(0), 1, call.i32(2), call.i32(3))
}

/// access(2): what the policy would say to opening it so, then what the kernel says.
fn may_access(call: &Call<'_>, dirfd: i32, path: usize, mode: i32, flags: i32) -> SyscallResult {
    known(mode, libc::R_OK | libc::W_OK | libc::X_OK)?;
    known(flags, AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)?;
    let (caller, found) = named(call, dirfd, path, Lookup::at(flags))?;
    check_access(&caller, &found, mode, flags & AT_EACCESS).map(|()| 0)
}

pub(super) fn check_access(
    caller: &Caller<'_>,
    found: &Resolved,
    mode: i32,
    flags: i32,
) -> Result<(), Errno> {
    let stat = status_of(caller, found)?;
    let dir = stat.st_mode & libc::S_IFMT == libc::S_IFDIR;
    let asked = [
        (libc::R_OK, if dir { Access::List } else { Access::Read }),
        (libc::W_OK, if dir { Access::Create } else { Access::Write }),
        (libc::X_OK, if dir { Access::Metadata } else { Access::Execute }),
    ];
    for (bit, access) in asked.into_iter().filter(|(bit, _)| mode & bit != 0) {
        match bit {
            libc::W_OK if dir && found.takes_names(caller) => {}
            libc::W_OK => found.check_probe(caller, access)?,
            _ => found.check(caller, access)?,
        }
    }
    match &found.target {
        Target::Host(object) => name::access(object.as_fd(), mode, flags),
        Target::Open(file) if file.kind != Kind::View => name::access(file.host.as_fd(), mode, flags),
        // Nobody writes to the view, and no file in it is a program.
        _ if mode & libc::W_OK != 0 || (mode & libc::X_OK != 0 && !dir) => Err(Errno::EACCES),
        _ => Ok(()),
    }
}

fn readlink(call: &mut Call<'_>) -> SyscallResult {
    read_link(call, AT_FDCWD, 0)
}

fn readlinkat(call: &mut Call<'_>) -> SyscallResult {
    read_link(call, call.i32(0), 1)
}

/// readlink(2): the buffer and its length are the arguments behind the path. An empty path means the link
/// that `dirfd` itself holds.
fn read_link(call: &mut Call<'_>, dirfd: i32, path: usize) -> SyscallResult {
    if call.i32(path + 2) <= 0 {
        return Err(Errno::EINVAL);
    }
    let how = Lookup { empty: path == 1, ..Lookup::LINK };
    let (caller, found) = named(call, dirfd, path, how)?;
    let text = match link_text(&caller, &found) {
        Err(Errno::EINVAL) if call.string(path)?.is_empty() => return Err(Errno::ENOENT),
        text => text?,
    };
    let n = text.len().min(call.room(path + 1));
    call.put(path + 1, &text[..n])?;
    Ok(n as i64)
}

pub(super) fn link_text(caller: &Caller<'_>, found: &Resolved) -> Result<Vec<u8>, Errno> {
    match &found.target {
        Target::Host(object) => {
            caller.check(Access::Metadata, &found.path)?;
            if object.is_link() { name::readlink(object.as_fd(), c"") } else { Err(Errno::EINVAL) }
        }
        Target::View(node) => {
            caller.check(Access::Metadata, &found.path)?;
            node.text(caller)?.ok_or(Errno::EINVAL)
        }
        Target::Open(file) => match file.path.as_deref().filter(|_| file.kind == Kind::View) {
            Some(path) => crate::view::at(caller, path)?.text(caller)?.ok_or(Errno::ENOENT),
            // The kernel answers ENOENT for an empty path whose descriptor is no link.
            None => name::readlink(file.host.as_fd(), c"").map_err(|_| Errno::ENOENT),
        },
    }
}

fn statfs(call: &mut Call<'_>) -> SyscallResult {
    let (caller, found) = named(call, AT_FDCWD, 0, Lookup::FOLLOW)?;
    let answer = match &found.target {
        Target::Host(object) => {
            caller.check(Access::Metadata, &found.path)?;
            name::fstatfs(object.as_fd())?
        }
        Target::View(node) => {
            caller.check(Access::Metadata, &found.path)?;
            name::fstatfs(node.directory()?.as_fd())?
        }
        Target::Open(file) => name::fstatfs(file.host.as_fd())?,
    };
    call.put(1, answer.bytes())?;
    Ok(0)
}

fn fstatfs(call: &mut Call<'_>) -> SyscallResult {
    let answer = name::fstatfs(call.any_file(0)?.host.as_fd())?;
    call.put(1, answer.bytes())?;
    Ok(0)
}

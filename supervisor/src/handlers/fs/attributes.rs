//! Changing what a file has beside its contents, and its length by name: chmod(2), chown(2), utimensat(2),
//! truncate(2).
//!
//! All of these are judged by the file's name, by descriptor too: a descriptor gives no right to anything but
//! the contents.

use super::super::signal::raise;
use super::named::{done, known, named};
use crate::caller::Caller;
use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::name::{descriptor_directory, reopen_name, set_times};
use crate::path::{Lookup, Resolved, Target};
use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use nix::unistd::{Gid, Uid, fchownat, truncate as host_truncate};
use rxbox_policy::Access;
use std::os::fd::BorrowedFd;

/// The handlers of this module.
pub(crate) const HANDLERS: &[Entry] = &[
    ("chmod", |call| chmod(call, AT_FDCWD, 0, call.u32(1), 0)),
    ("fchmodat", |call| chmod(call, call.i32(0), 1, call.u32(2), 0)),
    ("fchmodat2", |call| chmod(call, call.i32(0), 1, call.u32(2), call.i32(3))),
    ("fchmod", fchmod),
    ("chown", |call| chown(call, AT_FDCWD, 0, [call.u32(1), call.u32(2)], 0)),
    ("lchown", |call| chown(call, AT_FDCWD, 0, [call.u32(1), call.u32(2)], AT_SYMLINK_NOFOLLOW)),
    ("fchownat", |call| chown(call, call.i32(0), 1, [call.u32(2), call.u32(3)], call.i32(4))),
    ("fchown", fchown),
    ("utimensat", utimensat),
    ("futimesat", |call| utimes(call, call.i32(0), 1)),
    ("utimes", |call| utimes(call, AT_FDCWD, 0)),
    ("utime", utime),
    ("truncate", truncate),
];

/// The object to change, with the policy's consent.
fn changed<'r>(caller: &Caller<'_>, found: &'r Resolved) -> Result<BorrowedFd<'r>, Errno> {
    let object = found.changeable()?;
    found.check(caller, Access::Attributes)?;
    Ok(object)
}

fn chmod(call: &Call<'_>, dirfd: i32, path: usize, mode: u32, flags: i32) -> SyscallResult {
    known(flags, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)?;
    let (caller, found) = named(call, dirfd, path, Lookup::at(flags).to(Access::Attributes))?;
    done(set_mode(&caller, &found, mode))
}

fn fchmod(call: &mut Call<'_>) -> SyscallResult {
    done(set_mode(&Caller::of(call), &descriptor(call)?, call.u32(1)))
}

/// The file that argument 0 has open.
fn descriptor(call: &Call<'_>) -> Result<Resolved, Errno> {
    Ok(Resolved { target: Target::Open(call.file(0)?), path: Vec::new() })
}

/// Sets permissions. A program that takes on its owner's rights would take on those of the supervisor's user,
/// outside of the sandbox: the set-user-id and set-group-id bits are dropped, as the kernel drops the latter
/// for a foreign group. On directories set-group-id only says what group new files get, and stays.
pub(super) fn set_mode(caller: &Caller<'_>, found: &Resolved, mode: u32) -> Result<(), Errno> {
    if found.is_link() {
        return Err(Errno::EOPNOTSUPP);
    }
    let object = changed(caller, found)?;
    let directory = nix::sys::stat::fstat(object)?.st_mode & libc::S_IFMT == libc::S_IFDIR;
    let kept = if directory { 0o7777 } else { 0o7777 & !(libc::S_ISUID | libc::S_ISGID) };
    let name = reopen_name(object);
    let mode = Mode::from_bits_truncate(mode & kept);
    fchmodat(descriptor_directory()?, name.relative(), mode, FchmodatFlags::FollowSymlink)
}

fn chown(call: &Call<'_>, dirfd: i32, path: usize, ids: [u32; 2], flags: i32) -> SyscallResult {
    known(flags, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)?;
    let (caller, found) = named(call, dirfd, path, Lookup::at(flags).to(Access::Attributes))?;
    done(set_owner(&caller, &found, ids))
}

fn fchown(call: &mut Call<'_>) -> SyscallResult {
    done(set_owner(&Caller::of(call), &descriptor(call)?, [call.u32(1), call.u32(2)]))
}

/// Sets user and group; the id -1 leaves one as it is.
fn set_owner(caller: &Caller<'_>, found: &Resolved, [user, group]: [u32; 2]) -> Result<(), Errno> {
    let object = changed(caller, found)?;
    let user = (user != u32::MAX).then(|| Uid::from_raw(user));
    let group = (group != u32::MAX).then(|| Gid::from_raw(group));
    fchownat(object, c"", user, group, AtFlags::AT_EMPTY_PATH)
}

fn utimensat(call: &mut Call<'_>) -> SyscallResult {
    let flags = call.i32(3);
    if call.present(2) {
        let [_, access, _, modification] = call.words(2)?;
        if [access, modification] == [libc::UTIME_OMIT as u64; 2] {
            // Nothing is to be done, and the kernel looks no further.
            return Ok(0);
        }
    }
    known(flags, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)?;
    // That the times are such is only looked at once it is known what they are for.
    let times = if call.present(2) { exact_times(call.words(2)?) } else { Ok(NOW) };
    if call.present(1) {
        let (caller, found) = named(call, call.i32(0), 1, Lookup::at(flags).to(Access::Attributes))?;
        return done(set(&caller, &found, &times?));
    }
    // Without a path it is futimens(3).
    if call.i32(0) == AT_FDCWD {
        return Err(Errno::EFAULT);
    }
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let file = descriptor(call)?;
    done(set(&Caller::of(call), &file, &times?))
}

/// Both times are the present.
const NOW: [libc::timespec; 2] = [libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_NOW }; 2];

/// Two `struct timespec` as four words, checked as the kernel does.
fn exact_times([s0, n0, s1, n1]: [u64; 4]) -> Result<[libc::timespec; 2], Errno> {
    let time = |seconds: u64, nanoseconds: u64| {
        let nanoseconds = nanoseconds as i64;
        let special = matches!(nanoseconds, libc::UTIME_NOW | libc::UTIME_OMIT);
        if !special && !(0..1_000_000_000).contains(&nanoseconds) {
            return Err(Errno::EINVAL);
        }
        Ok(libc::timespec { tv_sec: seconds as i64, tv_nsec: nanoseconds })
    };
    Ok([time(s0, n0)?, time(s1, n1)?])
}

/// utimes(2) and futimesat(2): two `struct timeval` behind the path.
fn utimes(call: &Call<'_>, dirfd: i32, path: usize) -> SyscallResult {
    let times = if call.present(path + 1) {
        let [s0, u0, s1, u1] = call.words(path + 1)?;
        if u0 >= 1_000_000 || u1 >= 1_000_000 {
            return Err(Errno::EINVAL);
        }
        exact_times([s0, u0 * 1000, s1, u1 * 1000])?
    } else {
        NOW
    };
    if !call.present(path) {
        if dirfd == AT_FDCWD {
            return Err(Errno::EFAULT);
        }
        let file = call.process.fds.accessible(dirfd)?;
        return done(set(
            &Caller::of(call),
            &Resolved { target: Target::Open(file), path: Vec::new() },
            &times,
        ));
    }
    let (caller, found) = named(call, dirfd, path, Lookup::FOLLOW.to(Access::Attributes))?;
    done(set(&caller, &found, &times))
}

/// utime(2): access and modification time in seconds.
fn utime(call: &mut Call<'_>) -> SyscallResult {
    let times = if call.present(1) {
        let [access, modification] = call.words(1)?;
        exact_times([access, 0, modification, 0])?
    } else {
        NOW
    };
    let (caller, found) = named(call, AT_FDCWD, 0, Lookup::FOLLOW.to(Access::Attributes))?;
    done(set(&caller, &found, &times))
}

fn set(caller: &Caller<'_>, found: &Resolved, times: &[libc::timespec; 2]) -> Result<(), Errno> {
    set_times(changed(caller, found)?, times)
}

fn truncate(call: &mut Call<'_>) -> SyscallResult {
    if call.i64(1) < 0 {
        return Err(Errno::EINVAL);
    }
    let (caller, found) = named(call, AT_FDCWD, 0, Lookup::FOLLOW.to(Access::Write))?;
    let done = done(set_length(&caller, &found, call.i64(1)));
    if done == Err(Errno::EFBIG) && call.u64(1) > largest(&caller) {
        raise(call, libc::SIGXFSZ);
    }
    done
}

/// The caller's own limit on the size of files.
fn largest(caller: &Caller<'_>) -> u64 {
    caller.process.limit(libc::RLIMIT_FSIZE as usize).soft
}

/// Sets a file's length. EFBIG for one that grows beyond the limit.
pub(super) fn set_length(caller: &Caller<'_>, found: &Resolved, length: i64) -> Result<(), Errno> {
    if length < 0 {
        return Err(Errno::EINVAL);
    }
    let object = found.changeable()?;
    let stat = nix::sys::stat::fstat(object)?;
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG => (),
        libc::S_IFDIR => return Err(Errno::EISDIR),
        _ => return Err(Errno::EINVAL),
    }
    found.check(caller, Access::Write)?;
    if length > stat.st_size && length as u64 > largest(caller) {
        return Err(Errno::EFBIG);
    }
    if super::open::is_busy_text(caller, &stat) {
        return Err(Errno::ETXTBSY);
    }
    host_truncate(reopen_name(object).absolute(), length)
}

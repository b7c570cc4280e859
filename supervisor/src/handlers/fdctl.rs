//! The descriptor table: duplicating, closing, pipes, fcntl(2), flock(2).
//!
//! A guest's descriptor is a number in its process's table. A duplicate has a host descriptor of its own on
//! the same open file description, for the kernel tells descriptors apart in places that a guest can see
//! (epoll).

use super::{lock, owner};
use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::number::{self, Fcntl};
use crate::state::fd::{File, Kind};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::os::fd::AsFd;
use std::sync::Arc;

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[
    ("dup", dup),
    ("dup2", dup2),
    ("dup3", dup3),
    ("close", close),
    ("close_range", close_range),
    ("pipe", pipe),
    ("pipe2", pipe2),
    ("fcntl", fcntl),
    ("flock", lock::whole),
];

fn dup(call: &mut Call<'_>) -> SyscallResult {
    let copy = call.any_file(0)?.duplicate()?;
    call.process.fds.insert(copy, false, 0).map(i64::from)
}

fn dup2(call: &mut Call<'_>) -> SyscallResult {
    let file = call.any_file(0)?;
    if call.i32(0) == call.i32(1) {
        return Ok(call.i32(1).into());
    }
    replace(call, &file, false)
}

fn dup3(call: &mut Call<'_>) -> SyscallResult {
    let flags = call.i32(2);
    if flags & !libc::O_CLOEXEC != 0 || call.i32(0) == call.i32(1) {
        return Err(Errno::EINVAL);
    }
    let file = call.any_file(0)?;
    replace(call, &file, flags != 0)
}

/// Puts a duplicate of `file` at the number in argument 1, closing what was there.
fn replace(call: &Call<'_>, file: &File, cloexec: bool) -> SyscallResult {
    let at = call.i32(1);
    if let Some(old) = call.process.fds.insert_at(at, file.duplicate()?, cloexec)? {
        gone(call, &old);
    }
    Ok(at.into())
}

fn close(call: &mut Call<'_>) -> SyscallResult {
    let file = call.process.fds.remove(call.i32(0))?;
    gone(call, &file);
    Ok(0)
}

/// What closing a descriptor does besides: the process's record locks on the file go, whichever descriptor
/// set them, and its registration at a message queue.
fn gone(call: &Call<'_>, file: &File) {
    if file.kind == Kind::Queue {
        call.sandbox.ipc.queues.forget(file.host.as_fd(), call.process.pid);
    }
    call.process.locks.release(file);
}

fn close_range(call: &mut Call<'_>) -> SyscallResult {
    const UNSHARE: u32 = libc::CLOSE_RANGE_UNSHARE;
    const CLOEXEC: u32 = libc::CLOSE_RANGE_CLOEXEC;
    let (first, last, flags) = (call.u32(0), call.u32(1), call.u32(2));
    if flags & !(UNSHARE | CLOEXEC) != 0 || first > last {
        return Err(Errno::EINVAL);
    }
    let fds = &call.process.fds;
    for (n, ..) in fds.iter().into_iter().filter(|(n, ..)| (first..=last).contains(&(*n as u32))) {
        // Another guest thread may close it meanwhile: then it is as this call wants it.
        if flags & CLOEXEC != 0 {
            let _ = fds.set_cloexec(n, true);
        } else if let Ok(file) = fds.remove(n) {
            gone(call, &file);
        }
    }
    Ok(0)
}

fn pipe(call: &mut Call<'_>) -> SyscallResult {
    make_pipe(call, 0)
}

/// A pipe for notices of the kernel's, which there are none of, as in a kernel without watch queues.
const NOTIFICATION_PIPE: i32 = libc::O_EXCL;

fn pipe2(call: &mut Call<'_>) -> SyscallResult {
    let flags = call.i32(1);
    if flags & !(libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_DIRECT | NOTIFICATION_PIPE) != 0 {
        return Err(Errno::EINVAL);
    }
    if flags & NOTIFICATION_PIPE != 0 {
        return Err(Errno::ENOPKG);
    }
    make_pipe(call, flags)
}

fn make_pipe(call: &mut Call<'_>, flags: i32) -> SyscallResult {
    call.reach(0)?;
    let (r, w) = nix::unistd::pipe2(OFlag::from_bits_retain(flags) | OFlag::O_CLOEXEC)?;
    let numbers = insert_pair(call, [File::made(r)?, File::made(w)?], flags & libc::O_CLOEXEC != 0)?;
    put_pair(call, 0, numbers)
}

/// Gives both files a number, or neither.
pub(super) fn insert_pair(call: &Call<'_>, files: [File; 2], cloexec: bool) -> Result<[i32; 2], Errno> {
    let [a, b] = files;
    let first = call.process.fds.insert(a, cloexec, 0)?;
    match call.process.fds.insert(b, cloexec, 0) {
        Ok(second) => Ok([first, second]),
        Err(e) => {
            let _ = call.process.fds.remove(first);
            Err(e)
        }
    }
}

/// Gives the guest two numbers as the content of argument `i`.
pub(super) fn put_pair(call: &mut Call<'_>, i: usize, pair: [i32; 2]) -> SyscallResult {
    let [a, b] = pair.map(i32::to_le_bytes);
    call.put(i, &[a, b].concat()).map(|()| 0)
}

/// The status flags that F_SETFL may change. O_ASYNC only where its signal is the guest's ([`owner`]).
const SETTABLE: i32 = libc::O_APPEND | libc::O_NONBLOCK | libc::O_DIRECT | libc::O_NOATIME;

/// How long written data are expected to live (fcntl(2)): an advice that nothing here acts on. None is set.
const F_GET_RW_HINT: i32 = 1035;
const F_SET_RW_HINT: i32 = 1036;
const HINT_MAX: u64 = 5;

/// Notices of F_NOTIFY go on after the first one (fcntl(2)).
const DN_MULTISHOT: u32 = 1 << 31;

/// The signal that is sent instead of SIGIO, 0 for that one.
const F_GETSIG: i32 = 11;
const F_SETSIG: i32 = 10;
/// Whether two numbers are of one description (since Linux 6.10).
const F_DUPFD_QUERY: i32 = 1027;

/// F_SETOWN and F_GETOWN with a type of owner.
const F_SETOWN_EX: i32 = 15;
const F_GETOWN_EX: i32 = 16;

/// Commands for descriptors opened with `O_PATH` as well (open(2)).
const OF_NUMBERS: [i32; 6] =
    [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, F_DUPFD_QUERY];

fn fcntl(call: &mut Call<'_>) -> SyscallResult {
    let file = if OF_NUMBERS.contains(&call.i32(1)) { call.any_file(0)? } else { call.file(0)? };
    let argument = call.u64(2);
    let number = |command| number::fcntl(file.host.as_fd(), command, argument);
    match call.i32(1) {
        libc::F_DUPFD => duplicate_from(call, &file, false),
        libc::F_DUPFD_CLOEXEC => duplicate_from(call, &file, true),
        libc::F_GETFD => call.process.fds.cloexec(call.i32(0)).map(i64::from),
        libc::F_SETFD => {
            let cloexec = call.i32(2) & libc::FD_CLOEXEC != 0;
            call.process.fds.set_cloexec(call.i32(0), cloexec).map(|()| 0)
        }
        libc::F_GETFL => file.status_flags().map(i64::from),
        libc::F_SETFL => set_flags(call, &file),
        F_GETSIG => Ok(0),
        F_SETSIG if call.i32(2) == 0 => Ok(0),
        libc::F_GETLEASE => Ok(libc::F_UNLCK.into()),
        libc::F_SETLEASE if matches!(file.kind, Kind::Regular | Kind::Memory | Kind::View) => {
            Err(Errno::EAGAIN)
        }
        F_DUPFD_QUERY => {
            let other = call.any_file(2)?;
            Ok(Arc::ptr_eq(&file.record(), &other.record()).into())
        }
        libc::F_GETOWN | libc::F_SETOWN | F_SETOWN_EX if file.kind == Kind::View => Ok(0),
        F_GETOWN_EX if file.kind == Kind::View => call.put_words(2, &[0]).map(|()| 0),
        libc::F_GET_SEALS if file.kind == Kind::View => Err(Errno::EINVAL),
        libc::F_GETPIPE_SZ => number(Fcntl::GetPipeSize),
        libc::F_SETPIPE_SZ => number(Fcntl::SetPipeSize),
        libc::F_GET_SEALS => number(Fcntl::GetSeals),
        libc::F_ADD_SEALS => number(Fcntl::AddSeals),
        libc::F_SETOWN => owner::set(call, &file, call.i32(2)),
        libc::F_GETOWN => owner::get(call, &file).map(i64::from),
        F_SETOWN_EX => owner::set_extended(call, &file),
        F_GETOWN_EX => owner::get_extended(call, &file),
        F_GET_RW_HINT => call.put_words(2, &[0]).map(|()| 0),
        F_SET_RW_HINT => {
            if call.words::<1>(2)?[0] <= HINT_MAX {
                Ok(0)
            } else {
                Err(Errno::EINVAL)
            }
        }
        // No notices are given, as on a kernel built without them; to take them all back is to do nothing.
        libc::F_NOTIFY if call.u32(2) & !DN_MULTISHOT == 0 => Ok(0),
        libc::F_NOTIFY if !is_directory(&file) => Err(Errno::ENOTDIR),
        libc::F_GETLK | libc::F_SETLK | libc::F_SETLKW => lock::record(call, &file),
        libc::F_OFD_GETLK | libc::F_OFD_SETLK | libc::F_OFD_SETLKW => lock::description(call, &file),
        _ => Err(Errno::EINVAL),
    }
}

fn is_directory(file: &File) -> bool {
    file.kind == Kind::Directory
        || file.kind == Kind::View
            && nix::sys::stat::fstat(&file.host).is_ok_and(|s| s.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

fn duplicate_from(call: &Call<'_>, file: &Arc<File>, cloexec: bool) -> SyscallResult {
    let least = i32::try_from(call.u32(2)).map_err(|_| Errno::EINVAL)?;
    if u64::from(call.u32(2)) >= call.process.limit(libc::RLIMIT_NOFILE as usize).soft {
        return Err(Errno::EINVAL);
    }
    call.process.fds.insert(file.duplicate()?, cloexec, least).map(i64::from)
}

fn set_flags(call: &Call<'_>, file: &File) -> SyscallResult {
    let mut wanted = call.i32(2) & SETTABLE;
    if call.i32(2) & libc::O_ASYNC != 0 && owner::carries(file) {
        wanted |= owner::switched_on(call, file)?;
    }
    number::fcntl(file.host.as_fd(), Fcntl::SetFlags, wanted as u64)
}

//! Host calls whose arguments are only numbers: the kernel touches no memory of this process for them, so
//! whatever the numbers are, the call is safe; at worst it returns an errno.

use super::SyscallResult;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// How long a call may wait, and so how it must be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It comes back by itself (regular files, queries).
    Short,
    /// It may wait for somebody else: it must be possible to interrupt it (EINTR).
    Long,
}

/// Makes the host call `nr`, interruptibly if it may wait long.
///
/// # Safety
/// Every argument that the kernel takes as a pointer must be null or valid for what the call reads and writes
/// there, until it returns.
pub(super) unsafe fn raw(wait: Wait, nr: i64, args: [u64; 6]) -> SyscallResult {
    match wait {
        // SAFETY: the caller's promise.
        Wait::Short => unsafe { super::raw::call(nr, args) },
        // SAFETY: the caller's promise.
        Wait::Long => unsafe { super::interrupt::interruptible(nr, args) },
    }
}

/// Calls on an open descriptor that take nothing but numbers besides (their manual pages are named like the
/// variants).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum OnFd {
    /// lseek(2): offset, whence.
    Lseek = libc::SYS_lseek,
    /// fsync(2).
    Fsync = libc::SYS_fsync,
    /// fdatasync(2).
    Fdatasync = libc::SYS_fdatasync,
    /// syncfs(2).
    Syncfs = libc::SYS_syncfs,
    /// sync_file_range(2): offset, bytes, flags.
    SyncFileRange = libc::SYS_sync_file_range,
    /// fallocate(2): mode, offset, length.
    Fallocate = libc::SYS_fallocate,
    /// ftruncate(2): length.
    Ftruncate = libc::SYS_ftruncate,
    /// posix_fadvise(2): offset, length, advice.
    Fadvise = libc::SYS_fadvise64,
    /// readahead(2): offset, count.
    Readahead = libc::SYS_readahead,
    /// flock(2): operation.
    Flock = libc::SYS_flock,
    /// listen(2): backlog.
    Listen = libc::SYS_listen,
    /// shutdown(2): direction.
    Shutdown = libc::SYS_shutdown,
    /// inotify_rm_watch(2): watch.
    InotifyRmWatch = libc::SYS_inotify_rm_watch,
}

/// Makes a call on `fd`; `rest` are its further arguments.
pub fn on_fd(wait: Wait, call: OnFd, fd: BorrowedFd<'_>, rest: [u64; 3]) -> SyscallResult {
    let args = [fd.as_raw_fd() as u64, rest[0], rest[1], rest[2], 0, 0];
    // SAFETY: none of the calls listed takes a pointer.
    unsafe { raw(wait, call as i64, args) }
}

/// `F_SETSIG` (fcntl(2)).
const F_SETSIG: i32 = 10;

/// Commands of fcntl(2) whose argument is a number and that do not make a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Fcntl {
    /// Status flags and access mode.
    GetFlags = libc::F_GETFL,
    /// Sets the status flags.
    SetFlags = libc::F_SETFL,
    /// Capacity of a pipe.
    GetPipeSize = libc::F_GETPIPE_SZ,
    /// Sets the capacity of a pipe.
    SetPipeSize = libc::F_SETPIPE_SZ,
    /// Seals of a memory file.
    GetSeals = libc::F_GET_SEALS,
    /// Adds seals to a memory file.
    AddSeals = libc::F_ADD_SEALS,
    /// Who is sent the signals of the description.
    GetOwner = libc::F_GETOWN,
    /// Sets who is sent them: a process.
    SetOwner = libc::F_SETOWN,
    /// Sets which signal they are.
    SetSignal = F_SETSIG,
}

/// fcntl(2) with a number.
pub fn fcntl(fd: BorrowedFd<'_>, command: Fcntl, argument: u64) -> SyscallResult {
    let args = [fd.as_raw_fd() as u64, command as u64, argument, 0, 0, 0];
    // SAFETY: the commands listed take a number.
    unsafe { raw(Wait::Short, libc::SYS_fcntl, args) }
}

/// Calls that take nothing but numbers and only concern what the numbers name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum ScalarCall {
    /// sched_get_priority_max(2): policy.
    SchedPriorityMax = libc::SYS_sched_get_priority_max,
    /// sched_get_priority_min(2): policy.
    SchedPriorityMin = libc::SYS_sched_get_priority_min,
}

/// Makes a call that takes only numbers.
pub fn scalar_call(call: ScalarCall, args: [u64; 3]) -> SyscallResult {
    // SAFETY: none of the calls listed takes a pointer.
    unsafe { raw(Wait::Short, call as i64, [args[0], args[1], args[2], 0, 0, 0]) }
}

/// Takes the descriptor that a call just made.
///
/// # Safety
/// `answer`, if a value, is a descriptor that nobody else owns.
pub(super) unsafe fn owned(answer: SyscallResult) -> Result<OwnedFd, nix::errno::Errno> {
    // SAFETY: the caller's promise.
    answer.map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Calls that make one new descriptor out of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum NewFd {
    /// eventfd2(2): initial value, flags.
    Eventfd = libc::SYS_eventfd2,
    /// timerfd_create(2): clock, flags.
    Timerfd = libc::SYS_timerfd_create,
    /// epoll_create1(2): flags.
    Epoll = libc::SYS_epoll_create1,
    /// inotify_init1(2): flags.
    Inotify = libc::SYS_inotify_init1,
    /// socket(2): domain, type, protocol.
    Socket = libc::SYS_socket,
    /// pidfd_open(2): process, flags.
    Pidfd = libc::SYS_pidfd_open,
}

/// Makes a descriptor.
pub fn new_fd(call: NewFd, args: [u64; 3]) -> Result<OwnedFd, nix::errno::Errno> {
    // SAFETY: none of the calls listed takes a pointer, and each returns a new descriptor.
    unsafe { owned(raw(Wait::Short, call as i64, [args[0], args[1], args[2], 0, 0, 0])) }
}

//! Descriptors that stand for events: eventfd, timerfd, inotify, memory files.

use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::number::{NewFd, OnFd, Wait, new_fd, on_fd};
use crate::host::wait::{is_time, timerfd_get, timerfd_set};
use crate::state::fd::{File, Kind};
use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create as host_memfd};
use std::os::fd::AsFd;

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[
    ("eventfd", eventfd),
    ("eventfd2", eventfd2),
    ("timerfd_create", timerfd_create),
    ("timerfd_settime", timerfd_settime),
    ("timerfd_gettime", timerfd_gettime),
    ("inotify_init", inotify_init),
    ("inotify_init1", inotify_init1),
    ("inotify_rm_watch", inotify_rm_watch),
    ("memfd_create", memfd_create),
];

/// The close-on-exec flag, the same bit in the flags of all these calls.
pub(super) const CLOEXEC: i32 = libc::O_CLOEXEC;

const _: () = assert!(
    libc::EFD_CLOEXEC == CLOEXEC
        && libc::TFD_CLOEXEC == CLOEXEC
        && libc::IN_CLOEXEC == CLOEXEC
        && libc::EPOLL_CLOEXEC == CLOEXEC
        && libc::SOCK_CLOEXEC == CLOEXEC
);

/// Makes a descriptor by a call whose last argument is flags, and gives it to the guest; on the host it is
/// always close-on-exec.
pub(super) fn make_and_give(
    call: &Call<'_>,
    what: NewFd,
    kind: Kind,
    first: Option<u64>,
    flags: i32,
) -> SyscallResult {
    let host_flags = (flags | CLOEXEC) as u64;
    let args = first.map_or([host_flags, 0, 0], |first| [first, host_flags, 0]);
    let file = File::new(new_fd(what, args)?, kind);
    call.process.fds.insert(file, flags & CLOEXEC != 0, 0).map(i64::from)
}

fn eventfd(call: &mut Call<'_>) -> SyscallResult {
    make_and_give(call, NewFd::Eventfd, Kind::Event, Some(call.u32(0).into()), 0)
}

fn eventfd2(call: &mut Call<'_>) -> SyscallResult {
    make_and_give(call, NewFd::Eventfd, Kind::Event, Some(call.u32(0).into()), call.i32(1))
}

/// Clocks that wake a sleeping machine, which takes a capability.
pub(super) const ALARM_CLOCKS: [i32; 2] = [libc::CLOCK_REALTIME_ALARM, libc::CLOCK_BOOTTIME_ALARM];

fn timerfd_create(call: &mut Call<'_>) -> SyscallResult {
    let known = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    if ALARM_CLOCKS.contains(&call.i32(0)) && call.i32(1) & !known == 0 {
        return Err(Errno::EPERM);
    }
    make_and_give(call, NewFd::Timerfd, Kind::Timer, Some(call.u32(0).into()), call.i32(1))
}

fn timerfd_settime(call: &mut Call<'_>) -> SyscallResult {
    const FLAGS: i32 = libc::TFD_TIMER_ABSTIME | libc::TFD_TIMER_CANCEL_ON_SET;
    let new: [u64; 4] = call.words(2)?;
    let [interval, first] = [[new[0], new[1]], [new[2], new[3]]];
    if call.i32(1) & !FLAGS != 0 || !is_time(interval) || !is_time(first) {
        return Err(Errno::EINVAL);
    }
    let old = timerfd_set(call.file(0)?.host.as_fd(), call.u32(1), &new)?;
    call.put_words(3, &old)?;
    Ok(0)
}

fn timerfd_gettime(call: &mut Call<'_>) -> SyscallResult {
    let now = timerfd_get(call.file(0)?.host.as_fd())?;
    call.put_words(1, &now).map(|()| 0)
}

fn inotify_init(call: &mut Call<'_>) -> SyscallResult {
    make_and_give(call, NewFd::Inotify, Kind::Event, None, 0)
}

fn inotify_init1(call: &mut Call<'_>) -> SyscallResult {
    make_and_give(call, NewFd::Inotify, Kind::Event, None, call.i32(0))
}

fn inotify_rm_watch(call: &mut Call<'_>) -> SyscallResult {
    let file = call.file(0)?;
    on_fd(Wait::Short, OnFd::InotifyRmWatch, file.host.as_fd(), [call.u64(1), 0, 0])
}

/// The flags that a guest may give; huge pages are not the guest's to take from the machine.
const MEMORY_FLAGS: u32 =
    libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING | libc::MFD_NOEXEC_SEAL | libc::MFD_EXEC;

fn memfd_create(call: &mut Call<'_>) -> SyscallResult {
    let flags = call.u32(1);
    const EITHER: u32 = libc::MFD_EXEC | libc::MFD_NOEXEC_SEAL;
    if flags & !MEMORY_FLAGS != 0 || flags & EITHER == EITHER {
        return Err(Errno::EINVAL);
    }
    let host = host_memfd(call.string(0)?, MFdFlags::from_bits_retain(flags) | MFdFlags::MFD_CLOEXEC)?;
    let file = call.sandbox.charged(File::new(host, Kind::Memory))?;
    call.process.fds.insert(file, flags & libc::MFD_CLOEXEC != 0, 0).map(i64::from)
}

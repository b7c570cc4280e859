//! Host calls that wait for events or time. All can be interrupted.

use super::SyscallResult;
use super::number::{Wait, raw};
use super::transfer::Buffer;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A `timespec` or `timeval` as it crosses the channel: seconds and nano- or microseconds.
pub type Time = [u64; 2];

/// Whether it is a `timespec` that the kernel takes for a length of time.
pub fn is_time([seconds, nanoseconds]: Time) -> bool {
    seconds as i64 >= 0 && nanoseconds < 1_000_000_000
}

fn pointer<T>(value: Option<&T>) -> u64 {
    value.map_or(0, |v| std::ptr::from_ref(v) as u64)
}

/// ppoll(2) without a signal mask; `timeout` receives the time left.
pub fn poll(fds: &mut [libc::pollfd], timeout: Option<&mut Time>) -> SyscallResult {
    let t = timeout.map_or(0, |t| t.as_mut_ptr() as u64);
    let args = [fds.as_mut_ptr() as u64, fds.len() as u64, t, 0, 8, 0];
    // SAFETY: the kernel reads and writes `len` entries and the time, both borrowed here.
    unsafe { raw(Wait::Long, libc::SYS_ppoll, args) }
}

/// pselect6(2) without a signal mask on bit sets of equal length, one bit for each descriptor; `timeout`
/// receives the time left.
pub fn select(words: usize, sets: &mut [Option<Vec<u64>>; 3], timeout: Option<&mut Time>) -> SyscallResult {
    let t = timeout.map_or(0, |t| t.as_mut_ptr() as u64);
    if sets.iter().flatten().any(|s| s.len() != words) {
        return Err(Errno::EINVAL);
    }
    let [r, w, x] = sets.each_mut().map(|s| s.as_mut().map_or(0, |s| s.as_mut_ptr() as u64));
    let args = [64 * words as u64, r, w, x, t, 0];
    // SAFETY: the kernel reads and writes `words` words of each set and the time, all borrowed here.
    unsafe { raw(Wait::Long, libc::SYS_pselect6, args) }
}

/// epoll_ctl(2).
pub fn epoll_ctl(
    epoll: BorrowedFd<'_>,
    op: u32,
    fd: BorrowedFd<'_>,
    event: Option<&[u8; 12]>,
) -> SyscallResult {
    let args = [epoll.as_raw_fd() as u64, op.into(), fd.as_raw_fd() as u64, pointer(event), 0, 0];
    // SAFETY: the event is null or 12 bytes, the size of `struct epoll_event`.
    unsafe { raw(Wait::Short, libc::SYS_epoll_ctl, args) }
}

/// How long epoll_pwait(2) waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Milliseconds; negative for ever.
    Millis(i32),
    /// The time of epoll_pwait2(2); `None` for ever.
    Time(Option<Time>),
}

/// epoll_pwait(2), epoll_pwait2(2) without a signal mask: as many events as fit into the buffer.
pub fn epoll_wait(epoll: BorrowedFd<'_>, events: Buffer<'_>, until: Until) -> SyscallResult {
    let (fd, to, max) = (epoll.as_raw_fd() as u64, events.address(), (events.len() / 12) as u64);
    match until {
        // SAFETY: the buffer holds `max` events of 12 bytes.
        Until::Millis(ms) => unsafe {
            raw(Wait::Long, libc::SYS_epoll_pwait, [fd, to, max, ms as u64, 0, 8])
        },
        Until::Time(t) => {
            let args = [fd, to, max, pointer(t.as_ref()), 0, 8];
            // SAFETY: as above, and the time is null or alive.
            unsafe { raw(Wait::Long, libc::SYS_epoll_pwait2, args) }
        }
    }
}

/// clock_nanosleep(2): on EINTR of a relative sleep `left` is the time not slept.
pub fn sleep(clock: i32, flags: u32, time: &Time, left: &mut Time) -> SyscallResult {
    let args = [clock as u64, flags.into(), time.as_ptr() as u64, left.as_mut_ptr() as u64, 0, 0];
    // SAFETY: both times are borrowed here.
    unsafe { raw(Wait::Long, libc::SYS_clock_nanosleep, args) }
}

/// Calls that tell a clock's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum Clock {
    /// clock_gettime(2).
    Time = libc::SYS_clock_gettime,
    /// clock_getres(2).
    Resolution = libc::SYS_clock_getres,
}

/// clock_gettime(2), clock_getres(2).
pub fn clock(call: Clock, clock: i32) -> Result<Time, Errno> {
    let mut time = [0; 2];
    // SAFETY: the kernel writes one timespec.
    unsafe { raw(Wait::Short, call as i64, [clock as u64, time.as_mut_ptr() as u64, 0, 0, 0, 0]) }?;
    Ok(time)
}

/// timerfd_settime(2): the setting before.
pub fn timerfd_set(timer: BorrowedFd<'_>, flags: u32, new: &[u64; 4]) -> Result<[u64; 4], Errno> {
    let mut old = [0; 4];
    let args = [timer.as_raw_fd() as u64, flags.into(), new.as_ptr() as u64, old.as_mut_ptr() as u64, 0, 0];
    // SAFETY: the kernel reads one itimerspec and writes one.
    unsafe { raw(Wait::Short, libc::SYS_timerfd_settime, args) }?;
    Ok(old)
}

/// timerfd_gettime(2).
pub fn timerfd_get(timer: BorrowedFd<'_>) -> Result<[u64; 4], Errno> {
    let mut now = [0; 4];
    let args = [timer.as_raw_fd() as u64, now.as_mut_ptr() as u64, 0, 0, 0, 0];
    // SAFETY: the kernel writes one itimerspec.
    unsafe { raw(Wait::Short, libc::SYS_timerfd_gettime, args) }?;
    Ok(now)
}

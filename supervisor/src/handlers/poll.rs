//! Waiting for descriptors: poll(2), select(2), epoll(7).
//!
//! Descriptor numbers in the guest's sets are replaced by those of the host, and the files are kept open as
//! long as the call waits, so that a number closed by another guest thread cannot come to mean something else
//! meanwhile. The signal mask of the `p` variants is the child's business: it has put it in place before it
//! asks.

use super::event::make_and_give;
use super::io::is_endless;
use super::signalfd;
use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::number::NewFd;
use crate::host::wait::{self, Time, Until};
use crate::state::fd::{File, Kind};
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[
    ("poll", poll),
    ("ppoll", ppoll),
    ("select", select),
    ("pselect6", pselect6),
    ("epoll_create", epoll_create),
    ("epoll_create1", epoll_create1),
    ("epoll_ctl", epoll_ctl),
    ("epoll_wait", epoll_wait),
    ("epoll_pwait", epoll_wait),
    ("epoll_pwait2", epoll_pwait2),
];

/// Milliseconds as a time; `None`, for ever, if negative.
fn millis(ms: i32) -> Option<Time> {
    let ms = u64::try_from(ms).ok()?;
    Some([ms / 1000, ms % 1000 * 1_000_000])
}

/// The optional `timespec` of argument `i`; EINVAL for a time that is none.
fn timespec(call: &Call<'_>, i: usize) -> Result<Option<Time>, Errno> {
    let time = if call.present(i) { Some(call.words(i)?) } else { None };
    if time.is_none_or(wait::is_time) { Ok(time) } else { Err(Errno::EINVAL) }
}

fn poll(call: &mut Call<'_>) -> SyscallResult {
    let mut timeout = millis(call.i32(2));
    poll_until(call, timeout.as_mut())
}

fn ppoll(call: &mut Call<'_>) -> SyscallResult {
    let mut timeout = timespec(call, 2)?;
    let done = poll_until(call, timeout.as_mut());
    give_left(call, 2, timeout);
    done
}

/// The kernel gives back the time left, however the call ended.
fn give_left(call: &mut Call<'_>, i: usize, left: Option<Time>) {
    if let Some(left) = left {
        // It may lie in read-only memory (select(2)).
        let _ = call.put_words(i, &left);
    }
}

/// The `pollfd` array of argument 0, its length in argument 1.
fn poll_until(call: &mut Call<'_>, timeout: Option<&mut Time>) -> SyscallResult {
    let soft = call.process.limit(libc::RLIMIT_NOFILE as usize).soft;
    if u64::from(call.u32(1)) > soft {
        return Err(Errno::EINVAL);
    }
    let mut entries = call.need(0)?.to_vec();
    if entries.len() as u64 / 8 != u64::from(call.u32(1)) {
        return Err(Errno::EFAULT);
    }
    let mut files = Vec::with_capacity(entries.len() / 8);
    let mut host = Vec::with_capacity(entries.len() / 8);
    let mut closed = 0;
    for e in entries.chunks_exact_mut(8) {
        let guest = i32::from_le_bytes([e[0], e[1], e[2], e[3]]);
        let file = if guest < 0 { None } else { call.process.fds.accessible(guest).ok() };
        closed += i64::from(guest >= 0 && file.is_none());
        host.push(libc::pollfd {
            fd: file.as_ref().map_or(-1, |f| f.host.as_raw_fd()),
            events: i16::from_le_bytes([e[4], e[5]]),
            revents: if guest >= 0 && file.is_none() { libc::POLLNVAL } else { 0 },
        });
        files.push(file);
    }
    // A number that is not open is an event at once; the others are only looked at.
    let mut at_once = [0; 2];
    let timeout = if closed > 0 { Some(&mut at_once) } else { timeout };
    signalfd::look(call)?;
    let ready = wait::poll(&mut host, timeout)?;
    for ((e, h), file) in entries.chunks_exact_mut(8).zip(&host).zip(&files) {
        let guest = i32::from_le_bytes([e[0], e[1], e[2], e[3]]);
        let revents = if guest >= 0 && file.is_none() { libc::POLLNVAL } else { h.revents };
        e[6..8].copy_from_slice(&revents.to_le_bytes());
    }
    call.put(0, &entries)?;
    Ok(ready + closed)
}

fn select(call: &mut Call<'_>) -> SyscallResult {
    let timeval = if call.present(4) { Some(call.words(4)?) } else { None };
    let mut timeout = timeval.map(|[s, us]: Time| [s.wrapping_add(us / 1_000_000), us % 1_000_000 * 1000]);
    if timeout.is_some_and(|[s, _]| (s as i64) < 0) || timeval.is_some_and(|[_, us]| (us as i64) < 0) {
        return Err(Errno::EINVAL);
    }
    let done = select_until(call, timeout.as_mut());
    give_left(call, 4, timeout.map(|[s, ns]| [s, ns / 1000]));
    done
}

fn pselect6(call: &mut Call<'_>) -> SyscallResult {
    let mut timeout = timespec(call, 4)?;
    let done = select_until(call, timeout.as_mut());
    give_left(call, 4, timeout);
    done
}

/// A descriptor in one of the sets: its number in the guest's and in the host's.
struct Member {
    guest: usize,
    file: Arc<File>,
}

/// The three sets of arguments 1 to 3, as far as argument 0 says.
fn select_until(call: &mut Call<'_>, timeout: Option<&mut Time>) -> SyscallResult {
    let count = usize::try_from(call.i32(0)).map_err(|_| Errno::EINVAL)?;
    // The kernel takes in all sets before it looks at any descriptor.
    (1..=3).try_for_each(|i| call.reach(i))?;
    let mut members: [Option<Vec<Member>>; 3] = [None, None, None];
    for (i, set) in members.iter_mut().enumerate() {
        if let Some(bits) = call.bytes(1 + i)? {
            *set = Some(open_members(call, bits, count)?);
        }
    }
    let top = members.iter().flatten().flatten().map(|m| m.file.host.as_raw_fd()).max().unwrap_or(-1);
    let words = (top + 64) as usize / 64;
    let mut sets = members.each_ref().map(|s| s.as_ref().map(|m| host_set(m, words)));
    signalfd::look(call)?;
    let ready = wait::select(words, &mut sets, timeout)?;
    for (i, (members, set)) in members.iter().zip(&sets).enumerate() {
        if let (Some(members), Some(set)) = (members, set) {
            let mut bits = vec![0u8; call.room(1 + i)];
            for m in members.iter().filter(|m| has(set, m.file.host.as_raw_fd() as usize)) {
                bits[m.guest / 8] |= 1 << (m.guest % 8);
            }
            call.put(1 + i, &bits)?;
        }
    }
    Ok(ready)
}

fn open_members(call: &Call<'_>, bits: &[u8], count: usize) -> Result<Vec<Member>, Errno> {
    (0..count.min(8 * bits.len()))
        .filter(|n| bits[n / 8] & 1 << (n % 8) != 0)
        .map(|guest| Ok(Member { guest, file: call.process.fds.get(guest as i32)? }))
        // One opened with `O_PATH` is open, and nothing ever happens to it.
        .filter(|member| member.as_ref().map_or(true, |member| member.file.kind != Kind::Path))
        .collect()
}

fn host_set(members: &[Member], words: usize) -> Vec<u64> {
    let mut set = vec![0u64; words];
    for fd in members.iter().map(|m| m.file.host.as_raw_fd() as usize) {
        set[fd / 64] |= 1 << (fd % 64);
    }
    set
}

fn has(set: &[u64], fd: usize) -> bool {
    set.get(fd / 64).is_some_and(|w| w & 1 << (fd % 64) != 0)
}

fn epoll_create(call: &mut Call<'_>) -> SyscallResult {
    if call.i32(0) <= 0 {
        return Err(Errno::EINVAL);
    }
    make_and_give(call, NewFd::Epoll, Kind::Epoll, None, 0)
}

fn epoll_create1(call: &mut Call<'_>) -> SyscallResult {
    make_and_give(call, NewFd::Epoll, Kind::Epoll, None, call.i32(0))
}

/// EPOLLWAKEUP keeps the machine awake: ignored, as the kernel does for a program without the capability.
const EPOLLWAKEUP: u32 = libc::EPOLLWAKEUP as u32;

fn epoll_ctl(call: &mut Call<'_>) -> SyscallResult {
    let mut event: Option<[u8; 12]> = match call.i32(1) {
        libc::EPOLL_CTL_DEL => None,
        _ => Some(call.need(3)?.try_into().map_err(|_| Errno::EFAULT)?),
    };
    let (epoll, file) = (call.file(0)?, call.file(2)?);
    // The kernel looks at the file that is to be waited for first (epoll_ctl(2)).
    match (epoll.kind, file.kind) {
        (_, Kind::Regular | Kind::Directory | Kind::Memory) => return Err(Errno::EPERM),
        (_, Kind::CharDevice) if is_endless(&file) => return Err(Errno::EPERM),
        (Kind::Epoll, _) => {}
        _ => return Err(Errno::EINVAL),
    }
    if let Some(e) = &mut event {
        e[3] &= !(EPOLLWAKEUP >> 24) as u8;
    }
    wait::epoll_ctl(epoll.host.as_fd(), call.u32(1), file.host.as_fd(), event.as_ref())
}

/// The epoll descriptor of argument 0; EINVAL for one of another kind.
fn epoll(call: &Call<'_>) -> Result<Arc<File>, Errno> {
    let file = call.file(0)?;
    if file.kind == Kind::Epoll { Ok(file) } else { Err(Errno::EINVAL) }
}

fn epoll_wait(call: &mut Call<'_>) -> SyscallResult {
    let until = Until::Millis(call.i32(3));
    collect(call, until)
}

fn epoll_pwait2(call: &mut Call<'_>) -> SyscallResult {
    let until = Until::Time(timespec(call, 3)?);
    collect(call, until)
}

/// Events for the array of argument 1, at most as many as argument 2 says. They hold the guest's own words,
/// so the kernel writes them straight to the data area.
fn collect(call: &mut Call<'_>, until: Until) -> SyscallResult {
    call.file(0)?;
    if call.i32(2) <= 0 {
        return Err(Errno::EINVAL);
    }
    if call.is_beyond(1) {
        return Err(Errno::EFAULT);
    }
    let epoll = epoll(call)?;
    signalfd::look(call)?;
    let n = wait::epoll_wait(epoll.host.as_fd(), call.buffer(1), until)?;
    call.filled(1, 12 * n as usize);
    Ok(n)
}

//! Signals that are read from descriptors (signalfd(2)).
//!
//! The descriptor is the supervisor's, like all others, but what is read from it are the signals that wait in
//! the kernel for this process and its threads, and only they themselves can see those. So the work is split:
//!
//! * A *read* is granted: the thread takes a waiting signal of the descriptor's set, as sigtimedwait(2) does,
//!   and shows it in the descriptor's form.
//! * Whether a descriptor is *readable* the supervisor looks up when a thread starts to wait for descriptors.
//!   What it cannot know is that a signal arrives later, for that signal is blocked and moves nothing. So
//!   while a thread waits for descriptors its host mask is open for the signals that the process has
//!   descriptors for ([`watch`]): the arrival interrupts the wait, the signal goes back to where it was, and
//!   the guest's call is made again, which finds it.
//!
//! Invariants:
//! * A signal whose number waits already is not opened: it cannot interrupt a second call without need.
//! * A signal that was taken only to be noticed is sent to the process (or thread) again before the guest
//!   goes on; siginfo and order stay. Nobody else but the guest process itself could have seen that it was
//!   gone.

use super::deliver::wait;
use super::host;
use super::info::SigInfo;
use crate::base::result::SyscallResult;
use crate::base::sigset::SigSet;
use crate::guest::access;
use crate::guest::read::Vectors;
use crate::thread::{Thread, request};
use nix::errno::Errno;
use std::time::Instant;

/// Takes note of a descriptor that was made for the set at a guest address, or changed to it.
pub fn made(thread: &Thread, at: u64) {
    // What was readable for the call itself is so now, unless the guest has taken it away itself.
    let Ok(set) = access::read_u64(at) else { return };
    let set = SigSet(set).minus(SigSet::UNBLOCKABLE);
    thread.process.watched.add(set);
    thread.process.actions.lock().watch(set);
}

/// Lets signals through that are blocked and for descriptors, while the thread waits for descriptors in
/// `exchange`.
pub(super) fn watch<T>(thread: &mut Thread, exchange: impl FnOnce(&mut Thread) -> T) -> T {
    let watched = thread.process.watched.set();
    if watched == SigSet::EMPTY {
        return exchange(thread);
    }
    put_back(thread, watched);
    let mask = thread.signals.mask;
    let open = watched.intersection(mask).minus(host::pending());
    host::set_mask(mask.minus(open).on_host());
    let result = exchange(thread);
    host::set_mask(mask.on_host());
    thread.signals.collect(thread.cpu.ring());
    put_back(thread, watched);
    result
}

/// Sends signals of the set again that were taken and are blocked, in their order.
fn put_back(thread: &mut Thread, watched: SigSet) {
    while let Some(info) = thread.signals.next_of(watched.intersection(thread.signals.mask)) {
        request::send_again(thread, &info);
    }
}

/// A granted read of a descriptor for `set`, into the vectors. With SIGKILL, which is in no such set, it does
/// not wait.
pub fn read(thread: &mut Thread, set: u64, to: &Vectors) -> SyscallResult {
    let nonblocking = SigSet(set).contains(libc::SIGKILL);
    let set = SigSet(set).minus(SigSet::UNBLOCKABLE);
    let room = to.iter().map(|v| v.1).sum::<u64>() / SigInfo::SIZE as u64;
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < room * SigInfo::SIZE as u64 {
        let at_once = (nonblocking || !bytes.is_empty()).then(Instant::now);
        match wait(thread, set, at_once) {
            Ok(info) => bytes.extend(shown(&info)),
            Err(_) if !bytes.is_empty() => break,
            Err(Errno::EINTR) => return SyscallResult::Interrupted { restart: true },
            Err(e) => return e.into(),
        }
    }
    scatter(thread, &bytes, to).map(|()| bytes.len() as i64).into()
}

fn scatter(thread: &Thread, mut bytes: &[u8], to: &Vectors) -> Result<(), Errno> {
    for &(addr, len) in to {
        let (now, rest) = bytes.split_at(bytes.len().min(len as usize));
        thread.process.copy_out(addr, now)?;
        bytes = rest;
    }
    Ok(())
}

/// As the descriptor shows it (`struct signalfd_siginfo`; the kernel's `signalfd_copyinfo`).
fn shown(info: &SigInfo) -> [u8; SigInfo::SIZE] {
    /// What a signal's information consists of besides number, errno and code: pairs of places, there and
    /// here, and bytes.
    type Members = &'static [(usize, usize, usize)];
    const SENDER: [(usize, usize, usize); 2] = [(16, 12, 4), (20, 16, 4)];
    const KILL: Members = &SENDER;
    const CHILD: Members = &[SENDER[0], SENDER[1], (24, 40, 4), (32, 56, 8), (40, 64, 8)];
    const QUEUED: Members = &[SENDER[0], SENDER[1], (24, 44, 4), (24, 48, 8)];
    const TIMER: Members = &[(16, 24, 4), (20, 32, 4), (24, 44, 4), (24, 48, 8)];
    const POLL: Members = &[(16, 28, 4), (24, 20, 4)];
    const FAULT: Members = &[(16, 72, 8), (24, 80, 2)];
    let members = match (info.signal(), info.code()) {
        (_, libc::SI_TIMER) => TIMER,
        (_, libc::SI_SIGIO) => POLL,
        (_, ..0) => QUEUED,
        (_, libc::SI_USER | super::info::SI_KERNEL..) => KILL,
        (libc::SIGCHLD, _) => CHILD,
        (libc::SIGILL | libc::SIGFPE | libc::SIGSEGV | libc::SIGBUS | libc::SIGTRAP, _) => FAULT,
        _ => POLL,
    };
    let (from, mut to) = (info.bytes(), [0; SigInfo::SIZE]);
    to[..12].copy_from_slice(&from[..12]);
    for &(there, here, bytes) in members {
        to[here..here + bytes].copy_from_slice(&from[there..there + bytes]);
    }
    to
}

/// What an empty descriptor that does not wait answers is what an elapsed wait does.
const _: () = assert!(libc::EAGAIN == libc::EWOULDBLOCK);

#[cfg(test)]
mod tests {
    use super::*;

    fn info(signal: i32, code: i32, words: &[(usize, u64)]) -> SigInfo {
        let mut bytes = *SigInfo::fault(signal, code, 0).bytes();
        for &(at, word) in words {
            bytes[at..at + 4].copy_from_slice(&(word as u32).to_le_bytes());
        }
        SigInfo::received(bytes)
    }

    fn word(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
    }

    #[test]
    fn each_kind_of_signal_shows_its_own_members() {
        let sent = shown(&info(libc::SIGUSR1, libc::SI_USER, &[(16, 70), (20, 1000), (24, 5)]));
        assert_eq!([0, 8, 12, 16, 40, 44].map(|at| word(&sent, at)), [10, 0, 70, 1000, 0, 0]);
        let queued = shown(&info(40, libc::SI_QUEUE, &[(16, 70), (20, 1000), (24, 5)]));
        assert_eq!([0, 12, 16, 44, 48].map(|at| word(&queued, at)), [40, 70, 1000, 5, 5]);
        let child = shown(&info(libc::SIGCHLD, libc::CLD_EXITED, &[(16, 71), (20, 1000), (24, 3)]));
        assert_eq!([8, 12, 40].map(|at| word(&child, at)), [1, 71, 3]);
        let timer = shown(&info(libc::SIGALRM, libc::SI_TIMER, &[(16, 2), (20, 9), (24, 5)]));
        assert_eq!([12, 24, 32, 44].map(|at| word(&timer, at)), [0, 2, 9, 5]);
    }
}

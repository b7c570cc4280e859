//! Signals that are read from descriptors (signalfd(2)).
//!
//! What is read are the signals that wait for the emulator child, and only that can take them: a read is
//! granted to it, with the descriptor's set. To wait for the descriptor together with others, the supervisor
//! has an eventfd in its place. It is made readable or not when a guest thread starts to wait, as the kernel
//! then tells of the signals that wait for the thread and its process; the child ends a wait during which
//! such a signal arrives and asks again.

use super::event::CLOEXEC;
use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::number::{NewFd, new_fd};
use crate::host::stat::Status;
use crate::state::fd::{Extra, File};
use nix::errno::Errno;
use nix::unistd::{read, write};
use rxbox_wire::frame::Reply;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[("signalfd", signalfd), ("signalfd4", signalfd4)];

/// Bytes of the kernel's `sigset_t`.
const SET_SIZE: u64 = 8;
/// Bytes of one signal as it is read (`struct signalfd_siginfo`).
const SIGNAL_SIZE: usize = 128;

const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// What no set can hold (signal(7)).
const UNBLOCKABLE: u64 = bit(libc::SIGKILL) | bit(libc::SIGSTOP);

fn signalfd(call: &mut Call<'_>) -> SyscallResult {
    make_or_change(call, 0)
}

fn signalfd4(call: &mut Call<'_>) -> SyscallResult {
    let flags = call.i32(3);
    if flags & !(CLOEXEC | libc::SFD_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    make_or_change(call, flags)
}

fn make_or_change(call: &mut Call<'_>, flags: i32) -> SyscallResult {
    if call.u64(2) != SET_SIZE {
        return Err(Errno::EINVAL);
    }
    let [set] = call.words(1)?;
    let set = set & !UNBLOCKABLE;
    if call.i32(0) != -1 {
        call.file(0)?.signal_set()?.store(set, Ordering::Relaxed);
        return Ok(call.i32(0).into());
    }
    let host = new_fd(NewFd::Eventfd, [0, (flags | CLOEXEC) as u64, 0])?;
    let file = File::signals(host, Arc::new(AtomicU64::new(set)));
    call.process.fds.insert(file, flags & CLOEXEC != 0, 0).map(i64::from)
}

/// Grants a read: the child takes signals of the set that is the answer. SIGKILL, which is in none, says that
/// it is not to wait for one.
pub(super) fn grant_read(call: &mut Call<'_>, file: &File) -> SyscallResult {
    if call.room(1) < SIGNAL_SIZE {
        return Err(Errno::EINVAL);
    }
    let set = file.signal_set()?.load(Ordering::Relaxed);
    let nonblocking = file.status_flags()? & libc::O_NONBLOCK != 0;
    call.reply.flags |= Reply::GRANTED;
    Ok((set | if nonblocking { bit(libc::SIGKILL) } else { 0 }) as i64)
}

/// Brings the signal descriptors of the caller up to date, before it waits for descriptors.
pub(super) fn look(call: &Call<'_>) -> Result<(), Errno> {
    call.process.fds.signals().iter().try_for_each(|file| update(file, || waiting(call)))
}

/// Makes the host's eventfd readable if one of the signals that wait is in the set. The signals are looked up
/// while the descriptor is locked: what another thread knew earlier does not undo what this one knows now.
fn update(file: &File, waiting: impl FnOnce() -> Result<u64, Errno>) -> Result<(), Errno> {
    let Extra::Signals { set, readable } = &mut *file.extra() else { return Ok(()) };
    let wanted = waiting()? & set.load(Ordering::Relaxed) != 0;
    if wanted != *readable {
        let mut counter = 1u64.to_ne_bytes();
        // Neither waits: the counter is 0 before the write and 1 before the read.
        if wanted {
            write(file.host.as_fd(), &counter)?
        } else {
            read(file.host.as_fd(), &mut counter)?
        };
        *readable = wanted;
    }
    Ok(())
}

/// The signals that wait for the calling thread or its process (proc_pid_status(5)).
fn waiting(call: &Call<'_>) -> Result<u64, Errno> {
    let status = |pid, tid| Status::of_thread(pid, tid).ok_or(Errno::ESRCH);
    let status = call.process.handle.look_at_thread(call.tid, status)?;
    Ok(status.signals("SigPnd") | status.signals("ShdPnd"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    fn readable(file: &File) -> bool {
        let mut fds = [PollFd::new(file.host.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
    }

    #[test]
    fn a_descriptor_is_readable_while_a_signal_of_its_set_waits() {
        let host = new_fd(NewFd::Eventfd, [0; 3]).unwrap();
        let file = File::signals(host, Arc::new(AtomicU64::new(bit(10) | bit(34))));
        for (waiting, expected) in
            [(0, false), (bit(34), true), (bit(10) | bit(12), true), (bit(12), false), (bit(10), true)]
        {
            update(&file, || Ok(waiting)).unwrap();
            assert_eq!(readable(&file), expected, "{waiting:x}");
        }
    }
}

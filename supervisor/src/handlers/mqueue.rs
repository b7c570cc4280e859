//! POSIX message queues: the calls on what [`crate::state::ipc`] keeps.
//!
//! A message is sent without waiting, under the lock that keeps senders in order; where there is no room for
//! it the worker waits outside until there may be.

use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::mqueue::{self, Attributes};
use crate::host::signal::Info;
use crate::host::wait::{self, Clock, Time};
use crate::state::fd::{File, Kind};
use crate::state::ipc::{Event, NewQueue};
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[
    ("mq_open", mq_open),
    ("mq_unlink", mq_unlink),
    ("mq_timedsend", mq_timedsend),
    ("mq_timedreceive", mq_timedreceive),
    ("mq_notify", mq_notify),
    ("mq_getsetattr", mq_getsetattr),
];

/// `SI_MESGQ`: a message came (sigaction(2)).
const SI_MESGQ: i32 = -3;

fn mq_open(call: &mut Call<'_>) -> SyscallResult {
    let flags = call.i32(1);
    let attributes: Option<Attributes> = match call.bytes(3)? {
        Some(b) => Some(b.try_into().map_err(|_| Errno::EFAULT)?),
        None => None,
    };
    let (name, mode) = (call.string(0)?.to_bytes(), call.u32(2) & !call.process.umask() & 0o777);
    call.process.fds.room()?;
    let queues = &call.sandbox.ipc.queues;
    let new = NewQueue { mode, attributes: attributes.as_ref() };
    let (budget, maker) = (&call.sandbox.budget, call.sandbox.maker.get());
    let host = queues.open(name, flags, new, budget, maker, &call.credentials())?;
    let file = File::opened(host, Kind::Queue, flags, None);
    call.process.fds.insert(file, flags & libc::O_CLOEXEC != 0, 0).map(i64::from)
}

fn mq_unlink(call: &mut Call<'_>) -> SyscallResult {
    call.sandbox.ipc.queues.unlink(call.string(0)?.to_bytes(), &call.credentials()).map(|()| 0)
}

/// The queue of argument 0; EBADF if that is none, or not open for this.
fn queue(call: &Call<'_>, usable: fn(&File) -> bool) -> Result<Arc<File>, Errno> {
    call.file(0).ok().filter(|file| file.kind == Kind::Queue && usable(file)).ok_or(Errno::EBADF)
}

/// The point in time of argument 4, if there is one.
fn until(call: &Call<'_>) -> Result<Option<Time>, Errno> {
    if !call.present(4) {
        return Ok(None);
    }
    let [seconds, nanoseconds] = call.words(4)?;
    let valid = (seconds as i64) >= 0 && nanoseconds < 1_000_000_000;
    if valid { Ok(Some([seconds, nanoseconds])) } else { Err(Errno::EINVAL) }
}

fn mq_timedsend(call: &mut Call<'_>) -> SyscallResult {
    const PRIORITIES: u32 = 32768;
    let (until, priority) = (until(call)?, call.u32(3));
    if priority >= PRIORITIES {
        return Err(Errno::EINVAL);
    }
    let file = queue(call, File::writable)?;
    let text = call.need(1)?;
    let fd = file.host.as_fd();
    loop {
        // A time that is over: the kernel does not wait.
        let now = Some(&[0, 0]);
        match call.sandbox.ipc.queues.send(fd, || mqueue::send(fd, text, priority, now)) {
            Ok(notified) => {
                if let Some(event) = notified {
                    notify(call, event);
                }
                return Ok(0);
            }
            Err(Errno::ETIMEDOUT) => room(&file, until)?,
            Err(e) => return Err(e),
        }
    }
}

/// Waits until there may be room in a queue: ETIMEDOUT when the time is over.
fn room(file: &File, until: Option<Time>) -> Result<(), Errno> {
    let mut left = match until {
        None => None,
        Some([seconds, nanoseconds]) => {
            let now = wait::clock(Clock::Time, libc::CLOCK_REALTIME)?;
            let now = i128::from(now[0]) * 1_000_000_000 + i128::from(now[1]);
            let end = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
            let left = u64::try_from(end - now).map_err(|_| Errno::ETIMEDOUT)?;
            Some([left / 1_000_000_000, left % 1_000_000_000])
        }
    };
    let mut fds = [libc::pollfd { fd: file.host.as_raw_fd(), events: libc::POLLOUT, revents: 0 }];
    if wait::poll(&mut fds, left.as_mut())? == 0 { Err(Errno::ETIMEDOUT) } else { Ok(()) }
}

/// Tells whoever is registered of the caller's message.
fn notify(call: &Call<'_>, event: Event) {
    if let (Some(signal), Some(target)) = (event.signal, call.sandbox.processes.get(event.pid)) {
        let sender = call.process;
        let info =
            Info::sent(signal, SI_MESGQ, sender.pid, sender.credentials().user.real).with_value(event.value);
        // One that has just ended needs to know nothing.
        let _ = target.handle.signal(&info);
    }
}

fn mq_timedreceive(call: &mut Call<'_>) -> SyscallResult {
    let until = until(call)?;
    let file = queue(call, File::readable)?;
    let (fd, room) = (file.host.as_fd(), call.room(1));
    let queues = &call.sandbox.ipc.queues;
    let (text, priority) = queues.receive(fd, || mqueue::receive(fd, room, until.as_ref()))?;
    call.put(1, &text)?;
    call.put(3, &priority.to_le_bytes())?;
    Ok(text.len() as i64)
}

fn mq_notify(call: &mut Call<'_>) -> SyscallResult {
    const SIGNAL_MAX: i32 = 64;
    let Some(bytes) = call.bytes(1)? else {
        let file = queue(call, |_| true)?;
        call.sandbox.ipc.queues.forget(file.host.as_fd(), call.process.pid);
        return Ok(0);
    };
    let word = |at: usize| i32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    let (signal, how) = (word(8), word(12));
    let signal = match how {
        libc::SIGEV_NONE => None,
        libc::SIGEV_SIGNAL if (1..=SIGNAL_MAX).contains(&signal) => Some(signal),
        // SIGEV_THREAD takes a netlink socket, on which only the kernel could answer.
        _ => return Err(Errno::EINVAL),
    };
    let value = u64::from_le_bytes(std::array::from_fn(|i| bytes[i]));
    let file = queue(call, |_| true)?;
    call.sandbox.remove_ended(call.process);
    let event = Event { pid: call.process.pid, signal, value };
    call.sandbox.ipc.queues.register(file.host.as_fd(), event).map(|()| 0)
}

fn mq_getsetattr(call: &mut Call<'_>) -> SyscallResult {
    let new: Option<Attributes> = match call.bytes(1)? {
        Some(b) => Some(b.try_into().map_err(|_| Errno::EFAULT)?),
        None => None,
    };
    let file = queue(call, |_| true)?;
    let old = mqueue::attributes(file.host.as_fd(), new.as_ref())?;
    call.put(2, &old)?;
    Ok(0)
}

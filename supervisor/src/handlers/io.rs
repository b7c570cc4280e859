//! Reading and writing open descriptors.
//!
//! The bytes go straight between the kernel and the data area: nobody decides on them. What is decided here
//! is how long the call may wait, whether the child may go on with the next piece of a long transfer, and
//! what the kernel would do to the *caller* besides answering: SIGPIPE for a pipe without readers, SIGXFSZ
//! beyond its file size limit. The supervisor ignores both for itself, so they are raised in the guest
//! thread.

use super::ptrace;
use super::signal::raise;
use super::socket::binding::may_send;
use super::{signalfd, terminal};
use crate::caller::Caller;
use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::number::{OnFd, Wait, on_fd};
use crate::host::transfer::{Buffer, Way, transfer, transfer_at, try_at};
use crate::host::wait::poll;
use crate::state::fd::{File, Kind};
use nix::errno::Errno;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::SockType;
use rxbox_wire::frame::Reply;
use rxbox_wire::kind::Kind as Arg;
use std::os::fd::{AsFd, AsRawFd};

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[
    ("read", read),
    ("write", write),
    ("pread64", pread64),
    ("pwrite64", pwrite64),
    ("readv", read),
    ("writev", write),
    ("preadv", preadv),
    ("pwritev", pwritev),
    ("preadv2", preadv2),
    ("pwritev2", pwritev2),
    ("lseek", lseek),
];

/// Where a transfer starts.
#[derive(Clone, Copy)]
enum At {
    /// At the descriptor's own offset, which moves on.
    Current,
    /// At this offset.
    Offset(i64),
    /// As preadv2(2) with these flags; offset -1 is the descriptor's own.
    Flagged(i64, u32),
}

fn read(call: &mut Call<'_>) -> SyscallResult {
    move_data(call, Way::Read, At::Current)
}

fn write(call: &mut Call<'_>) -> SyscallResult {
    move_data(call, Way::Write, At::Current)
}

fn pread64(call: &mut Call<'_>) -> SyscallResult {
    let at = At::Offset(call.i64(3));
    move_data(call, Way::Read, at)
}

fn pwrite64(call: &mut Call<'_>) -> SyscallResult {
    let at = At::Offset(call.i64(3));
    move_data(call, Way::Write, at)
}

fn preadv(call: &mut Call<'_>) -> SyscallResult {
    let at = At::Offset(call.i64(3));
    move_data(call, Way::Read, at)
}

fn pwritev(call: &mut Call<'_>) -> SyscallResult {
    let at = At::Offset(call.i64(3));
    move_data(call, Way::Write, at)
}

fn preadv2(call: &mut Call<'_>) -> SyscallResult {
    let at = At::Flagged(call.i64(3), call.u32(5));
    move_data(call, Way::Read, at)
}

fn pwritev2(call: &mut Call<'_>) -> SyscallResult {
    let at = At::Flagged(call.i64(3), call.u32(5));
    move_data(call, Way::Write, at)
}

/// Any of the transfers: descriptor in argument 0, bytes in argument 1.
fn move_data(call: &mut Call<'_>, way: Way, at: At) -> SyscallResult {
    if let At::Offset(..0) | At::Flagged(..-1, _) = at {
        return Err(Errno::EINVAL);
    }
    let file = call.file(0)?;
    let done = moved(call, &file, way, at);
    let granted = call.reply.flags & Reply::GRANTED != 0;
    let bytes = done.ok().filter(|_| !granted);
    match way {
        Way::Read => call.process.transfers.read(bytes),
        Way::Write => call.process.transfers.written(bytes),
    }
    done
}

fn moved(call: &mut Call<'_>, file: &File, way: Way, at: At) -> SyscallResult {
    if matches!(call.checked.kinds[1].kind, Arg::IovecIn { .. } | Arg::IovecOut { .. }) {
        // The kernel looks at the vectors once it knows that the file can be read or written so, and before
        // it waits for anything.
        call.reach(1).map_err(|wrong| refused(file, way, at, wrong))?;
    }
    if file.kind == Kind::Socket && at.explicit().is_some() {
        return Err(Errno::ESPIPE);
    }
    if call.is_beyond(1) {
        return Err(refused(file, way, at, Errno::EFAULT));
    }
    if file.kind == Kind::View {
        return view(call, file, way, at);
    }
    if file.kind == Kind::Signals {
        return match (way, at) {
            (Way::Read, At::Current) => signalfd::grant_read(call, file),
            _ => Err(Errno::EINVAL),
        };
    }
    let wanted = call.room(1);
    if way == Way::Read {
        if file.kind == Kind::Terminal {
            terminal::may_read(call, file)?;
        }
        let done = at.transfer(way, file, call.buffer(1));
        call.filled(1, done.unwrap_or(0) as usize);
        more(call, file, wanted, &done);
        return done;
    }
    if file.kind == Kind::Terminal {
        terminal::may_write(call, file)?;
    }
    let n = under_limit(call, file, at.explicit(), wanted as u64)?;
    let share = call.sandbox.output.take(file, n)?;
    let sending = may_send(call, file)?;
    if file.kind == Kind::Socket {
        may_be_cut(call, file)?;
        call.sandbox.peers.sends(file, call.process.pid);
    }
    let done = at.transfer(way, file, call.buffer(1).first(share.n as usize));
    call.sandbox.output.settle(&share, &done);
    drop(sending);
    more(call, file, wanted, &done);
    broken_pipe(call, file, share.n, done);
    done
}

/// What is said of vectors that are wrong: first comes what is to say of the descriptor.
fn refused(file: &File, way: Way, at: At, wrong: Errno) -> Errno {
    let may = if way == Way::Read { file.readable() } else { file.writable() };
    match file.kind {
        Kind::View | Kind::Signals if may => wrong,
        Kind::View | Kind::Signals => Errno::EBADF,
        _ => match try_at(way, file.host.as_fd(), at.explicit()) {
            Errno::EFAULT => wrong,
            e => e,
        },
    }
}

/// After a full transfer on a file whose transfers are never short for want of more, the child may go on.
fn more(call: &mut Call<'_>, file: &File, wanted: usize, done: &SyscallResult) {
    let goes_on = || match file.kind {
        Kind::Regular | Kind::Memory | Kind::BlockDevice => true,
        _ => is_endless(file),
    };
    if call.is_part() && *done == Ok(wanted as i64) && goes_on() {
        call.reply.flags |= Reply::MORE;
    }
}

/// Whether it is one of the devices that are never short of bytes: zero, random and the like (major number
/// 1).
pub(super) fn is_endless(file: &File) -> bool {
    const MEMORY: u64 = 1;
    file.kind == Kind::CharDevice
        && nix::sys::stat::fstat(&file.host).is_ok_and(|s| nix::sys::stat::major(s.st_rdev) == MEMORY)
}

impl At {
    fn explicit(self) -> Option<i64> {
        match self {
            At::Offset(o) | At::Flagged(o @ 0.., _) => Some(o),
            At::Current | At::Flagged(..) => None,
        }
    }

    fn transfer(self, way: Way, file: &File, buffer: Buffer<'_>) -> SyscallResult {
        let (wait, fd) = (file.wait(), file.host.as_fd());
        match self {
            At::Current => transfer(wait, way, fd, buffer),
            At::Offset(offset) => transfer_at(wait, way, fd, buffer, offset, 0),
            At::Flagged(offset, flags) => transfer_at(wait, way, fd, buffer, offset, flags),
        }
    }
}

/// A transfer of a text that the supervisor made up.
fn view(call: &mut Call<'_>, file: &File, way: Way, at: At) -> SyscallResult {
    if let Some(place) = file.memory() {
        return memory(call, file, place, way, at.explicit());
    }
    if way == Way::Write {
        return write_view(call, file);
    }
    if !file.readable() {
        return Err(Errno::EBADF);
    }
    let mut piece = vec![0; call.room(1)];
    let n = file.read_view(&mut piece, at.explicit())?;
    call.put(1, &piece[..n])?;
    Ok(n as i64)
}

/// A transfer of a traced process's memory: from an address on, or where the description stands.
fn memory(
    call: &mut Call<'_>,
    file: &File,
    (pid, current): (i32, u64),
    way: Way,
    at: Option<i64>,
) -> SyscallResult {
    let (room, addr) = (call.room(1), at.map_or(current, |at| at as u64));
    let done = match way {
        Way::Read if !file.readable() => return Err(Errno::EBADF),
        Way::Write if !file.writable() => return Err(Errno::EBADF),
        Way::Read => {
            let bytes = ptrace::read(call, pid, &[(addr, room as u64)], room)?;
            call.put(1, &bytes)?;
            bytes.len()
        }
        Way::Write => {
            call.reach(1)?;
            let mut bytes = Vec::new();
            call.area.read(call.checked.place[1].start, room, &mut bytes);
            ptrace::write(call, pid, &[(addr, room as u64)], &bytes)?
        }
    };
    if at.is_none() {
        file.seek_view(done as i64, libc::SEEK_CUR)?;
    }
    if done == 0 && room > 0 { Err(Errno::EIO) } else { Ok(done as i64) }
}

/// A write to an entry of the guest's `/proc`. The bytes are copied once.
fn write_view(call: &mut Call<'_>, file: &File) -> SyscallResult {
    /// No entry takes a longer text.
    const MOST: usize = 4096;
    if !file.writable() {
        return Err(Errno::EBADF);
    }
    call.reach(1)?;
    let mut text = Vec::new();
    call.area.read(call.checked.place[1].start, call.room(1).min(MOST), &mut text);
    let caller = Caller::of(call);
    crate::view::at(&caller, file.path.as_deref().unwrap_or_default())?.write(&caller, &text)?;
    Ok(call.room(1) as i64)
}

/// How many of `n` bytes the caller may write at `offset` (`None`: where the descriptor stands) under its own
/// file size limit; beyond it EFBIG with SIGXFSZ (setrlimit(2)). Only regular files count.
///
/// The limit is the guest's own affair: it can race with itself to pass it. What holds the guest back is the
/// limit of the policy, which the kernel enforces on the supervisor.
pub(super) fn under_limit(
    call: &mut Call<'_>,
    file: &File,
    offset: Option<i64>,
    n: u64,
) -> Result<u64, Errno> {
    let limit = call.process.limit(libc::RLIMIT_FSIZE as usize).soft;
    if limit == u64::MAX || n == 0 || !matches!(file.kind, Kind::Regular | Kind::Memory) {
        return Ok(n);
    }
    let at = match offset {
        Some(o) => o as u64,
        None if file.append() => nix::sys::stat::fstat(&file.host)?.st_size as u64,
        None => on_fd(Wait::Short, OnFd::Lseek, file.host.as_fd(), [0, libc::SEEK_CUR as u64, 0])? as u64,
    };
    match limit.checked_sub(at) {
        None | Some(0) => {
            raise(call, libc::SIGXFSZ);
            Err(Errno::EFBIG)
        }
        Some(room) => Ok(n.min(room)),
    }
}

/// Whether a socket's bytes are no messages.
pub(super) fn is_stream(socket: &File) -> bool {
    getsockopt(&socket.host, SockType).is_ok_and(|t| t == nix::sys::socket::SockType::Stream)
}

/// EMSGSIZE for a part of a message: one that is longer than what crosses at once is longer than what the
/// kernel takes by its own limits.
pub(super) fn may_be_cut(call: &Call<'_>, socket: &File) -> Result<(), Errno> {
    if call.is_part() && !is_stream(socket) { Err(Errno::EMSGSIZE) } else { Ok(()) }
}

/// Raises SIGPIPE in the caller if what came of a write of `n` bytes to `file` comes with it. A pipe whose
/// last reader goes in the middle of a write gives the signal and tells what was written.
pub(super) fn broken_pipe(call: &mut Call<'_>, file: &File, n: u64, done: SyscallResult) {
    let broken = match done {
        Err(Errno::EPIPE) => file.kind == Kind::Pipe || file.kind == Kind::Socket && is_stream(file),
        Ok(done) => file.kind == Kind::Pipe && (done as u64) < n && has_no_reader(file),
        Err(_) => false,
    };
    if broken {
        raise(call, libc::SIGPIPE);
    }
}

/// Whether nobody reads from the other end of a pipe (poll(2), POLLERR).
fn has_no_reader(pipe: &File) -> bool {
    let mut fds = [libc::pollfd { fd: pipe.host.as_raw_fd(), events: 0, revents: 0 }];
    poll(&mut fds, Some(&mut [0, 0])).is_ok() && fds[0].revents & libc::POLLERR != 0
}

fn lseek(call: &mut Call<'_>) -> SyscallResult {
    let file = call.file(0)?;
    if file.kind == Kind::View {
        return file.seek_view(call.i64(1), call.i32(2));
    }
    on_fd(file.wait(), OnFd::Lseek, file.host.as_fd(), [call.u64(1), call.u64(2), 0])
}

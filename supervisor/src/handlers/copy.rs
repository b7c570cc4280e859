//! Bytes from one open descriptor to another, and what is done to the storage behind a descriptor.

use super::io::{broken_pipe, under_limit};
use super::socket::binding::{Sending, may_send};
use crate::context::{Call, Entry, grant};
use crate::host::SyscallResult;
use crate::host::number::{OnFd, Wait, on_fd};
use crate::host::transfer::{self, Move, Way};
use crate::state::fd::{File, Kind};
use crate::state::output::Share;
use nix::errno::Errno;
use rxbox_wire::kind::Splice;
use std::os::fd::AsFd;
use std::sync::Arc;

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[
    ("sendfile", sendfile),
    ("copy_file_range", copy_file_range),
    ("splice", splice),
    ("tee", tee),
    ("vmsplice", vmsplice),
    ("sync", sync),
    ("fsync", fsync),
    ("fdatasync", fdatasync),
    ("syncfs", syncfs),
    ("sync_file_range", sync_file_range),
    ("fallocate", fallocate),
    ("ftruncate", ftruncate),
    ("fadvise64", fadvise64),
    ("readahead", readahead),
];

/// The most that a single read or write moves (read(2), NOTES).
const TRANSFER_MAX: u64 = 0x7fff_f000;

/// A file whose bytes the kernel is to move. A view, or a descriptor of signals, has none on the host:
/// EINVAL, upon which programs read it instead.
fn movable(call: &Call<'_>, i: usize) -> Result<Arc<File>, Errno> {
    let file = call.file(i)?;
    if matches!(file.kind, Kind::View | Kind::Signals) { Err(Errno::EINVAL) } else { Ok(file) }
}

fn wait_of_both(a: &File, b: &File) -> Wait {
    if a.wait() == Wait::Long { Wait::Long } else { b.wait() }
}

/// The offset that argument `i` points at.
fn offset(call: &Call<'_>, i: usize) -> Result<Option<i64>, Errno> {
    if !call.present(i) {
        return Ok(None);
    }
    let [o] = call.words::<1>(i)?;
    Ok(Some(o as i64))
}

/// What may be written to a file.
struct Outgoing<'a> {
    to: &'a File,
    share: Share,
    _sending: Sending<'a>,
}

/// How many of `n` bytes may be written to `to`.
fn outgoing<'a>(
    call: &mut Call<'_>,
    to: &'a File,
    offset: Option<i64>,
    n: u64,
) -> Result<Outgoing<'a>, Errno> {
    let sending = may_send(call, to)?;
    // A negative offset is the kernel's to refuse.
    let n = n.min(TRANSFER_MAX);
    let n = if offset.is_some_and(|o| o < 0) { n } else { under_limit(call, to, offset, n)? };
    Ok(Outgoing { to, share: call.sandbox.output.take(to, n)?, _sending: sending })
}

/// Settles the share of the output limit, gives moved offsets back, and SIGPIPE where it is due.
fn finish(
    call: &mut Call<'_>,
    outgoing: Outgoing<'_>,
    offsets: &[(usize, Option<i64>)],
    done: SyscallResult,
) -> SyscallResult {
    let Outgoing { to, share, .. } = &outgoing;
    call.sandbox.output.settle(share, &done);
    if matches!(done, Err(Errno::EPIPE)) {
        broken_pipe(call, to, share.n, done);
    }
    if done.is_ok() {
        for (i, offset) in offsets.iter().filter_map(|&(i, offset)| Some((i, offset?))) {
            call.put(i, &offset.to_le_bytes())?;
        }
    }
    done
}

fn sendfile(call: &mut Call<'_>) -> SyscallResult {
    let at = offset(call, 2);
    if at == Err(Errno::EFAULT) {
        return Err(Errno::EFAULT);
    }
    let mut at = at?;
    // The kernel looks at the source first, and at what it must be able to do.
    let from = movable(call, 1)?;
    if !from.readable() {
        return Err(Errno::EBADF);
    }
    if let Some(at) = at {
        let seeks = || transfer::try_at(Way::Read, from.host.as_fd(), Some(0)) != Errno::ESPIPE;
        match () {
            () if from.kind != Kind::Regular && !seeks() => return Err(Errno::ESPIPE),
            () if at < 0 => return Err(Errno::EINVAL),
            () => {}
        }
    }
    let to = movable(call, 0)?;
    let outgoing = outgoing(call, &to, None, call.u64(3))?;
    let done = transfer::sendfile(
        wait_of_both(&to, &from),
        to.host.as_fd(),
        from.host.as_fd(),
        at.as_mut(),
        outgoing.share.n,
    );
    counted(call, done);
    finish(call, outgoing, &[(2, at)], done)
}

/// The kernel counts what it moves from file to file as read and as written.
fn counted(call: &Call<'_>, done: SyscallResult) {
    call.process.transfers.read(done.ok());
    call.process.transfers.written(done.ok());
}

fn copy_file_range(call: &mut Call<'_>) -> SyscallResult {
    if call.u32(5) != 0 {
        let _ = (movable(call, 0)?, movable(call, 2)?, offset(call, 1)?, offset(call, 3)?);
        return Err(Errno::EINVAL);
    }
    move_bytes(call, Move::CopyFileRange)
}

/// Where nothing is to be moved the kernel looks at nothing.
fn splice(call: &mut Call<'_>) -> SyscallResult {
    if call.u64(4) == 0 {
        return Ok(0);
    }
    known_splice(call.u32(5))?;
    let (from, to) = (movable(call, 0)?, movable(call, 2)?);
    let is_pipe = |file: &File| file.kind == Kind::Pipe;
    if is_pipe(&from) && call.present(1) || is_pipe(&to) && call.present(3) {
        return Err(Errno::ESPIPE);
    }
    let _ = (offset(call, 1)?, offset(call, 3)?);
    match () {
        () if !from.readable() || !to.writable() => Err(Errno::EBADF),
        () if !is_pipe(&from) && !is_pipe(&to) => Err(Errno::EINVAL),
        () => move_bytes(call, Move::Splice),
    }
}

/// copy_file_range(2) and splice(2) have the same arguments.
fn move_bytes(call: &mut Call<'_>, kind: Move) -> SyscallResult {
    let (from, to) = (movable(call, 0)?, movable(call, 2)?);
    let (mut a, mut b) = (offset(call, 1)?, offset(call, 3)?);
    let outgoing = outgoing(call, &to, b, call.u64(4))?;
    let wait = wait_of_both(&from, &to);
    let ends = ((from.host.as_fd(), a.as_mut()), (to.host.as_fd(), b.as_mut()));
    let done = transfer::move_bytes(wait, kind, ends.0, ends.1, outgoing.share.n, call.u32(5));
    if kind == Move::CopyFileRange {
        counted(call, done);
    }
    finish(call, outgoing, &[(1, a), (3, b)], done)
}

/// EINVAL for flags that splice(2) and its like do not know.
fn known_splice(flags: u32) -> Result<(), Errno> {
    const KNOWN: u32 =
        libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MORE | libc::SPLICE_F_GIFT;
    if flags & !KNOWN == 0 { Ok(()) } else { Err(Errno::EINVAL) }
}

fn tee(call: &mut Call<'_>) -> SyscallResult {
    known_splice(call.u32(3))?;
    if call.u64(2) == 0 {
        return Ok(0);
    }
    let (from, to) = (movable(call, 0)?, movable(call, 1)?);
    let outgoing = outgoing(call, &to, None, call.u64(2))?;
    let done = transfer::tee(Wait::Long, from.host.as_fd(), to.host.as_fd(), outgoing.share.n, call.u32(3));
    finish(call, outgoing, &[], done)
}

/// vmsplice(2): the child moves the bytes, as those of a read or a write. The answer is whether it is a
/// write, or that the file is no pipe, which the kernel only finds once it has something to move.
fn vmsplice(call: &mut Call<'_>) -> SyscallResult {
    known_splice(call.u32(3))?;
    let file = call.file(0)?;
    let way = match (file.writable(), file.readable()) {
        _ if file.kind == Kind::View => return Err(Errno::EBADF),
        (true, _) => Splice::Write,
        (_, true) => Splice::Read,
        _ => return Err(Errno::EBADF),
    };
    grant(call)?;
    Ok(if file.kind == Kind::Pipe { way } else { Splice::Nothing } as i64)
}

fn sync(_: &mut Call<'_>) -> SyscallResult {
    nix::unistd::sync();
    Ok(0)
}

/// Calls on the storage of the file in argument 0, the numbers behind it unchanged. A view has none, and
/// nothing to write back.
fn storage(call: &mut Call<'_>, what: OnFd) -> SyscallResult {
    if call.file(0)?.kind == Kind::View {
        return match what {
            OnFd::Syncfs | OnFd::SyncFileRange | OnFd::Fadvise | OnFd::Readahead => Ok(0),
            OnFd::Fallocate => Err(Errno::EBADF),
            _ => Err(Errno::EINVAL),
        };
    }
    let file = movable(call, 0)?;
    on_fd(Wait::Short, what, file.host.as_fd(), [call.u64(1), call.u64(2), call.u64(3)])
}

fn fsync(call: &mut Call<'_>) -> SyscallResult {
    storage(call, OnFd::Fsync)
}

fn fdatasync(call: &mut Call<'_>) -> SyscallResult {
    storage(call, OnFd::Fdatasync)
}

fn syncfs(call: &mut Call<'_>) -> SyscallResult {
    storage(call, OnFd::Syncfs)
}

fn sync_file_range(call: &mut Call<'_>) -> SyscallResult {
    storage(call, OnFd::SyncFileRange)
}

fn fadvise64(call: &mut Call<'_>) -> SyscallResult {
    storage(call, OnFd::Fadvise)
}

fn readahead(call: &mut Call<'_>) -> SyscallResult {
    storage(call, OnFd::Readahead)
}

fn fallocate(call: &mut Call<'_>) -> SyscallResult {
    if call.file(0)?.kind == Kind::View {
        return storage(call, OnFd::Fallocate);
    }
    let file = movable(call, 0)?;
    const SHRINKS: i32 =
        libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE | libc::FALLOC_FL_COLLAPSE_RANGE;
    let grows = call.i32(1) & SHRINKS == 0 && file.writable();
    // What is no range is the kernel's to refuse.
    if let Some(end @ 1..) = call.i64(2).checked_add(call.i64(3)).filter(|_| grows) {
        fits(call, &file, end as u64)?;
    }
    storage(call, OnFd::Fallocate)
}

fn ftruncate(call: &mut Call<'_>) -> SyscallResult {
    if call.i64(1) < 0 {
        return Err(Errno::EINVAL);
    }
    let file = movable(call, 0)?;
    if call.i64(1) > 0 {
        fits(call, &file, call.u64(1))?;
    }
    storage(call, OnFd::Ftruncate)
}

/// EFBIG, with its signal, unless the file is or may become `size` bytes long.
fn fits(call: &mut Call<'_>, file: &File, size: u64) -> Result<(), Errno> {
    let has = nix::sys::stat::fstat(&file.host)?.st_size as u64;
    if size <= has { Ok(()) } else { under_limit(call, file, Some(size as i64 - 1), 1).map(drop) }
}

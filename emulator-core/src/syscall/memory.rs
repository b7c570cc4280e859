//! Granted calls on the address space: the guest's map decides, the host follows, stale translations go.

use super::marshal;
use crate::base::result::SyscallResult;
use crate::guest::layout::{PAGE, page_up};
use crate::guest::{Change, FileSource, MapRequest, MappedFile, RemapRequest, Span};
use crate::host::control;
use crate::host::map::{PageCall, page_call, resident};
use crate::process::memory::Memory;
use crate::thread::{Thread, origins};
use nix::errno::Errno;
use rxbox_wire::frame::Reply;
use rxbox_wire::kind::Syscall;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// mmap(2) of a file: the supervisor checks the guest's descriptor and sends one with no more rights than the
/// mapping needs; the child maps it and closes it.
pub fn map_file(thread: &mut Thread, call: &'static Syscall, args: [u64; 6]) -> SyscallResult {
    try_map_file(thread, call, args).into()
}

fn try_map_file(thread: &Thread, call: &'static Syscall, args: [u64; 6]) -> Result<SyscallResult, Errno> {
    let (fd, file) = match ask_for_file(thread, call, &args)? {
        Ok(received) => received,
        Err(result) => return Ok(result),
    };
    let source = FileSource { fd: fd.as_fd(), file, offset: args[5] };
    let request = MapRequest::decode(args[0], args[1], args[2], args[3], Some(source))?;
    let addr = map(thread, &request)?;
    if request.prot.exec {
        let start = addr as u64;
        origins::tell_of(thread, Span { start, end: start + PAGE });
    }
    Ok(SyscallResult::Value(addr))
}

/// Makes a call that is granted with a file to map; its result if it comes without.
///
/// # Errors
/// Of the exchange itself, and of the control socket.
pub(super) fn ask_for_file(
    thread: &Thread,
    call: &'static Syscall,
    args: &[u64; 6],
) -> Result<Result<(OwnedFd, Arc<MappedFile>), SyscallResult>, Errno> {
    const WITH_FILE: u32 = Reply::GRANTED | Reply::FD;
    let _mine = thread.process.control.lock();
    let reply = marshal::exchange(thread, call, args)?;
    if reply.flags & WITH_FILE != WITH_FILE {
        return if reply.ret < 0 { Ok(Err(SyscallResult::Value(reply.ret))) } else { Err(Errno::EBADF) };
    }
    let (fd, about) = control::receive()?;
    Ok(Ok((fd, Arc::new(MappedFile { path: about.path, dev: about.dev, ino: about.ino }))))
}

/// Maps, and gives the address.
pub(super) fn map(thread: &Thread, request: &MapRequest<'_>) -> Result<i64, Errno> {
    request.wanted().into_iter().for_each(|wanted| thread.process.make_way(wanted));
    let memory = &mut *thread.process.memory.lock();
    let change = memory.space.map(&mut memory.host, request);
    let mapped = thread.process.apply(memory, change);
    made_writable(thread, memory, mapped.ok(), request.len);
    mapped.map(|addr| addr as i64)
}

/// The guest may write `len` bytes at `addr` that it could not before.
fn made_writable(thread: &Thread, memory: &Memory, addr: Option<u64>, len: u64) {
    if let Some(span) = addr.zip(page_up(len)).and_then(|(addr, len)| Span::at(addr, len)) {
        thread.process.forget_aliases(memory, span);
    }
}

/// mmap(2) without a file.
pub fn mmap(thread: &Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    let request = MapRequest::decode(args[0], args[1], args[2], args[3], None)?;
    map(thread, &request)
}

/// munmap(2).
pub fn munmap(thread: &Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    change(thread, |memory| memory.space.unmap(&mut memory.host, args[0], args[1])).map(|()| 0)
}

/// Changes the map, and what follows from that.
fn change<T>(thread: &Thread, change: impl FnOnce(&mut Memory) -> Change<T>) -> Result<T, Errno> {
    let mut memory = thread.process.memory.lock();
    let change = change(&mut memory);
    thread.process.apply(&mut memory, change)
}

/// mprotect(2).
pub fn mprotect(thread: &Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    let [addr, len, prot, ..] = *args;
    let mut memory = thread.process.memory.lock();
    let memory = &mut *memory;
    let change = memory.space.protect(&mut memory.host, addr, len, prot);
    let done = thread.process.apply(memory, change);
    made_writable(thread, memory, done.ok().map(|()| addr), len);
    done.map(|()| 0)
}

/// mremap(2).
pub fn mremap(thread: &Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    let [addr, old_len, new_len, flags, new_addr, _] = *args;
    let request = RemapRequest { addr, old_len, new_len, flags, new_addr };
    request.wanted().into_iter().for_each(|wanted| thread.process.make_way(wanted));
    let mut memory = thread.process.memory.lock();
    let memory = &mut *memory;
    let change = memory.space.remap(&mut memory.host, &request);
    let moved = thread.process.apply(memory, change);
    made_writable(thread, memory, moved.ok(), old_len.max(new_len));
    moved.map(|addr| addr as i64)
}

/// brk(2).
pub fn brk(thread: &Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    change(thread, |memory| memory.space.brk(&mut memory.host, args[0])).map(|end| end as i64)
}

/// madvise(2).
pub fn madvise(thread: &Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    change(thread, |memory| memory.space.advise(&mut memory.host, args[0], args[1], args[2] as i32))
        .map(|()| 0)
}

/// msync(2).
pub fn msync(args: &[u64; 6]) -> Result<i64, Errno> {
    page_call(PageCall::Msync(args[2]), args[0], args[1])
}

/// mlock(2).
pub fn mlock(args: &[u64; 6]) -> Result<i64, Errno> {
    page_call(PageCall::Mlock, args[0], args[1])
}

/// mlock2(2).
pub fn mlock2(args: &[u64; 6]) -> Result<i64, Errno> {
    page_call(PageCall::Mlock2(args[2]), args[0], args[1])
}

/// munlock(2).
pub fn munlock(args: &[u64; 6]) -> Result<i64, Errno> {
    page_call(PageCall::Munlock, args[0], args[1])
}

/// mincore(2).
pub fn mincore(thread: &Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    let pages = resident(args[0], args[1])?;
    thread.process.copy_out(args[2], &pages).map(|()| 0)
}

/// mlockall(2) succeeds, and so does munlockall(2): it is a promise about speed, and would lock the runtime's
/// own memory too.
pub fn mlockall(args: &[u64; 6]) -> Result<i64, Errno> {
    const WHAT: u64 = (libc::MCL_CURRENT | libc::MCL_FUTURE) as u64;
    const ALL: u64 = WHAT | libc::MCL_ONFAULT as u64;
    if args[0] & WHAT == 0 || args[0] & !ALL != 0 { Err(Errno::EINVAL) } else { Ok(0) }
}

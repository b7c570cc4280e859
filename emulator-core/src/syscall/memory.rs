//! Granted calls on the address space: the guest's map decides, the host follows, stale translations go.

use super::marshal;
use crate::base::result::SyscallResult;
use crate::guest::layout::page_up;
use crate::guest::{FileSource, MapRequest, MappedFile, RemapRequest, Span};
use crate::host::control;
use crate::host::map::{PageCall, page_call, resident};
use crate::process::memory::Memory;
use crate::thread::Thread;
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
    map(&mut thread.process.memory.lock(), thread, &request).map(SyscallResult::Value)
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
pub(super) fn map(memory: &mut Memory, thread: &Thread, request: &MapRequest<'_>) -> Result<i64, Errno> {
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

/// Carries out an approved call of this module; `None` if it is not one.
pub fn system_call(thread: &mut Thread, nr: u32, args: &[u64; 6]) -> Option<Result<i64, Errno>> {
    let process = thread.process;
    let mut guard = process.memory.lock();
    let memory = &mut *guard;
    let (space, host) = (&mut memory.space, &mut memory.host);
    let [addr, len, third, fourth, fifth, _] = *args;
    Some(match i64::from(nr) {
        libc::SYS_mmap => MapRequest::decode(addr, len, third, fourth, None)
            .and_then(|request| map(memory, thread, &request)),
        libc::SYS_munmap => {
            let change = space.unmap(host, addr, len);
            process.apply(memory, change).map(|()| 0)
        }
        libc::SYS_mprotect => {
            let change = space.protect(host, addr, len, third);
            let done = process.apply(memory, change);
            made_writable(thread, memory, done.ok().map(|()| addr), len);
            done.map(|()| 0)
        }
        libc::SYS_mremap => {
            let request = RemapRequest { addr, old_len: len, new_len: third, flags: fourth, new_addr: fifth };
            let change = space.remap(host, &request);
            let moved = process.apply(memory, change);
            made_writable(thread, memory, moved.ok(), len.max(third));
            moved.map(|addr| addr as i64)
        }
        libc::SYS_brk => {
            let change = space.brk(host, addr);
            process.apply(memory, change).map(|end| end as i64)
        }
        libc::SYS_madvise => {
            let change = space.advise(host, addr, len, third as i32);
            process.apply(memory, change).map(|()| 0)
        }
        _ => {
            drop(guard);
            return whole_pages(thread, nr, args);
        }
    })
}

/// Calls that change nothing of the map; `None` for others. To lock all memory succeeds: it is a promise
/// about speed, and would lock the runtime's own memory too.
fn whole_pages(thread: &Thread, nr: u32, args: &[u64; 6]) -> Option<Result<i64, Errno>> {
    const WHAT: u64 = (libc::MCL_CURRENT | libc::MCL_FUTURE) as u64;
    const ALL: u64 = WHAT | libc::MCL_ONFAULT as u64;
    let [addr, len, third, ..] = *args;
    Some(match i64::from(nr) {
        libc::SYS_msync => page_call(PageCall::Msync(third), addr, len),
        libc::SYS_mlock => page_call(PageCall::Mlock, addr, len),
        libc::SYS_mlock2 => page_call(PageCall::Mlock2(third), addr, len),
        libc::SYS_munlock => page_call(PageCall::Munlock, addr, len),
        libc::SYS_mincore => {
            resident(addr, len).and_then(|pages| thread.process.copy_out(third, &pages)).map(|()| 0)
        }
        libc::SYS_mlockall if addr & WHAT == 0 || addr & !ALL != 0 => Err(Errno::EINVAL),
        libc::SYS_mlockall | libc::SYS_munlockall => Ok(0),
        _ => return None,
    })
}

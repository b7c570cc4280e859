//! Granted calls on the address space: the guest's map decides, the host follows, stale translations go.

use super::{Answer, copy_out, marshal};
use crate::guest::Span;
use crate::guest::layout::{PAGE, page_up, window_of};
use crate::guest::{FileSource, MapRequest, MappedFile, RemapRequest};
use crate::host::{call, control};
use crate::process::Memory;
use crate::thread::Thread;
use nix::errno::Errno;
use rxbox_wire::frame::Reply;
use rxbox_wire::kind::Syscall;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

pub(super) fn value<T: TryInto<i64>>(result: Result<T, Errno>) -> Answer {
    Answer::Value(match result {
        Ok(v) => v.try_into().unwrap_or(0),
        Err(e) => -i64::from(e as i32),
    })
}

/// mmap(2) of a file: the supervisor checks the guest's descriptor and sends one with no more rights than the mapping
/// needs; the child maps it and closes it.
pub fn map_file(thread: &mut Thread, call: &'static Syscall, args: [u64; 6]) -> Answer {
    let (fd, file) = match ask_for_file(thread, call, &args) {
        Ok(received) => received,
        Err(answer) => return answer,
    };
    let source = FileSource { fd: fd.as_fd(), file, offset: args[5] };
    let request = match MapRequest::decode(args[0], args[1], args[2], args[3], Some(source)) {
        Ok(request) => request,
        Err(e) => return value::<i64>(Err(e)),
    };
    map(&mut thread.process.memory.lock(), thread, &request)
}

/// Makes a call that is granted with a file to map; the answer if there is none.
pub(super) fn ask_for_file(
    thread: &Thread,
    call: &'static Syscall,
    args: &[u64; 6],
) -> Result<(OwnedFd, Arc<MappedFile>), Answer> {
    const WITH_FILE: u32 = Reply::GRANTED | Reply::FD;
    let _mine = thread.process.control.lock();
    let reply = marshal::exchange(thread, call, args)?;
    if reply.flags & WITH_FILE != WITH_FILE {
        return Err(Answer::Value(if reply.ret < 0 { reply.ret } else { -i64::from(libc::EBADF) }));
    }
    let (fd, about) = control::receive().map_err(|e| value::<i64>(Err(e)))?;
    Ok((fd, Arc::new(MappedFile { path: about.path, dev: about.dev, ino: about.ino })))
}

pub(super) fn map(memory: &mut Memory, thread: &Thread, request: &MapRequest<'_>) -> Answer {
    let change = memory.space.map(&mut memory.host, request);
    let mapped = thread.process.apply(memory, change);
    opened(thread, memory, mapped.ok(), request.len);
    value(mapped)
}

/// The guest may write `len` bytes at `addr` that it could not before.
fn opened(thread: &Thread, memory: &Memory, addr: Option<u64>, len: u64) {
    if let Some(span) = addr.zip(page_up(len)).and_then(|(addr, len)| Span::at(addr, len)) {
        thread.process.forget_twins(memory, span);
    }
}

/// Carries out an approved call of this module; `None` if it is not one.
pub fn system_call(thread: &mut Thread, nr: u32, args: &[u64; 6]) -> Option<Answer> {
    let process = thread.process;
    let mut guard = process.memory.lock();
    let memory = &mut *guard;
    let (space, host) = (&mut memory.space, &mut memory.host);
    let [addr, len, third, fourth, fifth, _] = *args;
    Some(match i64::from(nr) {
        libc::SYS_mmap => match MapRequest::decode(addr, len, third, fourth, None) {
            Ok(request) => map(memory, thread, &request),
            Err(e) => value::<i64>(Err(e)),
        },
        libc::SYS_munmap => {
            let change = space.unmap(host, addr, len);
            value(process.apply(memory, change).map(|()| 0))
        }
        libc::SYS_mprotect => {
            let change = space.protect(host, addr, len, third);
            let done = process.apply(memory, change);
            opened(thread, memory, done.ok().map(|()| addr), len);
            value(done.map(|()| 0))
        }
        libc::SYS_mremap => {
            let request = RemapRequest { addr, old_len: len, new_len: third, flags: fourth, new_addr: fifth };
            let change = space.remap(host, &request);
            let moved = process.apply(memory, change);
            opened(thread, memory, moved.ok(), len.max(third));
            value(moved)
        }
        libc::SYS_brk => {
            let change = space.brk(host, addr);
            value(process.apply(memory, change))
        }
        libc::SYS_madvise => {
            let change = space.advise(host, addr, len, third as i32);
            value(process.apply(memory, change).map(|()| 0))
        }
        libc::SYS_msync
        | libc::SYS_mincore
        | libc::SYS_mlock
        | libc::SYS_mlock2
        | libc::SYS_munlock
        | libc::SYS_mlockall
        | libc::SYS_munlockall => {
            drop(guard);
            whole_pages(thread, nr.into(), args)
        }
        _ => return None,
    })
}

/// Calls that change nothing of the map: the host's own, on guest pages. Locking all memory is only for the future
/// mappings' sake a promise about speed, and the runtime's own memory is none of the guest's business: it succeeds.
fn whole_pages(thread: &Thread, nr: i64, args: &[u64; 6]) -> Answer {
    let [addr, len, third, ..] = *args;
    if matches!(nr, libc::SYS_mlockall | libc::SYS_munlockall) {
        const WHAT: u64 = (libc::MCL_CURRENT | libc::MCL_FUTURE) as u64;
        const ALL: u64 = WHAT | libc::MCL_ONFAULT as u64;
        let valid = nr == libc::SYS_munlockall || addr & WHAT != 0 && addr & !ALL == 0;
        return Answer::Value(if valid { 0 } else { -i64::from(libc::EINVAL) });
    }
    let span = page_up(len).and_then(|len| Span::at(addr, len));
    let Some(span) = span.filter(|&s| s.is_empty() || window_of(s).is_some()) else {
        return value::<i64>(Err(if nr == libc::SYS_mincore { Errno::ENOMEM } else { Errno::EINVAL }));
    };
    let mut resident = vec![0u8; if nr == libc::SYS_mincore { (span.len() / PAGE) as usize } else { 0 }];
    let third = if nr == libc::SYS_mincore { resident.as_mut_ptr() as u64 } else { third };
    // SAFETY: the pages are the guest's, whose contents and protection these calls leave alone; mincore writes a byte for
    // each page into the vector, which has that many.
    let result = unsafe { call::raw(nr, [addr, len, third, 0, 0, 0]) };
    if result == 0 && nr == libc::SYS_mincore && copy_out(thread.process, args[2], &resident).is_err() {
        return value::<i64>(Err(Errno::EFAULT));
    }
    Answer::Value(result)
}

/// A fault below a stack that grows down: makes room if that is what it is.
pub fn grow_stack(thread: &Thread, addr: u64) -> bool {
    let mut guard = thread.process.memory.lock();
    let memory = &mut *guard;
    memory.space.grow_down(&mut memory.host, addr)
}

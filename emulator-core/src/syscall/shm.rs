//! Segments of System V shared memory (shmop(2)): the supervisor keeps them, the child maps their memory.

use super::memory::{ask_for_file, map};
use crate::base::result::SyscallResult;
use crate::guest::layout::PAGE;
use crate::guest::{AddressSpace, FileSource, MapRequest, Place, Prot};
use crate::host::control;
use crate::thread::{Thread, request};
use nix::errno::Errno;
use rxbox_wire::kind::Syscall;
use std::os::fd::AsFd;

/// What the name of a segment's memory begins with in `/proc/self/maps`.
const NAME: &[u8] = b"/SYSV";

/// Where shmat(2) puts a segment. EINVAL for an address that is not a page's, or for none where one is
/// needed.
fn place(addr: u64, flags: i32) -> Result<Place, Errno> {
    let replaces = flags & libc::SHM_REMAP != 0;
    let at = match addr % PAGE {
        0 => addr,
        rest if flags & libc::SHM_RND != 0 => addr - rest,
        _ => return Err(Errno::EINVAL),
    };
    match at {
        0 if replaces => Err(Errno::EINVAL),
        0 => Ok(Place::Hint(0)),
        _ if replaces => Ok(Place::Fixed(at)),
        _ => Ok(Place::FixedNoReplace(at)),
    }
}

/// shmat(2).
pub fn attach(thread: &mut Thread, call: &'static Syscall, args: [u64; 6]) -> SyscallResult {
    try_attach(thread, call, args).into()
}

fn try_attach(thread: &Thread, call: &'static Syscall, args: [u64; 6]) -> Result<SyscallResult, Errno> {
    let flags = args[2] as i32;
    let place = place(args[1], flags)?;
    let (fd, file) = match ask_for_file(thread, call, &args)? {
        Ok(received) => received,
        Err(result) => return Ok(result),
    };
    let size = control::size(&fd)?;
    let inode = file.ino;
    let has = |flag: i32| flags & flag != 0;
    let request = MapRequest {
        shared: true,
        source: Some(FileSource { fd: fd.as_fd(), file, offset: 0 }),
        ..MapRequest::anonymous(
            place,
            size,
            Prot { read: true, write: !has(libc::SHM_RDONLY), exec: has(libc::SHM_EXEC) },
        )
    };
    let mapped = map(thread, &request);
    if mapped.is_err() {
        request::detached(thread, inode);
    }
    // An address that is taken is no address for a segment.
    mapped.map(SyscallResult::Value).map_err(|e| if e == Errno::EEXIST { Errno::EINVAL } else { e })
}

/// shmdt(2): takes away what is left of the segment that was attached at this address.
pub fn detach(thread: &mut Thread, addr: u64) -> SyscallResult {
    try_detach(thread, addr).into()
}

fn try_detach(thread: &Thread, addr: u64) -> Result<i64, Errno> {
    let process = thread.process;
    let mut guard = process.memory.lock();
    let memory = &mut *guard;
    let (inode, spans) = attached(&memory.space, addr).ok_or(Errno::EINVAL)?;
    for (start, len) in spans {
        let change = memory.space.unmap(&mut memory.host, start, len);
        process.apply(memory, change)?;
    }
    drop(guard);
    request::detached(thread, inode);
    Ok(0)
}

/// The inode number of the segment attached at `addr`, and the addresses and lengths of its areas.
fn attached(space: &AddressSpace, addr: u64) -> Option<(u64, Vec<(u64, u64)>)> {
    let segments = || {
        let areas = space.areas().filter_map(|area| Some((area.span, area.backing.as_ref()?)));
        areas.filter(|(_, backing)| backing.file.path.starts_with(NAME))
    };
    // The first area of an attachment that is still there may not be the segment's first.
    let begins = |start: u64, offset: u64| start.checked_sub(offset) == Some(addr);
    let (_, first) = segments().find(|(span, b)| span.start >= addr && begins(span.start, b.offset))?;
    let same = segments().filter(|(span, b)| *b.file == *first.file && begins(span.start, b.offset));
    Some((first.file.ino, same.map(|(span, _)| (span.start, span.end - span.start)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_goes_where_shmat_says() {
        assert_eq!(place(0, 0), Ok(Place::Hint(0)));
        assert_eq!(place(0x5000, 0), Ok(Place::FixedNoReplace(0x5000)));
        assert_eq!(place(0x5000, libc::SHM_REMAP), Ok(Place::Fixed(0x5000)));
        assert_eq!(place(0x5123, libc::SHM_RND), Ok(Place::FixedNoReplace(0x5000)));
        assert_eq!(place(0x5123, 0), Err(Errno::EINVAL));
        assert_eq!(place(0, libc::SHM_REMAP), Err(Errno::EINVAL));
    }
}

//! Segments of System V shared memory (shmop(2)): the supervisor keeps them, the child maps their memory.

use super::Answer;
use super::memory::{ask_for_file, map, value};
use crate::guest::layout::PAGE;
use crate::guest::{AddressSpace, FileSource, MapRequest, Place, Prot};
use crate::host::control;
use crate::syscall::request;
use crate::thread::Thread;
use nix::errno::Errno;
use rxbox_wire::kind::Syscall;
use std::os::fd::AsFd;

/// What the name of a segment's memory begins with in `/proc/self/maps`.
const NAME: &[u8] = b"/SYSV";

/// Where shmat(2) puts a segment. EINVAL for an address that is not a page's, or for none where one is needed.
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
pub fn attach(thread: &mut Thread, call: &'static Syscall, args: [u64; 6]) -> Answer {
    let flags = args[2] as i32;
    let place = match place(args[1], flags) {
        Ok(place) => place,
        Err(e) => return value::<i64>(Err(e)),
    };
    let received = ask_for_file(thread, call, &args);
    let sized = received.and_then(|(fd, file)| match control::size(&fd) {
        Ok(size) => Ok((fd, file, size)),
        Err(e) => Err(value::<i64>(Err(e))),
    });
    let (fd, file, size) = match sized {
        Ok(sized) => sized,
        Err(answer) => return answer,
    };
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
    let mapped = map(&mut thread.process.memory.lock(), thread, &request);
    match mapped {
        Answer::Value(error) if error < 0 => {
            request::detached(thread, inode);
            // An address that is taken is no address for a segment.
            let taken = error == -i64::from(libc::EEXIST);
            Answer::Value(if taken { -i64::from(libc::EINVAL) } else { error })
        }
        mapped => mapped,
    }
}

/// shmdt(2): takes away what is left of the segment that was attached at this address.
pub fn detach(thread: &mut Thread, addr: u64) -> Answer {
    let process = thread.process;
    let mut guard = process.memory.lock();
    let memory = &mut *guard;
    let Some((inode, spans)) = attached(&memory.space, addr) else {
        return value::<i64>(Err(Errno::EINVAL));
    };
    for (start, len) in spans {
        let change = memory.space.unmap(&mut memory.host, start, len);
        if let Err(e) = process.apply(memory, change) {
            return value::<i64>(Err(e));
        }
    }
    drop(guard);
    request::detached(thread, inode);
    Answer::Value(0)
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

//! The address space. The child maps and unmaps for itself, under its own filter; what the supervisor decides
//! is which files it may map and how, and it hands out the descriptor for that.
//!
//! The child is not trusted with more of a file than the guest has. A private mapping, and one of a file that
//! the guest cannot write, gets a descriptor that can only be read: even a child that the guest has taken
//! over cannot map it for shared writing.

use crate::caller::Caller;
use crate::context::{Call, Entry, grant};
use crate::host::SyscallResult;
use crate::host::name::reopen;
use crate::state::fd::{File, Kind};
use crate::state::names::name_of;
use nix::errno::Errno;
use rxbox_policy::Access;
use rxbox_wire::frame::Reply;
use rxbox_wire::sizes::PAGE;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[("mmap", mmap)];

/// Flags of mmap(2): `MAP_SHARED` and `MAP_SHARED_VALIDATE` share the first bit.
const SHARED: i32 = libc::MAP_SHARED;

fn mmap(call: &mut Call<'_>) -> SyscallResult {
    let (protection, flags) = (call.i32(2), call.i32(3));
    if flags & libc::MAP_ANONYMOUS != 0 {
        return grant(call);
    }
    // The kernel looks at the offset before it looks at the file.
    if !call.u64(5).is_multiple_of(PAGE) {
        return Err(Errno::EINVAL);
    }
    let file = call.file(4)?;
    is_range(call.u64(0), call.u64(1), flags)?;
    is_in_file(&file, call.u64(5), call.u64(1))?;
    let shared = flags & SHARED != 0;
    mappable(&file, protection, shared)?;
    let fd = file.host.as_fd();
    if protection & libc::PROT_EXEC != 0
        && let Some(copy) = as_code(call, &file)?
    {
        call.process.send_copy(copy.as_fd(), fd)?;
        call.reply.flags |= Reply::FD;
        return grant(call);
    }
    if protection & libc::PROT_EXEC != 0 && !shared {
        call.sandbox.offer_code(fd);
    }
    // A file that its own user cannot open for reading any more is still the guest's to map, and to write.
    let less =
        if !shared && file.writable() { reopen(fd, libc::O_RDONLY | libc::O_NONBLOCK).ok() } else { None };
    call.process.send_fd(less.as_ref().map_or(fd, AsFd::as_fd))?;
    call.reply.flags |= Reply::FD;
    grant(call)
}

/// What the kernel says of a range of addresses, and of the type of a mapping, before it looks at what the
/// file may be mapped for.
fn is_range(addr: u64, len: u64, flags: i32) -> Result<(), Errno> {
    /// Where user space ends.
    const END: u64 = 0x7fff_ffff_f000;
    const TYPES: [i32; 3] = [libc::MAP_SHARED, libc::MAP_PRIVATE, libc::MAP_SHARED_VALIDATE];
    match len {
        0 => Err(Errno::EINVAL),
        len if len > END => Err(Errno::ENOMEM),
        _ if flags & libc::MAP_FIXED != 0 && !addr.is_multiple_of(PAGE) => Err(Errno::EINVAL),
        _ if flags & libc::MAP_HUGETLB != 0 => Err(Errno::EINVAL),
        _ if !TYPES.contains(&(flags & libc::MAP_TYPE)) => Err(Errno::EINVAL),
        _ => Ok(()),
    }
}

/// EOVERFLOW for what lies beyond all that a file can have.
fn is_in_file(file: &File, offset: u64, len: u64) -> Result<(), Errno> {
    let most = if file.kind == Kind::Regular { i64::MAX as u64 } else { u64::MAX };
    if offset.checked_add(len).is_some_and(|end| end <= most) { Ok(()) } else { Err(Errno::EOVERFLOW) }
}

/// What mmap(2) demands of a file for such a mapping.
fn mappable(file: &File, protection: i32, shared: bool) -> Result<(), Errno> {
    let writes = shared && protection & libc::PROT_WRITE != 0;
    match file.kind {
        Kind::Path => return Err(Errno::EBADF),
        Kind::Regular | Kind::Memory | Kind::CharDevice | Kind::BlockDevice => {}
        // The kernel looks at the rights before it looks for a way to map it, and nothing of these is code.
        _ if !file.readable() || writes && !file.writable() => return Err(Errno::EACCES),
        Kind::Pipe | Kind::Socket | Kind::Event | Kind::Timer | Kind::Epoll | Kind::Signals
            if protection & libc::PROT_EXEC != 0 && name_of(file.host.as_fd()).is_err() =>
        {
            return Err(Errno::EPERM);
        }
        _ => return Err(Errno::ENODEV),
    }
    if !file.readable() || writes && !file.writable() { Err(Errno::EACCES) } else { Ok(()) }
}

/// Code is only mapped from files that may be executed; where their contents are pinned, from a copy. What
/// has no name (memory files, deleted ones) the guest has written itself, as it could write code to any page.
fn as_code(call: &Call<'_>, file: &File) -> Result<Option<Arc<OwnedFd>>, Errno> {
    match name_of(file.host.as_fd()) {
        Ok(path) if file.kind == Kind::Regular => {
            let caller = Caller::of(call);
            caller.check(Access::Execute, &path)?;
            caller.check_contents(&path, file.host.as_fd())
        }
        _ => Ok(None),
    }
}

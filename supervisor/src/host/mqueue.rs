//! POSIX message queues of the host (mq_overview(7)).

use super::SyscallResult;
use super::name::reopen;
use super::number::{Wait, owned, raw};
use super::wait::Time;
use nix::errno::Errno;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Bytes of `struct mq_attr`.
pub const ATTRIBUTES: usize = 64;

fn pointer<T>(value: Option<&T>) -> u64 {
    value.map_or(0, |v| std::ptr::from_ref(v) as u64)
}

/// mq_open(2): a new queue of this user's, to read and write.
pub fn create(name: &CStr, attributes: Option<&[u8; ATTRIBUTES]>) -> Result<OwnedFd, Errno> {
    const FLAGS: i32 = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
    let args = [name.as_ptr() as u64, FLAGS as u64, 0o600, pointer(attributes), 0, 0];
    // SAFETY: the kernel reads a NUL-terminated name and the attributes if there are any, and makes a
    // descriptor.
    unsafe { owned(raw(Wait::Short, libc::SYS_mq_open, args)) }
}

/// mq_unlink(2).
pub fn unlink(name: &CStr) -> SyscallResult {
    // SAFETY: the kernel reads a NUL-terminated name.
    unsafe { raw(Wait::Short, libc::SYS_mq_unlink, [name.as_ptr() as u64, 0, 0, 0, 0, 0]) }
}

/// A descriptor of the same queue with these access and status flags, whatever its mode says to others.
pub fn open_as(queue: BorrowedFd<'_>, flags: i32) -> Result<OwnedFd, Errno> {
    let mode = nix::sys::stat::fstat(queue)?.st_mode;
    let change = |mode| nix::sys::stat::fchmod(queue, nix::sys::stat::Mode::from_bits_truncate(mode));
    change(0o600)?;
    let opened = reopen(queue, flags);
    change(mode & 0o777)?;
    opened
}

/// mq_timedsend(2), until a point in time (`None`: for ever).
pub fn send(queue: BorrowedFd<'_>, text: &[u8], priority: u32, until: Option<&Time>) -> Result<(), Errno> {
    let args = [
        queue.as_raw_fd() as u64,
        text.as_ptr() as u64,
        text.len() as u64,
        priority.into(),
        pointer(until),
        0,
    ];
    // SAFETY: the kernel reads the text and the time.
    unsafe { raw(Wait::Long, libc::SYS_mq_timedsend, args) }.map(drop)
}

/// mq_timedreceive(2) into a room of so many bytes, until a point in time (`None`: for ever): text and
/// priority.
pub fn receive(queue: BorrowedFd<'_>, room: usize, until: Option<&Time>) -> Result<(Vec<u8>, u32), Errno> {
    let (mut text, mut priority) = (vec![0; room], 0u32);
    let args = [
        queue.as_raw_fd() as u64,
        text.as_mut_ptr() as u64,
        room as u64,
        &raw mut priority as u64,
        pointer(until),
        0,
    ];
    // SAFETY: the kernel writes at most `room` bytes of text and the priority, and reads the time.
    let n = unsafe { raw(Wait::Long, libc::SYS_mq_timedreceive, args) }?;
    text.truncate(n as usize);
    Ok((text, priority))
}

/// mq_getsetattr(2): the attributes before.
pub fn attributes(queue: BorrowedFd<'_>, new: Option<&[u8; ATTRIBUTES]>) -> Result<[u8; ATTRIBUTES], Errno> {
    let mut old = [0; ATTRIBUTES];
    let args = [queue.as_raw_fd() as u64, pointer(new), old.as_mut_ptr() as u64, 0, 0, 0];
    // SAFETY: the kernel reads one structure, if there is one, and writes one.
    unsafe { raw(Wait::Short, libc::SYS_mq_getsetattr, args) }?;
    Ok(old)
}

/// How many messages wait in the queue.
pub fn waiting(queue: BorrowedFd<'_>) -> Result<u64, Errno> {
    let attributes = attributes(queue, None)?;
    Ok(u64::from_le_bytes(std::array::from_fn(|i| attributes[24 + i])))
}

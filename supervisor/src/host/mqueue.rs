//! POSIX message queues of the host (mq_overview(7)).

use super::SyscallResult;
use super::number::{Wait, owned, raw};
use super::wait::Time;
use nix::errno::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of `struct mq_attr`.
pub const ATTRIBUTES: usize = 64;
/// `struct mq_attr` as bytes.
pub type Attributes = [u8; ATTRIBUTES];

fn pointer<T>(value: Option<&T>) -> u64 {
    value.map_or(0, |v| std::ptr::from_ref(v) as u64)
}

/// mq_open(2): a new queue of this user's without a name, to read and write. For the moment between its
/// making and the loss of its name, that is one that cannot be guessed, and only this user could open it.
pub fn nameless(attributes: Option<&Attributes>) -> Result<OwnedFd, Errno> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = CString::new(format!("rxbox-{}-{n}", std::process::id())).map_err(|_| Errno::EINVAL)?;
    let queue = create(&name, attributes)?;
    unlink(&name)?;
    Ok(queue)
}

fn create(name: &CStr, attributes: Option<&Attributes>) -> Result<OwnedFd, Errno> {
    const FLAGS: i32 = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
    let args = [name.as_ptr() as u64, FLAGS as u64, 0o600, pointer(attributes), 0, 0];
    // SAFETY: the kernel reads a NUL-terminated name and the attributes if there are any, and makes a
    // descriptor.
    unsafe { owned(raw(Wait::Short, libc::SYS_mq_open, args)) }
}

fn unlink(name: &CStr) -> SyscallResult {
    // SAFETY: the kernel reads a NUL-terminated name.
    unsafe { raw(Wait::Short, libc::SYS_mq_unlink, [name.as_ptr() as u64, 0, 0, 0, 0, 0]) }
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
pub fn attributes(queue: BorrowedFd<'_>, new: Option<&Attributes>) -> Result<Attributes, Errno> {
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

//! A tmpfs of the run's own, mounted nowhere.
//!
//! fsmount(2) gives a mount that is in no namespace: only who has its descriptor reaches it, no name leads to
//! it or out of it, and the kernel drops it with all that is in it once the last descriptor below it is
//! closed, whatever ends the processes that have them.

use super::maker::same_user;
use super::parcel::{received, send};
use super::spawn;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, socketpair};
use nix::unistd::{getegid, geteuid};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Commands of fsconfig(2).
pub(super) const SET_FLAG: u32 = 0;
pub(super) const SET_STRING: u32 = 1;
pub(super) const CREATE: u32 = 6;
/// Attributes of fsmount(2): set-user-id bits and devices mean nothing.
const NOSUID: u64 = 2;
const NODEV: u64 = 4;
const CLOEXEC: u64 = 1;

/// Bytes of files for each file that there can be.
const BYTES_OF_FILE: u64 = 4096;

/// Mounts one that holds this many bytes, else as many as the kernel gives without being asked: half of the
/// memory. Where this process may not mount, a child does it in namespaces of its own, if `namespaces`: then
/// files in it belong to this process's user and group alone. This process must have one thread.
///
/// # Errors
/// As fsopen(2); EPERM or EACCES if the host does not let this user mount.
pub fn detached(size: Option<u64>, namespaces: bool) -> Result<OwnedFd, Errno> {
    match mount(size) {
        Err(Errno::EPERM | Errno::EACCES) if namespaces => mount_inside(size),
        done => done,
    }
}

/// A file system that is being configured (fsopen(2)).
pub(super) struct Mounting(OwnedFd);

impl Mounting {
    /// Of a kind.
    pub(super) fn of(kind: &CStr) -> Result<Mounting, Errno> {
        new(libc::SYS_fsopen, [kind.as_ptr() as u64, CLOEXEC, 0, 0]).map(Mounting)
    }
}

impl AsFd for Mounting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Mounts a tmpfs for so many bytes, nowhere.
pub(super) fn mount(size: Option<u64>) -> Result<OwnedFd, Errno> {
    let context = Mounting::of(c"tmpfs")?;
    let mut options = vec![(c"mode", c"0700".to_owned())];
    if let Some(size) = size {
        let text = |number: u64| CString::new(number.max(1).to_string()).map_err(|_| Errno::EINVAL);
        options.extend([(c"size", text(size)?), (c"nr_inodes", text((size / BYTES_OF_FILE).max(1024))?)]);
    }
    for (key, value) in &options {
        configure(context.as_fd(), SET_STRING, Some((key, Some(value))))?;
    }
    configure(context.as_fd(), CREATE, None)?;
    mounted(context.as_fd())
}

/// Mounts what is configured, nowhere.
pub(super) fn mounted(context: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    new(libc::SYS_fsmount, [context.as_raw_fd() as u64, CLOEXEC, NOSUID | NODEV, 0])
}

/// move_mount(2) of a mount that is held.
pub(super) fn move_mount(
    from: BorrowedFd<'_>,
    directory: BorrowedFd<'_>,
    name: &CStr,
    flags: u64,
) -> Result<(), Errno> {
    let (from, to) = (from.as_raw_fd(), directory.as_raw_fd());
    // SAFETY: both names are NUL-terminated strings that outlive the call.
    let done = unsafe { libc::syscall(libc::SYS_move_mount, from, c"".as_ptr(), to, name.as_ptr(), flags) };
    Errno::result(done).map(drop)
}

/// The mount of a child in a user namespace that it makes. That is taken away at the end of the run
/// ([`super::descendants::end_all_below`]): to wait until the kernel has taken its namespaces down could take
/// longer than all the rest of a start.
fn mount_inside(size: Option<u64>) -> Result<OwnedFd, Errno> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    let number = ours.as_raw_fd();
    let work = || {
        nix::unistd::close(number)?;
        let (user, group) = (geteuid(), getegid());
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
        same_user(user, group)?;
        send(theirs.as_fd(), &[0], Some(mount(size)?.as_fd()))
    };
    spawn::fork(|| i32::from(work().is_err()))?;
    drop(theirs);
    match received::<1>(ours.as_fd(), MsgFlags::empty())? {
        Some((_, Some(mount))) => Ok(mount),
        _ => Err(Errno::EPERM),
    }
}

/// A call that gives a new descriptor.
pub(super) fn new(call: i64, args: [u64; 4]) -> Result<OwnedFd, Errno> {
    // SAFETY: the one pointer that a caller gives is to a NUL-terminated string that outlives the call; none
    // of the calls writes to memory.
    let made = unsafe { libc::syscall(call, args[0], args[1], args[2], args[3]) };
    // SAFETY: all of these calls give a new descriptor, which nobody else knows.
    Errno::result(made).map(|fd| unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// fsconfig(2): a key, and a value if it has one.
pub(super) fn configure(
    context: BorrowedFd<'_>,
    command: u32,
    pair: Option<(&CStr, Option<&CStr>)>,
) -> Result<(), Errno> {
    let key = pair.map_or(std::ptr::null(), |(key, _)| key.as_ptr());
    let value = pair.and_then(|(_, value)| value).map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: both are null, as the command wants, or NUL-terminated strings that outlive the call.
    let done = unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key, value, 0) };
    Errno::result(done).map(drop)
}

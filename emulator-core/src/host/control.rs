//! The control socket: descriptors from the supervisor.
//!
//! A message is a descriptor (SCM_RIGHTS) with [`rxbox_wire::control::About`] in its bytes. Messages come in
//! the order in which the supervisor answered; a thread that asks for one holds
//! [`crate::process::Process::control`] from the request on.

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use rxbox_wire::boot::CONTROL_FD;
use rxbox_wire::control::About;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Receives one descriptor.
///
/// # Errors
/// As recvmsg(2); EPROTO if the message is not what the supervisor sends.
pub fn receive() -> Result<(OwnedFd, About), Errno> {
    let (mut fds, about) = receive_all()?;
    let fd = fds.pop().ok_or(Errno::EPROTO)?;
    Ok((fd, about))
}

/// Receives the descriptors of one message, in their order.
///
/// # Errors
/// As [`receive`].
pub fn receive_all() -> Result<(Vec<OwnedFd>, About), Errno> {
    let mut bytes = [0; About::MAX];
    let mut space = nix::cmsg_space!([RawFd; 4]);
    let mut io = [IoSliceMut::new(&mut bytes)];
    let message = loop {
        match recvmsg::<()>(CONTROL_FD, &mut io, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC) {
            Err(Errno::EINTR) => {}
            other => break other?,
        }
    };
    let mut fds = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(received) = control {
            // SAFETY: the kernel has just made these descriptors for this process.
            fds.extend(received.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    let n = message.bytes;
    let about = bytes.get(..n).and_then(About::decode).ok_or(Errno::EPROTO)?;
    Ok((fds, about))
}

/// Receives the boot block: its total length, then its pieces.
///
/// # Errors
/// As recvmsg(2); EPROTO if the pieces do not add up.
pub fn receive_boot() -> Result<Vec<u8>, Errno> {
    /// Far beyond what execve(2) takes of arguments and environment.
    const MOST: u64 = 16 << 20;
    let mut total = [0; 8];
    if read(&mut total)? != total.len() {
        return Err(Errno::EPROTO);
    }
    let total = u64::from_le_bytes(total);
    let mut bytes = vec![0; usize::try_from(total.min(MOST)).unwrap_or(0)];
    let mut done = 0;
    while done < bytes.len() {
        match read(&mut bytes[done..])? {
            0 => return Err(Errno::EPROTO),
            n => done += n,
        }
    }
    Ok(bytes)
}

fn read(into: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match nix::sys::socket::recv(CONTROL_FD, into, MsgFlags::empty()) {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// Size of an open file in bytes.
///
/// # Errors
/// As fstat(2).
pub fn size(fd: &OwnedFd) -> Result<u64, Errno> {
    // The raw call: the C library's own goes by a path, which the filter does not let through.
    let mut stat = std::mem::MaybeUninit::<libc::stat>::zeroed();
    let args = [fd.as_raw_fd() as u64, stat.as_mut_ptr() as u64, 0, 0, 0, 0];
    // SAFETY: the buffer is a `struct stat`, which the kernel fills, and for which zero is a value.
    let (result, stat) = unsafe { (super::call::raw(libc::SYS_fstat, args), stat.assume_init()) };
    if result < 0 { Err(Errno::from_raw(-result as i32)) } else { Ok(stat.st_size.max(0) as u64) }
}

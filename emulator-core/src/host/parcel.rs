//! Descriptors that come with a message, or by their numbers.

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Most descriptors of one message (`SCM_MAX_FD` of the kernel).
pub const MOST: usize = 253;

/// Takes over the descriptor with this number, with which the process was started, and which nobody else
/// uses.
pub fn inherited(number: RawFd) -> OwnedFd {
    // SAFETY: it is asked for once, before anything else is opened.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// The descriptors of the message that waits at a socket; none if there is no message.
///
/// # Errors
/// As recvmsg(2).
pub fn received(socket: BorrowedFd<'_>) -> Result<Vec<OwnedFd>, Errno> {
    let mut byte = [0];
    let mut space = nix::cmsg_space!([RawFd; MOST]);
    let mut io = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let message = match recvmsg::<()>(socket.as_raw_fd(), &mut io, Some(&mut space), flags) {
        Err(Errno::EAGAIN) => return Ok(Vec::new()),
        message => message?,
    };
    let mut fds = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(received) = control {
            // SAFETY: the kernel has just made these descriptors for this process.
            fds.extend(received.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok(fds)
}

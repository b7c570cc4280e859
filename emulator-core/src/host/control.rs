//! The control socket: descriptors from the supervisor.
//!
//! A message is a descriptor (SCM_RIGHTS) with [`rxbox_wire::control::About`] in its bytes. Messages come in the order in which
//! the supervisor answered; whoever asks for one holds [`crate::process::Process::control`] from the request on.

use crate::channel::CONTROL_FD;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use rxbox_wire::control::About;
use std::io::IoSliceMut;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

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

//! Messages of a fixed size between processes of rxbox, with at most one descriptor.

use super::net::{self, Received};
use super::number::Wait;
use super::transfer::Buffer;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// The bytes of a message and the descriptor that came along.
pub type Parcel<const N: usize> = ([u8; N], Option<OwnedFd>);

/// Sends a message.
///
/// # Errors
/// As sendmsg(2).
pub fn send(line: BorrowedFd<'_>, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    send_all(line, bytes, descriptor.as_slice())
}

/// Sends a message with any number of descriptors.
///
/// # Errors
/// As sendmsg(2).
pub fn send_all(line: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let numbers: Vec<i32> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let rights = if numbers.is_empty() { &rights[..0] } else { &rights[..] };
    sendmsg::<()>(line.as_raw_fd(), &[IoSlice::new(bytes)], rights, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

/// A message of `N` bytes with the descriptor that came along; nothing once the other end is closed.
///
/// # Errors
/// As recvmsg(2), with these flags, but for EINTR; EBADMSG if it is of another size.
pub fn received<const N: usize>(line: BorrowedFd<'_>, flags: MsgFlags) -> Result<Option<Parcel<N>>, Errno> {
    let (mut bytes, mut control) = ([0; N], [0; 32]);
    let flags = (flags | MsgFlags::MSG_CMSG_CLOEXEC).bits() as u32;
    loop {
        let buffer = Buffer::from_slice(&mut bytes);
        return match net::receive(Wait::Short, line, &mut [], &mut control, buffer, flags) {
            Err(Errno::EINTR) => continue,
            Ok(Received { count: 0, .. }) => Ok(None),
            Ok(Received { count, mut rights, .. }) if count as usize == N => Ok(Some((bytes, rights.pop()))),
            Ok(_) => Err(Errno::EBADMSG),
            Err(e) => Err(e),
        };
    }
}

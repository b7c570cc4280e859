//! How a guest process and the supervisor talk: the channel for calls, and a control socket for what memory
//! cannot carry, descriptors to the child and requests to interrupt a call from it.

use crate::host::futex::HostFutex;
use crate::host::shm::Channel;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, send, sendmsg, socketpair,
};
use rxbox_wire::boot::PIECE;
use rxbox_wire::control::About;
use rxbox_wire::frame::Reply;
use rxbox_wire::handoff::{CLOSED, Futex, REPLY, REQUEST};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

/// The line to a guest process.
#[derive(Debug)]
pub struct Line {
    /// The shared memory.
    pub channel: Channel,
    /// The supervisor's end of the control socket, which never blocks.
    pub control: OwnedFd,
}

impl Line {
    /// A line over this channel and the child's end of its control socket.
    pub fn new(channel: Channel) -> Result<(Line, OwnedFd), Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (control, child) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        fcntl(&child, FcntlArg::F_SETFL(OFlag::empty()))?;
        Ok((Line { channel, control }, child))
    }

    /// Sends descriptors with what the child is told about them. The child asks for one at a time, so it
    /// knows for which request they are. Never waits: ENOBUFS if the child does not take what it was sent
    /// before.
    pub fn send(&self, about: &About, fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let data = about.encode();
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let rights = [ControlMessage::ScmRights(&raw)];
        match sendmsg::<()>(self.control.as_raw_fd(), &[IoSlice::new(&data)], &rights, flags, None) {
            Ok(_) => Ok(()),
            Err(Errno::EAGAIN | Errno::ETOOMANYREFS) => Err(Errno::ENOBUFS),
            Err(e) => Err(e),
        }
    }

    /// Sends the boot block, waiting for the child to take it piece by piece. EPIPE if the child has ended.
    pub fn send_boot(&self, block: &[u8]) -> Result<(), Errno> {
        let length = (block.len() as u64).to_le_bytes();
        for piece in std::iter::once(&length[..]).chain(block.chunks(PIECE)) {
            while let Err(e) =
                send(self.control.as_raw_fd(), piece, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL)
            {
                match e {
                    Errno::EINTR => {}
                    Errno::EAGAIN => {
                        let mut ready = [PollFd::new(self.control.as_fd(), PollFlags::POLLOUT)];
                        poll(&mut ready, PollTimeout::NONE)?;
                    }
                    e => return Err(e),
                }
            }
        }
        Ok(())
    }

    /// A line to a process that is to be forked. Its first thread finds the slot as if it had made a request:
    /// so it waits until it is answered by [`Line::start`] or [`Line::close`], and cannot miss either.
    pub fn for_fork(channel: Channel) -> Result<(Line, OwnedFd), Errno> {
        let (line, end) = Line::new(channel)?;
        if let Some(slot) = line.channel.slot(0) {
            slot.handoff().turn.store(REQUEST, Ordering::Release);
        }
        Ok((line, end))
    }

    /// Lets the forked process start: it is known.
    pub fn start(&self, flags: u32) {
        if let Some(slot) = self.channel.slot(0) {
            slot.reply(&Reply { ret: 0, flags, out: [0; 6] }.encode());
            slot.handoff().pass(REPLY, &HostFutex);
        }
    }

    /// The process for which the line was made will never be served: should it be there, it ends
    /// ([`CLOSED`]).
    pub fn close(&self) {
        if let Some(slot) = self.channel.slot(0) {
            slot.handoff().turn.store(CLOSED, Ordering::SeqCst);
            HostFutex.wake(slot.handoff().turn);
        }
    }

    /// Takes all messages that the child has sent, at most `most`; whether there were any, and whether the
    /// child's end is still open. Descriptors that come along are never taken in: without room for control
    /// data the kernel drops them.
    pub fn drain(&self, most: usize) -> (bool, bool) {
        let mut buffer = [0; 16];
        for n in 0..most {
            match recv(self.control.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return (n > 0, false),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return (n > 0, true),
                Err(_) => return (n > 0, false),
            }
        }
        (true, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_boot_block_comes_through_in_pieces() {
        let (line, child) = Line::new(Channel::new().unwrap()).unwrap();
        let block: Vec<u8> = (0..1_000_000).map(|i| (i % 251) as u8).collect();
        std::thread::scope(|s| {
            s.spawn(|| line.send_boot(&block).unwrap());
            let mut buffer = vec![0; PIECE];
            assert_eq!(recv(child.as_raw_fd(), &mut buffer, MsgFlags::empty()), Ok(8));
            let mut got = Vec::new();
            while got.len() < block.len() {
                let n = recv(child.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap();
                got.extend_from_slice(&buffer[..n]);
            }
            assert!(got == block);
        });
        drop(child);
        assert_eq!(line.send_boot(b"x"), Err(Errno::EPIPE));
    }

    #[test]
    fn a_child_that_takes_nothing_cannot_make_the_supervisor_wait() {
        let (line, _child) = Line::new(Channel::new().unwrap()).unwrap();
        let refused =
            (0..100_000).map(|_| line.send(&About::default(), &[line.control.as_fd()])).find(Result::is_err);
        assert_eq!(refused, Some(Err(Errno::ENOBUFS)));
    }

    #[test]
    fn messages_are_taken_up_to_the_bound_and_the_end_is_seen() {
        let (line, child) = Line::new(Channel::new().unwrap()).unwrap();
        assert_eq!(line.drain(4), (false, true));
        for _ in 0..6 {
            send(child.as_raw_fd(), b"1234", MsgFlags::empty()).unwrap();
        }
        assert_eq!(line.drain(4), (true, true));
        assert_eq!(line.drain(4), (true, true));
        assert_eq!(line.drain(4), (false, true));
        drop(child);
        assert_eq!(line.drain(4), (false, false));
    }
}

//! The way from the job process to the service manager ([`crate::state::notices`]).
//!
//! systemd takes notices from the process that it has started: that is the job process. It sends what the
//! supervisor has judged, one notice at a time, and never waits in a call: a notice that finds no room is
//! kept, and no other is taken until it is sent.

use crate::state::notices::{Told, received, send};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// The job process's end.
#[derive(Debug)]
pub struct Courier {
    /// From the supervisor.
    from: OwnedFd,
    address: UnixAddr,
    /// To the manager.
    manager: OwnedFd,
    waiting: Option<Told>,
    /// Whether nothing more comes.
    over: bool,
}

impl Courier {
    /// One that takes what comes on `from` to the socket of this name: a path, or an abstract name behind an
    /// `@`.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn new(name: &OsStr, from: OwnedFd) -> Result<Courier, Errno> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => UnixAddr::new_abstract(name),
            name => UnixAddr::new(name),
        }?;
        Ok(Courier { from, address, manager: connected(&address)?, waiting: None, over: false })
    }

    /// Its descriptors.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.from.as_fd(), self.manager.as_fd()]
    }

    /// What to wait for, if there is anything to come.
    pub fn event(&self) -> Option<PollFd<'_>> {
        match self.waiting {
            Some(_) => Some(PollFd::new(self.manager.as_fd(), PollFlags::POLLOUT)),
            None => (!self.over).then(|| PollFd::new(self.from.as_fd(), PollFlags::POLLIN)),
        }
    }

    /// Sends what can be sent now.
    pub fn go(&mut self) {
        while self.waiting.is_some() || self.fetch() {
            let Some((text, descriptors)) = &self.waiting else { return };
            match self.sent(text, descriptors) {
                Err(Errno::EAGAIN | Errno::EINTR) => return,
                // A manager that is gone, or does not take it, is not told.
                _ => self.waiting = None,
            }
        }
    }

    fn fetch(&mut self) -> bool {
        match received(self.from.as_fd()) {
            Ok(Some(told)) => self.waiting = Some(told),
            Ok(None) => self.over = true,
            Err(_) => {}
        }
        self.waiting.is_some()
    }

    /// A manager that has been started anew has another socket of the name.
    fn sent(&self, text: &[u8], descriptors: &[OwnedFd]) -> Result<(), Errno> {
        match send(self.manager.as_fd(), text, descriptors) {
            Err(Errno::ECONNREFUSED | Errno::ECONNRESET | Errno::ENOTCONN) => {
                send(connected(&self.address)?.as_fd(), text, descriptors)
            }
            done => done,
        }
    }
}

fn connected(address: &UnixAddr) -> Result<OwnedFd, Errno> {
    let manager = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    connect(manager.as_raw_fd(), address).map(|()| manager)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{bind, socketpair};

    fn listener(name: &UnixAddr) -> OwnedFd {
        let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(socket.as_raw_fd(), name).unwrap();
        socket
    }

    #[test]
    fn what_finds_no_room_waits_and_a_manager_that_starts_anew_is_told_again() {
        let name = format!("rxbox-courier-{}", std::process::id());
        let address = UnixAddr::new_abstract(name.as_bytes()).unwrap();
        let manager = listener(&address);
        let (from, to) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let mut courier = Courier::new(format!("@{name}").as_ref(), from).unwrap();
        let tell = |text: &str| send(to.as_fd(), text.as_bytes(), &[]).unwrap();
        let heard = |manager: &OwnedFd| {
            std::iter::from_fn(|| received(manager.as_fd()).ok().flatten())
                .map(|(text, _)| String::from_utf8(text).unwrap())
                .collect::<Vec<_>>()
        };
        let all: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        all.iter().for_each(|text| tell(text));
        let mut told = Vec::new();
        while told.len() < all.len() {
            courier.go();
            let some = heard(&manager);
            assert!(!some.is_empty());
            told.extend(some);
        }
        assert_eq!(told, all);
        drop(manager);
        let manager = listener(&address);
        tell("again");
        courier.go();
        assert_eq!(heard(&manager), ["again"]);
        drop(to);
        courier.go();
        assert!(courier.event().is_none());
    }
}

//! What the event loop waits for: descriptors, each with what it is about.
//!
//! Any thread adds and removes the descriptors of processes as these come and go; only the event loop waits.

use nix::errno::Errno;
use nix::poll::PollTimeout;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use std::os::fd::BorrowedFd;

/// What a descriptor is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An end has been declared ([`crate::report::ending`]).
    Ending,
    /// The job process has something to say.
    Job,
    /// The init process has something to say.
    Init,
    /// The control socket of the process with this id.
    Control(i32),
    /// The end of the process with this id.
    Process(i32),
    /// Somebody of the host's connects to the run, which has a name.
    Monitor,
    /// The one with this number who has connected has something to say.
    Client(i32),
}

impl Source {
    /// As the number that the kernel keeps with a descriptor: a kind above the process id.
    fn encode(self) -> u64 {
        let (kind, pid) = match self {
            Source::Ending => (0, 0),
            Source::Job => (1, 0),
            Source::Init => (2, 0),
            Source::Control(pid) => (3, pid),
            Source::Process(pid) => (4, pid),
            Source::Monitor => (5, 0),
            Source::Client(number) => (6, number),
        };
        kind << 32 | u64::from(pid.cast_unsigned())
    }

    fn decode(number: u64) -> Option<Source> {
        let pid = number as u32 as i32;
        Some(match number >> 32 {
            0 => Source::Ending,
            1 => Source::Job,
            2 => Source::Init,
            3 => Source::Control(pid),
            4 => Source::Process(pid),
            5 => Source::Monitor,
            6 => Source::Client(pid),
            _ => return None,
        })
    }
}

/// Events taken at once.
const EVENTS: usize = 64;

/// A set of descriptors that are waited for together.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
}

impl Poller {
    /// A set that is empty.
    ///
    /// # Errors
    /// As epoll_create1(2).
    pub fn new() -> Result<Poller, Errno> {
        Ok(Poller { epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)? })
    }

    /// Adds a descriptor, for when it can be read.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn add(&self, fd: BorrowedFd<'_>, source: Source) -> Result<(), Errno> {
        self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, source.encode()))
    }

    /// Removes a descriptor, if it is there.
    pub fn remove(&self, fd: BorrowedFd<'_>) {
        let _ = self.epoll.delete(fd);
    }

    /// Waits for descriptors that can be read: what they are about, nothing after the time or a signal.
    ///
    /// # Errors
    /// As epoll_wait(2), but for EINTR.
    pub fn wait(&self, timeout: PollTimeout) -> Result<impl Iterator<Item = Source> + use<>, Errno> {
        let mut events = [EpollEvent::empty(); EVENTS];
        let n = match self.epoll.wait(&mut events, timeout) {
            Err(Errno::EINTR) => 0,
            n => n?,
        };
        Ok(events.into_iter().take(n).filter_map(|event| Source::decode(event.data())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn what_a_descriptor_is_about_comes_back_with_its_event() {
        let (poller, (read, write)) = (Poller::new().unwrap(), nix::unistd::pipe().unwrap());
        let ready = || poller.wait(PollTimeout::ZERO).unwrap().collect::<Vec<_>>();
        nix::unistd::write(&write, b"x").unwrap();
        for source in [
            Source::Ending,
            Source::Job,
            Source::Init,
            Source::Control(1),
            Source::Process(i32::MAX),
            Source::Monitor,
            Source::Client(7),
        ] {
            poller.add(read.as_fd(), source).unwrap();
            assert_eq!(ready(), [source]);
            poller.remove(read.as_fd());
            assert!(ready().is_empty());
        }
        poller.remove(read.as_fd());
    }
}

//! Who is at the other end of a unix socket.
//!
//! To the kernel all guests are one process, the supervisor, and so it answers with that one's id where a
//! program asks who its peer is (SO_PEERCRED) or who sent a message (SCM_CREDENTIALS). User and group are
//! right as they are. For the process this module keeps book: which process listened under a name, connected
//! a socket, made a pair, or sent last on a socket. What one end is to the other the kernel tells
//! (sock_diag(7)); where it does not, the answer is 0, as for a process that the reader cannot see.

use crate::host::net::{self, Whose};
use crate::state::fd::File;
use nix::errno::Errno;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, getsockopt, recv, sendto, socket,
};
use nix::unistd::getpid;
use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Sockets that are remembered. Beyond, all is forgotten, rather than that a guest fills the supervisor's
/// memory.
const MOST: usize = 1 << 16;
/// Listeners of which connections are remembered, and how many of each.
const MOST_NAMES: usize = 1 << 12;
const MOST_WAITING: usize = 128;
/// The id of a process that cannot be seen.
const UNSEEN: i32 = 0;

/// What is known of one socket, by its inode number.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The process that connected it, or made it as one of a pair.
    maker: Option<i32>,
    /// The process at its other end.
    peer: Option<i32>,
    /// The process that sent on it last.
    sender: Option<i32>,
    /// Its connection was accepted.
    accepted: bool,
}

#[derive(Debug, Default)]
struct Book {
    sockets: HashMap<u64, Known>,
    /// Processes that listen, by the address of the host.
    listeners: HashMap<Vec<u8>, i32>,
    /// Connections that were made and not accepted when somebody last looked, by the address of the host: the
    /// inode numbers of the sockets and the processes that connected them, in this order.
    waiting: HashMap<Vec<u8>, VecDeque<(u64, i32)>>,
}

/// The sockets of a sandbox.
#[derive(Debug, Default)]
pub struct Peers {
    book: Mutex<Book>,
    /// Whether anybody wants to know of senders.
    asked: AtomicBool,
}

fn inode(socket: &File) -> Option<u64> {
    nix::sys::stat::fstat(&socket.host).ok().map(|status| status.st_ino)
}

impl Peers {
    fn note(&self, socket: &File, what: impl FnOnce(&mut Known)) {
        let Some(inode) = inode(socket) else { return };
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        if book.sockets.len() >= MOST {
            book.sockets.clear();
        }
        what(book.sockets.entry(inode).or_default());
    }

    fn known(&self, inode: u64) -> Known {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.sockets.get(&inode).copied().unwrap_or_default()
    }

    /// A process has made a pair.
    pub fn paired(&self, pair: [&File; 2], pid: i32) {
        for socket in pair {
            self.note(socket, |known| (known.maker, known.peer) = (Some(pid), Some(pid)));
        }
    }

    /// A process is going to listen. To itself a listener is its own peer (unix(7)).
    pub fn listens(&self, socket: &File, pid: i32) {
        self.note(socket, |known| known.peer = Some(pid));
        if let Ok(name) = net::address_of(Whose::Own, socket.host.as_fd()) {
            let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
            if book.listeners.len() >= MOST {
                book.listeners.clear();
            }
            book.listeners.insert(name.bytes().to_vec(), pid);
        }
    }

    /// A process is going to connect a socket: the other end may ask before the call has come back.
    pub fn connects(&self, socket: &File, pid: i32) {
        self.note(socket, |known| known.maker = Some(pid));
    }

    /// A socket is connected: at its other end is whoever listens there.
    pub fn connected(&self, socket: &File) {
        let name = net::address_of(Whose::Peer, socket.host.as_fd()).ok();
        let Some((name, inode)) = name.zip(inode(socket)) else { return };
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let listener = book.listeners.get(name.bytes()).copied();
        let known = book.sockets.entry(inode).or_default();
        known.peer = listener;
        let waits = known.maker.filter(|_| !known.accepted);
        if let Some(maker) = waits {
            if book.waiting.len() >= MOST_NAMES {
                book.waiting.clear();
            }
            let waiting = book.waiting.entry(name.bytes().to_vec()).or_default();
            waiting.push_back((inode, maker));
            // More than a listener keeps waiting are not there.
            if waiting.len() > MOST_WAITING {
                waiting.pop_front();
            }
        }
    }

    /// A connection has been accepted: who made it is asked for now, since the other end may be closed when
    /// the guest asks.
    ///
    /// The kernel tells the other end while that is open. Once it is closed, the connection is the oldest of
    /// those that wait, since they are accepted in the order in which they were made.
    pub fn accepted(&self, socket: &File) {
        let ours = getsockopt(&socket.host, PeerCredentials).is_ok_and(|c| c.pid() == getpid().as_raw());
        let Some((own, name)) =
            inode(socket).zip(net::address_of(Whose::Own, socket.host.as_fd()).ok()).filter(|_| ours)
        else {
            return;
        };
        let other = other_end(own).ok();
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = book.waiting.get_mut(name.bytes());
        let maker = match other {
            None => waiting.and_then(|waiting| waiting.pop_front()).map(|(_, maker)| maker),
            Some(other) => {
                if let Some(waiting) = waiting {
                    waiting.retain(|(inode, _)| *inode != other);
                }
                let known = book.sockets.entry(other).or_default();
                known.accepted = true;
                known.maker
            }
        };
        if maker.is_some() {
            book.sockets.entry(own).or_default().peer = maker;
        }
    }

    /// Somebody wants to be told who sends.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Release);
    }

    /// A process sends.
    pub fn sends(&self, socket: &File, pid: i32) {
        if self.asked.load(Ordering::Acquire) {
            self.note(socket, |known| known.sender = Some(pid));
        }
    }

    /// What the kernel told of a peer's process, as the guest is to see it.
    pub fn shown_peer(&self, socket: &File, pid: i32) -> i32 {
        shown(pid, || self.peer(socket))
    }

    /// What the kernel told of a sender's process, as the guest is to see it.
    pub fn shown_sender(&self, socket: &File, pid: i32) -> i32 {
        shown(pid, || self.sender(socket))
    }

    /// The process at the other end of a socket, if that is a guest.
    pub fn peer(&self, socket: &File) -> Option<i32> {
        let own = inode(socket)?;
        self.known(own).peer.or_else(|| self.known(other_end(own).ok()?).maker)
    }

    /// The process that has sent what is received on a socket.
    fn sender(&self, socket: &File) -> Option<i32> {
        let other = self.known(other_end(inode(socket)?).ok()?);
        other.sender.or(other.maker).or_else(|| self.peer(socket))
    }
}

fn shown(pid: i32, guest: impl FnOnce() -> Option<i32>) -> i32 {
    if pid == std::process::id() as i32 { guest().unwrap_or(UNSEEN) } else { pid }
}

/// The inode number of the socket that the unix socket `inode` is connected to (unix_diag in sock_diag(7)).
fn other_end(inode: u64) -> Result<u64, Errno> {
    const BY_FAMILY: u16 = 20;
    const REQUEST: u16 = 1;
    const SHOW_PEER: u32 = 4;
    const PEER: u16 = 2;
    const ANY: u32 = u32::MAX;
    /// Bytes of the headers: of the message, of a question, of an answer, of an attribute.
    const HEAD: usize = 16;
    const QUESTION: usize = 24;
    const ANSWER: usize = 16;
    const ATTRIBUTE: usize = 4;
    let number = u32::try_from(inode).map_err(|_| Errno::ENOENT)?;
    let mut ask = Vec::with_capacity(HEAD + QUESTION);
    ask.extend(((HEAD + QUESTION) as u32).to_le_bytes());
    ask.extend(BY_FAMILY.to_le_bytes());
    ask.extend(REQUEST.to_le_bytes());
    ask.extend([0; 8]);
    ask.extend([libc::AF_UNIX as u8, 0, 0, 0]);
    for word in [ANY, number, SHOW_PEER, ANY, ANY] {
        ask.extend(word.to_le_bytes());
    }
    let flags = SockFlag::SOCK_CLOEXEC;
    let diag = socket(AddressFamily::Netlink, SockType::Datagram, flags, SockProtocol::NetlinkSockDiag)?;
    sendto(diag.as_raw_fd(), &ask, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut told = [0; 4096];
    let n = recv(diag.as_raw_fd(), &mut told, MsgFlags::MSG_DONTWAIT)?;
    let told = &told[..n];
    let half = |at: usize| Some(u16::from_le_bytes([*told.get(at)?, *told.get(at + 1)?]));
    if half(4) != Some(BY_FAMILY) {
        return Err(Errno::ENOENT);
    }
    let mut at = HEAD + ANSWER;
    while let (Some(length), Some(kind)) = (half(at), half(at + 2)) {
        if kind == PEER {
            let word = told.get(at + ATTRIBUTE..at + ATTRIBUTE + 4).ok_or(Errno::ENOENT)?;
            return match word.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)) {
                // It is closed.
                0 => Err(Errno::ENOENT),
                inode => Ok(inode),
            };
        }
        at += usize::from(length).max(ATTRIBUTE).next_multiple_of(4);
    }
    Err(Errno::ENOENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fd::Kind;
    use nix::sys::socket::socketpair;

    #[test]
    fn the_kernel_tells_the_other_end() {
        let (a, b) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let [a, b] = [a, b].map(|host| File::new(host, Kind::Socket));
        assert_eq!(other_end(inode(&a).unwrap()), Ok(inode(&b).unwrap()));
        let lone = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        assert!(other_end(inode(&File::new(lone, Kind::Socket)).unwrap()).is_err());
        let peers = Peers::default();
        peers.paired([&a, &b], 7);
        assert_eq!((peers.peer(&a), peers.sender(&a)), (Some(7), Some(7)));
        peers.sends(&b, 8);
        assert_eq!(peers.sender(&a), Some(7), "nobody has asked");
        peers.ask();
        peers.sends(&b, 8);
        assert_eq!((peers.peer(&a), peers.sender(&a)), (Some(7), Some(8)));
    }
}

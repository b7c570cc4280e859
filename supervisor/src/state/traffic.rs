//! Bytes that TCP connections have carried, by where they were made to: for the audit.
//!
//! The kernel counts them (`TCP_INFO`, tcp(7)), so nothing is done for a transfer: each descriptor of a
//! connection looks once more before it is closed, and all that are open at the end do. A destination is what
//! was judged: a name, or an address. Datagrams are not counted, nor what a peer outside has connected.

use crate::host::net::carried;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Destinations that are told apart: a program can make up any number. The others are one.
const MOST: usize = 1024;
const OTHERS: &str = "others";

/// What was carried to and from one destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Connections.
    pub connections: u64,
    /// Bytes that were sent, each once.
    pub sent: u64,
    /// Bytes that came.
    pub received: u64,
}

/// All of a run.
#[derive(Debug, Default)]
pub struct Traffic(Mutex<BTreeMap<String, Carried>>);

impl Traffic {
    /// What was carried, by destination.
    pub fn all(&self) -> Vec<(String, Carried)> {
        lock(&self.0).iter().map(|(to, carried)| (to.clone(), *carried)).collect()
    }

    fn add(&self, to: &str, more: Carried) {
        let mut all = lock(&self.0);
        let to = if all.len() < MOST || all.contains_key(to) { to } else { OTHERS };
        let carried = all.entry(to.to_owned()).or_default();
        carried.connections += more.connections;
        carried.sent += more.sent;
        carried.received += more.received;
    }
}

/// What is known of one socket: where it was connected to, and what was seen of it.
#[derive(Debug, Default)]
struct Seen {
    to: Option<String>,
    sent: u64,
    received: u64,
}

/// Counts a socket, by one descriptor.
#[derive(Debug)]
pub struct Count {
    traffic: Arc<Traffic>,
    seen: Arc<Mutex<Seen>>,
    /// The descriptor: it is open as long as this lives.
    number: RawFd,
}

impl Count {
    /// By a descriptor that is closed after this is dropped.
    pub fn new(traffic: Arc<Traffic>, fd: BorrowedFd<'_>) -> Count {
        Count { traffic, seen: Arc::default(), number: fd.as_raw_fd() }
    }

    /// The same socket by another descriptor.
    pub fn by(&self, fd: impl AsFd) -> Count {
        let number = fd.as_fd().as_raw_fd();
        Count { traffic: self.traffic.clone(), seen: self.seen.clone(), number }
    }

    /// The socket is connected to this destination from now on.
    pub fn begins(&self, to: &str) {
        *lock(&self.seen) = Seen { to: Some(to.to_owned()), ..Seen::default() };
        self.traffic.add(to, Carried { connections: 1, ..Carried::default() });
    }

    /// Looks what it has carried since it was last looked at.
    pub fn take(&self) {
        let mut seen = lock(&self.seen);
        let Some(to) = &seen.to else { return };
        let Some((sent, received)) = carried(self.number) else { return };
        let more = Carried {
            connections: 0,
            sent: sent.saturating_sub(seen.sent),
            received: received.saturating_sub(seen.received),
        };
        self.traffic.add(to, more);
        (seen.sent, seen.received) = (sent.max(seen.sent), received.max(seen.received));
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.take();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn what_a_connection_has_carried_counts_once_by_whatever_descriptor() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let traffic = Arc::new(Traffic::default());
        let count = Count::new(traffic.clone(), stream.as_fd());
        count.begins("tcp:a.example.org:80");
        stream.write_all(&[1; 1000]).unwrap();
        peer.write_all(&[2; 70_000]).unwrap();
        peer.read_exact(&mut [0; 1000]).unwrap();
        stream.read_exact(&mut [0; 70_000]).unwrap();
        let other = stream.try_clone().unwrap();
        drop(count.by(&other));
        let all = Carried { connections: 1, sent: 1000, received: 70_000 };
        assert_eq!(traffic.all(), [("tcp:a.example.org:80".to_owned(), all)]);
        drop(count);
        assert_eq!(traffic.all(), [("tcp:a.example.org:80".to_owned(), all)]);
        for n in 0..2 * MOST {
            traffic.add(&format!("{n}"), Carried { sent: 1, ..Carried::default() });
        }
        assert!(traffic.all().len() <= MOST + 1);
    }
}

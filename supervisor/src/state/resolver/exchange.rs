//! A question to the host's name servers, under way.
//!
//! Each try is a new socket with a port of the kernel's choice, connected, so that only that server is heard,
//! and a new id. A server that says nothing in time, or that it cannot say, makes room for the next. What is
//! no answer to the question is passed over. An answer that does not fit into a datagram is asked for again
//! on a connection.

use super::message::{self, Family, Reply};
use super::servers::{Servers, random_id};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, connect, socket};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a server is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often each server is asked.
const ROUNDS: usize = 2;
/// Messages taken from a socket before others are looked at.
const MESSAGES: usize = 16;
/// Most bytes of an answer.
const LONGEST: usize = 65_537;

/// A question, and where it is asked now.
#[derive(Debug)]
pub(super) struct Exchange {
    host: Arc<str>,
    family: Family,
    id: u16,
    /// Tries so far; the server is that of the last.
    tries: usize,
    line: Line,
    /// When the next try begins.
    until: Instant,
}

#[derive(Debug)]
enum Line {
    Datagrams(UdpSocket),
    Stream {
        stream: TcpStream,
        out: Vec<u8>,
        came: Vec<u8>,
    },
    /// No server can be asked.
    Nothing,
}

/// How it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It goes on.
    Waits,
    /// A server has said something.
    Said(message::Answer, Vec<String>),
    /// None has.
    Nothing,
}

impl Exchange {
    /// Asks the first server.
    pub(super) fn begin(host: Arc<str>, family: Family, servers: &Servers) -> Exchange {
        let (line, until) = (Line::Nothing, Instant::now());
        let mut exchange = Exchange { host, family, id: 0, tries: 0, line, until };
        exchange.next(servers);
        exchange
    }

    /// What to wait for, and whether for room to write.
    pub(super) fn waits_for(&self) -> Option<(BorrowedFd<'_>, bool)> {
        match &self.line {
            Line::Datagrams(socket) => Some((socket.as_fd(), false)),
            Line::Stream { stream, out, .. } => Some((stream.as_fd(), !out.is_empty())),
            Line::Nothing => None,
        }
    }

    /// When to look again at the latest.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Goes on, as far as that is possible at once.
    pub(super) fn go_on(&mut self, servers: &Servers) -> Progress {
        loop {
            let said = match &mut self.line {
                Line::Datagrams(socket) => datagram(socket, self.id, &self.host, self.family),
                Line::Stream { stream, out, came } => streamed(stream, out, came).map(|whole| {
                    let whole = whole?;
                    Some(message::reply(&whole, self.id, &self.host, self.family).unwrap_or(Reply::Unable))
                }),
                Line::Nothing => return Progress::Nothing,
            };
            match said {
                Ok(Some(Reply::Answer(answer, aliases))) => return Progress::Said(answer, aliases),
                Ok(Some(Reply::Cut)) => self.by_stream(servers),
                Ok(None) if Instant::now() < self.until => return Progress::Waits,
                Ok(Some(Reply::Unable) | None) | Err(_) => self.next(servers),
            }
        }
    }

    /// Asks the next server, if it has not been asked too often.
    fn next(&mut self, servers: &Servers) {
        self.line = Line::Nothing;
        while self.tries < ROUNDS * servers.count() {
            self.tries += 1;
            let Some(server) = servers.server(self.tries - 1) else { return };
            if let Ok(socket) = self.ask(server) {
                self.line = Line::Datagrams(socket);
                self.until = Instant::now() + PATIENCE;
                return;
            }
        }
    }

    fn question(&mut self) -> io::Result<Vec<u8>> {
        self.id = random_id()?;
        message::question(self.id, &self.host, self.family).ok_or(io::ErrorKind::InvalidInput.into())
    }

    fn ask(&mut self, server: SocketAddr) -> io::Result<UdpSocket> {
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        socket.connect(server)?;
        socket.send(&self.question()?)?;
        Ok(socket)
    }

    fn by_stream(&mut self, servers: &Servers) {
        let server = servers.server(self.tries - 1);
        match server.ok_or(io::ErrorKind::NotFound.into()).and_then(begin_stream) {
            Ok(stream) => match self.question() {
                Ok(question) => {
                    let out = message::framed(&question);
                    self.line = Line::Stream { stream, out, came: Vec::new() };
                    self.until = Instant::now() + PATIENCE;
                }
                Err(_) => self.next(servers),
            },
            Err(_) => self.next(servers),
        }
    }
}

/// A connection that is being made.
fn begin_stream(server: SocketAddr) -> io::Result<TcpStream> {
    let family = if server.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let made = socket(family, SockType::Stream, flags, SockProtocol::Tcp)?;
    match connect(made.as_raw_fd(), &SockaddrStorage::from(server)) {
        Ok(()) | Err(nix::errno::Errno::EINPROGRESS) => Ok(made.into()),
        Err(e) => Err(e.into()),
    }
}

/// The answer that has come, if it has.
fn datagram(socket: &UdpSocket, id: u16, host: &str, family: Family) -> io::Result<Option<Reply>> {
    let mut bytes = [0; 4096];
    for _ in 0..MESSAGES {
        match socket.recv(&mut bytes) {
            Ok(length) => {
                if let Some(reply) = message::reply(&bytes[..length], id, host, family) {
                    return Ok(Some(reply));
                }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

/// Writes what is to be written, and the message that has come, if it is whole.
fn streamed(stream: &mut TcpStream, out: &mut Vec<u8>, came: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    let waits = |e: &io::Error| matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected);
    if !out.is_empty() {
        match stream.write(out) {
            Ok(n) => _ = out.drain(..n),
            Err(e) if waits(&e) => return Ok(None),
            Err(e) => return Err(e),
        }
    }
    let mut bytes = [0; 4096];
    for _ in 0..MESSAGES {
        match stream.read(&mut bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) if came.len() + n <= LONGEST => came.extend_from_slice(&bytes[..n]),
            Ok(_) => return Err(io::ErrorKind::InvalidData.into()),
            Err(e) if waits(&e) => break,
            Err(e) => return Err(e),
        }
        if let Some(whole) = message::unframed(came) {
            return Ok(Some(whole));
        }
    }
    Ok(None)
}

//! Where a debugger connects: a TCP port, which only this host reaches unless the user says otherwise, or a
//! unix socket, which only the user does.

use super::inferior::Inferior;
use crate::cli::GdbAddress;
use gdbstub::conn::{Connection as GdbConnection, ConnectionExt};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};
use nix::sys::stat::{Mode, umask};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::{io, mem};

/// A connection with a debugger.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    input: VecDeque<u8>,
    output: Vec<u8>,
}

impl Connection {
    fn new(socket: impl Into<OwnedFd>) -> Connection {
        Connection { socket: socket.into(), input: VecDeque::new(), output: Vec::new() }
    }

    /// Whether the debugger has said something that is not read yet, which needs no waiting.
    pub(super) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Takes in what has arrived: EAGAIN if that is nothing and `flags` say not to wait.
    fn receive(&mut self, flags: MsgFlags) -> Result<(), Errno> {
        let mut bytes = [0; 4096];
        match recv(self.socket.as_raw_fd(), &mut bytes, flags)? {
            0 => Err(Errno::ECONNRESET),
            n => {
                self.input.extend(&bytes[..n]);
                Ok(())
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl GdbConnection for Connection {
    type Error = Errno;

    fn write(&mut self, byte: u8) -> Result<(), Errno> {
        self.output.push(byte);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Errno> {
        let output = mem::take(&mut self.output);
        let mut left = &output[..];
        while !left.is_empty() {
            match send(self.socket.as_raw_fd(), left, MsgFlags::MSG_NOSIGNAL) {
                Ok(n) => left = &left[n..],
                Err(Errno::EINTR) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

impl ConnectionExt for Connection {
    fn read(&mut self) -> Result<u8, Errno> {
        loop {
            if let Some(byte) = self.input.pop_front() {
                return Ok(byte);
            }
            match self.receive(MsgFlags::empty()) {
                Ok(()) | Err(Errno::EINTR) => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn peek(&mut self) -> Result<Option<u8>, Errno> {
        if self.input.is_empty() {
            match self.receive(MsgFlags::MSG_DONTWAIT) {
                Ok(()) | Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(self.input.front().copied())
    }
}

/// Where a debugger can connect.
#[derive(Debug)]
pub enum Listener {
    /// At a port.
    Tcp(TcpListener),
    /// At a file.
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Listens at an address. This process must have one thread.
    ///
    /// # Errors
    /// As bind(2) and listen(2).
    pub fn bind(address: &GdbAddress) -> io::Result<Listener> {
        match address {
            GdbAddress::Tcp(address) => TcpListener::bind(address.as_str()).map(Listener::Tcp),
            GdbAddress::Unix(path) => {
                let refuses =
                    || UnixStream::connect(path).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused);
                let bound = match bind_private(path) {
                    // A run that was killed has left it.
                    Err(e) if e.kind() == ErrorKind::AddrInUse && refuses() => {
                        std::fs::remove_file(path).and_then(|()| bind_private(path))
                    }
                    bound => bound,
                };
                bound.map(|listener| Listener::Unix(listener, path.clone()))
            }
        }
    }

    /// The file that is to be removed when nobody listens there any more.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Listener::Tcp(_) => None,
            Listener::Unix(_, path) => Some(path),
        }
    }

    /// Waits for a debugger; `None` if the program has ended before.
    pub(super) fn accept(&self, inferior: &Inferior) -> io::Result<Option<Connection>> {
        let fd = match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix(listener, _) => listener.as_fd(),
        };
        while !inferior.has_ended() {
            let mut ready = [PollFd::new(fd, PollFlags::POLLIN), inferior.bell()];
            poll(&mut ready, PollTimeout::NONE)?;
            inferior.look();
            if ready[0].any() == Some(true) {
                inferior.debugger_has_come();
                return Ok(Some(match self {
                    Listener::Tcp(listener) => {
                        let (stream, _) = listener.accept()?;
                        stream.set_nodelay(true)?;
                        Connection::new(stream)
                    }
                    Listener::Unix(listener, _) => Connection::new(listener.accept()?.0),
                }));
            }
        }
        Ok(None)
    }
}

/// Binds to a name to which nobody else may connect, from the first moment on.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let old = umask(Mode::from_bits_truncate(0o177));
    let bound = UnixListener::bind(path);
    umask(old);
    bound
}

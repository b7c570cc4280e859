//! What is said over the socket of a run: requests and replies, each one message of JSON.
//!
//! Both sides may be of different versions of rxbox: a key that one does not know it passes over, a request
//! that it does not know it refuses.

use crate::host::net::{self, Received};
use crate::host::number::Wait;
use crate::host::transfer::Buffer;
use crate::report::trace::Filter;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, recv, send, sendmsg};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Bytes of a message, at most.
const LARGEST: usize = 1 << 17;

/// What a run is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// How it is doing.
    Status,
    /// To pass a signal on, as one that is sent to the process that was started.
    Signal {
        /// Its number.
        number: i32,
    },
    /// To start what waits for that: a container.
    Start,
    /// To start a process beside those that there are, with the descriptors that come along as its standard
    /// streams, and a fourth that becomes its terminal: in a container. Signals are then for that, it ends
    /// with the connection, and its end is told.
    Exec {
        /// What.
        process: Box<Further>,
    },
    /// To send the calls of guests from now on ([`crate::report::trace::Told`]).
    Trace {
        /// Which.
        filter: Filter,
    },
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// How it is doing.
    Status(Status),
    /// It is done.
    Done,
    /// The process that was to be started has ended.
    Ended {
        /// Its exit status; nothing if a signal ended it.
        status: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
    },
    /// It is not.
    Refused {
        /// Why.
        why: String,
    },
}

/// A process that is to be started beside others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Further {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// Variables, `NAME=VALUE`.
    pub environment: Vec<String>,
    /// Working directory.
    pub cwd: String,
    /// File mode creation mask.
    pub umask: u32,
    /// User and group.
    pub user: [u32; 2],
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Capabilities, bit n for capability n: those it has, may inherit, may get, keeps over execve(2).
    pub capabilities: [u64; 4],
    /// Resource limits that are not the first process's: number, soft and hard limit.
    pub limits: Vec<(u32, u64, u64)>,
}

/// How a run is doing. What a guest chose is escaped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// The process that was started, which passes signals on.
    pub pid: i32,
    /// The supervisor.
    pub supervisor: i32,
    /// The profile, as it was named.
    pub profile: String,
    /// The program's file.
    pub program: String,
    /// When it began: milliseconds since 1970.
    pub since: u64,
    /// Guest processes that there are.
    pub processes: u64,
    /// Processor time so far, of guest processes and of what the supervisor does for them: seconds.
    pub cpu: f64,
    /// Memory that guest processes have: bytes. What they share counts in each.
    pub memory: u64,
    /// How often something was denied so far.
    pub denials: u64,
}

/// Sends a message whole.
///
/// # Errors
/// As send(2); EAGAIN if there is no room, with `MSG_DONTWAIT` among the flags at once.
pub fn tell(line: BorrowedFd<'_>, message: &impl Serialize, flags: MsgFlags) -> Result<(), Errno> {
    let bytes = serde_json::to_vec(message).map_err(|_| Errno::EBADMSG)?;
    send(line.as_raw_fd(), &bytes, flags | MsgFlags::MSG_NOSIGNAL).map(drop)
}

/// Sends a message with descriptors.
///
/// # Errors
/// As sendmsg(2).
pub fn tell_with<T: Serialize>(
    line: BorrowedFd<'_>,
    message: &T,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let text = serde_json::to_vec(message).map_err(|_| Errno::EBADMSG)?;
    let numbers: Vec<i32> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let (text, rights) = ([IoSlice::new(&text)], [ControlMessage::ScmRights(&numbers)]);
    sendmsg::<()>(line.as_raw_fd(), &text, &rights, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

/// As [`hear`], with the descriptors that have come along.
///
/// # Errors
/// As [`hear`].
pub fn hear_with<T: DeserializeOwned>(
    line: BorrowedFd<'_>,
    flags: MsgFlags,
) -> Result<Option<(T, Vec<OwnedFd>)>, Errno> {
    let (mut room, mut control) = (vec![0; LARGEST], [0; 64]);
    let flags = (flags | MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_TRUNC).bits() as u32;
    let buffer = Buffer::from_slice(&mut room);
    let Received { count, rights, .. } =
        match net::receive(Wait::Short, line, &mut [], &mut control, buffer, flags) {
            Err(Errno::ECONNRESET) => return Ok(None),
            received => received?,
        };
    if count == 0 {
        return Ok(None);
    }
    let message = room.get(..count as usize).ok_or(Errno::EMSGSIZE)?;
    serde_json::from_slice(message).map(|message| Some((message, rights))).map_err(|_| Errno::EBADMSG)
}

/// The next message; nothing if there will be none.
///
/// # Errors
/// As recv(2); EBADMSG for one that is not understood.
pub fn hear<T: DeserializeOwned>(line: BorrowedFd<'_>, flags: MsgFlags) -> Result<Option<T>, Errno> {
    let mut room = vec![0; LARGEST];
    match recv(line.as_raw_fd(), &mut room, flags | MsgFlags::MSG_TRUNC) {
        Ok(0) | Err(Errno::ECONNRESET) => Ok(None),
        Ok(n) => {
            let message = room.get(..n).ok_or(Errno::EMSGSIZE)?;
            serde_json::from_slice(message).map(Some).map_err(|_| Errno::EBADMSG)
        }
        Err(e) => Err(e),
    }
}

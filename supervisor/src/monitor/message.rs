//! What is said over the socket of a run: requests and replies, each one message of JSON.
//!
//! Both sides may be of different versions of rxbox: a key that one does not know it passes over, a request
//! that it does not know it refuses.

use crate::report::trace::Filter;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Bytes of a message, at most.
const LARGEST: usize = 1 << 16;

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
    /// It is not.
    Refused {
        /// Why.
        why: String,
    },
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

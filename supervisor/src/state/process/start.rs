//! What a process starts with.

use super::exe::ExeRecord;
use super::limits::{LIMITS, Rlimit};
use super::line::Line;
use crate::host::credentials::Credentials;
use crate::host::signal::Info;
use crate::state::attributes::Attributes;
use crate::state::budget::Budget;
use crate::state::fd::{FdTable, File};
use crate::state::mounts;
use crate::state::names::{Dir, label_of};
use crate::state::place::Place;
use nix::errno::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// What a process starts with: for a forked one everything of its parent at the time of the fork; and a line
/// of its own.
#[derive(Debug)]
pub struct Fork {
    pub(super) line: Line,
    pub(super) fds: FdTable,
    pub(super) attributes: Attributes,
    pub(super) state: State,
    pub(super) first: bool,
    /// It was let through: the new process may be there.
    pub(super) made: bool,
    /// Signals to all of a group that came while the new process was not known yet.
    pub(super) missed: Vec<Info>,
}

/// The inherited state.
#[derive(Debug)]
pub struct State {
    /// Working directory and file mode creation mask.
    pub place: Arc<Place>,
    /// Those of the thread that forks.
    pub credentials: Arc<Credentials>,
    /// Program.
    pub exe: Arc<ExeRecord>,
    /// Resource limits.
    pub limits: [Rlimit; LIMITS],
}

impl State {
    /// The state of the first process, in the supervisor's own working directory.
    pub fn host(
        exe: ExeRecord,
        credentials: Credentials,
        umask: u32,
        limits: [Rlimit; LIMITS],
    ) -> Result<State, Errno> {
        use nix::fcntl::{OFlag, open};
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        // It may be a directory without a name any more, or one in which the user may not look names up.
        let fd = open("/proc/self/cwd", flags, nix::sys::stat::Mode::empty())?;
        let fd = mounts::in_place_of(&crate::host::name::kernel_label(fd.as_fd())?).unwrap_or(fd);
        State::at(fd, exe, credentials, umask, limits)
    }

    /// The state of a process that begins in this directory.
    ///
    /// # Errors
    /// The directory has no name.
    pub fn at(
        fd: OwnedFd,
        exe: ExeRecord,
        credentials: Credentials,
        umask: u32,
        limits: [Rlimit; LIMITS],
    ) -> Result<State, Errno> {
        let path = label_of(fd.as_fd())?.into();
        Ok(State {
            place: Place::new(Arc::new(Dir { fd, path }), umask),
            credentials: Arc::new(credentials),
            exe: Arc::new(exe),
            limits,
        })
    }
}

impl Fork {
    /// What the first process starts with.
    pub fn first(line: Line, fds: FdTable, state: State) -> Fork {
        Fork {
            line,
            fds,
            attributes: Attributes::default(),
            state,
            first: true,
            made: true,
            missed: Vec::new(),
        }
    }
}

/// The descriptors of the first process: those that the user gave it, by number. One at a number that the
/// limit does not reach stays, as over execve(2).
pub fn given_descriptors(limit: u64, budget: Arc<Budget>, given: Vec<(i32, File)>) -> Result<FdTable, Errno> {
    let fds = FdTable::new(u64::MAX, budget);
    for (n, file) in given {
        fds.insert_at(n, file.given(), false)?;
    }
    fds.set_limit(limit);
    Ok(fds)
}

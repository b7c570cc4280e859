//! The number of threads to which the kernel holds the emulator children: RLIMIT_NPROC (getrlimit(2)).
//!
//! The supervisor counts threads that it is told of. A child that is not its guest's emulator any more tells
//! of none, so the kernel is to count them, too. It counts those of a user, and since Linux 5.14 those in a
//! user namespace by themselves: in the run's own there is nobody else. Before that all threads of the user
//! count, which may be any number; and the host's root is held to nothing. The kernel does not say how it
//! counts, so the first child is forked under a limit that has room for the run alone.

use crate::host::spawn;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

/// The processes in the run's user namespace: the maker, the init process, the first child. At least the
/// supervisor and the job process of the same user are outside.
const INSIDE: u64 = 3;

/// The limit of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    soft: u64,
    hard: u64,
}

impl Limit {
    fn own() -> Result<Limit, Errno> {
        getrlimit(Resource::RLIMIT_NPROC).map(|(soft, hard)| Limit { soft, hard })
    }

    /// For good, unless the process has privileges outside of its user namespace.
    fn lowered(self, most: u64) -> Limit {
        let most = most.min(self.hard);
        Limit { soft: most, hard: most }
    }

    /// Makes it this process's.
    ///
    /// # Errors
    /// As setrlimit(2).
    pub(super) fn set(self) -> Result<(), Errno> {
        setrlimit(Resource::RLIMIT_NPROC, self.soft, self.hard)
    }
}

/// Forks the first child, whose work is to set this limit: `most` if the kernel counts for this user
/// namespace alone, else that of this process. Without `most` it is that of this process.
///
/// # Errors
/// As fork(2).
pub(super) fn fork(most: Option<u64>, work: impl Fn(Limit) -> i32) -> Result<Pid, Errno> {
    let own = Limit::own()?;
    if let Some(most) = most {
        Limit { soft: INSIDE.min(own.hard), ..own }.set()?;
        let forked = spawn::fork(|| work(own.lowered(most)));
        own.set()?;
        if forked != Err(Errno::EAGAIN) {
            return forked;
        }
    }
    spawn::fork(|| work(own))
}

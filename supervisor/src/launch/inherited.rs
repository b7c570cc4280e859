//! What rxbox is started with: it is recorded for the guest, and then changed for rxbox's own processes,
//! which begin in one known state whoever has started them.
//!
//! The guest has what a program started in rxbox's place would have. Signals that were ignored or blocked,
//! a limit, a personality are meant for it, and must not hit what rxbox does: a parent that ignores SIGCHLD
//! would have rxbox's children vanish before they are waited for, a limit on file sizes would be one on the
//! memory that is shared with children.

use crate::host::{spawn, start};
use crate::state::budget::Budget;
use crate::state::process::{LIMITS, Rlimit, host_limits};
use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use rxbox_policy::Limits;
use rxbox_wire::sizes::SLOT_SIZE;
use std::sync::Arc;

/// What rxbox was started with.
#[derive(Debug)]
pub struct Inherited {
    /// Who started rxbox.
    pub parent: i32,
    /// Resource limits.
    pub limits: [Rlimit; LIMITS],
    /// File mode creation mask.
    pub umask: u32,
    /// Blocked signals, bit n - 1 for signal n.
    pub blocked: u64,
    /// Ignored signals, likewise.
    pub ignored: u64,
    /// Personality (personality(2)).
    pub personality: u32,
}

impl Inherited {
    /// Records it, and sets up rxbox's own processes: every signal has its default action, but for those that
    /// calls raise in their caller; none is blocked; limits are as wide as they may be; files that the
    /// supervisor creates for guests get the modes that guests ask for. `stack` is how far the guest's stack
    /// may grow, in bytes, if that is said.
    ///
    /// # Errors
    /// The host fails, or leaves too little.
    pub fn record(stack: Option<u64>) -> Result<Inherited, RecordError> {
        let mut inherited = Inherited {
            parent: nix::unistd::getppid().as_raw(),
            limits: host_limits()?,
            umask: umask(Mode::empty()).bits(),
            blocked: start::blocked_signals(),
            ignored: start::ignored_signals(),
            // Where mappings of a program lie depends on it: children are executed with the usual one.
            personality: start::change_personality(0),
        };
        if let Some(size) = stack {
            let limit = &mut inherited.limits[libc::RLIMIT_STACK as usize];
            if size > limit.hard {
                return Err(RecordError::Stack(limit.hard));
            }
            limit.soft = size;
        }
        (1..=64)
            .filter(|signal| inherited.ignored & start::bit(*signal) != 0)
            .for_each(spawn::default_action);
        spawn::ignore(libc::SIGPIPE);
        spawn::ignore(libc::SIGXFSZ);
        start::block_exactly(0);
        widen_limits();
        for (resource, name, needed) in NEEDED {
            let (most, _) = getrlimit(resource)?;
            if most < needed {
                return Err(RecordError::Limit { name, most, needed });
            }
        }
        Ok(inherited)
    }

    /// The limit on processor time, which children have as it was.
    pub(super) fn processor_time(&self) -> Rlimit {
        self.limits[libc::RLIMIT_CPU as usize]
    }
}

/// The limits that are enforced on guests by rxbox itself, or that are no limits of what a guest does but of
/// what it takes to run it: the supervisor works for all guest processes at once.
const WIDENED: [Resource; 6] = [
    Resource::RLIMIT_CPU,
    Resource::RLIMIT_FSIZE,
    Resource::RLIMIT_DATA,
    Resource::RLIMIT_NOFILE,
    Resource::RLIMIT_AS,
    Resource::RLIMIT_SIGPENDING,
];

/// What rxbox itself cannot do with less of, whatever the guest needs.
const NEEDED: [(Resource, &str, u64); 2] = [
    (Resource::RLIMIT_NOFILE, "open descriptors", 32),
    (Resource::RLIMIT_FSIZE, "file sizes", SLOT_SIZE as u64),
];

/// Why rxbox cannot begin.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum RecordError {
    /// A hard limit, which only a privileged user can raise.
    #[error("the hard limit on {name} is {most}, and rxbox needs {needed} for itself")]
    Limit {
        /// On what.
        name: &'static str,
        /// The limit.
        most: u64,
        /// What it would have to be.
        needed: u64,
    },
    /// Of the stack that is asked for; the hard limit, in bytes.
    #[error("--stack-size is beyond the hard limit, {0} bytes")]
    Stack(u64),
    /// The host fails.
    #[error("{}", .0.desc())]
    Host(#[from] Errno),
}

/// Sets the limits as wide as they may be: without CAP_SYS_RESOURCE up to the hard ones.
fn widen_limits() {
    /// Descriptors that suffice for a run of many processes; the kernel has a bound for all (fs.nr_open).
    const DESCRIPTORS: u64 = 1 << 16;
    for resource in WIDENED {
        let Ok((_, hard)) = getrlimit(resource) else { continue };
        let most = if resource == Resource::RLIMIT_NOFILE { hard.max(DESCRIPTORS) } else { RLIM_INFINITY };
        // What cannot be raised stays, and rxbox has to make do with it.
        let _ = setrlimit(resource, most, most).or_else(|_| setrlimit(resource, hard, hard));
    }
}

/// Host descriptors that the supervisor keeps for itself.
const RESERVE: u64 = 256;

/// Sets the supervisor's own limit on file sizes: files no longer than the policy lets guests write. Returns
/// how many descriptors all guest processes together may have.
///
/// # Errors
/// The host fails.
pub fn set_own_limits(policy: &Limits) -> Result<Arc<Budget>, Errno> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if let Some(most) = policy.file_size {
        let (soft, hard) = getrlimit(Resource::RLIMIT_FSIZE)?;
        setrlimit(Resource::RLIMIT_FSIZE, soft.min(most), hard)?;
    }
    Ok(Budget::new(hard.saturating_sub(RESERVE).max(RESERVE) as usize))
}

/// The limits of the first process: the host's, narrowed by the policy.
pub(super) fn first_limits(mut limits: [Rlimit; LIMITS], policy: &Limits) -> [Rlimit; LIMITS] {
    let mut narrow = |resource: u32, most: Option<u64>| {
        if let (Some(most), Some(limit)) = (most, limits.get_mut(resource as usize)) {
            *limit = Rlimit { soft: limit.soft.min(most), hard: limit.hard.min(most) };
        }
    };
    narrow(libc::RLIMIT_NOFILE, policy.open_files);
    narrow(libc::RLIMIT_FSIZE, policy.file_size);
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_narrowed_by_the_policy_and_never_widened() {
        let host = [Rlimit { soft: 1000, hard: 2000 }; LIMITS];
        let policy = Limits { open_files: Some(64), file_size: Some(9999), ..Limits::default() };
        let limits = first_limits(host, &policy);
        assert_eq!(limits[libc::RLIMIT_NOFILE as usize], Rlimit { soft: 64, hard: 64 });
        assert_eq!(limits[libc::RLIMIT_FSIZE as usize], host[0]);
        assert_eq!(limits[libc::RLIMIT_STACK as usize], host[0]);
    }
}

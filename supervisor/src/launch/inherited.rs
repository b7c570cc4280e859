//! What rxbox is started with: it is recorded for the guest, and then changed for the supervisor.

use crate::host::spawn;
use crate::state::budget::Budget;
use crate::state::process::{LIMITS, Rlimit, host_limits};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::SigSet;
use nix::sys::stat::{Mode, umask};
use rxbox_policy::Limits;
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
    /// Blocked signals.
    pub mask: SigSet,
    /// Ignored signals, bit n - 1 for signal n.
    pub ignored: u64,
}

impl Inherited {
    /// Records it, and sets up the supervisor: files that it creates for guests get the modes that guests ask
    /// for, and signals that calls raise in their caller do not end it.
    ///
    /// # Errors
    /// The host fails.
    pub fn record() -> Result<Inherited, Errno> {
        let inherited = Inherited {
            parent: nix::unistd::getppid().as_raw(),
            limits: host_limits()?,
            umask: umask(Mode::empty()).bits(),
            mask: SigSet::thread_get_mask()?,
            ignored: spawn::ignored_signals(),
        };
        spawn::ignore(libc::SIGPIPE);
        spawn::ignore(libc::SIGXFSZ);
        Ok(inherited)
    }

    /// Blocked signals as the kernel writes a set: bit n - 1 for signal n.
    pub(super) fn blocked(&self) -> u64 {
        self.mask.iter().fold(0, |bits, signal| bits | 1 << (signal as i32 - 1))
    }
}

/// Host descriptors that the supervisor keeps for itself.
const RESERVE: u64 = 256;

/// Sets the supervisor's own limits: as many descriptors as there can be, files no longer than the policy
/// lets guests write. Returns how many of the descriptors all guest processes together may have.
///
/// # Errors
/// The host fails.
pub fn set_own_limits(policy: &Limits) -> Result<Arc<Budget>, Errno> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
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

//! Who a guest process is and what it may use up.

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

/// Real, effective and saved id of a user or group (credentials(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// Who started it.
    pub real: u32,
    /// As whom it acts.
    pub effective: u32,
    /// As whom it can act again.
    pub saved: u32,
}

impl Ids {
    fn has(&self, id: u32) -> bool {
        [self.real, self.effective, self.saved].contains(&id)
    }
}

/// The ids of a process. All are the host's; a guest can only move among its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User ids.
    pub user: Ids,
    /// Group ids.
    pub group: Ids,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl Identity {
    /// That of the supervisor.
    pub fn host() -> Result<Identity, Errno> {
        let (u, g) = (nix::unistd::getresuid()?, nix::unistd::getresgid()?);
        Ok(Identity {
            user: Ids { real: u.real.as_raw(), effective: u.effective.as_raw(), saved: u.saved.as_raw() },
            group: Ids { real: g.real.as_raw(), effective: g.effective.as_raw(), saved: g.saved.as_raw() },
            groups: nix::unistd::getgroups()?.into_iter().map(nix::unistd::Gid::as_raw).collect(),
        })
    }
    /// The real user id, by which others know the process.
    pub fn uid(&self) -> u32 {
        self.user.real
    }
    /// Whether `uid` is one of the process's.
    pub fn has_uid(&self, uid: u32) -> bool {
        self.user.has(uid)
    }
    /// Whether `gid` is one of the process's.
    pub fn has_gid(&self, gid: u32) -> bool {
        self.group.has(gid)
    }
}

/// A resource limit; `u64::MAX` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// What is enforced.
    pub soft: u64,
    /// Up to where the soft limit can be raised.
    pub hard: u64,
}

/// Kinds of resource limits (getrlimit(2)).
pub const LIMITS: usize = 16;

/// All kinds, in the order of their numbers.
const RESOURCES: [Resource; LIMITS] = [
    Resource::RLIMIT_CPU,
    Resource::RLIMIT_FSIZE,
    Resource::RLIMIT_DATA,
    Resource::RLIMIT_STACK,
    Resource::RLIMIT_CORE,
    Resource::RLIMIT_RSS,
    Resource::RLIMIT_NPROC,
    Resource::RLIMIT_NOFILE,
    Resource::RLIMIT_MEMLOCK,
    Resource::RLIMIT_AS,
    Resource::RLIMIT_LOCKS,
    Resource::RLIMIT_SIGPENDING,
    Resource::RLIMIT_MSGQUEUE,
    Resource::RLIMIT_NICE,
    Resource::RLIMIT_RTPRIO,
    Resource::RLIMIT_RTTIME,
];

/// The limits of the supervisor, which a program started in its place would have.
pub fn host_limits() -> Result<[Rlimit; LIMITS], Errno> {
    let mut limits = [Rlimit { soft: u64::MAX, hard: u64::MAX }; LIMITS];
    for (limit, resource) in limits.iter_mut().zip(RESOURCES) {
        let (soft, hard) = getrlimit(resource)?;
        *limit = Rlimit { soft, hard };
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_in_the_order_of_their_numbers() {
        for (n, resource) in RESOURCES.into_iter().enumerate() {
            assert_eq!(resource as usize, n);
        }
    }
}

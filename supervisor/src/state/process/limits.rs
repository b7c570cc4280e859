//! What a guest process may use up.

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

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

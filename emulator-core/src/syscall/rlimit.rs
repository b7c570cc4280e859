//! Limits on the address space that a process sets on itself (setrlimit(2)).
//!
//! The supervisor keeps all limits and says what may be set; but only the child knows the guest's address
//! space, and so holds those on it: for what is asked of it from then on, and for the stack, which is mapped
//! whole, from the next program on. What another process sets (prlimit(2)) holds for what the supervisor
//! limits, not here.

use crate::guest::AddressSpace;
use crate::guest::access::read_u64;

/// A limit that a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    resource: u64,
    soft: u64,
}

impl Rlimit {
    /// That of a call, looked at before it is made: prlimit(2) may put the old limit in the place of the new
    /// one.
    pub fn of(nr: u32, args: &[u64; 6]) -> Option<Rlimit> {
        let (resource, at) = match i64::from(nr) {
            libc::SYS_setrlimit => (args[0], args[1]),
            libc::SYS_prlimit64 if [0, std::process::id()].contains(&(args[0] as u32)) => (args[1], args[2]),
            _ => return None,
        };
        Some(Rlimit { resource: resource & 0xffff_ffff, soft: read_u64(at).ok()? })
    }

    /// Puts it on the space, if it is one on it.
    pub fn put_on(self, space: &mut AddressSpace) {
        let mut limits = space.limits();
        match self.resource as u32 {
            libc::RLIMIT_AS => limits.address_space = self.soft,
            libc::RLIMIT_DATA => limits.data = self.soft,
            libc::RLIMIT_STACK => limits.stack = self.soft,
            _ => return,
        }
        space.set_limits(limits);
    }
}

//! What the processes of a run are called in its PID namespace, and what the host calls them.
//!
//! Guests see the numbers of their namespace: the kernel itself writes and compares these in their memory
//! (robust and priority-inheriting futexes, set_tid_address(2)). The supervisor is outside, and its calls
//! take the host's numbers. The kernel translates (ioctl_nsfs(2)), for processes and threads that are there
//! at that moment; what came of a number afterwards a handle has to say ([`super::process`]).

use super::SyscallResult;
use super::number::{Wait, raw};
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// `NS_GET_PID_FROM_PIDNS` (Linux 6.11): the caller's number of what the namespace calls so.
const FROM: u64 = 0x8004_b706;
/// `NS_GET_PID_IN_PIDNS`: the namespace's number of what the caller calls so.
const IN: u64 = 0x8004_b708;

/// The PID namespace of guests.
#[derive(Clone, Debug, Default)]
pub struct PidNamespace(Option<Arc<OwnedFd>>);

impl PidNamespace {
    /// The one that this file of `/proc/PID/ns` stands for, which has a first process.
    ///
    /// # Errors
    /// ENOTTY if the kernel does not translate.
    pub fn new(file: OwnedFd) -> Result<PidNamespace, Errno> {
        const FIRST: i32 = 1;
        let namespace = PidNamespace(Some(Arc::new(file)));
        namespace.translate(FROM, FIRST)?;
        Ok(namespace)
    }

    /// The supervisor's own, where numbers are the host's.
    pub fn of_host() -> PidNamespace {
        PidNamespace::default()
    }

    /// Its file, for setns(2), unless it is the supervisor's own.
    pub fn file(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_deref().map(AsFd::as_fd)
    }

    /// The host's number of the process or thread that has this one.
    ///
    /// # Errors
    /// ESRCH if there is none.
    pub fn on_host(&self, number: i32) -> Result<i32, Errno> {
        self.translate(FROM, number)
    }

    /// The number of the process or thread that has this one on the host.
    ///
    /// # Errors
    /// ESRCH if there is none, or it is outside.
    pub fn number_of(&self, host: i32) -> Result<i32, Errno> {
        self.translate(IN, host)
    }

    fn translate(&self, command: u64, number: i32) -> Result<i32, Errno> {
        let Some(file) = &self.0 else { return Ok(number) };
        let args = [file.as_raw_fd() as u64, command, number as u64, 0, 0, 0];
        // SAFETY: both commands take a number and answer with one.
        let answer: SyscallResult = unsafe { raw(Wait::Short, libc::SYS_ioctl, args) };
        answer.map(|number| number as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_own_namespace_every_number_is_its_own() {
        let file = std::fs::File::open("/proc/self/ns/pid").unwrap();
        let own = std::process::id() as i32;
        for namespace in [Ok(PidNamespace::of_host()), PidNamespace::new(file.into())] {
            // A kernel before Linux 6.11 does not translate.
            let Ok(namespace) = namespace else { continue };
            assert_eq!((namespace.on_host(own), namespace.number_of(own)), (Ok(own), Ok(own)));
        }
    }

    #[test]
    fn what_is_no_namespace_is_refused() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(PidNamespace::new(file.into()).map(drop), Err(Errno::ENOTTY));
    }
}

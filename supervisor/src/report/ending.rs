//! The end of a sandbox that would have run on: any thread declares it, the event loop carries it out.

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, OnceLock};

/// Why the supervisor ends a sandbox that would have run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A rule of the policy: which, and for what.
    Policy(String),
    /// The child sent what no honest child sends.
    Violation(String),
    /// The time limit is reached.
    TimeLimit,
    /// The limit of processor time is reached.
    CpuLimit,
    /// The memory limit is reached.
    MemoryLimit,
    /// More was written to the standard streams than the policy allows.
    OutputLimit,
    /// The supervisor cannot go on.
    Broken(String),
}

/// Where any thread declares an end, and the event loop waits for it.
#[derive(Debug)]
pub struct Ending {
    cause: OnceLock<End>,
    event: EventFd,
}

impl Ending {
    /// Nothing has been declared.
    pub fn new() -> Result<Arc<Ending>, Errno> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Arc::new(Ending { cause: OnceLock::new(), event: EventFd::from_flags(flags)? }))
    }
    /// Declares the end. Only the first cause counts.
    pub fn end(&self, cause: End) {
        if self.cause.set(cause).is_ok() {
            // A counter that is full is readable too.
            let _ = self.event.write(1);
        }
    }
    /// The cause, once declared.
    pub fn cause(&self) -> Option<&End> {
        self.cause.get()
    }
    /// Becomes readable with the declaration.
    pub fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_cause_counts_and_it_rings() {
        let ending = Ending::new().unwrap();
        assert_eq!(ending.event.read(), Err(Errno::EAGAIN));
        ending.end(End::TimeLimit);
        ending.end(End::MemoryLimit);
        assert_eq!((ending.cause(), ending.event.read()), (Some(&End::TimeLimit), Ok(1)));
    }
}

//! What the kinds of objects have in common: the time of a change, and waiting for one.

use crate::host::futex;
use crate::host::wait::Time;
use nix::errno::Errno;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Seconds since 1970, as the kernel stamps objects.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs() as i64)
}

/// Something that worker threads wait for until it changes.
///
/// Whoever waits reads the count while it holds the lock of what it looks at, and sleeps only while the count
/// is that; whoever changes something raises the count under the same lock. So no change between the look and
/// the sleep is missed.
#[derive(Debug, Default)]
pub(super) struct Changes(AtomicU32);

impl Changes {
    /// The count as it is now.
    pub(super) fn seen(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Something has changed.
    pub(super) fn announce(&self) {
        self.0.fetch_add(1, Ordering::Release);
        futex::wake(&self.0);
    }

    /// Sleeps until something has changed since `seen`. EINTR if the call is interrupted, EAGAIN when the
    /// time is over.
    pub(super) fn wait(&self, seen: u32, deadline: Option<Instant>) -> Result<(), Errno> {
        let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
        let left: Option<Time> = left.map(|left| [left.as_secs(), left.subsec_nanos().into()]);
        match futex::wait_interruptibly(&self.0, seen, left.as_ref()) {
            Ok(_) | Err(Errno::EAGAIN) => Ok(()),
            Err(Errno::ETIMEDOUT) => Err(Errno::EAGAIN),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_wait_ends_by_a_change_that_came_before_it_and_by_its_time() {
        let changes = Changes::default();
        let seen = changes.seen();
        changes.announce();
        assert_eq!(changes.wait(seen, None), Ok(()));
        let soon = Instant::now() + Duration::from_millis(1);
        assert_eq!(changes.wait(changes.seen(), Some(soon)), Err(Errno::EAGAIN));
    }
}

//! Inter-process communication by name: System V semaphores, shared memory and message queues, and POSIX message queues.
//!
//! On the host such names are shared by everything in an IPC namespace, and whoever knows one gets at the object. A sandbox
//! has a namespace of its own instead, in the supervisor's memory: its processes meet there, and nobody else. So no policy is
//! needed for these calls, and none can open a way to the host's objects.
//!
//! Semaphores and System V queues are made up here altogether, since the host would take every guest process for one, the
//! supervisor: undo lists, process ids and the end of processes would be wrong. A segment of shared memory is an anonymous
//! memory file that the child maps. A POSIX queue is the host's, without a name there.

mod mqueue;
mod msg;
mod perm;
mod sem;
mod shm;
mod table;

pub use mqueue::{Attributes, Event, Queues};
pub use msg::{Message, Messages, Wanted};
pub use perm::{Perm, Right};
pub use sem::{Op, Semaphores};
pub use shm::{Attach, Segments};
pub use table::Get;

use crate::host::futex;
use crate::host::wait::Time;
use nix::errno::Errno;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// All objects of a sandbox.
#[derive(Debug, Default)]
pub struct Namespace {
    /// Sets of semaphores.
    pub semaphores: Semaphores,
    /// Segments of shared memory.
    pub segments: Segments,
    /// Message queues of System V.
    pub messages: Messages,
    /// Message queues of POSIX.
    pub queues: Queues,
}

impl Namespace {
    /// A process has been forked: it has what its parent has attached, but nothing to undo (semop(2), shmop(2)).
    pub fn forked(&self, parent: i32, child: i32) {
        self.segments.forked(parent, child);
    }

    /// A process runs another program: nothing is attached any more.
    pub fn executed(&self, pid: i32) {
        self.segments.leave(pid);
        self.queues.leave(pid);
    }

    /// A process ends.
    pub fn ended(&self, pid: i32) {
        self.semaphores.leave(pid);
        self.segments.leave(pid);
        self.queues.leave(pid);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since 1970, as the kernel stamps objects.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs() as i64)
}

/// Something that worker threads wait for until it changes.
///
/// Whoever waits reads the count while it holds the lock of what it looks at, and sleeps only while the count is that; whoever
/// changes something raises the count under the same lock. So no change between the look and the sleep is missed.
#[derive(Debug, Default)]
struct Changes(AtomicU32);

impl Changes {
    fn seen(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    fn announce(&self) {
        self.0.fetch_add(1, Ordering::Release);
        futex::wake(&self.0);
    }

    /// Sleeps until something has changed since `seen`. EINTR if the call is interrupted, EAGAIN when the time is over.
    fn wait(&self, seen: u32, deadline: Option<Instant>) -> Result<(), Errno> {
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

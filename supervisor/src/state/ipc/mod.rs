//! Inter-process communication by name: System V semaphores, shared memory and message queues, and POSIX
//! message queues.
//!
//! On the host such names are shared by everything in an IPC namespace, and whoever knows one gets at the
//! object. A sandbox has a namespace of its own instead, in the supervisor's memory: its processes meet
//! there, and nobody else. So no policy is needed for these calls, and none can open a way to the host's
//! objects.
//!
//! Semaphores and System V queues are made up here altogether, since the host would take every guest process
//! for one, the supervisor: undo lists, process ids and the end of processes would be wrong. A segment of
//! shared memory is an anonymous memory file that the child maps. A POSIX queue is the host's, without a name
//! there.

mod changes;
mod mqueue;
mod msg;
mod perm;
mod sem;
mod shm;
mod table;

pub use mqueue::{Event, NewQueue, Queues};
pub use msg::{Message, Messages, Wanted};
pub use perm::{Perm, Right};
pub use sem::{Op, Semaphores};
pub use shm::{Attach, Segments};
pub use table::Get;

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
    /// A process has been forked: it has what its parent has attached, but nothing to undo (semop(2),
    /// shmop(2)).
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

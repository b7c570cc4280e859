//! The locks of the supervisor, and the order in which a thread takes them.
//!
//! A thread takes a lock only while all that it holds have lower ranks ([`rxbox_wire::lock`]). From the first
//! to the last:
//!
//! | rank | lock | what is taken while it is held |
//! | --- | --- | --- |
//! | [`Rank::Removal`] | `Sandbox::removal` | all others: a process that has ended leaves everything at once |
//! | [`Rank::LockWaits`] | `Waits` | processes and their record locks: who blocks whom |
//! | [`Rank::Births`] | `Processes::births` | processes, their forks and threads: a signal reaches a whole group |
//! | [`Rank::Processes`] | `Processes::map` | |
//! | [`Rank::Forks`] | `Process::forking` | the descriptors of a fork that comes to nothing are closed |
//! | [`Rank::Descriptors`] | `FdTable::entries` | each file, as it is inherited |
//! | [`Rank::File`] | `File::extra` | |
//! | [`Rank::RecordLocks`] | `RecordLocks::owners` | |
//! | [`Rank::Threads`] | `Threads::slots` | |
//! | [`Rank::Tracees`] | `Tracees::all` | |
//! | [`Rank::IpcTable`] | the tables of System V objects and of POSIX queues | each object |
//! | [`Rank::IpcObject`] | one object | |
//!
//! All other locks are plain, for nothing is taken while one of them is held: the fields of a process, its
//! attributes, terminals, names and peers of sockets, the audit, the trace, the idle workers, the
//! resolver.

/// The place of a lock in the order. See the module's table.
#[derive(Clone, Copy, Debug)]
pub enum Rank {
    /// A process is removed.
    Removal,
    /// Who waits for a record lock.
    LockWaits,
    /// A process is added, or a signal sent to a group.
    Births,
    /// The table of processes.
    Processes,
    /// The forks under way of a process.
    Forks,
    /// The descriptors of a process.
    Descriptors,
    /// What is kept of an open file description.
    File,
    /// The record locks of a process.
    RecordLocks,
    /// The slots of a process.
    Threads,
    /// Who traces whom.
    Tracees,
    /// All objects of a kind.
    IpcTable,
    /// One object.
    IpcObject,
}

impl rxbox_wire::lock::Rank for Rank {
    fn place(self) -> u32 {
        self as u32
    }
}

/// A mutex with a rank.
pub type Lock<T> = rxbox_wire::lock::Lock<Rank, T>;
/// A lock with a rank that readers share.
pub type SharedLock<T> = rxbox_wire::lock::SharedLock<Rank, T>;
/// The guard of a [`Lock`].
pub type Guard<'a, T> = rxbox_wire::lock::Guard<std::sync::MutexGuard<'a, T>>;
/// A reader's guard of a [`SharedLock`].
pub type ReadGuard<'a, T> = rxbox_wire::lock::Guard<std::sync::RwLockReadGuard<'a, T>>;
/// The only writer's guard of a [`SharedLock`].
pub type WriteGuard<'a, T> = rxbox_wire::lock::Guard<std::sync::RwLockWriteGuard<'a, T>>;

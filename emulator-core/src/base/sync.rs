//! The locks of a guest process, and the order in which a thread takes them.
//!
//! A thread takes a lock only while all that it holds have lower ranks ([`rxbox_wire::lock`]). From the first
//! to the last:
//!
//! | rank | lock | why it stands there |
//! | --- | --- | --- |
//! | [`Rank::Control`] | `Process::control` | is held across calls to the supervisor, which use guest memory |
//! | [`Rank::Exclusive`] | `Process::exclusive` | exclusive work is about all threads, then about translations |
//! | [`Rank::Threads`] | `Process::threads` | no thread comes or goes while translations are flushed |
//! | [`Rank::Memory`] | `Process::memory` | a change of the map makes translations stale |
//! | [`Rank::Blocks`] | `Process::blocks` | |
//! | [`Rank::Actions`] | `Process::actions` | |
//! | [`Rank::PendingExec`] | `ExecState::pending` | |
//!
//! fork(2) takes all of them, in this order. A signal handler takes none. A build with debug assertions
//! panics when a thread breaks the order; a release build has plain mutexes.

/// The place of a lock in the order. See the module's table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rank {
    /// The answers on the control socket.
    Control,
    /// Exclusive work.
    Exclusive,
    /// The list of threads.
    Threads,
    /// Guest memory.
    Memory,
    /// Translations.
    Blocks,
    /// Signal actions.
    Actions,
    /// The program that waits for the leader.
    PendingExec,
}

impl rxbox_wire::lock::Rank for Rank {
    fn place(self) -> u32 {
        self as u32
    }
}

/// A mutex with a rank.
pub type Lock<T> = rxbox_wire::lock::Lock<Rank, T>;

// How locks with ranks behave is tested where they are made; here is the order of this process's own.
#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "Memory is taken while")]
    fn a_lower_rank_under_a_higher_one_panics() {
        let (memory, blocks) = (Lock::new(Rank::Memory, ()), Lock::new(Rank::Blocks, ()));
        let _blocks = blocks.lock();
        let _memory = memory.lock();
    }
}

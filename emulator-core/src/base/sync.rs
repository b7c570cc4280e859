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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Condvar;
    use std::time::Duration;

    #[test]
    fn locks_are_taken_from_low_to_high_and_again_after_their_release() {
        let (memory, blocks) = (Lock::new(Rank::Memory, 1), Lock::new(Rank::Blocks, 2));
        for _ in 0..2 {
            let first = memory.lock();
            let mut second = blocks.lock();
            *second += *first;
            drop(first);
            drop(second);
            drop(blocks.lock());
        }
        assert_eq!(*blocks.lock(), 4);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "Memory is taken while")]
    fn a_lower_rank_under_a_higher_one_panics() {
        let (memory, blocks) = (Lock::new(Rank::Memory, ()), Lock::new(Rank::Blocks, ()));
        let _blocks = blocks.lock();
        let _memory = memory.lock();
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "Memory is taken while")]
    fn two_locks_of_one_rank_panic() {
        let locks = [Lock::new(Rank::Memory, ()), Lock::new(Rank::Memory, ())];
        let _first = locks[0].lock();
        let _second = locks[1].lock();
    }

    #[test]
    fn a_lock_that_waits_for_a_condition_can_be_taken_by_others() {
        let (lock, changed) = (Lock::new(Rank::Threads, false), Condvar::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(10));
                *lock.lock() = true;
                changed.notify_all();
            });
            let mut value = lock.lock();
            while !*value {
                value = value.wait(&changed);
            }
        });
    }
}

//! The locks of a guest process, and the order in which a thread takes them.
//!
//! A thread takes a lock only while all that it holds have lower ranks, so no two threads can wait for each
//! other. From the first to the last:
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

use std::fmt::Debug;
use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

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

/// A mutex with a rank.
#[derive(Debug)]
pub struct Lock<T> {
    mutex: Mutex<T>,
    #[cfg(debug_assertions)]
    rank: Rank,
}

/// The right to use what a lock protects, until it is dropped.
#[derive(Debug)]
pub struct Guard<'a, T> {
    // First, since fields are dropped in their order.
    value: MutexGuard<'a, T>,
    #[cfg(debug_assertions)]
    held: order::Held,
}

impl<T> Lock<T> {
    /// A lock that protects `value`.
    pub const fn new(rank: Rank, value: T) -> Lock<T> {
        #[cfg(not(debug_assertions))]
        let _ = rank;
        Lock {
            mutex: Mutex::new(value),
            #[cfg(debug_assertions)]
            rank,
        }
    }

    /// Waits for the lock. A thread that panicked while it held the lock has ended the process already.
    ///
    /// # Panics
    /// In a build with debug assertions, if the thread holds a lock of the same or a higher rank.
    pub fn lock(&self) -> Guard<'_, T> {
        #[cfg(debug_assertions)]
        let held = order::Held::take(self.rank);
        Guard {
            value: self.mutex.lock().unwrap_or_else(PoisonError::into_inner),
            #[cfg(debug_assertions)]
            held,
        }
    }
}

impl<T> Guard<'_, T> {
    /// Releases the lock, waits for the condition, and takes the lock again. The thread holds no lock of a
    /// higher rank.
    pub fn wait(self, condition: &Condvar) -> Self {
        Guard {
            value: condition.wait(self.value).unwrap_or_else(PoisonError::into_inner),
            #[cfg(debug_assertions)]
            held: self.held,
        }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// Which ranks each thread holds.
#[cfg(debug_assertions)]
mod order {
    use super::Rank;
    use std::cell::Cell;

    thread_local! {
        /// Bit n: a lock of rank n.
        static HELD: Cell<u32> = const { Cell::new(0) };
    }

    /// Says that this thread holds a lock of this rank.
    #[derive(Debug)]
    pub(super) struct Held(Rank);

    impl Held {
        pub(super) fn take(rank: Rank) -> Held {
            let held = HELD.get();
            assert!(held >> rank as u32 == 0, "{rank:?} is taken while locks {held:#b} are held");
            HELD.set(held | 1 << rank as u32);
            Held(rank)
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            HELD.set(HELD.get() & !(1 << self.0 as u32));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

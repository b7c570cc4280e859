//! Locks with ranks: the order in which a thread takes them is declared once, and a build with debug
//! assertions holds it.
//!
//! A thread takes a lock only while all that it holds have lower ranks. Whoever waits for a lock then waits
//! for a thread that can only wait for locks of higher ranks, so no threads wait for each other in a circle.
//! Both sides of the channel declare their ranks in a module of their own; a release build has plain locks.

use std::fmt::Debug;
use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The places of locks in an order, lowest first.
pub trait Rank: Copy + Debug {
    /// The place, below 32.
    fn place(self) -> u32;
}

/// A mutex with a rank.
#[derive(Debug)]
pub struct Lock<R, T> {
    mutex: Mutex<T>,
    rank: R,
}

/// A lock with a rank that readers share. A reader counts like a writer: it may wait for one.
#[derive(Debug)]
pub struct SharedLock<R, T> {
    lock: RwLock<T>,
    rank: R,
}

/// The right to use what a lock protects, until it is dropped.
#[derive(Debug)]
pub struct Guard<G> {
    // First, since fields are dropped in their order.
    value: G,
    #[cfg(debug_assertions)]
    held: order::Held,
}

impl<G> Guard<G> {
    /// Waits for what `lock` takes, once the order allows it.
    fn take(rank: impl Rank, lock: impl FnOnce() -> G) -> Guard<G> {
        #[cfg(not(debug_assertions))]
        let _ = rank;
        #[cfg(debug_assertions)]
        let held = order::Held::take(rank);
        Guard {
            value: lock(),
            #[cfg(debug_assertions)]
            held,
        }
    }
}

impl<R: Rank, T> Lock<R, T> {
    /// A lock that protects `value`.
    pub const fn new(rank: R, value: T) -> Lock<R, T> {
        Lock { mutex: Mutex::new(value), rank }
    }

    /// Waits for the lock; what a thread that panicked has left behind is taken as it is.
    ///
    /// # Panics
    /// In a build with debug assertions, if the thread holds a lock of the same or a higher rank.
    pub fn lock(&self) -> Guard<MutexGuard<'_, T>> {
        Guard::take(self.rank, || self.mutex.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<R: Rank, T> SharedLock<R, T> {
    /// A lock that protects `value`.
    pub const fn new(rank: R, value: T) -> SharedLock<R, T> {
        SharedLock { lock: RwLock::new(value), rank }
    }

    /// Waits for the lock as a reader.
    ///
    /// # Panics
    /// As [`Lock::lock`].
    pub fn read(&self) -> Guard<RwLockReadGuard<'_, T>> {
        Guard::take(self.rank, || self.lock.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the lock as the only one.
    ///
    /// # Panics
    /// As [`Lock::lock`].
    pub fn write(&self) -> Guard<RwLockWriteGuard<'_, T>> {
        Guard::take(self.rank, || self.lock.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Guard<MutexGuard<'_, T>> {
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

impl<G: Deref> Deref for Guard<G> {
    type Target = G::Target;
    fn deref(&self) -> &G::Target {
        &self.value
    }
}

impl<G: DerefMut> DerefMut for Guard<G> {
    fn deref_mut(&mut self) -> &mut G::Target {
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

    /// Says that this thread holds a lock of the rank with this place.
    #[derive(Debug)]
    pub(super) struct Held(u32);

    impl Held {
        pub(super) fn take(rank: impl Rank) -> Held {
            let (held, place) = (HELD.get(), rank.place());
            assert!(held >> place == 0, "{rank:?} is taken while locks {held:#b} are held");
            HELD.set(held | 1 << place);
            Held(place)
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            HELD.set(HELD.get() & !(1 << self.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[derive(Clone, Copy, Debug)]
    enum Test {
        Low,
        High,
    }

    impl Rank for Test {
        fn place(self) -> u32 {
            self as u32
        }
    }

    #[test]
    fn locks_are_taken_from_low_to_high_and_again_after_their_release() {
        let (low, high) = (Lock::new(Test::Low, 1), SharedLock::new(Test::High, 2));
        for _ in 0..2 {
            let first = low.lock();
            let mut second = high.write();
            *second += *first;
            drop(first);
            drop(second);
            drop(high.read());
        }
        assert_eq!(*high.read(), 4);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "Low is taken while")]
    fn a_lower_rank_under_a_higher_one_panics() {
        let (low, high) = (Lock::new(Test::Low, ()), SharedLock::new(Test::High, ()));
        let _high = high.read();
        let _low = low.lock();
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "Low is taken while")]
    fn two_locks_of_one_rank_panic() {
        let locks = [Lock::new(Test::Low, ()), Lock::new(Test::Low, ())];
        let _first = locks[0].lock();
        let _second = locks[1].lock();
    }

    #[test]
    fn a_lock_that_waits_for_a_condition_can_be_taken_by_others() {
        let (lock, changed) = (Lock::new(Test::High, false), Condvar::new());
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

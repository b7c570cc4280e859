//! The hand-over of a slot between guest thread and worker.
//!
//! The turn word names the owner of the slot's contents. The owner writes its message, then passes the turn
//! with a release store; the other side takes it with an acquire load. Both sides first spin, since a
//! hand-over between two running cores costs 0.2 µs and a futex wake-up tens; a side that gives up spinning
//! announces that it sleeps.
//!
//! No wake-up is lost: the passer stores the turn, then (after a full fence) reads the sleep flag; the
//! sleeper stores the flag, then (after a full fence) reads the turn. One of the two must see the other's
//! store, so either the sleeper does not sleep or the passer wakes it; and if the turn changes between the
//! sleeper's check and its `futex_wait`, the kernel's own comparison of the word sends it back.
//!
//! The words lie in memory that a hostile child can write at any time. Nothing here trusts them: a forged
//! value makes the child's own call go wrong, and the worker at worst sleeps or serves a frame that is then
//! checked as any other.

use crate::spin_policy::{TURN_OF_OTHERS, Wait};
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::{Duration, Instant};

/// A side that looks keeps its core for so long: most calls without a path take less.
const HOLD: Duration = Duration::from_micros(2);
/// Looks at the turn word between two looks at the clock; a look is one `pause`, 30 to 140 cycles.
const LOOKS: u32 = 32;

/// The slot belongs to the guest thread, which has made no request yet.
pub const IDLE: u32 = 0;
/// The slot belongs to the worker: a request is in it.
pub const REQUEST: u32 = 1;
/// The slot belongs to the guest thread: a reply is in it, until the next request.
pub const REPLY: u32 = 2;
/// The guest thread has ended; the worker frees the slot.
pub const CLOSED: u32 = 3;

/// The kernel's futex on a word shared between processes (futex(2)); each side brings its own.
pub trait Futex {
    /// Sleeps while `*word == value`; returns on a wake-up, a changed value, a signal or for no reason.
    fn wait(&self, word: &AtomicU32, value: u32);
    /// Wakes all sleepers on the word.
    fn wake(&self, word: &AtomicU32);
}

/// The word by which a side says on which processor it runs, for this one; 0, which it starts with, says
/// nothing.
fn told(processor: u32) -> u32 {
    processor.wrapping_add(1)
}

/// One side's view of a slot's hand-over words.
#[derive(Clone, Copy)]
pub struct Handoff<'a> {
    /// Whose turn it is.
    pub turn: &'a AtomicU32,
    /// Set by this side while it sleeps on `turn`.
    pub i_sleep: &'a AtomicU32,
    /// Set by the other side while it sleeps on `turn`.
    pub peer_sleeps: &'a AtomicU32,
    /// On which processor this side waited last.
    pub my_processor: &'a AtomicU32,
    /// The same of the other side.
    pub peer_processor: &'a AtomicU32,
}

impl Handoff<'_> {
    /// Passes the slot on: publishes everything written to it before and wakes the other side if it sleeps.
    /// Whether it did.
    pub fn pass(&self, turn: u32, futex: &impl Futex) -> bool {
        self.turn.store(turn, Ordering::Release);
        fence(Ordering::SeqCst);
        let sleeps = self.peer_sleeps.load(Ordering::Relaxed) != 0;
        if sleeps {
            futex.wake(self.turn);
        }
        sleeps
    }

    /// Looks for as long as the wait allows whether the turn has left `current`; true if it has. The clock is
    /// only read once in [`LOOKS`] looks. After [`HOLD`] it yields between looks to whatever else could run
    /// on this core. Where the other side is on this very `processor`, it cannot pass the turn meanwhile:
    /// then nobody looks.
    pub fn spin(&self, current: u32, wait: &mut Wait, processor: impl Fn() -> u32) -> bool {
        let limit = wait.awake();
        while !limit.is_zero() && !self.is_together(wait, processor()) {
            for _ in 0..LOOKS {
                if self.turn.load(Ordering::Acquire) != current {
                    return true;
                }
                std::hint::spin_loop();
            }
            let now = Instant::now();
            let passed = wait.lasted(now);
            if passed >= limit {
                break;
            }
            if passed >= HOLD {
                std::thread::yield_now();
                let away = now.elapsed();
                if away >= TURN_OF_OTHERS {
                    wait.lost_core();
                    break;
                }
            }
        }
        self.turn.load(Ordering::Acquire) != current
    }

    /// Whether both sides are on this processor, as far as that is known; tells the other one.
    fn is_together(&self, wait: &mut Wait, processor: u32) -> bool {
        let here = told(processor);
        if self.my_processor.load(Ordering::Relaxed) != here {
            self.my_processor.store(here, Ordering::Relaxed);
        }
        let together = here != 0 && self.peer_processor.load(Ordering::Relaxed) == here;
        if together {
            wait.is_together();
        }
        together
    }

    /// Sleeps once while the turn is `current`. Returns the turn then seen; it may still be `current`, after
    /// a signal or for no reason, so that the caller can look at its other duties before it waits again.
    pub fn sleep(&self, current: u32, futex: &impl Futex) -> u32 {
        self.i_sleep.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.turn.load(Ordering::Acquire) == current {
            futex.wait(self.turn, current);
        }
        self.i_sleep.store(0, Ordering::Relaxed);
        self.turn.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spin_policy::{Cores, SpinPolicy};

    /// A futex that only yields: the strictest waker is the one that never wakes, so `wake` is counted.
    struct Yield;
    impl Futex for Yield {
        fn wait(&self, word: &AtomicU32, value: u32) {
            while word.load(Ordering::Acquire) == value {
                std::thread::yield_now();
            }
        }
        fn wake(&self, _: &AtomicU32) {}
    }

    #[test]
    fn turns_alternate_and_data_written_before_a_pass_is_seen_after_it() {
        let (turn, g, w) = (AtomicU32::new(IDLE), AtomicU32::new(0), AtomicU32::new(0));
        let (gp, wp) = (AtomicU32::new(0), AtomicU32::new(0));
        let data = AtomicU32::new(0);
        let rounds = 10_000;
        let wait = || SpinPolicy::default().begin(false, Cores::Contended);
        std::thread::scope(|s| {
            s.spawn(|| {
                let handoff = Handoff {
                    turn: &turn,
                    i_sleep: &w,
                    peer_sleeps: &g,
                    my_processor: &wp,
                    peer_processor: &gp,
                };
                for _ in 0..rounds {
                    while turn.load(Ordering::Acquire) != REQUEST {
                        let seen = turn.load(Ordering::Acquire);
                        if seen != REQUEST && !handoff.spin(seen, &mut wait(), || 0) {
                            handoff.sleep(seen, &Yield);
                        }
                    }
                    data.store(data.load(Ordering::Relaxed) * 2 % 65521, Ordering::Relaxed);
                    handoff.pass(REPLY, &Yield);
                }
            });
            let handoff =
                Handoff { turn: &turn, i_sleep: &g, peer_sleeps: &w, my_processor: &gp, peer_processor: &wp };
            for n in 0..rounds {
                data.store(n, Ordering::Relaxed);
                handoff.pass(REQUEST, &Yield);
                while turn.load(Ordering::Acquire) != REPLY {
                    if !handoff.spin(REQUEST, &mut wait(), || 1) {
                        handoff.sleep(REQUEST, &Yield);
                    }
                }
                assert_eq!(data.load(Ordering::Relaxed), n * 2 % 65521);
            }
        });
    }

    #[test]
    fn nobody_looks_on_the_processor_of_the_other_side() {
        let words: [AtomicU32; 5] = Default::default();
        let [turn, i_sleep, peer_sleeps, my_processor, peer_processor] = &words;
        let handoff = Handoff { turn, i_sleep, peer_sleeps, my_processor, peer_processor };
        let look = |processor| {
            let mut wait = SpinPolicy::default().begin(true, Cores::Free);
            let asked = std::cell::Cell::new(0);
            handoff.spin(IDLE, &mut wait, || {
                asked.set(asked.get() + 1);
                processor
            });
            (asked.get(), my_processor.load(Ordering::Relaxed))
        };
        peer_processor.store(told(1), Ordering::Relaxed);
        assert_eq!(look(1), (1, told(1)));
        assert!(look(0).0 > 1);
        // A side that does not know where it is looks, whatever the other says.
        peer_processor.store(0, Ordering::Relaxed);
        assert!(look(u32::MAX).0 > 1);
    }
}

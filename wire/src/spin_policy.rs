//! How long one side of a slot looks at the turn word before it sleeps.
//!
//! While both sides are awake a hand-over costs a fraction of a microsecond; one that wakes a sleeper on an
//! idle core costs 50 to 100 µs, because that core, too, has to be woken. So two rules:
//!
//! * **A side that has just woken the other one waits for it as long as that takes** ([`LONG`]). Otherwise it
//!   would be asleep itself by the time the other is up, would have to be woken in turn, and so on: two sides
//!   once out of step would stay so, at two wake-ups a call.
//! * **Otherwise it waits for a while that shrinks with each time it was useless** and is full again with the
//!   first that was not: a guest that calls often finds its worker awake, one that computes does not pay for
//!   it.
//! * **A side that fell asleep just before its turn came** ([`NEAR`]) waits long the next time: a guest that
//!   computes for some 50 µs between its calls, as one does that reads a file piece by piece, would else wake
//!   its worker for each.
//!
//! * **A side that is on the same core as the other one sleeps at once**: that is how the other gets the
//!   core, in 2 µs. A side that only yields may go on for 20 to 40, since the scheduler lets it have its
//!   share first.
//!
//! Long waits that are useless, because the call blocks or no core is free, are made less and less often.
//!
//! The other side may well be waiting for this very core, and so may those that it depends on. A wait
//! therefore yields between looks ([`Handoff::spin`](crate::handoff::Handoff::spin)). Where nobody else
//! wants the core that costs nothing; where somebody computes it costs a turn of the scheduler's, some
//! milliseconds. Then cores are short ([`Cores::Contended`]), and for a while no side yields, since nobody
//! looks for so long: a sleeper that is woken is put before a thread that computes, one that yielded is not.

use std::time::{Duration, Instant};

/// Longest wait, for a side that has just woken the other.
pub const LONG: Duration = Duration::from_micros(120);
/// Longest wait otherwise.
pub const SHORT: Duration = Duration::from_micros(20);
/// Shortest wait: a guest thread that calls in a loop needs about 1 µs.
pub const SHORTEST: Duration = Duration::from_micros(1);
/// A sleep that is over so soon after the wait began was a mistake: much of it was the waking.
pub const NEAR: Duration = Duration::from_micros(240);
/// Who gave way and comes back after so long was not held up by the other side: that does its work in less,
/// or sleeps.
pub const TURN_OF_OTHERS: Duration = Duration::from_micros(2000);
/// After so many useless long waits, the pauses between them grow no more: then one in 2⁶ is long.
const MOST_IN_VAIN: u32 = 6;

/// How much spinning the cores allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// There is one: who spins keeps the other side from running.
    One,
    /// Each has something else to run.
    Contended,
    /// There is one to spare.
    Free,
}

/// The policy of one side of one slot.
#[derive(Clone, Copy, Debug)]
pub struct SpinPolicy {
    short: Duration,
    in_vain: u32,
    skip: u32,
    /// The last sleep was too short to be worth it.
    near: bool,
}

impl Default for SpinPolicy {
    fn default() -> SpinPolicy {
        SpinPolicy { short: SHORT, in_vain: 0, skip: 0, near: false }
    }
}

impl SpinPolicy {
    /// Begins a wait; `woke`: the other side was asleep and has just been woken.
    pub fn begin(&mut self, woke: bool, cores: Cores) -> Wait {
        let limit = self.limit(woke || self.near, cores);
        Wait { limit, began: None, slept: false, lost_core: false, together: false }
    }

    /// The turn has come; learns from how that was.
    pub fn end(&mut self, wait: Wait) {
        self.end_at(wait, Instant::now);
    }

    /// The clock is only looked at after a sleep.
    fn end_at(&mut self, wait: Wait, now: impl FnOnce() -> Instant) {
        if wait.together {
            // It says nothing of how long the other side takes.
        } else if wait.slept {
            self.miss(wait.limit);
            self.near = wait.began.is_some_and(|began| now() - began < NEAR);
        } else {
            *self = SpinPolicy { near: self.near, ..SpinPolicy::default() };
        }
    }

    fn limit(&mut self, long: bool, cores: Cores) -> Duration {
        match cores {
            Cores::One => Duration::ZERO,
            Cores::Contended => self.short.min(SHORTEST),
            Cores::Free if long && self.skip == 0 => LONG,
            Cores::Free => {
                self.skip = self.skip.saturating_sub(u32::from(long));
                self.short
            }
        }
    }

    fn miss(&mut self, limit: Duration) {
        if limit == LONG {
            self.in_vain = (self.in_vain + 1).min(MOST_IN_VAIN);
            self.skip = (1 << self.in_vain) - 1;
        }
        self.short = (self.short / 2).max(SHORTEST);
    }
}

/// A wait for the turn: awake up to the limit, then asleep.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    limit: Duration,
    /// When the clock was first looked at: not at all in a wait that is over at once.
    began: Option<Instant>,
    slept: bool,
    lost_core: bool,
    together: bool,
}

impl Wait {
    /// How long to look before sleeping: once it has slept, the side only sleeps.
    pub fn awake(&self) -> Duration {
        if self.slept { Duration::ZERO } else { self.limit }
    }

    /// For how long it has lasted at `now`, since this was first asked.
    pub fn lasted(&mut self, now: Instant) -> Duration {
        now - *self.began.get_or_insert(now)
    }

    /// Both sides are on one core: the side did not look, or looked no longer.
    pub fn is_together(&mut self) {
        self.together = true;
    }

    /// The side has given way, and others had the core for [`TURN_OF_OTHERS`].
    pub fn lost_core(&mut self) {
        self.lost_core = true;
    }

    /// Whether others had the core for long since this was asked last: somebody who computes.
    pub fn has_lost_core(&mut self) -> bool {
        std::mem::take(&mut self.lost_core)
    }

    /// The side is going to sleep.
    pub fn sleeps(&mut self) {
        self.slept = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_that_woke_the_other_waits_until_that_is_up() {
        let mut policy = SpinPolicy::default();
        assert_eq!(policy.limit(true, Cores::Free), LONG);
        assert_eq!(policy.limit(false, Cores::Free), SHORT);
    }

    #[test]
    fn waits_in_vain_become_shorter_and_one_that_is_not_makes_them_full_again() {
        let mut policy = SpinPolicy::default();
        for _ in 0..20 {
            let mut wait = policy.begin(false, Cores::Free);
            wait.sleeps();
            assert_eq!(wait.awake(), Duration::ZERO);
            policy.end(wait);
        }
        assert_eq!(policy.limit(false, Cores::Free), SHORTEST);
        let wait = policy.begin(false, Cores::Free);
        policy.end(wait);
        assert_eq!(policy.limit(false, Cores::Free), SHORT);
    }

    #[test]
    fn who_sleeps_just_before_its_turn_comes_waits_longer_the_next_time_and_as_long_as_that_helps() {
        let mut policy = SpinPolicy::default();
        let began = Instant::now();
        let slept = Wait { limit: SHORT, began: Some(began), slept: true, lost_core: false, together: false };
        policy.end_at(slept, || began + Duration::from_micros(70));
        for _ in 0..3 {
            let wait = policy.begin(false, Cores::Free);
            assert_eq!(wait.awake(), LONG);
            policy.end(wait);
        }
        policy.end_at(slept, || began + NEAR);
        assert!(policy.begin(false, Cores::Free).awake() < LONG);
    }

    #[test]
    fn long_waits_in_vain_become_rare_but_never_end() {
        let mut policy = SpinPolicy::default();
        let mut long = || {
            let limit = policy.limit(true, Cores::Free);
            policy.miss(limit);
            limit == LONG
        };
        let pattern: Vec<bool> = (0..400).map(|_| long()).collect();
        assert_eq!(pattern[..8], [true, false, true, false, false, false, true, false]);
        assert_eq!(pattern[200..].iter().filter(|&&l| l).count(), 3);
    }

    #[test]
    fn a_wait_tells_once_that_it_has_lost_the_core() {
        let mut wait = SpinPolicy::default().begin(false, Cores::Free);
        assert!(!wait.has_lost_core());
        wait.lost_core();
        assert_eq!([wait.has_lost_core(), wait.has_lost_core()], [true, false]);
    }

    #[test]
    fn nobody_spins_on_the_only_core_and_nobody_long_where_cores_are_short() {
        let mut policy = SpinPolicy::default();
        assert_eq!(policy.limit(true, Cores::One), Duration::ZERO);
        assert_eq!(policy.limit(true, Cores::Contended), SHORTEST);
    }
}

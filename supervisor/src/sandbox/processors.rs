//! Whether processors are to spare: a worker and its guest thread may only spin where no other thread could
//! run meanwhile.
//!
//! No count of what runs says that: two sides that spin count as much as two that compute. So it is tried
//! out. A thread that spins yields ([`Handoff::spin`](rxbox_wire::handoff::Handoff::spin)); if another then
//! keeps the core, processors are short. That costs a time slice of the scheduler, some milliseconds, so for
//! a while no thread spins then; each time that this turns out to have been too short, the next such while is
//! twice as long.

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu};
use nix::unistd::Pid;
use rxbox_wire::frame::Reply;
use rxbox_wire::spin_policy::Cores;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long processors count as short the first time.
const FIRST: Duration = Duration::from_millis(10);
/// And at most.
const LONGEST: Duration = Duration::from_secs(1);

/// The processor that this thread runs on (sched_getcpu(3)), as it was a moment ago. The C library knows it
/// without a call. `u32::MAX` if it does not.
pub fn current() -> u32 {
    sched_getcpu().map_or(u32::MAX, |cpu| cpu as u32)
}

/// The processors on which this process may run.
#[derive(Debug)]
pub struct Processors {
    count: u64,
    began: Instant,
    /// They count as short until then, in nanoseconds since `began`; 0 if they do not.
    until: AtomicU64,
    /// When they were found short last, in the same measure, and how long that counts.
    found: AtomicU64,
    span: AtomicU64,
}

impl Processors {
    /// As the host has set it for this process.
    pub fn of_host() -> Processors {
        let allowed = sched_getaffinity(Pid::from_raw(0));
        let count =
            |set: CpuSet| (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).count();
        Processors::new(allowed.map_or(1, count) as u64)
    }

    fn new(count: u64) -> Processors {
        let zero = || AtomicU64::new(0);
        Processors { count, began: Instant::now(), until: zero(), found: zero(), span: zero() }
    }

    /// Whether there are some to spare, as far as that is known.
    pub fn cores(&self) -> Cores {
        if self.count <= 1 { Cores::One } else { self.at(|| self.now()) }
    }

    /// The same as the flag of a reply, for guest threads.
    pub fn reply_flag(&self) -> u32 {
        if self.cores() == Cores::Free { 0 } else { Reply::CONTENDED }
    }

    /// They were found to be short.
    pub fn found_short(&self) {
        self.short_at(self.now());
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The clock is only looked at while processors count as short.
    fn at(&self, now: impl Fn() -> u64) -> Cores {
        let until = self.until.load(Ordering::Relaxed);
        if until == 0 {
            return Cores::Free;
        }
        if now() < until {
            return Cores::Contended;
        }
        // Somebody may have found them short again meanwhile.
        let _ = self.until.compare_exchange(until, 0, Ordering::Relaxed, Ordering::Relaxed);
        Cores::Free
    }

    fn short_at(&self, now: u64) {
        if now < self.until.load(Ordering::Relaxed) {
            return;
        }
        let nanos = |span: Duration| span.as_nanos() as u64;
        let (found, span) = (self.found.swap(now, Ordering::Relaxed), self.span.load(Ordering::Relaxed));
        // It was too short if as much time again has not passed since.
        let again = now - found.min(now) <= 2 * span;
        let span = if again { (2 * span).min(nanos(LONGEST)) } else { nanos(FIRST) };
        self.span.store(span, Ordering::Relaxed);
        self.until.store(now + span, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn processors_are_short_for_a_while_once_they_were_found_so() {
        let two = Processors::new(2);
        assert_eq!((two.cores(), Processors::new(1).cores()), (Cores::Free, Cores::One));
        two.short_at(100 * MS);
        assert_eq!(
            [105, 110, 111].map(|ms| two.at(|| ms * MS)),
            [Cores::Contended, Cores::Free, Cores::Free]
        );
        two.found_short();
        assert_eq!(two.cores(), Cores::Contended);
    }

    #[test]
    fn the_while_grows_if_they_are_short_all_the_time_and_not_if_they_are_now_and_then() {
        let two = Processors::new(2);
        let spans = |step: fn(u64) -> u64| {
            let mut now = 10_000 * MS;
            let mut spans = [0; 10];
            for span in &mut spans {
                two.short_at(now);
                // Meanwhile it says nothing more.
                two.short_at(now + 1);
                *span = (two.until.load(Ordering::Relaxed) - now) / MS;
                now = step(now + *span * MS);
            }
            spans
        };
        assert_eq!(spans(|end| end + MS), [10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000]);
        let two = Processors::new(2);
        two.short_at(0);
        assert_eq!(spans(|end| end + 10_000 * MS)[1..], [10; 9]);
    }
}

//! Time limits of calls that are made again.
//!
//! A waiting call that was interrupted without a handler having run goes on (signal(7)): the registers go
//! back to before the call, and the guest makes it once more. It must then wait for what *remains* of its
//! time, or a program that is often disturbed would wait for ever. The kernel keeps the end of the wait
//! for that (its `restart_block`); so does this module. Calls whose time the kernel itself counts down in
//! guest memory (select(2), ppoll(2)), and those that wait until a point in time, need nothing of it
//! ([`Timeout::is_from_now`](rxbox_wire::kind::Timeout::is_from_now)).

use crate::guest::access;
use rxbox_wire::kind::{Kind, Syscall};
use std::time::{Duration, Instant};

/// When a call that is under way has waited long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    nr: u32,
    pc: u64,
    end: Instant,
}

/// Seconds and nanoseconds that take the place of what argument `at` points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Index of the argument.
    pub at: usize,
    /// A `timespec`.
    pub time: [u64; 2],
}

impl Remaining {
    /// As it lies in memory.
    pub fn bytes(&self) -> [u8; 16] {
        let [seconds, nanoseconds] = self.time.map(u64::to_le_bytes);
        std::array::from_fn(|i| if i < 8 { seconds[i] } else { nanoseconds[i - 8] })
    }
}

/// How long the call waits at most; `None` for ever, or if the kernel is going to refuse the time.
fn span(kind: Kind, arg: u64) -> Option<Duration> {
    if kind == Kind::Millis {
        return u64::try_from(arg as i32).ok().map(Duration::from_millis);
    }
    if arg == 0 {
        return None;
    }
    let seconds = access::read_u64(arg).ok()?;
    let nanoseconds = access::read_u64(arg.wrapping_add(8)).ok()?;
    // What exceeds every clock needs no counting.
    const LONGEST: u64 = 1 << 32;
    (seconds < LONGEST && nanoseconds < 1_000_000_000).then(|| Duration::new(seconds, nanoseconds as u32))
}

impl Deadline {
    /// The deadline of a call that begins at `pc`: the one that it was `kept` with, if it is the same call
    /// made again, and then `args` and the time are changed to what remains.
    pub fn begin(
        call: &Syscall,
        args: &mut [u64; 6],
        pc: u64,
        kept: Option<Deadline>,
    ) -> (Option<Deadline>, Option<Remaining>) {
        let Some((at, kind, _)) = call.time_limit(args).filter(|(.., form)| form.is_from_now(args)) else {
            return (None, None);
        };
        let nr = call.nr;
        let Some(deadline) = kept.filter(|l| (l.nr, l.pc) == (nr, pc)) else {
            let end = span(kind, args[at]).and_then(|span| Instant::now().checked_add(span));
            return (end.map(|end| Deadline { nr, pc, end }), None);
        };
        let remaining = deadline.end.saturating_duration_since(Instant::now());
        if kind == Kind::Millis {
            // Never less than what remains, or the wait would end too early.
            args[at] = remaining.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as u64;
            return (Some(deadline), None);
        }
        (Some(deadline), Some(Remaining { at, time: [remaining.as_secs(), remaining.subsec_nanos().into()] }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rxbox_wire::table;

    fn row(nr: libc::c_long) -> &'static Syscall {
        table::row(nr as u32).unwrap()
    }

    #[test]
    fn a_call_made_again_gets_what_is_left_and_another_call_its_own_time() {
        let call = row(libc::SYS_poll);
        let mut args = [0, 0, 60_000, 0, 0, 0];
        let (deadline, remaining) = Deadline::begin(call, &mut args, 0x1000, None);
        assert_eq!((args[2], remaining), (60_000, None));
        let half = deadline.map(|l| Deadline { end: l.end - Duration::from_secs(30), ..l });
        let (again, _) = Deadline::begin(call, &mut args, 0x1000, half);
        assert_eq!(again, half);
        assert!(args[2] <= 30_000 && args[2] > 0, "{args:?}");
        let mut args = [0, 0, 60_000, 0, 0, 0];
        assert_ne!(Deadline::begin(call, &mut args, 0x2000, half).0, half);
        assert_eq!(args[2], 60_000);
    }

    #[test]
    fn a_call_that_waits_for_ever_or_until_a_point_in_time_has_no_limit() {
        for (nr, args) in [
            (libc::SYS_poll, [0, 0, u64::MAX, 0, 0, 0]),
            (libc::SYS_futex, [0; 6]),
            (libc::SYS_clock_nanosleep, [1, libc::TIMER_ABSTIME as u64, 0x10000, 0, 0, 0]),
            (libc::SYS_read, [0; 6]),
        ] {
            let mut same = args;
            assert_eq!(Deadline::begin(row(nr), &mut same, 0, None), (None, None));
            assert_eq!(same, args);
        }
    }

    #[test]
    fn a_time_lies_in_memory_as_the_kernel_reads_it() {
        let bytes = Remaining { at: 0, time: [2, 500] }.bytes();
        assert_eq!((bytes[0], bytes[8], bytes[9]), (2, 0xf4, 1));
    }
}

//! Granted futex calls (futex(2), futex_waitv(2)). Futexes are the host's, on the guest's own words
//! ([`crate::host::futex`]).

use crate::guest::access;
use crate::host::futex::{self, WAITER_WORDS};
use crate::thread::Thread;
use nix::errno::Errno;

/// futex(2), of which some operations wait.
pub fn futex(thread: &Thread, args: &[u64; 6], waits: bool) -> Result<i64, Errno> {
    let remaining = thread.remaining.map(|remaining| remaining.time);
    futex::operate(args, remaining.as_ref(), waits)
}

/// futex_waitv(2). The array is copied, so that what is checked is what the kernel sees.
pub fn futex_waitv(args: &[u64; 6]) -> Result<i64, Errno> {
    const MOST: usize = 128;
    let [waiters, count, flags, timeout, clock, _] = *args;
    let count = count as u32 as usize;
    if waiters == 0 || !(1..=MOST).contains(&count) || flags as u32 != 0 {
        return Err(Errno::EINVAL);
    }
    let mut copy = vec![[0u64; WAITER_WORDS]; count];
    for (i, word) in copy.iter_mut().flatten().enumerate() {
        *word = access::read_u64(waiters.wrapping_add(8 * i as u64))?;
    }
    futex::wait_for_any(&copy, flags, timeout, clock)
}

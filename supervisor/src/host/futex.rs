//! futex(2) on words in memory shared with another process.

use super::SyscallResult;
use super::wait::Time;
use rxbox_wire::handoff::Futex;
use std::sync::atomic::AtomicU32;

/// The longest sleep: a hostile child can put back a word that was changed to wake somebody, just before he
/// sleeps on it.
const LONGEST: Time = [10, 0];

/// Sleeps while the word has this value; returns on a wake-up, another value, a signal, or for no reason.
pub fn wait(word: &AtomicU32, value: u32) {
    let time = LONGEST.as_ptr() as u64;
    let args = [word.as_ptr() as u64, libc::FUTEX_WAIT as u64, value.into(), time, 0, 0];
    // SAFETY: word and time outlive the call. All results mean the same: look again.
    let _ = unsafe { super::raw::call(libc::SYS_futex, args) };
}

/// As [`wait`], but interruptible, and only for so long if there is a time. EAGAIN if the word has another
/// value, EINTR, ETIMEDOUT.
pub fn wait_interruptibly(word: &AtomicU32, value: u32, time: Option<&Time>) -> SyscallResult {
    let time = time.map_or(0, |t| t.as_ptr() as u64);
    let args = [word.as_ptr() as u64, libc::FUTEX_WAIT as u64, value.into(), time, 0, 0];
    // SAFETY: word and time outlive the call.
    unsafe { super::interrupt::interruptible(libc::SYS_futex, args) }
}

/// Wakes all who sleep on the word.
pub fn wake(word: &AtomicU32) {
    let args = [word.as_ptr() as u64, libc::FUTEX_WAKE as u64, i32::MAX as u64, 0, 0, 0];
    // SAFETY: the word outlives the call. Nothing can fail for a valid address.
    let _ = unsafe { super::raw::call(libc::SYS_futex, args) };
}

/// The kernel's futex on words that are shared between processes.
#[derive(Clone, Copy, Debug)]
pub struct HostFutex;

impl Futex for HostFutex {
    fn wait(&self, word: &AtomicU32, value: u32) {
        wait(word, value);
    }
    fn wake(&self, word: &AtomicU32) {
        wake(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_sleeper_is_woken_and_a_changed_word_does_not_put_to_sleep() {
        let word = AtomicU32::new(0);
        wait(&word, 1);
        std::thread::scope(|s| {
            s.spawn(|| {
                while word.load(Ordering::Acquire) == 0 {
                    wait(&word, 0);
                }
            });
            word.store(1, Ordering::Release);
            wake(&word);
        });
    }
}

//! Sets of signals, as the kernel's `sigset_t`: bit n - 1 is signal n.

/// Highest signal number.
pub const LAST: i32 = 64;
/// First real-time signal of the kernel; those below are *standard*: pending at most once.
pub const FIRST_REAL_TIME: i32 = 32;

/// A set of signals 1 to 64.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SigSet(pub u64);

impl SigSet {
    /// No signal.
    pub const EMPTY: SigSet = SigSet(0);
    /// Every signal.
    pub const ALL: SigSet = SigSet(u64::MAX);
    /// What cannot be blocked, caught or ignored (signal(7)).
    pub const UNBLOCKABLE: SigSet = SigSet::of(&[libc::SIGKILL, libc::SIGSTOP]);
    /// What an instruction can raise. The runtime needs these for itself at any time.
    pub const FAULTS: SigSet =
        SigSet::of(&[libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP]);
    /// What the kernel delivers before all others (its SYNCHRONOUS_MASK).
    pub const SYNCHRONOUS: SigSet = SigSet::FAULTS.with(libc::SIGSYS);
    /// What does nothing by default (signal(7)).
    pub const IGNORED_BY_DEFAULT: SigSet =
        SigSet::of(&[libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH]);
    /// What stops the process by default (signal(7)).
    pub const STOPPING_BY_DEFAULT: SigSet =
        SigSet::of(&[libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU]);

    /// The set of these signals; numbers that are no signals are left out.
    pub const fn of(signals: &[i32]) -> SigSet {
        let mut set = SigSet::EMPTY;
        let mut i = 0;
        while i < signals.len() {
            set = set.with(signals[i]);
            i += 1;
        }
        set
    }

    const fn bit(signal: i32) -> u64 {
        if is_signal(signal) { 1 << (signal - 1) } else { 0 }
    }

    /// Whether the signal is in the set.
    pub const fn contains(self, signal: i32) -> bool {
        self.0 & SigSet::bit(signal) != 0
    }

    /// The set and this signal.
    pub const fn with(self, signal: i32) -> SigSet {
        SigSet(self.0 | SigSet::bit(signal))
    }

    /// What is in either set.
    pub const fn union(self, other: SigSet) -> SigSet {
        SigSet(self.0 | other.0)
    }

    /// What is in this set and not in the other.
    pub const fn minus(self, other: SigSet) -> SigSet {
        SigSet(self.0 & !other.0)
    }

    /// What is in both sets.
    pub const fn intersection(self, other: SigSet) -> SigSet {
        SigSet(self.0 & other.0)
    }

    /// The host thread's mask for a guest mask: without the signals that the runtime itself needs.
    pub const fn on_host(self) -> SigSet {
        self.minus(SigSet::FAULTS).minus(SigSet::UNBLOCKABLE)
    }
}

/// Whether the number is a signal's.
pub const fn is_signal(signal: i32) -> bool {
    signal >= 1 && signal <= LAST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_where_the_kernel_has_them() {
        assert_eq!(SigSet::of(&[1]).0, 1);
        assert_eq!(SigSet::of(&[libc::SIGKILL, libc::SIGSTOP]).0, 1 << 8 | 1 << 18);
        assert_eq!(SigSet::of(&[64]).0, 1 << 63);
        assert_eq!(SigSet::of(&[0, -1, 65, i32::MIN, i32::MAX]), SigSet::EMPTY);
    }

    #[test]
    fn set_arithmetic_is_that_of_sets() {
        let (a, b) = (SigSet::of(&[1, 2, 33]), SigSet::of(&[2, 64]));
        assert_eq!(a.union(b), SigSet::of(&[1, 2, 33, 64]));
        assert_eq!(a.minus(b), SigSet::of(&[1, 33]));
        assert_eq!(a.intersection(b), SigSet::of(&[2]));
        assert!(a.contains(33) && !a.contains(34) && !SigSet::ALL.contains(0) && !SigSet::ALL.contains(65));
    }

    #[test]
    fn the_host_never_blocks_what_the_runtime_needs() {
        let host = SigSet::ALL.on_host();
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGKILL]
        {
            assert!(!host.contains(signal));
        }
        assert!(host.contains(libc::SIGTERM) && host.contains(32) && host.contains(33));
    }
}

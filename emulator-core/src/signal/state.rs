//! The signal state of one guest thread.
//!
//! Signals reach the guest in two steps: the host's handler puts them in the thread's ring, and from there
//! they are *taken* and wait until the guest's mask lets them through. Most wait for no time at all; one
//! stays here if it arrived just before the guest blocked it, or along with another whose handler blocks it.
//! The host's mask follows the guest's, so that everything else that is blocked waits in the kernel.

use super::frame::LastTrap;
use super::host::{self, AltStack};
use super::info::SigInfo;
use super::stack::AlternateStack;
use crate::base::sigset::{FIRST_REAL_TIME, SigSet};
use crate::runtime::stop::SignalRing;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

/// Mask, alternate stack and waiting signals of a guest thread.
#[derive(Debug, Default)]
pub struct ThreadSignals {
    /// What the guest blocks.
    pub(super) mask: SigSet,
    /// The mask to have again once a handler was called: while a call like sigsuspend(2) has put another in
    /// its place.
    pub(super) saved: Option<SigSet>,
    /// The guest's alternate stack.
    pub(super) stack: AlternateStack,
    /// The last fault.
    pub(super) trap: LastTrap,
    /// The host thread's alternate stack, once it has one.
    pub(super) host_stack: Option<AltStack>,
    taken: VecDeque<SigInfo>,
}

impl ThreadSignals {
    /// Of the first thread of a process that starts: nothing blocked.
    pub fn new() -> ThreadSignals {
        ThreadSignals::default()
    }

    /// Of a new thread or process: the mask is inherited, and by a process the alternate stack too
    /// (sigaltstack(2)).
    pub fn inherit(&self, shares_memory: bool) -> ThreadSignals {
        let stack = if shares_memory { AlternateStack::default() } else { self.stack };
        ThreadSignals { mask: self.mask, stack, ..ThreadSignals::default() }
    }

    /// What the guest blocks.
    pub fn mask(&self) -> SigSet {
        self.mask
    }

    /// Takes what the handler has queued.
    pub(super) fn collect(&mut self, ring: &SignalRing) {
        while let Some(info) = ring.pop() {
            self.take(host::received(&info));
        }
    }

    /// Adds a signal; a standard one that waits already is the same one.
    fn take(&mut self, info: SigInfo) {
        let signal = info.signal();
        if signal >= FIRST_REAL_TIME || !self.waiting().contains(signal) {
            self.taken.push_back(info);
        }
    }

    /// The signals that were taken and wait.
    pub(super) fn waiting(&self) -> SigSet {
        self.taken.iter().fold(SigSet::EMPTY, |set, info| set.with(info.signal()))
    }

    /// Removes the next signal of the set to be delivered: those that faults raise first, then by number,
    /// then by age, as the kernel does.
    pub(super) fn next_of(&mut self, set: SigSet) -> Option<SigInfo> {
        let order = |info: &SigInfo| (!SigSet::SYNCHRONOUS.contains(info.signal()), info.signal());
        let wanted = self.taken.iter().enumerate().filter(|(_, info)| set.contains(info.signal()));
        let (at, _) = wanted.min_by_key(|(_, info)| order(info))?;
        self.taken.remove(at)
    }

    /// Removes the next signal that the mask lets through.
    pub(super) fn next(&mut self) -> Option<SigInfo> {
        self.next_of(SigSet::ALL.minus(self.mask))
    }

    /// Gives all that wait away.
    pub(super) fn give_up(&mut self) -> Vec<SigInfo> {
        std::mem::take(&mut self.taken).into()
    }

    /// Adds signals that waited for another thread.
    pub(super) fn add(&mut self, waiting: Vec<SigInfo>) {
        waiting.into_iter().for_each(|info| self.take(info));
    }

    /// Forgets waiting signals of the set.
    pub(super) fn discard(&mut self, set: SigSet) {
        self.taken.retain(|info| !set.contains(info.signal()));
    }
}

/// What a program keeps of the signals of the thread that executed it: the mask, and what waits.
#[derive(Debug)]
pub struct InheritedSignals {
    pub(super) mask: SigSet,
    pub(super) waiting: Vec<SigInfo>,
}

/// The signals that a process has, or once had, descriptors for (signalfd(2)).
#[derive(Debug, Default)]
pub struct DescriptorSignals(AtomicU64);

impl DescriptorSignals {
    /// All of them.
    pub(super) fn set(&self) -> SigSet {
        SigSet(self.0.load(Ordering::Relaxed))
    }

    /// Adds those of another descriptor.
    pub(super) fn add(&self, set: SigSet) {
        self.0.fetch_or(set.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signals(numbers: &[i32]) -> ThreadSignals {
        let mut s = ThreadSignals::new();
        for (age, &signal) in numbers.iter().enumerate() {
            s.take(SigInfo::fault(signal, 0, age as u64));
        }
        s
    }

    fn order(s: &mut ThreadSignals) -> Vec<i32> {
        std::iter::from_fn(|| s.next()).map(|i| i.signal()).collect()
    }

    #[test]
    fn faults_come_first_then_low_numbers_then_old_ones() {
        let mut s = signals(&[40, 40, libc::SIGTERM, libc::SIGSEGV, libc::SIGHUP]);
        assert_eq!(order(&mut s), [libc::SIGSEGV, libc::SIGHUP, libc::SIGTERM, 40, 40]);
        let mut s = signals(&[40, 40]);
        assert_eq!(s.next(), Some(SigInfo::fault(40, 0, 0)));
    }

    #[test]
    fn standard_signals_wait_once_and_real_time_ones_as_often_as_sent() {
        let mut s = signals(&[10, 10, 10, 34, 34]);
        assert_eq!(order(&mut s), [10, 34, 34]);
    }

    #[test]
    fn blocked_signals_wait_until_they_are_unblocked() {
        let mut s = signals(&[10, 12]);
        s.mask = SigSet::of(&[10]);
        assert_eq!(order(&mut s), [12]);
        assert_eq!(s.waiting(), SigSet::of(&[10]));
        s.mask = SigSet::EMPTY;
        assert_eq!(order(&mut s), [10]);
    }

    #[test]
    fn a_new_thread_has_the_mask_only_and_a_new_process_the_stack_too() {
        let mut s = signals(&[10]);
        s.mask = SigSet::of(&[10]);
        s.stack = AlternateStack { base: 0x1000, flags: 0, size: 0x4000 };
        let (thread, process) = (s.inherit(true), s.inherit(false));
        assert_eq!((thread.mask, process.mask), (s.mask, s.mask));
        assert_eq!((thread.stack, process.stack), (AlternateStack::default(), s.stack));
        assert_eq!(thread.waiting().union(process.waiting()), SigSet::EMPTY);
    }
}

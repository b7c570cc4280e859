//! The host descriptors that all guest processes share.
//!
//! They are the supervisor's. A [`Budget`] keeps a reserve of them for the supervisor itself, so that a guest
//! that opens all it can gets ENFILE while its siblings still find their way around. Descriptors in tables
//! count, and those that the supervisor keeps for guests beside them ([`Share`]).

use nix::errno::Errno;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many descriptors all guest processes of a sandbox may have open together.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    most: usize,
}

impl Budget {
    /// A budget of `most` descriptors.
    pub fn new(most: usize) -> Arc<Budget> {
        Arc::new(Budget { used: AtomicUsize::new(0), most })
    }
    /// How many there are at all.
    pub fn most(&self) -> usize {
        self.most
    }
    /// Takes `n` out of it. ENFILE if there are fewer.
    pub(crate) fn take(&self, n: usize) -> Result<(), Errno> {
        let take = |used: usize| used.checked_add(n).filter(|u| *u <= self.most);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .map(drop)
            .map_err(|_| Errno::ENFILE)
    }
    /// Takes `n` out of it as long as the share lives.
    ///
    /// # Errors
    /// As [`Budget::take`].
    pub fn share(self: &Arc<Self>, n: usize) -> Result<Share, Errno> {
        self.take(n)?;
        Ok(Share { budget: self.clone(), n })
    }
    /// ENFILE if nothing is left.
    pub(crate) fn room(&self) -> Result<(), Errno> {
        if self.used.load(Ordering::Relaxed) < self.most { Ok(()) } else { Err(Errno::ENFILE) }
    }
    /// Gives `n` back.
    pub(crate) fn give(&self, n: usize) {
        self.used.fetch_sub(n, Ordering::Relaxed);
    }
}

/// A part of a budget, for descriptors that the supervisor keeps for guests beside those in tables.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    n: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give(self.n);
    }
}

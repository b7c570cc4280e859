//! Closing files whose closing may wait for somebody ([`File::closing_may_wait`]).
//!
//! A process that ends closes all its files, here as everywhere; and who closes may wait as long as the guest
//! has set, or as a file server likes. Natively that is the time of the process that ends. Here it is that of
//! a thread with no other duty, so that the event loop, and whoever else takes note of the end, goes on. As
//! long as files are being closed their process counts as one that is there.
//!
//! [`File::closing_may_wait`]: crate::state::fd::File::closing_may_wait

use crate::sandbox::worker_pool::WorkerPool;
use crate::state::fd::Released;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What closes such files.
#[derive(Debug)]
pub struct Closer {
    threads: WorkerPool<Closing>,
    /// What is to be closed once a thread can be had.
    left: Mutex<Vec<Closing>>,
    closing: Arc<AtomicUsize>,
}

/// The files of one process.
#[derive(Debug)]
struct Closing {
    files: Option<Released>,
    count: Arc<AtomicUsize>,
}

impl Drop for Closing {
    fn drop(&mut self) {
        drop(self.files.take());
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Closer {
    fn default() -> Self {
        Closer { threads: WorkerPool::new(drop), left: Mutex::default(), closing: Arc::default() }
    }
}

impl Closer {
    /// Closes the files of a process that has ended, by and by.
    pub fn close(&self, files: Released) {
        self.closing.fetch_add(1, Ordering::Relaxed);
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.push(Closing { files: Some(files), count: self.closing.clone() });
        while let Some(closing) = left.pop() {
            if let Err(closing) = self.threads.start(closing) {
                left.push(closing);
                return;
            }
        }
    }

    /// How many processes have ended whose files are not closed yet.
    pub fn processes(&self) -> usize {
        self.closing.load(Ordering::Relaxed)
    }
}

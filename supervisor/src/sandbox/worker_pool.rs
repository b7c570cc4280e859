//! Threads that do jobs. One that is done waits for another job, since threads and processes of guests come
//! and go quickly, and a thread of the host costs more than most calls.

use crate::host::credentials::{as_own, is_own};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Threads kept waiting at most.
const MOST_IDLE: usize = 32;
/// Stack of a thread. Handlers do not recurse.
const STACK: usize = 512 * 1024;

/// Threads that all do the same kind of job. Those that wait end with the pool.
#[derive(Debug)]
pub struct WorkerPool<J> {
    work: fn(J),
    idle: Arc<Mutex<Idle<J>>>,
}

/// Where to send jobs to.
type Idle<J> = Vec<Sender<J>>;

fn lock<J>(idle: &Mutex<Idle<J>>) -> MutexGuard<'_, Idle<J>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<J: Send + 'static> WorkerPool<J> {
    /// A pool without threads; `work` does a job.
    pub fn new(work: fn(J)) -> WorkerPool<J> {
        WorkerPool { work, idle: Arc::default() }
    }

    /// Has a job done by a thread that waits, or else by a new one.
    ///
    /// # Errors
    /// The job, if no thread can be made.
    pub fn start(&self, mut job: J) -> Result<(), J> {
        while let Some(worker) = { lock(&self.idle).pop() } {
            match worker.send(job) {
                Ok(()) => return Ok(()),
                Err(back) => job = back.0,
            }
        }
        let (work, idle) = (self.work, Arc::downgrade(&self.idle));
        let thread = std::thread::Builder::new().name("worker".to_owned()).stack_size(STACK);
        let (sender, receiver) = channel();
        // It starts as the supervisor's, whoever is served by the thread that starts it.
        match as_own(|| thread.spawn(move || do_jobs(work, receiver, &idle))) {
            Ok(_) => sender.send(job).map_err(|back| back.0),
            Err(_) => Err(job),
        }
    }

    /// How many threads wait.
    #[cfg(test)]
    pub(crate) fn idle(&self) -> usize {
        lock(&self.idle).len()
    }
}

/// A thread's life: it ends when enough others wait, or the pool is gone, or it has credentials of a guest
/// that it could not get rid of.
fn do_jobs<J>(work: fn(J), first: Receiver<J>, idle: &Weak<Mutex<Idle<J>>>) {
    let mut jobs = first;
    // The only sender is in the pool, or with who started this thread.
    while let Ok(job) = jobs.recv() {
        work(job);
        if !is_own() {
            return;
        }
        let (sender, receiver) = channel();
        {
            let Some(idle) = idle.upgrade() else { return };
            let mut idle = lock(&idle);
            if idle.len() >= MOST_IDLE {
                return;
            }
            idle.push(sender);
        }
        jobs = receiver;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_done_does_the_next_job() {
        let pool = WorkerPool::new(|tell: Sender<_>| tell.send(nix::unistd::gettid()).unwrap());
        let mut threads = Vec::new();
        for _ in 0..3 {
            let (sender, receiver) = channel();
            pool.start(sender).unwrap();
            threads.push(receiver.recv().unwrap());
            while pool.idle() == 0 {
                std::thread::yield_now();
            }
        }
        assert!(threads.iter().all(|&t| t == threads[0]), "{threads:?}");
    }

    #[test]
    fn idle_threads_end_with_the_pool() {
        let pool = WorkerPool::new(|()| {});
        let (sender, receiver) = channel();
        lock(&pool.idle).push(sender);
        drop(pool);
        assert!(receiver.recv().is_err());
    }
}

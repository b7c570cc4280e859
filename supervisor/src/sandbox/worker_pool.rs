//! The threads that serve slots. One that has served its guest thread to the end waits for another, since threads and
//! processes of guests come and go quickly, and a thread of the host costs more than most calls.
//!
//! A worker is interrupted by a signal that goes to its thread ([`crate::state::threads`]). None is sent once the slot is freed, and
//! one that was sent before has arrived when the next slot is taken over, since that makes a host call first: so none
//! interrupts the call of another guest.

use crate::sandbox::Sandbox;
use crate::state::process::Process;
use crate::worker::serve;
use nix::errno::Errno;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Threads kept waiting at most.
const MOST_IDLE: usize = 32;
/// Stack of a worker. Handlers do not recurse.
const STACK: usize = 512 * 1024;

/// A slot to serve, reserved, with its thread counted in.
#[derive(Debug)]
struct Job {
    sandbox: Arc<Sandbox>,
    process: Arc<Process>,
    slot: usize,
}

/// The workers of a sandbox that wait.
#[derive(Debug, Default)]
pub struct Workers {
    idle: Arc<Mutex<Idle>>,
}

/// Where to send work to.
type Idle = Vec<Sender<Job>>;

fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has a slot served that has been reserved and whose thread has been counted in.
///
/// # Errors
/// EAGAIN: no thread can be made.
pub fn start(sandbox: &Arc<Sandbox>, process: &Arc<Process>, slot: usize) -> Result<(), Errno> {
    let idle = &sandbox.workers.idle;
    let mut job = Job { sandbox: sandbox.clone(), process: process.clone(), slot };
    while let Some(worker) = { lock(idle).pop() } {
        match worker.send(job) {
            Ok(()) => return Ok(()),
            Err(back) => job = back.0,
        }
    }
    let weak = Arc::downgrade(idle);
    let work = move || work(job, &weak);
    let thread = std::thread::Builder::new().name("worker".to_owned()).stack_size(STACK).spawn(work);
    thread.map(drop).map_err(|_| Errno::EAGAIN)
}

/// A worker's life: it ends when enough others wait, or the sandbox is gone.
fn work(first: Job, idle: &Weak<Mutex<Idle>>) {
    let mut job = first;
    loop {
        serve(&job.sandbox, &job.process, job.slot);
        drop(job);
        let (sender, receiver) = channel();
        {
            let Some(idle) = idle.upgrade() else { return };
            let mut idle = lock(&idle);
            if idle.len() >= MOST_IDLE {
                return;
            }
            idle.push(sender);
        }
        // The only sender is among the sandbox's workers.
        let Ok(next) = receiver.recv() else { return };
        job = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::tests::Guest;
    use rxbox_wire::bell::CLOSED;

    /// Has slots served one after the other; tells which thread it was each time.
    #[test]
    fn a_worker_that_is_done_serves_the_next_slot() {
        crate::host::interrupt::install().unwrap();
        let Guest { sandbox, process, ends } = Guest::under("version = 1\n");
        let sandbox = Arc::new(sandbox);
        let mut threads = Vec::new();
        for _ in 0..3 {
            sandbox.enter_thread().unwrap();
            let slot = process.threads.reserve(None).unwrap();
            start(&sandbox, &process, slot).unwrap();
            let worker = loop {
                match process.threads.worker(slot) {
                    Some(worker) => break worker,
                    None => std::thread::yield_now(),
                }
            };
            threads.push(worker);
            process
                .line
                .channel
                .slot(slot)
                .unwrap()
                .guest_bell()
                .pass(CLOSED, &crate::state::threads::HostFutex);
            while lock(&sandbox.workers.idle).is_empty() {
                std::thread::yield_now();
            }
        }
        assert!(threads.iter().all(|&t| t == threads[0]), "{threads:?}");
        assert_eq!((process.threads.count(), sandbox.thread_count()), (0, 0));
        drop(ends);
    }

    #[test]
    fn idle_workers_end_with_the_sandbox() {
        let idle: Arc<Mutex<Idle>> = Arc::default();
        let (sender, receiver) = channel();
        lock(&idle).push(sender);
        drop(Workers { idle });
        assert!(receiver.recv().is_err());
    }
}

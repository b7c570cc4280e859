//! Host threads and the signal mask.

use super::call;
use crate::base::sigset::SigSet;
use nix::errno::Errno;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};

/// Every signal blocked on this thread; the mask before comes back when this is dropped.
#[derive(Debug)]
pub struct BlockedSignals(u64);

/// Sets the thread's mask as the kernel has it (64 bits; glibc's own functions keep two signals for
/// themselves).
fn set_mask(mask: u64) -> u64 {
    let mut old = 0u64;
    let args = [libc::SIG_SETMASK as u64, (&raw const mask) as u64, (&raw mut old) as u64, 8, 0, 0];
    // SAFETY: both words live on this frame; 8 is the kernel's size of a mask.
    unsafe { call::raw(libc::SYS_rt_sigprocmask, args) };
    old
}

impl BlockedSignals {
    /// Blocks all signals: for a thread without a processor state, where the handler cannot run.
    pub fn all() -> BlockedSignals {
        BlockedSignals(set_mask(u64::MAX))
    }

    /// Blocks all but faults: for a thread that may touch guest memory. A blocked fault would end the process
    /// where the handler would have fixed it up.
    pub fn but_faults() -> BlockedSignals {
        BlockedSignals(set_mask(SigSet::ALL.minus(SigSet::FAULTS).0))
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        set_mask(self.0);
    }
}

/// The calling thread's id.
pub fn gettid() -> i32 {
    // SAFETY: no arguments.
    unsafe { call::raw(libc::SYS_gettid, [0; 6]) as i32 }
}

/// Whether the calling thread is the first of its process.
pub fn is_leader() -> bool {
    // SAFETY: no arguments.
    unsafe { call::raw(libc::SYS_getpid, [0; 6]) == call::raw(libc::SYS_gettid, [0; 6]) }
}

/// membarrier(2) for the threads of this process.
///
/// # Errors
/// As membarrier(2).
pub fn membarrier(command: u64, flags: u64, cpu: u64) -> Result<i64, Errno> {
    // SAFETY: takes only numbers.
    call::result(unsafe { call::raw(libc::SYS_membarrier, [command, flags, cpu, 0, 0, 0]) })
}

/// What a new thread is to do.
type Body = Box<dyn FnOnce() + Send>;

/// Makes a detached host thread; gives its id, and by what it is started: with what is sent there it begins,
/// and without it ends at once. It inherits the mask of the caller. Without the standard library's help,
/// which maps and unmaps a signal stack of its own for each thread: guest threads come and go quickly, and
/// bring one with them.
///
/// # Errors
/// As pthread_create(3).
pub fn spawn<T: Send + 'static>(body: impl FnOnce(T) + Send + 'static) -> io::Result<(i32, SyncSender<T>)> {
    /// The runtime's own stack: the guest has another.
    const STACK: usize = 256 * 1024;
    extern "C" fn run(body: *mut libc::c_void) -> *mut libc::c_void {
        // SAFETY: made by `Box::into_raw` below, for this thread alone.
        let body = unsafe { Box::from_raw(body.cast::<Body>()) };
        body();
        std::ptr::null_mut()
    }
    let (start, started) = sync_channel(1);
    let body: Box<Body> = Box::new(Box::new(move || {
        if let Ok(with) = started.recv() {
            body(with);
        }
    }));
    let body = Box::into_raw(body);
    // SAFETY: attributes of zeros are storage for pthread_attr_init; `run` has the signature of a start
    // routine and takes the body over; if there is no thread, it is taken back here. The thread is there
    // while its clock is asked for, since it waits for what it is started by.
    unsafe {
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        libc::pthread_attr_init(&mut attributes);
        libc::pthread_attr_setstacksize(&mut attributes, STACK);
        libc::pthread_attr_setdetachstate(&mut attributes, libc::PTHREAD_CREATE_DETACHED);
        let mut thread = 0;
        let error = libc::pthread_create(&mut thread, &attributes, run, body.cast());
        libc::pthread_attr_destroy(&mut attributes);
        if error != 0 {
            drop(Box::from_raw(body));
            return Err(io::Error::from_raw_os_error(error));
        }
        // The number of a thread's clock is made of its id: the complement above three bits that say what it
        // measures (`CPUCLOCK_PID` in the kernel's include/linux/posix-timers.h).
        let mut clock = 0;
        match libc::pthread_getcpuclockid(thread, &mut clock) {
            0 => Ok((!(clock >> 3), start)),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

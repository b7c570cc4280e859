//! Futexes on guest words. They are the host's, since guest and host addresses are the same; the words are in
//! the guest's windows, where no Rust object lives.

use super::call;
use crate::guest::Span;
use crate::guest::layout::{TASK_SIZE, window_of};
use libc::{
    FUTEX_CMP_REQUEUE, FUTEX_CMP_REQUEUE_PI, FUTEX_LOCK_PI2, FUTEX_REQUEUE, FUTEX_WAIT,
    FUTEX_WAIT_REQUEUE_PI, FUTEX_WAKE, FUTEX_WAKE_OP,
};
use nix::errno::Errno;

/// Bytes of `struct robust_list_head`, the only size that the kernel takes.
pub const ROBUST_LIST_SIZE: u64 = 24;

/// Words of a `struct futex_waitv`: value, address, flags, and one that must be 0.
pub const WAITER_WORDS: usize = 3;

fn check_word(addr: u64) -> Result<(), Errno> {
    let word = Span::at(addr, 4).filter(|&word| window_of(word).is_some());
    word.map(drop).ok_or(Errno::EFAULT)
}

/// Wakes one waiter of the guest's word.
pub fn wake(addr: u64) {
    let args = [addr, FUTEX_WAKE as u64, 1, 0, 0, 0];
    // SAFETY: a wake touches no memory.
    unsafe { call::raw(libc::SYS_futex, args) };
}

/// A private wake at an address where the guest has nothing: the kernel looks for waiters by the address
/// alone, and finds none.
fn wake_nobody(addr: u64) -> Result<i64, Errno> {
    match addr {
        _ if !addr.is_multiple_of(4) => Err(Errno::EINVAL),
        TASK_SIZE.. => Err(Errno::EFAULT),
        _ => Ok(0),
    }
}

/// futex(2) with the guest's arguments, but for a `timeout` of the runtime's own; `waits`: the operation is
/// one that waits.
///
/// # Errors
/// ENOSYS for an operation that is none, EFAULT for a word that is not guest memory, else as futex(2). EINTR
/// also if work is pending.
pub fn operate(args: &[u64; 6], timeout: Option<&[u64; 2]>, waits: bool) -> Result<i64, Errno> {
    let op = args[1] as i32 & libc::FUTEX_CMD_MASK;
    // The filter lets no others through.
    if !matches!(op, FUTEX_WAIT | FUTEX_WAKE | FUTEX_REQUEUE..=FUTEX_LOCK_PI2) {
        return Err(Errno::ENOSYS);
    }
    // Some operations take a second word, and write it.
    let second = matches!(
        op,
        FUTEX_REQUEUE | FUTEX_CMP_REQUEUE | FUTEX_WAKE_OP | FUTEX_CMP_REQUEUE_PI | FUTEX_WAIT_REQUEUE_PI
    );
    if let Err(fault) = check_word(args[0]) {
        let private = args[1] as i32 & libc::FUTEX_PRIVATE_FLAG != 0;
        return if private && op == FUTEX_WAKE { wake_nobody(args[0]) } else { Err(fault) };
    }
    if second {
        check_word(args[4])?;
    }
    let mut args = *args;
    if let Some(timeout) = timeout {
        args[3] = timeout.as_ptr() as u64;
    }
    // SAFETY: the words are guest memory, where no Rust object lives; the timeout, the guest's or the
    // runtime's, is only read. The kernel checks all of them for faults.
    let value = unsafe {
        match waits {
            true => call::interruptible(libc::SYS_futex, args),
            // A wake that a signal interrupts is one that a C library ends its program for.
            false => call::raw(libc::SYS_futex, args),
        }
    };
    call::result(value)
}

/// futex_waitv(2) on guest words, which ends when work is pending. `timeout` is the guest's.
///
/// # Errors
/// EFAULT for a word that is not guest memory, else as futex_waitv(2).
pub fn wait_for_any(
    waiters: &[[u64; WAITER_WORDS]],
    flags: u64,
    timeout: u64,
    clock: u64,
) -> Result<i64, Errno> {
    waiters.iter().try_for_each(|waiter| check_word(waiter[1]))?;
    let args = [waiters.as_ptr() as u64, waiters.len() as u64, flags, timeout, clock, 0];
    // SAFETY: the array is borrowed; words and time are the guest's, and the kernel only reads them, with
    // checks for faults.
    call::result(unsafe { call::interruptible(libc::SYS_futex_waitv, args) })
}

/// Tells the kernel the thread's list of robust futexes, for a process that dies at once; 0 for none.
pub fn set_robust_list(head: u64) {
    // SAFETY: the kernel only remembers the address. What it does there when the thread dies it does to guest
    // memory, or to nothing.
    unsafe { call::raw(libc::SYS_set_robust_list, [head, ROBUST_LIST_SIZE, 0, 0, 0, 0]) };
}

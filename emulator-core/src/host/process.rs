//! Host processes: fork, and the mailbox by which the child of a vfork hands changes over.

use super::call;
use nix::errno::Errno;
use std::sync::atomic::{AtomicU32, Ordering};

/// Which side of a fork this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// The old process, with the new one's id.
    Parent(i32),
    /// The new process.
    Child,
}

/// fork(3) of the C library, which makes its own locks usable in the child.
///
/// # Errors
/// As fork(2).
pub fn fork() -> Result<Fork, Errno> {
    // SAFETY: the caller holds every lock of the runtime, and the C library takes care of its own, so the child can go on
    // like any program.
    match unsafe { libc::fork() } {
        0 => Ok(Fork::Child),
        pid if pid > 0 => Ok(Fork::Parent(pid)),
        _ => Err(Errno::last()),
    }
}

/// setpgid(2).
///
/// # Errors
/// As setpgid(2).
pub fn set_group(pid: i32, group: i32) -> Result<i64, Errno> {
    // SAFETY: only numbers.
    call::result(unsafe { call::raw(libc::SYS_setpgid, [pid as u64, group as u64, 0, 0, 0, 0]) })
}

/// setsid(2).
///
/// # Errors
/// As setsid(2).
pub fn new_session() -> Result<i64, Errno> {
    // SAFETY: no arguments.
    call::result(unsafe { call::raw(libc::SYS_setsid, [0; 6]) })
}

/// Makes this process the one, or not the one, to which orphans below it go (PR_SET_CHILD_SUBREAPER).
///
/// # Errors
/// As prctl(2).
pub fn set_subreaper(set: bool) -> Result<i64, Errno> {
    let args = [libc::PR_SET_CHILD_SUBREAPER as u64, set.into(), 0, 0, 0, 0];
    // SAFETY: only numbers.
    call::result(unsafe { call::raw(libc::SYS_prctl, args) })
}

/// What a wait for children tells besides its value.
#[derive(Clone, Debug)]
pub struct WaitStatus {
    /// The int of wait4(2) or the siginfo_t of waitid(2).
    pub status: [u8; 128],
    /// A rusage.
    pub usage: [u8; 144],
}

/// wait4(2) or waitid(2), with these options. A call that may block ends when work is
/// pending. What is not wanted stays zero.
///
/// # Errors
/// As the call.
pub fn wait(call: WaitCall, options: u64, wants: WaitWants) -> Result<(i64, WaitStatus), Errno> {
    let mut told = WaitStatus { status: [0; 128], usage: [0; 144] };
    let status = if wants.status { told.status.as_mut_ptr() as u64 } else { 0 };
    let usage = if wants.usage { told.usage.as_mut_ptr() as u64 } else { 0 };
    let (nr, args) = match call {
        WaitCall::Wait4(pid) => (libc::SYS_wait4, [pid, status, options, usage, 0, 0]),
        WaitCall::Waitid(kind, id) => (libc::SYS_waitid, [kind, id, status, options, usage, 0]),
    };
    // SAFETY: both buffers are as large as what the kernel writes (siginfo_t 128, rusage 144).
    let value = unsafe {
        match options & libc::WNOHANG as u64 {
            0 => call::interruptible(nr, args),
            _ => call::raw(nr, args),
        }
    };
    Ok((call::result(value)?, told))
}

/// Which call, and who is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitCall {
    /// wait4(2) of a process or group.
    Wait4(u64),
    /// waitid(2) of a kind and an id.
    Waitid(u64, u64),
}

/// Which parts of a [`WaitStatus`] are wanted; the kernel tells a null pointer from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaitWants {
    /// The status.
    pub status: bool,
    /// The usage.
    pub usage: bool,
}

/// Whether orphans below this process go to it.
pub fn is_subreaper() -> bool {
    let mut set = 0i32;
    let args = [libc::PR_GET_CHILD_SUBREAPER as u64, &raw mut set as u64, 0, 0, 0, 0];
    // SAFETY: the kernel writes one int, which lives here.
    unsafe { call::raw(libc::SYS_prctl, args) };
    set != 0
}

/// Whether a child has ended; it can still be waited for.
pub fn has_ended(pid: i32) -> bool {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = (libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) as u64;
    let args = [u64::from(libc::P_PID), pid as u64, info.as_mut_ptr() as u64, flags, 0, 0];
    // SAFETY: the buffer is a siginfo_t, for which zero is a value.
    let (result, info) = unsafe { (call::raw(libc::SYS_waitid, args), info.assume_init()) };
    // An unknown child has been waited for by somebody else already.
    result < 0 || info.si_signo == libc::SIGCHLD
}

/// Shared memory between a parent that waits and its child: a word that says "posted", the number of bytes, the bytes.
#[derive(Debug)]
pub struct Mailbox {
    base: *mut u8,
}

// SAFETY: a private handle to a mapping that lives until it is dropped; the word in it is an atomic.
unsafe impl Send for Mailbox {}

/// Bytes of a mailbox; sparse.
const SIZE: usize = 4 << 20;
const HEADER: usize = 16;

impl Mailbox {
    /// An empty mailbox.
    ///
    /// # Errors
    /// As mmap(2).
    pub fn new() -> Result<Mailbox, Errno> {
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping wherever the kernel likes.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), SIZE, prot, flags, -1, 0) };
        if base == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(Mailbox { base: base.cast() }) }
    }

    fn word(&self) -> &AtomicU32 {
        // SAFETY: the first word of the mapping, only ever accessed as an atomic.
        unsafe { &*self.base.cast() }
    }

    /// Child: gives changes over, as many as fit, and wakes the parent.
    pub fn post(&self, changes: &[(u64, Vec<u8>)]) {
        let mut bytes = Vec::new();
        for (addr, run) in changes {
            if HEADER + bytes.len() + 16 + run.len() > SIZE {
                break;
            }
            bytes.extend(addr.to_le_bytes());
            bytes.extend((run.len() as u64).to_le_bytes());
            bytes.extend(run);
        }
        // SAFETY: within the mapping; the parent reads only after the word is set.
        unsafe {
            self.base.add(8).cast::<u64>().write(bytes.len() as u64);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.add(HEADER), bytes.len());
        }
        self.word().store(1, Ordering::Release);
        let args = [self.word().as_ptr() as u64, libc::FUTEX_WAKE as u64, 1, 0, 0, 0];
        // SAFETY: wakes only.
        unsafe { call::raw(libc::SYS_futex, args) };
    }

    /// Parent: waits some milliseconds for the child's post; whether it has come.
    pub fn wait(&self) -> bool {
        if self.word().load(Ordering::Acquire) == 0 {
            let limit = libc::timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            let args =
                [self.word().as_ptr() as u64, libc::FUTEX_WAIT as u64, 0, (&raw const limit) as u64, 0, 0];
            // SAFETY: the word and the limit outlive the call.
            unsafe { call::raw(libc::SYS_futex, args) };
        }
        self.word().load(Ordering::Acquire) != 0
    }

    /// Parent: the changes. Nothing if the child ended without a post. The child may be hostile: lengths are checked.
    pub fn take(&self) -> Vec<(u64, Vec<u8>)> {
        if self.word().load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        // SAFETY: within the mapping.
        let len = unsafe { self.base.add(8).cast::<u64>().read() };
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0).min(SIZE - HEADER)];
        // SAFETY: as many bytes as lie in the mapping.
        unsafe { std::ptr::copy_nonoverlapping(self.base.add(HEADER), bytes.as_mut_ptr(), bytes.len()) };
        let mut rest = &bytes[..];
        let mut out = Vec::new();
        while let Some((head, tail)) = rest.split_first_chunk::<16>() {
            let word = |i: usize| u64::from_le_bytes(std::array::from_fn(|k| head[8 * i + k]));
            let Some((run, tail)) = usize::try_from(word(1)).ok().and_then(|n| tail.split_at_checked(n))
            else {
                break;
            };
            out.push((word(0), run.to_vec()));
            rest = tail;
        }
        out
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        // SAFETY: the mapping is this handle's own.
        unsafe { libc::munmap(self.base.cast(), SIZE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_comes_out_as_it_went_in() {
        let mailbox = Mailbox::new().unwrap();
        assert!(mailbox.take().is_empty());
        let changes = vec![(0x1000, vec![1, 2, 3]), (0x5000, vec![])];
        mailbox.post(&changes);
        assert!(mailbox.wait());
        assert_eq!(mailbox.take(), changes);
    }
}

//! The mailbox by which the child of a vfork(2) hands over what it has changed.

use super::call;
use nix::errno::Errno;
use std::sync::atomic::{AtomicU32, Ordering};

/// Shared memory between a parent that waits and its child: a word that says "posted", the number of bytes,
/// the bytes.
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

    /// Parent: the changes. Nothing if the child ended without a post. The child may be hostile: lengths are
    /// checked.
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

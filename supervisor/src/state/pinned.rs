//! Programs whose contents the policy pins, as sealed copies in memory.
//!
//! A file can change after it was looked at, and what was judged must be what is run. So its contents are
//! copied to where nobody can change them any more; it is the copy that is judged,
//! and the copy that a child gets. Of contents that are run one copy is kept, which all their runs share.
//! Copies are made one after the other: many processes at once do not take many times the memory.

use crate::host::sealed;
use nix::errno::Errno;
use nix::sys::uio::pread;
use rxbox_policy::Digest;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that a pinned file may have: more than any program, and what the copy takes.
const MOST: u64 = 1 << 30;
/// Bytes that are read at once.
const PIECE: usize = 1 << 17;

/// The copies of a sandbox.
#[derive(Debug, Default)]
pub struct Pinned(Mutex<BTreeMap<Digest, Arc<OwnedFd>>>);

impl Pinned {
    /// What is in a file now, and a copy of that if these contents are `wanted`.
    ///
    /// # Errors
    /// EFBIG for too large a file; as memfd_create(2), pread(2) and write(2).
    pub fn copy(
        &self,
        file: BorrowedFd<'_>,
        wanted: impl FnOnce(&Digest) -> bool,
    ) -> Result<(Digest, Option<Arc<OwnedFd>>), Errno> {
        let mut copies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let copy = sealed::unsealed(c"pinned")?;
        let contents = read(file, |piece| sealed::append(&copy, piece))?;
        if !wanted(&contents) {
            return Ok((contents, None));
        }
        if let Some(kept) = copies.get(&contents) {
            return Ok((contents, Some(kept.clone())));
        }
        sealed::seal(&copy)?;
        let copy = Arc::new(copy);
        copies.insert(contents, copy.clone());
        Ok((contents, Some(copy)))
    }
}

/// What is in a file now.
///
/// # Errors
/// EFBIG for too large a file; as pread(2).
pub fn contents(file: BorrowedFd<'_>) -> Result<Digest, Errno> {
    read(file, |_| Ok(()))
}

fn read(file: BorrowedFd<'_>, mut take: impl FnMut(&[u8]) -> Result<(), Errno>) -> Result<Digest, Errno> {
    let (mut hash, mut at, mut buffer) = (Sha256::new(), 0, vec![0; PIECE]);
    loop {
        let piece = match pread(file, &mut buffer, at as i64)? {
            0 => return Ok(hash.finalize().into()),
            length => &buffer[..length],
        };
        at += piece.len() as u64;
        if at > MOST {
            return Err(Errno::EFBIG);
        }
        hash.update(piece);
        take(piece)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::fd::AsFd;

    #[test]
    fn a_copy_stays_what_was_judged() {
        let mut file = std::fs::File::from(sealed::unsealed(c"file").unwrap());
        file.write_all(b"abc").unwrap();
        let pinned = Pinned::default();
        let (abc, copy) = pinned.copy(file.as_fd(), |_| true).unwrap();
        assert_eq!(abc[..4], [0xba, 0x78, 0x16, 0xbf]);
        let copy = copy.unwrap();
        // All runs share it.
        assert!(Arc::ptr_eq(&copy, &pinned.copy(file.as_fd(), |d| *d == abc).unwrap().1.unwrap()));
        file.write_all(b"d").unwrap();
        let (abcd, refused) = pinned.copy(file.as_fd(), |d| *d == abc).unwrap();
        assert!(refused.is_none() && abcd != abc);
        assert_eq!((contents(copy.as_fd()), contents(file.as_fd())), (Ok(abc), Ok(abcd)));
        assert_eq!(nix::sys::uio::pwrite(&*copy, b"x", 0), Err(Errno::EPERM));
    }
}

//! Files that are memory and have no name: memfd_create(2), and `O_TMPFILE` on tmpfs(5).
//!
//! They live on without any descriptor, as long as they are mapped or on their way in a message, and nothing
//! tells where. What does is a watch (inotify(7)): it does not keep its file alive, and says when that is
//! gone. So each such file is watched, and charged to the guest with the bytes that it had when it was last
//! seen; every descriptor looks once more before it is closed. Without a descriptor a file can grow by
//! mappings alone, and those count where they are.

use crate::host::name::add_watch;
use crate::host::number::{NewFd, new_fd};
use crate::state::apart::Inode;
use nix::errno::Errno;
use nix::sys::stat::{fstat, stat};
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// `st_blocks` counts these (stat(2)).
const BLOCK: u64 = 512;
/// Bytes of an event without a name, which a file that is watched itself never has.
const EVENT: usize = size_of::<libc::inotify_event>();

/// What one descriptor of such a file has to say of it, at the latest when it is closed.
#[derive(Debug)]
pub struct Measure {
    charge: Arc<AtomicU64>,
    /// The descriptor: it is open as long as this lives.
    number: RawFd,
}

impl Measure {
    /// By a descriptor that is closed after this is dropped.
    pub fn new(charge: Arc<AtomicU64>, fd: BorrowedFd<'_>) -> Measure {
        Measure { charge, number: fd.as_raw_fd() }
    }

    /// The same file by another descriptor.
    pub fn by(&self, fd: BorrowedFd<'_>) -> Measure {
        Measure::new(self.charge.clone(), fd)
    }

    /// Looks how large the file is.
    pub fn take(&self) {
        let seen = stat(format!("/proc/self/fd/{}", self.number).as_str());
        if let Ok(bytes) = seen.map(|s| s.st_blocks as u64 * BLOCK) {
            self.charge.store(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Measure {
    fn drop(&mut self) {
        self.take();
    }
}

/// The files of a sandbox that are alive.
#[derive(Debug)]
pub struct MemoryFiles {
    inotify: OwnedFd,
    charges: Mutex<Charges>,
}

#[derive(Debug, Default)]
struct Charges {
    by_watch: HashMap<i32, (Inode, Arc<AtomicU64>)>,
    watches: HashMap<Inode, i32>,
}

impl MemoryFiles {
    /// None yet.
    ///
    /// # Errors
    /// As inotify_init1(2).
    pub fn new() -> Result<MemoryFiles, Errno> {
        let flags = libc::IN_CLOEXEC | libc::IN_NONBLOCK;
        let inotify = new_fd(NewFd::Inotify, [flags as u64, 0, 0])?;
        Ok(MemoryFiles { inotify, charges: Mutex::default() })
    }

    fn charges(&self) -> MutexGuard<'_, Charges> {
        self.charges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Charges a file that has just been made.
    ///
    /// # Errors
    /// As inotify_add_watch(2): without a watch there must be no file.
    pub fn charge(&self, fd: BorrowedFd<'_>) -> Result<Measure, Errno> {
        let status = fstat(fd)?;
        let inode = (status.st_dev, status.st_ino);
        // Of files that are gone first, one of which may have had this inode number.
        let mut charges = self.charges();
        self.forget_gone(&mut charges);
        let watch = add_watch(self.inotify.as_fd(), fd, libc::IN_DELETE_SELF)?;
        let charge = Arc::default();
        charges.by_watch.insert(watch, (inode, Arc::clone(&charge)));
        charges.watches.insert(inode, watch);
        Ok(Measure::new(charge, fd))
    }

    /// The measure of a file of which only the descriptor is known, if it is one of these.
    pub fn known(&self, fd: BorrowedFd<'_>) -> Option<Measure> {
        let charges = self.charges();
        if charges.watches.is_empty() {
            return None;
        }
        let status = fstat(fd).ok()?;
        let watch = charges.watches.get(&(status.st_dev, status.st_ino))?;
        charges.by_watch.get(watch).map(|(_, charge)| Measure::new(charge.clone(), fd))
    }

    /// The bytes of all, each as it was last seen.
    pub fn bytes(&self) -> u64 {
        let mut charges = self.charges();
        self.forget_gone(&mut charges);
        charges.by_watch.values().map(|(_, charge)| charge.load(Ordering::Relaxed)).sum()
    }

    fn forget_gone(&self, charges: &mut Charges) {
        let mut events = [0; 64 * EVENT];
        while let Ok(n) = nix::unistd::read(&self.inotify, &mut events) {
            for event in events[..n].chunks_exact(EVENT) {
                let word = |at: usize| std::array::from_fn(|k| event[at + k]);
                let (watch, mask) = (i32::from_le_bytes(word(0)), u32::from_le_bytes(word(4)));
                if mask & libc::IN_Q_OVERFLOW != 0 {
                    continue;
                }
                if let Some((inode, _)) = charges.by_watch.remove(&watch) {
                    charges.watches.remove(&inode);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::memfd::{MFdFlags, memfd_create};

    fn memory(files: &MemoryFiles) -> (OwnedFd, Measure) {
        let fd = memfd_create(c"test", MFdFlags::MFD_CLOEXEC).unwrap();
        let measure = files.charge(fd.as_fd()).unwrap();
        (fd, measure)
    }

    #[test]
    fn a_file_is_charged_as_long_as_it_is_anywhere() {
        let files = MemoryFiles::new().unwrap();
        let (fd, measure) = memory(&files);
        nix::unistd::write(&fd, &[1; 100_000]).unwrap();
        assert_eq!(files.bytes(), 0);
        drop(measure);
        let large = files.bytes();
        assert!(large >= 100_000);
        // On its way in a message nobody has a descriptor of it.
        let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
        let rights = [nix::sys::socket::ControlMessage::ScmRights(&[fd.as_raw_fd()])];
        let bytes = [std::io::IoSlice::new(b"x")];
        let flags = nix::sys::socket::MsgFlags::empty();
        nix::sys::socket::sendmsg::<()>(a.as_raw_fd(), &bytes, &rights, flags, None).unwrap();
        assert!(files.known(fd.as_fd()).is_some() && files.known(a.as_fd()).is_none());
        drop(fd);
        assert_eq!(files.bytes(), large);
        drop((a, b));
        assert_eq!(files.bytes(), 0);
        assert!(files.charges().watches.is_empty());
    }

    #[test]
    fn a_hole_takes_no_memory() {
        let files = MemoryFiles::new().unwrap();
        let (fd, measure) = memory(&files);
        nix::unistd::ftruncate(&fd, 1 << 40).unwrap();
        measure.take();
        assert_eq!(files.bytes(), 0);
    }
}

//! Stand-ins for files that the guest may read but not change.
//!
//! A lock on such a file, taken on the file itself, would be noticed by everybody outside: whoever wants to
//! write waits, and two sandboxes could tell each other something. So these locks are taken on a memory file
//! of the sandbox's own, where its processes meet each other and nobody else. There is one for each file as
//! long as any description of it lives.

use crate::host::name::reopen;
use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Device and inode number.
pub type Inode = (u64, u64);

/// The stand-ins of a sandbox.
#[derive(Debug, Default)]
pub struct Apart(Mutex<HashMap<Inode, Weak<OwnedFd>>>);

/// A description of a stand-in, which keeps it alive.
#[derive(Clone, Debug)]
pub struct StandIn {
    description: Arc<OwnedFd>,
    _file: Arc<OwnedFd>,
}

impl AsFd for StandIn {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.description.as_fd()
    }
}

impl Apart {
    /// A new description of the stand-in for a file.
    pub fn open(&self, inode: Inode) -> Result<StandIn, Errno> {
        let file = self.file(inode)?;
        let description = Arc::new(reopen(file.as_fd(), libc::O_RDWR)?);
        Ok(StandIn { description, _file: file })
    }

    fn file(&self, inode: Inode) -> Result<Arc<OwnedFd>, Errno> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(&inode).and_then(Weak::upgrade) {
            return Ok(file);
        }
        let file = Arc::new(memfd_create(c"locks", MFdFlags::MFD_CLOEXEC)?);
        files.retain(|_, file| file.strong_count() > 0);
        files.insert(inode, Arc::downgrade(&file));
        Ok(file)
    }
}

//! Stand-ins for files that the guest may read but not change.
//!
//! A lock on such a file, taken on the file itself, would be noticed by everybody outside: whoever wants to
//! write waits, and two sandboxes could tell each other something. So these locks are taken on a memory file
//! of the sandbox's own, where its processes meet each other and nobody else. There is one for each file as
//! long as any description of it lives.

use crate::host::name::reopen;
use crate::state::budget::{Budget, Share};
use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Device and inode number.
pub type Inode = (u64, u64);

/// The stand-ins of a sandbox.
#[derive(Debug)]
pub struct Apart {
    files: Mutex<HashMap<Inode, Weak<OwnedFd>>>,
    budget: Arc<Budget>,
}

/// A description of a stand-in, which keeps it alive.
#[derive(Clone, Debug)]
pub struct StandIn {
    description: Arc<OwnedFd>,
    _file: Arc<OwnedFd>,
    /// Of both descriptors, though others may have the file, too.
    _share: Arc<Share>,
}

impl AsFd for StandIn {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.description.as_fd()
    }
}

impl Apart {
    /// No stand-ins; those to come count against this budget.
    pub fn new(budget: Arc<Budget>) -> Apart {
        Apart { files: Mutex::default(), budget }
    }

    /// A new description of the stand-in for a file.
    ///
    /// # Errors
    /// ENOLCK if there may be no more descriptors.
    pub fn open(&self, inode: Inode) -> Result<StandIn, Errno> {
        let share = Arc::new(self.budget.share(2).map_err(|_| Errno::ENOLCK)?);
        let file = self.file(inode)?;
        let description = Arc::new(reopen(file.as_fd(), libc::O_RDWR)?);
        Ok(StandIn { description, _file: file, _share: share })
    }

    fn file(&self, inode: Inode) -> Result<Arc<OwnedFd>, Errno> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(&inode).and_then(Weak::upgrade) {
            return Ok(file);
        }
        let file = Arc::new(memfd_create(c"locks", MFdFlags::MFD_CLOEXEC)?);
        files.retain(|_, file| file.strong_count() > 0);
        files.insert(inode, Arc::downgrade(&file));
        Ok(file)
    }
}

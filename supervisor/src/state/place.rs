//! Where a process stands in the file system: what CLONE_FS of clone(2) shares (the kernel's `fs_struct`).

use crate::state::names::Dir;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

/// A working directory and a file mode creation mask.
#[derive(Debug)]
pub struct Place {
    cwd: RwLock<Arc<Dir>>,
    umask: AtomicU32,
}

impl Place {
    /// With these.
    pub fn new(cwd: Arc<Dir>, umask: u32) -> Arc<Place> {
        Arc::new(Place { cwd: RwLock::new(cwd), umask: AtomicU32::new(umask) })
    }

    /// One of its own with the same.
    pub fn copy(&self) -> Arc<Place> {
        Place::new(self.cwd(), self.umask())
    }

    /// The working directory.
    pub fn cwd(&self) -> Arc<Dir> {
        self.cwd.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes it.
    pub fn set_cwd(&self, dir: Dir) {
        *self.cwd.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(dir);
    }

    /// The mask.
    pub fn umask(&self) -> u32 {
        self.umask.load(Relaxed)
    }

    /// Changes it; gives the one before (umask(2)).
    pub fn set_umask(&self, mask: u32) -> u32 {
        self.umask.swap(mask & 0o777, Relaxed)
    }
}

//! Files that exist only in the supervisor's own records: texts of the guest's `/proc`, the memory of a
//! process, signal descriptors. On the host something stands in for them that has no content.

use super::file::{Extra, File, extra};
use super::kind::Kind;
use crate::host::number::{NewFd, new_fd};
use crate::state::ranks::Lock;
use nix::errno::Errno;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// What a file is that exists only in the supervisor's own records.
#[derive(Clone, Debug)]
pub struct MadeUp {
    kind: Kind,
    path: Option<Box<[u8]>>,
    access: i32,
    /// `O_NONBLOCK`, of a signal descriptor.
    nonblocking: bool,
    extra: Arc<Lock<Extra>>,
}

impl MadeUp {
    /// Bytes of text that it keeps in memory.
    pub fn bytes(&self) -> usize {
        match &*self.extra.lock() {
            Extra::View { content, .. } => content.len(),
            _ => 0,
        }
    }
}

impl File {
    /// A text of the supervisor's making. `host` is only asked for its status.
    pub fn view(host: OwnedFd, path: Box<[u8]>, content: Vec<u8>) -> File {
        let extra = extra(Extra::View { content, offset: 0 });
        File {
            measure: None,
            count: None,
            host,
            kind: Kind::View,
            path: Some(path),
            access: libc::O_RDONLY,
            extra,
        }
    }

    /// The memory of a process.
    pub fn memory_of(host: OwnedFd, path: Box<[u8]>, of: i32) -> File {
        let extra = extra(Extra::Memory { of, offset: 0 });
        File { extra, ..File::view(host, path, Vec::new()) }
    }

    /// Whose memory it is, if it is that of a process, and where the description stands in it.
    pub fn memory(&self) -> Option<(i32, u64)> {
        match *self.extra() {
            Extra::Memory { of, offset } => Some((of, offset)),
            _ => None,
        }
    }

    /// A signal descriptor for `set`; `host` is an eventfd that nobody else reads or writes.
    pub fn signals(host: OwnedFd, set: Arc<AtomicU64>) -> File {
        let extra = extra(Extra::Signals { set, readable: false });
        File { extra, ..File::new(host, Kind::Signals) }
    }

    /// The set of a signal descriptor; EINVAL for any other.
    pub fn signal_set(&self) -> Result<Arc<AtomicU64>, Errno> {
        match &*self.extra() {
            Extra::Signals { set, .. } => Ok(set.clone()),
            _ => Err(Errno::EINVAL),
        }
    }

    /// What it is beside the host's description, if it exists only in the supervisor's own records: a view,
    /// or a signal descriptor.
    pub fn made_up(&self) -> Result<Option<MadeUp>, Errno> {
        if !matches!(self.kind, Kind::View | Kind::Signals) {
            return Ok(None);
        }
        let nonblocking = self.kind == Kind::Signals && self.status_flags()? & libc::O_NONBLOCK != 0;
        let (kind, path, access, extra) = (self.kind, self.path.clone(), self.access, self.extra.clone());
        Ok(Some(MadeUp { kind, path, access, nonblocking, extra }))
    }

    /// The same in another process. Which signals wait is every process's own affair, so a signal descriptor
    /// gets an eventfd of its own; `stand_in` is for a view.
    pub fn of_made_up(
        from: MadeUp,
        stand_in: impl FnOnce() -> Result<OwnedFd, Errno>,
    ) -> Result<File, Errno> {
        let MadeUp { kind, path, access, nonblocking, extra } = from;
        if let Extra::Signals { set, .. } = &*extra.lock() {
            let flags = if nonblocking { libc::O_NONBLOCK } else { 0 };
            let host = new_fd(NewFd::Eventfd, [0, (flags | libc::O_CLOEXEC) as u64, 0])?;
            return Ok(File::signals(host, set.clone()));
        }
        Ok(File { measure: None, count: None, host: stand_in()?, kind, path, access, extra })
    }

    /// Reads a view: at `offset`, or where the description stands. EINVAL if it is none.
    pub fn read_view(&self, to: &mut [u8], at: Option<i64>) -> Result<usize, Errno> {
        let mut extra = self.extra();
        let Extra::View { content, offset } = &mut *extra else { return Err(Errno::EINVAL) };
        let from = match at {
            Some(at) => u64::try_from(at).map_err(|_| Errno::EINVAL)?,
            None => *offset,
        };
        let rest = usize::try_from(from).ok().and_then(|from| content.get(from..)).unwrap_or_default();
        let n = rest.len().min(to.len());
        to[..n].copy_from_slice(&rest[..n]);
        if at.is_none() {
            *offset = from + n as u64;
        }
        Ok(n)
    }

    /// Moves the offset of a view (lseek(2)).
    pub fn seek_view(&self, offset: i64, whence: i32) -> Result<i64, Errno> {
        let mut extra = self.extra();
        let (at, end) = match &mut *extra {
            Extra::View { content, offset } => (offset, Some(content.len() as i64)),
            Extra::Memory { offset, .. } => (offset, None),
            _ => return Err(Errno::EINVAL),
        };
        let base = match whence {
            libc::SEEK_SET => 0,
            libc::SEEK_CUR => *at as i64,
            libc::SEEK_END => end.ok_or(Errno::EINVAL)?,
            _ => return Err(Errno::EINVAL),
        };
        // Addresses of memory take all 64 bits.
        let new = base.wrapping_add(offset);
        if end.is_some() && base.checked_add(offset).is_none_or(|n| n < 0) {
            return Err(Errno::EINVAL);
        }
        *at = new as u64;
        Ok(new)
    }
}

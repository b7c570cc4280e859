//! Record locks (fcntl(2)).
//!
//! The kernel keeps the traditional locks per *process*, and to it all guests are one: the supervisor. Its open file
//! description locks are owned by a description instead, and conflict with everybody else's locks as they should. So
//! each guest process has, for every file it locks, a description of the supervisor's own that stands for the process,
//! and the traditional locks are put on that. Their odd rules follow of themselves:
//! * all descriptors of a process on a file share its locks, since there is one description for (process, inode);
//! * a forked child has none of them: it has no such description;
//! * closing *any* descriptor of the file drops them all ([`RecordLocks::release`]); so does the end of the process.
//!
//! Two things differ: F_GETLK tells the holder's process as -1, as for any lock of a description, and a deadlock between
//! processes is not found (EDEADLK) but waits until a signal.

use crate::context::{Answer, Call};
use crate::fd::{File, Kind};
use crate::host::control::{self, Flock};
use crate::host::name::reopen;
use crate::host::number::{OnFd, Wait, on_fd};
use nix::errno::Errno;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Device and inode number.
type Inode = (u64, u64);

/// The descriptions that stand for a guest process, by the file they lock.
#[derive(Debug, Default)]
pub struct RecordLocks {
    owners: Mutex<HashMap<Inode, Arc<OwnedFd>>>,
    /// Whether there ever was one, so that closing costs nothing to programs that never lock.
    used: AtomicBool,
}

fn inode(file: &File) -> Result<Inode, Errno> {
    let s = nix::sys::stat::fstat(&file.host)?;
    Ok((s.st_dev, s.st_ino))
}

impl RecordLocks {
    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<Inode, Arc<OwnedFd>>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The description for `file`, made at the first lock. It is opened for reading and writing if that is possible,
    /// whatever the guest's descriptor may do: the guest never gets hold of it.
    fn owner(&self, file: &File) -> Result<Arc<OwnedFd>, Errno> {
        let inode = inode(file)?;
        if let Some(owner) = self.map().get(&inode) {
            return Ok(owner.clone());
        }
        let open = |mode| reopen(file.host.as_fd(), mode | libc::O_NONBLOCK);
        let new = open(libc::O_RDWR).or_else(|_| open(libc::O_RDONLY)).or_else(|_| open(libc::O_WRONLY))?;
        self.used.store(true, Ordering::Release);
        Ok(self.map().entry(inode).or_insert_with(|| Arc::new(new)).clone())
    }

    /// Drops the process's locks on the file: one of its descriptors was closed.
    pub fn release(&self, file: &File) {
        if self.used.load(Ordering::Acquire)
            && matches!(file.kind, Kind::Regular | Kind::Memory)
            && let Ok(inode) = inode(file)
        {
            self.map().remove(&inode);
        }
    }

    /// Carries out a lock command (of the F_OFD family) for the process. A lock that was only got after another thread
    /// had closed the file is given back: EBADF, as the kernel does.
    fn apply(&self, file: &File, command: Flock, lock: &mut [u8; Flock::SIZE]) -> Answer {
        let owner = self.owner(file)?;
        let done = control::lock(command, owner.as_fd(), lock)?;
        let still = inode(file).is_ok_and(|i| self.map().get(&i).is_some_and(|o| Arc::ptr_eq(o, &owner)));
        if command == Flock::Get || still { Ok(done) } else { Err(Errno::EBADF) }
    }
}

fn i16_at(b: &[u8], at: usize) -> i32 {
    i16::from_le_bytes([b[at], b[at + 1]]).into()
}

/// The `struct flock` of argument 2.
fn argument(call: &Call<'_>) -> Result<[u8; Flock::SIZE], Errno> {
    call.need(2)?.try_into().map_err(|_| Errno::EFAULT)
}

/// F_GETLK, F_SETLK, F_SETLKW.
pub(super) fn record(call: &mut Call<'_>, file: &File) -> Answer {
    let mut lock = argument(call)?;
    let command = match call.i32(1) {
        libc::F_GETLK => Flock::Get,
        libc::F_SETLK => Flock::Set,
        _ => Flock::Wait,
    };
    if command != Flock::Get {
        allowed(file, i16_at(&lock, 0))?;
    }
    if !matches!(file.kind, Kind::Regular | Kind::Memory) {
        return Err(Errno::EINVAL);
    }
    from_start(file, &mut lock)?;
    // The process id of a lock on a description must be 0; what the guest wrote there does not count.
    lock[24..28].fill(0);
    let done = call.process.locks.apply(file, command, &mut lock)?;
    if command == Flock::Get {
        call.put(2, &lock);
    }
    Ok(done)
}

/// Whether the guest's own descriptor may be locked so: EBADF for a shared lock without reading and so on.
fn allowed(file: &File, kind: i32) -> Result<(), Errno> {
    match kind {
        libc::F_RDLCK if !file.readable() => Err(Errno::EBADF),
        libc::F_WRLCK if !file.writable() => Err(Errno::EBADF),
        libc::F_RDLCK | libc::F_WRLCK | libc::F_UNLCK => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// Turns a range that counts from the descriptor's offset into one from the start: the description that stands for the
/// process has an offset of its own.
fn from_start(file: &File, lock: &mut [u8; Flock::SIZE]) -> Result<(), Errno> {
    if i16_at(lock, 2) == libc::SEEK_CUR {
        let here = on_fd(Wait::Short, OnFd::Lseek, file.host.as_fd(), [0, libc::SEEK_CUR as u64, 0])?;
        let start = i64::from_le_bytes(std::array::from_fn(|k| lock[8 + k]));
        let start = here.checked_add(start).ok_or(Errno::EOVERFLOW)?;
        lock[8..16].copy_from_slice(&start.to_le_bytes());
        lock[2..4].copy_from_slice(&(libc::SEEK_SET as i16).to_le_bytes());
    }
    Ok(())
}

/// F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW: a guest's description is a host description.
pub(super) fn description(call: &mut Call<'_>, file: &File) -> Answer {
    let mut lock = argument(call)?;
    let command = match call.i32(1) {
        libc::F_OFD_GETLK => Flock::Get,
        libc::F_OFD_SETLK => Flock::Set,
        _ => Flock::Wait,
    };
    let done = control::lock(command, file.host.as_fd(), &mut lock)?;
    if command == Flock::Get {
        call.put(2, &lock);
    }
    Ok(done)
}

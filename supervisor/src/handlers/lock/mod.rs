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
//! What the kernel then cannot know any more is which process holds a lock (F_GETLK) and that processes wait for each other in
//! a circle (EDEADLK). For these the supervisor keeps a book of the ranges that each process has locked; and for a bound on how
//! many they are (ENOLCK).

mod ranges;

use crate::context::Call;
use crate::host::SyscallResult;
use crate::host::command::{self, Flock};
use crate::host::name::reopen;
use crate::host::number::{OnFd, Wait, on_fd};
use crate::state::fd::{File, Kind};
use nix::errno::Errno;
use ranges::{Range, Ranges, Wanted, deadlock};
use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Device and inode number.
type Inode = (u64, u64);

/// What stands for a guest process at one file.
#[derive(Debug)]
struct Owner {
    description: Arc<OwnedFd>,
    ranges: Ranges,
}

/// The descriptions that stand for a guest process, by the file they lock.
#[derive(Debug, Default)]
pub struct RecordLocks {
    owners: Mutex<HashMap<Inode, Owner>>,
    /// Whether there ever was one, so that closing costs nothing to programs that never lock.
    used: AtomicBool,
}

/// The threads of a sandbox that wait for a lock, by their id.
#[derive(Debug, Default)]
pub struct Waits(Mutex<BTreeMap<i32, Wanted<Inode>>>);

fn inode(file: &File) -> Result<Inode, Errno> {
    let s = nix::sys::stat::fstat(&file.host)?;
    Ok((s.st_dev, s.st_ino))
}

impl RecordLocks {
    fn map(&self) -> MutexGuard<'_, HashMap<Inode, Owner>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The description for `file`, made at the first lock. It is opened for reading and writing if that is possible,
    /// whatever the guest's descriptor may do: the guest never gets hold of it.
    fn owner(&self, file: &File) -> Result<Arc<OwnedFd>, Errno> {
        let inode = inode(file)?;
        if let Some(owner) = self.map().get(&inode) {
            return Ok(owner.description.clone());
        }
        let open = |mode| reopen(file.host.as_fd(), mode | libc::O_NONBLOCK);
        let new = open(libc::O_RDWR).or_else(|_| open(libc::O_RDONLY)).or_else(|_| open(libc::O_WRONLY))?;
        self.used.store(true, Ordering::Release);
        let owner = Owner { description: Arc::new(new), ranges: Ranges::default() };
        Ok(self.map().entry(inode).or_insert(owner).description.clone())
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

    /// Carries out a lock command (of the F_OFD family) for the process, and keeps the book. A lock that was only got after
    /// another thread had closed the file is given back: EBADF, as the kernel does.
    fn apply(&self, file: &File, command: Flock, lock: &mut [u8; Flock::SIZE]) -> SyscallResult {
        let owner = self.owner(file)?;
        let (kind, range) = (i16_at(lock, 0), range_of(lock));
        if command != Flock::Get && kind != libc::F_UNLCK && self.looks(inode(file)?, Ranges::full) {
            return Err(Errno::ENOLCK);
        }
        let done = command::lock(command, owner.as_fd(), lock)?;
        if command == Flock::Get {
            return Ok(done);
        }
        let mut map = self.map();
        match map.get_mut(&inode(file)?).filter(|o| Arc::ptr_eq(&o.description, &owner)) {
            None => return Err(Errno::EBADF),
            Some(Owner { ranges, .. }) => match range {
                Some(range) if kind == libc::F_UNLCK => ranges.clear(&range),
                Some(range) => ranges.set(range),
                None => {}
            },
        }
        Ok(done)
    }

    fn looks(&self, inode: Inode, what: impl FnOnce(&Ranges) -> bool) -> bool {
        self.map().get(&inode).is_some_and(|owner| what(&owner.ranges))
    }
}

/// The range of a lock that counts from the start of the file.
fn range_of(lock: &[u8; Flock::SIZE]) -> Option<Range> {
    let word = |at: usize| i64::from_le_bytes(std::array::from_fn(|k| lock[at + k]));
    Range::new(word(8), word(16), i16_at(lock, 0) == libc::F_WRLCK)
}

/// The processes of the sandbox, without the caller, whose locks on a file are as `what` says.
fn holders(call: &Call<'_>, inode: Inode, but: i32, what: impl Fn(&Ranges) -> bool) -> Vec<i32> {
    let others = call.sandbox.processes().into_iter().filter(|p| p.pid != but);
    others.filter(|p| p.locks.looks(inode, &what)).map(|p| p.pid).collect()
}

/// Sets a lock, waiting for it: EDEADLK if somebody would then wait for ever.
fn wait(call: &Call<'_>, file: &File, lock: &mut [u8; Flock::SIZE]) -> SyscallResult {
    let Some(range) = range_of(lock) else { return call.process.locks.apply(file, Flock::Wait, lock) };
    let wanted = Wanted { pid: call.process.pid, file: inode(file)?, range };
    let waits = || call.sandbox.lock_waits.0.lock().unwrap_or_else(PoisonError::into_inner);
    {
        let mut waiting = waits();
        let blockers = |w: &Wanted<Inode>| holders(call, w.file, w.pid, |ranges| ranges.block(&w.range));
        if deadlock(wanted, &waiting, blockers) {
            return Err(Errno::EDEADLK);
        }
        waiting.insert(call.tid, wanted);
    }
    let done = call.process.locks.apply(file, Flock::Wait, lock);
    waits().remove(&call.tid);
    done
}

fn i16_at(b: &[u8], at: usize) -> i32 {
    i16::from_le_bytes([b[at], b[at + 1]]).into()
}

/// The `struct flock` of argument 2.
fn argument(call: &Call<'_>) -> Result<[u8; Flock::SIZE], Errno> {
    call.need(2)?.try_into().map_err(|_| Errno::EFAULT)
}

/// F_GETLK, F_SETLK, F_SETLKW.
pub(super) fn record(call: &mut Call<'_>, file: &File) -> SyscallResult {
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
    let asked = lock;
    let locks = &call.process.locks;
    let mut done = locks.apply(file, if command == Flock::Get { command } else { Flock::Set }, &mut lock);
    if done == Err(Errno::EAGAIN) || command == Flock::Get && i16_at(&lock, 0) != libc::F_UNLCK {
        // It may be a process's that has ended.
        call.sandbox.dismiss_ended(call.process);
        lock = asked;
        done = if command == Flock::Wait {
            wait(call, file, &mut lock)
        } else {
            locks.apply(file, command, &mut lock)
        };
    }
    if done.is_ok() && command == Flock::Get {
        if let Some(found) = range_of(&lock).filter(|_| i16_at(&lock, 0) != libc::F_UNLCK) {
            let holder = holders(call, inode(file)?, call.process.pid, |ranges| ranges.hold(&found));
            let pid = holder.first().copied().unwrap_or(NOBODY);
            lock[24..28].copy_from_slice(&pid.to_le_bytes());
        }
        call.put(2, &lock);
    }
    done
}

/// The process that is told for a lock of a description, or of somebody outside.
const NOBODY: i32 = -1;

/// Whether the guest's own descriptor may be locked so: EBADF for a shared lock without reading and so on.
fn allowed(file: &File, kind: i32) -> Result<(), Errno> {
    match kind {
        libc::F_RDLCK if !file.readable() => Err(Errno::EBADF),
        libc::F_WRLCK if !file.writable() => Err(Errno::EBADF),
        libc::F_RDLCK | libc::F_WRLCK | libc::F_UNLCK => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// Turns a range that counts from the descriptor's offset, or from the end, into one from the start: the description that
/// stands for the process has an offset of its own.
fn from_start(file: &File, lock: &mut [u8; Flock::SIZE]) -> Result<(), Errno> {
    let here = match i16_at(lock, 2) {
        libc::SEEK_CUR => on_fd(Wait::Short, OnFd::Lseek, file.host.as_fd(), [0, libc::SEEK_CUR as u64, 0])?,
        libc::SEEK_END => nix::sys::stat::fstat(&file.host)?.st_size,
        _ => return Ok(()),
    };
    let start = i64::from_le_bytes(std::array::from_fn(|k| lock[8 + k]));
    let start = here.checked_add(start).ok_or(Errno::EOVERFLOW)?;
    lock[8..16].copy_from_slice(&start.to_le_bytes());
    lock[2..4].copy_from_slice(&(libc::SEEK_SET as i16).to_le_bytes());
    Ok(())
}

/// F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW: a guest's description is a host description.
pub(super) fn description(call: &mut Call<'_>, file: &File) -> SyscallResult {
    let mut lock = argument(call)?;
    let command = match call.i32(1) {
        libc::F_OFD_GETLK => Flock::Get,
        libc::F_OFD_SETLK => Flock::Set,
        _ => Flock::Wait,
    };
    let done = command::lock(command, file.host.as_fd(), &mut lock)?;
    if command == Flock::Get {
        call.put(2, &lock);
    }
    Ok(done)
}

//! Record locks (fcntl(2)).
//!
//! The kernel keeps the traditional locks per *process*, and to it all guests are one: the supervisor. Its
//! open file description locks are owned by a description instead, and conflict with everybody else's locks
//! as they should. So each guest process has, for every file it locks, a description of the supervisor's own
//! that stands for the process, and the traditional locks are put on that. Their odd rules follow of
//! themselves:
//! * all descriptors of a process on a file share its locks, since there is one description for (process,
//!   inode);
//! * a forked child has none of them: it has no such description;
//! * closing *any* descriptor of the file drops them all ([`RecordLocks::release`]); so does the end of the
//!   process.
//!
//! What the kernel then cannot know any more is which process holds a lock (F_GETLK) and that processes wait
//! for each other in a circle (EDEADLK). For these the supervisor keeps a book of the ranges that each
//! process has locked; and for a bound on how many they are (ENOLCK).

mod ranges;

pub use ranges::{Ranges, Wanted};

use crate::host::SyscallResult;
use crate::host::command::{self, Flock};
use crate::host::name::reopen;
use crate::state::fd::{File, Kind};
use crate::state::ranks::{Guard, Lock, Rank};
use nix::errno::Errno;
use ranges::{Range, deadlock};
use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Device and inode number.
pub type Inode = (u64, u64);

/// What stands for a guest process at one file.
#[derive(Debug)]
struct Owner {
    description: Arc<OwnedFd>,
    ranges: Ranges,
}

/// The descriptions that stand for a guest process, by the file they lock.
#[derive(Debug)]
pub struct RecordLocks {
    owners: Lock<HashMap<Inode, Owner>>,
    /// Whether there ever was one, so that closing costs nothing to programs that never lock.
    used: AtomicBool,
}

/// The threads of a sandbox that wait for a lock, by their id.
#[derive(Debug)]
pub struct Waits(Lock<BTreeMap<i32, Wanted<Inode>>>);

impl Default for Waits {
    fn default() -> Self {
        Waits(Lock::new(Rank::LockWaits, BTreeMap::new()))
    }
}

/// A thread counts as waiting as long as this is there.
#[derive(Debug)]
pub struct Waiting<'a> {
    waits: &'a Waits,
    tid: i32,
}

impl Waits {
    fn map(&self) -> Guard<'_, BTreeMap<i32, Wanted<Inode>>> {
        self.0.lock()
    }

    /// The thread `tid` is going to wait. `blockers` names the processes that have locks in the way of what
    /// somebody wants.
    ///
    /// # Errors
    /// EDEADLK if somebody would then wait for ever.
    pub fn enter(
        &self,
        tid: i32,
        wanted: Wanted<Inode>,
        blockers: impl Fn(&Wanted<Inode>) -> Vec<i32>,
    ) -> Result<Waiting<'_>, Errno> {
        let mut waiting = self.map();
        if deadlock(wanted, &waiting, blockers) {
            return Err(Errno::EDEADLK);
        }
        waiting.insert(tid, wanted);
        Ok(Waiting { waits: self, tid })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.waits.map().remove(&self.tid);
    }
}

/// Which file it is.
pub fn inode(file: &File) -> Result<Inode, Errno> {
    let s = nix::sys::stat::fstat(&file.host)?;
    Ok((s.st_dev, s.st_ino))
}

impl Default for RecordLocks {
    fn default() -> Self {
        RecordLocks { owners: Lock::new(Rank::RecordLocks, HashMap::new()), used: AtomicBool::new(false) }
    }
}

impl RecordLocks {
    fn map(&self) -> Guard<'_, HashMap<Inode, Owner>> {
        self.owners.lock()
    }

    /// The description for `file`, made at the first lock. It is opened for reading and writing if that is
    /// possible, whatever the guest's descriptor may do: the guest never gets hold of it.
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

    /// Carries out a lock command (of the F_OFD family) for the process, and keeps the book. A lock that was
    /// only got after another thread had closed the file is given back: EBADF, as the kernel does.
    pub fn apply(&self, file: &File, command: Flock, lock: &mut [u8; Flock::SIZE]) -> SyscallResult {
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

    /// Whether the locks on a file are as `what` says.
    pub fn looks(&self, inode: Inode, what: impl FnOnce(&Ranges) -> bool) -> bool {
        self.map().get(&inode).is_some_and(|owner| what(&owner.ranges))
    }
}

/// The range of a lock that counts from the start of the file.
pub fn range_of(lock: &[u8; Flock::SIZE]) -> Option<Range> {
    let word = |at: usize| i64::from_le_bytes(std::array::from_fn(|k| lock[at + k]));
    Range::new(word(8), word(16), i16_at(lock, 0) == libc::F_WRLCK)
}

/// A field of 16 bits of a `struct flock`, which starts at this byte.
pub fn i16_at(b: &[u8], at: usize) -> i32 {
    i16::from_le_bytes([b[at], b[at + 1]]).into()
}

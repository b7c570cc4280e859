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
//!
//! Such a description is there as long as something is locked by it or somebody waits for that, and counts as
//! one of the descriptors that all guests together may have (ENOLCK).

mod ranges;

pub use ranges::{Ranges, Wanted};

use crate::host::SyscallResult;
use crate::host::command::{self, Flock};
use crate::host::name::reopen;
use crate::state::apart::{Apart, Inode, StandIn};
use crate::state::budget::{Budget, Share};
use crate::state::fd::{File, Kind};
use crate::state::ranks::{Guard, Lock, Rank};
use nix::errno::Errno;
use ranges::{Range, deadlock};
use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What stands for a guest process at one file.
#[derive(Debug)]
struct Owner {
    description: Description,
    /// What it was opened for: `O_RDONLY`, `O_WRONLY`, `O_RDWR`.
    access: i32,
    ranges: Ranges,
    /// Calls that are under way.
    users: usize,
}

/// A description on which locks are taken: of the file, or of its stand-in.
#[derive(Clone, Debug)]
enum Description {
    File(Arc<(OwnedFd, Share)>),
    Apart(StandIn),
}

impl AsFd for Description {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Description::File(file) => file.0.as_fd(),
            Description::Apart(fd) => fd.as_fd(),
        }
    }
}

impl Description {
    fn is(&self, other: &Description) -> bool {
        self.as_fd().as_raw_fd() == other.as_fd().as_raw_fd()
    }
}

/// The access mode that allows what either of two allows.
fn both(a: i32, b: i32) -> i32 {
    if a == b { a } else { libc::O_RDWR }
}

/// The descriptions that stand for a guest process, by the file they lock.
#[derive(Debug)]
pub struct RecordLocks {
    owners: Lock<HashMap<Inode, Owner>>,
    budget: Arc<Budget>,
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

impl RecordLocks {
    /// No locks; what stands for those to come counts against this budget.
    pub fn new(budget: Arc<Budget>) -> RecordLocks {
        let owners = Lock::new(Rank::RecordLocks, HashMap::new());
        RecordLocks { owners, budget, used: AtomicBool::new(false) }
    }

    fn map(&self) -> Guard<'_, HashMap<Inode, Owner>> {
        self.owners.lock()
    }

    /// The description for `file`, made at the first lock, on the file itself or on its stand-in; to be left
    /// when the call is over. The file is opened for what the guest has it open for and no more: a file that
    /// is open to write, be it for nothing but locks, is not executed by anybody.
    fn enter(&self, file: &File, apart: Option<&Apart>) -> Result<Description, Errno> {
        let inode = inode(file)?;
        let access = match (file.readable(), file.writable()) {
            _ if apart.is_some() => libc::O_RDWR,
            (true, true) => libc::O_RDWR,
            (false, true) => libc::O_WRONLY,
            _ => libc::O_RDONLY,
        };
        let access = match self.map().get_mut(&inode) {
            Some(owner) if both(owner.access, access) == owner.access => {
                owner.users += 1;
                return Ok(owner.description.clone());
            }
            Some(owner) => both(owner.access, access),
            None => access,
        };
        let description = match apart {
            Some(apart) => Description::Apart(apart.open(inode)?),
            None => {
                let share = self.budget.share(1).map_err(|_| Errno::ENOLCK)?;
                let own = reopen(file.host.as_fd(), access | libc::O_NONBLOCK)?;
                Description::File(Arc::new((own, share)))
            }
        };
        self.used.store(true, Ordering::Release);
        let mut map = self.map();
        let owner = map.entry(inode).or_insert_with(|| Owner {
            description: description.clone(),
            access,
            ranges: Ranges::default(),
            users: 0,
        });
        owner.users += 1;
        if owner.access != access {
            owner.widen(description, access);
        }
        Ok(owner.description.clone())
    }

    /// A call is over: without locks and other calls nothing stands for the process at this file any more.
    fn leave(&self, inode: Inode) {
        let mut map = self.map();
        let Some(owner) = map.get_mut(&inode) else { return };
        owner.users = owner.users.saturating_sub(1);
        let idle = owner.users == 0 && owner.ranges == Ranges::default();
        let gone = if idle { map.remove(&inode) } else { None };
        drop(map);
        drop(gone);
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

    /// Carries out a lock command (of the F_OFD family) for the process, and keeps the book; on the file's
    /// stand-in if it is given where these are. A lock that was only got after another thread had closed the
    /// file is given back: EBADF, as the kernel does.
    pub fn apply(
        &self,
        file: &File,
        apart: Option<&Apart>,
        command: Flock,
        lock: &mut [u8; Flock::SIZE],
    ) -> SyscallResult {
        let (asked, inode) = (*lock, inode(file)?);
        loop {
            let owner = self.enter(file, apart)?;
            let done = self.apply_to(&owner, inode, command, lock);
            self.leave(inode);
            match done {
                // Opened for more meanwhile: the lock is taken there.
                Ok(None) => *lock = asked,
                Ok(Some(done)) => return Ok(done),
                Err(e) => return Err(e),
            }
        }
    }

    /// As [`RecordLocks::apply`]; nothing if another description stands for the process now.
    fn apply_to(
        &self,
        owner: &Description,
        inode: Inode,
        command: Flock,
        lock: &mut [u8; Flock::SIZE],
    ) -> Result<Option<i64>, Errno> {
        let (kind, range) = (i16_at(lock, 0), range_of(lock));
        if command != Flock::Get && kind != libc::F_UNLCK && self.looks(inode, Ranges::full) {
            return Err(Errno::ENOLCK);
        }
        let done = command::lock(command, owner.as_fd(), lock)?;
        if command == Flock::Get {
            return Ok(Some(done));
        }
        let mut map = self.map();
        let Owner { ranges, description, .. } = map.get_mut(&inode).ok_or(Errno::EBADF)?;
        if !description.is(owner) {
            return Ok(None);
        }
        match range {
            Some(range) if kind == libc::F_UNLCK => ranges.clear(&range),
            Some(range) => ranges.set(range),
            None => {}
        }
        Ok(Some(done))
    }

    /// Whether the locks on a file are as `what` says.
    pub fn looks(&self, inode: Inode, what: impl FnOnce(&Ranges) -> bool) -> bool {
        self.map().get(&inode).is_some_and(|owner| what(&owner.ranges))
    }
}

impl Owner {
    /// Takes over a description that is open for more, with the locks. Those to read can be held twice. Those
    /// to write are given up for a moment, which only befalls a process that has the file open to write alone
    /// and then to read; one that somebody else gets in this moment is lost.
    fn widen(&mut self, to: Description, access: i32) {
        let held = std::mem::take(&mut self.ranges);
        let take = |to: &Description, ranges: &mut Ranges, write: bool| {
            for range in held.all().iter().filter(|range| range.writes() == write) {
                if command::lock(Flock::Set, to.as_fd(), &mut range.lock()).is_ok() {
                    ranges.set(*range);
                }
            }
        };
        take(&to, &mut self.ranges, false);
        (self.description, self.access) = (to, access);
        take(&self.description, &mut self.ranges, true);
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

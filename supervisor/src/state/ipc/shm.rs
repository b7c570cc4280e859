//! System V shared memory (shmget(2), shmop(2), shmctl(2)).
//!
//! A segment is an anonymous memory file. The child gets a descriptor of it to map, which can only be read if
//! the guest attaches it so. Who has it attached how often the supervisor keeps count of, for the sake of
//! what IPC_STAT shows and of the removal at the last detach; a child that lies there harms nobody but its
//! own sandbox's count.

use super::changes::now;
use super::perm::{Perm, Right};
use super::table::{Get, Owned, Table};
use crate::host::credentials::Credentials;
use crate::host::name::reopen;
use crate::state::budget::Budget;
use crate::state::ranks::{Lock, Rank};
use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::fstat;
use rxbox_wire::control::About;
use rxbox_wire::sizes::PAGE;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// Limits, as the kernel has them by default (kernel.shmmni, shmmax, shmall).
const SEGMENTS: usize = 4096;
const LARGEST: u64 = u64::MAX - (1 << 24);
/// What no file can be larger than.
const FILE_MAX: u64 = i64::MAX as u64 & !(PAGE - 1);
/// Bits of the mode beside the permissions (shmctl(2)).
const SHM_DEST: u32 = 0o1000;
const SHM_LOCKED: u32 = 0o2000;

#[derive(Debug)]
struct State {
    perm: Perm,
    attached: HashMap<i32, u64>,
    attach_time: i64,
    detach_time: i64,
    change_time: i64,
    last: i32,
    /// To go with the last detach; its key is free.
    doomed: bool,
    locked: bool,
}

impl State {
    fn count(&self) -> u64 {
        self.attached.values().sum()
    }
}

#[derive(Debug)]
struct Segment {
    size: u64,
    creator: i32,
    memory: OwnedFd,
    inode: u64,
    state: Lock<State>,
    budget: Arc<Budget>,
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.budget.give(1);
    }
}

impl Owned for Arc<Segment> {
    fn perm(&self) -> (Perm, bool) {
        let state = self.state.lock();
        (state.perm, !state.doomed)
    }
}

impl Segment {
    fn new(perm: Perm, size: u64, creator: i32, budget: &Arc<Budget>) -> Result<Segment, Errno> {
        let bytes = size.checked_next_multiple_of(PAGE).filter(|n| *n <= FILE_MAX).ok_or(Errno::ENOMEM)?;
        let memory = memfd_create(c"SYSV", MFdFlags::MFD_CLOEXEC)?;
        nix::unistd::ftruncate(&memory, bytes as i64)?;
        let inode = fstat(&memory)?.st_ino;
        budget.take(1).map_err(|_| Errno::ENOSPC)?;
        let state = State {
            perm,
            attached: HashMap::new(),
            attach_time: 0,
            detach_time: 0,
            change_time: now(),
            last: 0,
            doomed: false,
            locked: false,
        };
        Ok(Segment {
            size,
            creator,
            memory,
            inode,
            state: Lock::new(Rank::IpcObject, state),
            budget: budget.clone(),
        })
    }

    /// `struct shmid_ds`.
    fn encode(&self) -> Vec<u8> {
        let state = self.state.lock();
        let dest = if state.doomed { SHM_DEST } else { 0 };
        let mut bytes = state.perm.encode(dest | if state.locked { SHM_LOCKED } else { 0 }).to_vec();
        bytes.extend(self.size.to_le_bytes());
        for time in [state.attach_time, state.detach_time, state.change_time] {
            bytes.extend(time.to_le_bytes());
        }
        bytes.extend(self.creator.to_le_bytes());
        bytes.extend(state.last.to_le_bytes());
        bytes.extend(state.count().to_le_bytes());
        bytes.extend([0; 16]);
        bytes
    }
}

/// What the child gets to map.
#[derive(Debug)]
pub struct Attach {
    /// The memory, as the guest may use it.
    pub fd: OwnedFd,
    /// What `/proc/self/maps` shows.
    pub about: About,
}

/// The segments of a sandbox.
#[derive(Debug)]
pub struct Segments(Lock<Table<Arc<Segment>>>);

impl Default for Segments {
    fn default() -> Segments {
        Segments(Lock::new(Rank::IpcTable, Table::new(SEGMENTS)))
    }
}

impl Segments {
    /// The bytes of memory that all segments take.
    pub fn bytes(&self) -> u64 {
        let segments: Vec<_> = self.0.lock().all().map(|(_, segment)| segment).collect();
        // Blocks of 512 bytes (stat(2)).
        segments.iter().filter_map(|s| fstat(&s.memory).ok()).map(|s| s.st_blocks as u64 * 512).sum()
    }

    /// shmget(2), for process `pid`; the memory counts as one descriptor of the `budget`.
    pub fn open(&self, get: Get<'_>, size: u64, pid: i32, budget: &Arc<Budget>) -> Result<i32, Errno> {
        let fits = |known: &Arc<Segment>| if size > known.size { Err(Errno::EINVAL) } else { Ok(()) };
        self.0.lock().open(get, fits, |perm| {
            if size == 0 || size > LARGEST {
                return Err(Errno::EINVAL);
            }
            Segment::new(perm, size, pid, budget).map(Arc::new)
        })
    }

    /// shmat(2): counts the process in, and gives what it is to map, to write as well or not.
    pub fn attach(
        &self,
        id: i32,
        write: bool,
        execute: bool,
        pid: i32,
        by: &Credentials,
    ) -> Result<Attach, Errno> {
        let segment = self.0.lock().get(id)?;
        let right = if write { Right::READ.and(Right::WRITE) } else { Right::READ };
        let mut state = segment.state.lock();
        state.perm.check(by, if execute { right.and(Right::EXECUTE) } else { right })?;
        let fd = reopen(segment.memory.as_fd(), if write { libc::O_RDWR } else { libc::O_RDONLY })?;
        *state.attached.entry(pid).or_default() += 1;
        (state.attach_time, state.last) = (now(), pid);
        let path = format!("/SYSV{:08x} (deleted)", state.perm.key).into();
        Ok(Attach { fd, about: About { dev: fstat(&segment.memory)?.st_dev, ino: segment.inode, path } })
    }

    /// A process has taken the segment with this inode number out of its address space once.
    pub fn detach(&self, inode: u64, pid: i32) {
        let found = self.0.lock().all().find(|(_, segment)| segment.inode == inode);
        if let Some((id, segment)) = found {
            self.leave_one(id, &segment, pid, 1);
        }
    }

    /// Counts a process out, `times` at most.
    fn leave_one(&self, id: i32, segment: &Segment, pid: i32, times: u64) {
        let mut state = segment.state.lock();
        let Some(count) = state.attached.get_mut(&pid) else { return };
        *count = count.saturating_sub(times);
        if *count == 0 {
            state.attached.remove(&pid);
        }
        (state.detach_time, state.last) = (now(), pid);
        let gone = state.doomed && state.attached.is_empty();
        drop(state);
        if gone {
            // Somebody else may have removed it meanwhile.
            let _ = self.0.lock().remove(id);
        }
    }

    /// A process has nothing attached any more.
    pub(super) fn leave(&self, pid: i32) {
        let all: Vec<_> = self.0.lock().all().collect();
        for (id, segment) in all {
            self.leave_one(id, &segment, pid, u64::MAX);
        }
    }

    /// A child process has attached what its parent has.
    pub(super) fn forked(&self, parent: i32, child: i32) {
        for (_, segment) in self.0.lock().all() {
            let mut state = segment.state.lock();
            if let Some(&count) = state.attached.get(&parent) {
                state.attached.insert(child, count);
                (state.attach_time, state.last) = (now(), child);
            }
        }
    }

    /// IPC_STAT.
    pub fn status(&self, id: i32, by: &Credentials) -> Result<Vec<u8>, Errno> {
        let segment = self.0.lock().get(id)?;
        segment.perm().0.check(by, Right::READ)?;
        Ok(segment.encode())
    }

    /// SHM_STAT and, if `by` is nobody, SHM_STAT_ANY: of the segment in a place, with its identifier.
    pub fn status_at(&self, place: i32, by: Option<&Credentials>) -> Result<(i32, Vec<u8>), Errno> {
        let (id, segment) = self.0.lock().at(place)?;
        by.map_or(Ok(()), |by| segment.perm().0.check(by, Right::READ))?;
        Ok((id, segment.encode()))
    }

    /// Changes a segment for its owner.
    fn change(
        &self,
        id: i32,
        by: &Credentials,
        what: impl FnOnce(&mut State),
    ) -> Result<Arc<Segment>, Errno> {
        let segment = self.0.lock().get(id)?;
        let mut state = segment.state.lock();
        state.perm.check_owner(by)?;
        what(&mut state);
        drop(state);
        Ok(segment)
    }

    /// IPC_SET.
    pub fn set_owner(&self, id: i32, by: &Credentials, bytes: &[u8]) -> Result<(), Errno> {
        let set = |state: &mut State| {
            state.perm.set(bytes);
            state.change_time = now();
        };
        self.change(id, by, set).map(drop)
    }

    /// SHM_LOCK, SHM_UNLOCK: a promise about speed, of which only the mark is kept.
    pub fn set_locked(&self, id: i32, by: &Credentials, locked: bool) -> Result<(), Errno> {
        self.change(id, by, |state| state.locked = locked).map(drop)
    }

    /// IPC_RMID: the segment goes once nobody has it attached.
    pub fn remove(&self, id: i32, by: &Credentials) -> Result<(), Errno> {
        let segment = self.change(id, by, |state| {
            state.doomed = true;
            state.perm.key = libc::IPC_PRIVATE;
        })?;
        if segment.state.lock().attached.is_empty() {
            // Another thread may have been faster.
            let _ = self.0.lock().remove(id);
        }
        Ok(())
    }

    /// IPC_INFO: `struct shminfo`, and the highest place in use.
    pub fn limits(&self) -> (i64, Vec<u8>) {
        let words = [LARGEST, 1, SEGMENTS as u64, SEGMENTS as u64, LARGEST, 0, 0, 0, 0];
        (self.0.lock().highest(), words.iter().flat_map(|w| w.to_le_bytes()).collect())
    }

    /// SHM_INFO: `struct shm_info`, and the highest place in use.
    pub fn info(&self) -> (i64, Vec<u8>) {
        let table = self.0.lock();
        let pages: u64 = table.all().map(|(_, segment)| segment.size.div_ceil(PAGE)).sum();
        let resident: u64 = table
            .all()
            .filter_map(|(_, segment)| Some(fstat(&segment.memory).ok()?.st_blocks as u64 * 512 / PAGE))
            .sum();
        let words = [table.count() as u64, pages, resident, 0, 0, 0];
        (table.highest(), words.iter().flat_map(|w| w.to_le_bytes()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::credentials::own;
    use crate::host::number::{Fcntl, fcntl};

    fn segment(size: u64) -> (Segments, i32, Credentials, Arc<Budget>) {
        let (segments, me, budget) = (Segments::default(), own().unwrap().clone(), Budget::new(10));
        let get = Get { key: 77, flags: 0o600 | libc::IPC_CREAT, by: &me };
        let id = segments.open(get, size, 7, &budget).unwrap();
        (segments, id, me, budget)
    }

    fn attached(segments: &Segments, place: i32) -> Result<u8, Errno> {
        segments.status_at(place, None).map(|(_, bytes)| bytes[88])
    }

    #[test]
    fn a_segment_goes_with_the_last_detach_after_its_removal() {
        let (segments, id, me, _budget) = segment(5000);
        let attach = segments.attach(id, true, false, 7, &me).unwrap();
        assert_eq!(fstat(&attach.fd).unwrap().st_size, 8192);
        segments.forked(7, 8);
        assert_eq!(attached(&segments, 0), Ok(2));
        segments.remove(id, &me).unwrap();
        let get = Get { key: 77, flags: 0, by: &me };
        assert_eq!(segments.open(get, 1, 7, &Budget::new(1)), Err(Errno::ENOENT));
        segments.detach(attach.about.ino, 7);
        segments.detach(attach.about.ino, 7);
        assert_eq!(attached(&segments, 0), Ok(1));
        segments.leave(8);
        assert_eq!(attached(&segments, 0), Err(Errno::EINVAL));
    }

    #[test]
    fn what_is_attached_to_read_cannot_be_written() {
        let (segments, id, me, _budget) = segment(1);
        let flags = |write| {
            let attach = segments.attach(id, write, false, 7, &me).unwrap();
            fcntl(attach.fd.as_fd(), Fcntl::GetFlags, 0).unwrap() as i32 & libc::O_ACCMODE
        };
        assert_eq!((flags(false), flags(true)), (libc::O_RDONLY, libc::O_RDWR));
    }

    #[test]
    fn segments_count_as_descriptors_until_they_are_gone() {
        let (segments, id, me, _budget) = segment(1);
        let small = Budget::new(1);
        let more = || segments.open(Get { key: libc::IPC_PRIVATE, flags: 0, by: &me }, 1, 7, &small);
        let second = more().unwrap();
        assert_eq!(more(), Err(Errno::ENOSPC));
        segments.remove(second, &me).unwrap();
        assert!(more().is_ok());
        assert!(segments.status(id, &me).is_ok());
    }
}

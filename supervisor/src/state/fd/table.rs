//! The numbers of one process, with their files.

use super::file::File;
use super::kind::Kind;
use crate::state::budget::Budget;
use crate::state::ranks::{Rank, ReadGuard, SharedLock, WriteGuard};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Files that were taken out of a table. They are closed, and their share of the budget is free, when this is
/// dropped.
#[derive(Debug)]
pub struct Released {
    files: Vec<Arc<File>>,
    budget: Arc<Budget>,
}

impl Released {
    /// The files.
    pub fn files(&self) -> &[Arc<File>] {
        &self.files
    }

    /// Takes those out whose closing may wait.
    pub fn split_off_waiting(&mut self) -> Option<Released> {
        let (waiting, rest) = std::mem::take(&mut self.files).into_iter().partition(|f| f.closing_may_wait());
        self.files = rest;
        Some(Released { files: waiting, budget: self.budget.clone() }).filter(|r| !r.files.is_empty())
    }
}

impl Drop for Released {
    fn drop(&mut self) {
        let n = self.files.len();
        self.files.clear();
        self.budget.give(n);
    }
}

#[derive(Clone, Debug)]
struct Entry {
    file: Arc<File>,
    cloexec: bool,
}

/// Numbers with their files.
#[derive(Debug, Default)]
struct Entries {
    by_number: BTreeMap<i32, Entry>,
    /// No number below is free, so that finding the lowest free one costs nothing while numbers are only
    /// given out.
    lowest: i32,
}

impl Entries {
    /// The lowest free number from `min` on.
    fn free_from(&self, min: i32) -> i32 {
        let mut n = min.max(self.lowest);
        for (&used, _) in self.by_number.range(n..) {
            if used != n {
                break;
            }
            n += 1;
        }
        n
    }

    fn insert(&mut self, n: i32, entry: Entry) -> Option<Entry> {
        if n == self.lowest {
            self.lowest += 1;
        }
        self.by_number.insert(n, entry)
    }

    fn remove(&mut self, n: i32) -> Option<Entry> {
        self.lowest = self.lowest.min(n.max(0));
        self.by_number.remove(&n)
    }
}

/// The open descriptors of one guest process.
#[derive(Debug)]
pub struct FdTable {
    entries: SharedLock<Entries>,
    /// Numbers from here on are not given out: the guest's soft RLIMIT_NOFILE.
    limit: AtomicU64,
    /// Whether there ever was a signal descriptor, so that waiting costs nothing to programs that have none.
    signals: AtomicBool,
    budget: Arc<Budget>,
}

impl FdTable {
    /// What its descriptors count against.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// An empty table for numbers below `limit`.
    pub fn new(limit: u64, budget: Arc<Budget>) -> FdTable {
        FdTable {
            entries: SharedLock::new(Rank::Descriptors, Entries::default()),
            limit: AtomicU64::new(limit),
            signals: AtomicBool::new(false),
            budget,
        }
    }

    fn read(&self) -> ReadGuard<'_, Entries> {
        self.entries.read()
    }
    fn write(&self) -> WriteGuard<'_, Entries> {
        self.entries.write()
    }
    fn limit(&self) -> i32 {
        self.limit.load(Ordering::Relaxed).min(i32::MAX as u64) as i32
    }
    /// Takes over a new soft RLIMIT_NOFILE. Numbers already given out stay, as in the kernel.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// The file with number `n`, or EBADF.
    pub fn get(&self, n: i32) -> Result<Arc<File>, Errno> {
        self.read().by_number.get(&n).map(|e| e.file.clone()).ok_or(Errno::EBADF)
    }

    /// The file of a descriptor, for what takes access to it: EBADF also for one opened with `O_PATH`, which
    /// only names an object (open(2)).
    pub fn accessible(&self, n: i32) -> Result<Arc<File>, Errno> {
        self.get(n).and_then(|file| if file.kind == Kind::Path { Err(Errno::EBADF) } else { Ok(file) })
    }

    /// Gives `file` the lowest free number from `min` on. EMFILE beyond the guest's limit, ENFILE beyond the
    /// sandbox's.
    pub fn insert(&self, file: impl Into<Arc<File>>, cloexec: bool, min: i32) -> Result<i32, Errno> {
        let mut entries = self.write();
        let file = file.into();
        let n = entries.free_from(min);
        if n >= self.limit() {
            return Err(Errno::EMFILE);
        }
        self.budget.take(1).map_err(|short| self.full(&entries).unwrap_or(short))?;
        if file.kind == Kind::Signals {
            self.signals.store(true, Ordering::Release);
        }
        entries.insert(n, Entry { file, cloexec });
        if min <= entries.lowest {
            entries.lowest = n + 1;
        }
        Ok(n)
    }

    /// EMFILE if most of what guests may have together is this process's: to it its own limit is what it
    /// meets.
    fn full(&self, entries: &Entries) -> Option<Errno> {
        (entries.by_number.len() > self.budget.most() / 2).then_some(Errno::EMFILE)
    }

    /// Whether there is a number to give out now; the error of [`FdTable::insert`] if not. For calls that
    /// must not take what they then cannot give.
    pub fn room(&self) -> Result<(), Errno> {
        let entries = self.read();
        if entries.free_from(0) >= self.limit() {
            return Err(Errno::EMFILE);
        }
        self.budget.room().map_err(|short| self.full(&entries).unwrap_or(short))
    }

    /// The numbers that the next two files would get, or the error of [`FdTable::insert`].
    pub fn next_two(&self) -> Result<[i32; 2], Errno> {
        self.room()?;
        let entries = self.read();
        let first = entries.free_from(0);
        let second = entries.free_from(first + 1);
        if second >= self.limit() { Err(Errno::EMFILE) } else { Ok([first, second]) }
    }

    /// Gives `file` the number `n`; what had it is returned. EBADF beyond the guest's limit.
    pub fn insert_at(
        &self,
        n: i32,
        file: impl Into<Arc<File>>,
        cloexec: bool,
    ) -> Result<Option<Arc<File>>, Errno> {
        if !(0..self.limit()).contains(&n) {
            return Err(Errno::EBADF);
        }
        let mut entries = self.write();
        if !entries.by_number.contains_key(&n) {
            self.budget.take(1)?;
        }
        Ok(entries.insert(n, Entry { file: file.into(), cloexec }).map(|e| e.file))
    }

    /// Takes number `n` away. The host descriptor is closed when the last user of the returned file is done.
    pub fn remove(&self, n: i32) -> Result<Arc<File>, Errno> {
        let entry = self.write().remove(n).ok_or(Errno::EBADF)?;
        self.budget.give(1);
        Ok(entry.file)
    }

    /// Whether `n` is closed by execve(2).
    pub fn cloexec(&self, n: i32) -> Result<bool, Errno> {
        self.read().by_number.get(&n).map(|e| e.cloexec).ok_or(Errno::EBADF)
    }

    /// Sets whether `n` is closed by execve(2).
    pub fn set_cloexec(&self, n: i32, cloexec: bool) -> Result<(), Errno> {
        self.write().by_number.get_mut(&n).map(|e| e.cloexec = cloexec).ok_or(Errno::EBADF)
    }

    /// Takes away what execve(2) closes, and returns it.
    pub fn close_on_exec(&self) -> Released {
        self.retain(|e| !e.cloexec)
    }

    /// Takes away everything: the process has ended.
    pub fn clear(&self) -> Released {
        self.retain(|_| false)
    }

    fn retain(&self, keep: impl Fn(&Entry) -> bool) -> Released {
        let mut files = Vec::new();
        let mut entries = self.write();
        entries.by_number.retain(|_, e| {
            keep(e) || {
                files.push(e.file.clone());
                false
            }
        });
        entries.lowest = 0;
        drop(entries);
        Released { files, budget: self.budget.clone() }
    }

    /// The table of a forked child: the same numbers, each with a host descriptor of its own on the same
    /// description.
    pub fn clone_for_fork(&self) -> Result<FdTable, Errno> {
        let entries = self.read();
        let mut copy = Entries { lowest: entries.lowest, ..Entries::default() };
        for (&n, e) in &entries.by_number {
            copy.by_number.insert(n, Entry { file: Arc::new(e.file.inherited()?), cloexec: e.cloexec });
        }
        self.budget.take(copy.by_number.len())?;
        Ok(FdTable {
            entries: SharedLock::new(Rank::Descriptors, copy),
            limit: AtomicU64::new(self.limit.load(Ordering::Relaxed)),
            signals: AtomicBool::new(self.signals.load(Ordering::Relaxed)),
            budget: self.budget.clone(),
        })
    }

    /// The signal descriptors.
    pub fn signals(&self) -> Vec<Arc<File>> {
        if !self.signals.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.read()
            .by_number
            .values()
            .filter(|e| e.file.kind == Kind::Signals)
            .map(|e| e.file.clone())
            .collect()
    }

    /// Whether one of the files is so.
    pub fn any(&self, so: impl Fn(&File) -> bool) -> bool {
        self.read().by_number.values().any(|entry| so(&entry.file))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.read().by_number.len()
    }

    /// All numbers with their files and close-on-exec flags, ascending.
    pub fn iter(&self) -> Vec<(i32, Arc<File>, bool)> {
        self.read().by_number.iter().map(|(&n, e)| (n, e.file.clone(), e.cloexec)).collect()
    }
}

impl Drop for FdTable {
    fn drop(&mut self) {
        self.clear();
    }
}

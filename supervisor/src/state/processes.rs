//! The guest processes of a sandbox.

use crate::host::signal::Info;
use crate::host::stat::parent_of;
use crate::state::fd::{File, Kind};
use crate::state::names::same;
use crate::state::process::Process;
use crate::state::ranks::{Guard, Lock, Rank, ReadGuard, SharedLock};
use nix::errno::Errno;
use nix::sys::stat::{FileStat, fstat};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The processes that have started and have not ended, as far as somebody took note of it.
#[derive(Debug)]
pub struct Processes {
    map: SharedLock<BTreeMap<i32, Arc<Process>>>,
    births: Lock<()>,
    /// Those that have ended, are not waited for, and are kept in mind.
    zombies: Mutex<Vec<Arc<Process>>>,
}

impl Default for Processes {
    fn default() -> Self {
        Processes {
            map: SharedLock::new(Rank::Processes, BTreeMap::new()),
            births: Lock::new(Rank::Births, ()),
            zombies: Mutex::default(),
        }
    }
}

impl Processes {
    fn map(&self) -> ReadGuard<'_, BTreeMap<i32, Arc<Process>>> {
        self.map.read()
    }

    /// The one with this id.
    pub fn get(&self, pid: i32) -> Option<Arc<Process>> {
        self.map().get(&pid).cloned()
    }

    /// All of them, by ascending id.
    pub fn all(&self) -> Vec<Arc<Process>> {
        self.map().values().cloned().collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.map().len()
    }

    /// The one that a program means by this id: one that is there, one that has ended and was not waited
    /// for, or the one whose thread has it (kill(2) and most others take any thread's id for its process).
    pub fn meant(&self, id: i32) -> Option<Arc<Process>> {
        self.get(id).or_else(|| self.zombie(id)).or_else(|| self.of_thread(id))
    }

    /// The one that has a thread of this id.
    pub fn of_thread(&self, tid: i32) -> Option<Arc<Process>> {
        self.map().values().find(|process| process.threads.slot_of(tid).is_some()).cloned()
    }

    /// The one that the host has this number for.
    pub fn on_host(&self, number: i32) -> Option<Arc<Process>> {
        self.map().values().find(|p| p.handle.on_host() == number).cloned()
    }

    /// The one with this id that has ended and was not waited for.
    pub fn zombie(&self, pid: i32) -> Option<Arc<Process>> {
        self.kept().iter().find(|zombie| zombie.pid == pid && zombie.handle.is_there().is_ok()).cloned()
    }

    /// Whether one runs this program. (One that has ended may not have been taken note of yet, and its parent
    /// may go on.)
    pub fn runs(&self, program: &FileStat) -> bool {
        let runs = |p: &Arc<Process>| fstat(&p.exe().fd).is_ok_and(|own| same(&own, program));
        self.all().iter().any(|p| runs(p) && !p.has_ended())
    }

    /// Whether one has this file open for writing.
    pub fn writes(&self, file: &FileStat) -> bool {
        let writes = |open: &File| {
            let candidate = open.kind == Kind::Regular && open.writable();
            candidate && fstat(&open.host).is_ok_and(|own| same(&own, file))
        };
        self.all().iter().any(|p| p.fds.any(writes) && !p.has_ended())
    }

    /// Held while a process that was forked is taken in, and while a signal is sent to all of a group: it
    /// either goes to the process or waits for it with its parent ([`Process::tell_forks`]).
    pub fn births(&self) -> Guard<'_, ()> {
        self.births.lock()
    }

    /// Takes one in that has started.
    pub fn insert(&self, process: Arc<Process>) {
        self.map.write().insert(process.pid, process);
    }

    /// Keeps one in mind that has ended, as long as its number is taken: nobody has waited for it.
    pub fn keep_zombie(&self, process: Arc<Process>) {
        let mut zombies = self.kept();
        zombies.push(process);
        zombies.retain(|zombie| zombie.handle.is_there().is_ok());
    }

    /// All that are kept in mind, as long as nobody has waited for them.
    pub fn zombies(&self) -> Vec<Arc<Process>> {
        self.kept().iter().filter(|zombie| zombie.handle.is_there().is_ok()).cloned().collect()
    }

    /// How many are kept in mind.
    pub fn zombie_count(&self) -> usize {
        let mut zombies = self.kept();
        zombies.retain(|zombie| zombie.handle.is_there().is_ok());
        zombies.len()
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Arc<Process>>> {
        self.zombies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one out that has ended: its children, which are orphans and have their new parents.
    pub fn remove(&self, process: &Process) -> Vec<Arc<Process>> {
        let mut map = self.map.write();
        if map.get(&process.pid).is_some_and(|p| std::ptr::eq(&raw const **p, process)) {
            map.remove(&process.pid);
            if let Some(parent) = map.get(&process.ppid()) {
                parent.transfers.add(&process.transfers);
            }
        }
        let orphans: Vec<_> = map.values().filter(|p| p.ppid() == process.pid).cloned().collect();
        for orphan in &orphans {
            // The kernel has found it a parent: a subreaper of the sandbox, or the init process, who is
            // nobody for guests.
            let parent = orphan.handle.look(|host| parent_of(host).ok_or(Errno::ESRCH));
            let parent = map.values().find(|p| parent == Ok(p.handle.on_host()));
            orphan.adopt(parent.map_or(1, |parent| parent.pid));
        }
        orphans
    }

    /// Sends a signal to all that are wanted, and to those that they are about to fork; to how many.
    pub fn signal(&self, info: &Info, wanted: impl Fn(&Process) -> bool) -> usize {
        let _births = self.births();
        let targets: Vec<_> = self.all().into_iter().filter(|p| wanted(p)).collect();
        let reached = targets.iter().filter(|target| {
            target.tell_forks(info);
            target.signal(info).is_ok()
        });
        reached.count()
    }
}

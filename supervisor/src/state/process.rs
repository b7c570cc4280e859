//! A guest process, as the supervisor keeps it.
//!
//! Everything that the kernel would keep of a process and that a guest can see or change lives here:
//! descriptors, working directory, umask, identity, limits, the program it runs. A guest process is an
//! emulator child on the host, and has its process id; its threads have the ids of their host threads.

mod exe;
mod limits;
mod line;
mod signals;
mod start;

pub use exe::ExeRecord;
pub use limits::{LIMITS, Rlimit, host_limits};
pub use line::Line;
pub use start::{Fork, State, given_descriptors};

use self::exe::NAME_MAX;
use crate::host::credentials::Credentials;
use crate::host::process::ProcessHandle;
use crate::host::shm::Channel;
use crate::host::signal::Info;
use crate::state::attributes::Attributes;
use crate::state::fd::{FdTable, Released};
use crate::state::locks::RecordLocks;
use crate::state::names::{Dir, label_of};
use crate::state::place::Place;
use crate::state::ranks::{Guard, Lock, Rank};
use crate::state::threads::Threads;
use crate::state::tracees::Tracees;
use crate::state::transfers::Transfers;
use nix::errno::Errno;
use rxbox_wire::control::About;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

/// A guest process.
#[derive(Debug)]
pub struct Process {
    /// Process id, of the guest process and of the emulator child in its PID namespace.
    pub pid: i32,
    parent: AtomicI32,
    /// The emulator child.
    pub handle: ProcessHandle,
    /// Open descriptors.
    pub fds: FdTable,
    /// Record locks (fcntl(2)).
    pub locks: RecordLocks,
    /// What prctl(2) sets and gets.
    pub attributes: Attributes,
    /// What it has read and written.
    pub transfers: Transfers,
    /// The line to the child.
    pub line: Line,
    /// Its threads.
    pub threads: Threads,
    /// Where it stands, which other processes may share.
    place: RwLock<Arc<Place>>,
    credentials: RwLock<Arc<Credentials>>,
    exe: RwLock<Arc<ExeRecord>>,
    name: RwLock<Vec<u8>>,
    limits: RwLock<[Rlimit; LIMITS]>,
    /// Those of the thread that has last asked to execute a program.
    executing: Mutex<Option<Arc<Credentials>>>,
    views: Mutex<HashMap<&'static str, Vec<u8>>>,
    forking: Lock<HashMap<usize, Fork>>,
    first: bool,
    executed: AtomicBool,
    changed: AtomicBool,
    refusal: OnceLock<String>,
    tracees: OnceLock<Arc<Tracees>>,
    ended: AtomicBool,
}

/// What the child can tell about itself on request ([`rxbox_wire::table::Internal::View`]), by number.
const VIEWS: [&str; 3] = ["maps", "auxv", "status"];

/// The number of such a view.
pub fn number_of(view: &str) -> Option<u32> {
    VIEWS.iter().position(|name| *name == view).map(|n| n as u32)
}

fn read<T: Clone>(lock: &RwLock<T>) -> T {
    lock.read().unwrap_or_else(PoisonError::into_inner).clone()
}

fn write<T>(lock: &RwLock<T>, value: T) {
    *lock.write().unwrap_or_else(PoisonError::into_inner) = value;
}

impl Process {
    /// A process with this emulator child, with what it starts from.
    pub fn new(ppid: i32, handle: ProcessHandle, start: Fork) -> Process {
        let Fork { line, fds, attributes, state, first, made: _, missed: _ } = start;
        Process {
            pid: handle.number(),
            parent: AtomicI32::new(ppid),
            handle,
            locks: RecordLocks::new(fds.budget().clone()),
            fds,
            attributes,
            transfers: Transfers::default(),
            line,
            threads: Threads::default(),
            place: RwLock::new(state.place),
            credentials: RwLock::new(state.credentials),
            name: RwLock::new(state.exe.name()),
            exe: RwLock::new(state.exe),
            limits: RwLock::new(state.limits),
            executing: Mutex::default(),
            views: Mutex::default(),
            forking: Lock::new(Rank::Forks, HashMap::new()),
            first,
            executed: AtomicBool::new(!first),
            changed: AtomicBool::new(false),
            refusal: OnceLock::new(),
            tracees: OnceLock::new(),
            ended: AtomicBool::new(false),
        }
    }

    /// Begins a fork asked for in `slot`: takes the state as it is now and sends channel and control socket
    /// for the new process to the child; `shares_place` says that it stands where this one does (CLONE_FS).
    /// Whether one that was begun there before, and let through, is given up for it.
    pub fn begin_fork(&self, slot: usize, channel: Channel, shares_place: bool) -> Result<bool, Errno> {
        let (line, end) = Line::for_fork(channel)?;
        self.line.send(&About::default(), &[line.channel.memory(), end.as_fd()])?;
        let state = State {
            place: if shares_place { self.place() } else { self.place().copy() },
            credentials: self.credentials_of(slot),
            exe: self.exe(),
            limits: read(&self.limits),
        };
        let attributes = self.attributes.inherited();
        let fds = self.fds.clone_for_fork()?;
        let fork = Fork { line, fds, attributes, state, first: false, made: false, missed: Vec::new() };
        let Some(before) = self.forks().insert(slot, fork) else { return Ok(false) };
        before.line.close();
        Ok(before.made)
    }

    /// The thread in `slot` is about to make the process that it has announced: whether it has, and has not
    /// made one since.
    pub fn let_fork_through(&self, slot: usize) -> bool {
        self.forks().get_mut(&slot).is_some_and(|fork| !std::mem::replace(&mut fork.made, true))
    }

    /// Whether the fork under way in `slot` was let through.
    pub fn fork_is_made(&self, slot: usize) -> bool {
        self.forks().get(&slot).is_some_and(|fork| fork.made)
    }

    /// How many forks are under way, and how many of them were let through.
    pub fn forks_under_way(&self) -> (usize, usize) {
        let forks = self.forks();
        (forks.len(), forks.values().filter(|fork| fork.made).count())
    }

    /// Ends the fork begun in `slot`: with the new process and the signals that it has missed, or without
    /// one.
    pub fn end_fork(
        &self,
        slot: usize,
        child: Result<ProcessHandle, Errno>,
    ) -> Result<(Process, Vec<Info>), Errno> {
        let mut fork = self.forks().remove(&slot).ok_or(Errno::EINVAL)?;
        let handle = child.inspect_err(|_| fork.line.close())?;
        let missed = std::mem::take(&mut fork.missed);
        let process = Process::new(self.pid, handle, fork);
        process.set_name(&self.name());
        Ok((process, missed))
    }

    fn forks(&self) -> Guard<'_, HashMap<usize, Fork>> {
        self.forking.lock()
    }

    /// A signal goes to all of this process's group: a process that it is about to have is to get it, too.
    pub fn tell_forks(&self, info: &Info) {
        self.forks().values_mut().for_each(|fork| fork.missed.push(*info));
    }

    /// Id of the parent process; 1 once that has ended.
    pub fn ppid(&self) -> i32 {
        self.parent.load(Ordering::Relaxed)
    }
    /// Takes note that the parent has ended, and who is in its place. The process is told if it asked for
    /// that (PR_SET_PDEATHSIG).
    pub fn adopt(&self, parent: i32) {
        self.parent.store(parent, Ordering::Relaxed);
        let signal = self.attributes.parent_death_signal.load(Ordering::Relaxed);
        if signal != 0 {
            // Nobody is told if the process itself is ending.
            let _ = self.handle.signal(&Info::sent(signal, libc::SI_USER, 0, 0));
        }
    }
    /// Whether this is the process that the sandbox began with.
    pub fn is_first(&self) -> bool {
        self.first
    }
    /// Whether it has executed a program itself, rather than go on with its parent's.
    pub fn changed_program(&self) -> bool {
        self.changed.load(Ordering::Acquire)
    }
    fn place(&self) -> Arc<Place> {
        read(&self.place)
    }
    /// Shares its place with no other process any more (unshare(2)).
    pub fn unshare_place(&self) {
        write(&self.place, self.place().copy());
    }
    /// The working directory.
    pub fn cwd(&self) -> Arc<Dir> {
        self.place().cwd()
    }
    /// Changes the working directory.
    pub fn set_cwd(&self, dir: Dir) {
        self.place().set_cwd(dir);
    }
    /// The file mode creation mask.
    pub fn umask(&self) -> u32 {
        self.place().umask()
    }
    /// Changes the mask; returns the one before (umask(2)).
    pub fn set_umask(&self, mask: u32) -> u32 {
        self.place().set_umask(mask)
    }
    /// The credentials by which others know it: those of its first thread.
    pub fn credentials(&self) -> Arc<Credentials> {
        read(&self.credentials)
    }
    /// The credentials of the thread that uses this slot.
    pub fn credentials_of(&self, slot: usize) -> Arc<Credentials> {
        self.threads.credentials(slot).unwrap_or_else(|| self.credentials())
    }
    /// The credentials of the thread with this id; those of the process if it has none.
    pub fn credentials_of_thread(&self, tid: i32) -> Arc<Credentials> {
        let slot = if tid == self.pid { None } else { self.threads.slot_of(tid) };
        slot.map_or_else(|| self.credentials(), |slot| self.credentials_of(slot))
    }
    /// Notes that a thread with these credentials is going to execute a program.
    pub fn note_executing(&self, credentials: Arc<Credentials>) {
        *self.executing.lock().unwrap_or_else(PoisonError::into_inner) = Some(credentials);
    }
    /// The credentials with which a program is executed; none for the first one.
    pub fn executing(&self) -> Option<Arc<Credentials>> {
        self.executing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// Changes the credentials of the thread that uses this slot.
    pub fn set_credentials(&self, slot: usize, credentials: Arc<Credentials>) {
        if let Some(credentials) = self.threads.set_credentials(slot, credentials) {
            write(&self.credentials, credentials);
        }
    }
    /// The program.
    pub fn exe(&self) -> Arc<ExeRecord> {
        read(&self.exe)
    }
    /// Takes note of a new program (execve(2)), which also names the process.
    pub fn set_exe(&self, exe: ExeRecord) {
        write(&self.name, exe.name());
        write(&self.exe, Arc::new(exe));
        self.attributes.executed();
        self.executed.store(true, Ordering::Release);
        self.changed.store(true, Ordering::Release);
        self.views.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
    /// Whether a program has ever been in place.
    pub fn executed(&self) -> bool {
        self.executed.load(Ordering::Acquire)
    }
    /// Why the first program cannot be run, as its child says; the first word on it counts.
    pub fn refuse(&self, why: String) {
        let _ = self.refusal.set(why);
    }
    /// What was told to [`Process::refuse`].
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.get().map(String::as_str)
    }
    /// The arguments that the program was started with.
    pub fn arguments(&self) -> Vec<Vec<u8>> {
        self.exe().arguments.clone()
    }
    /// The environment that the program was started with.
    pub fn environment(&self) -> Vec<Vec<u8>> {
        self.exe().environment.clone()
    }
    /// The name (`comm`).
    pub fn name(&self) -> Vec<u8> {
        read(&self.name)
    }
    /// Renames the process (PR_SET_NAME); cut to 15 bytes or the first NUL.
    pub fn set_name(&self, name: &[u8]) {
        let end = name.iter().position(|&b| b == 0).unwrap_or(name.len()).min(NAME_MAX);
        write(&self.name, name[..end].to_vec());
    }
    /// The name of a thread; that of the process until it gets one of its own.
    pub fn thread_name(&self, tid: i32) -> Vec<u8> {
        self.attributes.name_of(tid).unwrap_or_else(|| self.name())
    }
    /// Names a thread; what is too long is cut.
    pub fn set_thread_name(&self, tid: i32, name: &[u8]) {
        if tid == self.pid {
            self.set_name(name);
        } else {
            self.attributes.set_name_of(tid, name);
        }
    }
    /// A resource limit; beyond the last kind there is none.
    pub fn limit(&self, resource: usize) -> Rlimit {
        let limits = self.limits.read().unwrap_or_else(PoisonError::into_inner);
        limits.get(resource).copied().unwrap_or(Rlimit { soft: u64::MAX, hard: u64::MAX })
    }
    /// Changes a resource limit to what `change` makes of it, unless that fails; returns the one before.
    /// EINVAL beyond the last kind.
    pub fn change_limit(
        &self,
        resource: usize,
        change: impl FnOnce(Rlimit) -> Result<Rlimit, Errno>,
    ) -> Result<Rlimit, Errno> {
        let mut limits = self.limits.write().unwrap_or_else(PoisonError::into_inner);
        let limit = limits.get_mut(resource).ok_or(Errno::EINVAL)?;
        let old = *limit;
        *limit = change(old)?;
        Ok(old)
    }
    /// What the child last told about itself under this name (`maps`, ...).
    pub fn view(&self, name: &str) -> Option<Vec<u8>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
    /// Takes what the child tells about itself. EINVAL for a number that is no view.
    pub fn set_view(&self, which: u32, text: Vec<u8>) -> Result<(), Errno> {
        let name = VIEWS.get(which as usize).ok_or(Errno::EINVAL)?;
        self.views.lock().unwrap_or_else(PoisonError::into_inner).insert(name, text);
        Ok(())
    }

    /// Sends the descriptor of a file, with what `/proc/self/maps` shows of it.
    pub fn send_fd(&self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        self.send_copy(fd, fd)
    }

    /// Sends the descriptor of a copy of `file` in its place.
    pub fn send_copy(&self, copy: BorrowedFd<'_>, file: BorrowedFd<'_>) -> Result<(), Errno> {
        let status = nix::sys::stat::fstat(file)?;
        let path = label_of(file)?;
        self.line.send(&About { dev: status.st_dev, ino: status.st_ino, path }, &[copy])
    }

    /// Sends a descriptor with what `/proc/self/maps` is to show of it.
    pub fn send_about(&self, fd: BorrowedFd<'_>, about: &About) -> Result<(), Errno> {
        self.line.send(about, &[fd])
    }

    /// Whether the emulator child runs no more, asked of the host.
    pub fn has_ended(&self) -> bool {
        self.handle.has_ended()
    }

    /// Whether the emulator child has ended, as far as somebody took note of it.
    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
    /// Takes note that the emulator child has ended: its descriptors are closed, its locks dropped, its
    /// workers sent home. Returns the files whose closing may wait.
    pub fn end(&self) -> Vec<Released> {
        self.ended.store(true, Ordering::Release);
        let mut own = self.fds.clear();
        own.files().iter().for_each(|file| self.locks.release(file));
        let mut waiting: Vec<_> = own.split_off_waiting().into_iter().collect();
        for fork in std::mem::take(&mut *self.forks()).into_values() {
            fork.line.close();
            waiting.extend(fork.fds.clear().split_off_waiting());
        }
        self.threads.close_all(&self.line.channel);
        waiting
    }
}

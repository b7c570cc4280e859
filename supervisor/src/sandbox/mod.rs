//! A sandbox: the policy, and all guest processes under it.

pub mod closer;
pub mod forks;
pub mod layers;
pub mod poller;
pub mod processors;
pub mod worker_pool;

use crate::host::SyscallResult;
use crate::host::cgroup::Cgroup;
use crate::host::maker::Maker;
use crate::host::pid_namespace::PidNamespace;
use crate::host::process::{ProcessHandle, ThreadHandle};
use crate::host::schedule::Change;
use crate::host::shm::Channel;
use crate::report::audit::{Audit, Listener};
use crate::report::ending::Ending;
use crate::report::stream::Stream;
use crate::report::trace::Trace;
use crate::sandbox::closer::Closer;
use crate::sandbox::forks::Forks;
use crate::sandbox::layers::HostLayers;
use crate::sandbox::poller::{Poller, Source};
use crate::sandbox::processors::Processors;
use crate::sandbox::worker_pool::WorkerPool;
use crate::state::apart::Apart;
use crate::state::budget::Budget;
use crate::state::fd::File;
use crate::state::ipc::Namespace;
use crate::state::locks::Waits;
use crate::state::memory_files::MemoryFiles;
use crate::state::mounts;
use crate::state::names::{join, label_of};
use crate::state::notices::Notices;
use crate::state::output::Output;
use crate::state::pinned::Pinned;
use crate::state::process::Process;
use crate::state::processes::Processes;
use crate::state::ranks::{Lock, Rank};
use crate::state::resolver::Resolver;
use crate::state::search::Search;
use crate::state::sockets::{Anchors, Peers, Travellers};
use crate::state::terminals::Terminals;
use crate::state::tracees::{Notice, OUTSIDE, Tracees};
use crate::state::traffic::{Carried, Count, Traffic};
use crate::translations::Translations;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fstat};
use rxbox_policy::{Access, Policy};
use rxbox_wire::sizes::CHANNEL_SIZE;
use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Everything that the threads of the supervisor share.
#[derive(Debug)]
pub struct Sandbox {
    /// What the guest may do.
    pub policy: Arc<Policy>,
    /// What it was denied.
    pub audit: Audit,
    /// The layers of confinement that depend on the host.
    pub layers: HostLayers,
    /// Where the end is declared.
    pub ending: Arc<Ending>,
    /// What the event loop waits for.
    pub poller: Poller,
    /// Makes what is to be in namespaces of the run's own, once the supervisor has given its rights up.
    pub maker: OnceLock<Maker>,
    /// The run's cgroup, where it has one of its own.
    pub cgroup: OnceLock<Cgroup>,
    /// Kept translations, if the run uses any.
    pub translations: OnceLock<Translations>,
    pids: OnceLock<PidNamespace>,
    /// What the service manager is told, where there is one.
    pub notices: OnceLock<Notices>,
    /// Looks names of hosts up, where the profile speaks of them.
    pub resolver: OnceLock<Resolver>,
    /// Directories in which guests have bound sockets.
    pub anchors: Anchors,
    /// Who is at the other end of sockets.
    pub peers: Peers,
    /// Sockets that processes send each other.
    pub travellers: Travellers,
    /// Who waits for a record lock.
    pub lock_waits: Waits,
    /// Where files are locked that the guest may only read.
    pub apart: Apart,
    /// Semaphores, shared memory, message queues.
    pub ipc: Namespace,
    /// Files that are memory, where that is limited.
    pub memory_files: Option<MemoryFiles>,
    /// Programs that are judged by their contents.
    pub pinned: Pinned,
    /// What folders of `PATH` do not have.
    pub search: Search,
    /// Job control of terminals.
    pub terminals: Terminals,
    /// What connections have carried, if somebody wants records of it.
    pub traffic: Option<Arc<Traffic>>,
    /// What may still be written to the standard streams.
    pub output: Output,
    /// Who wants to see the calls.
    pub trace: Trace,
    /// Where records of the run as a whole go.
    pub records: Vec<Arc<Stream>>,
    /// How many processors there are for guest threads and workers.
    pub processors: Processors,
    /// What closes files whose closing may wait.
    pub closer: Closer,
    /// The threads that serve guest threads.
    pub workers: WorkerPool<Job>,
    /// Host descriptors for all guest processes.
    pub budget: Arc<Budget>,
    /// The guest processes.
    pub processes: Processes,
    /// What is known of forks.
    pub forks: Forks,
    /// Who traces whom.
    pub tracees: Arc<Tracees>,
    /// Held while a process is removed.
    removal: Lock<()>,
    /// Guest threads alive or about to start.
    threads: AtomicU64,
}

/// A slot to serve, reserved, with its thread counted in.
#[derive(Debug)]
pub struct Job {
    /// The sandbox.
    pub sandbox: Arc<Sandbox>,
    /// The process whose thread uses the slot.
    pub process: Arc<Process>,
    /// Its number.
    pub slot: usize,
}

/// The folders of rxbox's own `PATH` in which the guest may not look.
fn search(policy: &Policy) -> Search {
    let may_look = |folder: &[u8]| policy.path(Access::Metadata, &join(folder, b"x")).allowed();
    std::env::var_os("PATH").map(|path| Search::along(&path, may_look)).unwrap_or_default()
}

impl Sandbox {
    /// A child is given a file whose code it may map.
    pub fn offer_code(&self, file: BorrowedFd<'_>) {
        if let (Some(translations), Ok(path)) = (self.translations.get(), label_of(file)) {
            translations.offer(file, &path);
        }
    }

    /// A sandbox without processes, whose audit tells these listeners. Its workers serve slots with `serve`:
    /// what they do stands above the sandbox ([`crate::worker::serve`]).
    pub fn new(
        policy: Arc<Policy>,
        listeners: Vec<Listener>,
        trace: Trace,
        records: Vec<Arc<Stream>>,
        budget: Arc<Budget>,
        serve: fn(Job),
    ) -> Result<Sandbox, Errno> {
        let (ending, poller) = (Ending::new()?, Poller::new()?);
        poller.add(ending.event(), Source::Ending)?;
        let wanted = listeners.iter().any(|listener| matches!(listener, Listener::Records(_)));
        Ok(Sandbox {
            traffic: wanted.then(Arc::default),
            audit: Audit::new(policy.clone(), ending.clone(), listeners),
            output: Output::of_host(policy.limits().output, ending.clone()),
            poller,
            ending,
            layers: HostLayers::default(),
            maker: OnceLock::new(),
            translations: OnceLock::new(),
            pids: OnceLock::new(),
            notices: OnceLock::new(),
            resolver: OnceLock::new(),
            cgroup: OnceLock::new(),
            anchors: Anchors::default(),
            peers: Peers::default(),
            travellers: Travellers::default(),
            lock_waits: Waits::default(),
            apart: Apart::new(budget.clone()),
            ipc: Namespace::default(),
            memory_files: policy.limits().memory.map(|_| MemoryFiles::new()).transpose()?,
            pinned: Pinned::default(),
            search: search(&policy),
            terminals: Terminals::default(),
            policy,
            trace,
            records,
            processors: Processors::of_host(),
            closer: Closer::default(),
            workers: WorkerPool::new(serve),
            budget,
            processes: Processes::default(),
            forks: Forks::default(),
            tracees: Arc::default(),
            removal: Lock::new(Rank::Removal, ()),
            threads: AtomicU64::new(0),
        })
    }

    /// What guest processes are called, and what the host calls them.
    pub fn pids(&self) -> PidNamespace {
        self.pids.get().cloned().unwrap_or_default()
    }

    /// The first process, by its number on the host: in the PID namespace of the run if the init process
    /// could start it there.
    ///
    /// # Errors
    /// As pidfd_open(2).
    pub fn first_process(&self, host: i32) -> Result<ProcessHandle, Errno> {
        let made = self.maker.get().and_then(|maker| maker.namespaces().ok());
        let made = made.map(|made| made.pids.clone()).unwrap_or_default();
        let (handle, pids) = match ProcessHandle::in_namespace(host, &made) {
            Err(Errno::ESRCH) => (ProcessHandle::open(host)?, PidNamespace::of_host()),
            handle => (handle?, made),
        };
        self.layers.pids(pids.file().is_some());
        // It is the first.
        let _ = self.pids.set(pids);
        Ok(handle)
    }

    /// Has a thread treated so. EACCES for a nice value that would favour it: it can only step back, as any
    /// process without privileges.
    ///
    /// # Errors
    /// As [`ThreadHandle::change`].
    pub fn change(&self, thread: &ThreadHandle<'_>, change: Change) -> SyscallResult {
        if let Change::Nice(nice) = change
            && 20 - i64::from(nice) > thread.priority()?
        {
            return Err(Errno::EACCES);
        }
        let inside = self.maker.get().filter(|_| self.pids().file().is_some());
        match inside {
            Some(maker) => maker.change(thread.number(), change),
            None => thread.change(&change),
        }
    }

    /// Where sockets are made if the policy allows no network and the host gives one to be alone in.
    pub fn empty_network(&self) -> Option<&Maker> {
        self.maker.get().filter(|maker| maker.isolated() && self.policy.reach().no_network())
    }

    /// Whether the children are in a network of the run's own, where there is nothing to reach.
    pub fn is_network_apart(&self) -> bool {
        self.maker.get().is_some_and(Maker::isolated)
    }

    /// The namespace in which guests see themselves, by its name in `/proc/PID/ns`.
    ///
    /// # Errors
    /// As open(2).
    pub fn namespace(&self, kind: &str) -> Result<OwnedFd, Errno> {
        let pids = self.pids();
        let made = match kind {
            "pid" | "pid_for_children" => pids.file(),
            "net" => {
                let made = self.empty_network().and_then(|maker| maker.namespaces().ok());
                made.map(|made| made.network.as_fd())
            }
            _ => None,
        };
        if let Some(made) = made {
            return made
                .try_clone_to_owned()
                .map_err(|e| e.raw_os_error().map_or(Errno::EMFILE, Errno::from_raw));
        }
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        nix::fcntl::open(format!("/proc/thread-self/ns/{kind}").as_str(), flags, Mode::empty())
    }

    /// A new channel. Where the policy's limit on file sizes, which the kernel enforces on the supervisor,
    /// leaves no room for one, the maker makes it.
    ///
    /// # Errors
    /// As of memfd_create(2); EFBIG if the user's own limit leaves no room either.
    pub fn channel(&self) -> Result<Channel, Errno> {
        let narrow = self.policy.limits().file_size.is_some_and(|most| most < CHANNEL_SIZE as u64);
        match self.maker.get().filter(|_| narrow) {
            Some(maker) => Channel::of(maker.memory()?),
            None => Channel::new(),
        }
    }

    /// Announces a fork of the process's thread in this slot ([`Process::begin_fork`]). EAGAIN if the policy
    /// does not let one more process start: one counts from its announcement until it is waited for and what
    /// it had open is closed.
    pub fn announce_fork(&self, process: &Process, slot: usize, shares_place: bool) -> Result<(), Errno> {
        let given_up = {
            let _births = self.processes.births();
            if let Some(most) = self.policy.limits().processes {
                let ended = self.processes.zombie_count() + self.closer.processes();
                Forks::room(&self.processes, most.saturating_sub(ended as u64))?;
            }
            process.begin_fork(slot, self.channel()?, shares_place)?
        };
        if given_up {
            self.sweep();
        }
        if self.forks.are_ungated() {
            process.let_fork_through(slot);
        }
        Ok(())
    }

    /// A file that is memory and has just been made, charged to the sandbox.
    ///
    /// # Errors
    /// ENOMEM if it cannot be charged.
    pub fn charged(&self, file: File) -> Result<File, Errno> {
        let charge = self.memory_files.as_ref().map(|files| files.charge(file.host.as_fd()));
        Ok(file.with_measure(charge.transpose().map_err(|_| Errno::ENOMEM)?))
    }

    /// A file of which only the descriptor was known, measured if it is memory.
    pub fn recognised(&self, file: File) -> File {
        match self.memory_files.as_ref().and_then(|files| files.known(file.host.as_fd())) {
            None => file,
            measure => file.with_measure(measure),
        }
    }

    /// The bytes of memory that the kernel keeps for the guests' open files and objects.
    pub fn kept_for_guests(&self) -> u64 {
        let mut seen = HashSet::new();
        let mut kept = 0;
        for (_, file, _) in self.processes.all().iter().flat_map(|process| process.fds.iter()) {
            let bytes = file.kept();
            // Both ends of a pipe, and every descriptor of a socket, tell of the same memory.
            if bytes > 0 && fstat(&file.host).is_ok_and(|s| seen.insert((s.st_dev, s.st_ino))) {
                kept += bytes;
            }
        }
        kept + mounts::memory()
            + self.ipc.segments.bytes()
            + self.memory_files.as_ref().map_or(0, MemoryFiles::bytes)
    }

    /// What connections have carried, by destination.
    pub fn carried(&self) -> Vec<(String, Carried)> {
        let Some(traffic) = &self.traffic else { return Vec::new() };
        for (_, file, _) in self.processes.all().iter().flat_map(|process| process.fds.iter()) {
            file.count().into_iter().for_each(Count::take);
        }
        traffic.all()
    }

    /// Whether the kernel has ended a process because the sandbox has used up its memory.
    pub fn ran_out_of_memory(&self) -> bool {
        self.cgroup.get().is_some_and(Cgroup::has_killed)
    }

    /// Adds a process that has started.
    ///
    /// # Errors
    /// The event loop cannot wait for it.
    pub fn add_process(&self, process: Arc<Process>) -> Result<(), Errno> {
        self.poller.add(process.line.control.as_fd(), Source::Control(process.pid))?;
        self.poller.add(process.handle.as_fd(), Source::Process(process.pid))?;
        self.processes.insert(process);
        Ok(())
    }

    /// Kills the processes that nobody is about to tell of ([`Forks::sweep`]).
    pub fn sweep(&self) {
        self.forks.sweep(&self.processes);
    }

    /// Removes a process that has ended; its children are orphans, and get the signal that they asked for.
    pub fn remove_process(&self, process: &Process) {
        let given_up = {
            let _alone = self.removal.lock();
            self.remove_locked(process)
        };
        if given_up {
            self.sweep();
        }
    }

    /// Whether it leaves forks behind that may have been made.
    fn remove_locked(&self, process: &Process) -> bool {
        self.poller.remove(process.handle.as_fd());
        self.poller.remove(process.line.control.as_fd());
        let orphans = {
            // Whoever counts meanwhile finds it as one or the other.
            let _births = self.processes.births();
            if let Some(zombie) = self.processes.get(process.pid) {
                self.processes.keep_zombie(zombie);
            }
            self.processes.remove(process)
        };
        orphans.iter().for_each(|orphan| self.processes.left_alone(orphan));
        self.terminals.ended(process.pid);
        let (_, made) = process.forks_under_way();
        process.end().into_iter().for_each(|files| self.closer.close(files));
        self.ipc.ended(process.pid);
        let (notices, killed) = self.tracees.process_ended(process.pid, process.ppid());
        notices.into_iter().for_each(|notice| self.tell_tracer(notice));
        killed.iter().filter_map(|pid| self.processes.get(*pid)).for_each(|tracee| tracee.kill());
        made > 0
    }

    /// Tells a tracer what has happened, and has it look.
    pub fn tell_tracer(&self, notice: Notice) {
        if notice.tracer == OUTSIDE {
            self.tracees.ring_outside();
        }
        if let (Some(info), Some(tracer)) = (notice.info, self.processes.get(notice.tracer)) {
            // It may have ended.
            let _ = tracer.handle.signal(&info);
        }
        for waiter in notice.waiting {
            self.processes.get(waiter.process).into_iter().for_each(|process| process.kick(waiter.tid));
        }
    }

    /// Removes the processes whose end the event loop has not seen yet: what they leave behind (locks,
    /// semaphores to undo) must be gone before the `caller`, who may know of their end, looks.
    pub fn remove_ended(&self, caller: &Process) {
        // A removal that is under way comes to its end first.
        let alone = self.removal.lock();
        let others = self.processes.all();
        let mut given_up = false;
        for process in others.iter().filter(|p| p.pid != caller.pid && p.has_ended()) {
            given_up |= self.remove_locked(process);
        }
        drop(alone);
        if given_up {
            self.sweep();
        }
    }

    /// Has a slot served that has been reserved and whose thread has been counted in.
    ///
    /// # Errors
    /// EAGAIN: no thread can be made for it.
    pub fn start_worker(self: &Arc<Self>, process: &Arc<Process>, slot: usize) -> Result<(), Errno> {
        let job = Job { sandbox: self.clone(), process: process.clone(), slot };
        self.workers.start(job).map_err(|_| Errno::EAGAIN)
    }

    /// Counts one more thread in: EAGAIN if the policy does not let it start.
    pub fn enter_thread(&self) -> Result<(), Errno> {
        let most = self.policy.limits().threads.unwrap_or(u64::MAX);
        let enter = |n: u64| (n < most).then_some(n + 1);
        self.threads
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter)
            .map(drop)
            .map_err(|_| Errno::EAGAIN)
    }

    /// How many guest threads there are.
    pub fn thread_count(&self) -> u64 {
        self.threads.load(Ordering::Relaxed)
    }

    /// Counts a thread out.
    pub fn leave_thread(&self) {
        self.threads.fetch_sub(1, Ordering::Relaxed);
    }
}

//! How a container is made and started.
//!
//! `create` forks the container's process, which becomes a run of rxbox (its job process) and lives on, and
//! follows it until it waits to be started:
//!
//! ```text
//! create                                   the container's process
//!   puts it into its cgroups        ──▶      enters and makes namespaces
//!   hooks prestart, createRuntime   ◀─▶      hostname, settings, roots, mounts, devices, terminal
//!                                            hook createContainer; pivot_root; limits
//!   writes state.json and pid file  ◀──      a run: policy, program; waits on its socket
//! start: says so on the socket      ──▶      gives its rights up, starts the guest
//! ```
//!
//! Whatever fails on the way ends both, and nothing is left.

use super::bundle::Bundle;
use super::context::{Context, in_words_of_engines};
use super::root::Roots;
use super::state::{Home, State, Status};
use super::{cgroup, console, hooks, identity, limits, profile};
use crate::cli::oci::Create;
use crate::cli::{Profile, Reports, Run};
use crate::confine::descriptors::Given;
use crate::files::HostFiles;
use crate::host::process::ProcessHandle;
use crate::host::signal::Info;
use crate::host::{mount, pty, spawn, start as started};
use crate::monitor::message::{Reply, Request, hear, tell};
use crate::run::contained::{Contained, Progress};
use crate::run::{self};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::SignalFd;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, socketpair};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, setsid};
use oci_spec::runtime::{LinuxNamespaceType, Process};
use rxbox_policy::{Files, Named, ReadProfile};
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Makes a container that waits to be started.
///
/// # Errors
/// It has come to nothing.
pub(super) fn create(context: &Context, asked: &Create, given: Given) -> Result<State, String> {
    make(context, asked, given, Way { own_session: true, blocked: started::blocked_signals() })
}

/// How the container's process is started.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// It leads a session of its own.
    own_session: bool,
    /// The signals that it blocks, bit n - 1 for signal n.
    blocked: u64,
}

/// Makes and starts one; its exit status if it is waited for.
///
/// # Errors
/// It has come to nothing.
pub(super) fn run(
    context: &Context,
    asked: &Create,
    given: Given,
    detach: bool,
    keep: bool,
) -> Result<i32, String> {
    let way = Way { own_session: detach, blocked: started::blocked_signals() };
    // What is sent to this process is for the program.
    let signals = SigSet::all();
    if !detach {
        signals.thread_block().map_err(|e| e.desc().to_owned())?;
    }
    let state = make(context, asked, given, way)?;
    if let Err(why) = start(context, &asked.id) {
        let _ = super::control::delete(context, &asked.id, true);
        return Err(why);
    }
    if detach {
        return Ok(0);
    }
    let status =
        follow(state.pid, &signals).map_err(|e| format!("waiting for the container: {}", e.desc()))?;
    if !keep {
        super::control::delete(context, &asked.id, true)?;
    }
    Ok(status)
}

/// Waits for the end of a container, and passes signals on meanwhile.
pub(super) fn follow(pid: i32, signals: &SigSet) -> Result<i32, Errno> {
    let process = ProcessHandle::open(pid)?;
    let signals = SignalFd::new(signals)?;
    loop {
        let signal = signals.read_signal()?;
        match signal.map(|signal| signal.ssi_signo as i32) {
            Some(libc::SIGCHLD) if process.has_ended() => break,
            Some(libc::SIGCHLD) | None => {}
            // It may have ended.
            Some(signal) => _ = process.signal(&Info::sent(signal, libc::SI_USER, 0, 0)),
        }
    }
    Ok(match spawn::wait_for(Pid::from_raw(pid))? {
        spawn::Ended::Exited(status) => status,
        spawn::Ended::Signaled(signal) => 128 + signal,
    })
}

/// Starts what `create` has made.
///
/// # Errors
/// It does not wait for that.
pub(super) fn start(context: &Context, id: &str) -> Result<(), String> {
    let home = Home::of(&context.root, id)?;
    let state = home.read()?;
    match state.status() {
        Status::Created => {}
        status => return Err(format!("cannot start a container that is {}", status.name())),
    }
    let silent = |e: Errno| format!("container {id} does not answer: {}", e.desc());
    let line = home.connect().map_err(silent)?;
    tell(line.as_fd(), &Request::Start, MsgFlags::empty()).map_err(silent)?;
    match hear(line.as_fd(), MsgFlags::empty()).map_err(silent)? {
        Some(Reply::Done) => {}
        Some(Reply::Refused { why }) => return Err(why),
        _ => return Err(silent(Errno::ECONNRESET)),
    }
    let state = state.at(Status::Running);
    home.write(&state)?;
    if let Err(why) = hooks::run(state.poststart.as_ref(), &state) {
        context.log.warn(&why);
    }
    Ok(())
}

fn make(context: &Context, asked: &Create, given: Given, way: Way) -> Result<State, String> {
    if asked.no_pivot {
        return Err("--no-pivot is not offered".to_owned());
    }
    if asked.preserve_fds > 0 {
        return Err("--preserve-fds is not offered".to_owned());
    }
    let bundle = Bundle::read(&asked.bundle)?;
    let process = bundle.process()?;
    if process.args().as_ref().is_none_or(Vec::is_empty) {
        return Err("process.args is empty".to_owned());
    }
    let terminal = process.terminal().unwrap_or(false);
    let console = match (&asked.console_socket, terminal) {
        (Some(path), true) => Some(console::engine(path)?),
        (None, true) if way.own_session => return Err("a terminal needs --console-socket".to_owned()),
        (Some(_), false) => return Err("--console-socket is for a process with a terminal".to_owned()),
        _ => None,
    };
    let profile = read_profile(&bundle)?;
    let home = Home::of(&context.root, &asked.id)?;
    home.make()?;
    let made = follow_up(context, asked, (&bundle, &home), console, profile, given, way);
    if made.is_err() {
        let _ = home.remove();
    }
    made
}

/// Forks the container's process and follows it until it waits to be started.
fn follow_up(
    context: &Context,
    asked: &Create,
    (bundle, home): (&Bundle, &Home),
    console: Option<OwnedFd>,
    profile: ReadProfile,
    given: Given,
    way: Way,
) -> Result<State, String> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |e: Errno| format!("{what}: {}", e.desc())
    };
    let listener = home.listen().map_err(failed("the container's socket"))?;
    let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
    let (ours, theirs) = pair.map_err(failed("the container's process"))?;
    // A profile that was read holds no lock and no thread, so a copy in the child is whole.
    let become_container = || {
        let own_end = std::os::fd::AsRawFd::as_raw_fd(&ours);
        let parts = Parts { bundle, id: &asked.id, console, profile, listener, maker: theirs, way };
        match nix::unistd::close(own_end) {
            Ok(()) => parts.contain(given),
            Err(_) => 125,
        }
    };
    let pid = spawn::fork(become_container).map_err(failed("the container's process"))?;
    let mut state = State::new(&asked.id, bundle, pid.as_raw());
    let done = accompany(context, asked, (bundle, home), &ours, &mut state);
    if let Err(why) = done {
        if let Some(process) = state.process() {
            let _ = process.signal(&Info::sent(libc::SIGKILL, libc::SI_USER, 0, 0));
        }
        let _ = spawn::wait_for(pid);
        let _ = cgroup::remove(&state.cgroups);
        return Err(why);
    }
    Ok(state)
}

/// The maker's side, until the container waits to be started.
fn accompany(
    context: &Context,
    asked: &Create,
    (bundle, home): (&Bundle, &Home),
    line: &OwnedFd,
    state: &mut State,
) -> Result<(), String> {
    let gone = |e: Errno| format!("the container's process has ended: {}", e.desc());
    bundle.warnings.iter().for_each(|warning| context.log.warn(warning));
    let (cgroups, left) = cgroup::enter(bundle, context.systemd, &asked.id, state.pid)?;
    left.iter().for_each(|warning| context.log.warn(warning));
    state.cgroups = cgroups;
    home.write(state)?;
    tell(line.as_fd(), &Progress::Namespaces, MsgFlags::empty()).map_err(gone)?;
    loop {
        match hear(line.as_fd(), MsgFlags::empty()).map_err(gone)? {
            Some(Progress::Namespaces) => {
                let all = bundle.spec.hooks().as_ref();
                hooks::run(all.and_then(|hooks| hooks.prestart().as_ref()), state)?;
                hooks::run(all.and_then(|hooks| hooks.create_runtime().as_ref()), state)?;
                tell(line.as_fd(), &Progress::Namespaces, MsgFlags::empty()).map_err(gone)?;
            }
            Some(Progress::Ready { warnings }) if !warnings.is_empty() => {
                warnings.iter().for_each(|warning| context.log.warn(warning));
            }
            Some(Progress::Ready { .. }) => break,
            Some(Progress::Failed { why }) => return Err(in_words_of_engines(why)),
            None => return Err(gone(Errno::ECONNRESET)),
        }
    }
    let known = state.clone().at(Status::Created);
    home.write(&known)?;
    *state = known;
    if let Some(file) = &asked.pid_file {
        write_pid(file, state.pid)?;
    }
    Ok(())
}

/// Writes the number of a process, at once as a whole.
pub(super) fn write_pid(file: &Path, pid: i32) -> Result<(), String> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let new = file.with_file_name(format!(".{name}"));
    let written = fs::write(&new, pid.to_string()).and_then(|()| fs::rename(&new, file));
    written.map_err(|e| format!("--pid-file {}: {e}", file.display()))
}

/// The bundle's profile, which may extend one of the host's.
fn read_profile(bundle: &Bundle) -> Result<ReadProfile, String> {
    /// The host's profiles, and the bundle's text as a file.
    struct WithBundle(HostFiles, String);
    impl Files for WithBundle {
        fn read(&self, path: &Path) -> io::Result<String> {
            if path == Path::new(profile::NAME) { Ok(self.1.clone()) } else { self.0.read(path) }
        }
        fn exists(&self, path: &Path) -> bool {
            self.0.exists(path)
        }
        fn named(&self, path: &Path) -> Named {
            self.0.named(path)
        }
        fn directories_and_links(&self, directory: &Path) -> Vec<OsString> {
            self.0.directories_and_links(directory)
        }
        fn spells_freely(&self, directory: &Path) -> Option<&'static str> {
            self.0.spells_freely(directory)
        }
        fn profile_folders(&self) -> Vec<PathBuf> {
            Vec::new()
        }
        fn lookup_profile(&self, name: &str) -> Option<(PathBuf, String)> {
            self.0.lookup_profile(name)
        }
    }
    let files = WithBundle(HostFiles::default(), profile::text(bundle)?);
    Ok(ReadProfile::read(profile::NAME, &files))
}

/// What the container's process begins with.
struct Parts<'a> {
    bundle: &'a Bundle,
    id: &'a str,
    console: Option<OwnedFd>,
    profile: ReadProfile,
    listener: OwnedFd,
    maker: OwnedFd,
    way: Way,
}

impl Parts<'_> {
    /// The whole life of the container's process.
    fn contain(mut self, given: Given) -> i32 {
        started::block_exactly(self.way.blocked);
        let prepared = self.prepare();
        // The job process closes what it does not know, and nobody may own that then.
        drop(self.console.take());
        match prepared {
            Err(why) => {
                let _ = tell(self.maker.as_fd(), &Progress::Failed { why }, MsgFlags::empty());
                125
            }
            Ok((roots, terminal)) => self.run(given, roots, terminal),
        }
    }

    fn run(self, mut given: Given, roots: Roots, terminal: Option<OwnedFd>) -> i32 {
        let Ok(process) = self.bundle.process() else { return 125 };
        if let Some(terminal) = terminal
            && given.replace_standard(terminal.as_fd()).is_err()
        {
            return 125;
        }
        let words = process.args().iter().flatten().map(OsString::from).collect();
        let contained = Contained {
            id: self.id.to_owned(),
            profile: self.profile,
            root: roots.inner,
            outer: roots.outer,
            own: roots.own,
            cwd: process.cwd().clone(),
            credentials: identity::credentials(process),
            listener: self.listener.into(),
            maker: self.maker,
        };
        // Standard error is the program's.
        let reports =
            Reports { items: Vec::new(), log_file: None, status_fd: None, audit: None, quiet: true };
        let options = Run {
            no_cache: false,
            waits_for_keeper: false,
            words,
            argv0: None,
            stack_size: None,
            name: None,
            gdb: None,
            profile: Profile::named(profile::NAME),
            reports,
            study: None,
            trace: None,
        };
        run::contain(options, given, contained)
    }

    /// Everything before the run: the container's root is this process's root afterwards.
    fn prepare(&self) -> Result<(Roots, Option<OwnedFd>), String> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |e: Errno| format!("{what}: {}", e.desc())
        };
        let (bundle, process) = (self.bundle, self.bundle.process()?);
        self.follow(Progress::Namespaces)?;
        if self.way.own_session {
            setsid().map_err(failed("cannot begin a session"))?;
        }
        umask(Mode::empty());
        if let Some(score) = process.oom_score_adj() {
            let set = fs::write("/proc/self/oom_score_adj", score.to_string());
            set.map_err(|e| format!("process.oomScoreAdj: {e}"))?;
        }
        enter_namespaces(bundle)?;
        let _ = tell(self.maker.as_fd(), &Progress::Namespaces, MsgFlags::empty());
        self.follow(Progress::Namespaces)?;
        settings(bundle)?;
        let (roots, left) = Roots::make(bundle)?;
        if !left.is_empty() {
            let _ = tell(self.maker.as_fd(), &Progress::Ready { warnings: left }, MsgFlags::empty());
        }
        let terminal = self.terminal(process, &roots)?;
        let hooks = bundle.spec.hooks().as_ref().and_then(|hooks| hooks.create_container().as_ref());
        hooks::run(hooks, &State::new(self.id, bundle, nix::unistd::getpid().as_raw()))?;
        roots.close(bundle.spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false))?;
        mount::pivot(roots.outer.as_fd()).map_err(failed("cannot enter the root"))?;
        process.rlimits().iter().flatten().try_for_each(limits::set)?;
        started::replace_environment(&environment(process)).map_err(failed("the environment"))?;
        umask(Mode::from_bits_truncate(process.user().umask().unwrap_or(0o022)));
        Ok((roots, terminal))
    }

    /// Waits until the maker has come as far.
    fn follow(&self, progress: Progress) -> Result<(), String> {
        match hear(self.maker.as_fd(), MsgFlags::empty()) {
            Ok(Some(heard)) if progress == heard => Ok(()),
            _ => Err("whoever makes the container has ended".to_owned()),
        }
    }

    fn terminal(&self, process: &Process, roots: &Roots) -> Result<Option<OwnedFd>, String> {
        let failed = |e: Errno| format!("the terminal: {}", e.desc());
        let Some(engine) = &self.console else { return Ok(None) };
        let small = |size: u64| u16::try_from(size).unwrap_or(u16::MAX);
        let size = process.console_size().as_ref().map(|size| (small(size.height()), small(size.width())));
        let root = roots.inner.as_fd();
        let terminal = console::make(root, engine.as_fd(), size).map_err(failed)?;
        nix::unistd::fchown(&terminal, Some(process.user().uid().into()), None).map_err(failed)?;
        console::show(root, terminal.as_fd()).map_err(failed)?;
        pty::take(terminal.as_fd()).map_err(failed)?;
        Ok(Some(terminal))
    }
}

/// Namespaces that a container has for itself, or shares with others.
const NAMESPACES: [(LinuxNamespaceType, CloneFlags); 5] = [
    (LinuxNamespaceType::Network, CloneFlags::CLONE_NEWNET),
    (LinuxNamespaceType::Ipc, CloneFlags::CLONE_NEWIPC),
    (LinuxNamespaceType::Uts, CloneFlags::CLONE_NEWUTS),
    (LinuxNamespaceType::Cgroup, CloneFlags::CLONE_NEWCGROUP),
    (LinuxNamespaceType::Mount, CloneFlags::CLONE_NEWNS),
];

/// Joins those that are there and makes the others. The PID namespace is that of the run, which has one of
/// its own in any case.
fn enter_namespaces(bundle: &Bundle) -> Result<(), String> {
    let mut new = CloneFlags::empty();
    for (kind, flag) in NAMESPACES {
        match bundle.namespace(kind) {
            None => {}
            Some(None) => new |= flag,
            Some(Some(path)) => {
                let there = open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty());
                let joined = there.and_then(|there| setns(there, flag));
                joined.map_err(|e| format!("linux.namespaces: {kind} {}: {}", path.display(), e.desc()))?;
            }
        }
    }
    unshare(new).map_err(|e| format!("linux.namespaces: {}", e.desc()))?;
    if new.contains(CloneFlags::CLONE_NEWNET) {
        crate::host::net::raise_loopback().map_err(|e| format!("the loopback interface: {}", e.desc()))?;
    }
    Ok(())
}

/// The hostname and the settings of the kernel for the namespaces.
fn settings(bundle: &Bundle) -> Result<(), String> {
    let own = |kind| bundle.namespace(kind) == Some(None);
    if let Some(name) = bundle.spec.hostname().as_ref().filter(|name| !name.is_empty()) {
        if bundle.namespace(LinuxNamespaceType::Uts).is_none() {
            return Err("hostname: it needs a uts namespace".to_owned());
        }
        nix::unistd::sethostname(name).map_err(|e| format!("hostname: {}", e.desc()))?;
    }
    if let Some(name) = bundle.spec.domainname().as_ref().filter(|name| !name.is_empty()) {
        if bundle.namespace(LinuxNamespaceType::Uts).is_none() {
            return Err("domainname: it needs a uts namespace".to_owned());
        }
        fs::write("/proc/sys/kernel/domainname", name).map_err(|e| format!("domainname: {e}"))?;
    }
    let linux = bundle.spec.linux().as_ref();
    for (name, value) in linux.and_then(|linux| linux.sysctl().as_ref()).into_iter().flatten() {
        let of_network = name.starts_with("net.") && own(LinuxNamespaceType::Network);
        let of_ipc = ["kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue."];
        let of_ipc = of_ipc.iter().any(|start| name.starts_with(start)) && own(LinuxNamespaceType::Ipc);
        if name.contains('/') || !(of_network || of_ipc) {
            return Err(format!("linux.sysctl: {name} is not of a namespace of the container's own"));
        }
        let file = Path::new("/proc/sys").join(name.replace('.', "/"));
        fs::write(&file, value).map_err(|e| format!("linux.sysctl: {name}: {e}"))?;
    }
    Ok(())
}

/// The variables of a process. A name that stands there twice has the last value.
pub(super) fn environment(process: &Process) -> Vec<(OsString, OsString)> {
    let split = |variable: &String| {
        let (name, value) = variable.split_once('=')?;
        let good = !name.is_empty() && !variable.contains('\0');
        good.then(|| (OsString::from(name), OsString::from(value)))
    };
    process.env().iter().flatten().filter_map(split).collect()
}

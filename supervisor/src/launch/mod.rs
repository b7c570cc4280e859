//! Everything between the command line and the guest's first instruction.

pub mod folders;
pub mod inherited;
pub mod init;
pub mod manager;
pub mod program;
pub mod secrets;

use crate::confine;
use crate::confine::filter::Kinds;
use crate::host::credentials::{self, Capabilities, Credentials};
use crate::host::fork_gate::ForkGate;
use crate::host::process::ProcessHandle;
use crate::host::stat::{group_of, parent_of, session_of};
use crate::host::transfer::{Buffer, getrandom};
use crate::report::outcome::Outcome;
use crate::sandbox::Sandbox;
use crate::state::fd::File as OpenFile;
use crate::state::process::{ExeRecord, Fork, LIMITS, Line, Process, Rlimit, State, given_descriptors};
use crate::worker::start::start_first_process;
use inherited::{Inherited, first_limits};
use init::Init;
use init::exec::Start;
use manager::Told;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use program::Program;
use rxbox_policy::{Limits, Policy};
use rxbox_wire::boot::Boot;
use rxbox_wire::log::LogItems;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The guest as the user wants it started.
#[derive(Debug)]
pub struct Guest {
    /// The program.
    pub program: Program,
    /// `argv`.
    pub argv: Vec<Vec<u8>>,
    /// `envp`, as the policy lets it through, with what the service manager tells; without what only its
    /// process id makes complete.
    pub envp: Vec<Vec<u8>>,
    /// What the service manager tells.
    pub told: Told,
    /// What the child is to log.
    pub log: LogItems,
    /// Where it is logged, if anything is.
    pub log_file: Option<File>,
    /// As whom it runs, if not as the supervisor.
    pub credentials: Option<Credentials>,
    /// The root in which emulator children begin, if that is another than the supervisor's.
    pub root: Option<OwnedFd>,
    /// The descriptors that it starts with, by number.
    pub descriptors: Vec<(RawFd, OpenFile)>,
    /// What decides where code lies, if translations are kept.
    pub places: Option<[u64; 2]>,
}

/// What has been started.
#[derive(Debug)]
pub struct Launched {
    /// The init process.
    pub init: Init,
    /// The first process.
    pub first: Arc<Process>,
    /// Where forks are let through, if the host gives that.
    pub gate: Option<ForkGate>,
}

/// Starts the guest: init process, emulator child, worker. While the child starts, which no guest controls
/// yet, it is sent what it needs and the supervisor puts its own filter in force.
///
/// # Errors
/// [`Outcome::Failed`] with what failed.
pub fn launch(sandbox: &Arc<Sandbox>, mut guest: Guest, inherited: &Inherited) -> Result<Launched, Outcome> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |e: Errno| Outcome::Failed(format!("{what}: {}", e.desc()))
    };
    let limits = first_limits(inherited.limits, sandbox.policy.limits());
    // Nobody waits for a process id that is not to be told.
    let early = if guest.told.pids.is_empty() {
        Some(boot(&guest, inherited, &limits).map_err(failed("the boot block"))?)
    } else {
        None
    };
    let (line, end) = sandbox.channel().and_then(Line::new).map_err(failed("the channel"))?;
    let program = open(c"/proc/self/exe", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(failed("/proc/self/exe"))?;
    let start = Start {
        program: program.as_fd(),
        root: guest.root.as_ref().map(AsFd::as_fd),
        channel: line.channel.memory(),
        control: end.as_fd(),
        log: guest.log_file.as_ref().map(AsFd::as_fd),
        namespaces: sandbox.maker.get().and_then(|maker| maker.namespaces().ok()),
        blocked: inherited.blocked,
        processor_time: inherited.processor_time(),
        continued: can_be_continued(),
        terminal: None,
        further: guest.root.is_some(),
        threads: most_threads(sandbox.policy.limits()),
        bounded: sandbox.cgroup.get().is_some(),
    };
    let init = Init::start(&start).map_err(|e| Outcome::Failed(e.to_string()))?;
    drop(end);
    let sent = early.as_ref().map_or(Ok(()), |boot| line.send_boot(boot));
    let kinds =
        Kinds { sockets: sandbox.empty_network().is_none(), identities: sandbox.policy.changes_identity() };
    confine::filter::restrict(kinds).map_err(|e| Outcome::Failed(e.to_string()))?;
    let (pid, gate) = init.child().map_err(|e| Outcome::Failed(e.to_string()))?;
    sent.map_err(failed("the emulator child"))?;
    sandbox.forks.begin(init.number(), gate.is_some());
    sandbox.layers.gate(gate.is_some());
    let handle = sandbox.first_process(pid).map_err(failed("the first process"))?;
    if early.is_none() {
        guest.envp.extend(guest.told.with_pid(handle.number()));
        let boot = boot(&guest, inherited, &limits).map_err(failed("the boot block"))?;
        line.send_boot(&boot).map_err(failed("the emulator child"))?;
    }
    let process = first_process(sandbox, guest, inherited, limits, line, handle)
        .map_err(failed("the working directory or the first process"))?;
    start_first_process(sandbox, &process).map_err(failed("the first worker"))?;
    Ok(Launched { init, first: process, gate })
}

/// Starts a process beside those that there are, in this working directory: the child that `started` says it
/// is, once `orders` was given for it. It inherits what the first process did.
///
/// # Errors
/// What failed.
pub fn launch_further(
    sandbox: &Arc<Sandbox>,
    guest: Guest,
    (inherited, umask, changed): (&Inherited, u32, &[(u32, u64, u64)]),
    cwd: OwnedFd,
    start: impl FnOnce(BorrowedFd<'_>, BorrowedFd<'_>) -> Result<i32, Outcome>,
) -> Result<Arc<Process>, Outcome> {
    let failed = |what: &'static str| move |e: Errno| Outcome::Failed(format!("{what}: {}", e.desc()));
    let mut limits = first_limits(inherited.limits, sandbox.policy.limits());
    for (number, soft, hard) in changed {
        if let Some(limit) = limits.get_mut(*number as usize) {
            *limit = Rlimit { soft: (*soft).min(*hard).min(limit.hard), hard: (*hard).min(limit.hard) };
        }
    }
    let (line, end) = sandbox.channel().and_then(Line::new).map_err(failed("the channel"))?;
    let boot = boot(&guest, inherited, &limits).map_err(failed("the boot block"))?;
    let _expecting = sandbox.forks.expect();
    let child = start(line.channel.memory(), end.as_fd())?;
    drop(end);
    let handle = ProcessHandle::in_namespace(child, &sandbox.pids()).map_err(failed("the process"))?;
    line.send_boot(&boot).map_err(failed("the emulator child"))?;
    let credentials = guest.credentials.clone().ok_or(Outcome::Failed("no credentials".to_owned()))?;
    let exe = ExeRecord {
        fd: guest.program.fd,
        path: guest.program.path.into(),
        arguments: guest.argv,
        environment: guest.envp,
    };
    let state = State::at(cwd, exe, credentials, umask, limits).map_err(failed("the working directory"))?;
    let limit = limits[libc::RLIMIT_NOFILE as usize].soft;
    let fds = given_descriptors(limit, sandbox.budget.clone(), guest.descriptors);
    let fds = fds.map_err(failed("descriptors"))?;
    if let Some(session) = handle.session() {
        sandbox.terminals.start(session, handle.number());
    }
    let process = Arc::new(Process::new(1, handle, Fork::first(line, fds, state)));
    start_first_process(sandbox, &process).map_err(failed("the worker"))?;
    Ok(process)
}

/// How many threads there can be in emulator children, if the policy limits that. Those of the guest that the
/// supervisor knows of are fewer: a thread that has told its end is there for a while, and so is a process
/// that nobody has waited for.
pub fn most_threads(limits: &Limits) -> Option<u64> {
    const MORE: u64 = 64;
    Some(limits.threads?.saturating_mul(2).saturating_add(limits.processes?).saturating_add(MORE))
}

fn first_process(
    sandbox: &Sandbox,
    guest: Guest,
    inherited: &Inherited,
    limits: [Rlimit; LIMITS],
    line: Line,
    handle: ProcessHandle,
) -> Result<Arc<Process>, Errno> {
    let exe = ExeRecord {
        fd: guest.program.fd,
        path: guest.program.path.into(),
        arguments: guest.argv,
        environment: guest.envp,
    };
    let credentials = match guest.credentials {
        Some(credentials) => credentials,
        None => first_credentials(sandbox.policy.changes_identity())?,
    };
    let state = State::host(exe, credentials, inherited.umask, limits)?;
    let limit = limits[libc::RLIMIT_NOFILE as usize].soft;
    let fds = given_descriptors(limit, sandbox.budget.clone(), guest.descriptors)?;
    if let Some(session) = handle.session() {
        sandbox.terminals.start(session, handle.number());
    }
    let start = Fork::first(line, fds, state);
    let process = Process::new(inherited.parent, handle, start);
    process.attributes.personality.store(inherited.personality, Ordering::Relaxed);
    Ok(Arc::new(process))
}

/// The first process is who the supervisor is and may do what that may. Where guests may change their
/// identity they also have the capabilities that only concern themselves and each other: to the kernel they
/// mean nothing, since the supervisor does not have them.
fn first_credentials(identities: bool) -> Result<Credentials, Errno> {
    let own = credentials::own()?.clone();
    let own_affairs =
        if identities && own.can_change_ids() { Capabilities::SETPCAP | Capabilities::SYS_PTRACE } else { 0 };
    let all = own.capabilities.permitted | own_affairs;
    let bounding = own.capabilities.bounding | own_affairs;
    let capabilities = Capabilities { effective: all, permitted: all, bounding, ..Capabilities::default() };
    Ok(Credentials { capabilities, ..own })
}

/// Whether a process could continue rxbox's process group if that were stopped: one of the same session
/// outside of the group, from which one in the group descends. Otherwise the group is orphaned, and the
/// kernel lets no terminal stop it.
fn can_be_continued() -> bool {
    let mut pid = std::process::id() as i32;
    let (group, session) = (group_of(pid), session_of(pid));
    // Up the line of parents as long as they are in the group; process 0 is one that cannot be seen from
    // here.
    while let Some(parent) = parent_of(pid).filter(|parent| *parent > 0) {
        if group_of(parent) != group {
            return session_of(parent) == session;
        }
        pid = parent;
    }
    false
}

fn boot(guest: &Guest, inherited: &Inherited, limits: &[Rlimit; LIMITS]) -> Result<Vec<u8>, Errno> {
    let own = match &guest.credentials {
        Some(credentials) => credentials,
        None => credentials::own()?,
    };
    let mut random = [0; 32];
    getrandom(Buffer::from_slice(&mut random), 0)?;
    let boot = Boot {
        program: guest.program.invoked.clone(),
        argv: guest.argv.clone(),
        envp: guest.envp.clone(),
        log: guest.log,
        vdso: true,
        ids: [own.user.real, own.user.effective, own.group.real, own.group.effective],
        ignored: inherited.ignored,
        blocked: inherited.blocked,
        limits: [libc::RLIMIT_STACK, libc::RLIMIT_DATA, libc::RLIMIT_AS].map(|n| limits[n as usize].soft),
        random,
        places: guest.places,
    };
    Ok(boot.encode())
}

/// The guest's environment as `NAME=value` strings, without what the service manager sets.
pub fn environment(policy: &Policy) -> Vec<Vec<u8>> {
    let join = |(k, v): (std::ffi::OsString, std::ffi::OsString)| [k.as_bytes(), b"=", v.as_bytes()].concat();
    let host = std::env::vars_os().filter(|(name, _)| !manager::sets(name));
    policy.environment(host).into_iter().map(join).collect()
}

//! Everything between the command line and the guest's first instruction.

pub mod init;

use crate::host::name::access;
use crate::host::transfer::{Buffer, getrandom};
use crate::report::escape::shown;
use crate::report::outcome::Outcome;
use crate::sandbox::Sandbox;
use crate::state::fd::Budget;
use crate::state::names::name_of;
use crate::state::process::{
    ExeRecord, Fork, Identity, LIMITS, Line, Process, Rlimit, State, host_limits, standard_descriptors,
};
use crate::worker::internal;
use init::Init;
use init::exec::Start;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::SigSet;
use nix::sys::stat::{Mode, fstat};
use rxbox_policy::{Access, Limits, Policy};
use rxbox_wire::boot::Boot;
use rxbox_wire::log::LogItems;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

/// The guest's program.
#[derive(Debug)]
pub struct Program {
    /// Holds its file (`O_PATH`).
    pub fd: OwnedFd,
    /// Its absolute resolved name.
    pub path: Vec<u8>,
    /// The name by which it is run: as given if that has a slash, else as found in `PATH`.
    pub called: Vec<u8>,
}

/// Finds the program as execvp(3) does: a name with a slash as it is, any other in the folders of `search`.
///
/// # Errors
/// [`Outcome::NotFound`] or [`Outcome::NotRunnable`].
pub fn find(name: &[u8], search: &[u8]) -> Result<Program, Outcome> {
    let not_found = || Outcome::NotFound(format!("{}: command not found", shown(name)));
    if name.is_empty() {
        return Err(not_found());
    }
    if name.contains(&b'/') {
        return hold(name).map_err(|e| match e {
            Errno::ENOENT | Errno::ENOTDIR => Outcome::NotFound(format!("{}: {}", shown(name), e.desc())),
            e => Outcome::NotRunnable(format!("{}: {}", shown(name), e.desc())),
        });
    }
    let mut denied = None;
    for folder in search.split(|&b| b == b':') {
        let folder = if folder.is_empty() { b"." } else { folder };
        let path = [folder, b"/", name].concat();
        match hold(&path) {
            Ok(program) => return Ok(program),
            Err(Errno::EACCES) => denied = Some(path),
            Err(_) => {}
        }
    }
    Err(denied.map_or_else(not_found, |path| {
        Outcome::NotRunnable(format!("{}: {}", shown(&path), Errno::EACCES.desc()))
    }))
}

/// Holds a file that can be run: a regular one that the user may execute.
fn hold(called: &[u8]) -> Result<Program, Errno> {
    let fd = open(called, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    if fstat(&fd)?.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err(Errno::EACCES);
    }
    access(fd.as_fd(), libc::X_OK, libc::AT_EACCESS)?;
    let path = name_of(fd.as_fd())?;
    Ok(Program { fd, path, called: called.to_vec() })
}

/// The guest as the user wants it started.
#[derive(Debug)]
pub struct Guest {
    /// The program.
    pub program: Program,
    /// `argv`.
    pub argv: Vec<Vec<u8>>,
    /// `envp`, as the policy lets it through.
    pub envp: Vec<Vec<u8>>,
    /// What the child is to log.
    pub log: LogItems,
    /// Where it is logged, if anything is.
    pub log_file: Option<File>,
}

/// Whether the policy lets the program run.
///
/// # Errors
/// [`Outcome::NotRunnable`] with the rule and how to allow it.
pub fn permitted(policy: &Policy, program: &Program) -> Result<(), Outcome> {
    let decision = policy.path(Access::Execute, &program.path);
    if decision.allowed() {
        return Ok(());
    }
    let hint = policy.hint(&rxbox_policy::DeniedWhat::Path(Access::Execute, &program.path));
    let path = shown(&program.path);
    Err(Outcome::NotRunnable(format!("execute {path} is denied by {}; {hint}", decision.rule)))
}

/// Host descriptors that the supervisor keeps for itself.
const RESERVE: u64 = 256;

/// Arranges the supervisor's own limits: descriptors as many as there can be, files no longer than the policy lets guests
/// write. Returns what guests may have of the descriptors together.
///
/// # Errors
/// The host fails.
pub fn arrange_limits(policy: &Limits) -> Result<Arc<Budget>, Errno> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    if let Some(most) = policy.file_size {
        let (soft, hard) = getrlimit(Resource::RLIMIT_FSIZE)?;
        setrlimit(Resource::RLIMIT_FSIZE, soft.min(most), hard)?;
    }
    Ok(Budget::new(hard.saturating_sub(RESERVE).max(RESERVE) as usize))
}

/// The limits of the first process: the host's, narrowed by the policy.
fn first_limits(mut limits: [Rlimit; LIMITS], policy: &Limits) -> [Rlimit; LIMITS] {
    let mut narrow = |resource: u32, most: Option<u64>| {
        if let (Some(most), Some(limit)) = (most, limits.get_mut(resource as usize)) {
            *limit = Rlimit { soft: limit.soft.min(most), hard: limit.hard.min(most) };
        }
    };
    narrow(libc::RLIMIT_NOFILE, policy.open_files);
    narrow(libc::RLIMIT_FSIZE, policy.file_size);
    limits
}

/// What was as it was when rxbox was started, before the supervisor arranged itself.
#[derive(Debug)]
pub struct Inherited {
    /// Resource limits.
    pub limits: [Rlimit; LIMITS],
    /// File mode creation mask.
    pub umask: u32,
    /// Blocked signals.
    pub mask: SigSet,
    /// Ignored signals, bit n - 1 for signal n.
    pub ignored: u64,
}

impl Inherited {
    /// Takes note of it, and arranges the supervisor: its own files come into being with the modes that guests ask for,
    /// and signals that calls raise in their caller are none of its business.
    ///
    /// # Errors
    /// The host fails.
    pub fn take() -> Result<Inherited, Errno> {
        let ignored = crate::host::spawn::ignored_signals();
        let inherited = Inherited {
            limits: host_limits()?,
            umask: nix::sys::stat::umask(Mode::empty()).bits(),
            mask: SigSet::thread_get_mask()?,
            ignored,
        };
        crate::host::spawn::ignore(libc::SIGPIPE);
        crate::host::spawn::ignore(libc::SIGXFSZ);
        Ok(inherited)
    }
}

/// Starts the guest: init process, emulator child, worker.
///
/// # Errors
/// [`Outcome::Failed`] with what failed.
pub fn launch(
    sandbox: &Arc<Sandbox>,
    guest: Guest,
    inherited: &Inherited,
) -> Result<(Init, Arc<Process>), Outcome> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |e: Errno| Outcome::Failed(format!("{what}: {}", e.desc()))
    };
    let limits = first_limits(inherited.limits, sandbox.policy.limits());
    let boot = boot(&guest, inherited, &limits).map_err(failed("the boot block"))?;
    let (line, end) = Line::new().map_err(failed("the channel"))?;
    let program = open(c"/proc/self/exe", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(failed("/proc/self/exe"))?;
    let start = Start {
        program: program.as_fd(),
        channel: line.channel.memory(),
        control: end.as_fd(),
        log: guest.log_file.as_ref().map(AsFd::as_fd),
        mask: &inherited.mask,
        continued: can_be_continued(),
    };
    let (init, pid) = Init::start(&start).map_err(|e| Outcome::Failed(e.to_string()))?;
    drop(end);
    line.send_boot(&boot).map_err(failed("the emulator child"))?;
    let process = first_process(sandbox, guest, inherited, limits, line, pid)
        .map_err(failed("the working directory or the first process"))?;
    internal::begin(sandbox, &process).map_err(failed("the first worker"))?;
    Ok((init, process))
}

fn first_process(
    sandbox: &Sandbox,
    guest: Guest,
    inherited: &Inherited,
    limits: [Rlimit; LIMITS],
    line: Line,
    pid: i32,
) -> Result<Arc<Process>, Errno> {
    let image = ExeRecord {
        fd: guest.program.fd,
        path: guest.program.path.into(),
        arguments: guest.argv,
        environment: guest.envp,
    };
    let state = State::host(image, inherited.umask, limits)?;
    let fds = standard_descriptors(limits[libc::RLIMIT_NOFILE as usize].soft, sandbox.budget.clone())?;
    sandbox.terminals.start(pid);
    let pidfd = crate::host::spawn::pidfd(nix::unistd::Pid::from_raw(pid))?;
    let start = Fork::first(line, fds, state);
    Ok(Arc::new(Process::new(pid, nix::unistd::getppid().as_raw(), pidfd, start)))
}

/// Whether somebody could continue rxbox's process group if it were stopped: a process of the same session outside of the
/// group, from which one in the group descends. Otherwise the group is orphaned, and the kernel lets no terminal stop it.
fn can_be_continued() -> bool {
    use crate::state::groups::{group_of, session_of};
    let mut pid = std::process::id() as i32;
    let (group, session) = (group_of(pid), session_of(pid));
    // Up the line of parents as long as they are in the group; process 0 is one that cannot be seen from here.
    while let Some(parent) = crate::host::stat::parent_of(pid).filter(|parent| *parent > 0) {
        if group_of(parent) != group {
            return session_of(parent) == session;
        }
        pid = parent;
    }
    false
}

fn boot(guest: &Guest, inherited: &Inherited, limits: &[Rlimit; LIMITS]) -> Result<Vec<u8>, Errno> {
    let identity = Identity::host()?;
    let mut random = [0; 32];
    getrandom(Buffer::from_slice(&mut random), 0)?;
    let boot = Boot {
        program: guest.program.called.clone(),
        argv: guest.argv.clone(),
        envp: guest.envp.clone(),
        log: guest.log,
        vdso: true,
        ids: [identity.user.real, identity.user.effective, identity.group.real, identity.group.effective],
        ignored: inherited.ignored,
        blocked: set_bits(&inherited.mask),
        limits: [libc::RLIMIT_STACK, libc::RLIMIT_DATA, libc::RLIMIT_AS].map(|n| limits[n as usize].soft),
        random,
    };
    Ok(boot.encode())
}

/// A signal set as the kernel writes it.
fn set_bits(set: &SigSet) -> u64 {
    set.iter().fold(0, |bits, signal| bits | 1 << (signal as i32 - 1))
}

/// The guest's environment as `NAME=value` strings.
pub fn environment(policy: &Policy) -> Vec<Vec<u8>> {
    let join = |(k, v): (std::ffi::OsString, std::ffi::OsString)| [k.as_bytes(), b"=", v.as_bytes()].concat();
    policy.environment(std::env::vars_os()).into_iter().map(join).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        let found = find(b"sh", b"/nowhere:/usr/bin:/bin").unwrap();
        assert!(found.called.ends_with(b"/sh") && found.path.starts_with(b"/"));
        assert!(matches!(find(b"no-such-program", b"/usr/bin"), Err(Outcome::NotFound(_))));
        assert!(matches!(find(b"", b"/usr/bin"), Err(Outcome::NotFound(_))));
        assert!(matches!(find(b"/nowhere/x", b""), Err(Outcome::NotFound(_))));
        assert!(matches!(find(b"/usr", b""), Err(Outcome::NotRunnable(_))));
        assert!(matches!(find(b"/etc/passwd", b""), Err(Outcome::NotRunnable(_))));
        assert!(matches!(find(b"passwd", b"/etc"), Err(Outcome::NotRunnable(_))));
    }

    #[test]
    fn limits_are_narrowed_by_the_policy_and_never_widened() {
        let host = [Rlimit { soft: 1000, hard: 2000 }; LIMITS];
        let policy = Limits { open_files: Some(64), file_size: Some(9999), ..Limits::default() };
        let limits = first_limits(host, &policy);
        assert_eq!(limits[libc::RLIMIT_NOFILE as usize], Rlimit { soft: 64, hard: 64 });
        assert_eq!(limits[libc::RLIMIT_FSIZE as usize], host[0]);
        assert_eq!(limits[libc::RLIMIT_STACK as usize], host[0]);
    }
}

//! From fork to exec: the first emulator child is stripped of everything that it is not meant to have.
//!
//! It starts as a fresh program, so it has neither the supervisor's memory nor its layout; with an empty
//! environment; with an empty file for its standard streams, since the user's terminal is not for it; with
//! the descriptors of [`rxbox_wire::boot`] and no others; in a session without a terminal; without
//! capabilities and any way to new ones. In a user namespace of the run's own it keeps, until it has read
//! what it needs of the host's files, the two by which it puts itself into namespaces with nothing in them.

use super::threads;
use crate::host::fork_gate;
use crate::host::maker::Namespaces;
use crate::host::parcel::{received, send};
use crate::host::pty;
use crate::host::spawn;
use crate::host::start::{block_exactly, nothing};
use crate::state::attributes::started_badness;
use crate::state::process::Rlimit;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, socketpair};
use nix::unistd::{Pid, fexecve, getppid};
use rxbox_wire::boot::{CHANNEL_FD, CONTROL_FD, LOG_FD, ROLE};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What the first child starts with.
#[derive(Debug)]
pub struct Start<'a> {
    /// This program.
    pub program: BorrowedFd<'a>,
    /// The root in which it is to begin, if that is another than the supervisor's.
    pub root: Option<BorrowedFd<'a>>,
    /// The channel's memory.
    pub channel: BorrowedFd<'a>,
    /// The child's end of the control socket.
    pub control: BorrowedFd<'a>,
    /// The log, if there is one.
    pub log: Option<BorrowedFd<'a>>,
    /// The run's namespaces, if the host gives them.
    pub namespaces: Option<&'a Namespaces>,
    /// The signals that rxbox was started to block, bit n - 1 for signal n.
    pub blocked: u64,
    /// The limit on processor time that rxbox was started with.
    pub processor_time: Rlimit,
    /// Whether a process could continue rxbox's process group if that were stopped.
    pub continued: bool,
    /// How many threads the kernel shall let the run have, where it can count them.
    pub threads: Option<u64>,
    /// The terminal that it is to take.
    pub terminal: Option<BorrowedFd<'a>>,
    /// Whether there may be further children beside it.
    pub further: bool,
    /// Whether the kernel may have to end somebody for want of the run's memory (a cgroup).
    pub bounded: bool,
}

/// Above every number that is given out.
const ABOVE: i32 = 10;

/// The steps that can fail, for the message.
pub const STEPS: [&str; 9] = [
    "cannot fork",
    "cannot arrange descriptors",
    "cannot set limits",
    "cannot set the death signal",
    "cannot set no_new_privs",
    "cannot drop capabilities",
    "cannot execute this program again",
    "cannot lead a process group",
    "cannot enter the root",
];

/// A step's index in [`STEPS`] and why it failed.
type Failed = (u8, Errno);

/// The child, once it runs its own program: its process id, and the end of its fork gate if the host gives
/// one.
pub type Started = (Pid, Option<OwnedFd>);

/// In the place of a step: the child goes on, and its fork gate comes along.
const GATE: u8 = u8::MAX;

/// Starts the child.
///
/// # Errors
/// The step that failed, in this process or in the child.
pub fn start(start: &Start<'_>) -> Result<Started, Failed> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .map_err(|e| (1, e))?;
    // The parent's number, if that can be seen from the child's PID namespace.
    let apart = start.namespaces.is_some_and(|namespaces| namespaces.pids.file().is_some());
    let parent = if apart { Pid::from_raw(0) } else { nix::unistd::getpid() };
    let child = threads::fork(start.namespaces.and(start.threads), |limit| {
        let Err((step, errno)) = become_child(start, limit, parent, theirs.as_fd());
        // If the socket fails there is only the status left.
        let _ = send(theirs.as_fd(), &report(step, errno as i32), None);
        125
    })
    .map_err(|e| (0, e))?;
    drop(theirs);
    let mut gate = None;
    // The socket closes with exec; whatever comes before that but the gate is a failure.
    while let Some((report, descriptor)) =
        received::<5>(ours.as_fd(), MsgFlags::empty()).map_err(|e| (0, e))?
    {
        if report[0] != GATE {
            let number = i32::from_le_bytes([report[1], report[2], report[3], report[4]]);
            return Err((report[0], Errno::from_raw(number)));
        }
        gate = descriptor;
    }
    Ok((child, gate))
}

fn report(step: u8, number: i32) -> [u8; 5] {
    let number = number.to_le_bytes();
    [step, number[0], number[1], number[2], number[3]]
}

fn become_child(
    start: &Start<'_>,
    threads: threads::Limit,
    parent: Pid,
    reports: BorrowedFd<'_>,
) -> Result<std::convert::Infallible, Failed> {
    let reports = spawn::aside(reports, ABOVE).map_err(|e| (1, e))?;
    lead_group(start.continued).map_err(|e| (7, e))?;
    if let Some(terminal) = start.terminal {
        pty::take(terminal).map_err(|e| (7, e))?;
    }
    let root = start.root.map(|root| spawn::aside(root, ABOVE)).transpose().map_err(|e| (1, e))?;
    let program = place_descriptors(start).map_err(|e| (1, e))?;
    if let Some(root) = root {
        nix::unistd::fchdir(root).and_then(|()| nix::unistd::chroot(".")).map_err(|e| (8, e))?;
    }
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(|e| (2, e))?;
    limit_stack().and_then(|()| threads.set()).map_err(|e| (2, e))?;
    if start.bounded {
        prefer_to_end();
    }
    let Rlimit { soft, hard } = start.processor_time;
    setrlimit(Resource::RLIMIT_CPU, soft, hard).map_err(|e| (2, e))?;
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(|e| (3, e))?;
    if getppid() != parent {
        return Err((3, Errno::ESRCH));
    }
    nix::sys::prctl::set_no_new_privs().map_err(|e| (4, e))?;
    // Where the host refuses it the layer is missing.
    if let Ok(gate) = fork_gate::set_up() {
        send(reports.as_fd(), &report(GATE, 0), Some(gate.as_fd())).map_err(|e| (4, e))?;
    }
    drop_capabilities(start.namespaces.is_some()).map_err(|e| (5, e))?;
    [libc::SIGPIPE, libc::SIGXFSZ].into_iter().for_each(spawn::default_action);
    block_exactly(start.blocked);
    let role = CString::new(ROLE).unwrap_or_default();
    let environment: [&CStr; 0] = [];
    fexecve(&program, &[role.as_c_str()], &environment).map_err(|e| (6, e))
}

/// Has the kernel end this process, and what it forks, rather than the supervisor when memory is short
/// (proc_pid_oom_score_adj(5)): who is left tells why the run has ended.
fn prefer_to_end() {
    const MORE: i32 = 500;
    const MOST: i32 = 1000;
    let score = (started_badness() + MORE).min(MOST);
    // Where that cannot be said, the kernel ends whoever has most.
    let _ = std::fs::write("/proc/self/oom_score_adj", score.to_string());
}

/// The first process leads a group of its own. The kernel lets the stop signals of a terminal stop it if its
/// parent is in the same session: so it stays in the init process's if rxbox's own group could be stopped and
/// has a session of its own otherwise.
fn lead_group(continued: bool) -> Result<(), Errno> {
    let own = Pid::from_raw(0);
    if continued { nix::unistd::setpgid(own, own) } else { nix::unistd::setsid().map(drop) }
}

/// The limit of the stack decides where the kernel puts all mappings of a program: with a huge one, or none,
/// amid the guest's memory. This is the emulator's limit; the guest's own is in the boot block.
fn limit_stack() -> Result<(), Errno> {
    const USUAL: u64 = 8 << 20;
    let (_, hard) = getrlimit(Resource::RLIMIT_STACK)?;
    setrlimit(Resource::RLIMIT_STACK, hard.min(USUAL), hard)
}

/// Puts the descriptors at their numbers; the rest closes with exec. Returns the program at a number of its
/// own.
fn place_descriptors(start: &Start<'_>) -> Result<OwnedFd, Errno> {
    let aside = |fd: BorrowedFd<'_>| spawn::aside(fd, ABOVE);
    let program = aside(start.program)?;
    let nothing = aside(nothing()?.as_fd())?;
    let (channel, control) = (aside(start.channel)?, aside(start.control)?);
    let log = start.log.map(aside).transpose()?;
    spawn::close_on_exec_from(0)?;
    for n in 0..3 {
        spawn::place(nothing.as_fd(), n)?;
    }
    spawn::place(channel.as_fd(), CHANNEL_FD)?;
    spawn::place(control.as_fd(), CONTROL_FD)?;
    if let Some(log) = log {
        spawn::place(log.as_fd(), LOG_FD)?;
    }
    Ok(program)
}

/// Empties all sets, but for what the child needs to isolate itself if it is in the run's user namespace.
/// Without `CAP_SETPCAP` the bounding set stays, but with `no_new_privs` it gives nothing back: the
/// supervisor confirms that nothing is left before it serves the child.
fn drop_capabilities(in_own_namespace: bool) -> Result<(), Errno> {
    use caps::{CapSet, Capability, CapsHashSet, clear, has_cap, raise, set};
    let failed = |_| Errno::EPERM;
    let isolating = [Capability::CAP_SYS_ADMIN, Capability::CAP_SYS_CHROOT];
    let kept: CapsHashSet = isolating.into_iter().filter(|_| in_own_namespace).collect();
    // What is not in the bounding set cannot become inheritable any more.
    set(None, CapSet::Inheritable, &kept).map_err(failed)?;
    if has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).map_err(failed)? {
        clear(None, CapSet::Bounding).map_err(failed)?;
    }
    for which in [CapSet::Effective, CapSet::Permitted] {
        set(None, which, &kept).map_err(failed)?;
    }
    clear(None, CapSet::Ambient).map_err(failed)?;
    kept.into_iter().try_for_each(|capability| raise(None, CapSet::Ambient, capability)).map_err(failed)
}

//! The job process: what whoever started rxbox sees of a run.
//!
//! A program that is stopped is seen to be stopped by the shell that started it; but what enforces limits
//! must never stop. So the process that was started forks the supervisor, and stands for the guest itself:
//! it stops when the supervisor says that the first process has, passes signals on, and ends as the
//! supervisor does. It has no other duty, and nothing that the guest does can make the supervisor wait for
//! it.
//!
//! A stop and the end of it can meet. Whoever continues the first process inside the sandbox has the job
//! process continued as well; should that have been about to stop, it stops all the same, and says
//! afterwards that it runs again: until then the supervisor repeats to continue it ([`Job::keep_up`]).
//!
//! The supervisor may send the job process no signal, confined as it is. The kernel does that for a second
//! socket, the *bell*, by the job process's own wish: whatever arrives there comes with SIGCONT, which
//! continues it. An order to stop must not come that way: its signal is sent after it can be read, and would
//! continue a job process that was quick to obey, behind the back of the shell. One of the bell's has been
//! sent before the supervisor gives an order.
//!
//! If the job process is killed, the supervisor gets a death signal and with it all that it runs; the end
//! of the socket ends the run as well. If supervisor and init process are killed, what they leave is below
//! the job process, which ends it before it ends itself.

use crate::changes::store;
use crate::host::cgroup;
use crate::host::descendants::end_all_below;
use crate::host::number::{Fcntl, fcntl};
use crate::host::process::ProcessHandle;
use crate::host::spawn::{self, Ended, Target};
use crate::host::start;
use crate::launch::folders;
use crate::monitor::registry;
use crate::run::courier::Courier;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use nix::unistd::{Pid, getppid};
use std::cell::Cell;
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Signals to rxbox that are forwarded to the guest: all but those that say something of rxbox's own
/// processes. What cannot be blocked is not among them.
fn forwarded() -> SigSet {
    let mut signals = SigSet::all();
    signals.remove(Signal::SIGCHLD);
    signals
}

/// The supervisor's side of the job process.
#[derive(Debug)]
pub struct Job {
    socket: OwnedFd,
    /// The other end of the bell.
    button: OwnedFd,
    /// For what is to be kept of the run's translations.
    suggestions: OwnedFd,
    /// For what the service manager is to be told, if there is one.
    notices: Option<OwnedFd>,
    /// How often it was told to stop and has not said afterwards that it runs.
    stops: Cell<u32>,
}

/// A signal that the job process has got, with what signalfd(2) says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its number.
    pub signal: i32,
    /// `si_code`.
    pub code: i32,
    /// The process that sent it.
    pub pid: i32,
    /// That process's user.
    pub uid: i32,
}

/// What the job process says.
#[derive(Clone, Copy, Debug)]
pub enum Said {
    /// It has got a signal.
    Signal(Received),
    /// It runs again.
    Running,
    /// It has ended.
    Ended,
}

/// Has `supervise` done by a child of this process, which must have one thread, and stands for it until it
/// has ended. Returns its exit status, and does not return if it was ended by a signal. It tells the manager
/// that listens at `manager` what the supervisor has to say, if one does, and does what is left to do
/// `at_end`, with the socket at which what is to be kept of the run's translations waits.
///
/// # Errors
/// The host fails; nothing has been done.
pub fn stand_for(
    manager: Option<&OsStr>,
    supervise: impl FnOnce(&Job) -> i32,
    at_end: impl FnOnce(OwnedFd),
) -> Result<i32, Errno> {
    // Whatever is to be ended is ended so: where that is refused, nothing may be started.
    ProcessHandle::open(nix::unistd::getpid().as_raw())?.is_there()?;
    // The supervisor holds all off for good but what interrupts its own threads: what a terminal or a process
    // sends to the group is for the job process, and nothing of it may stop the supervisor.
    start::block_exactly(start::all_signals());
    let pair = || socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
    let ((ours, theirs), (bell, button)) = (pair()?, pair()?);
    let (suggestions, suggests) = pair()?;
    let (courier, notices) = match manager.map(|name| pair().map(|ends| (name, ends))).transpose()? {
        // A name at which nobody listens any more is a left-over.
        Some((name, (from, to))) => Courier::new(name, from).ok().map(|courier| (courier, to)).unzip(),
        None => (None, None),
    };
    nix::sys::prctl::set_child_subreaper(true)?;
    let job = nix::unistd::getpid();
    let of_courier = courier.iter().flat_map(|courier| courier.descriptors());
    let ends = [ours.as_fd(), bell.as_fd(), suggestions.as_fd()].into_iter().chain(of_courier);
    let ends: Vec<RawFd> = ends.map(|end| end.as_raw_fd()).collect();
    // What the work owns is dropped here once it is forked, so the supervisor's ends close.
    let supervisor = spawn::fork(move || {
        // A copy in the supervisor would keep it from seeing the end of the job process.
        let closed = ends.into_iter().try_for_each(nix::unistd::close);
        match closed.and_then(|()| Job::of([theirs, button, suggests], notices, job)) {
            Ok(job) => supervise(&job),
            Err(_) => 125,
        }
    })?;
    let ended = stand_in([&ours, &bell, &suggestions], courier, supervisor);
    at_end(suggestions);
    Ok(match ended? {
        Ended::Exited(status) => status,
        Ended::Signaled(signal) => {
            die_by(signal);
            128 + signal
        }
    })
}

/// The job process's life after the fork.
fn stand_in(
    [socket, bell, suggestions]: [&OwnedFd; 3],
    mut courier: Option<Courier>,
    supervisor: Pid,
) -> Result<Ended, Errno> {
    let of_courier = courier.iter().flat_map(Courier::descriptors);
    let kept: Vec<_> =
        [socket.as_fd(), bell.as_fd(), suggestions.as_fd()].into_iter().chain(of_courier).collect();
    // Whoever waits for the end of what rxbox was given must not wait for this process.
    spawn::close_all_from(3, &kept)?;
    let signals = SignalFd::with_flags(&forwarded(), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let child = ProcessHandle::open(supervisor.as_raw())?;
    for (command, argument) in [
        (Fcntl::SetOwner, nix::unistd::getpid().as_raw()),
        (Fcntl::SetSignal, libc::SIGCONT),
        (Fcntl::SetFlags, libc::O_ASYNC),
    ] {
        fcntl(bell.as_fd(), command, argument.cast_unsigned().into())?;
    }
    let (mut has_cgroup, mut has_folders, mut has_name, mut has_changes) = (false, false, false, false);
    loop {
        let events = [signals.as_fd(), socket.as_fd(), child.as_fd()];
        let events = events.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).into_iter();
        let mut events: Vec<_> = events.chain(courier.as_ref().and_then(Courier::event)).collect();
        match poll(&mut events, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            done => drop(done?),
        }
        let happened = |n: usize| events.get(n).is_some_and(|event| event.any().unwrap_or(true));
        let (told, ended) = (happened(1), happened(2));
        drop(events);
        courier.iter_mut().for_each(Courier::go);
        while let Some(signal) = signals.read_signal()? {
            let received = Received::of(&signal);
            if received.is_of_bell() {
                while recv(bell.as_raw_fd(), &mut [0], MsgFlags::MSG_DONTWAIT).is_ok_and(|n| n > 0) {}
            } else {
                say(socket, &received)?;
            }
        }
        if told {
            let mut signal = [0; 4];
            match recv(socket.as_raw_fd(), &mut signal, MsgFlags::MSG_DONTWAIT) {
                Ok(4) if signal == HAS_CGROUP => has_cgroup = true,
                Ok(4) if signal == HAS_FOLDERS => has_folders = true,
                Ok(4) if signal == HAS_NAME => has_name = true,
                Ok(4) if signal == HAS_CHANGES => has_changes = true,
                Ok(4) => {
                    stop(i32::from_le_bytes(signal));
                    say(socket, &RUNNING)?;
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                _ => break,
            }
        }
        if ended {
            break;
        }
    }
    let ended = spawn::wait_for(supervisor)?;
    // What it has said last.
    courier.iter_mut().for_each(Courier::go);
    end_all_below()?;
    if has_cgroup {
        cgroup::remove_of(supervisor);
    }
    if has_folders {
        folders::sweep();
    }
    if has_name {
        registry::sweep();
    }
    if has_changes {
        store::sweep();
    }
    Ok(ended)
}

/// Stops this process, and with it the whole group where the kernel does: if one of it in the background uses
/// the terminal.
fn stop(signal: i32) {
    let background = matches!(signal, libc::SIGTTIN | libc::SIGTTOU);
    spawn::act_by_default(signal, if background { Target::Group } else { Target::Own });
}

/// A supervisor that is gone needs to know nothing.
fn say(socket: &OwnedFd, received: &Received) -> Result<(), Errno> {
    match send(socket.as_raw_fd(), &received.encode(), MsgFlags::MSG_NOSIGNAL) {
        Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Ends this process by the signal that ended the guest, for the process that waits for it; without a core
/// file, which would be rxbox's own. Returns if the signal has another meaning here.
pub fn die_by(signal: i32) {
    if signal != libc::SIGSYS && setrlimit(Resource::RLIMIT_CORE, 0, 0).is_ok() {
        spawn::act_by_default(signal, Target::Own);
    }
}

/// What is sent instead of a signal before the supervisor makes a cgroup, which the job process is to remove.
const HAS_CGROUP: [u8; 4] = [0xff; 4];

/// The same of a directory for private places.
const HAS_FOLDERS: [u8; 4] = [0xfe; 4];

/// The same of a folder for changes.
const HAS_CHANGES: [u8; 4] = [0xfc; 4];

/// The same of a name for the run.
const HAS_NAME: [u8; 4] = [0xfd; 4];

/// What stands for [`Said::Running`] on the socket.
const RUNNING: Received = Received { signal: 0, code: 0, pid: 0, uid: 0 };

impl Received {
    fn of(info: &siginfo) -> Received {
        Received {
            signal: info.ssi_signo as i32,
            code: info.ssi_code,
            pid: info.ssi_pid as i32,
            uid: info.ssi_uid as i32,
        }
    }

    /// Whether the kernel raised it for the bell: the codes are those of SIGIO, `POLL_IN` to `POLL_HUP`
    /// (sigaction(2)).
    fn is_of_bell(&self) -> bool {
        self.signal == libc::SIGCONT && (1..=6).contains(&self.code)
    }

    fn encode(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let words = [self.signal, self.code, self.pid, self.uid];
        bytes.chunks_exact_mut(4).zip(words).for_each(|(to, word)| to.copy_from_slice(&word.to_le_bytes()));
        bytes
    }

    fn decode(bytes: [u8; 16]) -> Received {
        let word = |n: usize| i32::from_le_bytes(std::array::from_fn(|k| bytes[4 * n + k]));
        Received { signal: word(0), code: word(1), pid: word(2), uid: word(3) }
    }
}

impl Job {
    /// Of the supervisor, whose parent is the job process.
    fn of(ends: [OwnedFd; 3], notices: Option<OwnedFd>, job: Pid) -> Result<Job, Errno> {
        let [socket, button, suggestions] = ends;
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        // What the init process leaves if it is killed.
        nix::sys::prctl::set_child_subreaper(true)?;
        if getppid() != job {
            return Err(Errno::ESRCH);
        }
        Ok(Job { socket, button, suggestions, notices, stops: Cell::new(0) })
    }

    /// The way for what the service manager is to be told, if there is one.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn notices(&self) -> Result<Option<OwnedFd>, Errno> {
        let copy = self.notices.as_ref().map(OwnedFd::try_clone).transpose();
        copy.map_err(|e| e.raw_os_error().map_or(Errno::EMFILE, Errno::from_raw))
    }

    /// Where to send what is to be kept of the run's translations, when it is over.
    pub fn suggestions(&self) -> BorrowedFd<'_> {
        self.suggestions.as_fd()
    }

    /// What the job process says next, if it has said anything.
    ///
    /// # Errors
    /// The socket fails.
    pub fn said(&self) -> Result<Option<Said>, Errno> {
        let mut bytes = [0; 16];
        match recv(self.socket.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
            Ok(16) => {
                let received = Received::decode(bytes);
                if received != RUNNING {
                    return Ok(Some(Said::Signal(received)));
                }
                self.stops.set(self.stops.get().saturating_sub(1));
                Ok(Some(Said::Running))
            }
            Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(Some(Said::Ended)),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The first process was stopped by this signal: the job process does the same.
    pub fn stop(&self, signal: i32) {
        // One that takes no more is stopped already.
        if self.send(signal.to_le_bytes()).is_ok() {
            self.stops.set(self.stops.get() + 1);
        }
    }

    fn send(&self, bytes: [u8; 4]) -> Result<usize, Errno> {
        send(self.socket.as_raw_fd(), &bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL)
    }

    /// The supervisor is about to make a cgroup, which is to be removed after its end.
    ///
    /// # Errors
    /// As send(2).
    pub fn remove_cgroup_at_end(&self) -> Result<(), Errno> {
        self.send(HAS_CGROUP).map(drop)
    }

    /// The same of a directory for private places.
    ///
    /// # Errors
    /// As send(2).
    pub fn remove_folders_at_end(&self) -> Result<(), Errno> {
        self.send(HAS_FOLDERS).map(drop)
    }

    /// The same of a folder for changes, if nothing has changed.
    ///
    /// # Errors
    /// As send(2).
    pub fn remove_changes_at_end(&self) -> Result<(), Errno> {
        self.send(HAS_CHANGES).map(drop)
    }

    /// The same of a name for the run.
    ///
    /// # Errors
    /// As send(2).
    pub fn remove_name_at_end(&self) -> Result<(), Errno> {
        self.send(HAS_NAME).map(drop)
    }

    /// Whether it was told to stop and has not said since that it runs.
    pub fn is_stopped(&self) -> bool {
        self.stops.get() > 0
    }

    /// The first process runs: so is the job process to. To be repeated as long as [`Job::is_stopped`].
    pub fn keep_up(&self) {
        if self.is_stopped() {
            // One that has ended has taken this process with it.
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            let _ = send(self.button.as_raw_fd(), &[0], flags);
        }
    }

    /// The run is over: waits until the job process runs, to be seen to end.
    ///
    /// # Errors
    /// The socket fails.
    pub fn wait_until_running(&self) -> Result<(), Errno> {
        while self.is_stopped() {
            self.keep_up();
            match poll(&mut [PollFd::new(self.as_fd(), PollFlags::POLLIN)], PollTimeout::from(REPEAT)) {
                Err(Errno::EINTR) => {}
                done => drop(done?),
            }
            if let Some(Said::Ended) = self.said()? {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Milliseconds until a job process that was about to stop is continued once more.
pub const REPEAT: u8 = 100;

impl AsFd for Job {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_signal_comes_back_as_it_was() {
        let received = Received { signal: 20, code: -6, pid: i32::MAX, uid: -1 };
        assert_eq!(Received::decode(received.encode()), received);
    }
}

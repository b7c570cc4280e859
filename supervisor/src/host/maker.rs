//! What belongs to a namespace is made by a process that lives in one of the run's own: the *maker*.
//!
//! A socket belongs for good to the network namespace of the process that made it (network_namespaces(7)),
//! a POSIX message queue to the IPC namespace (ipc_namespaces(7)). The supervisor stays in the host's,
//! because only a process with privileges could come back. So the maker is forked before the supervisor gives
//! its rights up; it makes what it is asked for and hands it over. It ends when the supervisor's end of its
//! line closes.
//!
//! In a network without an interface that is up, whatever a socket does beyond what handlers know of (a
//! report about a multicast group, an interface chosen by an option, an implicit bind) happens where there is
//! nothing to reach. And queues are opened here, in or without a namespace of its own, because the file
//! system of queues lies in no tree that the supervisor's Landlock rules could name.
//!
//! The emulator children are to be in its user and network namespaces as well: under Landlock nothing could
//! be written that a user namespace needs (`uid_map`), and a network takes the longest to make. So the maker
//! makes them at once, while the supervisor gives its rights up, and [`Maker::namespaces`] waits for them.
//!
//! It is also the first process of the PID namespace in which the children are (pid_namespaces(7)): whatever
//! ends it, the kernel ends all of them, at once and before anybody sees that it has ended. It gets a death
//! signal with the supervisor. Processes whose parents have ended are its children, and it waits for them.
//! Since nobody can go into a PID namespace but by being made there, what the supervisor forks only tries to
//! make its sibling in the namespaces; where the host refuses that, it is the maker itself.

use super::SyscallResult;
use super::command::set_option;
use super::mqueue::{self, ATTRIBUTES};
use super::name::reopen_name;
use super::number::{NewFd, new_fd};
use super::parcel::{received, send};
use super::pid_namespace::PidNamespace;
use super::schedule::Change;
use super::shm;
use super::spawn;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, shutdown, socketpair};
use nix::sys::stat::Mode;
use nix::sys::wait::waitpid;
use nix::unistd::{Gid, Pid, Uid, getegid, geteuid};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, OnceLock, PoisonError};

/// What the maker is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Request {
    /// socket(2): domain, type, protocol.
    Socket([u32; 3]),
    /// A queue without a name.
    Queue(Option<mqueue::Attributes>),
    /// The queue whose descriptor comes along, opened with these flags.
    Open(i32),
    /// setsockopt(2) on the socket whose descriptor comes along: level, name, length, value.
    Option([u32; 3], mqueue::Attributes),
    /// Memory for a channel.
    Memory,
    /// The thread with this number is to be treated so.
    Change(i32, Change),
}

/// Bytes of what can follow the words of a request.
const REST: usize = if ATTRIBUTES > Change::REST { ATTRIBUTES } else { Change::REST };
/// Bytes of a request: what it is, three words, what follows.
const REQUEST: usize = 4 * size_of::<u32>() + REST;
/// Bytes of an answer: an errno, 0 if a descriptor comes along.
const ANSWER: usize = size_of::<i32>();

impl Request {
    fn encode(&self) -> [u8; REQUEST] {
        let mut rest = [0; REST];
        let mut follow = |bytes: &[u8]| rest[..bytes.len()].copy_from_slice(bytes);
        let (kind, words) = match self {
            Request::Socket(words) => (0, *words),
            Request::Queue(None) => (1, [0; 3]),
            Request::Queue(Some(attributes)) => {
                follow(attributes);
                (2, [0; 3])
            }
            Request::Open(flags) => (3, [*flags as u32, 0, 0]),
            Request::Option(words, value) => {
                follow(value);
                (4, *words)
            }
            Request::Memory => (5, [0; 3]),
            Request::Change(number, change) => {
                let ([what, value], bytes) = change.encode();
                follow(&bytes);
                (6, [*number as u32, what, value])
            }
        };
        let mut bytes = [0; REQUEST];
        for (place, word) in bytes.chunks_exact_mut(4).zip([kind, words[0], words[1], words[2]]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes[REQUEST - REST..].copy_from_slice(&rest);
        bytes
    }

    fn decode(bytes: &[u8; REQUEST]) -> Option<Request> {
        let rest = std::array::from_fn(|i| bytes[REQUEST - REST + i]);
        let word = |i: usize| u32::from_le_bytes(std::array::from_fn(|k| bytes[4 * i + k]));
        Some(match word(0) {
            0 => Request::Socket([word(1), word(2), word(3)]),
            1 => Request::Queue(None),
            2 => Request::Queue(Some(rest)),
            3 => Request::Open(word(1) as i32),
            4 => Request::Option([word(1), word(2), word(3)], rest),
            5 => Request::Memory,
            6 => {
                let rest = std::array::from_fn(|i| bytes[REQUEST - REST + i]);
                Request::Change(word(1) as i32, Change::decode([word(2), word(3)], &rest)?)
            }
            _ => return None,
        })
    }
}

/// The supervisor's side of the maker.
#[derive(Debug)]
pub struct Maker {
    line: Mutex<OwnedFd>,
    /// What was forked: the maker, or what only has made it.
    forked: Pid,
    namespaces: OnceLock<Result<Namespaces, Errno>>,
}

/// The namespaces of the run, for setns(2). The only user and group of the first are those of the supervisor.
#[derive(Debug)]
pub struct Namespaces {
    /// The user namespace, which owns the other.
    pub user: OwnedFd,
    /// The network namespace, without an interface that is up.
    pub network: OwnedFd,
    /// The PID namespace; the supervisor's own where the kernel translates no numbers.
    pub pids: PidNamespace,
    /// The maker's number.
    maker: i32,
}

impl Namespaces {
    /// Moves this process, which must have one thread, into them; into the PID namespace only the children
    /// that it then makes.
    ///
    /// # Errors
    /// As setns(2).
    pub fn join(&self) -> Result<(), Errno> {
        setns(&self.user, CloneFlags::CLONE_NEWUSER)?;
        setns(&self.network, CloneFlags::CLONE_NEWNET)?;
        self.pids.file().map_or(Ok(()), |pids| setns(pids, CloneFlags::CLONE_NEWPID))
    }
}

impl Maker {
    /// Starts it. This process must have one thread.
    ///
    /// # Errors
    /// As fork(2).
    pub fn start() -> Result<Maker, Errno> {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        // The closing of the supervisor's end is a sign only if there is no copy of it in the maker.
        let number = ours.as_raw_fd();
        let work = || nix::unistd::close(number).and_then(|()| Work::start(&theirs));
        let forked = spawn::fork(|| i32::from(work().is_err()))?;
        drop(theirs);
        Ok(Maker { line: Mutex::new(ours), forked, namespaces: OnceLock::new() })
    }

    /// Its process id.
    pub fn number(&self) -> Pid {
        self.namespaces().map_or(self.forked, |namespaces| Pid::from_raw(namespaces.maker))
    }

    /// The namespaces in which things are made, once they are; an errno as of unshare(2) if the host does not
    /// give them to this user, and things are made in the supervisor's.
    pub fn namespaces(&self) -> Result<&Namespaces, Errno> {
        let received = || {
            let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
            let (user, maker) = match received::<ANSWER>(line.as_fd(), MsgFlags::empty())? {
                Some((number, Some(user))) => (user, i32::from_le_bytes(number)),
                Some((errno, None)) => return Err(Errno::from_raw(i32::from_le_bytes(errno))),
                None => return Err(Errno::EPIPE),
            };
            let namespace = || answer(line.as_fd())?.ok_or(Errno::EPIPE);
            // What has made it is at its end.
            while waitpid(self.forked, None) == Err(Errno::EINTR) {}
            let network = namespace()?;
            let pids =
                answer(line.as_fd())?.and_then(|file| PidNamespace::new(file).ok()).unwrap_or_default();
            Ok(Namespaces { user, network, pids, maker })
        };
        self.namespaces.get_or_init(received).as_ref().map_err(|e| *e)
    }

    /// Whether what it makes is in namespaces of its own.
    pub fn isolated(&self) -> bool {
        self.namespaces().is_ok()
    }

    /// socket(2) in the maker's network.
    ///
    /// # Errors
    /// As socket(2); ENOSPC if the host has no more network namespaces to give; EPIPE if the maker is gone.
    pub fn socket(&self, domain: u32, kind: u32, protocol: u32) -> Result<OwnedFd, Errno> {
        self.make(Request::Socket([domain, kind, protocol]), None)
    }

    /// mq_open(3): a new queue of this user's that has no name, to read and write.
    ///
    /// # Errors
    /// As mq_open(3) and for [`Maker::socket`].
    pub fn queue(&self, attributes: Option<&mqueue::Attributes>) -> Result<OwnedFd, Errno> {
        self.make(Request::Queue(attributes.copied()), None)
    }

    /// Another descriptor of the same queue with these access and status flags, as its mode allows.
    ///
    /// # Errors
    /// As mq_open(3); EPIPE if the maker is gone.
    pub fn open_queue(&self, queue: BorrowedFd<'_>, flags: i32) -> Result<OwnedFd, Errno> {
        self.make(Request::Open(flags), Some(queue))
    }

    /// setsockopt(2) on a socket of the maker's network. To the supervisor that network belongs, so the
    /// kernel would let it set more than an ordinary user (user_namespaces(7)); the maker has no capabilities
    /// there.
    ///
    /// # Errors
    /// As setsockopt(2); EINVAL for a value that exceeds those of all options which need a capability; EPIPE
    /// if the maker is gone.
    pub fn set_option(&self, socket: BorrowedFd<'_>, level: u32, name: u32, value: &[u8]) -> SyscallResult {
        let mut bytes = [0; ATTRIBUTES];
        bytes.get_mut(..value.len()).ok_or(Errno::EINVAL)?.copy_from_slice(value);
        self.ask(Request::Option([level, name, value.len() as u32], bytes), Some(socket)).map(|_| 0)
    }

    /// Memory for a channel: the limit on file sizes that the policy sets is the supervisor's, not the
    /// maker's.
    ///
    /// # Errors
    /// As for [`shm::memory`]; EPIPE if the maker is gone.
    pub fn memory(&self) -> Result<OwnedFd, Errno> {
        self.make(Request::Memory, None)
    }

    fn make(&self, request: Request, of: Option<BorrowedFd<'_>>) -> Result<OwnedFd, Errno> {
        self.ask(request, of)?.ok_or(Errno::EPIPE)
    }

    /// What it gives, if it does what it is asked for.
    fn ask(&self, request: Request, of: Option<BorrowedFd<'_>>) -> Result<Option<OwnedFd>, Errno> {
        // What it says of itself comes first.
        let _ = self.namespaces();
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        send(line.as_fd(), &request.encode(), of)?;
        answer(line.as_fd())
    }

    /// Nothing more is asked for: it ends. It is a child of this process
    /// ([`super::descendants::end_all_below`]), and so can be the last of those that it takes with it.
    pub fn dismiss(&self) {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have ended by itself.
        let _ = shutdown(line.as_raw_fd(), Shutdown::Both);
    }

    /// Has a thread treated so, by its number in the PID namespace of guests, where the maker is.
    ///
    /// # Errors
    /// As [`Change::make`]; EPIPE if the maker is gone.
    pub fn change(&self, thread: i32, change: Change) -> SyscallResult {
        self.ask(Request::Change(thread, change), None).map(|_| 0)
    }

    /// The process that waits for guests whose parents have ended, if it is this.
    pub fn reaper(&self) -> Option<i32> {
        let namespaces = self.namespaces().ok()?;
        namespaces.pids.file().map(|_| namespaces.maker)
    }
}

/// What the maker has made.
fn answer(line: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Errno> {
    match received::<ANSWER>(line, MsgFlags::empty())? {
        Some((_, Some(made))) => Ok(Some(made)),
        Some((errno, None)) => match i32::from_le_bytes(errno) {
            0 => Ok(None),
            errno => Err(Errno::from_raw(errno)),
        },
        None => Err(Errno::EPIPE),
    }
}

/// The maker's own side.
struct Work<'a> {
    line: &'a OwnedFd,
    /// Says when a child has ended.
    children: SignalFd,
}

impl Work<'_> {
    /// The whole life of what the supervisor has forked: it makes the maker in namespaces of its own, or is
    /// the maker without any.
    fn start(line: &OwnedFd) -> Result<(), Errno> {
        // Neither the terminal nor a process that signals the group is to end it; and a stream whose last
        // user is the guest ends with the guest.
        nix::unistd::setsid()?;
        nix::sys::prctl::set_name(c"rxbox-maker")?;
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
        spawn::close_all_from(0, &[line.as_fd()])?;
        let (user, group) = (geteuid(), getegid());
        let usual = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC;
        let inside = |of_pids| Work::new(line)?.serve_inside(user, group, of_pids);
        let with = |more: CloneFlags| {
            spawn::fork_sibling(usual | more, || i32::from(inside(!more.is_empty()).is_err()))
        };
        match with(CloneFlags::CLONE_NEWPID).or_else(|_| with(CloneFlags::empty())) {
            Ok(_) => Ok(()),
            Err(errno) => {
                let work = Work::new(line)?;
                work.answer(Err(errno))?;
                work.serve()
            }
        }
    }

    fn new(line: &OwnedFd) -> Result<Work<'_>, Errno> {
        let mut ended = SigSet::empty();
        ended.add(Signal::SIGCHLD);
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Work { line, children: SignalFd::with_flags(&ended, flags)? })
    }

    /// In the namespaces, of which one may be of PIDs: tells the supervisor of them, and serves.
    fn serve_inside(&self, user: Uid, group: Gid, of_pids: bool) -> Result<(), Errno> {
        // The death signal came with no fork; a supervisor that is gone already has closed its end.
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        same_user(user, group)?;
        // No more rights there than the user has outside: so has a guest's socket.
        for set in [caps::CapSet::Effective, caps::CapSet::Permitted] {
            caps::clear(None, set).map_err(|_| Errno::EPERM)?;
        }
        let own = |file: &CStr| open(file, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty());
        // The file system is the host's, and so is the number that it has for this process.
        let number =
            std::fs::read_link("/proc/self").ok().and_then(|name| name.to_str()?.parse::<i32>().ok());
        let number = number.ok_or(Errno::ENOENT)?;
        send(self.line.as_fd(), &number.to_le_bytes(), Some(own(c"/proc/self/ns/user")?.as_fd()))?;
        self.answer(Ok(Some(own(c"/proc/self/ns/net")?)))?;
        self.answer(Ok(if of_pids { Some(own(c"/proc/self/ns/pid")?) } else { None }))?;
        self.serve()
    }

    fn answer(&self, made: Result<Option<OwnedFd>, Errno>) -> Result<(), Errno> {
        let errno = made.as_ref().err().map_or(0, |e| *e as i32);
        let made = made.ok().flatten();
        send(self.line.as_fd(), &errno.to_le_bytes(), made.as_ref().map(AsFd::as_fd))
    }

    fn serve(&self) -> Result<(), Errno> {
        loop {
            let mut events =
                [self.line.as_fd(), self.children.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            match poll(&mut events, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                done => drop(done?),
            }
            let [asked, ended] = events.map(|event| event.any().unwrap_or(true));
            if ended {
                while self.children.read_signal()?.is_some() {}
                while let Ok(Some((orphan, _))) = spawn::ended_child() {
                    spawn::reap(orphan)?;
                }
            }
            if asked {
                let parcel = received::<REQUEST>(self.line.as_fd(), MsgFlags::empty())?;
                let Some((request, descriptor)) = parcel else { return Ok(()) };
                let request = Request::decode(&request).ok_or(Errno::EBADMSG)?;
                self.answer(Self::made(request, descriptor))?;
            }
        }
    }

    fn made(request: Request, descriptor: Option<OwnedFd>) -> Result<Option<OwnedFd>, Errno> {
        match (request, descriptor) {
            (Request::Socket([domain, kind, protocol]), None) => {
                new_fd(NewFd::Socket, [domain.into(), kind.into(), protocol.into()]).map(Some)
            }
            (Request::Memory, None) => shm::memory().map(Some),
            (Request::Queue(attributes), None) => mqueue::nameless(attributes.as_ref()).map(Some),
            (Request::Open(flags), Some(queue)) => {
                // By its whole name: what the supervisor keeps of /proc/self leads to the supervisor.
                let flags = OFlag::from_bits_retain(flags) | OFlag::O_CLOEXEC;
                open(reopen_name(queue.as_fd()).absolute(), flags, Mode::empty()).map(Some)
            }
            (Request::Option([level, name, length], value), Some(socket)) => {
                let value = value.get(..length as usize).ok_or(Errno::EINVAL)?;
                set_option(socket.as_fd(), level, name, value).map(|_| None)
            }
            (Request::Change(thread, change), None) => change.make(thread).map(|_| None),
            _ => Err(Errno::EBADF),
        }
    }
}

/// Makes the user and group of the new user namespace those outside, so that files made there have an owner.
pub(super) fn same_user(user: Uid, group: Gid) -> Result<(), Errno> {
    let map = |file: &str, line: String| {
        std::fs::write(format!("/proc/self/{file}"), line)
            .map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)))
    };
    // user_namespaces(7): without privileges outside, groups can be mapped only once they are for good.
    map("setgroups", "deny".to_owned())?;
    map("uid_map", format!("{user} {user} 1"))?;
    map("gid_map", format!("{group} {group} 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_arrives_as_it_was_made() {
        let attributes = std::array::from_fn(|i| i as u8);
        for request in [
            Request::Socket([2, 1, u32::MAX]),
            Request::Queue(None),
            Request::Queue(Some(attributes)),
            Request::Open(libc::O_RDWR | libc::O_NONBLOCK),
            Request::Option([1, 12, 4], attributes),
            Request::Memory,
            Request::Change(7, Change::Nice(-3)),
            Request::Change(7, Change::Policy(5)),
            Request::Change(7, Change::Time([1, u64::MAX])),
            Request::Change(i32::MAX, Change::affinity(&[3; 70])),
            Request::Memory,
        ] {
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
        assert_eq!(Request::decode(&[9; REQUEST]), None);
    }
}

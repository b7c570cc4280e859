//! The warden: a small process between the supervisor and the emulator children that outlives both of their ends.
//!
//! The kernel has no way to say "all descendants die with me" that works everywhere: a death signal reaches children
//! only, and guest processes have children of their own. So the supervisor starts the warden, and the warden starts the
//! first emulator child. It is the *subreaper* of all of them: whatever a guest forks and leaves stays below it. When its
//! socket to the supervisor closes, because the run is over or the supervisor has died, the warden kills all that is
//! below it until nothing is left. Should the warden itself be killed, the first child dies by its death signal, and
//! the supervisor ends the run.
//!
//! It leads a session without a terminal, in which the emulator children are: nothing that happens to rxbox's terminal or
//! group reaches them but through the supervisor. When the first child is stopped the warden says so, for rxbox to stop
//! as well.
//!
//! The first child is not reaped while the run lasts, so that its number, which its filter lets signals go to, cannot be
//! given to anybody else.

pub mod exec;

use crate::host::spawn::{self, Ended};
use crate::report::ending::End;
use crate::report::outcome::Outcome;
use exec::Start;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The supervisor's side of the warden.
#[derive(Debug)]
pub struct Warden {
    socket: OwnedFd,
    pid: Pid,
}

/// What the warden says: a word and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// The first child runs: its process id.
    Started(i32),
    /// It could not be started: the step ([`exec::STEPS`]) and the errno.
    Failed(u8, i32),
    /// It has ended: exit status.
    Exited(i32),
    /// It has ended: signal.
    Signaled(i32),
    /// It was stopped: signal.
    Stopped(i32),
}

/// What becomes of the first child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It was stopped by this signal.
    Stopped(i32),
    /// It has ended.
    Ended(Outcome),
}

impl Word {
    fn encode(self) -> [u8; 9] {
        let (kind, step, number) = match self {
            Word::Started(pid) => (0u32, 0, pid),
            Word::Failed(step, errno) => (1, step, errno),
            Word::Exited(status) => (2, 0, status),
            Word::Signaled(signal) => (3, 0, signal),
            Word::Stopped(signal) => (4, 0, signal),
        };
        let mut b = [0; 9];
        b[..4].copy_from_slice(&kind.to_le_bytes());
        b[4] = step;
        b[5..].copy_from_slice(&number.to_le_bytes());
        b
    }

    fn decode(b: &[u8]) -> Option<Word> {
        let b: &[u8; 9] = b.try_into().ok()?;
        let number = i32::from_le_bytes([b[5], b[6], b[7], b[8]]);
        Some(match b[0] {
            0 => Word::Started(number),
            1 => Word::Failed(b[4], number),
            2 => Word::Exited(number),
            3 => Word::Signaled(number),
            4 => Word::Stopped(number),
            _ => return None,
        })
    }
}

/// Why the first child does not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// A step between fork and exec failed.
    #[error("{step} for the emulator child: {}", errno.desc())]
    Step {
        /// What was being done.
        step: &'static str,
        /// Why it failed.
        errno: Errno,
    },
    /// The warden could not be started or has ended.
    #[error("the warden process: {}", .0.desc())]
    Warden(#[from] Errno),
}

impl Warden {
    /// Starts the warden and through it the first emulator child; returns its process id as well. This process must
    /// have one thread.
    ///
    /// # Errors
    /// What failed.
    pub fn start(start: &Start<'_>) -> Result<(Warden, i32), StartError> {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        let pid = spawn::fork(|| {
            // The supervisor's end must have no copy here: its closing is the sign.
            let ours = ours.as_raw_fd();
            i32::from(nix::unistd::close(ours).and_then(|()| keep_watch(start, &theirs)).is_err())
        })?;
        drop(theirs);
        let warden = Warden { socket: ours, pid };
        match warden.receive(MsgFlags::empty())? {
            Some(Word::Started(child)) => Ok((warden, child)),
            Some(Word::Failed(step, errno)) => {
                let step = exec::STEPS.get(usize::from(step)).copied().unwrap_or("exec");
                Err(StartError::Step { step, errno: Errno::from_raw(errno) })
            }
            _ => Err(Errno::ECHILD.into()),
        }
    }

    fn receive(&self, flags: MsgFlags) -> Result<Option<Word>, Errno> {
        let mut buffer = [0; 16];
        loop {
            match recv(self.socket.as_raw_fd(), &mut buffer, flags) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                n => return Word::decode(&buffer[..n?]).map(Some).ok_or(Errno::EPIPE),
            }
        }
    }

    /// What has become of the first child since the last time. Without a warden the run is over, too.
    ///
    /// # Errors
    /// The socket fails.
    pub fn news(&self) -> Result<Option<News>, Errno> {
        Ok(match self.receive(MsgFlags::MSG_DONTWAIT) {
            Ok(Some(Word::Exited(status))) => Some(News::Ended(Outcome::Exited(status))),
            Ok(Some(Word::Signaled(signal))) => Some(News::Ended(Outcome::Signaled(signal))),
            Ok(Some(Word::Stopped(signal))) => Some(News::Stopped(signal)),
            Ok(_) => None,
            Err(Errno::EPIPE | Errno::ECONNRESET) => {
                Some(News::Ended(Outcome::Ended(End::Broken("the warden process has ended".to_owned()))))
            }
            Err(e) => return Err(e),
        })
    }

    /// Ends all that is left of the run and waits until it is gone.
    pub fn finish(self) {
        drop(self.socket);
        while waitpid(self.pid, None) == Err(Errno::EINTR) {}
    }
}

impl AsFd for Warden {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The warden's whole life.
fn keep_watch(start: &Start<'_>, socket: &OwnedFd) -> Result<(), Errno> {
    nix::sys::prctl::set_child_subreaper(true)?;
    nix::unistd::setsid()?;
    // Whatever the terminal or anybody sends to the group is not for the warden.
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    let signals = SignalFd::with_flags(&children, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let told = |word: Word| send(socket.as_raw_fd(), &word.encode(), MsgFlags::MSG_NOSIGNAL).map(drop);
    let first = match exec::start(start) {
        Ok(pid) => pid,
        Err((step, errno)) => return told(Word::Failed(step, errno as i32)),
    };
    told(Word::Started(first.as_raw()))?;
    let mut ended = false;
    loop {
        let mut events =
            [PollFd::new(socket.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut events, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            done => drop(done?),
        }
        // The supervisor never sends anything: readable means closed.
        if events[0].any().unwrap_or(true) {
            break;
        }
        while signals.read_signal()?.is_some() {}
        if ended {
            continue;
        }
        if let Some(word) = reap_others(first)? {
            ended = true;
            told(word)?;
        } else if let Some(signal) = spawn::stopped(first.as_raw())? {
            told(Word::Stopped(signal))?;
        }
    }
    kill_all_below()
}

/// Reaps orphans that have ended; how the first child has ended, once it has. It stays what it is, and with it those
/// that come behind: the run is over then.
fn reap_others(first: Pid) -> Result<Option<Word>, Errno> {
    while let Some((pid, ended)) = spawn::ended_child()? {
        if pid == first.as_raw() {
            return Ok(Some(match ended {
                Ended::Exited(status) => Word::Exited(status),
                Ended::Signaled(signal) => Word::Signaled(signal),
            }));
        }
        spawn::reap(pid)?;
    }
    Ok(None)
}

/// Kills everything below this process until nothing is left. In each round all are stopped before they are killed, so
/// that fewer and fewer are there that can fork.
fn kill_all_below() -> Result<(), Errno> {
    let own = std::process::id() as i32;
    loop {
        loop {
            match spawn::ended_child() {
                Ok(Some((pid, _))) => spawn::reap(pid)?,
                Ok(None) => break,
                Err(Errno::ECHILD) => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
            for pid in descendants(&processes(), own) {
                // One that has ended meanwhile is as good as killed: its number is not given away before it is reaped,
                // and only its parent, stopped or this process, can do that.
                let _ = kill(Pid::from_raw(pid), signal);
            }
        }
        spawn::wait_for_any()?;
    }
}

/// All processes of the host with their parents.
fn processes() -> BTreeMap<i32, i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((pid, crate::host::stat::parent_of(pid)?))
        })
        .collect()
}

fn children_of(parents: &BTreeMap<i32, i32>, of: i32) -> Vec<i32> {
    parents.iter().filter(|(_, parent)| **parent == of).map(|(pid, _)| *pid).collect()
}

fn descendants(parents: &BTreeMap<i32, i32>, of: i32) -> Vec<i32> {
    let mut found = children_of(parents, of);
    let mut i = 0;
    while let Some(&pid) = found.get(i) {
        i += 1;
        // A snapshot taken while processes come and go can hold a circle.
        for child in children_of(parents, pid) {
            if !found.contains(&child) && child != of {
                found.push(child);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_they_were_and_others_are_refused() {
        for word in
            [Word::Started(7), Word::Failed(3, 12), Word::Exited(255), Word::Signaled(9), Word::Stopped(19)]
        {
            assert_eq!(Word::decode(&word.encode()), Some(word));
        }
        assert_eq!(Word::decode(&[9; 9]), None);
        assert_eq!(Word::decode(&[]), None);
    }

    #[test]
    fn descendants_are_found_through_all_generations_and_circles_end() {
        let parents = BTreeMap::from([(2, 1), (3, 2), (4, 3), (5, 9), (6, 7), (7, 6), (8, 2)]);
        assert_eq!(descendants(&parents, 2), [3, 8, 4]);
        assert_eq!(descendants(&parents, 6), [7]);
        assert_eq!(descendants(&parents, 5), [0; 0]);
        assert!(processes().contains_key(&(std::process::id() as i32)));
    }

    #[test]
    fn a_process_with_several_threads_is_not_forked() {
        std::thread::scope(|s| {
            let (hold, wait) = std::sync::mpsc::channel::<()>();
            s.spawn(move || wait.recv());
            assert_eq!(spawn::fork(|| 0), Err(Errno::EBUSY));
            drop(hold);
        });
    }
}

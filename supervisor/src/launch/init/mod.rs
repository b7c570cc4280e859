//! The init process: a small process between the supervisor and the emulator children that lives longer than
//! either.
//!
//! The kernel has no way to say "all descendants die with me" that works everywhere: a death signal reaches
//! children only, and guest processes have children of their own. So the supervisor starts the init process,
//! and that starts the first emulator child ([`exec`]). It is the *subreaper* of all of them: whatever a
//! guest forks and leaves stays below it. When its socket to the supervisor closes, because the run is over
//! or the supervisor has died, it kills all that is below it until nothing is left ([`reaper`]). Should it be
//! killed itself, the first child dies by its death signal, what else is left goes to the supervisor, and
//! that ends it with the run; the job process does if both are killed.
//!
//! It leads a session without a terminal, in which the emulator children are: nothing that happens to rxbox's
//! terminal or group reaches them except through the supervisor. When the first child is stopped or continued
//! it reports that ([`message`]), for the job process to do the same ([`crate::run::job`]).
//!
//! The first child is not reaped while the run lasts, so that its number, which its filter lets signals go
//! to, cannot be given to another process.

pub mod exec;
mod message;
mod reaper;
mod threads;

use crate::host::fork_gate::ForkGate;
use crate::host::parcel::{self, received};
use crate::host::spawn;
use crate::report::ending::End;
use crate::report::outcome::Outcome;
use exec::Start;
use message::{Message, Order};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, shutdown, socketpair};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The supervisor's side of the init process.
#[derive(Debug)]
pub struct Init {
    socket: OwnedFd,
    pid: Pid,
}

/// What has happened to the first child.
#[derive(Debug)]
pub enum ChildEvent {
    /// It was stopped by this signal.
    Stopped(i32),
    /// It was continued.
    Continued,
    /// It has ended.
    Ended(Outcome),
    /// A further child runs its own program (its process id on the host, and its fork gate), or why there is
    /// none.
    Further(Result<(i32, Option<ForkGate>), StartError>),
    /// A child that was not the first has ended: its process id on the host, and how.
    FurtherEnded(i32, Outcome),
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
    /// The init process could not be started or has ended.
    #[error("the init process: {}", .0.desc())]
    Init(#[from] Errno),
}

impl StartError {
    fn of(step: u8, errno: i32) -> StartError {
        let step = exec::STEPS.get(usize::from(step)).copied().unwrap_or("exec");
        StartError::Step { step, errno: Errno::from_raw(errno) }
    }
}

/// The way to the init process for whoever starts further children.
#[derive(Debug)]
pub struct Orders(OwnedFd);

impl Orders {
    /// Has a child started with this channel, this control socket and this terminal. What comes of it is an
    /// event: [`ChildEvent::Further`].
    ///
    /// # Errors
    /// As sendmsg(2).
    pub fn start(
        &self,
        channel: BorrowedFd<'_>,
        control: BorrowedFd<'_>,
        terminal: Option<BorrowedFd<'_>>,
    ) -> Result<(), Errno> {
        let order =
            |order: Order, descriptor| parcel::send(self.0.as_fd(), &order.encode(), Some(descriptor));
        order(Order::Channel, channel)?;
        terminal.map_or(Ok(()), |terminal| order(Order::Terminal, terminal))?;
        order(Order::Start, control)
    }
}

impl Init {
    /// Starts the init process and through it the first emulator child. This process must have one thread.
    ///
    /// # Errors
    /// As fork(2).
    pub fn start(start: &Start<'_>) -> Result<Init, StartError> {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        let pid = spawn::fork(|| {
            // The supervisor's end must have no copy here: its closing is the sign.
            let ours = ours.as_raw_fd();
            i32::from(nix::unistd::close(ours).and_then(|()| reaper::run(start, &theirs)).is_err())
        })?;
        drop(theirs);
        Ok(Init { socket: ours, pid })
    }

    /// Waits until the first child runs its own program; its process id and, if the host gives one, its fork
    /// gate. To be called once, before [`Init::event`].
    ///
    /// # Errors
    /// What failed.
    pub fn child(&self) -> Result<(i32, Option<ForkGate>), StartError> {
        match self.receive(MsgFlags::empty())? {
            Some((Message::Started(child), gate)) => Ok((child, gate.map(ForkGate::new))),
            Some((Message::Failed(step, errno), _)) => Err(StartError::of(step, errno)),
            _ => Err(Errno::ECHILD.into()),
        }
    }

    /// The next message, with the descriptor that came along; nothing if there is none yet.
    fn receive(&self, flags: MsgFlags) -> Result<Option<(Message, Option<OwnedFd>)>, Errno> {
        match received::<{ Message::SIZE }>(self.socket.as_fd(), flags) {
            Err(Errno::EAGAIN) => Ok(None),
            parcel => {
                let (bytes, descriptor) = parcel?.ok_or(Errno::EPIPE)?;
                Ok(Some((Message::decode(&bytes).ok_or(Errno::EPIPE)?, descriptor)))
            }
        }
    }

    /// What has happened to the first child since the last time. Without an init process the run is over,
    /// too.
    ///
    /// # Errors
    /// The socket fails.
    pub fn event(&self) -> Result<Option<ChildEvent>, Errno> {
        let (message, gate) = match self.receive(MsgFlags::MSG_DONTWAIT) {
            Ok(None) => return Ok(None),
            Ok(Some((message, gate))) => (Ok(message), gate),
            Err(e) => (Err(e), None),
        };
        Ok(match message {
            Ok(Message::Exited(status)) => Some(ChildEvent::Ended(Outcome::Exited(status))),
            Ok(Message::Signaled(signal)) => Some(ChildEvent::Ended(Outcome::Signaled(signal))),
            Ok(Message::Stopped(signal)) => Some(ChildEvent::Stopped(signal)),
            Ok(Message::Continued) => Some(ChildEvent::Continued),
            Ok(Message::Started(child)) => Some(ChildEvent::Further(Ok((child, gate.map(ForkGate::new))))),
            Ok(Message::Failed(step, errno)) => Some(ChildEvent::Further(Err(StartError::of(step, errno)))),
            Ok(Message::FurtherExited(pid, status)) => {
                Some(ChildEvent::FurtherEnded(pid, Outcome::Exited(status)))
            }
            Ok(Message::FurtherSignaled(pid, signal)) => {
                Some(ChildEvent::FurtherEnded(pid, Outcome::Signaled(signal)))
            }
            Err(Errno::EPIPE | Errno::ECONNRESET) => {
                Some(ChildEvent::Ended(Outcome::Ended(End::Broken("the init process has ended".to_owned()))))
            }
            Err(e) => return Err(e),
        })
    }

    /// The way to it.
    ///
    /// # Errors
    /// There are no more descriptors.
    pub fn orders(&self) -> Result<Orders, Errno> {
        let copy = self.socket.try_clone();
        copy.map(Orders).map_err(|e| e.raw_os_error().map_or(Errno::EMFILE, Errno::from_raw))
    }

    /// Its process id.
    pub fn number(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Ends all that is left of the run and waits until it is gone.
    pub fn finish(self) {
        // Whoever starts further children has a copy.
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
        drop(self.socket);
        while waitpid(self.pid, None) == Err(Errno::EINTR) {}
    }
}

impl AsFd for Init {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

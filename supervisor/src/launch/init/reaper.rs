//! What the init process does: it reaps, reports, and in the end kills everything below it.

use super::exec::{self, Start};
use super::message::{Message, Order};
use crate::host::descendants::end_all_below;
use crate::host::parcel::{received, send};
use crate::host::spawn::{self, Ended};
use caps::CapSet;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::MsgFlags;
use nix::unistd::Pid;
use std::os::fd::{AsFd, OwnedFd};

/// The init process's whole life: it starts the first child, reports on it, and ends all when the socket
/// closes.
///
/// # Errors
/// The host fails; the process then ends, and with it the first child by its death signal.
pub(super) fn run(start: &Start<'_>, socket: &OwnedFd) -> Result<(), Errno> {
    nix::sys::prctl::set_child_subreaper(true)?;
    nix::unistd::setsid()?;
    nix::sys::prctl::set_name(c"rxbox-init")?;
    // Whatever the terminal or a process sends to the group is not for the init process.
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    let signals = SignalFd::with_flags(&children, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let report = |message: Message| send(socket.as_fd(), &message.encode(), None);
    // What rxbox runs in may refuse it: then the child has no capabilities in them, and the layer is missing.
    let namespaces = start.namespaces.filter(|namespaces| namespaces.join().is_ok());
    let (first, gate) = match exec::start(&Start { namespaces, ..*start }) {
        Ok(started) => started,
        Err((step, errno)) => return report(Message::Failed(step, errno as i32)),
    };
    // In the user namespace it had all of them, for the first child's start. Others are started so, too.
    for set in [CapSet::Effective, CapSet::Permitted].into_iter().filter(|_| !start.further) {
        caps::clear(None, set).map_err(|_| Errno::EPERM)?;
    }
    send(socket.as_fd(), &Message::Started(first.as_raw()).encode(), gate.as_ref().map(AsFd::as_fd))?;
    // From now on the supervisor alone holds it.
    drop(gate);
    let mut ended = false;
    let mut further = Further { start: Start { namespaces, ..*start }, channel: None, terminal: None };
    loop {
        let mut events =
            [PollFd::new(socket.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut events, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            done => drop(done?),
        }
        // Readable means that it is closed, or that another child is to be started.
        if events[0].any().unwrap_or(true) {
            let Ok(Some((order, Some(descriptor)))) = received::<1>(socket.as_fd(), MsgFlags::empty()) else {
                break;
            };
            let Some(order) = Order::decode(order).filter(|_| start.further) else { break };
            if let Some((message, gate)) = further.follow(order, descriptor) {
                send(socket.as_fd(), &message.encode(), gate.as_ref().map(AsFd::as_fd))?;
            }
        }
        while signals.read_signal()?.is_some() {}
        if ended {
            continue;
        }
        if let Some(message) = reap_others(first, |message| report(message).or_else(ignored(start)))? {
            ended = true;
            report(message)?;
        } else if let Some(signal) = spawn::stopped_or_continued(first.as_raw())? {
            let continued = signal == libc::SIGCONT;
            report(if continued { Message::Continued } else { Message::Stopped(signal) })?;
        }
    }
    end_all_below()
}

/// Further children are nobody's where there are none: then what is reaped are orphans, of which nobody
/// hears.
fn ignored(start: &Start<'_>) -> impl Fn(Errno) -> Result<(), Errno> {
    let further = start.further;
    move |errno| if further { Err(errno) } else { Ok(()) }
}

/// The children that are started beside the first one.
struct Further<'a> {
    start: Start<'a>,
    channel: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
}

impl Further<'_> {
    /// Does what is told; what came of it, with the fork gate.
    fn follow(&mut self, order: Order, descriptor: OwnedFd) -> Option<(Message, Option<OwnedFd>)> {
        match order {
            Order::Channel => self.channel = Some(descriptor),
            Order::Terminal => self.terminal = Some(descriptor),
            Order::Start => {
                let (channel, terminal) = (self.channel.take()?, self.terminal.take());
                let start = Start {
                    channel: channel.as_fd(),
                    control: descriptor.as_fd(),
                    terminal: terminal.as_ref().map(AsFd::as_fd),
                    log: None,
                    continued: false,
                    ..self.start
                };
                return Some(match exec::start(&start) {
                    Ok((child, gate)) => (Message::Started(child.as_raw()), gate),
                    Err((step, errno)) => (Message::Failed(step, errno as i32), None),
                });
            }
        }
        None
    }
}

/// Reaps other children that have ended, and reports them; how the first child has ended, once it has. That
/// is not reaped, nor is any after it: the run is over then.
fn reap_others(first: Pid, report: impl Fn(Message) -> Result<(), Errno>) -> Result<Option<Message>, Errno> {
    while let Some((pid, ended)) = spawn::ended_child()? {
        if pid == first.as_raw() {
            return Ok(Some(match ended {
                Ended::Exited(status) => Message::Exited(status),
                Ended::Signaled(signal) => Message::Signaled(signal),
            }));
        }
        spawn::reap(pid)?;
        report(match ended {
            Ended::Exited(status) => Message::FurtherExited(pid, status),
            Ended::Signaled(signal) => Message::FurtherSignaled(pid, signal),
        })?;
    }
    Ok(None)
}

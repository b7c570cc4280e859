//! The side of a run with a name: what others of the same user ask it ([`crate::monitor`]) is taken and
//! answered in the event loop.
//!
//! Nothing here waits: a message is there or is not, and a reply that finds no room is not sent. Who may ask
//! is who could as well send the supervisor a signal: the user as whom it runs, and root. Of those who have
//! connected the first has to go if there are too many, so that none who says nothing keeps others out.

use crate::monitor::Name;
use crate::monitor::message::{self, Reply, Request, Status};
use crate::monitor::registry::{self, Registry, RegistryError};
use crate::report::record;
use crate::report::trace::Filter;
use crate::run::usage::Used;
use crate::sandbox::Sandbox;
use crate::sandbox::poller::Source;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, Shutdown, shutdown};
use nix::unistd::{geteuid, getpid, getppid};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

/// Those who have connected, at most.
const CLIENTS: usize = 16;
/// The same of a container, whose further processes have one each.
const OF_CONTAINER: usize = 1024;

/// Where a run is asked.
#[derive(Debug)]
pub struct Monitor {
    listener: UnixListener,
    name: String,
    profile: String,
    program: String,
    since: u64,
    clients: RefCell<BTreeMap<i32, Client>>,
    /// The number of the next one.
    next: Cell<i32>,
    /// How many there may be.
    most: usize,
}

/// Somebody who has connected.
#[derive(Debug)]
struct Client {
    line: OwnedFd,
    pid: i32,
    user: u32,
}

/// What somebody asks for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request: Request,
    /// Who: process and user.
    pub(super) pid: i32,
    pub(super) user: u32,
    /// What has come along.
    pub(super) descriptors: Vec<OwnedFd>,
}

impl Monitor {
    /// Takes a name for this run of a program under a profile, both escaped. The job process is to remove
    /// what belongs to it.
    ///
    /// # Errors
    /// The name is taken; the host fails.
    pub(super) fn begin(name: &Name, profile: String, program: String) -> Result<Monitor, RegistryError> {
        let listener = Registry::open()?.claim(name)?.into();
        let most = CLIENTS;
        Ok(Monitor { most, ..Monitor::of_container(listener, name.to_string(), profile, program) })
    }

    /// Answers on this socket.
    pub(super) fn of_container(
        listener: UnixListener,
        name: String,
        profile: String,
        program: String,
    ) -> Monitor {
        let (since, clients, next) = (record::now(), RefCell::default(), Cell::new(0));
        Monitor { listener, name, profile, program, since, clients, next, most: OF_CONTAINER }
    }

    /// Whether the one with this number is there.
    pub(super) fn has(&self, number: i32) -> bool {
        self.clients.borrow().contains_key(&number)
    }

    /// Another descriptor of the connection of the one with this number.
    pub(super) fn line(&self, number: i32) -> Option<OwnedFd> {
        self.clients.borrow().get(&number)?.line.try_clone().ok()
    }

    /// Has the event loop wait for those who connect.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub(super) fn watch(&self, sandbox: &Sandbox) -> Result<(), Errno> {
        sandbox.poller.add(self.listener.as_fd(), Source::Monitor)
    }

    /// Lets somebody in.
    pub(super) fn admit(&self, sandbox: &Sandbox) {
        // It has gone again, or there is no descriptor for it, and it is told so by the end of this process.
        let Ok((line, _)) = self.listener.accept() else { return };
        let line = OwnedFd::from(line);
        let Ok((pid, user)) = registry::peer(line.as_fd()) else { return };
        if user != geteuid().as_raw() && user != 0 {
            return;
        }
        let number = self.next.get();
        self.next.set(number.wrapping_add(1) & i32::MAX);
        if self.clients.borrow().len() >= self.most {
            let first = self.clients.borrow().keys().next().copied();
            first.into_iter().for_each(|first| self.leave(sandbox, first));
        }
        if sandbox.poller.add(line.as_fd(), Source::Client(number)).is_ok() {
            self.clients.borrow_mut().insert(number, Client { line, pid, user });
        }
    }

    /// What the one with this number asks for, if it still is there and asks for anything.
    pub(super) fn asked(&self, sandbox: &Sandbox, number: i32) -> Option<Asked> {
        let heard = {
            let clients = self.clients.borrow();
            let client = clients.get(&number)?;
            let heard = message::hear_with(client.line.as_fd(), MsgFlags::MSG_DONTWAIT);
            let (pid, user) = (client.pid, client.user);
            heard.map(|heard| heard.map(|(request, descriptors)| Asked { request, pid, user, descriptors }))
        };
        match heard {
            Ok(Some(asked)) => return Some(asked),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(Errno::EBADMSG | Errno::EMSGSIZE) => {
                let why = format!("rxbox {} does not know this request", env!("CARGO_PKG_VERSION"));
                self.answer(number, &Reply::Refused { why });
            }
            Ok(None) | Err(_) => self.leave(sandbox, number),
        }
        None
    }

    /// Answers the one with this number. One that takes nothing gets nothing.
    pub(super) fn answer(&self, number: i32, reply: &Reply) {
        if let Some(client) = self.clients.borrow().get(&number) {
            let _ = message::tell(client.line.as_fd(), reply, MsgFlags::MSG_DONTWAIT);
        }
    }

    /// Has the one with this number sent the calls that the filter wants. It hears of them after this reply.
    pub(super) fn follow(&self, sandbox: &Sandbox, number: i32, filter: Filter) {
        self.answer(number, &Reply::Done);
        let line = self.clients.borrow().get(&number).and_then(|client| client.line.try_clone().ok());
        // Without a descriptor for it, it hears nothing.
        if let Some(line) = line {
            sandbox.trace.leave(number);
            sandbox.trace.follow(number, line, filter);
        }
    }

    fn leave(&self, sandbox: &Sandbox, number: i32) {
        sandbox.trace.leave(number);
        if let Some(client) = self.clients.borrow_mut().remove(&number) {
            // A worker may hold its socket a moment longer.
            let _ = shutdown(client.line.as_raw_fd(), Shutdown::Both);
            sandbox.poller.remove(client.line.as_fd());
        }
    }

    /// How the run is doing.
    pub(super) fn status(&self, sandbox: &Sandbox, used: Used) -> Status {
        Status {
            name: self.name.clone(),
            pid: getppid().as_raw(),
            supervisor: getpid().as_raw(),
            profile: self.profile.clone(),
            program: self.program.clone(),
            since: self.since,
            processes: sandbox.processes.all().len() as u64,
            cpu: used.time.as_secs_f64(),
            memory: used.memory,
            denials: sandbox.audit.denials().iter().map(|(_, count)| count).sum(),
        }
    }
}

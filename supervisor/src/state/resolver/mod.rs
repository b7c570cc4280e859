//! Names of hosts, looked up for guests whose profile speaks of them ([ADR
//! 20](../../../../docs/adr/0020-names.md)).
//!
//! Whatever a guest sends to port 53 of any address goes to two sockets of the supervisor's on the loopback
//! interface; the guest sees the address that it sent to. A thread of the supervisor's ([`Resolver::serve`])
//! answers there. It asks the host's name servers for addresses of names that the policy lets the guest ask
//! for, and remembers which name led to which address ([`leads`]): those addresses the guest may reach as far
//! as the profile allows that name.
//!
//! * Nothing that the guest has written goes to a name server: the question is made anew of a name that was
//!   judged, in lower case, with an id of the supervisor's own. Nothing that a name server has written comes
//!   to the guest but addresses, each of which was judged ([`address`]).
//! * Only guests are heard: who asks is known by the address that the guest's socket has
//!   ([`Resolver::hears`]). What comes from elsewhere on the host is dropped.
//! * Everything has a bound: sockets that are heard, questions under way, who waits for each, connections,
//!   answers that are kept, addresses.
//! * Nobody waits for the thread but who asks it, and it waits for everything at once.

mod address;
mod exchange;
mod leads;
mod message;
mod serve;
mod servers;

use crate::host::SyscallResult;
use crate::host::net::{Whose, address_of};
use crate::report::audit::Who;
use address::is_local;
use leads::Leads;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
pub use servers::DOMAIN;
use servers::Servers;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Sockets of guests that are heard at once.
const ASKERS: usize = 4096;
/// How long a guest's connection may take to come in, which on the loopback interface it does at once.
const COMES_IN: Duration = Duration::from_secs(1);

/// Looks names up.
#[derive(Debug)]
pub struct Resolver {
    datagrams: UdpSocket,
    listener: Mutex<TcpListener>,
    /// Where both are.
    at: SocketAddr,
    port: u16,
    servers: Servers,
    leads: Leads,
    /// Who asks, by the address of the socket.
    askers: Mutex<HashMap<SocketAddr, Asker>>,
    /// Connections that have come in.
    accepted: Mutex<Vec<(TcpStream, Asker)>>,
    /// Rings when there are some.
    bell: EventFd,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Asker {
    /// For the audit.
    pub who: Who,
    /// Whether the guest could ask that server itself.
    pub openly: bool,
    /// Gone when the guest's socket is.
    pub socket: Weak<dyn std::any::Any + Send + Sync>,
}

/// What the thread asks of those who know the policy.
pub trait Judge {
    /// Whether this name, which is canonical, may be asked for.
    fn may_ask(&self, asker: &Asker, host: &str) -> bool;
    /// Whether a rule denies what this name, which is canonical, leads to.
    fn is_denied(&self, host: &str) -> bool;
    /// Whether an entry for addresses lets guests reach this one.
    fn is_allowed(&self, address: IpAddr) -> bool;
    /// Tells the user.
    fn note(&self, text: &str);
}

impl Resolver {
    /// One that asks the servers that the host asks, by its files. `is_asked` is whether a name may be asked
    /// for.
    ///
    /// # Errors
    /// As of socket(2) and bind(2): the host has no loopback interface.
    pub fn open(is_asked: impl Fn(&str) -> bool) -> io::Result<Resolver> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (datagrams, listener) = (UdpSocket::bind(any)?, TcpListener::bind(any)?);
        datagrams.set_nonblocking(true)?;
        listener.set_nonblocking(true)?;
        let (servers, leads) = (Servers::of_host(), Leads::default());
        for (host, addresses) in servers.hosts().filter(|(host, _)| is_asked(host)) {
            let reached = addresses.iter().filter(|address| !is_local(**address));
            reached.for_each(|address| leads.add(host, *address, leads::LONGEST));
        }
        Ok(Resolver {
            at: datagrams.local_addr()?,
            port: listener.local_addr()?.port(),
            datagrams,
            listener: Mutex::new(listener),
            servers,
            leads,
            askers: Mutex::default(),
            accepted: Mutex::default(),
            bell: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
        })
    }

    /// The TCP ports that the supervisor connects guests' sockets or its own to.
    pub fn ports(&self) -> [u16; 2] {
        [self.port, DOMAIN]
    }

    /// Where a guest's question to a server goes instead, as an address of the same family.
    pub fn instead_of(&self, server: SocketAddr, stream: bool) -> SocketAddr {
        let at = SocketAddr::new(self.at.ip(), if stream { self.port } else { self.at.port() });
        match server {
            SocketAddr::V4(_) => at,
            SocketAddr::V6(_) => SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), at.port()),
        }
    }

    /// Whether an address is where questions go.
    pub fn is_at(&self, address: SocketAddr) -> bool {
        address.ip().to_canonical() == self.at.ip() && [self.at.port(), self.port].contains(&address.port())
    }

    /// From now on hears what comes from the socket, which is bound.
    pub fn hears(&self, socket: BorrowedFd<'_>, asker: Asker) {
        let Some(from) = own_address(socket) else { return };
        let mut askers = lock(&self.askers);
        if askers.len() >= ASKERS {
            askers.retain(|_, asker| asker.socket.strong_count() > 0);
        }
        if askers.len() < ASKERS {
            askers.insert(from, asker);
        }
    }

    /// No longer hears what comes from where the socket is.
    pub fn forgets(&self, socket: BorrowedFd<'_>) {
        if let Some(from) = own_address(socket) {
            lock(&self.askers).remove(&from);
        }
    }

    /// Takes a guest's connection in. `connect` connects its socket to [`Resolver::instead_of`].
    ///
    /// # Errors
    /// Those of `connect`.
    pub fn connects(
        &self,
        socket: BorrowedFd<'_>,
        asker: Asker,
        connect: impl FnOnce() -> SyscallResult,
    ) -> SyscallResult {
        // Nobody else takes it out of the queue.
        let listener = lock(&self.listener);
        let done = connect();
        if matches!(done, Ok(_) | Err(Errno::EINPROGRESS))
            && let Some(from) = own_address(socket)
            && let Some(stream) = accepted_from(&listener, from)
        {
            lock(&self.accepted).push((stream, asker));
            // It counts up to far more than there can be connections.
            let _ = self.bell.write(1);
        }
        done
    }

    /// The names that have led to an address.
    pub fn names(&self, address: IpAddr) -> Vec<Arc<str>> {
        self.leads.names(address)
    }

    /// Who asks from there, if it is a guest.
    fn asker(&self, from: SocketAddr) -> Option<Asker> {
        let mut askers = lock(&self.askers);
        let asker = askers.get(&from)?;
        if asker.socket.strong_count() == 0 {
            askers.remove(&from);
            return None;
        }
        Some(asker.clone())
    }
}

/// The address that packets of a socket bear which go to the loopback interface.
fn own_address(socket: BorrowedFd<'_>) -> Option<SocketAddr> {
    let own = address_of(Whose::Own, socket).ok()?.value()?;
    let ip = own.ip().to_canonical();
    let ip = if ip.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { ip };
    (own.port() != 0).then(|| SocketAddr::new(ip, own.port()))
}

/// The connection from this address; others that have come in, which no guest has made, are closed.
fn accepted_from(listener: &TcpListener, from: SocketAddr) -> Option<TcpStream> {
    let until = Instant::now() + COMES_IN;
    loop {
        match listener.accept() {
            Ok((stream, peer)) if peer == from => {
                stream.set_nonblocking(true).ok()?;
                return Some(stream);
            }
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                let left = until.saturating_duration_since(Instant::now());
                let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
                poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO)).ok()?;
            }
            Err(_) => return None,
        }
        if Instant::now() >= until {
            return None;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

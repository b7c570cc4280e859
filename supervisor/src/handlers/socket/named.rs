//! Hosts by name: addresses that names led to, and questions to name servers, which go to the resolver
//! ([`crate::state::resolver`]).
//!
//! The guest's socket is one of the kernel's, connected or sending to the resolver on the loopback interface.
//! To the guest it is the name server that it has named: that address is what it is told of the other end.
//! What the resolver hears is known by the address of the guest's socket, so that is told to it before the
//! guest can know that it may send.

use crate::context::Call;
use crate::host::SyscallResult;
use crate::host::command::set_option;
use crate::host::net::Address;
use crate::report::audit::Who;
use crate::state::fd::{Extra, File};
use crate::state::resolver::{Asker, DOMAIN, Resolver};
use crate::state::sockets::Internet;
use nix::errno::Errno;
use rxbox_policy::{Decision, DeniedWhat, Endpoint, Transport, target};
use std::any::Any;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// An address that the policy allows, as the kernel is to be told it.
pub(super) struct Destination {
    pub(super) address: Address,
    /// The name server in whose place it is the resolver's.
    pub(super) server: Option<Server>,
    /// What is at the address, for the count of what connections carry.
    pub(super) label: Option<String>,
    /// Keeps the file of a unix socket, to which the address leads, until the call is done.
    _file: Option<OwnedFd>,
}

impl Destination {
    /// What leads to a file, which stays open.
    pub(super) fn by_file(address: Address, file: OwnedFd) -> Destination {
        Destination { address, server: None, label: None, _file: Some(file) }
    }

    /// The resolver in place of a name server.
    pub(super) fn instead_of(server: Server, address: Address) -> Destination {
        Destination { address, server: Some(server), label: None, _file: None }
    }
}

impl From<Address> for Destination {
    fn from(address: Address) -> Destination {
        Destination { address, server: None, label: None, _file: None }
    }
}

/// A name server that a guest asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    /// Where the guest takes it to be.
    pub(super) at: SocketAddr,
    /// Whether the policy would let the guest ask it.
    pub(super) openly: bool,
}

/// An address of the internet, by the entries for addresses or for the names that led there; or the resolver
/// in place of a name server.
pub(super) fn internet_destination(
    call: &Call<'_>,
    endpoint: Endpoint<'_>,
    to: SocketAddr,
    connects: bool,
) -> Result<Destination, Errno> {
    let decision = call.sandbox.policy.connect(&endpoint);
    let Some(resolver) = call.sandbox.resolver.get() else {
        call.enforce(&decision, &DeniedWhat::Connect(endpoint))?;
        return Ok(labelled(call, to, None));
    };
    let Endpoint::Inet { transport, .. } = endpoint else { return Err(Errno::EACCES) };
    if to.port() == DOMAIN && transport != Transport::Other {
        let openly = decision.allowed();
        if !openly && !decision.is_lack() {
            call.enforce(&decision, &DeniedWhat::Connect(endpoint))?;
        }
        let address = Address::internet(resolver.instead_of(to, transport == Transport::Tcp));
        return Ok(Destination::instead_of(Server { at: to, openly }, address));
    }
    let is_probe = connects && transport == Transport::Udp;
    let name = by_name(call, resolver, &decision, (endpoint, is_probe))?;
    Ok(labelled(call, to, name.as_deref()))
}

fn labelled(call: &Call<'_>, to: SocketAddr, name: Option<&str>) -> Destination {
    let label = call.sandbox.traffic.is_some().then(|| match name {
        Some(name) => format!("tcp:{name}:{}", to.port()),
        None => format!("tcp:{}", SocketAddr::new(to.ip().to_canonical(), to.port())),
    });
    Destination { label, ..Address::internet(to).into() }
}

/// Asks whether the guest may reach an address that no entry for addresses speaks of, by a name that led
/// there; and tells of it by that name, which is the answer.
fn by_name(
    call: &Call<'_>,
    resolver: &Resolver,
    decision: &Decision<'_>,
    (endpoint, is_probe): (Endpoint<'_>, bool),
) -> Result<Option<Arc<str>>, Errno> {
    let policy = &call.sandbox.policy;
    let Endpoint::Inet { transport, address, port } = endpoint else { return Err(Errno::EACCES) };
    if !decision.is_lack() && !call.sandbox.audit.is_learning() {
        call.enforce(decision, &DeniedWhat::Connect(endpoint))?;
        return Ok(None);
    }
    let names = resolver.names(target(address));
    let named = |name: &'_ Arc<str>| -> (Decision<'_>, Arc<str>) {
        (policy.connect(&Endpoint::Host { transport, name, port }), name.clone())
    };
    let judged: Vec<_> = names.iter().map(named).collect();
    let Some((by_name, name)) = judged.iter().find(|(by_name, _)| by_name.allowed()).or(judged.first())
    else {
        call.enforce(decision, &DeniedWhat::Connect(endpoint))?;
        return Ok(None);
    };
    let decision = if decision.is_lack() { by_name } else { decision };
    if is_probe && decision.is_lack() {
        // So getaddrinfo(3) tries which addresses can be reached from here, and sends nothing.
        call.sandbox.audit.count(decision);
        return Err(Errno::EACCES);
    }
    call.enforce(decision, &DeniedWhat::Connect(Endpoint::Host { transport, name, port }))?;
    Ok(Some(name.clone()))
}

/// The socket asks a server from now on, and is bound.
pub(super) fn asks(call: &Call<'_>, socket: &File, internet: &mut Internet, server: Server) {
    if let Some(resolver) = call.sandbox.resolver.get() {
        internet.server = Some(server.at);
        resolver.hears(socket.host.as_fd(), asker(call, socket, server));
    }
}

/// The socket asks no server any more, before it gives its address up.
pub(super) fn leaves(call: &Call<'_>, socket: &File, internet: &mut Internet) {
    if internet.server.take().is_some() {
        call.sandbox.resolver.get().inspect(|resolver| resolver.forgets(socket.host.as_fd()));
    }
}

/// Connects a stream to the resolver.
pub(super) fn connect(
    call: &Call<'_>,
    socket: &File,
    server: Server,
    host: impl FnOnce() -> SyscallResult,
) -> SyscallResult {
    let resolver = call.sandbox.resolver.get().ok_or(Errno::ECONNREFUSED)?;
    if let Extra::Internet(internet) = &mut *socket.extra() {
        internet.server = Some(server.at);
    }
    resolver.connects(socket.host.as_fd(), asker(call, socket, server), host)
}

fn asker(call: &Call<'_>, socket: &File, server: Server) -> Asker {
    let who = Who { call: call.checked.call.name, pid: call.process.pid, name: call.process.name() };
    let record: Arc<dyn Any + Send + Sync> = socket.record();
    Asker { who, openly: server.openly, socket: Arc::downgrade(&record) }
}

/// Before a socket goes to the resolver, which is at an IPv4 address.
pub(super) fn widen(socket: &File, to: &Destination) {
    if matches!(to.server, Some(Server { at: SocketAddr::V6(_), .. })) {
        let number = 0u32.to_ne_bytes();
        // One that is bound already keeps what it has, and finds nobody.
        let _ = set_option(socket.host.as_fd(), libc::IPPROTO_IPV6 as u32, libc::IPV6_V6ONLY as u32, &number);
    }
}

/// The other end as the guest knows it.
pub(super) fn seen(call: &Call<'_>, socket: &File, peer: Address) -> Address {
    let Some(resolver) = call.sandbox.resolver.get() else { return peer };
    let server = match &*socket.extra() {
        Extra::Internet(internet) => internet.server,
        _ => None,
    };
    let Some(server) = server.filter(|_| peer.value().is_some_and(|at| resolver.is_at(at))) else {
        return peer;
    };
    Address::internet(server)
}

//! Being bound and connected, with consent.
//!
//! The kernel binds a socket of the internet that has no address when it listens, connects or sends, to every
//! address of the host. Each of these is judged as a bind(2) to port 0 of the unspecified address, by the
//! record of what was judged before ([`Internet`]) and not by what the kernel says of the socket:
//!
//! * listening needs that consent, or a bind(2);
//! * a datagram socket that may not be bound so is connected, on the host, to whom it sends: it then hears
//!   nobody else, which is all that the permission to send there gives. To the guest it is not connected;
//! * a port that a call leaves behind without consent is given back.
//!
//! It also names a unix socket that is told the credentials of senders: by the record of [`Local`] that needs
//! the consent to bind a name that the kernel chooses, unless the socket lies in a network of the run's own.

use super::address;
use super::named::{self, Destination};
use crate::context::Call;
use crate::host::SyscallResult;
use crate::host::net::{self, Address, To};
use crate::host::number::Wait;
use crate::state::fd::{Extra, File, Kind};
use crate::state::sockets::{Begun, Internet, Local, Naming};
use nix::errno::Errno;
use rxbox_policy::{DeniedWhat, Endpoint};
use std::os::fd::AsFd;

/// Does something to the record of a socket of the internet, alone.
fn with<T>(socket: &File, what: impl FnOnce(&mut Internet) -> T) -> Option<T> {
    match &mut *socket.extra() {
        Extra::Internet(internet) => Some(what(internet)),
        _ => None,
    }
}

/// Does something to the record of a unix socket, alone.
fn with_local<T>(socket: &File, what: impl FnOnce(&mut Local) -> T) -> Option<T> {
    match &mut *socket.extra() {
        Extra::Local(local) => Some(what(local)),
        _ => None,
    }
}

/// Takes back a connection, and a port that nobody asked for.
fn dissolve(socket: &File) -> SyscallResult {
    net::to_address(Wait::Short, To::Connect, socket.host.as_fd(), &Address::nothing())
}

/// bind(2) to an address that was judged.
pub(super) fn bind(socket: &File, to: &Address) -> SyscallResult {
    let done = net::to_address(Wait::Short, To::Bind, socket.host.as_fd(), to)?;
    with(socket, |internet| {
        internet.bound = true;
        internet.scoped |= to.has_scope();
    });
    with_local(socket, |local| local.named = true);
    Ok(done)
}

/// connect(2) to an address that was judged. On a datagram socket nobody else sends or connects meanwhile, so
/// that the record stays true.
pub(super) fn connect(call: &Call<'_>, socket: &File, to: &Destination) -> SyscallResult {
    let _connecting = Sending::local(call, socket, Naming::Connect)?;
    named::widen(socket, to);
    let host = |wait| net::to_address(wait, To::Connect, socket.host.as_fd(), &to.address);
    let datagram = |internet: &mut Internet| {
        internet.scoped |= to.address.has_scope();
        internet.autobinds.then(|| {
            named::leaves(call, socket, internet);
            if internet.hears.take().is_some() {
                dissolve(socket)?;
            }
            let done = host(Wait::Short);
            if done.is_ok() {
                internet.connected = to.address != Address::nothing();
                to.server.into_iter().for_each(|server| named::asks(call, socket, internet, server));
            } else {
                give_back(socket, internet);
            }
            done
        })
    };
    with(socket, datagram).flatten().unwrap_or_else(|| match to.server {
        Some(server) => named::connect(call, socket, server, || host(Wait::Long)),
        None => host(Wait::Long),
    })
}

/// Asks for what listen(2) does to a socket that is not bound.
pub(super) fn may_listen(call: &Call<'_>, socket: &File) -> Result<(), Errno> {
    if with(socket, |internet| !internet.bound) == Some(true) {
        consent(call, socket)?;
    }
    Ok(())
}

/// Asks for what the kernel does to a socket without an address.
fn consent(call: &Call<'_>, socket: &File) -> Result<(), Errno> {
    address::may_bind(call, socket, address::implicit(socket)?)?;
    with(socket, |internet| internet.bound = true);
    Ok(())
}

/// Asks for the name that the kernel chooses for a unix socket without one.
fn consent_to_name(call: &Call<'_>, socket: &File) -> Result<(), Errno> {
    if call.sandbox.empty_network().is_none() {
        let any = Endpoint::UnixAbstract(b"");
        call.enforce(&call.sandbox.policy.bind(&any), &DeniedWhat::Bind(any))?;
    }
    with_local(socket, |local| local.named = true);
    Ok(())
}

/// Before a socket is told the credentials of who sends (SO_PASSCRED).
pub(super) fn may_tell_senders(call: &Call<'_>, socket: &File) -> Result<(), Errno> {
    if with_local(socket, Local::tell_senders) == Some(true) { consent_to_name(call, socket) } else { Ok(()) }
}

/// A call on its way to the kernel that was judged; what it may leave behind without consent is seen to when
/// it has come back.
pub(in crate::handlers) enum Sending<'a> {
    /// It leaves nothing.
    Free,
    /// Another thread may have taken the connection back just before, upon which the kernel has bound the
    /// socket.
    Internet(&'a File),
    /// The record counts it.
    Local(&'a File),
}

impl<'a> Sending<'a> {
    /// On a unix socket.
    fn local(call: &Call<'_>, socket: &'a File, naming: Naming) -> Result<Sending<'a>, Errno> {
        match with_local(socket, |local| local.begins(naming)) {
            None | Some(Begun::Free) => Ok(Sending::Free),
            Some(Begun::UnderWay) => Ok(Sending::Local(socket)),
            Some(Begun::Asks) => consent_to_name(call, socket).map(|()| Sending::Free),
        }
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        match *self {
            Sending::Free => {}
            Sending::Internet(socket) => {
                with(socket, |internet| give_back(socket, internet));
            }
            Sending::Local(socket) => {
                with_local(socket, Local::done);
            }
        }
    }
}

/// After a call that may have bound the socket without consent.
fn give_back(socket: &File, internet: &Internet) {
    if internet.is_open_to_all_by_sending() && internet.hears.is_none() {
        // At worst there was nothing to give back.
        let _ = dissolve(socket);
    }
}

/// Before a datagram is sent to an address that was judged.
pub(super) fn may_send_to<'a>(
    call: &Call<'_>,
    socket: &'a File,
    to: &Destination,
) -> Result<Sending<'a>, Errno> {
    let address = to.address;
    let open = |internet: &Internet| internet.is_open_to_all_by_sending() && internet.hears != Some(address);
    match with(socket, |internet| open(internet)) {
        None => return Sending::local(call, socket, Naming::Send),
        Some(false) if to.server.is_none() => return Ok(Sending::Internet(socket)),
        Some(_) => {}
    }
    named::widen(socket, to);
    let anywhere = address::Nature::of(socket)?;
    // To the resolver it is connected in any case, so that it is known by its address before it sends.
    let consented =
        to.server.is_none() && call.sandbox.policy.bind(&anywhere.endpoint(anywhere.any(0))).allowed();
    let narrow = |internet: &mut Internet| {
        if open(internet) {
            // Or it would go on with the source that goes with the other peer.
            if internet.hears.is_some() {
                named::leaves(call, socket, internet);
                internet.hears = None;
                dissolve(socket)?;
            }
            if consented {
                internet.bound = true;
                return Ok(());
            }
            if let Err(e) = net::to_address(Wait::Short, To::Connect, socket.host.as_fd(), &address) {
                give_back(socket, internet);
                return Err(e);
            }
            internet.hears = Some(address);
            internet.scoped |= address.has_scope();
        }
        to.server.into_iter().for_each(|server| named::asks(call, socket, internet, server));
        Ok(())
    };
    with(socket, narrow).unwrap_or(Ok(())).map(|()| Sending::Internet(socket))
}

/// Before bytes are sent on a file without an address.
///
/// # Errors
/// EDESTADDRREQ for a socket that is only connected on the host, EACCES where the kernel would bind it.
pub(in crate::handlers) fn may_send<'a>(call: &Call<'_>, file: &'a File) -> Result<Sending<'a>, Errno> {
    if file.kind != Kind::Socket {
        return Ok(Sending::Free);
    }
    match with(file, |internet| internet.is_open_to_all_by_sending().then_some(internet.hears)) {
        None => return Sending::local(call, file, Naming::Send),
        Some(None) => {}
        Some(Some(Some(_))) => return Err(Errno::EDESTADDRREQ),
        Some(Some(None)) => consent(call, file)?,
    }
    Ok(Sending::Internet(file))
}

/// Whether the guest knows of the connection that the socket has on the host.
pub(super) fn has_peer(socket: &File) -> bool {
    with(socket, |internet| internet.hears.is_none()).unwrap_or(true)
}

//! Sockets: making them, naming them, connecting them.
//!
//! * [`address`]: what a guest's address means, what the policy says to it, and what the kernel is told
//!   instead;
//! * [`binding`]: what is bound and connected, and with whose consent;
//! * [`named`]: hosts by name;
//! * [`message`]: sending and receiving;
//! * [`ancillary`]: descriptors and credentials that travel with messages;
//! * [`option`]: socket options.
//!
//! Who is at the other end of a unix socket, and under which name one is bound, [`crate::state::sockets`]
//! keeps.

pub(super) mod address;
mod ancillary;
pub(super) mod binding;
pub(super) mod message;
mod named;
pub mod option;

#[cfg(test)]
mod consent_tests;
#[cfg(test)]
mod tests;

use super::event::CLOEXEC;
use super::fdctl::{insert_pair, put_pair};
use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::net::{self, Address, Whose};
use crate::host::number::{NewFd, OnFd, Wait, new_fd, on_fd};
use crate::state::fd::{File, Kind};
use nix::errno::Errno;
use rxbox_policy::DeniedWhat;
use std::os::fd::AsFd;
use std::sync::Arc;

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[
    ("socket", socket),
    ("socketpair", socketpair),
    ("bind", bind),
    ("connect", connect),
    ("listen", listen),
    ("accept", accept),
    ("accept4", accept4),
    ("shutdown", shutdown),
    ("getsockname", getsockname),
    ("getpeername", getpeername),
];

/// The bits of a socket's type that are no flags.
const TYPE_MASK: i32 = 0xf;

/// The kernel looks at the flags of a socket's type before it looks at its family.
fn flags_are_known(call: &Call<'_>) -> Result<(), Errno> {
    let flags = call.i32(1) & !TYPE_MASK;
    if flags & !(CLOEXEC | libc::SOCK_NONBLOCK) != 0 { Err(Errno::EINVAL) } else { Ok(()) }
}

/// Asks the policy whether a socket of this nature may be made.
fn may_make(call: &Call<'_>) -> Result<(), Errno> {
    /// One more than the last family, and than the last type.
    const FAMILIES: i32 = 46;
    const TYPES: i32 = 11;
    let (domain, kind, protocol) = (call.i32(0), call.i32(1), call.i32(2));
    if (0..FAMILIES).contains(&domain) && kind & TYPE_MASK >= TYPES {
        return Err(Errno::EINVAL);
    }
    let decision = call.sandbox.policy.socket(domain, kind, protocol);
    call.enforce(&decision, &DeniedWhat::Socket { domain, kind, protocol })
}

fn socket(call: &mut Call<'_>) -> SyscallResult {
    flags_are_known(call)?;
    may_make(call)?;
    let (domain, kind, protocol) = (call.i32(0), call.i32(1), call.i32(2));
    let of_host = [domain, kind | CLOEXEC, protocol].map(|n| n as u32);
    let host = match call.sandbox.empty_network() {
        Some(maker) => maker.socket(of_host[0], of_host[1], of_host[2])?,
        None => new_fd(NewFd::Socket, of_host.map(u64::from))?,
    };
    let mut socket = File::socket(host, domain, kind, protocol);
    if let Some(traffic) = call.sandbox.traffic.as_ref().filter(|_| socket.is_internet()) {
        socket = socket.counted(traffic.clone());
    }
    call.process.fds.insert(socket, kind & CLOEXEC != 0, 0).map(i64::from)
}

fn socketpair(call: &mut Call<'_>) -> SyscallResult {
    flags_are_known(call)?;
    call.reach(3)?;
    // The numbers are written before anything else can fail.
    put_pair(call, 3, call.process.fds.next_two()?)?;
    may_make(call)?;
    let kind = call.i32(1);
    let pair = net::socketpair(call.u32(0), (kind | CLOEXEC) as u32, call.u32(2))?;
    let pair = pair.map(|host| File::socket(host, call.i32(0), kind, call.i32(2)));
    call.sandbox.peers.paired(pair.each_ref(), call.process.pid);
    let numbers = insert_pair(call, pair, kind & CLOEXEC != 0)?;
    put_pair(call, 3, numbers)
}

/// The file of argument 0, which must be a socket.
fn socket_of(call: &Call<'_>) -> Result<Arc<File>, Errno> {
    let file = call.file(0)?;
    if file.kind == Kind::Socket { Ok(file) } else { Err(Errno::ENOTSOCK) }
}

fn bind(call: &mut Call<'_>) -> SyscallResult {
    let socket = socket_of(call)?;
    if address::is_bound_by_asking(call, &socket, call.need(1)?)? {
        return Ok(0);
    }
    let to = address::own(call, &socket, call.need(1)?)?;
    binding::bind(&socket, &to)
}

fn connect(call: &mut Call<'_>) -> SyscallResult {
    // Here the kernel looks at the address before it looks whether the file is a socket.
    call.file(0)?;
    call.reach(1)?;
    let socket = socket_of(call)?;
    let to = address::connection(call, &socket, call.need(1)?)?;
    let local = to.address.bytes().starts_with(&(libc::AF_UNIX as u16).to_ne_bytes());
    if local {
        call.sandbox.peers.connects(&socket, call.process.pid);
    }
    let done = binding::connect(call, &socket, &to);
    if let (Ok(_) | Err(Errno::EINPROGRESS), Some(to), Some(count)) = (&done, &to.label, socket.count()) {
        count.begins(to);
    }
    let done = done?;
    if local {
        call.sandbox.peers.connected(&socket);
    }
    Ok(done)
}

fn listen(call: &mut Call<'_>) -> SyscallResult {
    let socket = socket_of(call)?;
    binding::may_listen(call, &socket)?;
    if !socket.is_internet() {
        call.sandbox.peers.listens(&socket, call.process.pid);
    }
    on_fd(Wait::Short, OnFd::Listen, socket.host.as_fd(), [call.u64(1), 0, 0])
}

fn accept(call: &mut Call<'_>) -> SyscallResult {
    accept_with(call, 0)
}

fn accept4(call: &mut Call<'_>) -> SyscallResult {
    let flags = call.i32(3);
    accept_with(call, flags)
}

fn accept_with(call: &mut Call<'_>, flags: i32) -> SyscallResult {
    call.file(0)?;
    if flags & !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let socket = socket_of(call)?;
    // A connection for which there is no number stays in the queue.
    call.process.fds.room()?;
    let (host, peer) = net::accept(socket.wait(), socket.host.as_fd(), (flags | CLOEXEC) as u32)?;
    let accepted = File::accepted(host, &socket)?;
    if !socket.is_internet() {
        call.sandbox.peers.accepted(&accepted);
    }
    let number = call.process.fds.insert(accepted, flags & CLOEXEC != 0, 0)?;
    if let Err(e) = put_address(call, 1, 2, &peer) {
        // The connection is gone, as in the kernel.
        let _ = call.process.fds.remove(number);
        return Err(e);
    }
    Ok(number.into())
}

fn shutdown(call: &mut Call<'_>) -> SyscallResult {
    let socket = socket_of(call)?;
    on_fd(Wait::Short, OnFd::Shutdown, socket.host.as_fd(), [call.u64(1), 0, 0])
}

fn getsockname(call: &mut Call<'_>) -> SyscallResult {
    tell_address(call, Whose::Own)
}

fn getpeername(call: &mut Call<'_>) -> SyscallResult {
    tell_address(call, Whose::Peer)
}

fn tell_address(call: &mut Call<'_>, whose: Whose) -> SyscallResult {
    let socket = socket_of(call)?;
    if whose == Whose::Peer && !binding::has_peer(&socket) {
        return Err(Errno::ENOTCONN);
    }
    let told = net::address_of(whose, socket.host.as_fd())?;
    let told = if whose == Whose::Peer { named::seen(call, &socket, told) } else { told };
    put_address(call, 1, 2, &told)?;
    Ok(0)
}

/// Gives an address to the guest: the bytes in argument `i` cut to the room there, and their true number in
/// argument `len`. Nothing if the guest does not want it.
fn put_address(call: &mut Call<'_>, i: usize, len: usize, address: &Address) -> Result<(), Errno> {
    if !call.present(i) {
        return Ok(());
    }
    address_room(call, len)?;
    let shown = call.sandbox.anchors.shown(address.bytes());
    // The length is told even if the address cannot be.
    call.put(len, &(shown.len() as u32).to_le_bytes())?;
    call.put(i, &shown)
}

/// Checks the length that the guest gave for an address, in argument `i`.
fn address_room(call: &Call<'_>, i: usize) -> Result<(), Errno> {
    if (length_word(call, i)? as i32) < 0 { Err(Errno::EINVAL) } else { Ok(()) }
}

/// The `socklen_t` that argument `i` points at.
fn length_word(call: &Call<'_>, i: usize) -> Result<u32, Errno> {
    Ok(u32::from_le_bytes(call.need(i)?.try_into().map_err(|_| Errno::EFAULT)?))
}

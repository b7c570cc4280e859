//! Sending and receiving on sockets.
//!
//! The bytes of a message go straight between the kernel and the data area. Its address and control data are
//! judged and translated in the supervisor's own memory.

use super::super::io::{broken_pipe, is_stream, may_be_cut};
use super::address::{Purpose, destination, may_route};
use super::ancillary::{self, CONTROL_MAX};
use super::named::Destination;
use super::{binding, named, put_address, socket_of};
use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::command::number_option;
use crate::host::net::{self, ADDRESS_MAX, Address, Received};
use crate::host::number::Wait;
use crate::host::transfer::Buffer;
use crate::state::fd::File;
use nix::errno::Errno;
use rxbox_wire::frame::{MessageHeader, Reply};
use rxbox_wire::sizes::ABSENT;
use std::os::fd::AsFd;

/// The handlers of this module.
pub(crate) const HANDLERS: &[Entry] =
    &[("sendto", sendto), ("sendmsg", sendmsg), ("recvfrom", recvfrom), ("recvmsg", recvmsg)];

/// Flags that are the supervisor's to set: the signal it raises itself, and its descriptors never outlive an
/// exec.
const NOSIGNAL: u32 = libc::MSG_NOSIGNAL as u32;
const CMSG_CLOEXEC: u32 = libc::MSG_CMSG_CLOEXEC as u32;

/// How long a call with these flags may wait.
fn wait_of(flags: u32) -> Wait {
    if flags & libc::MSG_DONTWAIT as u32 != 0 { Wait::Short } else { Wait::Long }
}

/// The address that a message is sent to, if it has one.
/// Only the first bytes of a TCP connection can be sent to one.
fn send_to(
    call: &Call<'_>,
    socket: &File,
    name: Option<&[u8]>,
    flags: u32,
) -> Result<Option<Destination>, Errno> {
    let opens = flags & libc::MSG_FASTOPEN as u32 != 0;
    let is_tcp = || number_option(socket.host.as_fd(), libc::SO_PROTOCOL) == Ok(libc::IPPROTO_TCP);
    match name {
        Some(name) if !name.is_empty() && !opens && is_tcp() => Ok(None),
        None | Some([]) => Ok(None),
        Some(name) => {
            let to = destination(call, socket, name, Purpose::Send)?;
            // A connection to the resolver is made by connect(2) alone.
            if opens && to.as_ref().is_some_and(|to| to.server.is_some()) {
                Err(Errno::EOPNOTSUPP)
            } else {
                Ok(to)
            }
        }
    }
}

/// Sends without a signal to the supervisor. What exceeds the limit of output is cut off.
fn send(
    call: &Call<'_>,
    socket: &File,
    to: Option<&Destination>,
    control: &[u8],
    data: Buffer<'_>,
    flags: u32,
) -> SyscallResult {
    let name = to.map_or(&[][..], |d| d.address.bytes());
    let sending = match to {
        Some(to) => binding::may_send_to(call, socket, to)?,
        None => binding::may_send(call, socket)?,
    };
    if flags & libc::MSG_DONTROUTE as u32 != 0 {
        may_route(call)?;
    }
    // Zero-copy sends would tell of buffers that the guest does not have.
    let host_flags = (flags | NOSIGNAL) & !(libc::MSG_ZEROCOPY as u32);
    may_be_cut(call, socket)?;
    let share = call.sandbox.output.take(socket, data.len() as u64)?;
    let data = data.first(share.n as usize);
    call.sandbox.peers.sends(socket, call.process.pid);
    let done = net::send(wait_of(flags), socket.host.as_fd(), name, control, data, host_flags);
    call.sandbox.output.settle(&share, &done);
    drop(sending);
    done
}

/// After a full transfer of a part, on a stream, the child may go on.
fn more(call: &mut Call<'_>, socket: &File, wanted: usize, done: &SyscallResult) {
    if call.is_part() && *done == Ok(wanted as i64) && is_stream(socket) {
        call.reply.flags |= Reply::MORE;
    }
}

/// Raises SIGPIPE in the guest where the kernel would.
fn finish(call: &mut Call<'_>, socket: &File, flags: u32, done: SyscallResult) -> SyscallResult {
    if flags & NOSIGNAL == 0 {
        broken_pipe(call, socket, 0, done);
    }
    done
}

/// The kernel looks whether the buffer is in user space before it looks at the descriptor.
fn in_user_space(call: &Call<'_>) -> Result<(), Errno> {
    if call.is_beyond(1) { Err(Errno::EFAULT) } else { Ok(()) }
}

fn sendto(call: &mut Call<'_>) -> SyscallResult {
    in_user_space(call)?;
    let socket = socket_of(call)?;
    let to = send_to(call, &socket, call.bytes(4)?, call.u32(3))?;
    let done = send(call, &socket, to.as_ref(), &[], call.buffer(1), call.u32(3));
    more(call, &socket, call.room(1), &done);
    finish(call, &socket, call.u32(3), done)
}

/// A flag that the kernel keeps for itself is refused before the descriptor is looked at.
fn without_own_flags(call: &Call<'_>) -> Result<(), Errno> {
    const MSG_CMSG_COMPAT: u32 = 1 << 31;
    if call.u32(2) & MSG_CMSG_COMPAT != 0 { Err(Errno::EINVAL) } else { Ok(()) }
}

fn sendmsg(call: &mut Call<'_>) -> SyscallResult {
    without_own_flags(call)?;
    let socket = socket_of(call)?;
    let (header, message) = message(call)?;
    let [name, control, data] = header.parts();
    let to = send_to(call, &socket, message.get(name).filter(|_| header.name != ABSENT), call.u32(2))?;
    let control = message.get(control).unwrap_or_default().to_vec();
    let control = ancillary::outgoing(call, &socket, &control)?;
    let data = call.buffer(1).part(data);
    let wanted = data.len();
    let done = send(call, &socket, to.as_ref(), &control.bytes, data, call.u32(2));
    more(call, &socket, wanted, &done);
    finish(call, &socket, call.u32(2), done)
}

/// The header of the message in argument 1, whose parts lie in the argument's data, and the worker's copy of
/// these.
fn message<'a>(call: &'a Call<'_>) -> Result<(MessageHeader, &'a [u8]), Errno> {
    let bytes = call.need(1)?;
    let header = MessageHeader::decode_head(bytes).ok_or(Errno::EFAULT)?;
    let fits = header.parts().iter().all(|part| part.end <= call.room(1));
    if fits { Ok((header, bytes)) } else { Err(Errno::EFAULT) }
}

fn recvfrom(call: &mut Call<'_>) -> SyscallResult {
    in_user_space(call)?;
    let socket = socket_of(call)?;
    let flags = call.u32(3);
    let mut name = [0; ADDRESS_MAX];
    let name = if call.present(4) { &mut name[..] } else { &mut [] };
    let got = net::receive(
        wait_of(flags),
        socket.host.as_fd(),
        name,
        &mut [],
        call.buffer(1),
        flags | CMSG_CLOEXEC,
    )?;
    if !discards(&socket, flags) {
        call.filled(1, got.count as usize);
    }
    let from = named::seen(call, &socket, Address::new(&name[..got.name.min(name.len())])?);
    put_address(call, 4, 5, &from)?;
    const ALL: u32 = libc::MSG_WAITALL as u32;
    if flags & (ALL | libc::MSG_PEEK as u32) == ALL {
        more(call, &socket, call.room(1), &Ok(got.count));
    }
    Ok(got.count)
}

/// In the reply the parts stay where the capacities of the request put them, and the header tells how much of
/// each is filled; of an address, how long it is even where the room was less.
fn recvmsg(call: &mut Call<'_>) -> SyscallResult {
    without_own_flags(call)?;
    let socket = socket_of(call)?;
    let flags = call.u32(2);
    let (header, _) = message(call)?;
    let [name_place, control_place, data] = header.parts();
    let mut name = [0; ADDRESS_MAX];
    let name = if header.name == ABSENT { &mut [] } else { &mut name[..] };
    let mut control = vec![0; control_place.len().min(CONTROL_MAX)];
    let room = data.len();
    let buffer = call.buffer(1).part(data);
    let host_flags = flags | CMSG_CLOEXEC;
    let mut got = net::receive(wait_of(flags), socket.host.as_fd(), name, &mut control, buffer, host_flags)?;
    ancillary::incoming(call, &socket, &mut control, &mut got, flags & CMSG_CLOEXEC != 0);
    let from = named::seen(call, &socket, Address::new(&name[..got.name.min(name.len())])?);
    let shown = call.sandbox.anchors.shown(from.bytes());
    put_at(call, 1, name_place.start, &shown[..shown.len().min(name_place.len())]);
    put_at(call, 1, control_place.start, &control);
    let filled = MessageHeader {
        name: if header.name == ABSENT { ABSENT } else { shown.len() as u32 },
        control: if header.control == ABSENT { ABSENT } else { got.control as u32 },
        bytes: if discards(&socket, flags) { 0 } else { (got.count as usize).min(room) as u32 },
        flags: told_flags(&got, flags),
    };
    put_at(call, 1, 0, &filled.encode());
    call.filled(1, call.room(1));
    Ok(got.count)
}

/// Whether receiving with these flags throws the bytes away and leaves the buffer as it is (tcp(7)).
fn discards(socket: &File, flags: u32) -> bool {
    const TRUNC: u32 = libc::MSG_TRUNC as u32;
    let streams = [libc::IPPROTO_TCP, libc::IPPROTO_MPTCP];
    flags & (TRUNC | libc::MSG_ERRQUEUE as u32) == TRUNC
        && number_option(socket.host.as_fd(), libc::SO_PROTOCOL).is_ok_and(|p| streams.contains(&p))
        && is_stream(socket)
}

/// Writes `data` into argument `i`'s part of the data area, from byte `offset` of that on.
fn put_at(call: &Call<'_>, i: usize, offset: usize, data: &[u8]) {
    let room = call.room(i).saturating_sub(offset);
    call.area.write(call.checked.place[i].start + offset, &data[..data.len().min(room)]);
}

/// The kernel shows MSG_CMSG_CLOEXEC only to those who asked for it.
fn told_flags(got: &Received, asked: u32) -> u32 {
    got.flags & !(CMSG_CLOEXEC & !asked)
}

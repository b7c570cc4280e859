//! Socket options. Which there are, and what of them is data, the system-call table says; an option without a
//! row is refused, for some hold addresses that the kernel would follow in the supervisor.

use super::{binding, length_word, socket_of};
use crate::context::{Call, Entry};
use crate::handlers::pidfd::for_child;
use crate::host::SyscallResult;
use crate::host::command::{get_option, number_option, set_option};
use crate::state::fd::{File, Kind};
use nix::errno::Errno;
use rxbox_wire::effect::Effect;
use std::os::fd::AsFd;

/// The handlers of this module.
pub(crate) const HANDLERS: &[Entry] = &[("getsockopt", getsockopt), ("setsockopt", setsockopt)];

/// Who is at the other end, as a `ucred` that starts with the process id.
const PEER: (u32, u32) = (libc::SOL_SOCKET as u32, libc::SO_PEERCRED as u32);
/// The same as a descriptor (pidfd_open(2)).
const PEER_DESCRIPTOR: (u32, u32) = (libc::SOL_SOCKET as u32, 77);
/// Whether messages come with the credentials of who sent them.
const SENDERS: (u32, u32) = (libc::SOL_SOCKET as u32, libc::SO_PASSCRED as u32);
/// The peer's address, as getpeername(2) tells it.
const PEER_NAME: (u32, u32) = (libc::SOL_SOCKET as u32, libc::SO_PEERNAME as u32);

fn getsockopt(call: &mut Call<'_>) -> SyscallResult {
    let socket = socket_of(call)?;
    has_level(call)?;
    let (level, name) = (call.u32(1), call.u32(2));
    if (length_word(call, 4)? as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    if (level, name) == PEER_DESCRIPTOR {
        return peer_descriptor(call, &socket);
    }
    let mut value = vec![0; call.room(3)];
    let n = get_option(socket.host.as_fd(), level, name, &mut value)?;
    value.truncate(n);
    if (level, name) == PEER
        && let Some(&[a, b, c, d]) = value.first_chunk()
    {
        let pid = call.sandbox.peers.shown_peer(&socket, i32::from_le_bytes([a, b, c, d]));
        value[..4].copy_from_slice(&pid.to_le_bytes());
    }
    if (level, name) == PEER_NAME {
        value = call.sandbox.anchors.shown(&value);
    }
    call.put(3, &value)?;
    call.put(4, &(value.len() as u32).to_le_bytes())?;
    Ok(0)
}

/// A descriptor for the process at the other end: ENODATA if that is none of the sandbox.
fn peer_descriptor(call: &mut Call<'_>, socket: &File) -> SyscallResult {
    if (length_word(call, 4)? as usize) < size_of::<i32>() {
        return Err(Errno::EINVAL);
    }
    let peer = call
        .sandbox
        .peers
        .peer(socket)
        .and_then(|pid| call.sandbox.processes.meant(pid).filter(|p| p.pid == pid));
    let number = for_child(call, &*peer.ok_or(Errno::ENODATA)?)?;
    call.put(3, &number.to_le_bytes())?;
    call.put(4, &(size_of::<i32>() as u32).to_le_bytes())?;
    Ok(0)
}

/// Whether what the call waits for is at a socket on which waiting has a limit (`SO_RCVTIMEO`,
/// `SO_SNDTIMEO`): such a call fails with EINTR once it was interrupted (signal(7)).
pub(crate) fn has_time_limit(call: &Call<'_>) -> bool {
    let limit = match call.checked.call.name {
        "read" | "readv" | "recvfrom" | "recvmsg" | "accept" | "accept4" => libc::SO_RCVTIMEO,
        "write" | "writev" | "sendto" | "sendmsg" | "connect" => libc::SO_SNDTIMEO,
        _ => return false,
    };
    let Ok(file) = call.file(0) else { return false };
    let mut time = [0; 16];
    let level = libc::SOL_SOCKET as u32;
    let told =
        file.kind == Kind::Socket && get_option(file.host.as_fd(), level, limit as u32, &mut time).is_ok();
    told && time != [0; 16]
}

/// What an option answers that has no row. A unix socket has no levels but that of all sockets; one of IPv4
/// tells nothing of those that it does not have (`ip_getsockopt`).
pub(in super::super) fn unknown(call: &Call<'_>, errno: Errno) -> Result<Errno, Errno> {
    let socket = socket_of(call)?;
    let number = |name| number_option(socket.host.as_fd(), name);
    let level = call.i32(1);
    let has_level = level == libc::SOL_SOCKET
        || match number(libc::SO_DOMAIN)? {
            libc::AF_UNIX => false,
            libc::AF_INET if call.checked.call.name == "getsockopt" => {
                level == libc::IPPROTO_IP || level == number(libc::SO_PROTOCOL)?
            }
            _ => true,
        };
    Ok(if has_level { errno } else { Errno::EOPNOTSUPP })
}

/// EOPNOTSUPP where a unix socket is asked for what only others have, before the value is looked at.
pub(in super::super) fn has_level(call: &Call<'_>) -> Result<(), Errno> {
    let socket = socket_of(call)?;
    if call.checked.call.name == "setsockopt" && call.i32(4) < 0 {
        return Err(Errno::EINVAL);
    }
    if call.i32(1) == libc::SOL_SOCKET {
        return Ok(());
    }
    let family = number_option(socket.host.as_fd(), libc::SO_DOMAIN)?;
    if family == libc::AF_UNIX { Err(Errno::EOPNOTSUPP) } else { Ok(()) }
}

fn setsockopt(call: &mut Call<'_>) -> SyscallResult {
    let socket = socket_of(call)?;
    has_level(call)?;
    let row = call.checked.command.ok_or(Errno::ENOPROTOOPT)?;
    let value = call.need(3)?;
    if (call.u32(1), call.u32(2)) == SENDERS && value.iter().any(|b| *b != 0) {
        call.sandbox.peers.ask();
        binding::may_tell_senders(call, &socket)?;
    }
    let (fd, level, name) = (socket.host.as_fd(), call.u32(1), call.u32(2));
    let privileged = row.effects.contains(&Effect::Privilege);
    match call.sandbox.empty_network().filter(|_| privileged) {
        Some(maker) => maker.set_option(fd, level, name, value),
        None => set_option(fd, level, name, value),
    }
}

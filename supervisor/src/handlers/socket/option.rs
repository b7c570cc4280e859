//! Socket options. Which there are, and what of them is data, the system-call table says; an option without a
//! row is refused, for some hold addresses that the kernel would follow in the supervisor.

use super::{length_word, socket_of};
use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::command::{get_option, set_option};
use crate::state::fd::Kind;
use nix::errno::Errno;
use rxbox_wire::effect::Effect;
use std::os::fd::AsFd;

/// The handlers of this module.
pub(crate) const HANDLERS: &[Entry] = &[("getsockopt", getsockopt), ("setsockopt", setsockopt)];

/// Who is at the other end, as a `ucred` that starts with the process id.
const PEER: (u32, u32) = (libc::SOL_SOCKET as u32, libc::SO_PEERCRED as u32);
/// Whether messages come with the credentials of who sent them.
const SENDERS: (u32, u32) = (libc::SOL_SOCKET as u32, libc::SO_PASSCRED as u32);
/// The peer's address, as getpeername(2) tells it.
const PEER_NAME: (u32, u32) = (libc::SOL_SOCKET as u32, libc::SO_PEERNAME as u32);

fn getsockopt(call: &mut Call<'_>) -> SyscallResult {
    let socket = socket_of(call)?;
    let (level, name) = (call.u32(1), call.u32(2));
    if (length_word(call, 4)? as i32) < 0 {
        return Err(Errno::EINVAL);
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

fn setsockopt(call: &mut Call<'_>) -> SyscallResult {
    let socket = socket_of(call)?;
    let row = call.checked.command.ok_or(Errno::ENOPROTOOPT)?;
    let value = call.need(3)?;
    if (call.u32(1), call.u32(2)) == SENDERS && value.iter().any(|b| *b != 0) {
        call.sandbox.peers.ask();
    }
    let (fd, level, name) = (socket.host.as_fd(), call.u32(1), call.u32(2));
    let privileged = row.effects.contains(&Effect::Privilege);
    match call.sandbox.empty_network().filter(|_| privileged) {
        Some(maker) => maker.set_option(fd, level, name, value),
        None => set_option(fd, level, name, value),
    }
}

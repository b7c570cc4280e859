//! Socket options. Which there are, and what of them is data, the system-call table says; an option without a
//! row is refused, for some hold addresses that the kernel would follow in the supervisor.

use super::{length_word, socket_of};
use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::command::{get_option, set_option};
use crate::host::number::{NewFd, new_fd};
use crate::state::fd::File;
use nix::errno::Errno;
use rxbox_wire::kind::Kind;
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
    call.put(3, &value);
    call.put(4, &(value.len() as u32).to_le_bytes());
    Ok(0)
}

/// Whether the host lets its user set the option of the call to this value. In a network of the run's own the
/// supervisor, whose network it is (user_namespaces(7)), may do more: there a socket like the guest's answers
/// that is in the host's network and sends nothing.
pub(in crate::handlers) fn may_set(call: &Call<'_>, socket: &File, value: &[u8]) -> Result<(), Errno> {
    if call.sandbox.empty_network().is_none() || !matches!(call.checked.kinds[1].kind, Kind::Level(_)) {
        return Ok(());
    }
    let number = |name: i32| {
        let mut number = [0; 4];
        get_option(socket.host.as_fd(), libc::SOL_SOCKET as u32, name as u32, &mut number)?;
        Ok::<_, Errno>(u32::from_le_bytes(number).into())
    };
    let kind = number(libc::SO_TYPE)? | libc::SOCK_CLOEXEC as u64;
    let like = new_fd(NewFd::Socket, [number(libc::SO_DOMAIN)?, kind, number(libc::SO_PROTOCOL)?])?;
    set_option(like.as_fd(), call.u32(1), call.u32(2), value).map(drop)
}

fn setsockopt(call: &mut Call<'_>) -> SyscallResult {
    let socket = socket_of(call)?;
    let value = call.bytes(3).unwrap_or_default();
    if (call.u32(1), call.u32(2)) == SENDERS && value.iter().any(|b| *b != 0) {
        call.sandbox.peers.ask();
    }
    set_option(socket.host.as_fd(), call.u32(1), call.u32(2), value)
}

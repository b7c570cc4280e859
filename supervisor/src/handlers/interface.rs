//! The network interfaces of the host: a guest sees loopback, and the others if the policy shows them.

use crate::context::Call;
use crate::host::SyscallResult;
use crate::host::command::{IOCTL_MAX, ioctl};
use crate::host::net;
use crate::host::number::Wait;
use crate::state::fd::{File, Kind};
use nix::errno::Errno;
use rxbox_wire::effect::Named;
use rxbox_wire::sizes::{LIST_HEAD, LIST_MAX};
use std::os::fd::AsFd;

/// Bytes of an `ifreq`, and of the name it begins with.
const REQUEST: usize = 40;
const NAME: usize = 16;
/// Loopback is the first interface of every network namespace.
const LOOPBACK: [u8; 4] = 1i32.to_ne_bytes();

/// ENODEV unless the interface that an `ifreq` names is loopback: whether there are others is not told.
pub(super) fn is_loopback(socket: &File, named: Named, request: &[u8]) -> Result<(), Errno> {
    let is_it = match named {
        Named::Number => request.get(NAME..NAME + LOOPBACK.len()) == Some(&LOOPBACK),
        Named::Name => name(request) == Some(loopback(socket)?.as_slice()),
    };
    if is_it { Ok(()) } else { Err(Errno::ENODEV) }
}

/// The name of loopback.
fn loopback(socket: &File) -> Result<Vec<u8>, Errno> {
    let mut request = [0; IOCTL_MAX];
    request[NAME..NAME + LOOPBACK.len()].copy_from_slice(&LOOPBACK);
    ioctl(Wait::Short, socket.host.as_fd(), libc::SIOCGIFNAME as u32, 0, &mut request)?;
    Ok(name(&request).unwrap_or_default().to_vec())
}

/// The name of the interface in an `ifreq`. An alias has it too, with a colon and more behind.
fn name(request: &[u8]) -> Option<&[u8]> {
    request.get(..NAME)?.split(|byte| matches!(byte, 0 | b':')).next()
}

/// SIOCGIFCONF: an `ifreq` with name and address for each address of the interfaces that the guest sees.
pub(super) fn list(call: &mut Call<'_>, socket: &File) -> SyscallResult {
    if socket.kind != Kind::Socket {
        return Err(Errno::ENOTTY);
    }
    let room = call.room(2).checked_sub(LIST_HEAD).ok_or(Errno::EFAULT)?;
    let mut all = vec![0; LIST_MAX];
    let filled = net::interfaces(socket.host.as_fd(), &mut all)?;
    let seen = if call.sandbox.policy.shows_interfaces() { None } else { Some(loopback(socket)?) };
    let shown = |request: &&[u8]| seen.as_deref().is_none_or(|seen| name(request) == Some(seen));
    let told: Vec<&[u8]> = all[..filled].chunks_exact(REQUEST).filter(shown).collect();
    let told = told.concat();
    // The kernel gives whole entries only.
    let fits = if room == 0 { told.len() } else { told.len().min(room - room % REQUEST) };
    let head = [&(fits as u32).to_le_bytes()[..], &[0; LIST_HEAD - 4]].concat();
    call.put(2, &[&head, &told[..fits.min(room)]].concat())?;
    Ok(0)
}

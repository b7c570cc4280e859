//! Control data of messages (cmsg(3)): descriptors and credentials are translated between the guest's and the
//! host's, what says how a packet is sent passes once its effects are judged, what the table does not know is
//! refused.
//!
//! Descriptors have the same size in both worlds, so data to receive have room for exactly what the guest has
//! room for, and the kernel itself cuts what is too much.

use super::super::effect;
use crate::context::Call;
use crate::host::cmsg::{CREDENTIALS, HEADER, RIGHTS, i32_at, pieces};
use crate::host::credentials::Capabilities;
use crate::host::net::Received;
use crate::state::fd::File;
use crate::view::Node;
use nix::errno::Errno;
use rxbox_wire::table;
use std::os::fd::AsRawFd;
use std::sync::Arc;

/// Most descriptors in one message (unix(7)).
const DESCRIPTORS_MAX: usize = 253;
/// Most bytes of control data that are looked at, far beyond what the kernel takes by default
/// (net.core.optmem_max).
pub(super) const CONTROL_MAX: usize = 64 * 1024;

/// Control data to send, and the files that it names, kept until it is sent.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) bytes: Vec<u8>,
    files: Vec<Arc<File>>,
}

/// Translates what the guest sends.
pub(super) fn outgoing(call: &mut Call<'_>, socket: &File, control: &[u8]) -> Result<Outgoing, Errno> {
    let mut out = Outgoing { bytes: control.to_vec(), files: Vec::new() };
    for piece in pieces(control)? {
        let row = table::control(piece.kind.0, piece.kind.1).ok_or(Errno::EINVAL)?;
        effect::judge(call, socket, row.effects, &control[piece.data.clone()])?;
        let data = &mut out.bytes[piece.data];
        match piece.kind {
            RIGHTS => {
                if data.len() > 4 * DESCRIPTORS_MAX {
                    return Err(Errno::EINVAL);
                }
                for number in data.chunks_exact_mut(4) {
                    let file = call.process.fds.get(i32_at(number, 0))?;
                    let file = call.sandbox.travellers.leaves(file)?;
                    number.copy_from_slice(&file.host.as_raw_fd().to_le_bytes());
                    out.files.push(file);
                }
            }
            CREDENTIALS => credentials_out(call, data)?,
            _ => {}
        }
    }
    Ok(out)
}

/// A process may only claim its own process and, without the capabilities to change them, its own ids; to
/// the kernel the sender is the supervisor.
fn credentials_out(call: &Call<'_>, data: &mut [u8]) -> Result<(), Errno> {
    if data.len() != 12 {
        return Err(Errno::EINVAL);
    }
    let (pid, uid, gid) = (i32_at(data, 0), i32_at(data, 4) as u32, i32_at(data, 8) as u32);
    let credentials = call.credentials();
    let may = |capability, own: bool| own || credentials.capabilities.has(capability);
    let user = may(Capabilities::SETUID, credentials.user.has(uid));
    let group = may(Capabilities::SETGID, credentials.group.has(gid));
    if pid != call.process.pid || !user || !group {
        return Err(Errno::EPERM);
    }
    data[..4].copy_from_slice(&(std::process::id() as i32).to_le_bytes());
    Ok(())
}

/// Translates what the guest receives, in place: descriptors get numbers in its table. Those that do not fit
/// there are closed, and the message is marked as cut (MSG_CTRUNC), as the kernel does.
pub(super) fn incoming(
    call: &Call<'_>,
    socket: &File,
    control: &mut Vec<u8>,
    received: &mut Received,
    cloexec: bool,
) {
    control.truncate(received.control);
    let mut rights = std::mem::take(&mut received.rights).into_iter();
    for piece in pieces(control).unwrap_or_default() {
        match piece.kind {
            RIGHTS => {
                let (start, end) = (piece.data.start, piece.data.end);
                let mut at = start;
                while at + 4 <= end {
                    let number = rights.next().ok_or(Errno::EBADF).and_then(|host| {
                        let stand_in = || Node::root().directory().map(|dir| dir.fd);
                        let file = call.sandbox.travellers.arrives(File::made(host)?, stand_in)?;
                        let file = call.sandbox.recognised(file);
                        call.process.fds.insert(file, cloexec, 0)
                    });
                    let Ok(number) = number else { break };
                    control[at..at + 4].copy_from_slice(&number.to_le_bytes());
                    at += 4;
                }
                if at + 4 <= end {
                    cut(control, start, at);
                    received.flags |= libc::MSG_CTRUNC as u32;
                    break;
                }
            }
            CREDENTIALS if piece.data.len() >= 4 => {
                let pid = call.sandbox.peers.shown_sender(socket, i32_at(&control[piece.data.clone()], 0));
                control[piece.data.start..piece.data.start + 4].copy_from_slice(&pid.to_le_bytes());
            }
            _ => {}
        }
    }
    received.control = control.len();
}

/// Ends the control data in the middle of a piece whose data start at `start`: it then ends at `end`, or is
/// gone if nothing of it is left.
fn cut(control: &mut Vec<u8>, start: usize, end: usize) {
    if end == start {
        control.truncate(start - HEADER);
        return;
    }
    let len = (end - start + HEADER) as u64;
    control[start - HEADER..start - HEADER + 8].copy_from_slice(&len.to_le_bytes());
    control.truncate(end);
}

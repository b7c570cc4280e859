//! ioctl(2). Which requests there are and what memory they touch, the system-call table says; those that act
//! on what the supervisor keeps (close-on-exec, job control, another descriptor) are carried out here.

use super::{interface, owner, terminal};
use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::command;
use crate::host::number::Wait;
use crate::state::fd::{File, Kind};
use nix::errno::Errno;
use rxbox_wire::effect::Effect;
use std::os::fd::{AsFd, AsRawFd};

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[("ioctl", ioctl)];

/// `FICLONE`, whose argument is a descriptor (ioctl_ficlone(2)).
const FICLONE: u32 = libc::FICLONE as u32;

fn ioctl(call: &mut Call<'_>) -> SyscallResult {
    let file = call.file(0)?;
    match call.u32(1) {
        FIOCLEX => call.process.fds.set_cloexec(call.i32(0), true).map(|()| 0),
        FIONCLEX => call.process.fds.set_cloexec(call.i32(0), false).map(|()| 0),
        _ if file.kind == Kind::View => Err(Errno::ENOTTY),
        FICLONE => clone_range(call, &file),
        FIOASYNC => owner::switch_by_request(call, &file),
        FIOSETOWN | SIOCSPGRP => owner::set_by_request(call, &file),
        FIOGETOWN | SIOCGPGRP => owner::get_by_request(call, &file),
        TIOCGPGRP => terminal::foreground(call, &file),
        TIOCSPGRP => terminal::set_foreground(call, &file),
        TIOCGSID => terminal::session(call, &file),
        TIOCSCTTY => terminal::take(call, &file),
        TIOCNOTTY => terminal::leave(call, &file),
        SIOCGIFCONF => interface::list(call, &file),
        request => forward(call, &file, request, call.u64(2)),
    }
}

const FIOCLEX: u32 = libc::FIOCLEX as u32;
const FIONCLEX: u32 = libc::FIONCLEX as u32;
const FIOASYNC: u32 = libc::FIOASYNC as u32;
const FIOSETOWN: u32 = 0x8901;
const SIOCSPGRP: u32 = 0x8902;
const FIOGETOWN: u32 = 0x8903;
const SIOCGPGRP: u32 = 0x8904;
const TIOCGPGRP: u32 = libc::TIOCGPGRP as u32;
const TIOCSPGRP: u32 = libc::TIOCSPGRP as u32;
const TIOCGSID: u32 = libc::TIOCGSID as u32;
const TIOCSCTTY: u32 = libc::TIOCSCTTY as u32;
const TIOCNOTTY: u32 = libc::TIOCNOTTY as u32;
const SIOCGIFCONF: u32 = 0x8912;

/// Passes a request of the table on, its structure through private memory.
fn forward(call: &mut Call<'_>, file: &File, request: u32, number: u64) -> SyscallResult {
    let mut memory = [0; command::IOCTL_MAX];
    match call.bytes(2) {
        Ok(Some(given)) => memory.get_mut(..given.len()).ok_or(Errno::EINVAL)?.copy_from_slice(given),
        Ok(None) => {}
        Err(_) => return command::ioctl_nowhere(file.host.as_fd(), request),
    }
    let blocks = call.checked.command.is_some_and(|row| row.effects.contains(&Effect::Block));
    let wait = if blocks { file.wait() } else { Wait::Short };
    let done = command::ioctl(wait, file.host.as_fd(), request, number, &mut memory)?;
    let room = call.room(2).min(memory.len());
    call.put(2, &memory[..room])?;
    Ok(done)
}

fn clone_range(call: &mut Call<'_>, to: &File) -> SyscallResult {
    let from = call.file(2)?;
    if !from.readable() || !to.writable() {
        return Err(Errno::EBADF);
    }
    forward(call, to, FICLONE, from.host.as_raw_fd() as u64)
}

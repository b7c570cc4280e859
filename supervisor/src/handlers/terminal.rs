//! Job control of terminals: which calls of a process in the background stop it, and the requests that change
//! who is in the foreground ([`crate::state::terminals`]).

use crate::context::Call;
use crate::host::SyscallResult;
use crate::host::signal::Info;
use crate::host::stat::Status;
use crate::host::wait::poll;
use crate::state::fd::File;
use crate::state::terminals::{Terminal, device};
use nix::errno::Errno;
use nix::sys::termios::{LocalFlags, SpecialCharacterIndices, tcgetattr};
use rxbox_wire::frame::Reply;
use std::os::fd::AsRawFd;

/// The caller's session; -1, which is nobody's, while it is ending.
fn own_session(call: &Call<'_>) -> i32 {
    call.process.handle.session().unwrap_or(-1)
}

/// The caller's controlling terminal, which `file` must be.
fn controlling(call: &Call<'_>, file: &File) -> Result<(u32, Terminal), Errno> {
    let device = device(file)?;
    let terminal = call.sandbox.terminals.get(device);
    terminal.filter(|t| t.session == own_session(call)).map(|t| (device, t)).ok_or(Errno::ENOTTY)
}

/// A process in the background that would read from its terminal is stopped first. Otherwise waits for input,
/// if the read would: a process that is stopped or killed meanwhile must not take what is then typed for
/// another, and the worker that reads for it may not know yet.
///
/// # Errors
/// EINTR once its group has been sent SIGTTIN, or if the process does not run any more; EIO if nobody could
/// continue it or it holds the signal off.
pub(super) fn may_read(call: &mut Call<'_>, file: &File) -> Result<(), Errno> {
    in_foreground(call, file, libc::SIGTTIN)?;
    if !waits_for_input(file) {
        return Ok(());
    }
    poll(&mut [libc::pollfd { fd: file.host.as_raw_fd(), events: libc::POLLIN, revents: 0 }], None)?;
    if !call.process.handle.is_running() {
        return Err(Errno::EINTR);
    }
    in_foreground(call, file, libc::SIGTTIN)
}

/// Whether the file is rxbox's own terminal with rxbox in the background: then no guest is in the foreground.
/// The kernel asks no guest but the supervisor, which holds the signals off.
fn is_background_of_host(file: &File) -> bool {
    nix::unistd::tcgetpgrp(&file.host).is_ok_and(|group| group != nix::unistd::getpgrp())
}

/// Whether a read waits for a line or a character: not if the descriptor does not block, nor if the terminal
/// is set up to answer at once or after a time (termios(3)).
fn waits_for_input(file: &File) -> bool {
    let blocks = file.status_flags().is_ok_and(|flags| flags & libc::O_NONBLOCK == 0);
    blocks
        && tcgetattr(&file.host).is_ok_and(|t| {
            t.local_flags.contains(LocalFlags::ICANON)
                || t.control_chars[SpecialCharacterIndices::VMIN as usize] > 0
        })
}

/// A process in the background that would write to its terminal is stopped first if the terminal is set up so
/// (`tostop`).
///
/// # Errors
/// As [`may_change`].
pub(super) fn may_write(call: &mut Call<'_>, file: &File) -> Result<(), Errno> {
    let stops = tcgetattr(&file.host).is_ok_and(|t| t.local_flags.contains(LocalFlags::TOSTOP));
    if stops { may_change(call, file) } else { Ok(()) }
}

/// A process in the background that would change its terminal is stopped first, unless it holds SIGTTOU off.
///
/// # Errors
/// EINTR once its group has been sent SIGTTOU; EIO if nobody could continue it.
pub(super) fn may_change(call: &mut Call<'_>, file: &File) -> Result<(), Errno> {
    in_foreground(call, file, libc::SIGTTOU)
}

/// The kernel's `__tty_check_change`.
fn in_foreground(call: &mut Call<'_>, file: &File, signal: i32) -> Result<(), Errno> {
    let Ok((_, terminal)) = controlling(call, file) else { return Ok(()) };
    let background = |group: &i32| *group != terminal.foreground || is_background_of_host(file);
    let Some(group) = call.process.handle.group().filter(background) else { return Ok(()) };
    if holds_off(call, signal) {
        return if signal == libc::SIGTTIN { Err(Errno::EIO) } else { Ok(()) };
    }
    if call.sandbox.processes.is_orphaned(group) {
        return Err(Errno::EIO);
    }
    call.sandbox.processes.signal_group(group, &Info::sent(signal, libc::SI_KERNEL, 0, 0));
    call.reply.flags |= Reply::SIGNALLED;
    Err(Errno::EINTR)
}

/// Whether the calling thread blocks or its process ignores a signal. The emulator child has the guest's mask
/// and actions, so the host knows.
fn holds_off(call: &Call<'_>, signal: i32) -> bool {
    let status = |pid, tid| Status::of_thread(pid, tid).ok_or(Errno::ESRCH);
    let sets = call
        .process
        .handle
        .look_at_thread(call.tid, status)
        .map_or(0, |status| status.signals("SigBlk") | status.signals("SigIgn"));
    sets >> (signal - 1) & 1 != 0
}

fn put_number(call: &mut Call<'_>, number: i32) -> SyscallResult {
    call.put(2, &number.to_le_bytes())?;
    Ok(0)
}

/// TIOCGPGRP.
pub(super) fn foreground(call: &mut Call<'_>, file: &File) -> SyscallResult {
    let (_, terminal) = controlling(call, file)?;
    // So the kernel shows a group of another PID namespace.
    const OUTSIDE: i32 = 0;
    put_number(call, if is_background_of_host(file) { OUTSIDE } else { terminal.foreground })
}

/// TIOCGSID.
pub(super) fn session(call: &mut Call<'_>, file: &File) -> SyscallResult {
    let (_, terminal) = controlling(call, file)?;
    put_number(call, terminal.session)
}

/// TIOCSPGRP: a group of the caller's own session.
pub(super) fn set_foreground(call: &mut Call<'_>, file: &File) -> SyscallResult {
    let group = i32::from_le_bytes(call.need(2)?.try_into().map_err(|_| Errno::EFAULT)?);
    may_change(call, file)?;
    let (device, terminal) = controlling(call, file)?;
    if group < 0 {
        return Err(Errno::EINVAL);
    }
    if !call.sandbox.processes.has_group(group, terminal.session) {
        return Err(Errno::EPERM);
    }
    call.sandbox.terminals.set_foreground(device, group);
    Ok(0)
}

/// TIOCSCTTY: a session leader without a terminal takes one that controls no other session.
pub(super) fn take(call: &mut Call<'_>, file: &File) -> SyscallResult {
    let device = device(file)?;
    let (pid, session) = (call.process.pid, own_session(call));
    call.sandbox.terminals.take(device, session, pid).map(|()| 0)
}

/// TIOCNOTTY: if the session's leader gives the terminal up, nobody has it.
pub(super) fn leave(call: &mut Call<'_>, file: &File) -> SyscallResult {
    let (device, terminal) = controlling(call, file)?;
    if call.process.pid == terminal.session {
        call.sandbox.terminals.release(device);
    }
    Ok(0)
}

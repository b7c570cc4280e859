//! Job control of terminals ([`crate::state::terminals`]): which calls of a process in the background stop
//! it, and the requests that only a process of a terminal's session can make, which are granted: the child
//! asks for the terminal and makes them itself. On rxbox's own terminal the supervisor answers them.

use crate::caller::Caller;
use crate::context::{Call, grant};
use crate::host::SyscallResult;
use crate::host::signal::Info;
use crate::host::stat::Status;
use crate::host::wait::poll;
use crate::state::fd::{File, Kind};
use crate::state::terminals::{Control, Own, device, is_master, is_own_name, never_controls};
use nix::errno::Errno;
use nix::sys::stat::FileStat;
use nix::sys::termios::{LocalFlags, SpecialCharacterIndices, tcgetattr};
use rxbox_wire::frame::Reply;
use std::os::fd::{AsRawFd, OwnedFd};

/// rxbox's own terminal, if `file` is that and controls the caller's session.
///
/// # Errors
/// ENOTTY for what is no terminal.
fn own(call: &Call<'_>, file: &File) -> Result<Option<Own>, Errno> {
    let device = device(file)?;
    // -1, which is nobody's, of one that is ending.
    let session = call.process.handle.session().unwrap_or(-1);
    Ok(call.sandbox.terminals.own(device, session))
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
    let Some(group) = background(call, file) else { return Ok(()) };
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

/// The caller's group, if `file` is its controlling terminal and another group is in the foreground.
fn background(call: &Call<'_>, file: &File) -> Option<i32> {
    let handle = &call.process.handle;
    if let Some(own) = own(call, file).ok()? {
        return handle.group().filter(|group| *group != own.foreground || is_background_of_host(file));
    }
    let control = Control::of(handle)?;
    let controls = Ok(control.device) == device(file) && !is_master(file);
    if controls && control.in_background() { handle.group() } else { None }
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
    let Some(own) = own(call, file)? else { return grant(call) };
    // So the kernel shows a group of another PID namespace.
    const OUTSIDE: i32 = 0;
    put_number(call, if is_background_of_host(file) { OUTSIDE } else { own.foreground })
}

/// TIOCGSID.
pub(super) fn session(call: &mut Call<'_>, file: &File) -> SyscallResult {
    let Some(own) = own(call, file)? else { return grant(call) };
    put_number(call, own.session)
}

/// TIOCSPGRP: a group of the caller's own session.
pub(super) fn set_foreground(call: &mut Call<'_>, file: &File) -> SyscallResult {
    let group = i32::from_le_bytes(call.need(2)?.try_into().map_err(|_| Errno::EFAULT)?);
    if own(call, file)?.is_none() {
        return grant(call);
    }
    may_change(call, file)?;
    let own = own(call, file)?.ok_or(Errno::ENOTTY)?;
    if group < 0 {
        return Err(Errno::EINVAL);
    }
    if !call.sandbox.processes.has_group(group, own.session) {
        return Err(Errno::EPERM);
    }
    call.sandbox.terminals.set_foreground_of_own(group);
    Ok(0)
}

/// TIOCSCTTY: a session leader without a terminal takes one that controls no other session.
pub(super) fn take(call: &mut Call<'_>, file: &File) -> SyscallResult {
    if own(call, file)?.is_some() {
        return Ok(0);
    }
    let caller = Caller::of(call);
    if is_open_to(&caller) {
        // Without it `/dev/tty` cannot be opened.
        remember(&caller, file)?;
    }
    grant(call)
}

/// TIOCNOTTY.
pub(super) fn leave(call: &mut Call<'_>, file: &File) -> SyscallResult {
    if own(call, file)?.is_some() { Ok(0) } else { grant(call) }
}

/// Whether the caller leads a session that has no terminal.
fn is_open_to(caller: &Caller<'_>) -> bool {
    let handle = &caller.process.handle;
    handle.session() == Some(caller.process.pid) && Control::of(handle).is_none()
}

fn remember(caller: &Caller<'_>, file: &File) -> Result<(), Errno> {
    caller.sandbox.terminals.may_be_taken(caller.process.pid, file, caller.process.fds.budget())
}

/// The caller's controlling terminal, if this is the status of `/dev/tty`; `None` for any other name, and
/// where that name means the same to the supervisor.
///
/// # Errors
/// ENXIO if the caller has no terminal.
pub(super) fn behind(caller: &Caller<'_>, status: &FileStat) -> Result<Option<OwnedFd>, Errno> {
    if !is_own_name(status) {
        return Ok(None);
    }
    let (terminals, handle) = (&caller.sandbox.terminals, &caller.process.handle);
    if handle.session().is_some_and(|session| terminals.is_own_session(session)) {
        return Ok(None);
    }
    terminals.name(handle).map(Some)
}

/// Whether the caller takes this terminal, which it opens, as its controlling one, unless that controls
/// another session, as only the kernel knows (the kernel's `tty_open`).
pub(super) fn takes_opened(caller: &Caller<'_>, file: &File, flags: i32) -> bool {
    file.kind == Kind::Terminal
        && flags & libc::O_NOCTTY == 0
        && file.readable()
        && !never_controls(file)
        && is_open_to(caller)
        && remember(caller, file).is_ok()
}

//! Process descriptors (pidfd_open(2)). A guest's one is a descriptor of the host for the emulator child, so
//! it can be polled and inherited as natively. Which process it refers to the host tells, and whether that is
//! one of the sandbox is looked up at every use: a descriptor that came from outside names nobody.

use super::signal::{from_caller, given, send, send_to_group, send_to_thread};
use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::state::credentials::may_look_into;
use crate::state::fd::{File, Kind};
use crate::state::process::Process;
use nix::errno::Errno;
use std::os::fd::AsRawFd;
use std::sync::Arc;

/// The handlers of this module.
pub const HANDLERS: &[Entry] =
    &[("pidfd_open", open), ("pidfd_send_signal", send_signal), ("pidfd_getfd", take_descriptor)];

/// `PIDFD_NONBLOCK`.
const NONBLOCK: u32 = libc::O_NONBLOCK as u32;

/// `PIDFD_THREAD`, also among the status flags of such a descriptor.
const THREAD: u32 = libc::O_EXCL as u32;

/// A new descriptor for a process of the sandbox; one that has ended can be had until it is waited for. With
/// the flag for one of its threads.
fn of_process(call: &Call<'_>, pid: i32, flags: u32) -> Result<File, Errno> {
    let process = call.sandbox.processes.meant(pid).ok_or(Errno::ESRCH)?;
    match flags & THREAD {
        0 if process.pid != pid => Err(Errno::ENOENT),
        0 => File::made(process.handle.descriptor(flags)?),
        _ => File::made(process.handle.thread(pid)?.descriptor(flags & !THREAD)?),
    }
}

fn open(call: &mut Call<'_>) -> SyscallResult {
    let (pid, flags) = (call.i32(0), call.u32(1));
    if flags & !(NONBLOCK | THREAD) != 0 || pid <= 0 {
        return Err(Errno::EINVAL);
    }
    let file = of_process(call, pid, flags)?;
    call.process.fds.insert(file, true, 0).map(i64::from)
}

/// Gives the caller a descriptor for a child that it has just forked (CLONE_PIDFD).
pub fn for_child(call: &Call<'_>, child: &Process) -> Result<i32, Errno> {
    call.process.fds.insert(of_process(call, child.pid, 0)?, true, 0)
}

/// The process or thread that a descriptor refers to: -1 once it was waited for, and for one outside. EBADF
/// for other files.
fn pid_of(call: &Call<'_>, file: &File) -> Result<i32, Errno> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.host.as_raw_fd()));
    let info = info.map_err(|_| Errno::EBADF)?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")).ok_or(Errno::EBADF)?;
    let host = pid.trim().parse().map_err(|_| Errno::EBADF)?;
    Ok(call.sandbox.pids().number_of(host).unwrap_or(-1))
}

/// The process that a signal is sent to by a descriptor: one of a process, or of its directory below /proc.
fn addressee(call: &Call<'_>, file: &File) -> Result<i32, Errno> {
    let Some(name) = file.path.as_deref().filter(|_| file.kind == Kind::View) else {
        return pid_of(call, file);
    };
    let digits = name.strip_prefix(b"/proc/").and_then(|name| std::str::from_utf8(name).ok());
    digits.and_then(|digits| digits.parse().ok()).ok_or(Errno::EBADF)
}

fn process_of(call: &Call<'_>, file: &File) -> Result<Arc<Process>, Errno> {
    call.sandbox.processes.meant(pid_of(call, file)?).ok_or(Errno::ESRCH)
}

fn send_signal(call: &mut Call<'_>) -> SyscallResult {
    /// PIDFD_SIGNAL_THREAD, PIDFD_SIGNAL_THREAD_GROUP, PIDFD_SIGNAL_PROCESS_GROUP (pidfd_send_signal(2)).
    const SCOPES: [u32; 3] = [1, 2, 4];
    let (file, signal, scope) = (call.file(0)?, call.i32(1), call.u32(3));
    if scope != 0 && !SCOPES.contains(&scope) {
        return Err(Errno::EINVAL);
    }
    let pid = addressee(call, &file)?;
    let info = if call.present(2) {
        if i32::from_le_bytes(call.need(2)?.first_chunk().copied().unwrap_or_default()) != signal {
            return Err(Errno::EINVAL);
        }
        given(call, 2, signal, pid)?
    } else {
        from_caller(call, signal, libc::SI_USER)?
    };
    let of_thread = || file.status_flags().is_ok_and(|flags| flags as u32 & THREAD != 0);
    match scope {
        4 => return send_to_group(call, pid, &info),
        1 => {}
        0 if of_thread() => {}
        _ => {
            let target = call.sandbox.processes.meant(pid).ok_or(Errno::ESRCH)?;
            return send(call, &target, &info);
        }
    }
    let target = call.sandbox.processes.meant(pid).ok_or(Errno::ESRCH)?;
    send_to_thread(call, &target, pid, &info)
}

/// pidfd_getfd(2), from a process that the caller may look into.
fn take_descriptor(call: &mut Call<'_>) -> SyscallResult {
    if call.u32(2) != 0 {
        return Err(Errno::EINVAL);
    }
    let file = call.file(0)?;
    let process = process_of(call, &file)?;
    let dumpable = process.attributes.is_dumpable();
    let itself = process.pid == call.process.pid;
    if !itself && !may_look_into(&call.credentials(), &process.credentials(), dumpable) {
        return Err(Errno::EPERM);
    }
    let taken = process.fds.get(call.i32(1))?.duplicate()?;
    call.process.fds.insert(taken, true, 0).map(i64::from)
}

/// The process that a wait by a descriptor is for, and whether the descriptor says that it is not to block.
pub(super) fn waited_for(call: &Call<'_>) -> Result<(i32, bool), Errno> {
    let file = call.file(1)?;
    let pid = pid_of(call, &file)?;
    if pid <= 0 {
        return Err(Errno::ECHILD);
    }
    Ok((pid, file.status_flags()? & libc::O_NONBLOCK != 0))
}

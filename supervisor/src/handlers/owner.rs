//! Signals of descriptors: who is told when one becomes ready or urgent (`F_SETOWN`, `O_ASYNC`; fcntl(2),
//! socket(7)).
//!
//! The kernel sends SIGIO and SIGURG by itself, to whom the open file description names as its owner. So the
//! owner is only ever a process of the sandbox, which on the host is its emulator child; and signals are only
//! switched on where the kernel does not make the caller of that switch, the supervisor, the owner of a
//! description that has none. A group cannot be an owner: what a process's descriptor shows, that the kernel
//! has taken the one that was meant and not one outside that has just got its number, nothing shows of a
//! group.

use crate::context::Call;
use crate::host::SyscallResult;
use crate::host::credentials::as_own;
use crate::host::number::{self, Fcntl};
use crate::state::fd::{File, Kind};
use nix::errno::Errno;
use std::os::fd::AsFd;

/// `F_OWNER_PID`, the type of an owner that is a process.
const OWNER_PID: i32 = 1;
/// `F_OWNER_PGRP`, of one that is a group.
const OWNER_GROUP: i32 = 2;
/// `F_OWNER_TID`, of one that is a thread.
const OWNER_THREAD: i32 = 0;

/// Whether signals can be switched on: terminals and some devices take the caller as the owner if they have
/// none.
pub(super) fn carries(file: &File) -> bool {
    matches!(file.kind, Kind::Socket | Kind::Pipe | Kind::Event)
}

/// F_SETOWN: a process, or nobody.
pub(super) fn set(call: &Call<'_>, file: &File, pid: i32) -> SyscallResult {
    // The kernel lets whoever sets it send the signals: that must be able to reach the child.
    let name = |pid: i32| as_own(|| number::fcntl(file.host.as_fd(), Fcntl::SetOwner, pid as u64));
    match pid {
        0 => return name(0),
        ..0 => return Err(Errno::EPERM),
        _ => {}
    }
    let owner = call.sandbox.processes.get(pid).ok_or(Errno::ESRCH)?;
    name(owner.handle.on_host())?;
    // The kernel now holds the process that had this number, whatever becomes of the number. If that is not
    // the one meant, the one meant is gone.
    if let Err(gone) = owner.handle.is_there() {
        name(0)?;
        return Err(gone);
    }
    Ok(0)
}

/// F_GETOWN: the process, or 0 for nobody and for who is outside.
pub(super) fn get(call: &Call<'_>, file: &File) -> Result<i32, Errno> {
    let owner = host_owner(file)?;
    Ok(call.sandbox.processes.on_host(owner).map_or(0, |p| p.pid))
}

fn host_owner(file: &File) -> Result<i32, Errno> {
    number::fcntl(file.host.as_fd(), Fcntl::GetOwner, 0).map(|owner| owner as i32)
}

/// F_SETOWN_EX with a `struct f_owner_ex` in argument 2.
pub(super) fn set_extended(call: &Call<'_>, file: &File) -> SyscallResult {
    let [word] = call.words::<1>(2)?;
    let (kind, pid) = (word as i32, (word >> 32) as i32);
    match kind {
        OWNER_THREAD..=OWNER_GROUP if pid == 0 => set(call, file, 0),
        OWNER_PID if pid >= 0 => set(call, file, pid),
        OWNER_PID => Err(Errno::ESRCH),
        OWNER_THREAD | OWNER_GROUP => Err(Errno::EPERM),
        _ => Err(Errno::EINVAL),
    }
}

/// F_GETOWN_EX.
pub(super) fn get_extended(call: &mut Call<'_>, file: &File) -> SyscallResult {
    let owner = get(call, file)?;
    // Where nobody was named yet the kernel tells of no thread.
    let kind = if owner == 0 { OWNER_THREAD } else { OWNER_PID };
    call.put(2, &[kind, owner].map(i32::to_le_bytes).concat())?;
    Ok(0)
}

/// Only sockets know these requests. What else there is says so in its own way.
fn of_socket(file: &File) -> Result<(), Errno> {
    match file.kind {
        Kind::Socket => Ok(()),
        Kind::Epoll => Err(Errno::EINVAL),
        _ => Err(Errno::ENOTTY),
    }
}

/// FIOSETOWN and SIOCSPGRP: F_SETOWN of a socket, its number in memory.
pub(super) fn set_by_request(call: &Call<'_>, file: &File) -> SyscallResult {
    of_socket(file)?;
    set(call, file, number_in_memory(call)?)
}

/// FIOGETOWN and SIOCGPGRP.
pub(super) fn get_by_request(call: &mut Call<'_>, file: &File) -> SyscallResult {
    of_socket(file)?;
    let owner = get(call, file)?;
    call.put(2, &owner.to_le_bytes())?;
    Ok(0)
}

/// FIOASYNC: `O_ASYNC` by a number in memory.
pub(super) fn switch_by_request(call: &Call<'_>, file: &File) -> SyscallResult {
    let on = number_in_memory(call)? != 0;
    if !carries(file) {
        return Err(Errno::ENOTTY);
    }
    let flags = number::fcntl(file.host.as_fd(), Fcntl::GetFlags, 0)? as i32 & !libc::O_ASYNC;
    let flags = if on { flags | switched_on(call, file)? } else { flags };
    number::fcntl(file.host.as_fd(), Fcntl::SetFlags, flags as u64)
}

/// The flag that switches signals on, unless they would go outside: to an owner that an inherited description
/// came with.
pub(super) fn switched_on(call: &Call<'_>, file: &File) -> Result<i32, Errno> {
    let owner = host_owner(file)?;
    if owner != 0 && call.sandbox.processes.on_host(owner).is_none() {
        return Err(Errno::EPERM);
    }
    Ok(libc::O_ASYNC)
}

fn number_in_memory(call: &Call<'_>) -> Result<i32, Errno> {
    let bytes = call.need(2)?;
    bytes.first_chunk().map(|b| i32::from_le_bytes(*b)).ok_or(Errno::EFAULT)
}

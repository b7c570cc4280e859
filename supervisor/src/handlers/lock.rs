//! fcntl(2) on locks, and flock(2): what of a call is the guest's to say, before [`crate::state::locks`]
//! keeps it; and whether a lock is taken on the file, for which the guest must be allowed to write to it.

use crate::caller::Caller;
use crate::context::Call;
use crate::host::SyscallResult;
use crate::host::command::{self, Flock};
use crate::host::number::{OnFd, Wait, on_fd};
use crate::state::apart::{Apart, Inode, StandIn};
use crate::state::fd::{Extra, File, Kind};
use crate::state::locks::{Ranges, Wanted, i16_at, inode, range_of};
use crate::state::names::name_of;
use nix::errno::Errno;
use rxbox_policy::Access;
use std::os::fd::AsFd;

/// The `struct flock` of argument 2.
fn argument(call: &Call<'_>) -> Result<[u8; Flock::SIZE], Errno> {
    call.need(2)?.try_into().map_err(|_| Errno::EFAULT)
}

/// F_GETLK, F_SETLK, F_SETLKW.
pub(super) fn record(call: &mut Call<'_>, file: &File) -> SyscallResult {
    let mut lock = argument(call)?;
    let command = match call.i32(1) {
        libc::F_GETLK => Flock::Get,
        libc::F_SETLK => Flock::Set,
        _ => Flock::Wait,
    };
    if command != Flock::Get {
        allowed(file, i16_at(&lock, 0))?;
    }
    from_start(file, &mut lock)?;
    // The process id of a lock on a description must be 0; what the guest wrote there does not count.
    lock[24..28].fill(0);
    let asked = lock;
    let (locks, apart) = (&call.process.locks, apart(call, file));
    let first = if command == Flock::Get { command } else { Flock::Set };
    let mut done = locks.apply(file, apart, first, &mut lock);
    if done == Err(Errno::EAGAIN) || command == Flock::Get && i16_at(&lock, 0) != libc::F_UNLCK {
        // It may be a process's that has ended.
        call.sandbox.remove_ended(call.process);
        lock = asked;
        done = if command == Flock::Wait {
            wait(call, file, &mut lock)
        } else {
            locks.apply(file, apart, command, &mut lock)
        };
    }
    if done.is_ok() && command == Flock::Get {
        if let Some(found) = range_of(&lock).filter(|_| i16_at(&lock, 0) != libc::F_UNLCK) {
            let holder = holders(call, inode(file)?, call.process.pid, |ranges| ranges.hold(&found));
            let pid = holder.first().copied().unwrap_or(NOBODY);
            lock[24..28].copy_from_slice(&pid.to_le_bytes());
        }
        call.put(2, &lock)?;
    }
    done
}

/// The process that is told for a lock of a description, or of somebody outside.
const NOBODY: i32 = -1;

/// Whether the guest's own descriptor may be locked so: EBADF for a shared lock without reading and so on.
fn allowed(file: &File, kind: i32) -> Result<(), Errno> {
    match kind {
        libc::F_RDLCK if !file.readable() => Err(Errno::EBADF),
        libc::F_WRLCK if !file.writable() => Err(Errno::EBADF),
        libc::F_RDLCK | libc::F_WRLCK | libc::F_UNLCK => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// Turns a range that counts from the descriptor's offset, or from the end, into one from the start: the
/// description that stands for the process has an offset of its own.
fn from_start(file: &File, lock: &mut [u8; Flock::SIZE]) -> Result<(), Errno> {
    let has_places = matches!(file.kind, Kind::Regular | Kind::Memory | Kind::Directory | Kind::BlockDevice);
    let here = match i16_at(lock, 2) {
        libc::SEEK_CUR | libc::SEEK_END if !has_places => 0,
        libc::SEEK_CUR => on_fd(Wait::Short, OnFd::Lseek, file.host.as_fd(), [0, libc::SEEK_CUR as u64, 0])?,
        libc::SEEK_END => nix::sys::stat::fstat(&file.host)?.st_size,
        _ => return Ok(()),
    };
    let start = i64::from_le_bytes(std::array::from_fn(|k| lock[8 + k]));
    let start = here.checked_add(start).ok_or(Errno::EOVERFLOW)?;
    lock[8..16].copy_from_slice(&start.to_le_bytes());
    lock[2..4].copy_from_slice(&(libc::SEEK_SET as i16).to_le_bytes());
    Ok(())
}

/// F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW: a guest's description is a host description.
pub(super) fn description(call: &mut Call<'_>, file: &File) -> SyscallResult {
    let mut lock = argument(call)?;
    if file.kind == Kind::View {
        return of_view(call, file, lock);
    }
    let command = match call.i32(1) {
        libc::F_OFD_GETLK => Flock::Get,
        libc::F_OFD_SETLK => Flock::Set,
        _ => Flock::Wait,
    };
    let done = match stand_in(call, file)? {
        Some(apart) => {
            if command != Flock::Get {
                allowed(file, i16_at(&lock, 0))?;
            }
            from_start(file, &mut lock)?;
            command::lock(command, apart.as_fd(), &mut lock)?
        }
        None => command::lock(command, file.host.as_fd(), &mut lock)?,
    };
    if command == Flock::Get {
        call.put(2, &lock)?;
    }
    Ok(done)
}

/// The locks of a description of a view, of which nobody else has one: none is in the way.
fn of_view(call: &mut Call<'_>, file: &File, mut lock: [u8; Flock::SIZE]) -> SyscallResult {
    if call.i32(1) != libc::F_OFD_GETLK {
        return allowed(file, i16_at(&lock, 0)).map(|()| 0);
    }
    lock[..2].copy_from_slice(&(libc::F_UNLCK as i16).to_le_bytes());
    call.put(2, &lock).map(|()| 0)
}

/// flock(2).
pub(super) fn whole(call: &mut Call<'_>) -> SyscallResult {
    /// Locks of a kind that is gone since Linux 5.19: whatever is asked for succeeds.
    const LOCK_MAND: i32 = 32;
    if call.i32(1) & LOCK_MAND != 0 {
        return Ok(0);
    }
    if ![libc::LOCK_SH, libc::LOCK_EX, libc::LOCK_UN].contains(&(call.i32(1) & !libc::LOCK_NB)) {
        return Err(Errno::EINVAL);
    }
    let file = call.file(0)?;
    if file.kind == Kind::View {
        return Ok(0);
    }
    let wait = if call.i32(1) & libc::LOCK_NB != 0 { Wait::Short } else { Wait::Long };
    let wait = if file.wait() == Wait::Long { Wait::Long } else { wait };
    match stand_in(call, &file)? {
        Some(apart) => on_fd(wait, OnFd::Flock, apart.as_fd(), [call.u64(1), 0, 0]),
        None => on_fd(wait, OnFd::Flock, file.host.as_fd(), [call.u64(1), 0, 0]),
    }
}

/// Where the record locks of a file are taken if not on itself: what has no name to open it by again has a
/// stand-in.
fn apart<'c>(call: &'c Call<'_>, file: &File) -> Option<&'c Apart> {
    let has_name = matches!(file.kind, Kind::Regular | Kind::Memory | Kind::Directory);
    if has_name { guarded(call, file) } else { Some(&call.sandbox.apart) }
}

/// The same of a file that others may write: the guest could hold them up, and so takes locks there only
/// where it may write, too.
fn guarded<'c>(call: &'c Call<'_>, file: &File) -> Option<&'c Apart> {
    let theirs = matches!(file.kind, Kind::Regular | Kind::Directory) && !file.writable();
    let may_write = |path: Vec<u8>| Caller::of(call).allows(Access::Write, &path);
    (theirs && !name_of(file.host.as_fd()).is_ok_and(may_write)).then_some(&call.sandbox.apart)
}

/// The same for the locks of an open file description.
fn stand_in(call: &Call<'_>, file: &File) -> Result<Option<StandIn>, Errno> {
    let Some(apart) = guarded(call, file) else { return Ok(None) };
    let mut extra = file.extra();
    if let Extra::LockedApart(stand_in) = &*extra {
        return Ok(Some(stand_in.clone()));
    }
    let stand_in = apart.open(inode(file)?)?;
    *extra = Extra::LockedApart(stand_in.clone());
    Ok(Some(stand_in))
}

/// The processes of the sandbox, without the caller, whose locks on a file are as `what` says.
fn holders(call: &Call<'_>, inode: Inode, but: i32, what: impl Fn(&Ranges) -> bool) -> Vec<i32> {
    let others = call.sandbox.processes.all().into_iter().filter(|p| p.pid != but);
    others.filter(|p| p.locks.looks(inode, &what)).map(|p| p.pid).collect()
}

/// Sets a lock, waiting for it: EDEADLK if somebody would then wait for ever.
fn wait(call: &Call<'_>, file: &File, lock: &mut [u8; Flock::SIZE]) -> SyscallResult {
    let apply = |lock| call.process.locks.apply(file, apart(call, file), Flock::Wait, lock);
    let Some(range) = range_of(lock) else { return apply(lock) };
    let wanted = Wanted { pid: call.process.pid, file: inode(file)?, range };
    let blockers = |w: &Wanted<Inode>| holders(call, w.file, w.pid, |ranges| ranges.block(&w.range));
    let _waiting = call.sandbox.lock_waits.enter(call.tid, wanted, blockers)?;
    apply(lock)
}

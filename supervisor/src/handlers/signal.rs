//! Signals from guest to guest, and those that a call raises in its own caller.
//!
//! A guest signal is a host signal to the emulator child of the target, which delivers it. Only processes of
//! the sandbox are ever targets: everything else, the supervisor first of all, does not exist (ESRCH); and a
//! target is held by a handle ([`crate::host::process`]), so a number that was given to another cannot be
//! hit.
//!
//! The kernel would tell the target that the supervisor sent the signal. It lets a sender say otherwise only
//! with a negative code, so the true code travels as [`rxbox_wire::relay`] says.

use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::credentials::Credentials;
use crate::host::signal::Info;
use crate::host::stat::Status;
use crate::state::credentials as rules;
use crate::state::process::{Process, host_limits};
use nix::errno::Errno;
use rxbox_wire::frame::Reply;
use std::cell::Cell;
use std::sync::Arc;

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[
    ("kill", kill),
    ("tkill", tkill),
    ("tgkill", tgkill),
    ("rt_sigqueueinfo", rt_sigqueueinfo),
    ("rt_tgsigqueueinfo", rt_tgsigqueueinfo),
];

/// The highest signal number.
const SIGNAL_MAX: i32 = 64;

/// A signal from the caller, as sent by a call of this kind (`SI_USER`, `SI_TKILL`).
pub(super) fn from_caller(call: &Call<'_>, signal: i32, code: i32) -> Result<Info, Errno> {
    if !(0..=SIGNAL_MAX).contains(&signal) {
        return Err(Errno::EINVAL);
    }
    Ok(Info::sent(signal, code, call.process.pid, call.credentials().user.real))
}

/// Raises a signal in the calling thread, as the kernel does for SIGPIPE and SIGXFSZ.
pub(super) fn raise(call: &mut Call<'_>, signal: i32) {
    if let Ok(info) = from_caller(call, signal, libc::SI_USER) {
        // A caller that is ending meanwhile needs no signal any more.
        let _ = call.process.handle.thread(call.tid).and_then(|thread| thread.signal(&info));
        call.reply.flags |= Reply::SIGNALLED;
    }
}

/// EPERM unless the caller may signal somebody with these credentials: a process always itself, and one of
/// its own session to continue it.
fn may_signal(call: &Call<'_>, target: &Process, whose: &Credentials, signal: i32) -> Result<(), Errno> {
    let may = target.pid == call.process.pid
        || rules::may_signal(&call.credentials(), whose)
        || signal == libc::SIGCONT && target.handle.session() == call.process.handle.session();
    if may { Ok(()) } else { Err(Errno::EPERM) }
}

/// Sends to a whole process.
pub(super) fn send(call: &mut Call<'_>, target: &Process, info: &Info) -> SyscallResult {
    may_signal(call, target, &target.credentials(), info.signal())?;
    if target.pid == call.process.pid {
        call.reply.flags |= Reply::SIGNALLED;
    }
    target.signal(info)
}

/// Sends to one thread of a process; ESRCH if it has no such thread.
pub(super) fn send_to_thread(call: &mut Call<'_>, target: &Process, tid: i32, info: &Info) -> SyscallResult {
    let may = may_signal(call, target, &target.credentials_of_thread(tid), info.signal());
    // That there is no such thread comes first.
    may.or_else(|denied| target.handle.thread(tid).and(Err(denied)))?;
    if tid == call.tid {
        call.reply.flags |= Reply::SIGNALLED;
    }
    target.signal_thread(tid, info)
}

fn kill(call: &mut Call<'_>) -> SyscallResult {
    let (pid, signal) = (call.i32(0), call.i32(1));
    let info = from_caller(call, signal, libc::SI_USER)?;
    match pid {
        1.. => {
            let target = call.sandbox.processes.meant(pid).ok_or(Errno::ESRCH)?;
            send(call, &target, &info)
        }
        i32::MIN => Err(Errno::ESRCH),
        _ => kill_several(call, pid, &info),
    }
}

/// kill(2) to a group, or with -1 to all but the caller: to those that the caller may signal.
fn kill_several(call: &mut Call<'_>, pid: i32, info: &Info) -> SyscallResult {
    let own = call.process.handle.group();
    let group = if pid == 0 { own.unwrap_or(0) } else { -pid };
    let processes = &call.sandbox.processes;
    let denied = Cell::new(false);
    let wanted = |p: &Process| {
        let meant = if pid == -1 { p.pid != call.process.pid } else { p.handle.group() == Some(group) };
        let may = meant && may_signal(call, p, &p.credentials(), info.signal()).is_ok();
        denied.set(denied.get() || meant && !may);
        may
    };
    let sent = processes.signal(info, wanted);
    let of_zombie = |zombie: Arc<Process>| zombie.handle.group() == Some(group);
    let zombie = pid != -1 && processes.zombie(group).is_some_and(of_zombie);
    let denied = denied.get();
    if own == Some(group) {
        call.reply.flags |= Reply::SIGNALLED;
    }
    // As the kernel does for a group: it went well if one of them got it. Of all nobody is told who did not.
    match sent > 0 || zombie {
        true => Ok(0),
        false if denied && pid == -1 => Ok(0),
        false => Err(if denied { Errno::EPERM } else { Errno::ESRCH }),
    }
}

/// The process of this id, its own and not a thread's; nobody has waited for it.
fn by_own_id(call: &Call<'_>, tgid: i32) -> Result<Arc<Process>, Errno> {
    let processes = &call.sandbox.processes;
    processes.get(tgid).or_else(|| processes.zombie(tgid)).ok_or(Errno::ESRCH)
}

/// Sends to all of a group; ESRCH if there is none of this number.
pub(super) fn send_to_group(call: &mut Call<'_>, group: i32, info: &Info) -> SyscallResult {
    if group > 0 { kill_several(call, -group, info) } else { Err(Errno::ESRCH) }
}

fn tkill(call: &mut Call<'_>) -> SyscallResult {
    let (tid, signal) = (call.i32(0), call.i32(1));
    if tid <= 0 {
        return Err(Errno::EINVAL);
    }
    let info = from_caller(call, signal, libc::SI_TKILL)?;
    let target = call.sandbox.processes.meant(tid).ok_or(Errno::ESRCH)?;
    send_to_thread(call, &target, tid, &info)
}

fn tgkill(call: &mut Call<'_>) -> SyscallResult {
    let (tgid, tid, signal) = (call.i32(0), call.i32(1), call.i32(2));
    if tgid <= 0 || tid <= 0 {
        return Err(Errno::EINVAL);
    }
    let info = from_caller(call, signal, libc::SI_TKILL)?;
    let target = by_own_id(call, tgid)?;
    send_to_thread(call, &target, tid, &info)
}

/// The `siginfo` of argument `i`: a guest may put anything into it but a code that says the kernel or kill(2)
/// sent it, unless it goes to itself.
pub(super) fn given(call: &Call<'_>, i: usize, signal: i32, target: i32) -> Result<Info, Errno> {
    let info = Info::given(call.need(i)?.try_into().map_err(|_| Errno::EFAULT)?, signal);
    if !(0..=SIGNAL_MAX).contains(&signal) {
        return Err(Errno::EINVAL);
    }
    if (info.code() >= 0 || info.code() == libc::SI_TKILL) && target != call.process.pid {
        return Err(Errno::EPERM);
    }
    Ok(info.relayed())
}

/// EAGAIN for a signal that is always queued if as many are as the target's limit allows
/// (RLIMIT_SIGPENDING). The kernel counts those of all processes of the run, and holds them to the limit
/// that rxbox was started with: so only a lower one is looked at here.
fn may_queue(target: &Process, signal: i32) -> Result<(), Errno> {
    /// The first real-time signal of the kernel (signal(7)).
    const REAL_TIME: i32 = 32;
    let most = target.limit(libc::RLIMIT_SIGPENDING as usize).soft;
    if signal < REAL_TIME || most >= host_limits()?[libc::RLIMIT_SIGPENDING as usize].soft {
        return Ok(());
    }
    let queued = |host| {
        let status = Status::of_process(host).ok_or(Errno::ESRCH)?;
        status.value("SigQ").split('/').next().and_then(|n| n.parse::<u64>().ok()).ok_or(Errno::ESRCH)
    };
    if target.handle.look(queued)? >= most { Err(Errno::EAGAIN) } else { Ok(()) }
}

fn rt_sigqueueinfo(call: &mut Call<'_>) -> SyscallResult {
    let (tgid, signal) = (call.i32(0), call.i32(1));
    let info = given(call, 2, signal, tgid)?;
    let target = call.sandbox.processes.meant(tgid).ok_or(Errno::ESRCH)?;
    may_queue(&target, signal)?;
    send(call, &target, &info)
}

fn rt_tgsigqueueinfo(call: &mut Call<'_>) -> SyscallResult {
    let (tgid, tid, signal) = (call.i32(0), call.i32(1), call.i32(2));
    if tgid <= 0 || tid <= 0 {
        return Err(Errno::EINVAL);
    }
    let info = given(call, 3, signal, tgid)?;
    let target = by_own_id(call, tgid)?;
    may_queue(&target, signal)?;
    send_to_thread(call, &target, tid, &info)
}

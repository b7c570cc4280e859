//! New processes and threads, how they end, and the mask that they inherit. The child makes them; here it is
//! decided whether it may. What the supervisor needs for a new one it is asked for by requests of the child's
//! own ([`rxbox_wire::table::Internal`]).

use crate::context::{Call, Entry, grant};
use crate::host::SyscallResult;
use nix::errno::Errno;

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[
    ("clone", clone),
    ("fork", fork),
    ("vfork", fork),
    ("exit", exit),
    ("exit_group", exit_group),
    ("execve", execute),
    ("execveat", execute),
    ("umask", umask),
    ("unshare", unshare),
    ("get_robust_list", get_robust_list),
];

/// Flags that would take the child out of the sandbox's namespaces.
const NAMESPACES: i32 = libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS;
/// Flags that make the child something else than a process of its own or a thread of the caller.
const UNUSUAL: i32 = libc::CLONE_PARENT;
/// What a thread shares, all or nothing (clone(2)).
const THREAD: i32 = libc::CLONE_THREAD | libc::CLONE_SIGHAND | libc::CLONE_VM;

fn clone(call: &mut Call<'_>) -> SyscallResult {
    let flags = call.i32(0);
    if flags & NAMESPACES != 0 {
        return Err(Errno::EPERM);
    }
    if flags & UNUSUAL != 0 || flags & libc::CLONE_THREAD != 0 && flags & THREAD != THREAD {
        return Err(Errno::EINVAL);
    }
    another(call)
}

fn fork(call: &mut Call<'_>) -> SyscallResult {
    another(call)
}

/// EAGAIN at the caller's limit on processes and threads (RLIMIT_NPROC). It does not hold for the user root,
/// with or without capabilities, as in the kernel; what a sandbox may have together, the policy says.
fn another(call: &mut Call<'_>) -> SyscallResult {
    let most = call.process.limit(libc::RLIMIT_NPROC as usize).soft;
    let root = call.credentials().user.real == 0;
    if !root && call.sandbox.thread_count() >= most { Err(Errno::EAGAIN) } else { grant(call) }
}

/// The new program has the credentials of the thread that executes it, though it runs on the first.
fn execute(call: &mut Call<'_>) -> SyscallResult {
    call.process.note_executing(call.credentials());
    grant(call)
}

/// unshare(2): EPERM for new namespaces. A process shares with others its place in the file system at most,
/// and no thread has one, or descriptors, of its own (EPERM).
fn unshare(call: &mut Call<'_>) -> SyscallResult {
    const OF_THREADS: i32 = libc::CLONE_FS | libc::CLONE_FILES;
    let (flags, alone) = (call.i32(0), call.process.threads.count() == 1);
    if flags & !(NAMESPACES | libc::CLONE_NEWTIME | OF_THREADS | libc::CLONE_SYSVSEM | THREAD) != 0 {
        return Err(Errno::EINVAL);
    }
    match flags {
        _ if flags & THREAD != 0 && !alone => return Err(Errno::EINVAL),
        _ if flags & !(OF_THREADS | THREAD | libc::CLONE_SYSVSEM) != 0 => return Err(Errno::EPERM),
        _ if flags & OF_THREADS != 0 && !alone => return Err(Errno::EPERM),
        _ => {}
    }
    if flags & libc::CLONE_FS != 0 {
        call.process.unshare_place();
    }
    if flags & libc::CLONE_SYSVSEM != 0 {
        // What is to be undone is undone now, as if the caller ended.
        call.sandbox.ipc.semaphores.leave(call.process.pid);
    }
    Ok(0)
}

/// get_robust_list(2): only a thread of the caller's own process tells.
fn get_robust_list(call: &mut Call<'_>) -> SyscallResult {
    match call.i32(0) {
        0 => grant(call),
        tid if call.process.threads.slot_of(tid).is_some() => grant(call),
        tid => Err(call.sandbox.processes.meant(tid).map_or(Errno::ESRCH, |_| Errno::EPERM)),
    }
}

fn exit(call: &mut Call<'_>) -> SyscallResult {
    call.process.attributes.forget(call.tid);
    companion_exits(call);
    grant(call)
}

/// How a process ends the kernel tells better, but whoever waits for that end must find done what it brings.
fn exit_group(call: &mut Call<'_>) -> SyscallResult {
    if companion_exits(call) {
        return grant(call);
    }
    call.sandbox.ipc.ended(call.process.pid);
    grant(call)
}

/// Takes note of how a companion ends; whether the caller is one.
fn companion_exits(call: &Call<'_>) -> bool {
    let companion = call.process.threads.is_companion(call.tid);
    if companion {
        call.sandbox.tracees.companion_exits(call.tid, (call.u32(0) & 0xff) << 8);
    }
    companion
}

fn umask(call: &mut Call<'_>) -> SyscallResult {
    Ok(call.process.set_umask(call.u32(0)).into())
}

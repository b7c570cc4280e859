//! Making processes.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sched::CloneFlags;
use nix::unistd::{ForkResult, Pid};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Forks. The child runs `work` and ends with its status, whatever happens in it.
///
/// # Errors
/// As fork(2); EBUSY if this process has more than one thread: a child could then find any lock taken for
/// good.
pub fn fork(work: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    only_thread()?;
    // SAFETY: there is only this thread, which is about to fork, so the child has a whole and consistent copy
    // of everything; it never returns from here into its parent's business.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => end(work),
    }
}

/// A fork whose child is its sibling, in new namespaces, the first process of one of them if that is a PID
/// namespace. The child runs `work` and ends with its status.
///
/// # Errors
/// As clone(2); EBUSY as for [`fork`].
pub fn fork_sibling(namespaces: CloneFlags, work: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    only_thread()?;
    let flags = namespaces.bits() | libc::CLONE_PARENT | libc::SIGCHLD;
    // SAFETY: as for `fork`; without a stack of its own the child goes on on its copy of this one. What the C
    // library would do besides, its child, which has one thread and makes none, has no need of.
    match Errno::result(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })? {
        0 => end(work),
        child => Ok(Pid::from_raw(child as i32)),
    }
}

/// EBUSY if this process has more than one thread.
pub(super) fn only_thread() -> Result<(), Errno> {
    let threads = std::fs::read_dir("/proc/self/task").map_err(|_| Errno::ENOSYS)?;
    if threads.count() == 1 { Ok(()) } else { Err(Errno::EBUSY) }
}

fn end(work: impl FnOnce() -> i32) -> ! {
    let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(125);
    // SAFETY: ends the process without running what the parent left to be run at its end.
    unsafe { libc::_exit(status) }
}

/// A copy of `fd` at a number from `least` on, closed by exec.
///
/// # Errors
/// As fcntl(2).
pub fn aside(fd: BorrowedFd<'_>, least: i32) -> Result<OwnedFd, Errno> {
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(least))?;
    // SAFETY: the number was just made and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Puts a copy of `fd` at the number `at`, open across exec. What is there is closed.
///
/// # Errors
/// As dup2(2).
pub fn place(fd: BorrowedFd<'_>, at: i32) -> Result<(), Errno> {
    // SAFETY: the callers are child processes that are about to exec: no owner of the number lives on to use
    // it.
    Errno::result(unsafe { libc::dup2(fd.as_raw_fd(), at) }).map(drop)
}

/// Marks all descriptors from `first` on to be closed by exec.
///
/// # Errors
/// As close_range(2), which is there since Linux 5.9 and has this flag since 5.11.
pub fn close_on_exec_from(first: u32) -> Result<(), Errno> {
    // SAFETY: only numbers; nothing is closed now.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(done).map(drop)
}

/// Closes all descriptors from `first` on but these.
///
/// # Errors
/// As close_range(2).
pub fn close_all_from(first: u32, but: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut kept: Vec<u32> = but.iter().map(|fd| fd.as_raw_fd().cast_unsigned()).collect();
    kept.sort_unstable();
    let mut from = first;
    for (next, to) in kept.iter().map(|n| (n + 1, n.checked_sub(1))).chain([(0, Some(u32::MAX))]) {
        if let Some(to) = to.filter(|to| from <= *to) {
            // SAFETY: the caller is a process that does nothing more but by descriptors that it makes
            // afterwards: no owner of a number is used, or dropped, again.
            Errno::result(unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) })?;
        }
        from = from.max(next);
    }
    Ok(())
}

/// Ignores a signal from now on.
pub fn ignore(signal: i32) {
    // SAFETY: no handler is installed; ignoring cannot break anything that runs.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Whom a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// This process.
    Own,
    /// Its process group, and so this process too.
    Group,
}

/// Sends a signal, which has its default effect on this process. Comes back if that is to stop it, once it is
/// continued, or if the kernel ignores the signal.
pub fn act_by_default(signal: i32, target: Target) {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is filled before it is read; what the default action does to the process is what is
    // wanted; the mask is the calling thread's, and comes back.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), std::ptr::null_mut());
        libc::kill(if target == Target::Own { libc::getpid() } else { 0 }, signal);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
    }
}

/// Gives a signal its default action back.
pub fn default_action(signal: i32) {
    // SAFETY: the callers are processes of one thread, before they exec.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// How a process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
}

/// A child that has ended, if one has; it stays there to be asked for again until [`reap`].
///
/// # Errors
/// ECHILD if there are no children.
pub fn ended_child() -> Result<Option<(i32, Ended)>, Errno> {
    wait(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)
}

/// Waits for any child to end and takes it away.
///
/// # Errors
/// ECHILD if there are no children.
pub fn wait_for_any() -> Result<(), Errno> {
    wait(libc::P_ALL, 0, libc::WEXITED).map(drop)
}

/// Waits for the child `pid` to end and takes it away; how it has ended.
///
/// # Errors
/// ECHILD if there is no such child.
pub fn wait_for(pid: Pid) -> Result<Ended, Errno> {
    loop {
        match wait(libc::P_PID, pid.as_raw() as u32, libc::WEXITED) {
            Err(Errno::EINTR) => {}
            ended => return ended?.map(|(_, how)| how).ok_or(Errno::ECHILD),
        }
    }
}

/// The signal by which the child `pid` was stopped since this was last asked, or SIGCONT if it was continued.
///
/// # Errors
/// ECHILD if there is no such child.
pub fn stopped_or_continued(pid: i32) -> Result<Option<i32>, Errno> {
    let changed = wait(libc::P_PID, pid as u32, libc::WSTOPPED | libc::WCONTINUED | libc::WNOHANG)?;
    // In both cases the status is the signal (waitid(2)).
    Ok(changed.map(|(_, how)| match how {
        Ended::Exited(signal) | Ended::Signaled(signal) => signal,
    }))
}

/// Takes away a child that has ended.
///
/// # Errors
/// ECHILD if there is no such child.
pub fn reap(pid: i32) -> Result<(), Errno> {
    wait(libc::P_PID, pid as u32, libc::WEXITED | libc::WNOHANG).map(drop)
}

/// waitid(2). nix knows no real-time signals, by which a guest can end as well.
fn wait(kind: libc::idtype_t, id: u32, flags: i32) -> Result<Option<(i32, Ended)>, Errno> {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: the kernel fills a structure for which zero is a value; after a call that succeeded its fields
    // are those of a child that has changed state, or zero.
    let (pid, code, status) = unsafe {
        Errno::result(libc::waitid(kind, id, info.as_mut_ptr(), flags))?;
        let info = info.assume_init();
        (info.si_pid(), info.si_code, info.si_status())
    };
    let ended = if code == libc::CLD_EXITED { Ended::Exited(status) } else { Ended::Signaled(status) };
    Ok((pid != 0).then_some((pid, ended)))
}

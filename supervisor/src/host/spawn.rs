//! Making processes.

use nix::errno::Errno;
use nix::unistd::{ForkResult, Pid};
use std::convert::Infallible;

/// Forks. The child runs `work` and ends with its status, whatever happens in it.
///
/// # Errors
/// As fork(2); EBUSY if this process has more than one thread: a child could then find any lock taken for good.
pub fn fork(work: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    let threads = std::fs::read_dir("/proc/self/task").map_err(|_| Errno::ENOSYS)?;
    if threads.count() != 1 {
        return Err(Errno::EBUSY);
    }
    // SAFETY: there is only this thread, which is about to fork, so the child has a whole and consistent copy of
    // everything; it never returns from here into its parent's business.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => match ended(work) {},
    }
}

fn ended(work: impl FnOnce() -> i32) -> Infallible {
    let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(125);
    // SAFETY: ends the process without running what the parent left to be run at its end.
    unsafe { libc::_exit(status) }
}

/// Puts a copy of `fd` at the number `at`, open across exec. What is there is closed.
///
/// # Errors
/// As dup2(2).
pub fn place(fd: std::os::fd::BorrowedFd<'_>, at: i32) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;
    // SAFETY: the callers are child processes that are about to exec: no owner of the number lives on to use it.
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

/// The signals that this process was started to ignore, bit n - 1 for signal n.
pub fn ignored_signals() -> u64 {
    let ignored = |signal: &i32| {
        let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: the kernel fills a structure for which zero is a value; nothing is changed.
        let action = unsafe {
            libc::sigaction(*signal, std::ptr::null(), action.as_mut_ptr());
            action.assume_init()
        };
        action.sa_sigaction == libc::SIG_IGN
    };
    // The Rust runtime ignores SIGPIPE before `main`, whatever it was before.
    let signals = (1..=64).filter(|s| *s != libc::SIGPIPE);
    signals.filter(ignored).fold(0, |set, signal| set | 1 << (signal - 1))
}

/// Ignores a signal from now on.
pub fn ignore(signal: i32) {
    // SAFETY: no handler is installed; ignoring cannot break anything that runs.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Gives a signal its default action back.
pub fn default_action(signal: i32) {
    // SAFETY: the callers are processes of one thread, before they exec.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// The pid-file descriptor of a child (pidfd_open(2)).
///
/// # Errors
/// As pidfd_open(2).
pub fn pidfd(pid: Pid) -> Result<std::os::fd::OwnedFd, Errno> {
    super::number::make(super::number::Make::Pidfd, [pid.as_raw() as u64, 0, 0])
}

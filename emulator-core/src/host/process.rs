//! Host processes: fork, groups and sessions, orphans.

use super::call;
use nix::errno::Errno;

/// Which side of a fork this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// The old process, with the new one's id.
    Parent(i32),
    /// The new process.
    Child,
}

/// fork(3) of the C library, which makes its own locks usable in the child.
///
/// # Errors
/// As fork(2).
pub fn fork() -> Result<Fork, Errno> {
    // SAFETY: the caller holds every lock of the runtime, and the C library takes care of its own, so the
    // child can go on like any program.
    match unsafe { libc::fork() } {
        0 => Ok(Fork::Child),
        pid if pid > 0 => Ok(Fork::Parent(pid)),
        _ => Err(Errno::last()),
    }
}

/// setpgid(2).
///
/// # Errors
/// As setpgid(2).
pub fn set_group(pid: i32, group: i32) -> Result<i64, Errno> {
    // SAFETY: only numbers.
    call::result(unsafe { call::raw(libc::SYS_setpgid, [pid as u64, group as u64, 0, 0, 0, 0]) })
}

/// setsid(2).
///
/// # Errors
/// As setsid(2).
pub fn new_session() -> Result<i64, Errno> {
    // SAFETY: no arguments.
    call::result(unsafe { call::raw(libc::SYS_setsid, [0; 6]) })
}

/// Makes this process the one, or not the one, to which orphans below it go (PR_SET_CHILD_SUBREAPER).
///
/// # Errors
/// As prctl(2).
pub fn set_subreaper(set: bool) -> Result<i64, Errno> {
    let args = [libc::PR_SET_CHILD_SUBREAPER as u64, set.into(), 0, 0, 0, 0];
    // SAFETY: only numbers.
    call::result(unsafe { call::raw(libc::SYS_prctl, args) })
}

/// Whether orphans below this process go to it.
pub fn is_subreaper() -> bool {
    let mut set = 0i32;
    let args = [libc::PR_GET_CHILD_SUBREAPER as u64, &raw mut set as u64, 0, 0, 0, 0];
    // SAFETY: the kernel writes one int, which lives here.
    unsafe { call::raw(libc::SYS_prctl, args) };
    set != 0
}

/// The `struct rusage` of children that were waited for (getrusage(2), RUSAGE_CHILDREN).
///
/// # Errors
/// As getrusage(2).
pub fn usage_of_children() -> Result<[u8; 144], Errno> {
    let mut usage = [0; 144];
    let args = [libc::RUSAGE_CHILDREN as u64, usage.as_mut_ptr() as u64, 0, 0, 0, 0];
    // SAFETY: the buffer has the size of what the kernel writes.
    call::result(unsafe { call::raw(libc::SYS_getrusage, args) })?;
    Ok(usage)
}

/// Whether a child has ended; it can still be waited for.
pub fn has_ended(pid: i32) -> bool {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = (libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) as u64;
    let args = [u64::from(libc::P_PID), pid as u64, info.as_mut_ptr() as u64, flags, 0, 0];
    // SAFETY: the buffer is a siginfo_t, for which zero is a value.
    let (result, info) = unsafe { (call::raw(libc::SYS_waitid, args), info.assume_init()) };
    // An unknown child has been waited for already.
    result < 0 || info.si_signo == libc::SIGCHLD
}

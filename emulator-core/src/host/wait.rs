//! Waits for children of this process.

use super::call;
use nix::errno::Errno;

/// What a wait for children tells besides its value.
#[derive(Clone, Debug)]
pub struct WaitStatus {
    /// The int of wait4(2) or the siginfo_t of waitid(2).
    pub status: [u8; 128],
    /// A rusage.
    pub usage: [u8; 144],
}

/// wait4(2) or waitid(2), with these options. A call that may block ends when work is pending. What is not
/// wanted stays zero.
///
/// # Errors
/// As the call.
pub fn wait(call: WaitCall, options: u64, wants: WaitWants) -> Result<(i64, WaitStatus), Errno> {
    let mut told = WaitStatus { status: [0; 128], usage: [0; 144] };
    let status = if wants.status { told.status.as_mut_ptr() as u64 } else { 0 };
    let usage = if wants.usage { told.usage.as_mut_ptr() as u64 } else { 0 };
    let (nr, args) = match call {
        WaitCall::Wait4(pid) => (libc::SYS_wait4, [pid, status, options, usage, 0, 0]),
        WaitCall::Waitid(kind, id) => (libc::SYS_waitid, [kind, id, status, options, usage, 0]),
    };
    // SAFETY: both buffers are as large as what the kernel writes (siginfo_t 128, rusage 144).
    let value = unsafe {
        match options & libc::WNOHANG as u64 {
            0 => call::interruptible(nr, args),
            _ => call::raw(nr, args),
        }
    };
    Ok((call::result(value)?, told))
}

/// Which call, and who is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitCall {
    /// wait4(2) of a process or group.
    Wait4(u64),
    /// waitid(2) of a kind and an id.
    Waitid(u64, u64),
}

/// Which parts of a [`WaitStatus`] are wanted; the kernel tells a null pointer from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaitWants {
    /// The status.
    pub status: bool,
    /// The usage.
    pub usage: bool,
}

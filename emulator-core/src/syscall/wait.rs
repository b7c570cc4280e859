//! Granted waits for children (wait4(2), waitid(2)): the guest's children are host children of this process.

use crate::host::wait::{self, WaitCall, WaitWants};
use crate::thread::Thread;
use nix::errno::Errno;

/// wait4(2), waitid(2). `approved` is the supervisor's answer: for a process descriptor the process's id,
/// with bit 32 set if the wait is not to block.
pub fn wait(thread: &Thread, nr: u32, args: &[u64; 6], approved: i64) -> Result<i64, Errno> {
    const NO_HANG: u64 = libc::WNOHANG as u64;
    let wait4 = i64::from(nr) == libc::SYS_wait4;
    let (status, mut options, usage) =
        if wait4 { (args[1], args[2], args[3]) } else { (args[2], args[3], args[4]) };
    let mut hurried = false;
    let call = match args[0] as u32 {
        _ if wait4 => WaitCall::Wait4(args[0]),
        libc::P_PIDFD => {
            hurried = approved >> 32 != 0 && options & NO_HANG == 0;
            options |= if hurried { NO_HANG } else { 0 };
            WaitCall::Waitid(libc::P_PID.into(), u64::from(approved as u32))
        }
        _ => WaitCall::Waitid(args[0], args[1]),
    };
    let wants = WaitWants { status: status != 0, usage: usage != 0 };
    let (value, told) = wait::wait(call, options, wants)?;
    // Nobody has changed state if there is no signal number, the first word of a siginfo.
    if hurried && value == 0 && told.status[..4] == [0; 4] {
        return Err(Errno::EAGAIN);
    }
    if wants.status {
        let size = if wait4 { 4 } else { 128 };
        thread.process.copy_out(status, &told.status[..size])?;
    }
    if wants.usage {
        thread.process.copy_out(usage, &told.usage)?;
    }
    Ok(value)
}

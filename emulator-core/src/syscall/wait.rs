//! Granted waits for children (wait4(2), waitid(2)): the guest's children are host children of this process.
//! What happens to threads that it traces the supervisor tells.

use crate::host::wait::{self, WaitCall, WaitWants};
use crate::signal::calls::pause;
use crate::signal::info::SigInfo;
use crate::thread::Thread;
use nix::errno::Errno;
use rxbox_wire::ptrace::WaitAnswer;

/// wait4(2), waitid(2). `approved` is the supervisor's [`WaitAnswer`].
pub fn wait(thread: &Thread, nr: u32, args: &[u64; 6], approved: i64) -> Result<i64, Errno> {
    let answer = WaitAnswer::decode(approved);
    if let WaitAnswer::Event { tid, status } = answer {
        return tell(thread, nr, args, tid, status);
    }
    if let WaitAnswer::Refused(errno) = answer {
        return told_nobody(thread, args[2]).and(Err(Errno::from_raw(errno)));
    }
    let options = if i64::from(nr) == libc::SYS_wait4 { args[2] } else { args[3] };
    match wait_for_child(thread, nr, args, answer) {
        Err(Errno::ECHILD) if answer == WaitAnswer::Tracees => match options & libc::WNOHANG as u64 {
            // Until the supervisor interrupts it.
            0 => pause().and(Err(Errno::EINTR)),
            _ => Ok(0),
        },
        Err(e) if i64::from(nr) == libc::SYS_waitid && e != Errno::EINTR => {
            told_nobody(thread, args[2]).and(Err(e))
        }
        done => done,
    }
}

/// A waitid(2) that fails tells in a siginfo at this address of nobody, and not that it cannot.
fn told_nobody(thread: &Thread, info: u64) -> Result<(), Errno> {
    /// Signal, errno, code; and process, user, status behind the padding.
    const PARTS: [(u64, usize); 2] = [(0, 12), (16, 12)];
    if info == 0 {
        return Ok(());
    }
    PARTS.iter().try_for_each(|(at, len)| thread.process.copy_out(info.wrapping_add(*at), &[0; 12][..*len]))
}

/// Tells the guest what has happened to a thread that it traces.
fn tell(thread: &Thread, nr: u32, args: &[u64; 6], tid: i32, status: u32) -> Result<i64, Errno> {
    let word = status.to_le_bytes();
    if i64::from(nr) == libc::SYS_wait4 {
        if args[1] != 0 {
            thread.process.copy_out(args[1], &word)?;
        }
        if args[3] != 0 {
            thread.process.copy_out(args[3], &[0; 144])?;
        }
        return Ok(tid.into());
    }
    let (code, status) = match status {
        s if s & 0xff == 0x7f => (libc::CLD_TRAPPED, s >> 8),
        s if s & 0x7f == 0 => (libc::CLD_EXITED, s >> 8),
        s => (libc::CLD_KILLED, s & 0x7f),
    };
    if args[2] != 0 {
        let mut info = *SigInfo::fault(libc::SIGCHLD, code, 0).bytes();
        info[16..20].copy_from_slice(&tid.to_le_bytes());
        info[24..28].copy_from_slice(&status.to_le_bytes());
        thread.process.copy_out(args[2], &info)?;
    }
    if args[4] != 0 {
        thread.process.copy_out(args[4], &[0; 144])?;
    }
    Ok(0)
}

fn wait_for_child(thread: &Thread, nr: u32, args: &[u64; 6], answer: WaitAnswer) -> Result<i64, Errno> {
    const NO_HANG: u64 = libc::WNOHANG as u64;
    let wait4 = i64::from(nr) == libc::SYS_wait4;
    let (status, mut options, usage) =
        if wait4 { (args[1], args[2], args[3]) } else { (args[2], args[3], args[4]) };
    let mut hurried = false;
    let call = match args[0] as u32 {
        _ if wait4 => WaitCall::Wait4(args[0]),
        libc::P_PIDFD => {
            let WaitAnswer::Process { pid, hurried: in_hurry } = answer else { return Err(Errno::ECHILD) };
            hurried = in_hurry && options & NO_HANG == 0;
            options |= if hurried { NO_HANG } else { 0 };
            WaitCall::Waitid(libc::P_PID.into(), u64::from(pid as u32))
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

//! The tracer's side of ptrace(2), and what reaches into another process's memory: all of it is the
//! supervisor's, but for what the table cannot say.

use super::marshal;
use crate::base::result::SyscallResult;
use crate::guest::access;
use crate::signal::ptrace::trace_me;
use crate::thread::Thread;
use nix::errno::Errno;
use rxbox_wire::kind::Syscall;

/// ptrace(2).
pub fn ptrace(thread: &mut Thread, call: &'static Syscall, args: &[u64; 6]) -> SyscallResult {
    match args[0] as u32 {
        libc::PTRACE_TRACEME => traced(thread, call, args),
        libc::PTRACE_GETREGSET | libc::PTRACE_SETREGSET => register_set(thread, call, args),
        _ => marshal::exchange(thread, call, args).map(|reply| SyscallResult::from(&reply)),
    }
    .unwrap_or_else(SyscallResult::from)
}

fn traced(thread: &mut Thread, call: &'static Syscall, args: &[u64; 6]) -> Result<SyscallResult, Errno> {
    let reply = marshal::exchange(thread, call, args)?;
    if reply.ret == 0 {
        trace_me(thread);
    }
    Ok(SyscallResult::from(&reply))
}

/// A register set goes through one vector, whose length says afterwards how many bytes that were.
fn register_set(thread: &Thread, call: &'static Syscall, args: &[u64; 6]) -> Result<SyscallResult, Errno> {
    let mut args = *args;
    args[4] = 1;
    let length = args[3].wrapping_add(8);
    access::read_u64(length)?;
    let reply = marshal::exchange(thread, call, &args)?;
    if reply.ret < 0 {
        return Ok(SyscallResult::from(&reply));
    }
    thread.process.copy_out(length, &reply.ret.to_le_bytes())?;
    Ok(SyscallResult::Value(0))
}

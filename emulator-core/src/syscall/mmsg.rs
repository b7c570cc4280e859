//! sendmmsg(2) and recvmmsg(2): several messages, each of which is a call of its own to the supervisor.

use super::marshal;
use crate::base::result::SyscallResult;
use crate::guest::access;
use crate::thread::Thread;
use nix::errno::Errno;
use rxbox_wire::table;
use std::time::{Duration, Instant};

/// Bytes of a `mmsghdr`: a `msghdr`, then the number of bytes transferred.
const ELEMENT: u64 = 64;
/// Offset of that number.
const LENGTH: u64 = 56;
/// More messages are never taken at once (UIO_MAXIOV).
const MOST: u64 = 1024;

/// sendmmsg(2).
pub fn send(thread: &mut Thread, args: &[u64; 6]) -> SyscallResult {
    each(thread, libc::SYS_sendmsg, args, args[3], None)
}

/// recvmmsg(2).
pub fn receive(thread: &mut Thread, args: &[u64; 6]) -> SyscallResult {
    let deadline = match args[4] {
        0 => None,
        at => {
            let mut b = [0; 16];
            if access::copy_in(&mut b, at).is_err() {
                return Errno::EFAULT.into();
            }
            let word = |i: usize| u64::from_le_bytes(std::array::from_fn(|k| b[8 * i + k]));
            let (seconds, nanoseconds) = (word(0), word(1));
            if seconds > i64::MAX as u64 || nanoseconds >= 1_000_000_000 {
                return Errno::EINVAL.into();
            }
            Instant::now().checked_add(Duration::new(seconds, nanoseconds as u32))
        }
    };
    each(thread, libc::SYS_recvmsg, args, args[3], deadline)
}

/// One call for each message, until one fails, the time is over (which is only looked at between messages, as
/// the kernel does), or with MSG_WAITFORONE nothing more is there.
fn each(
    thread: &mut Thread,
    nr: i64,
    args: &[u64; 6],
    flags: u64,
    deadline: Option<Instant>,
) -> SyscallResult {
    const WAIT_FOR_ONE: u64 = libc::MSG_WAITFORONE as u64;
    let Some(call) = table::row(nr as u32) else { return Errno::ENOSYS.into() };
    let mut flags = flags;
    let wait_for_one = nr == libc::SYS_recvmsg && flags & WAIT_FOR_ONE != 0;
    flags &= !WAIT_FOR_ONE;
    let count = u64::from(args[2] as u32).min(MOST);
    for done in 0..count {
        let header = args[1].wrapping_add(done * ELEMENT);
        let one = [args[0], header, flags, 0, 0, 0];
        let failed = match marshal::exchange(thread, call, &one) {
            Ok(reply) if reply.ret >= 0 => {
                let sent = thread.process.copy_out(header + LENGTH, &(reply.ret as u32).to_le_bytes());
                sent.err().map(SyscallResult::from)
            }
            Ok(reply) => Some(SyscallResult::from(&reply)),
            Err(e) => Some(e.into()),
        };
        match failed {
            Some(answer) if done == 0 => return answer,
            Some(_) => return SyscallResult::Value(done as i64),
            None => {}
        }
        if wait_for_one {
            flags |= libc::MSG_DONTWAIT as u64;
        }
        if deadline.is_some_and(|d| Instant::now() >= d) {
            return SyscallResult::Value(done as i64 + 1);
        }
    }
    SyscallResult::Value(count as i64)
}

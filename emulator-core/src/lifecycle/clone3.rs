//! clone3(2): a clone(2) whose arguments lie in memory, where neither the supervisor's policy nor the filter
//! see them.
//!
//! They are read once and checked as the kernel does. Then the supervisor is asked for the clone(2) that they
//! amount to, and what that cannot say (CLONE_CLEAR_SIGHAND, a place of its own for the process descriptor)
//! is carried out here.

use super::clone_args::CloneArgs;
use super::fork::fork;
use super::thread::new_thread;
use crate::base::result::SyscallResult;
use crate::guest::access;
use crate::syscall::marshal;
use crate::thread::Thread;
use nix::errno::Errno;
use rxbox_wire::frame::Reply;
use rxbox_wire::table;

/// Bytes of `struct clone_args` in its first version.
const FIRST: u64 = 64;
/// Bytes that are known here: with `set_tid` and `cgroup`.
const KNOWN: usize = 88;
/// The most that the kernel looks at.
const MOST: u64 = 4096;
/// CLONE_CLEAR_SIGHAND.
const CLEAR_SIGHAND: u64 = 1 << 32;
/// CLONE_INTO_CGROUP.
const INTO_CGROUP: u64 = 1 << 33;
/// CLONE_NEWTIME, which takes a bit of the signal in clone(2).
const NEWTIME: u64 = 0x80;
/// The deepest nesting of process id namespaces (MAX_PID_NS_LEVEL).
const MOST_TIDS: u64 = 32;

/// `struct clone_args`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Args {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
}

/// Carries out an approved call.
pub fn clone3(thread: &mut Thread, args: &[u64; 6]) -> SyscallResult {
    try_clone(thread, args).into()
}

fn try_clone(thread: &mut Thread, args: &[u64; 6]) -> Result<SyscallResult, Errno> {
    let asked = read(args[0], args[1])?;
    asked.check()?;
    let low = asked.flags & u64::from(u32::MAX);
    let stack = asked.stack + asked.stack_size;
    let plain = [low | asked.exit_signal, stack, asked.parent_tid, asked.child_tid, asked.tls, 0];
    let row = table::row(libc::SYS_clone as u32).ok_or(Errno::EINVAL)?;
    let reply = marshal::exchange(thread, row, &plain)?;
    if reply.flags & Reply::GRANTED == 0 {
        return Ok(SyscallResult::from(&reply));
    }
    let args = CloneArgs::of_clone3(&plain, asked.pidfd, asked.flags & CLEAR_SIGHAND != 0);
    let thread_like = args.has(libc::CLONE_THREAD) || args.is_companion();
    Ok(if thread_like { new_thread(thread, &args) } else { fork(thread, &args) })
}

/// The structure of `size` bytes: what is unknown must be zero, what is missing is.
fn read(addr: u64, size: u64) -> Result<Args, Errno> {
    if size > MOST {
        return Err(Errno::E2BIG);
    }
    if size < FIRST {
        return Err(Errno::EINVAL);
    }
    let mut bytes = vec![0; (size as usize).max(KNOWN)];
    access::copy_in(&mut bytes[..size as usize], addr)?;
    if bytes[KNOWN..].iter().any(|&b| b != 0) {
        return Err(Errno::E2BIG);
    }
    let word = |i: usize| u64::from_le_bytes(std::array::from_fn(|k| bytes[8 * i + k]));
    Ok(Args {
        flags: word(0),
        pidfd: word(1),
        child_tid: word(2),
        parent_tid: word(3),
        exit_signal: word(4),
        stack: word(5),
        stack_size: word(6),
        tls: word(7),
        set_tid: word(8),
        set_tid_size: word(9),
    })
}

impl Args {
    /// What the kernel refuses in its own order, and what is not had without privileges.
    fn check(&self) -> Result<(), Errno> {
        const CSIGNAL: u64 = 0xff;
        const LAST_SIGNAL: u64 = 64;
        let has = |flag: i32| self.flags & flag as u64 != 0;
        let sized = (self.set_tid == 0) == (self.set_tid_size == 0);
        if self.set_tid_size > MOST_TIDS || !sized || self.exit_signal > LAST_SIGNAL {
            return Err(Errno::EINVAL);
        }
        let known = u64::from(u32::MAX) | CLEAR_SIGHAND | INTO_CGROUP;
        let signal_bits = self.flags & CSIGNAL & !NEWTIME;
        if self.flags & !known != 0 || signal_bits != 0 || has(libc::CLONE_DETACHED) {
            return Err(Errno::EINVAL);
        }
        if (has(libc::CLONE_THREAD) || has(libc::CLONE_PARENT)) && self.exit_signal != 0 {
            return Err(Errno::EINVAL);
        }
        if has(libc::CLONE_SIGHAND) && self.flags & CLEAR_SIGHAND != 0 {
            return Err(Errno::EINVAL);
        }
        if (self.stack == 0) != (self.stack_size == 0) || self.stack.checked_add(self.stack_size).is_none() {
            return Err(Errno::EINVAL);
        }
        if self.flags & NEWTIME != 0 || self.set_tid_size != 0 {
            return Err(Errno::EPERM);
        }
        if self.flags & INTO_CGROUP != 0 { Err(Errno::EOPNOTSUPP) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_refused_as_by_the_kernel() {
        let of = |flags: u64| Args { flags, exit_signal: 17, ..Args::default() };
        let signal = |flags: u64, exit_signal: u64| Args { exit_signal, ..of(flags) };
        let stack = |stack: u64, stack_size: u64| Args { stack, stack_size, ..of(0) };
        for (args, answer) in [
            (of(0), Ok(())),
            (of(CLEAR_SIGHAND), Ok(())),
            (of(17), Err(Errno::EINVAL)),
            (of(1 << 40), Err(Errno::EINVAL)),
            (of(libc::CLONE_DETACHED as u64), Err(Errno::EINVAL)),
            (of(CLEAR_SIGHAND | libc::CLONE_SIGHAND as u64), Err(Errno::EINVAL)),
            (signal(libc::CLONE_THREAD as u64, 17), Err(Errno::EINVAL)),
            (signal(0, 65), Err(Errno::EINVAL)),
            (stack(4096, 0), Err(Errno::EINVAL)),
            (stack(u64::MAX, 2), Err(Errno::EINVAL)),
            (stack(0x7000, 4096), Ok(())),
            (of(NEWTIME), Err(Errno::EPERM)),
            (of(INTO_CGROUP), Err(Errno::EOPNOTSUPP)),
            (Args { set_tid: 8, set_tid_size: 1, ..of(0) }, Err(Errno::EPERM)),
            (Args { set_tid_size: 1, ..of(0) }, Err(Errno::EINVAL)),
        ] {
            assert_eq!(args.check(), answer, "{args:?}");
        }
    }
}

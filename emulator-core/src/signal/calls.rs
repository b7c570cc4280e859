//! The granted system calls on masks, actions and waiting signals.

use super::action::{Action, Disposition};
use super::deliver::{self, Restart, set_mask, wait};
use super::descriptor;
use super::host::{self, SET_SIZE};
use super::stack::AlternateStack;
use crate::base::result::SyscallResult;
use crate::base::sigset::{SigSet, is_signal};
use crate::guest::access;
use crate::thread::Thread;
use crate::thread::restart_block::Remaining;
use nix::errno::Errno;
use rxbox_wire::frame::Reply;
use rxbox_wire::kind::{Kind, Syscall, Wait};
use std::time::{Duration, Instant};

/// rt_sigreturn(2).
pub fn sigreturn(thread: &mut Thread) -> SyscallResult {
    deliver::sigreturn(thread);
    SyscallResult::Done
}

/// Makes an exchange with the supervisor. If it waits for descriptors, the arrival of signals that are read
/// from descriptors ends the wait; and the mask is in place that ppoll(2) and similar calls give: if a signal
/// interrupted the call, the mask stays until its handler was called, otherwise the guest has its own mask
/// again.
///
/// # Errors
/// EINVAL and EFAULT for the mask, else those of the exchange.
pub fn with_mask(
    thread: &mut Thread,
    call: &Syscall,
    args: &[u64; 6],
    exchange: impl FnOnce(&mut Thread) -> Result<Reply, Errno>,
) -> Result<Reply, Errno> {
    if call.wait != Wait::Polling {
        return exchange(thread);
    }
    let Some(mask) = call_mask(call, args)? else { return descriptor::watch(thread, exchange) };
    let own = thread.signals.mask;
    set_mask(thread, mask);
    let result = descriptor::watch(thread, exchange);
    match result {
        Ok(reply) if reply.ret == -i64::from(libc::EINTR) => thread.signals.saved = Some(own),
        _ => set_mask(thread, own),
    }
    result
}

/// The mask that a waiting call gives, if it does.
fn call_mask(call: &Syscall, args: &[u64; 6]) -> Result<Option<SigSet>, Errno> {
    let (at, size) = match call.signal_mask(args) {
        Some((at, Kind::SigMask { size })) => (args[at], args[usize::from(size)]),
        Some((at, Kind::SigMaskPair)) if args[at] != 0 => {
            (access::read_u64(args[at])?, access::read_u64(args[at].wrapping_add(8))?)
        }
        _ => return Ok(None),
    };
    if at == 0 {
        return Ok(None);
    }
    read_set(at, size).map(Some)
}

/// A set from guest memory, whose size must be the kernel's.
fn read_set(at: u64, size: u64) -> Result<SigSet, Errno> {
    if size != SET_SIZE {
        return Err(Errno::EINVAL);
    }
    Ok(SigSet(access::read_u64(at)?))
}

/// rt_sigaction(2).
pub fn action(thread: &mut Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    let [signal, new, old, size, ..] = *args;
    let signal = signal as i32;
    if size != SET_SIZE {
        return Err(Errno::EINVAL);
    }
    let mut bytes = [0; Action::SIZE];
    if new != 0 {
        access::copy_in(&mut bytes, new)?;
    }
    if !is_signal(signal) {
        return Err(Errno::EINVAL);
    }
    let process = thread.process;
    let mut actions = process.actions.lock();
    let before = actions.get(signal);
    if new != 0 {
        let action = Action::decode(&bytes);
        // The handlers of a companion are its own, and nothing is sent to it.
        if thread.companion {
            return Ok(0);
        }
        actions.set(signal, action)?;
        if action.disposition(signal) == Disposition::Ignore {
            thread.signals.discard(SigSet::EMPTY.with(signal));
        }
    }
    drop(actions);
    if old != 0 {
        process.copy_out(old, &before.encode())?;
    }
    Ok(0)
}

/// rt_sigprocmask(2).
pub fn procmask(thread: &mut Thread, args: &[u64; 6]) -> Result<SyscallResult, Errno> {
    let [how, new, old, size, ..] = *args;
    if size != SET_SIZE {
        return Err(Errno::EINVAL);
    }
    let before = thread.signals.mask;
    if new != 0 {
        let set = read_set(new, size)?;
        let mask = match how as i32 {
            libc::SIG_BLOCK => before.union(set),
            libc::SIG_UNBLOCK => before.minus(set),
            libc::SIG_SETMASK => set,
            _ => return Err(Errno::EINVAL),
        };
        if !change_mask(thread, mask) {
            return Ok(again(thread, libc::SYS_rt_sigprocmask));
        }
    }
    if old != 0 {
        thread.process.copy_out(old, &before.0.to_le_bytes())?;
    }
    Ok(SyscallResult::Value(0))
}

/// Changes the mask, unless a signal that the new one blocks was there before: it must be delivered first.
/// Then the mask stays and the answer is false. The host's mask is set before the look, so nothing comes in
/// between.
fn change_mask(thread: &mut Thread, mask: SigSet) -> bool {
    let before = thread.signals.mask;
    set_mask(thread, mask);
    thread.signals.collect(thread.cpu.ring());
    let late = thread.signals.waiting().intersection(thread.signals.mask).minus(before);
    if late == SigSet::EMPTY {
        return true;
    }
    set_mask(thread, before);
    false
}

/// Makes the guest repeat the call once the signals that are waiting were delivered.
fn again(thread: &mut Thread, nr: i64) -> SyscallResult {
    Restart { nr: nr as u64, restartable: true }.rewind(thread.state());
    SyscallResult::Done
}

/// rt_sigsuspend(2).
pub fn suspend(thread: &mut Thread, args: &[u64; 6]) -> Result<SyscallResult, Errno> {
    let mask = read_set(args[0], args[1])?;
    let before = thread.signals.mask;
    if !change_mask(thread, mask) {
        return Ok(again(thread, libc::SYS_rt_sigsuspend));
    }
    thread.signals.saved = Some(before);
    pause()
}

/// pause(2): waits for a signal of no set, which only a handler ends.
pub fn pause() -> Result<SyscallResult, Errno> {
    // EINTR is the only way out.
    let _ = host::wait(SigSet::EMPTY, None);
    Err(Errno::EINTR)
}

/// rt_sigpending(2).
pub fn pending(thread: &mut Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    let [at, size, ..] = *args;
    let bytes = usize::try_from(size).ok().filter(|_| size <= SET_SIZE).ok_or(Errno::EINVAL)?;
    thread.signals.collect(thread.cpu.ring());
    let set = host::pending().union(thread.signals.waiting()).intersection(thread.signals.mask);
    thread.process.copy_out(at, &set.0.to_le_bytes()[..bytes])?;
    Ok(0)
}

/// rt_sigtimedwait(2).
pub fn timed_wait(thread: &mut Thread, args: &[u64; 6]) -> Result<SyscallResult, Errno> {
    let [set, info, timeout, size, ..] = *args;
    let set = read_set(set, size)?.minus(SigSet::UNBLOCKABLE);
    let deadline = match (timeout, thread.remaining) {
        (0, _) => None,
        (_, Some(Remaining { time: [seconds, nanoseconds], .. })) => {
            Some(Instant::now() + Duration::new(seconds, nanoseconds as u32))
        }
        (at, None) => Some(deadline(at)?),
    };
    let found = match wait(thread, set, deadline) {
        // Nothing is to be done: the kernel has stopped the process and let it go on.
        Err(Errno::EINTR) if !thread.cpu.pending() => return Ok(SyscallResult::Continued),
        found => found?,
    };
    if info != 0 {
        thread.process.copy_out(info, found.bytes())?;
    }
    Ok(SyscallResult::Value(found.signal().into()))
}

/// When a timeout in guest memory ends; one that is beyond all clocks is as good as the longest.
fn deadline(at: u64) -> Result<Instant, Errno> {
    let (seconds, nanoseconds) = (access::read_u64(at)?, access::read_u64(at.wrapping_add(8))?);
    if nanoseconds >= 1_000_000_000 || seconds > i64::MAX as u64 {
        return Err(Errno::EINVAL);
    }
    const LONGEST: u64 = 1 << 32;
    let span = Duration::new(seconds.min(LONGEST), nanoseconds as u32);
    Ok(Instant::now() + span)
}

/// sigaltstack(2).
pub fn alternate_stack(thread: &mut Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    let [new, old, ..] = *args;
    let sp = thread.state().gpr[4];
    let before = thread.signals.stack.report(sp);
    if new != 0 {
        let mut bytes = [0; AlternateStack::SIZE];
        access::copy_in(&mut bytes, new)?;
        thread.signals.stack.replace(AlternateStack::decode(&bytes), sp)?;
    }
    if old != 0 {
        thread.process.copy_out(old, &before.encode())?;
    }
    Ok(0)
}

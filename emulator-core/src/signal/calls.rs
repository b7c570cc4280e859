//! The granted system calls on masks, actions and waiting signals.

use super::action::{Action, Disposition};
use super::deliver::{Restart, open, set_mask, sigreturn};
use super::descriptor;
use super::host::{self, SET_SIZE, Timespec};
use super::info::SigInfo;
use super::stack::AlternateStack;
use super::timers;
use crate::base::sigset::SigSet;
use crate::guest::access;
use crate::syscall::limit::Left;
use crate::syscall::marshal::Error;
use crate::syscall::{Answer, copy_out};
use crate::thread::Thread;
use libc::{EINTR, EINVAL};
use rxbox_wire::frame::Reply;
use rxbox_wire::kind::{Kind, Syscall, Wait};
use std::time::{Duration, Instant};

/// Carries out an approved call of this module; `None` if it is not one.
pub fn system_call(thread: &mut Thread, nr: u32, args: &[u64; 6]) -> Option<Answer> {
    let answer = match i64::from(nr) {
        libc::SYS_rt_sigreturn => {
            sigreturn(thread);
            Ok(Answer::Done)
        }
        libc::SYS_rt_sigprocmask => procmask(thread, args),
        libc::SYS_rt_sigsuspend => suspend(thread, args),
        libc::SYS_pause => Ok(pause()),
        libc::SYS_rt_sigaction => action(thread, args).map(Answer::Value),
        libc::SYS_rt_sigpending => pending(thread, args).map(Answer::Value),
        libc::SYS_rt_sigtimedwait => timed_wait(thread, args),
        libc::SYS_sigaltstack => alternate_stack(thread, args).map(Answer::Value),
        _ => timers::system_call(thread, nr, args)?.map(Answer::Value),
    };
    Some(answer.unwrap_or_else(Answer::from))
}

/// Makes an exchange with the supervisor. If it waits for descriptors, the arrival of signals that are read from descriptors
/// ends the wait; and the mask is in place that ppoll(2) and its kin give: if a signal broke the call off, the mask stays
/// until its handler was called, otherwise the guest has its own mask again.
///
/// # Errors
/// EINVAL and EFAULT for the mask, else those of the exchange.
pub fn with_mask(
    thread: &mut Thread,
    call: &Syscall,
    args: &[u64; 6],
    exchange: impl FnOnce(&mut Thread) -> Result<Reply, Error>,
) -> Result<Reply, Error> {
    if call.wait != Wait::Polling {
        return exchange(thread);
    }
    let Some(mask) = call_mask(call, args)? else { return descriptor::watch(thread, exchange) };
    let own = thread.signals.mask;
    set_mask(thread, mask);
    let result = descriptor::watch(thread, exchange);
    match result {
        Ok(reply) if reply.ret == -i64::from(EINTR) => thread.signals.saved = Some(own),
        _ => set_mask(thread, own),
    }
    result
}

/// The mask that a waiting call gives, if it does.
fn call_mask(call: &Syscall, args: &[u64; 6]) -> Result<Option<SigSet>, Error> {
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
fn read_set(at: u64, size: u64) -> Result<SigSet, Error> {
    if size != SET_SIZE {
        return Err(Error(EINVAL));
    }
    Ok(SigSet(access::read_u64(at)?))
}

/// rt_sigaction(2).
fn action(thread: &mut Thread, args: &[u64; 6]) -> Result<i64, Error> {
    let [signal, new, old, size, ..] = *args;
    let signal = signal as i32;
    if size != SET_SIZE {
        return Err(Error(EINVAL));
    }
    let mut bytes = [0; Action::SIZE];
    if new != 0 {
        access::copy_in(&mut bytes, new)?;
    }
    if !crate::base::sigset::is_signal(signal) {
        return Err(Error(EINVAL));
    }
    let process = thread.process;
    let mut actions = process.actions.lock();
    let before = actions.get(signal);
    if new != 0 {
        let action = Action::decode(&bytes);
        actions.set(signal, action).map_err(Error)?;
        if action.disposition(signal) == Disposition::Ignore {
            thread.signals.discard(SigSet::EMPTY.with(signal));
        }
    }
    drop(actions);
    if old != 0 {
        copy_out(process, old, &before.encode())?;
    }
    Ok(0)
}

/// rt_sigprocmask(2).
fn procmask(thread: &mut Thread, args: &[u64; 6]) -> Result<Answer, Error> {
    let [how, new, old, size, ..] = *args;
    if size != SET_SIZE {
        return Err(Error(EINVAL));
    }
    let before = thread.signals.mask;
    if new != 0 {
        let set = read_set(new, size)?;
        let mask = match how as i32 {
            libc::SIG_BLOCK => before.union(set),
            libc::SIG_UNBLOCK => before.minus(set),
            libc::SIG_SETMASK => set,
            _ => return Err(Error(EINVAL)),
        };
        if !change_mask(thread, mask) {
            return Ok(again(thread, libc::SYS_rt_sigprocmask));
        }
    }
    if old != 0 {
        copy_out(thread.process, old, &before.0.to_le_bytes())?;
    }
    Ok(Answer::Value(0))
}

/// Changes the mask, unless a signal that the new one blocks was there before: it must be delivered first. Then the mask
/// stays and the answer is false. The host's mask is set before the look, so nothing comes in between.
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
fn again(thread: &mut Thread, nr: i64) -> Answer {
    Restart { nr: nr as u64, restartable: true }.rewind(thread.state());
    Answer::Done
}

/// rt_sigsuspend(2).
fn suspend(thread: &mut Thread, args: &[u64; 6]) -> Result<Answer, Error> {
    let mask = read_set(args[0], args[1])?;
    let before = thread.signals.mask;
    if !change_mask(thread, mask) {
        return Ok(again(thread, libc::SYS_rt_sigsuspend));
    }
    thread.signals.saved = Some(before);
    Ok(pause())
}

/// pause(2): waits for a signal of no set, which only a handler ends.
fn pause() -> Answer {
    // EINTR is the only way out.
    let _ = host::wait(SigSet::EMPTY, None);
    Answer::Interrupted { restart: false }
}

/// rt_sigpending(2).
fn pending(thread: &mut Thread, args: &[u64; 6]) -> Result<i64, Error> {
    let [at, size, ..] = *args;
    let bytes = usize::try_from(size).ok().filter(|_| size <= SET_SIZE).ok_or(Error(EINVAL))?;
    thread.signals.collect(thread.cpu.ring());
    let set = host::pending().union(thread.signals.waiting()).intersection(thread.signals.mask);
    copy_out(thread.process, at, &set.0.to_le_bytes()[..bytes])?;
    Ok(0)
}

/// rt_sigtimedwait(2).
fn timed_wait(thread: &mut Thread, args: &[u64; 6]) -> Result<Answer, Error> {
    let [set, info, timeout, size, ..] = *args;
    let set = read_set(set, size)?.minus(SigSet::UNBLOCKABLE);
    let deadline = match (timeout, thread.left) {
        (0, _) => None,
        (_, Some(Left { time: [seconds, nanoseconds], .. })) => {
            Some(Instant::now() + Duration::new(seconds, nanoseconds as u32))
        }
        (at, None) => Some(deadline(at)?),
    };
    let found = match wait(thread, set, deadline) {
        Ok(found) => found,
        // Only a handler ends the wait.
        Err(EINTR) => return Ok(Answer::Interrupted { restart: false }),
        Err(e) => return Err(Error(e)),
    };
    if info != 0 {
        copy_out(thread.process, info, found.bytes())?;
    }
    Ok(Answer::Value(found.signal().into()))
}

/// When a timeout in guest memory ends; one that is beyond all clocks is as good as the longest.
fn deadline(at: u64) -> Result<Instant, Error> {
    let (seconds, nanoseconds) = (access::read_u64(at)?, access::read_u64(at.wrapping_add(8))?);
    if nanoseconds >= 1_000_000_000 || seconds > i64::MAX as u64 {
        return Err(Error(EINVAL));
    }
    const LONGEST: u64 = 1 << 32;
    let span = Duration::new(seconds.min(LONGEST), nanoseconds as u32);
    Ok(Instant::now() + span)
}

/// Waits for a signal of the set, first among those that were taken already. Work that other threads ask for is looked after
/// without ending the wait.
pub(super) fn wait(thread: &mut Thread, set: SigSet, deadline: Option<Instant>) -> Result<SigInfo, i32> {
    loop {
        thread.signals.collect(thread.cpu.ring());
        if let Some(info) = thread.signals.next_of(set) {
            return Ok(info);
        }
        let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
        let left =
            left.map(|d| Timespec { seconds: d.as_secs() as i64, nanoseconds: d.subsec_nanos().into() });
        match host::wait(set, left) {
            Err(EINTR) if thread.cpu.pending() => {}
            result => return result,
        }
        thread.cpu.clear_pending();
        open(thread);
        drop(thread.process.exclusive.lock());
        if thread.process.succession.claimed() {
            thread.cpu.beacon().nudge();
            return Err(EINTR);
        }
        thread.signals.collect(thread.cpu.ring());
        if thread.signals.waiting().minus(set).minus(thread.signals.mask) != SigSet::EMPTY {
            thread.cpu.beacon().nudge();
            return Err(EINTR);
        }
    }
}

/// sigaltstack(2).
fn alternate_stack(thread: &mut Thread, args: &[u64; 6]) -> Result<i64, Error> {
    let [new, old, ..] = *args;
    let sp = thread.state().gpr[4];
    let before = thread.signals.stack.report(sp);
    if new != 0 {
        let mut bytes = [0; AlternateStack::SIZE];
        access::copy_in(&mut bytes, new)?;
        thread.signals.stack.replace(AlternateStack::decode(&bytes), sp).map_err(Error)?;
    }
    if old != 0 {
        copy_out(thread.process, old, &before.encode())?;
    }
    Ok(0)
}

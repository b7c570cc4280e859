//! The host's side of signals: raw calls, the alternate stack, and the x87 state, which lives in the
//! processor.
//!
//! The calls are made without the C library, which keeps signals 32 and 33 for itself; here all 64 are the
//! guest's.

use super::info::SigInfo;
use crate::base::sigset::SigSet;
use crate::guest::layout;
use crate::host::call::{interruptible, raw, result};
use crate::runtime::stop;
use nix::errno::Errno;
use std::arch::{asm, global_asm};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The action has a restorer, without which x86-64 delivers nothing.
pub(super) const SA_RESTORER: u64 = 0x0400_0000;
/// Bytes of the kernel's `sigset_t`.
pub(super) const SET_SIZE: u64 = 8;

global_asm!(
    ".text",
    ".globl rxbox_signal_return",
    "rxbox_signal_return:",
    "mov eax, {nr}",
    "syscall",
    nr = const libc::SYS_rt_sigreturn,
);

unsafe extern "C" {
    fn rxbox_signal_return();
}

/// The kernel's `struct sigaction`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[repr(C)]
pub(super) struct Action {
    handler: u64,
    flags: u64,
    restorer: u64,
    mask: u64,
}

impl Action {
    /// The default action (0) or ignoring (1), with the flags that concern children.
    pub(super) fn fixed(handler: u64, flags: u64) -> Action {
        Action { handler: u64::from(handler == 1), flags, restorer: 0, mask: 0 }
    }

    /// The runtime's handler, with the flags that concern children.
    pub(super) fn runtime(flags: u64) -> Action {
        Action {
            handler: stop::handler_address() as u64,
            flags: flags | (libc::SA_SIGINFO | libc::SA_ONSTACK) as u64 | SA_RESTORER,
            restorer: rxbox_signal_return as *const () as u64,
            mask: u64::MAX,
        }
    }
}

/// rt_sigaction(2). Fails only for signals that have no action, for which there is nothing to set.
pub(super) fn set_action(signal: i32, action: &Action) {
    let args = [signal as u64, std::ptr::from_ref(action) as u64, 0, SET_SIZE, 0, 0];
    // SAFETY: the kernel reads one action, borrowed here. The handler is the runtime's, made for every thread
    // of the process once it has a CPU state; a thread without one has all signals blocked.
    unsafe { raw(libc::SYS_rt_sigaction, args) };
}

/// Sets the calling thread's mask.
pub(super) fn set_mask(mask: SigSet) {
    let args = [libc::SIG_SETMASK as u64, &raw const mask.0 as u64, 0, SET_SIZE, 0, 0];
    // SAFETY: the kernel reads one set, which lives here. Signals that become unblocked go to the runtime's
    // handler.
    unsafe { raw(libc::SYS_rt_sigprocmask, args) };
}

/// What waits in the kernel for this thread or its process.
pub(super) fn pending() -> SigSet {
    let mut set = SigSet::EMPTY;
    let args = [&raw mut set.0 as u64, SET_SIZE, 0, 0, 0, 0];
    // SAFETY: the kernel writes one set, which lives here.
    unsafe { raw(libc::SYS_rt_sigpending, args) };
    set
}

/// Seconds and nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub(super) struct Timespec {
    pub(super) seconds: i64,
    pub(super) nanoseconds: i64,
}

/// Waits until a signal of the set is there and takes it; without a set's signal, until the timeout (`None`:
/// never) or until a handler ran or work is pending.
///
/// # Errors
/// EAGAIN after the timeout, EINTR, EINVAL for a bad timeout.
pub(super) fn wait(set: SigSet, timeout: Option<Timespec>) -> Result<SigInfo, Errno> {
    let mut info = [0u8; SigInfo::SIZE];
    let timeout = timeout.as_ref().map_or(0, |t| std::ptr::from_ref(t) as u64);
    let args = [&raw const set.0 as u64, info.as_mut_ptr() as u64, timeout, SET_SIZE, 0, 0];
    // SAFETY: the kernel reads the set and the timeout and writes one siginfo; all of them live here.
    let status = unsafe { interruptible(libc::SYS_rt_sigtimedwait, args) };
    result(status).map(|_| SigInfo::received(info))
}

/// Takes a signal that waits in the kernel for this thread or its process, if there is one.
pub(super) fn take_pending() -> Option<SigInfo> {
    let (set, at_once) = (SigSet::ALL, Timespec { seconds: 0, nanoseconds: 0 });
    let mut info = [0u8; SigInfo::SIZE];
    let args = [&raw const set.0 as u64, info.as_mut_ptr() as u64, &raw const at_once as u64, SET_SIZE, 0, 0];
    // SAFETY: the kernel reads the set and the time and writes one siginfo; all of them live here.
    let status = unsafe { raw(libc::SYS_rt_sigtimedwait, args) };
    (status > 0).then(|| SigInfo::received(info))
}

/// What the runtime's handler queued, as bytes.
pub(super) fn received(info: &libc::siginfo_t) -> SigInfo {
    const { assert!(size_of::<libc::siginfo_t>() == SigInfo::SIZE) };
    // SAFETY: a siginfo is 128 bytes without padding that matters: the kernel filled all of them.
    SigInfo::received(unsafe { std::ptr::from_ref(info).cast::<[u8; SigInfo::SIZE]>().read() })
}

/// Raises a signal in the calling thread, with its default action, and lets it through. Comes back only if
/// that is to stop, once the process goes on, or to do nothing.
pub(super) fn act_by_default(signal: i32) {
    set_action(signal, &Action::fixed(0, 0));
    let set = SigSet::EMPTY.with(signal);
    let unblock = [libc::SIG_UNBLOCK as u64, &raw const set.0 as u64, 0, SET_SIZE, 0, 0];
    // SAFETY: the calls read one set, which lives here, and end or stop the process.
    let (thread, sent) = unsafe {
        let process = raw(libc::SYS_getpid, [0; 6]) as u64;
        let thread = raw(libc::SYS_gettid, [0; 6]) as u64;
        raw(libc::SYS_rt_sigprocmask, unblock);
        (thread, raw(libc::SYS_tgkill, [process, thread, signal as u64, 0, 0, 0]))
    };
    if sent != 0 {
        raise_by_timer(signal, thread);
    }
}

/// The filter lets only the process that installed it send signals. In one that was forked off later, a timer
/// does it: the kernel lets a timer signal no other process.
fn raise_by_timer(signal: i32, thread: u64) {
    let mut event: Event = [0; 64];
    event[8..12].copy_from_slice(&signal.to_le_bytes());
    event[12..16].copy_from_slice(&libc::SIGEV_THREAD_ID.to_le_bytes());
    event[16..20].copy_from_slice(&(thread as u32).to_le_bytes());
    let Ok(timer) = timer_create(libc::CLOCK_MONOTONIC as u64, Some(&event)) else { return };
    let mut soon: Interval = [0; 32];
    soon[24..32].copy_from_slice(&1u64.to_le_bytes());
    let set = interval_call(IntervalCall::Settime(0), timer as u64, Some(&soon), None);
    if set.is_err() {
        return;
    }
    let (none, limit) = (SigSet::EMPTY, Timespec { seconds: 1, nanoseconds: 0 });
    let args = [&raw const none.0 as u64, 0, &raw const limit as u64, SET_SIZE, 0, 0];
    // SAFETY: the kernel reads a set and a time, which live here. The wait ends when the signal has had its
    // effect.
    unsafe { raw(libc::SYS_rt_sigtimedwait, args) };
    let _ = timer_delete(timer);
}

/// Ends the process by a signal whose default action is to terminate.
pub(super) fn end_by(signal: i32) -> ! {
    set_mask(SigSet::ALL);
    act_by_default(signal);
    // Only the kernel's refusal to make a timer leads here: the status still tells.
    // SAFETY: ends the process.
    unsafe { libc::_exit(128 + signal) }
}

/// `struct itimerval` or `struct itimerspec`.
pub(super) type Interval = [u8; 32];
/// `struct sigevent`.
pub(super) type Event = [u8; 64];

/// A call that sets or reads a timer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum IntervalCall {
    /// getitimer(2).
    Getitimer,
    /// setitimer(2).
    Setitimer,
    /// timer_gettime(2).
    Gettime,
    /// timer_settime(2) with its flags.
    Settime(u64),
}

/// Sets the timer to `new` and gives its `old` value, as far as the call does.
pub(super) fn interval_call(
    call: IntervalCall,
    timer: u64,
    new: Option<&Interval>,
    old: Option<&mut Interval>,
) -> Result<i64, Errno> {
    let new = new.map_or(0, |bytes| bytes.as_ptr() as u64);
    let old = old.map_or(0, |bytes| bytes.as_mut_ptr() as u64);
    let (nr, args) = match call {
        IntervalCall::Getitimer => (libc::SYS_getitimer, [timer, old, 0, 0, 0, 0]),
        IntervalCall::Setitimer => (libc::SYS_setitimer, [timer, new, old, 0, 0, 0]),
        IntervalCall::Gettime => (libc::SYS_timer_gettime, [timer, old, 0, 0, 0, 0]),
        IntervalCall::Settime(flags) => (libc::SYS_timer_settime, [timer, flags, new, old, 0, 0]),
    };
    // SAFETY: the pointers are null or borrowed structures of the size that the kernel reads or writes.
    result(unsafe { raw(nr, args) })
}

/// alarm(2): seconds that were left of the one before.
pub(super) fn alarm(seconds: u32) -> i64 {
    // SAFETY: no pointers.
    unsafe { raw(libc::SYS_alarm, [seconds.into(), 0, 0, 0, 0, 0]) }
}

/// timer_create(2): the new timer's number.
///
/// # Errors
/// As timer_create(2).
pub(super) fn timer_create(clock: u64, event: Option<&Event>) -> Result<i32, Errno> {
    let mut timer = 0i32;
    let event = event.map_or(0, |bytes| bytes.as_ptr() as u64);
    let args = [clock, event, &raw mut timer as u64, 0, 0, 0];
    // SAFETY: the kernel reads the event, if there is one, and writes the number; both live here.
    result(unsafe { raw(libc::SYS_timer_create, args) }).map(|_| timer)
}

/// timer_getoverrun(2).
///
/// # Errors
/// As timer_getoverrun(2).
pub(super) fn timer_getoverrun(timer: u64) -> Result<i64, Errno> {
    // SAFETY: no pointers.
    result(unsafe { raw(libc::SYS_timer_getoverrun, [timer, 0, 0, 0, 0, 0]) })
}

/// timer_delete(2).
///
/// # Errors
/// As timer_delete(2).
pub(super) fn timer_delete(timer: i32) -> Result<i64, Errno> {
    // SAFETY: no pointers.
    result(unsafe { raw(libc::SYS_timer_delete, [timer as u64, 0, 0, 0, 0, 0]) })
}

/// The alternate signal stack of a host thread: the runtime's handler never runs on a guest stack. Gone with
/// the value, on the thread that made it.
#[derive(Debug)]
pub(super) struct AltStack {
    base: *mut libc::c_void,
    size: usize,
}

/// Room for the handler.
const HANDLER_ROOM: usize = 64 * 1024;
const PAGE: usize = layout::PAGE as usize;
/// Alternate stacks of threads that have ended, for the next ones; 0 where there is none. All have the same
/// size. No lock: a process that is forked off meanwhile has them, too.
static SPARE: [AtomicUsize; 32] = [const { AtomicUsize::new(0) }; 32];

impl AltStack {
    /// Makes a spare one or a new one, with a guard page, the calling thread's.
    ///
    /// # Errors
    /// As mmap(2), mprotect(2), sigaltstack(2).
    pub(super) fn install() -> io::Result<AltStack> {
        // SAFETY: reads the auxiliary vector.
        let frame = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
        let size = PAGE + HANDLER_ROOM + frame.next_multiple_of(PAGE);
        let spare = SPARE.iter().map(|place| place.swap(0, Ordering::AcqRel)).find(|&base| base != 0);
        let base = match spare {
            Some(base) => base as *mut libc::c_void,
            None => Self::map(size)?,
        };
        let stack = AltStack { base, size };
        // SAFETY: the mapping but for its lowest page, as the stack for as long as the value lives.
        let status = unsafe {
            let usable = libc::stack_t { ss_sp: base.byte_add(PAGE), ss_flags: 0, ss_size: size - PAGE };
            libc::sigaltstack(&usable, std::ptr::null_mut())
        };
        if status == 0 { Ok(stack) } else { Err(io::Error::last_os_error()) }
    }

    fn map(size: usize) -> io::Result<*mut libc::c_void> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;
        // SAFETY: a new mapping wherever the kernel likes.
        let base = unsafe {
            libc::mmap(std::ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the mapping's lowest page; if it cannot be a guard, the mapping goes.
        unsafe {
            if libc::mprotect(base, PAGE, libc::PROT_NONE) != 0 {
                let error = io::Error::last_os_error();
                libc::munmap(base, size);
                return Err(error);
            }
        }
        Ok(base)
    }
}

impl Drop for AltStack {
    fn drop(&mut self) {
        let none = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        // SAFETY: the value does not leave its thread, so the stack is this thread's; it is not in use, since
        // no handler is running.
        if unsafe { libc::sigaltstack(&none, std::ptr::null_mut()) } != 0 {
            return;
        }
        let empty = |place: &&AtomicUsize| {
            place.compare_exchange(0, self.base as usize, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        if SPARE.iter().find(empty).is_none() {
            // SAFETY: mapped by `map`, and neither the kernel nor `SPARE` knows it any more.
            unsafe { libc::munmap(self.base, self.size) };
        }
    }
}

/// The 512 bytes of FXSAVE (Intel SDM 1, 10.5.1).
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct Legacy(pub(super) [u8; 512]);

impl Legacy {
    /// Offset of the x87 instruction pointer.
    const POINTER: usize = 8;

    /// Of the processor: the guest's x87 state, and vector registers that are the runtime's.
    pub fn save() -> Legacy {
        let mut image = Legacy([0; 512]);
        // SAFETY: 512 bytes, aligned to 16.
        unsafe { asm!("fxsave64 [{0}]", in(reg) image.0.as_mut_ptr(), options(nostack, preserves_flags)) };
        image
    }

    /// Where the last x87 instruction lies.
    pub fn instruction_pointer(&self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|i| self.0[Legacy::POINTER + i]))
    }

    /// Changes what is said of that.
    pub(super) fn set_instruction_pointer(&mut self, pc: u64) {
        self.0[Legacy::POINTER..Legacy::POINTER + 8].copy_from_slice(&pc.to_le_bytes());
    }

    /// Makes the x87 state the processor's. The vector registers of the image are taken for nothing.
    pub(super) fn load_x87(&self) {
        let mut image = *self;
        // SAFETY: 512 bytes, aligned to 16. The control word of the vector unit stays what it is, and so has
        // no reserved bit set; nothing of the x87 part can fault here. All vector registers are declared as
        // lost. No code of the runtime uses the x87 unit.
        unsafe {
            asm!("stmxcsr [{0} + 24]", "fxrstor64 [{0}]", in(reg) image.0.as_mut_ptr(),
                clobber_abi("sysv64"), options(nostack));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_x87_state_is_loaded_and_the_runtimes_mxcsr_stays() {
        let before = Legacy::save();
        let mut image = before;
        image.0[0..2].copy_from_slice(&0x027fu16.to_le_bytes());
        image.0[24..28].copy_from_slice(&0xffff_ffffu32.to_le_bytes());
        image.load_x87();
        let after = Legacy::save();
        before.load_x87();
        assert_eq!(after.0[0..2], 0x027fu16.to_le_bytes());
        assert_eq!(after.0[24..28], before.0[24..28]);
        assert_eq!(Legacy::save().0[0..24], before.0[0..24]);
    }

    #[test]
    fn an_alternate_stack_is_the_threads_until_it_is_dropped() {
        let current = || {
            let mut now = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: 0, ss_size: 0 };
            // SAFETY: writes one structure.
            assert_eq!(unsafe { libc::sigaltstack(std::ptr::null(), &mut now) }, 0);
            now
        };
        std::thread::spawn(move || {
            let stack = AltStack::install().unwrap();
            let now = current();
            assert_eq!(now.ss_flags, 0);
            assert!(now.ss_size >= HANDLER_ROOM && now.ss_sp as usize == stack.base as usize + PAGE);
            drop(stack);
            assert_eq!(current().ss_flags, libc::SS_DISABLE);
        })
        .join()
        .unwrap();
    }

    /// The signal that ends a process which does `act`.
    fn signal_of_a_child_that(act: impl FnOnce()) -> i32 {
        // SAFETY: the child makes host calls only, none of which needs what other threads may hold.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                act();
                libc::_exit(0);
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(child, &mut status, 0), child);
            if libc::WIFSIGNALED(status) { libc::WTERMSIG(status) } else { 0 }
        }
    }

    #[test]
    fn a_process_ends_by_the_very_signal_even_if_it_was_blocked_and_ignored() {
        for signal in [libc::SIGTERM, libc::SIGSEGV, libc::SIGTRAP, 32, 64] {
            let act = || {
                set_action(signal, &Action::fixed(1, 0));
                end_by(signal)
            };
            assert_eq!(signal_of_a_child_that(act), signal);
        }
    }

    #[test]
    fn a_timer_ends_a_process_that_may_not_send_signals() {
        for signal in [libc::SIGTERM, libc::SIGBUS, 33] {
            let act = || {
                set_action(signal, &Action::fixed(0, 0));
                set_mask(SigSet::EMPTY);
                // SAFETY: no arguments.
                raise_by_timer(signal, unsafe { raw(libc::SYS_gettid, [0; 6]) } as u64);
            };
            assert_eq!(signal_of_a_child_that(act), signal);
        }
    }
}

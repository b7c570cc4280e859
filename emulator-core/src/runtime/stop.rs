//! Stopping translated code: the host's signal handler.
//!
//! Every signal that the child can take comes here, on an alternate stack (the host's rsp is the guest's
//! while translated code runs). What the handler does depends only on where it found the thread:
//!
//! | host pc in | what happens |
//! | --- | --- |
//! | the code cache | the thread is sent to the epilogue: it stops *at this instruction* |
//! | the prologue | sent back to the cpu loop: nothing of the guest has run |
//! | the guest-memory copy routine | a fault makes it return short |
//! | an interruptible host call that has not entered the kernel | made to return EINTR |
//! | anywhere else in the runtime | a signal is queued and `pending` set; a fault is a bug and kills the process |
//!
//! In the code cache the registers are copied to [`RawStop`](super::state::RawStop), for which state recovery
//! finds the guest state. Blocks never poll and nothing is unlinked.
//!
//! The handler takes no lock and allocates nothing: signals wait in a ring that the same thread empties. What
//! it queues closes the thread's mask: the next signal comes when this one is delivered. Otherwise a source
//! of signals that is faster than the runtime (a timer) would not let the thread come to the delivery, and
//! the ring would run over.

use super::cache::CodeCache;
use super::enter;
use super::state::CpuState;
use crate::base::sigset::SigSet;
use crate::guest::access;
use crate::host::{call, fatal};
use rxbox_wire::relay;
use std::arch::global_asm;
use std::cell::UnsafeCell;
use std::mem::offset_of;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, compiler_fence};

/// Signals that wait to be looked at by the cpu loop, oldest first. Written by the handler and read by the
/// cpu loop of the same thread, so ordering is only a matter for the compiler.
#[repr(C)]
pub struct SignalRing {
    head: AtomicUsize,
    tail: AtomicUsize,
    slots: UnsafeCell<[libc::siginfo_t; RING]>,
    closed: AtomicBool,
}

const RING: usize = 128;

impl Default for SignalRing {
    fn default() -> Self {
        // SAFETY: siginfo_t is plain old data for which zero is a value.
        let slots = unsafe { std::mem::zeroed() };
        SignalRing {
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            slots: UnsafeCell::new(slots),
            closed: AtomicBool::new(false),
        }
    }
}

impl SignalRing {
    /// Appends from the handler. A full ring loses the signal, as a full kernel queue does for real-time
    /// signals; standard signals cannot fill it, because one that is already in the ring is not queued again.
    fn push(&self, info: &libc::siginfo_t) {
        let (head, tail) = (self.head.load(Ordering::Relaxed), self.tail.load(Ordering::Relaxed));
        // SAFETY: only this thread touches the ring, and the handler cannot be interrupted by itself (all
        // signals are blocked in it).
        let slots = unsafe { &mut *self.slots.get() };
        let standard = info.si_signo < 32;
        if standard && (head..tail).any(|i| slots[i % RING].si_signo == info.si_signo) {
            return;
        }
        if tail - head < RING {
            slots[tail % RING] = *info;
            compiler_fence(Ordering::Release);
            self.tail.store(tail + 1, Ordering::Relaxed);
        }
    }

    /// Takes the oldest signal. To be called with all signals blocked, or by a loop that looks again after
    /// `pending` was cleared.
    pub fn pop(&self) -> Option<libc::siginfo_t> {
        let (head, tail) = (self.head.load(Ordering::Relaxed), self.tail.load(Ordering::Relaxed));
        if head == tail {
            return None;
        }
        compiler_fence(Ordering::Acquire);
        // SAFETY: the slot was filled before `tail` moved past it, and `push` does not reuse it before `head`
        // moves.
        let info = unsafe { (*self.slots.get())[head % RING] };
        self.head.store(head + 1, Ordering::Relaxed);
        Some(info)
    }

    /// Whether the handler has closed the thread's mask since this was last asked: then it has to be set
    /// again.
    pub fn was_closed(&self) -> bool {
        self.closed.swap(false, Ordering::Relaxed)
    }

    /// Whether a signal waits.
    pub fn is_empty(&self) -> bool {
        self.head.load(Ordering::Relaxed) == self.tail.load(Ordering::Relaxed)
    }
}

/// What the GS base of a guest thread points at: the CPU state first, since translated code addresses it.
#[repr(C)]
pub struct ThreadArea {
    /// The CPU state.
    pub cpu: CpuState,
    /// Signals that arrived.
    pub ring: SignalRing,
}

const _: () = assert!(offset_of!(ThreadArea, cpu) == 0);

unsafe extern "C" {
    fn rxbox_signal_entry();
}

global_asm!(
    ".text",
    ".p2align 4",
    ".globl rxbox_signal_entry",
    "rxbox_signal_entry:",
    // The interrupted code may run with the guest's FS base: thread-local storage first.
    "push rbx",
    "rdfsbase rbx",
    "mov rax, gs:[{host_fs_base}]",
    "wrfsbase rax",
    // The guest's AC flag would make the handler's own unaligned accesses fault; sigreturn(2) brings it back.
    "push 0x202",
    "popfq",
    "call {handler}",
    "wrfsbase rbx",
    "pop rbx",
    "ret",
    host_fs_base = const offset_of!(CpuState, host_fs_base),
    handler = sym on_signal,
);

/// Address for sigaction(2), to be installed with SA_SIGINFO and SA_ONSTACK and all signals masked.
pub fn handler_address() -> usize {
    rxbox_signal_entry as *const () as usize
}

/// The area of the calling thread.
fn area() -> *mut ThreadArea {
    let p: *mut ThreadArea;
    // SAFETY: reads a register.
    unsafe { std::arch::asm!("rdgsbase {0}", out(reg) p, options(nomem, nostack, preserves_flags)) };
    p
}

/// ucontext's gregs index of general register n.
pub const GREG: [usize; 16] = [
    libc::REG_RAX as usize,
    libc::REG_RCX as usize,
    libc::REG_RDX as usize,
    libc::REG_RBX as usize,
    libc::REG_RSP as usize,
    libc::REG_RBP as usize,
    libc::REG_RSI as usize,
    libc::REG_RDI as usize,
    libc::REG_R8 as usize,
    libc::REG_R9 as usize,
    libc::REG_R10 as usize,
    libc::REG_R11 as usize,
    libc::REG_R12 as usize,
    libc::REG_R13 as usize,
    libc::REG_R14 as usize,
    libc::REG_R15 as usize,
];

/// Whether the signal was raised by the instruction that it interrupted.
fn is_fault(info: &libc::siginfo_t) -> bool {
    let raised =
        matches!(info.si_signo, libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE | libc::SIGTRAP);
    raised && info.si_code > 0
}

/// Queues a signal for the guest, if it is not one that only kicks the thread, and sees to it that no other
/// comes before it was looked at. `mask` is what the interrupted code goes on with.
fn queue(ring: &SignalRing, info: &libc::siginfo_t, mask: &mut libc::sigset_t) {
    if (info.si_signo, info.si_code) != (relay::KICK_SIGNAL, relay::KICK_CODE) {
        ring.push(info);
    }
    // SAFETY: the set is as large as the word in which the kernel has its 64 signals.
    unsafe { *std::ptr::from_mut(mask).cast::<u64>() |= SigSet::ALL.on_host().0 };
    ring.closed.store(true, Ordering::Relaxed);
}

/// A fault of the runtime's own code. Tells the log if there is one, and restores the signal's default
/// action, so that the faulting instruction, executed again, ends the process by that signal. (The filter
/// lets nobody send one.)
fn let_fault_kill(signal: i32, pc: u64) {
    fatal::emergency(signal, pc);
    let default = [libc::SIG_DFL as u64, 0, 0, 0];
    let args = [signal as u64, default.as_ptr() as u64, 0, 8, 0, 0];
    // SAFETY: the kernel's `struct sigaction` is handler, flags, restorer and a mask of 8 bytes; it is only
    // read.
    unsafe { call::raw(libc::SYS_rt_sigaction, args) };
}

/// # Safety
/// Called by the kernel with valid pointers, on a thread whose GS base is its [`ThreadArea`].
unsafe extern "C" fn on_signal(_: i32, info: *const libc::siginfo_t, context: *mut libc::ucontext_t) {
    // SAFETY: the kernel's own pointers, and the area that the thread adopted before it unblocked signals.
    let (info, context, area) = unsafe { (&*info, &mut *context, area()) };
    let gregs = &mut context.uc_mcontext.gregs;
    let pc = gregs[libc::REG_RIP as usize] as u64;
    let fault = is_fault(info);
    if fault && let Some(landing) = access::fixup(pc as usize) {
        gregs[libc::REG_RIP as usize] = landing as i64;
        return;
    }
    // SAFETY: this thread's own area, which nothing else refers to while the handler runs but as raw memory:
    // the cpu loop is suspended inside `enter` or between two of its own accesses to atomics.
    let (cpu, ring) = unsafe { (&raw mut (*area).cpu, &(*area).ring) };
    if CodeCache::has_reserved(pc) {
        // SAFETY: as above; `raw` is only read after the epilogue.
        let raw = unsafe { &mut (*cpu).raw };
        for (slot, at) in raw.gpr.iter_mut().zip(GREG) {
            *slot = gregs[at] as u64;
        }
        raw.pc = pc;
        raw.rflags = gregs[libc::REG_EFL as usize] as u64;
        raw.signal = 0;
        if fault {
            raw.signal = info.si_signo;
            raw.code = info.si_code;
            // SAFETY: the faults all carry an address.
            raw.addr = unsafe { info.si_addr() } as u64;
            raw.trapno = gregs[libc::REG_TRAPNO as usize] as u64;
            raw.error_code = gregs[libc::REG_ERR as usize] as u64;
        } else {
            queue(ring, info, &mut context.uc_sigmask);
            // SAFETY: an atomic.
            unsafe { (*cpu).pending.store(1, Ordering::Relaxed) };
        }
        gregs[libc::REG_RIP as usize] = enter::stopped_address() as i64;
        return;
    }
    if fault {
        let_fault_kill(info.si_signo, pc);
        return;
    }
    queue(ring, info, &mut context.uc_sigmask);
    // SAFETY: an atomic.
    unsafe { (*cpu).pending.store(1, Ordering::Relaxed) };
    if enter::in_prologue(pc) {
        gregs[libc::REG_RIP as usize] = enter::abort_address() as i64;
    } else if let Some(landing) = call::interrupted_before_kernel(pc) {
        gregs[libc::REG_RIP as usize] = landing as i64;
    }
}

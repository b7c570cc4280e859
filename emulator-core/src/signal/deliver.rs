//! Delivery: calling guest handlers, returning from them, and dying by signals that nobody handles.
//!
//! A handler is called by building the frame that Linux builds ([`super::frame`]) and pointing the registers
//! at the handler; sigreturn(2) takes such a frame back. In between the runtime remembers nothing, so a guest
//! may leave a handler by longjmp, or return to a frame that it made itself.

use super::action::{Action, Disposition, SA_NODEFER, SA_RESTART};
use super::fault::{Fault, trap};
use super::frame::{self, Frame, LastTrap, Registers, Returned};
use super::host::{self, Legacy, SA_RESTORER, Timespec};
use super::info::{SI_KERNEL, SigInfo};
use super::ptrace::{self, Resumed};
use super::xstate::{self, Bad, Layout};
use crate::base::sigset::SigSet;
use crate::guest::access;
use crate::process::Process;
use crate::runtime::state::{CpuState, RESUME_FLAG, RETURN_FLAGS, TRAP_FLAG};
use crate::thread::{Thread, request};
use libc::SIGSEGV;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use std::time::Instant;

/// Trap flag, resume flag, direction flag: clear when a handler starts.
const HANDLER_CLEARS: u64 = TRAP_FLAG | RESUME_FLAG | 1 << 10;
/// Bytes of the `syscall` instruction.
const SYSCALL_SIZE: u64 = 2;

/// A system call that a signal interrupted; the pc is behind its instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restart {
    /// Its number.
    pub nr: u64,
    /// Whether it goes on after a handler with SA_RESTART (signal(7)). Without a handler it goes on in any
    /// case.
    pub restartable: bool,
}

impl Restart {
    /// Makes the registers those of the call's end, or of its beginning. `action` is the handler that is
    /// about to run.
    fn apply(self, state: &mut CpuState, action: Option<&Action>) {
        let again = action.is_none_or(|a| self.restartable && a.flags & SA_RESTART != 0);
        if again {
            self.rewind(state);
        } else {
            state.gpr[0] = -i64::from(libc::EINTR) as u64;
        }
    }

    /// Puts the registers back to before the call.
    pub(super) fn rewind(self, state: &mut CpuState) {
        state.pc = state.pc.wrapping_sub(SYSCALL_SIZE);
        state.gpr[0] = self.nr;
    }
}

/// Delivers what arrived and is not blocked. To be called by the cpu loop while work is pending, after the
/// flag was cleared, and with the call that was interrupted, if there was one. Whether that is to be made
/// again without a handler having run.
pub fn deliver(thread: &mut Thread, restart: Option<Restart>) -> bool {
    let mut restart = restart;
    while let Some(info) = next(thread) {
        let Resumed { signal, changed } = ptrace::before_delivery(thread, info);
        if changed {
            // What goes on is what the tracer has put there.
            restart = None;
        }
        let Some(info) = signal else { continue };
        let signal = info.signal();
        let action = thread.process.actions.lock().take(signal);
        match action.disposition(signal) {
            Disposition::Ignore => {}
            Disposition::Stop => {
                if !ptrace::group_stop(thread, signal) {
                    host::act_by_default(signal);
                    thread.process.actions.lock().restore(signal);
                }
            }
            Disposition::Terminate => {
                ptrace::ending(thread, signal);
                host::end_by(signal)
            }
            Disposition::Handle => {
                if let Some(restart) = restart.take() {
                    restart.apply(thread.state(), Some(&action));
                }
                handle(thread, &info, &action);
            }
        }
    }
    if let Some(restart) = restart {
        restart.apply(thread.state(), None);
    }
    if let Some(mask) = thread.signals.saved.take() {
        set_mask(thread, mask);
    }
    thread.traced.call = None;
    restart.is_some()
}

/// The next signal to be delivered. When there is none in the ring any more, what waits in the kernel may
/// come.
fn next(thread: &mut Thread) -> Option<SigInfo> {
    loop {
        thread.signals.collect(thread.cpu.ring());
        let next = thread.signals.next();
        if next.is_some() || !reopen(thread) {
            return next;
        }
    }
}

/// Sets the host thread's mask again if a signal has closed it. What waits in the kernel and is not blocked
/// has then come.
pub(super) fn reopen(thread: &Thread) -> bool {
    let closed = thread.cpu.ring().was_closed();
    if closed {
        host::set_mask(thread.signals.mask.on_host());
    }
    closed
}

/// A fault of the guest instruction at the pc: the signal is delivered at once, or, if it is blocked or not
/// handled, ends the process (the kernel's `force_sig`).
pub fn raise(thread: &mut Thread, fault: Fault) {
    // The processor sets it for what is raised before the instruction has completed (Intel SDM 3B, 18.3.1.1).
    if !fault.is_trap() {
        thread.state().rflags |= RESUME_FLAG;
    }
    let cr2 = if fault.trap == trap::PAGE_FAULT { fault.addr } else { thread.signals.trap.cr2 };
    thread.signals.trap = LastTrap { number: fault.trap, error_code: fault.error_code, cr2 };
    force(thread, &fault.info(), fault.addr);
}

/// The kernel's own SIGSEGV for an instruction that it could not carry out for the guest; the last trap stays
/// what it was.
pub fn force_sigsegv(thread: &mut Thread) {
    thread.state().rflags |= RESUME_FLAG;
    force(thread, &SigInfo::fault(SIGSEGV, SI_KERNEL, 0), 0);
}

fn force(thread: &mut Thread, info: &SigInfo, addr: u64) {
    let signal = info.signal();
    match ptrace::before_delivery(thread, *info).signal {
        Some(info) if info.signal() == signal => {}
        other => {
            // The tracer has taken it, or put another in its place.
            thread.signals.add(other.into_iter().collect());
            return thread.cpu.kick();
        }
    }
    let blocked = thread.signals.mask.contains(signal);
    let action = thread.process.actions.lock().take(signal);
    if blocked || action.disposition(signal) != Disposition::Handle {
        die(thread, signal, addr);
    }
    handle(thread, info, &action);
}

/// Calls a guest handler. If its frame cannot be written the guest gets SIGSEGV instead, and dies if that was
/// the signal.
fn handle(thread: &mut Thread, info: &SigInfo, action: &Action) {
    let signal = info.signal();
    if push(thread, info, action).is_ok() {
        thread.signals.saved = None;
        let own = if action.flags & SA_NODEFER == 0 { SigSet::EMPTY.with(signal) } else { SigSet::EMPTY };
        let mask = thread.signals.mask.union(action.mask).union(own);
        set_mask(thread, mask);
        ptrace::in_handler(thread);
    } else if signal == SIGSEGV {
        let addr = thread.state().gpr[4];
        die(thread, SIGSEGV, addr);
    } else {
        force(thread, &SigInfo::fault(SIGSEGV, SI_KERNEL, 0), 0);
    }
}

/// Builds the frame and enters the handler.
fn push(thread: &mut Thread, info: &SigInfo, action: &Action) -> Result<(), Bad> {
    if action.flags & SA_RESTORER == 0 {
        return Err(Bad);
    }
    let layout = layout(thread.process);
    let (signals, state) = (&mut thread.signals, thread.cpu.state());
    let sizes = (layout.frame_size() as u64, frame::SIZE as u64);
    let place = signals.stack.place(state.gpr[4], action.flags, sizes.0, sizes.1).ok_or(Bad)?;
    let mut x87 = Legacy::save();
    x87.set_instruction_pointer(thread.process.x87_pointer(x87.instruction_pointer()));
    let xstate = xstate::encode(state, &x87, &layout);
    let frame = Frame {
        restorer: action.restorer,
        registers: &Registers { gpr: state.gpr, pc: state.pc, rflags: state.rflags },
        stack: signals.stack,
        trap: signals.trap,
        mask: signals.saved.unwrap_or(signals.mask),
        xstate: place.xstate,
        info,
    }
    .encode();
    // A stack that grows down makes room for it.
    thread.process.copy_out(place.xstate, &xstate)?;
    thread.process.copy_out(place.frame, &frame)?;
    thread.signals.stack.entered();
    let state = thread.state();
    state.gpr[7] = info.signal() as u64;
    state.gpr[6] = place.frame + frame::INFO as u64;
    state.gpr[2] = place.frame + frame::UCONTEXT as u64;
    state.gpr[0] = 0;
    state.gpr[4] = place.frame;
    state.pc = action.handler;
    state.rflags &= !HANDLER_CLEARS;
    xstate::clear_vectors(state);
    xstate::initial_x87().load_x87();
    Ok(())
}

fn layout(process: &Process) -> Layout {
    Layout::new(process.cpuid.xcr0(), |n| process.cpuid.query(0xd, n))
}

/// rt_sigreturn(2): goes on where the frame at the stack pointer says. A frame that cannot be taken raises
/// SIGSEGV.
pub(super) fn sigreturn(thread: &mut Thread) {
    if take_back(thread).is_err() {
        force(thread, &SigInfo::fault(SIGSEGV, SI_KERNEL, 0), 0);
    }
}

fn take_back(thread: &mut Thread) -> Result<(), Bad> {
    // The handler's `ret` has taken the return address, the frame's first word, off the stack.
    let at = thread.state().gpr[4].wrapping_sub(8).wrapping_add(frame::UCONTEXT as u64);
    let mut uc = [0; frame::UCONTEXT_SIZE];
    access::copy_in(&mut uc, at)?;
    let returned = Returned::decode(&uc);
    set_mask(thread, returned.mask);
    let layout = layout(thread.process);
    let state = thread.state();
    let Registers { gpr, pc, rflags } = returned.registers;
    (state.gpr, state.pc) = (gpr, pc);
    state.rflags = state.rflags & !RETURN_FLAGS | rflags & RETURN_FLAGS;
    let x87 = if returned.xstate == 0 {
        xstate::clear_vectors(state);
        xstate::initial_x87()
    } else {
        let mask = xstate::mxcsr_mask(&Legacy::save());
        xstate::decode(state, &layout, returned.xstate, mask, |at, to| Ok(access::copy_in(to, at)?))?
    };
    x87.load_x87();
    // As in the kernel: a stack that cannot be set again is not an error.
    let _ = thread.signals.stack.replace(returned.stack, gpr[4]);
    if returned.segments_valid { Ok(()) } else { Err(Bad) }
}

/// Sets the guest's mask and with it the host thread's. Signals that were taken and become unblocked are
/// delivered before the next guest instruction.
pub(super) fn set_mask(thread: &mut Thread, mask: SigSet) {
    let mask = mask.minus(SigSet::UNBLOCKABLE);
    let before = std::mem::replace(&mut thread.signals.mask, mask);
    if !reopen(thread) && before.on_host() != mask.on_host() {
        host::set_mask(mask.on_host());
    }
    if thread.signals.waiting().minus(mask) != SigSet::EMPTY {
        thread.cpu.kick();
    }
}

/// Waits for a signal of the set, first among those that were taken already. Work that other threads ask for
/// is looked after without ending the wait.
pub(super) fn wait(thread: &mut Thread, set: SigSet, deadline: Option<Instant>) -> Result<SigInfo, Errno> {
    loop {
        thread.signals.collect(thread.cpu.ring());
        if let Some(info) = thread.signals.next_of(set) {
            return Ok(info);
        }
        let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
        let left =
            left.map(|d| Timespec { seconds: d.as_secs() as i64, nanoseconds: d.subsec_nanos().into() });
        match host::wait(set, left) {
            Err(Errno::EINTR) if thread.cpu.pending() => {}
            result => return result,
        }
        thread.cpu.clear_pending();
        reopen(thread);
        drop(thread.process.exclusive.lock());
        if thread.process.exec.claimed() || thread.slot.wants_attention() {
            thread.cpu.kick();
            return Err(Errno::EINTR);
        }
        thread.signals.collect(thread.cpu.ring());
        if thread.signals.waiting().minus(set).minus(thread.signals.mask) != SigSet::EMPTY {
            thread.cpu.kick();
            return Err(Errno::EINTR);
        }
    }
}

/// Tells the supervisor, and ends the process by the signal.
fn die(thread: &mut Thread, signal: i32, addr: u64) -> ! {
    let pc = thread.state().pc;
    let name = Signal::try_from(signal).map_or("a signal", Signal::as_str);
    request::report(thread, &format!("killed by {name} at pc {pc:#x}, address {addr:#x}"));
    thread.process.release_parent();
    ptrace::ending(thread, signal);
    host::end_by(signal)
}

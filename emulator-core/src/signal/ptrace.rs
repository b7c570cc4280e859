//! The traced side of ptrace(2).
//!
//! A thread stops where its guest state is complete: in the cpu loop, at a system call, before a signal is
//! delivered. It stops by a request to the supervisor, which hands its registers over and is answered by what
//! the tracer wants: to read and write memory, and in the end to go on ([`rxbox_wire::ptrace`]). The
//! supervisor decides whether there is a stop at all, and keeps who traces whom; a thread knows only how it
//! was told to go on ([`crate::thread::traced`]).
//!
//! Invariants:
//! * A traced thread asks at every point where it might have to stop, so what the thread knows may be late
//!   but is never too little: it is told to look up ([`attend`]) when it gets a tracer.
//! * No lock is held while a thread is stopped, and signals wait as they do in any request of the runtime's.
//! * In a process with a traced thread every signal comes to the runtime, whatever its action: a tracer sees
//!   also those that are ignored.

use super::frame::Registers;
use super::host::{self, Legacy};
use super::info::SigInfo;
use super::xstate::{self, Layout};
use crate::base::sigset::SigSet;
use crate::guest::layout::PAGE;
use crate::guest::{HostMap, Prot, Span, access};
use crate::process::Process;
use crate::runtime::state::{CpuState, RETURN_FLAGS};
use crate::thread::{Thread, request};
use nix::errno::Errno;
use rxbox_wire::ptrace::{EXTENDED, GENERAL, MASK, Mode, Order, PIECE, StopKind, word};

/// Selectors of 64-bit user mode on Linux.
const USER_CS: u64 = 0x33;
const USER_SS: u64 = 0x2b;
/// The flags that a tracer may set (the kernel's FLAG_MASK): those of a signal frame, and NT.
const SETTABLE: u64 = RETURN_FLAGS | 1 << 14;
/// Numbers of the general registers in the order of `struct user_regs_struct`, up to rdi.
const ORDER: [usize; 15] = [15, 14, 13, 12, 5, 3, 11, 10, 9, 8, 0, 1, 2, 6, 7];

/// How a stopped thread goes on.
#[derive(Clone, Copy, Debug)]
pub struct Resumed {
    /// With this signal.
    pub signal: Option<SigInfo>,
    /// Its registers were changed.
    pub changed: bool,
}

/// Stops, if the supervisor says so.
fn stop(thread: &mut Thread, kind: StopKind, value: u64, info: Option<&SigInfo>) -> Resumed {
    let state = encode(thread);
    let mut order = request::trace_stop(thread, kind, value, info, &state);
    loop {
        let answer = match order {
            Order::Resume { mode, signal, state } => {
                set_mode(thread, mode);
                let none = thread.traced.call.is_none();
                let changed = state.is_some_and(|state| decode(thread, &state));
                if none && kind == StopKind::Signal {
                    repeat_call(thread);
                }
                return Resumed { signal: signal.map(SigInfo::told), changed };
            }
            Order::Read { addr, len } => Ok(peek(thread.process, addr, (len as usize).min(PIECE))),
            Order::Write { addr, bytes } => poke(thread.process, addr, &bytes).map(|()| Vec::new()),
            Order::Tell(view) => {
                if let Some(view) = request::View::of(view) {
                    request::view(thread, view);
                }
                Ok(Vec::new())
            }
        };
        order = request::trace_obeyed(thread, answer);
    }
}

/// A tracer that makes the thread do something else in the middle of a call puts back what it found there:
/// the call is then made again, as by the kernel.
fn repeat_call(thread: &mut Thread) {
    /// ERESTARTSYS to ERESTART_RESTARTBLOCK.
    const RESTARTS: std::ops::RangeInclusive<i64> = -516..=-512;
    if let Some(nr) = thread.traced.call
        && RESTARTS.contains(&(thread.state().gpr[0] as i64))
    {
        let state = thread.state();
        (state.pc, state.gpr[0]) = (state.pc.wrapping_sub(2), nr);
    }
}

fn set_mode(thread: &mut Thread, mode: Mode) {
    let before = std::mem::replace(&mut thread.traced.mode, mode);
    thread.single_step = mode.contains(Mode::STEP);
    if mode.contains(Mode::TRACED) && !before.contains(Mode::TRACED) {
        thread.process.actions.lock().watch(SigSet::ALL);
    }
}

/// The supervisor wants this thread to look up: it may be traced from now on, or be wanted to stop. Whether
/// its registers were changed.
pub fn attend(thread: &mut Thread) -> bool {
    let resumed = stop(thread, StopKind::Attention, 0, None);
    arrive(thread, resumed);
    resumed.changed
}

/// This process is to be traced by its parent (PTRACE_TRACEME): from now on it asks.
pub fn trace_me(thread: &mut Thread) {
    set_mode(thread, thread.traced.mode | Mode::TRACED);
}

/// A signal with which the thread goes on arrives now.
fn arrive(thread: &mut Thread, resumed: Resumed) {
    if let Some(info) = resumed.signal {
        thread.signals.add(vec![info]);
        thread.cpu.kick();
    }
}

/// Before a signal is delivered: the signal to deliver in its place, if any.
pub(super) fn before_delivery(thread: &mut Thread, info: SigInfo) -> Resumed {
    if !thread.traced.is_traced() || info.signal() == libc::SIGKILL {
        return Resumed { signal: Some(info), changed: false };
    }
    stop(thread, StopKind::Signal, info.signal() as u64, Some(&info))
}

/// A handler is about to be entered: who steps stops at its first instruction.
pub(super) fn in_handler(thread: &mut Thread) {
    if thread.single_step {
        thread.single_step = false;
        let info = SigInfo::fault(libc::SIGTRAP, libc::SIGTRAP, 0);
        stop(thread, StopKind::Signal, libc::SIGTRAP as u64, Some(&info));
    }
}

/// The process is stopped by this signal; comes back when this thread goes on. Whether the tracer has the say
/// in that.
pub(super) fn group_stop(thread: &mut Thread, signal: i32) -> bool {
    if !thread.traced.is_traced() {
        return false;
    }
    let resumed = stop(thread, StopKind::Group, signal as u64, None);
    arrive(thread, resumed);
    true
}

/// An event of those that a tracer can ask for (`PTRACE_EVENT_*`), with its message.
pub fn event(thread: &mut Thread, event: i32, message: u64) {
    if thread.traced.is_traced() {
        let value = (event as u64) << 32 | message & u64::from(u32::MAX);
        let resumed = stop(thread, StopKind::Event, value, None);
        arrive(thread, resumed);
    }
}

/// The thread, or with it the process, is about to end with this wait status.
pub fn ending(thread: &mut Thread, status: i32) {
    if thread.traced.is_traced() {
        stop(thread, StopKind::Ending, status as u64, None);
    }
}

/// Before a system call, whose number and arguments are in the registers: the number and the arguments may
/// have changed. The result is set to what a call that is not made gives.
pub fn call_entry(thread: &mut Thread) {
    let number = thread.state().gpr[0];
    thread.traced.call = Some(number);
    thread.state().gpr[0] = -i64::from(libc::ENOSYS) as u64;
    let resumed = stop(thread, StopKind::CallEntry, 0, None);
    arrive(thread, resumed);
}

/// Behind a system call, with the result in the registers. Whether they were changed.
pub fn call_exit(thread: &mut Thread) -> bool {
    let resumed = stop(thread, StopKind::CallExit, 0, None);
    arrive(thread, resumed);
    resumed.changed
}

fn layout(process: &Process) -> Layout {
    Layout::new(process.cpuid.xcr0(), |n| process.cpuid.query(0xd, n))
}

/// The thread's state as bytes: `struct user_regs_struct`, signal mask, NT_X86_XSTATE.
fn encode(thread: &mut Thread) -> Vec<u8> {
    let layout = layout(thread.process);
    let (call, mask) = (thread.traced.call.unwrap_or(u64::MAX), thread.signals.mask());
    let state = thread.state();
    let mut words = [0u64; GENERAL / 8];
    for (to, n) in words.iter_mut().zip(ORDER) {
        *to = state.gpr[n];
    }
    let rest = [call, state.pc, USER_CS, state.rflags, state.gpr[4], USER_SS, state.fs_base, state.gs_base];
    words[word::ORIG_RAX..word::ORIG_RAX + rest.len()].copy_from_slice(&rest);
    let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    bytes.extend(mask.0.to_le_bytes());
    bytes.extend(xstate::register_set(state, &Legacy::save(), &layout));
    bytes
}

/// Takes the state back; whether the call under way is another now, or is none.
fn decode(thread: &mut Thread, bytes: &[u8]) -> bool {
    let Some((words, rest)) = bytes.split_at_checked(GENERAL) else { return false };
    let Some((mask, extended)) = rest.split_first_chunk::<{ EXTENDED - MASK }>() else { return false };
    let word = |i: usize| u64::from_le_bytes(std::array::from_fn(|k| words[8 * i + k]));
    let layout = layout(thread.process);
    let before = thread.state();
    let before = Registers { gpr: before.gpr, pc: before.pc, rflags: before.rflags };
    let call = Some(word(word::ORIG_RAX)).filter(|&n| n != u64::MAX);
    let state = thread.state();
    for (i, n) in ORDER.into_iter().enumerate() {
        state.gpr[n] = word(i);
    }
    state.gpr[4] = word(word::RSP);
    state.pc = word(word::RIP);
    state.rflags = state.rflags & !SETTABLE | word(18) & SETTABLE;
    (state.fs_base, state.gs_base) = (word(21), word(22));
    let moved = (state.pc, state.gpr[0]) != (before.pc, before.gpr[0]);
    take_extended(state, &layout, extended);
    let other = std::mem::replace(&mut thread.traced.call, call) != call;
    let mask = SigSet(u64::from_le_bytes(*mask)).minus(SigSet::UNBLOCKABLE);
    if mask != thread.signals.mask() {
        thread.signals.mask = mask;
        host::set_mask(mask.on_host());
        thread.cpu.kick();
    }
    moved || other
}

fn take_extended(state: &mut CpuState, layout: &Layout, bytes: &[u8]) {
    if let Some(x87) = xstate::take_register_set(state, layout, bytes, &Legacy::save()) {
        x87.load_x87();
    }
}

/// The part of a page that begins at `addr` and is at most so long.
fn part(addr: u64, len: usize) -> (Span, usize) {
    let page = addr / PAGE * PAGE;
    (Span { start: page, end: page + PAGE }, len.min((page + PAGE - addr) as usize))
}

/// Reads guest memory for a tracer, whatever its protection: as many bytes as there are.
fn peek(process: &Process, addr: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut done = 0;
    while done < len {
        let at = addr.wrapping_add(done as u64);
        let (page, n) = part(at, len - done);
        let mut guard = process.memory.lock();
        let memory = &mut *guard;
        let Some(area) = memory.space.query(at).cloned() else { break };
        let piece = &mut bytes[done..done + n];
        let hidden = !area.prot.read && !area.prot.exec && !area.is_special();
        if hidden && memory.host.protect(page, Prot::READ).is_err() {
            break;
        }
        let read = access::copy_in(piece, at);
        if hidden {
            // It was so before.
            let _ = memory.host.protect(page, area.prot);
        }
        drop(guard);
        if let Err(fault) = read {
            done += fault.done;
            break;
        }
        done += n;
    }
    bytes.truncate(done);
    bytes
}

/// Writes guest memory for a tracer: also what the guest may not write, if nobody else sees it.
fn poke(process: &Process, addr: u64, bytes: &[u8]) -> Result<(), Errno> {
    let mut done = 0;
    while done < bytes.len() {
        let at = addr.wrapping_add(done as u64);
        let (_, n) = part(at, bytes.len() - done);
        process.force_out(at, &bytes[done..done + n])?;
        done += n;
    }
    Ok(())
}

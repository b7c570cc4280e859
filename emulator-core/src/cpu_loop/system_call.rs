//! A guest system call: to the supervisor and back.
//!
//! Every call is sent. What the supervisor performed or answered comes back with its result; what it
//! *granted* the child carries out itself, under its own filter ([`granted`]).

use super::granted;
use crate::base::result::SyscallResult;
use crate::signal::deliver::{self, Restart};
use crate::signal::{calls, descriptor, ptrace};
use crate::syscall::rlimit::Rlimit;
use crate::syscall::{marshal, memory, shm, terminal, tracing, transfer};
use crate::thread::Thread;
use crate::thread::restart_block::Deadline;
use rxbox_wire::frame::Reply;
use rxbox_wire::kind::{Bulk, Syscall};
use rxbox_wire::sizes::INTERNAL;
use rxbox_wire::table;

/// Carries out the call whose number and arguments are in the registers; the pc is behind the `syscall`
/// instruction.
pub(super) fn system_call(thread: &mut Thread) {
    let state = thread.state();
    // The instruction itself: return address and flags in rcx and r11 (AMD64 manual, volume 3, SYSCALL).
    state.gpr[1] = state.pc;
    state.gpr[11] = state.rflags;
    let nr = state.gpr[0];
    if thread.traced.is_traced() { traced(thread, nr) } else { make(thread, nr) }
}

/// The call of a thread that is traced, between two stops if its tracer wants them.
fn traced(thread: &mut Thread, nr: u64) {
    let mut nr = nr;
    thread.traced.call = Some(nr);
    if thread.traced.stops_at_calls() {
        ptrace::call_entry(thread);
        nr = thread.traced.call.unwrap_or(u64::MAX);
    }
    make(thread, nr);
    thread.traced.call = None;
}

/// Makes the call of this number, with the arguments in the registers.
fn make(thread: &mut Thread, nr: u64) {
    let state = thread.state();
    let mut args = [state.gpr[7], state.gpr[6], state.gpr[2], state.gpr[10], state.gpr[8], state.gpr[9]];
    let pc = state.pc;
    let kept = thread.deadline.take();
    // The kernel looks at the lower half only. The x32 bit and all above are no numbers of this table.
    let Some(call) = Some(nr as u32).filter(|&n| n < INTERNAL).and_then(table::row) else {
        if !thread.traced.stops_at_calls() {
            thread.state().gpr[0] = -i64::from(libc::ENOSYS) as u64;
        }
        return made(thread);
    };
    let (deadline, remaining) = Deadline::begin(call, &mut args, pc, kept);
    thread.remaining = remaining;
    match perform(thread, call, args) {
        SyscallResult::Value(value) => {
            thread.state().gpr[0] = value as u64;
            made(thread);
        }
        SyscallResult::Interrupted { restart } => {
            let again = Restart { nr, restartable: restart };
            let again = (!stopped_in(thread, again, deadline.is_some())).then_some(again);
            if deliver::deliver(thread, again) {
                thread.deadline = deadline;
            }
        }
        SyscallResult::Continued => thread.state().gpr[0] = -i64::from(libc::EINTR) as u64,
        // The call itself set the registers (sigreturn, exec) or the thread ends.
        SyscallResult::Done => made(thread),
    }
}

/// A call is over: a tracer may want to see it.
fn made(thread: &mut Thread) {
    if thread.traced.stops_at_calls() && thread.exit.is_none() {
        ptrace::call_exit(thread);
    }
}

/// Stops for a tracer in a call that was interrupted; whether the tracer has given the thread something else
/// to do. It sees the kernel's own results of such calls.
fn stopped_in(thread: &mut Thread, again: Restart, timed: bool) -> bool {
    const ERESTARTSYS: i64 = 512;
    const ERESTARTNOHAND: i64 = 514;
    const ERESTART_RESTARTBLOCK: i64 = 516;
    let (exits, attends) = (thread.traced.stops_at_calls(), thread.slot.wants_attention());
    if !exits && !attends && !thread.traced.is_traced() {
        return false;
    }
    let code = match again.restartable {
        true => ERESTARTSYS,
        false if timed => ERESTART_RESTARTBLOCK,
        false => ERESTARTNOHAND,
    };
    thread.state().gpr[0] = -code as u64;
    thread.traced.call = Some(again.nr);
    let changed = exits && ptrace::call_exit(thread);
    let attended = thread.slot.take_attention() && ptrace::attend(thread);
    changed || attended
}

/// Has the call made with these arguments.
pub(super) fn perform(thread: &mut Thread, call: &'static Syscall, args: [u64; 6]) -> SyscallResult {
    match call.bulk(&args) {
        Bulk::AtOnce => {}
        Bulk::Pieces(shape) => return transfer::transfer(thread, call, args, shape),
        Bulk::Message => return transfer::send_message(thread, call, args),
        Bulk::Map { unless: Some(_) } => return memory::map_file(thread, call, args),
        Bulk::Map { unless: None } => return shm::attach(thread, call, args),
    }
    if i64::from(call.nr) == libc::SYS_ptrace {
        return tracing::ptrace(thread, call, &args);
    }
    let limit = Rlimit::of(call.nr, &args);
    let exchanged = calls::with_mask(thread, call, &args, |thread| marshal::exchange(thread, call, &args));
    match exchanged {
        Ok(reply) if reply.flags & Reply::GRANTED != 0 => granted::carry_out(thread, call, &args, reply.ret),
        Ok(reply) if makes_signal_descriptor(call.nr) && reply.ret >= 0 => {
            descriptor::made(thread, args[1]);
            SyscallResult::from(&reply)
        }
        Ok(reply) if reply.flags & Reply::TAKE != 0 => {
            terminal::take_opened(thread, reply.ret);
            SyscallResult::from(&reply)
        }
        Ok(reply) => {
            if let Some(limit) = limit.filter(|_| reply.ret == 0) {
                limit.put_on(&mut thread.process.memory.lock().space);
            }
            SyscallResult::from(&reply)
        }
        Err(e) => e.into(),
    }
}

fn makes_signal_descriptor(nr: u32) -> bool {
    matches!(i64::from(nr), libc::SYS_signalfd | libc::SYS_signalfd4)
}

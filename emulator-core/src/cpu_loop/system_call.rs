//! A guest system call: to the supervisor and back.
//!
//! Every call is sent. What the supervisor performed or answered comes back with its result; what it
//! *granted* the child carries out itself, under its own filter ([`granted`]).

use super::granted;
use crate::base::result::SyscallResult;
use crate::signal::deliver::{self, Restart};
use crate::signal::{calls, descriptor};
use crate::syscall::rlimit::Rlimit;
use crate::syscall::{marshal, memory, shm, transfer};
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
    let nr = state.gpr[0];
    let mut args = [state.gpr[7], state.gpr[6], state.gpr[2], state.gpr[10], state.gpr[8], state.gpr[9]];
    // The instruction itself: return address and flags in rcx and r11 (AMD64 manual, volume 3, SYSCALL).
    state.gpr[1] = state.pc;
    state.gpr[11] = state.rflags;
    let pc = state.pc;
    let kept = thread.deadline.take();
    // The kernel looks at the lower half only. The x32 bit and all above are no numbers of this table.
    let Some(call) = Some(nr as u32).filter(|&n| n < INTERNAL).and_then(table::row) else {
        thread.state().gpr[0] = -i64::from(libc::ENOSYS) as u64;
        return;
    };
    let (deadline, remaining) = Deadline::begin(call, &mut args, pc, kept);
    thread.remaining = remaining;
    let result = perform(thread, call, args);
    match result {
        SyscallResult::Value(value) => thread.state().gpr[0] = value as u64,
        SyscallResult::Interrupted { restart } => {
            if deliver::deliver(thread, Some(Restart { nr, restartable: restart })) {
                thread.deadline = deadline;
            }
        }
        // The call itself set the registers (sigreturn, exec) or the thread ends.
        SyscallResult::Done => {}
    }
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
    let limit = Rlimit::of(call.nr, &args);
    let exchanged = calls::with_mask(thread, call, &args, |thread| marshal::exchange(thread, call, &args));
    match exchanged {
        Ok(reply) if reply.flags & Reply::GRANTED != 0 => granted::carry_out(thread, call, &args, reply.ret),
        Ok(reply) if makes_signal_descriptor(call.nr) && reply.ret >= 0 => {
            descriptor::made(thread, args[1]);
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

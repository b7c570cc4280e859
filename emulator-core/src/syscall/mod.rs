//! A guest system call: to the supervisor and back.
//!
//! Every call is sent. What the supervisor performed or answered comes back with its result; what it *granted* the child
//! carries out itself, under its own filter: [`memory`], [`crate::signal`], [`process`].

pub mod limit;
pub mod marshal;
pub mod memory;
pub mod message;
pub mod messages;
pub mod process;
pub mod request;
pub mod resource;
pub mod shm;
pub mod transfer;

use crate::channel::Slot;
use crate::guest::access;
use crate::process::Process;
use crate::signal::{self, Restart};
use crate::thread::Thread;
use limit::Limit;
use marshal::Error;
use resource::NewLimit;
use rxbox_wire::frame::{INTERNAL, Reply};
use rxbox_wire::kind::{Bulk, Syscall};
use rxbox_wire::table;

/// Carries out the call whose number and arguments are in the registers; the pc is behind the `syscall` instruction.
pub fn system_call(thread: &mut Thread) {
    let state = thread.state();
    let nr = state.gpr[0];
    let mut args = [state.gpr[7], state.gpr[6], state.gpr[2], state.gpr[10], state.gpr[8], state.gpr[9]];
    // The instruction itself: return address and flags in rcx and r11 (AMD64 manual, volume 3, SYSCALL).
    state.gpr[1] = state.pc;
    state.gpr[11] = state.rflags;
    let pc = state.pc;
    let kept = thread.limit.take();
    // The x32 bit and everything above are no numbers of this table.
    let Some(call) = u32::try_from(nr).ok().filter(|&n| n < INTERNAL).and_then(table::row) else {
        thread.state().gpr[0] = -i64::from(libc::ENOSYS) as u64;
        return;
    };
    let (limit, left) = Limit::begin(call, &mut args, pc, kept);
    thread.left = left;
    let answer = perform(thread, call, args);
    match answer {
        Answer::Value(value) => thread.state().gpr[0] = value as u64,
        Answer::Interrupted { restart } => {
            if signal::deliver(thread, Some(Restart { nr, restartable: restart })) {
                thread.limit = limit;
            }
        }
        // The call itself set the registers (sigreturn, exec) or the thread ends.
        Answer::Done => {}
    }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The value for rax.
    Value(i64),
    /// Broken off by a signal.
    Interrupted {
        /// Whether SA_RESTART makes it go on.
        restart: bool,
    },
    /// All registers are as they should be.
    Done,
}

impl From<Error> for Answer {
    fn from(e: Error) -> Answer {
        Answer::Value(-i64::from(e.0))
    }
}

fn perform(thread: &mut Thread, call: &'static Syscall, args: [u64; 6]) -> Answer {
    match call.bulk(&args) {
        Bulk::AtOnce => {}
        Bulk::Pieces(shape) => return transfer::transfer(thread, call, args, shape),
        Bulk::Message => return transfer::send_message(thread, call, args),
        Bulk::Map { unless: Some(_) } => return memory::map_file(thread, call, args),
        Bulk::Map { unless: None } => return shm::attach(thread, call, args),
    }
    let limit = NewLimit::of(call.nr, &args);
    let exchanged = signal::with_mask(thread, call, &args, |thread| marshal::exchange(thread, call, &args));
    match exchanged {
        Ok(reply) if reply.flags & Reply::GRANTED != 0 => granted(thread, call.nr, &args, reply.ret),
        Ok(reply) if makes_signal_descriptor(call.nr) && reply.ret >= 0 => {
            signal::descriptor_made(thread, args[1]);
            answer(&reply)
        }
        Ok(reply) => {
            if let Some(limit) = limit.filter(|_| reply.ret == 0) {
                limit.put_on(&mut thread.process.memory.lock().space);
            }
            answer(&reply)
        }
        Err(e) => e.into(),
    }
}

fn makes_signal_descriptor(nr: u32) -> bool {
    matches!(i64::from(nr), libc::SYS_signalfd | libc::SYS_signalfd4)
}

/// The answer that a reply gives.
pub fn answer(reply: &Reply) -> Answer {
    if reply.ret == -i64::from(libc::EINTR) {
        return Answer::Interrupted { restart: reply.flags & Reply::RESTART != 0 };
    }
    Answer::Value(reply.ret)
}

/// Carries out an approved call; `approved` is what the supervisor says besides.
fn granted(thread: &mut Thread, nr: u32, args: &[u64; 6], approved: i64) -> Answer {
    if i64::from(nr) == libc::SYS_shmdt {
        return shm::detach(thread, args[0]);
    }
    if let Some(answer) = memory::system_call(thread, nr, args) {
        return answer;
    }
    if let Some(answer) = signal::system_call(thread, nr, args) {
        return answer;
    }
    if let Some(answer) = process::system_call(thread, nr, args, approved) {
        return answer;
    }
    if let Some(answer) = messages::system_call(thread, nr, args) {
        return answer;
    }
    thread.process.log.line(&format!("system call {nr} was granted but is not one of the child's"));
    Answer::Value(-i64::from(libc::ENOSYS))
}

/// Writes guest memory. A page that is read-only only because code in it was translated is made writable first.
pub fn copy_out(process: &Process, addr: u64, bytes: &[u8]) -> Result<(), Error> {
    let mut done = 0;
    loop {
        match access::copy_out(addr + done as u64, &bytes[done..]) {
            Ok(()) => return Ok(()),
            Err(fault) => {
                done += fault.done;
                if !process.make_writable(addr + done as u64) {
                    return Err(Error(libc::EFAULT));
                }
            }
        }
    }
}

/// Copies `n` bytes of the data area to guest memory.
fn write_guest(process: &Process, slot: &Slot, start: usize, addr: u64, n: usize) -> Result<(), Error> {
    let mut done = 0;
    loop {
        let (from, room) = slot.data(start + done);
        let left = (n - done).min(room);
        // SAFETY: `left` bytes of the slot's data area, which this thread owns now.
        match unsafe { access::copy_out_raw(addr + done as u64, from, left) } {
            Ok(()) => return Ok(()),
            Err(fault) => {
                done += fault.done;
                if !process.make_writable(addr + done as u64) {
                    return Err(Error(libc::EFAULT));
                }
            }
        }
    }
}

//! The cpu loop of one guest thread: run translated code, look why it came out, act, go on.
//!
//! | exit | action |
//! | --- | --- |
//! | to another block | find or translate it, chain the exit to it |
//! | indirect look-up failed | find or translate, enter it in the tables |
//! | system call | [`crate::syscall`] |
//! | an instruction for the runtime | [`crate::emulate`] |
//! | stopped by a signal | recover the guest state at that host instruction; a fault goes to the guest, or was a store into translated code |
//! | pending work | deliver signals, wait for exclusive work to end |

use crate::emulate::{self, Outcome};
use crate::process::{FetchError, StoreFault, Want};
use crate::runtime::enter::EXIT_ABORTED;
use crate::runtime::state::ARITH_FLAGS;
use crate::signal;
use crate::syscall;
use crate::thread::Thread;
use rxbox_translate::emit::{EXIT_LOOKUP, EXIT_STOPPED, Exit, Mark, PcAt};
use rxbox_translate::ir::op::Reason;

/// The page-fault error code's bit for a write (Intel SDM 3A 4.7).
const WRITE_FAULT: u64 = 2;
/// The processor's number of a page fault.
const PAGE_FAULT: u64 = 14;

/// Runs the guest thread until it ends; returns its exit status.
pub fn run(thread: &mut Thread) -> i32 {
    let mut want = Want::default();
    loop {
        if let Some(status) = thread.exit {
            return status;
        }
        if thread.cpu.pending() {
            pending_work(thread);
            want = Want::default();
            continue;
        }
        let pc = thread.state().pc;
        let entry = match thread.process.resolve(pc, want) {
            Ok(entry) => entry,
            Err(e) => {
                fetch_fault(thread, e);
                want = Want::default();
                continue;
            }
        };
        thread.process.log.entering(pc);
        let exit = thread.cpu.enter(entry);
        let left = look_up(thread, exit);
        thread.cpu.outside();
        want = act(thread, left);
    }
}

/// How translated code was left, with all that only the blocks know of it.
enum Left {
    /// It was not entered.
    Aborted,
    /// An indirect branch that found no block.
    Lookup,
    /// Stopped by a signal, where the guest state is as the mark says.
    Stopped(Mark),
    /// By an exit with this number.
    Exit(u32, Exit),
}

/// Looks an exit up. The thread still counts as inside, so the blocks that it came from are there.
fn look_up(thread: &mut Thread, exit_id: u32) -> Left {
    match exit_id {
        EXIT_ABORTED => Left::Aborted,
        EXIT_LOOKUP => Left::Lookup,
        EXIT_STOPPED => {
            let pc = thread.state().raw.pc;
            match thread.process.blocks.lock().recover(pc) {
                Some(mark) => Left::Stopped(mark),
                None => crate::host::fatal::fatal(&format!("stopped at {pc:#x}, where no block lies")),
            }
        }
        _ => match thread.process.blocks.lock().left(exit_id) {
            Some(exit) => Left::Exit(exit_id, exit),
            None => crate::host::fatal::fatal(&format!("exit {exit_id} belongs to no block")),
        },
    }
}

/// Acts on an exit; returns how the next block is wanted.
fn act(thread: &mut Thread, left: Left) -> Want {
    match left {
        Left::Aborted => {}
        Left::Lookup => {
            let state = thread.state();
            state.pc = state.target;
            return Want { indirect: true, ..Want::default() };
        }
        Left::Stopped(mark) => return stopped(thread, &mark),
        Left::Exit(id, Exit::Goto { pc, .. }) => {
            thread.state().pc = pc;
            return Want { chain: Some(id), ..Want::default() };
        }
        Left::Exit(_, Exit::Leave { reason, pc }) => {
            thread.state().pc = pc;
            match reason {
                Reason::Syscall => syscall::system_call(thread),
                Reason::Step => {}
                Reason::ClearFpuPointer => emulate::clear_fpu_pointer(thread),
                Reason::Emulate => {
                    if let Outcome::Fault(fault) = emulate::instruction(thread) {
                        fault.raise(thread);
                    }
                }
            }
        }
    }
    Want::default()
}

/// A signal stopped translated code: puts the guest state together and, for a fault, acts on it.
fn stopped(thread: &mut Thread, mark: &Mark) -> Want {
    recover(thread, mark);
    let raw = thread.state().raw;
    if raw.signal == 0 {
        return Want::default();
    }
    let written = raw.trapno == PAGE_FAULT && raw.error_code & WRITE_FAULT != 0;
    if raw.signal == libc::SIGSEGV && written {
        match thread.process.store_fault(raw.addr) {
            StoreFault::Guarded => return Want { step: true, ..Want::default() },
            StoreFault::Passed if thread.faults.again(raw.addr) => return Want::default(),
            _ => {}
        }
    }
    if raw.signal == libc::SIGSEGV
        && raw.trapno == PAGE_FAULT
        && syscall::memory::grow_stack(thread, raw.addr)
    {
        return Want::default();
    }
    // Faults that name the instruction name the guest's.
    let at_instruction = matches!(raw.signal, libc::SIGILL | libc::SIGFPE | libc::SIGTRAP);
    let addr = if at_instruction { thread.state().pc } else { raw.addr };
    signal::fault(thread, raw.signal, raw.code, addr, raw.trapno, raw.error_code);
    Want::default()
}

/// The guest state at a mark, from the host registers of the stop.
fn recover(thread: &mut Thread, mark: &Mark) {
    let state = thread.state();
    let raw = state.raw;
    for (n, (home, host)) in state.gpr.iter_mut().zip(raw.gpr).enumerate() {
        if n >= 8 || mark.borrowed >> n & 1 == 0 {
            *home = host;
        }
    }
    state.pc = match mark.pc {
        PcAt::Known(pc) | PcAt::Along(pc) => pc,
        PcAt::Rcx => raw.gpr[1],
        PcAt::Target => state.target,
    };
    state.rflags = raw.rflags;
    if mark.flags_saved {
        state.rflags = raw.rflags & !ARITH_FLAGS | raw.rflags & 0x400 | saved_flags(state.stub_flags);
    }
}

/// The arithmetic flags out of what `lahf` and `seto al` left in rax.
fn saved_flags(rax: u64) -> u64 {
    (rax >> 8 & 0xd5) | (rax & 1) << 11
}

/// Signals to deliver, or exclusive work of another thread to wait for.
fn pending_work(thread: &mut Thread) {
    thread.cpu.clear_pending();
    drop(thread.process.exclusive.lock());
    if thread.process.succession.claimed() {
        thread.exit = Some(0);
        return;
    }
    signal::deliver(thread, None);
}

fn fetch_fault(thread: &mut Thread, e: FetchError) {
    /// The error code's bits for a user-mode instruction fetch.
    const FETCH: u64 = 0x14;
    let (code, addr, present) = match e {
        FetchError::Unmapped(addr) => (signal::SEGV_MAPERR, addr, 0),
        FetchError::NotExecutable(addr) => (signal::SEGV_ACCERR, addr, 1),
    };
    signal::fault(thread, libc::SIGSEGV, code, addr, PAGE_FAULT, FETCH | present);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_saved_by_the_stub_come_back_bit_for_bit() {
        for flags in 0..0x1000u64 {
            let flags = flags & (ARITH_FLAGS & !0x400);
            let rax = (flags & 0xff | 2) << 8 | flags >> 11 & 1;
            assert_eq!(saved_flags(rax), flags);
        }
    }
}

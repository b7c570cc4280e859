//! The cpu loop of one guest thread: run translated code, look why it came out, act, go on.
//!
//! | exit | action |
//! | --- | --- |
//! | to another block | find or translate it, chain the exit to it |
//! | indirect look-up failed | find or translate, enter it in the tables |
//! | system call | [`system_call`] |
//! | an instruction for the runtime | [`emulate`] |
//! | stopped by a signal | recover the guest state there; a fault is the guest's, or a store into translated code |
//! | the trap flag is set | [`step`]: one instruction at a time |
//! | pending work | deliver signals, wait for exclusive work to end |

mod emulate;
pub mod granted;
mod step;
mod system_call;

use crate::host::fatal::fatal;
use crate::host::thread::is_leader;
use crate::lifecycle::{de_thread, exit};
use crate::process::stores::StoreFault;
use crate::process::translate::{BlockRequest, FetchError};
use crate::runtime::blocks::HostEntry;
use crate::runtime::cache::CodeCache;
use crate::runtime::enter::EXIT_ABORTED;
use crate::runtime::state::ARITH_FLAGS;
use crate::signal::deliver::{deliver, raise};
use crate::signal::fault::{Fault, page_fault, trap};
use crate::signal::info::SEGV_MAPERR;
use crate::thread::Thread;
use rxbox_translate::emit::{EXIT_LOOKUP, EXIT_STOPPED, Exit, Mark, PcAt};
use rxbox_translate::ir::op::Reason;

/// The life of a guest thread from its first instruction on. Comes back when it has ended; the first thread
/// of a process does not, but takes on the programs that other threads execute.
pub fn live(mut thread: Thread) {
    loop {
        let status = run(&mut thread);
        if !is_leader() {
            return exit::exit_thread(thread, status);
        }
        de_thread::run_leader(&mut thread, status);
    }
}

/// Runs the guest thread until it ends; returns its exit status.
fn run(thread: &mut Thread) -> i32 {
    let mut request = BlockRequest::default();
    loop {
        if let Some(status) = thread.exit {
            return status;
        }
        if thread.cpu.pending() {
            pending_work(thread);
            request = BlockRequest::default();
            continue;
        }
        if step::is_wanted(thread) {
            step::one(thread);
            request = BlockRequest::default();
            continue;
        }
        let pc = thread.state().pc;
        let entry = match thread.process.resolve(pc, request) {
            Ok(entry) => entry,
            Err(e) => {
                fetch_fault(thread, e);
                request = BlockRequest::default();
                continue;
            }
        };
        thread.process.log.entering(pc);
        let exit = enter(thread, entry);
        request = act(thread, exit).request();
    }
}

/// How translated code was left, with all that only the blocks know of it.
enum BlockExit {
    /// It was not entered.
    Aborted,
    /// An indirect branch that found no block.
    Lookup,
    /// Stopped by a signal; the guest state is put together.
    Stopped,
    /// By an exit with this number.
    Exit(u32, Exit),
}

/// What came of guest code that was run.
enum Went {
    /// The instructions have completed. The next block is wanted like this.
    On(BlockRequest),
    /// The last one was a system call.
    Called,
    /// The one at the pc has not completed: it has raised a signal, or is to be tried again like this.
    Stopped(BlockRequest),
}

impl Went {
    fn request(self) -> BlockRequest {
        match self {
            Went::On(request) | Went::Stopped(request) => request,
            Went::Called => BlockRequest::default(),
        }
    }
}

/// Runs translated code.
fn enter(thread: &mut Thread, entry: HostEntry) -> BlockExit {
    let exit_id = thread.cpu.enter(entry);
    let exit = look_up(thread, exit_id);
    thread.cpu.outside();
    exit
}

/// Looks an exit up. The thread still counts as inside, so the blocks that it came from are there.
fn look_up(thread: &mut Thread, exit_id: u32) -> BlockExit {
    match exit_id {
        EXIT_ABORTED => BlockExit::Aborted,
        EXIT_LOOKUP => BlockExit::Lookup,
        EXIT_STOPPED => {
            let pc = thread.state().raw.pc;
            let mark = thread.process.blocks.lock().recover(pc);
            match mark {
                Some(mark) => recover(thread, &mark),
                None => fatal(&format!("stopped at {pc:#x}, where no block lies")),
            }
            BlockExit::Stopped
        }
        _ => match thread.process.blocks.lock().exit(exit_id) {
            Some(exit) => BlockExit::Exit(exit_id, exit),
            None => fatal(&format!("exit {exit_id} belongs to no block")),
        },
    }
}

/// Acts on an exit.
fn act(thread: &mut Thread, exit: BlockExit) -> Went {
    match exit {
        BlockExit::Aborted => Went::Stopped(BlockRequest::default()),
        BlockExit::Lookup => {
            let state = thread.state();
            state.pc = state.target;
            Went::On(BlockRequest { indirect: true, ..BlockRequest::default() })
        }
        BlockExit::Stopped => Went::Stopped(stopped(thread)),
        BlockExit::Exit(id, Exit::Goto { pc, .. }) => {
            thread.state().pc = pc;
            Went::On(BlockRequest { chain: Some(id), ..BlockRequest::default() })
        }
        BlockExit::Exit(_, Exit::Leave { reason, pc }) => {
            thread.state().pc = pc;
            match reason {
                Reason::Syscall => {
                    system_call::system_call(thread);
                    return Went::Called;
                }
                Reason::Step => {}
                Reason::ClearFpuPointer => emulate::clear_fpu_pointer(thread),
                Reason::Emulate => {
                    if let Err(fault) = emulate::instruction(thread) {
                        raise(thread, fault);
                        return Went::Stopped(BlockRequest::default());
                    }
                }
            }
            Went::On(BlockRequest::default())
        }
    }
}

/// A signal stopped translated code: acts on it if it is a fault.
fn stopped(thread: &mut Thread) -> BlockRequest {
    let raw = thread.state().raw;
    if raw.signal == 0 {
        return BlockRequest::default();
    }
    let written = raw.trapno == trap::PAGE_FAULT && raw.error_code & page_fault::WRITE != 0;
    if raw.signal == libc::SIGSEGV && written {
        match thread.process.store_fault(raw.addr) {
            StoreFault::Unprotected => return BlockRequest { step: true, ..BlockRequest::default() },
            StoreFault::Passed if thread.faults.again(raw.addr) => return BlockRequest::default(),
            _ => {}
        }
    }
    if raw.signal == libc::SIGSEGV && raw.trapno == trap::PAGE_FAULT && thread.process.grow_stack(raw.addr) {
        return BlockRequest::default();
    }
    // Faults that name the instruction name the guest's.
    let at_instruction = matches!(raw.signal, libc::SIGILL | libc::SIGFPE | libc::SIGTRAP);
    let addr = if at_instruction { thread.state().pc } else { raw.addr };
    let (signal, trap, error_code) = (raw.signal, raw.trapno, raw.error_code);
    // What the code cache has reserved and not opened is nothing to the guest.
    let reserved = signal == libc::SIGSEGV && CodeCache::has_reserved(raw.addr);
    let code = if reserved { SEGV_MAPERR } else { raw.code };
    raise(thread, Fault { signal, code, addr, trap, error_code });
    BlockRequest::default()
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
    if thread.process.exec.claimed() {
        thread.exit = Some(0);
        return;
    }
    deliver(thread, None);
}

fn fetch_fault(thread: &mut Thread, e: FetchError) {
    let fault = match e {
        FetchError::Unmapped(addr) => Fault::unmapped(addr, page_fault::FETCH),
        FetchError::NotExecutable(addr) => Fault::not_allowed(addr, page_fault::FETCH),
    };
    raise(thread, fault);
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

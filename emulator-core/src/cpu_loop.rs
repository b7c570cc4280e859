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

mod act;
mod emulate;
mod enter;
mod fetch;
pub mod granted;
mod step;
mod stopped;
mod system_call;
mod vsyscall;

use crate::host::thread::is_leader;
use crate::lifecycle::{de_thread, exit};
use crate::process::translate::BlockRequest;
use crate::signal::deliver::deliver;
use crate::signal::ptrace;
use crate::thread::Thread;

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
        if enter::is_stepping(thread) {
            step::one(thread);
            request = BlockRequest::default();
            continue;
        }
        let pc = thread.state().pc;
        let entry = match thread.process.resolve(pc, request) {
            Ok(entry) => entry,
            Err(e) => {
                if !vsyscall::called(thread) {
                    fetch::fault(thread, e);
                }
                request = BlockRequest::default();
                continue;
            }
        };
        thread.process.log.entering(pc);
        let exit = enter::enter(thread, entry);
        request = act::act(thread, exit).request();
    }
}

/// Signals to deliver, or exclusive work of another thread to wait for.
fn pending_work(thread: &mut Thread) {
    thread.cpu.clear_pending();
    drop(thread.process.exclusive.lock());
    if thread.process.exec.claimed() {
        thread.exit = Some(0);
        return;
    }
    if thread.slot.take_attention() {
        ptrace::attend(thread);
    }
    deliver(thread, None);
}

//! The stub for a debugger outside of the sandbox (`--gdb`), by GDB's remote serial protocol.
//!
//! The program does not begin before a debugger has connected. That traces it as a process inside could
//! ([`crate::state::tracees`]), under a number that no process has: its threads stop by themselves, and the
//! emulator child reads and writes their memory. So whoever connects gets what the guest has and nothing
//! more, and a hostile guest can only lie to the debugger about itself.
//!
//! * [`inferior`]: the traced process, all of whose threads stop with one of them;
//! * [`registers`]: its registers as GDB knows them;
//! * [`signals`]: GDB's numbers of signals;
//! * [`target`]: what the protocol, which the crate gdbstub speaks, asks of it;
//! * [`connection`]: where a debugger connects.
//!
//! Processes that it forks are not traced. Breakpoints are written into memory, by the debugger; there are no
//! watchpoints in registers.

mod connection;
mod inferior;
mod registers;
mod signals;
mod target;

pub use connection::Listener;

use crate::report::tell;
use crate::sandbox::Sandbox;
use crate::state::process::Process;
use gdbstub::stub::{DisconnectReason, GdbStub, GdbStubError};
use inferior::Inferior;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use target::EventLoop;

/// Waits for a debugger and serves it, in a thread of its own, until one of both ends.
///
/// # Errors
/// As for threads.
pub fn serve(
    listener: Listener,
    sandbox: &Arc<Sandbox>,
    process: &Arc<Process>,
) -> io::Result<JoinHandle<()>> {
    let mut inferior = Inferior::new(sandbox.clone(), process.clone());
    let serve = move || {
        if let Err(e) = session(&listener, &mut inferior) {
            tell(&format!("rxbox: --gdb: {e}"));
        }
        inferior.let_go();
    };
    std::thread::Builder::new().name("gdb".to_owned()).spawn(serve)
}

/// One debugger's session.
fn session(listener: &Listener, inferior: &mut Inferior) -> Result<(), String> {
    let Some(connection) = listener.accept(inferior).map_err(|e| e.to_string())? else { return Ok(()) };
    let stub = GdbStub::new(connection);
    match stub.run_blocking::<EventLoop>(inferior) {
        Ok(DisconnectReason::Kill) => inferior.kill(),
        Ok(_) => {}
        // It is gone.
        Err(e) if e.is_connection_error() => {}
        Err(e) => return Err(describe(&e)),
    }
    Ok(())
}

fn describe<T: std::fmt::Debug, C: std::fmt::Debug>(error: &GdbStubError<T, C>) -> String {
    format!("the debugger's connection: {error:?}")
}

//! Fetching the instruction at the pc.

use crate::guest::access;
use crate::process::translate::FetchError;
use crate::signal::deliver::raise;
use crate::signal::fault::{Fault, page_fault};
use crate::thread::Thread;
use rxbox_translate::decode::{DecodeError, Insn, decode};

/// The instruction at the pc, with its bytes.
pub(super) fn instruction(thread: &mut Thread) -> Result<(Insn, [u8; 15]), Fault> {
    let pc = thread.state().pc;
    let mut bytes = [0; 15];
    let n = match access::copy_in(&mut bytes, pc) {
        Ok(()) => bytes.len(),
        Err(fault) => fault.done,
    };
    decode(&bytes[..n]).map(|insn| (insn, bytes)).map_err(|e| {
        if e == DecodeError::TooLong {
            return Fault::protection(0);
        }
        if !matches!(e, DecodeError::Invalid) {
            thread.process.log.unsupported(pc, &bytes[..n], &e);
        }
        Fault::invalid(pc)
    })
}

/// Raises what a fetch raises that fails.
pub(super) fn fault(thread: &mut Thread, e: FetchError) {
    let fault = match e {
        FetchError::NotCanonical => Fault::protection(0),
        FetchError::Unmapped(addr) => Fault::unmapped(addr, page_fault::FETCH),
        FetchError::NotExecutable(addr) => Fault::not_allowed(addr, page_fault::FETCH),
    };
    raise(thread, fault);
}

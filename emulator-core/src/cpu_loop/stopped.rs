//! A signal stopped translated code.

use crate::process::stores::StoreFault;
use crate::process::translate::BlockRequest;
use crate::runtime::cache::CodeCache;
use crate::signal::deliver::raise;
use crate::signal::fault::{Fault, page_fault, trap};
use crate::signal::info::SEGV_MAPERR;
use crate::thread::Thread;

/// Acts on the signal if it is a fault; how the next block is wanted then.
pub(super) fn stopped(thread: &mut Thread) -> Option<BlockRequest> {
    let raw = thread.state().raw;
    if raw.signal == 0 {
        return None;
    }
    let written = raw.trapno == trap::PAGE_FAULT && raw.error_code & page_fault::WRITE != 0;
    if raw.signal == libc::SIGSEGV && written {
        match thread.process.store_fault(raw.addr) {
            StoreFault::Unprotected => {
                return Some(BlockRequest { step: true, ..BlockRequest::default() });
            }
            StoreFault::Passed if thread.faults.again(raw.addr) => return Some(BlockRequest::default()),
            _ => {}
        }
    }
    if raw.signal == libc::SIGSEGV && raw.trapno == trap::PAGE_FAULT && thread.process.grow_stack(raw.addr) {
        return Some(BlockRequest::default());
    }
    // Faults that name the instruction name the guest's.
    let at_instruction = matches!(raw.signal, libc::SIGILL | libc::SIGFPE | libc::SIGTRAP);
    let addr = if at_instruction { thread.state().pc } else { raw.addr };
    let (signal, trap, error_code) = (raw.signal, raw.trapno, raw.error_code);
    // What the code cache has reserved and not opened is nothing to the guest.
    let reserved = signal == libc::SIGSEGV && CodeCache::has_reserved(raw.addr);
    let code = if reserved { SEGV_MAPERR } else { raw.code };
    raise(thread, Fault { signal, code, addr, trap, error_code });
    Some(BlockRequest::default())
}

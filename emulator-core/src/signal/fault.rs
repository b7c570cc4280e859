//! A signal that an instruction raises.

use super::info::{
    BUS_ADRALN, BUS_ADRERR, ILL_ILLOPN, SEGV_ACCERR, SEGV_MAPERR, SI_KERNEL, SigInfo, TRAP_TRACE,
};
use crate::guest::layout::TASK_SIZE;

/// The processor's numbers of exceptions (Intel SDM 3A, 6.3.1).
pub mod trap {
    /// Debug exception (#DB).
    pub const DEBUG: u64 = 1;
    /// Breakpoint (#BP).
    pub const BREAKPOINT: u64 = 3;
    /// Overflow (#OF).
    pub const OVERFLOW: u64 = 4;
    /// Invalid opcode (#UD).
    pub const INVALID_OPCODE: u64 = 6;
    /// An access through the stack pointer to an address that is not canonical (#SS).
    pub const STACK: u64 = 12;
    /// General protection (#GP).
    pub const PROTECTION: u64 = 13;
    /// Page fault (#PF).
    pub const PAGE_FAULT: u64 = 14;
    /// Alignment check (#AC).
    pub const ALIGNMENT: u64 = 17;
}

/// Bits of the error code of a page fault (Intel SDM 3A, 4.7).
pub mod page_fault {
    /// The page is there, and does not allow the access.
    pub const PRESENT: u64 = 1;
    /// The access was a write.
    pub const WRITE: u64 = 2;
    /// The access came from user mode.
    pub const USER: u64 = 4;
    /// The access was an instruction fetch.
    pub const FETCH: u64 = 0x10;
}

/// A signal that an instruction raises. The pc is already where the signal frame shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The signal.
    pub signal: i32,
    /// Its si_code.
    pub code: i32,
    /// Its si_addr.
    pub addr: u64,
    /// The processor's number of the exception ([`trap`]).
    pub trap: u64,
    /// The processor's error code.
    pub error_code: u64,
}

impl Fault {
    /// Invalid opcode at this pc.
    pub fn invalid(pc: u64) -> Fault {
        let (signal, code, trap) = (libc::SIGILL, ILL_ILLOPN, trap::INVALID_OPCODE);
        Fault { signal, code, addr: pc, trap, error_code: 0 }
    }

    /// General protection, as the kernel reports it for all causes: without an address.
    pub fn protection(error_code: u64) -> Fault {
        let (signal, code, trap) = (libc::SIGSEGV, SI_KERNEL, trap::PROTECTION);
        Fault { signal, code, addr: 0, trap, error_code }
    }

    /// A selector that cannot be loaded.
    pub fn selector(selector: u16) -> Fault {
        Fault::protection(u64::from(selector & !3))
    }

    /// An access through rsp or rbp to an address that is not canonical.
    pub fn stack() -> Fault {
        Fault { signal: libc::SIGBUS, trap: trap::STACK, ..Fault::protection(0) }
    }

    /// An access of the guest to an address where nothing is mapped.
    pub fn unmapped(addr: u64, error_code: u64) -> Fault {
        let (signal, code, trap) = (libc::SIGSEGV, SEGV_MAPERR, trap::PAGE_FAULT);
        // The kernel does not tell whether there is anything in its own half.
        let present = if addr < TASK_SIZE { 0 } else { page_fault::PRESENT };
        Fault { signal, code, addr, trap, error_code: error_code | page_fault::USER | present }
    }

    /// An access to an address that is no multiple of its size, with the alignment check flag set.
    pub fn misaligned() -> Fault {
        let (signal, code, trap) = (libc::SIGBUS, BUS_ADRALN, trap::ALIGNMENT);
        Fault { signal, code, addr: 0, trap, error_code: 0 }
    }

    /// An access of the guest to a file's page that is beyond the end of the file.
    pub fn beyond_file(addr: u64, error_code: u64) -> Fault {
        Fault { signal: libc::SIGBUS, code: BUS_ADRERR, ..Fault::unmapped(addr, error_code) }
    }

    /// An access of the guest that the mapping at this address does not allow.
    pub fn not_allowed(addr: u64, error_code: u64) -> Fault {
        let error_code = error_code | page_fault::PRESENT;
        Fault { code: SEGV_ACCERR, ..Fault::unmapped(addr, error_code) }
    }

    /// A breakpoint instruction, which the pc is behind.
    pub fn breakpoint() -> Fault {
        Fault { signal: libc::SIGTRAP, code: SI_KERNEL, addr: 0, trap: trap::BREAKPOINT, error_code: 0 }
    }

    /// A single step, behind which the pc is.
    pub fn single_step(pc: u64) -> Fault {
        Fault { signal: libc::SIGTRAP, code: TRAP_TRACE, addr: pc, trap: trap::DEBUG, error_code: 0 }
    }

    /// Whether the instruction has completed that raised it.
    pub fn is_trap(&self) -> bool {
        matches!(self.trap, trap::DEBUG | trap::BREAKPOINT | trap::OVERFLOW)
    }

    /// An overflow trap, as the kernel reports it.
    pub fn overflow() -> Fault {
        Fault { trap: trap::OVERFLOW, ..Fault::protection(0) }
    }

    /// What the guest's handler is told.
    pub fn info(&self) -> SigInfo {
        SigInfo::fault(self.signal, self.code, self.addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_faults_tell_a_missing_page_from_a_forbidden_access() {
        let (missing, forbidden) =
            (Fault::unmapped(0x1000, 0), Fault::not_allowed(0x1000, page_fault::FETCH));
        assert_eq!((missing.code, missing.error_code), (SEGV_MAPERR, 4));
        assert_eq!((forbidden.code, forbidden.error_code), (SEGV_ACCERR, 0x15));
        assert_eq!((forbidden.signal, forbidden.trap), (libc::SIGSEGV, 14));
    }
}

//! The signal frame of Linux on x86-64 (`struct rt_sigframe`), as bytes.
//!
//! | offset | what |
//! | --- | --- |
//! | 0 | return address: the restorer |
//! | 8 | `ucontext`: flags, link, alternate stack |
//! | 48 | registers (`struct sigcontext`) |
//! | 304 | signal mask, 8 bytes |
//! | 312 | `siginfo`, 128 bytes |
//!
//! A handler finds and edits all of it, and sigreturn(2) takes it back from wherever the guest's stack
//! pointer says: every byte of a frame that comes back is hostile.

use super::info::SigInfo;
use super::stack::AlternateStack;
use crate::base::sigset::SigSet;

/// Bytes of the frame.
pub(super) const SIZE: usize = UCONTEXT + UCONTEXT_SIZE + SigInfo::SIZE;
/// Offset of the `ucontext`.
pub(super) const UCONTEXT: usize = 8;
/// Bytes of the `ucontext`.
pub(super) const UCONTEXT_SIZE: usize = 304;
/// Offset of the `siginfo`.
pub(super) const INFO: usize = UCONTEXT + UCONTEXT_SIZE;

// Offsets in the ucontext.
const FLAGS: usize = 0;
const STACK: usize = 16;
const REGISTERS: usize = 40;
const MASK: usize = 296;

/// Extended state is in XSAVE form.
const UC_FP_XSTATE: u64 = 1;
/// The frame has a stack segment.
const UC_SIGCONTEXT_SS: u64 = 2;
/// A bad stack segment is an error.
const UC_STRICT_RESTORE_SS: u64 = 4;

/// Selectors of 64-bit user mode on Linux.
const USER_CS: u16 = 0x33;
const USER_SS: u16 = 0x2b;

/// Numbers of the general registers in the order of `struct sigcontext`.
const ORDER: [usize; 16] = [8, 9, 10, 11, 12, 13, 14, 15, 7, 6, 5, 3, 2, 0, 1, 4];

/// The last fault of a thread: its signal frames all show it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct LastTrap {
    /// The processor's number of the exception.
    pub(super) number: u64,
    /// Its error code.
    pub(super) error_code: u64,
    /// Address of the last page fault.
    pub(super) cr2: u64,
}

/// General registers, pc and flags.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Registers {
    /// In the order of their numbers.
    pub(super) gpr: [u64; 16],
    /// Program counter.
    pub(super) pc: u64,
    /// Flags.
    pub(super) rflags: u64,
}

/// What a frame is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    /// Return address of the handler.
    pub(super) restorer: u64,
    /// The interrupted registers.
    pub(super) registers: &'a Registers,
    /// The alternate stack in force.
    pub(super) stack: AlternateStack,
    /// The last fault.
    pub(super) trap: LastTrap,
    /// The mask that comes back with sigreturn.
    pub(super) mask: SigSet,
    /// Guest address of the extended state.
    pub(super) xstate: u64,
    /// The signal.
    pub(super) info: &'a SigInfo,
}

impl Frame<'_> {
    /// The bytes.
    pub(super) fn encode(&self) -> [u8; SIZE] {
        let mut b = [0; SIZE];
        put(&mut b, 0, self.restorer);
        let uc = &mut b[UCONTEXT..];
        put(uc, FLAGS, UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS);
        uc[STACK..STACK + AlternateStack::SIZE].copy_from_slice(&self.stack.encode());
        let r = self.registers;
        let segments = u64::from(USER_CS) | u64::from(USER_SS) << 48;
        let LastTrap { number, error_code, cr2 } = self.trap;
        let rest = [r.pc, r.rflags, segments, error_code, number, self.mask.0, cr2, self.xstate];
        for (i, word) in ORDER.iter().map(|&n| r.gpr[n]).chain(rest).enumerate() {
            put(uc, REGISTERS + 8 * i, word);
        }
        put(uc, MASK, self.mask.0);
        b[INFO..].copy_from_slice(self.info.bytes());
        b
    }
}

/// What sigreturn(2) takes from a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Returned {
    /// The registers to go on with; of the flags only what user mode may set means anything.
    pub(super) registers: Registers,
    /// The alternate stack to have.
    pub(super) stack: AlternateStack,
    /// The mask to have.
    pub(super) mask: SigSet,
    /// Guest address of the extended state, or zero for the initial state.
    pub(super) xstate: u64,
    /// Whether the segments are those of 64-bit user mode. With others the return itself would fault, or
    /// enter a mode that there is not.
    pub(super) segments_valid: bool,
}

impl Returned {
    /// From the bytes of the `ucontext`.
    pub(super) fn decode(uc: &[u8; UCONTEXT_SIZE]) -> Returned {
        let word = |i: usize| get(uc, REGISTERS + 8 * i);
        let mut registers = Registers { gpr: [0; 16], pc: word(16), rflags: word(17) };
        for (i, n) in ORDER.into_iter().enumerate() {
            registers.gpr[n] = word(i);
        }
        let segments = word(18);
        // The kernel forces privilege level 3, and the stack segment too unless told to be strict.
        let (cs, ss) = (segments as u16 | 3, (segments >> 48) as u16 | 3);
        let strict = get(uc, FLAGS) & UC_STRICT_RESTORE_SS != 0;
        Returned {
            registers,
            stack: AlternateStack::decode(&std::array::from_fn(|i| uc[STACK + i])),
            mask: SigSet(get(uc, MASK)).minus(SigSet::UNBLOCKABLE),
            xstate: word(23),
            segments_valid: cs == USER_CS && (ss == USER_SS || !strict),
        }
    }
}

fn put(b: &mut [u8], at: usize, value: u64) {
    b[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn get(b: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| b[at + i]))
}

//! A block while it is emitted.

use super::buffer::CodeBuffer;
use super::code::{EmitError, Entry, Exit};
use super::mark::{Mark, Marker, PcAt};
use crate::ir::block::Block;
use crate::ir::var::Var;
use crate::state::{self, Region};
use dynasmrt::{DynasmApi, dynasm};

pub(super) struct Emitter<'a> {
    pub(super) asm: &'a mut CodeBuffer,
    pub(super) cold: &'a mut CodeBuffer,
    pub(super) entries: &'a mut Vec<Entry>,
    pub(super) exits: &'a mut Vec<Exit>,
    pub(super) marks: Marker<'a>,
    pub(super) block: &'a Block,
    pub(super) guest: &'a [u8],
    pub(super) region: Region,
    pub(super) first_exit: u32,
    /// Where the guest pc is now.
    pub(super) pc: PcAt,
    /// Guest registers that are in their home now, and not in the host's.
    pub(super) borrowed: u16,
    /// Guest registers whose home holds what they are.
    pub(super) homed: u16,
    /// Registers of the temporaries.
    pub(super) regs: [Option<u8>; 128],
}

impl Emitter<'_> {
    /// Notes where the guest state is from here on.
    pub(super) fn mark(&mut self) {
        self.marks.set(self.here());
    }

    /// Where the guest state is here.
    pub(super) fn here(&self) -> Mark {
        Mark { borrowed: self.borrowed, ..Mark::plain(self.asm.at(), self.pc) }
    }

    /// Sends a guest register to its home, if its value is not there, and lets its host register be used.
    pub(super) fn send_home(&mut self, reg: u8) {
        if self.homed >> reg & 1 == 0 {
            self.mark();
            let asm = &mut *self.asm;
            dynasm!(asm; .arch x64; gs mov [DWORD state::gpr(reg)], Rq(reg));
            self.homed |= 1 << reg;
        }
        self.borrowed |= 1 << reg;
        self.mark();
    }

    /// Brings those of the guest registers `regs` back that are in their homes only.
    pub(super) fn bring_back(&mut self, regs: u16) {
        let regs = regs & self.borrowed;
        if regs == 0 {
            return;
        }
        self.marks.seen(self.here());
        for reg in (0..16).filter(|reg| regs >> reg & 1 != 0) {
            let asm = &mut *self.asm;
            dynasm!(asm; .arch x64; gs mov Rq(reg), [DWORD state::gpr(reg)]);
            self.borrowed &= !(1 << reg);
            self.mark();
        }
    }

    /// The register of a variable.
    pub(super) fn reg(&self, v: Var) -> Result<u8, EmitError> {
        v.as_gpr().or(self.regs[v.0 as usize & 127]).ok_or(EmitError::Place)
    }
}

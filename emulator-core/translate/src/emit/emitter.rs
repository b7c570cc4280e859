//! A block while it is emitted.

use super::buffer::CodeBuffer;
use super::code::{EmitError, Entry, Exit};
use super::mark::{Mark, Marker, PcAt};
use crate::ir::block::Block;
use crate::ir::var::Var;
use crate::state::Region;

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
    /// Guest registers that are in their home now.
    pub(super) borrowed: u8,
    /// Registers of the temporaries.
    pub(super) regs: [Option<u8>; 128],
}

impl Emitter<'_> {
    /// Notes where the guest state is from here on.
    pub(super) fn mark(&mut self) {
        self.marks.set(Mark { borrowed: self.borrowed, ..Mark::plain(self.asm.at(), self.pc) });
    }

    /// The register of a variable.
    pub(super) fn reg(&self, v: Var) -> Result<u8, EmitError> {
        v.as_gpr().or(self.regs[v.0 as usize & 127]).ok_or(EmitError::Place)
    }
}

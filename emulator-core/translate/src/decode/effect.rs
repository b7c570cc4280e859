//! What an instruction reads, writes and may raise, from its row and its encoding.
//!
//! The rule on which liveness stands: `reads` may name too much but never too little, and a variable that is
//! in `writes` but not in `reads` is replaced as a whole whatever happens. So everything that keeps a part of
//! the old value, or keeps it at times, is in both: 8- and 16-bit registers, vector registers under legacy
//! SSE, merging masks, flags after a shift by a count that may be 0, whatever a `rep` instruction writes,
//! and flags that the manual leaves undefined, which some processors keep and others set.

use super::class::Class;
use super::encoding::Encoding;
use super::form::{MemOperand, Space};
use super::table::row::{self, Operand, Place, Row, Size, implicit};
use crate::ir::var::{Var, VarSet};

/// The result: see the fields of the same names in [`super::Insn`].
pub(super) struct Effects {
    pub(super) reads: VarSet,
    pub(super) writes: VarSet,
    pub(super) may_fault: bool,
    pub(super) side_effect: bool,
}

/// What a row may have that only [`Effects::special`] knows of, as it knows of masks, segments and 16-bit
/// operands.
const SPECIAL: u32 = row::MASK_REQUIRED
    | row::PUSH
    | row::POP
    | row::X87
    | row::FLOAT
    | row::CONDITION
    | row::REP
    | row::COUNT
    | row::IDIOM;

/// Describes the instruction. It has one caller, and every instruction passes.
#[inline]
pub(super) fn effects(e: &Encoding, row: &Row, mem: Option<&MemOperand>) -> Effects {
    let mut f = Effects {
        reads: implicit::set(row.reads),
        writes: implicit::set(row.writes),
        may_fault: row
            .has(row::FAULT | row::LOAD | row::STORE | row::PUSH | row::POP | row::X87 | row::FLOAT),
        side_effect: row.has(row::EFFECT | row::STORE | row::PUSH | row::X87 | row::FLOAT),
    };
    for operand in &row.operands {
        if operand.place == Place::None {
            break;
        }
        f.operand(e, row, *operand, mem.is_some());
    }
    if let Some(mem) = mem {
        f.address(mem);
    }
    if row.has(SPECIAL) || e.mask != 0 || e.form.segment != 0 || e.form.opsize {
        f.special(e, row);
    }
    // A processor may lack it: then its SIGILL is its effect.
    f.side_effect |= e.form.space != Space::Legacy || e.form.map > 1;
    if !matches!(row.class, Class::Native) {
        f.side_effect = true;
        f.may_fault = true;
    }
    f
}

impl Effects {
    fn change(&mut self, var: Var, read: bool, write: bool) {
        if read {
            self.reads.insert(var);
        }
        if write {
            self.writes.insert(var);
        }
    }

    fn operand(&mut self, e: &Encoding, row: &Row, operand: Operand, in_memory: bool) {
        let Operand { place, size, read, write } = operand;
        let rm =
            matches!(place, Place::RmGpr | Place::RmVector | Place::RmMask | Place::RmFpu | Place::Memory);
        if rm && in_memory {
            self.may_fault |= read || write;
            self.side_effect |= write;
            return;
        }
        match place {
            Place::RmGpr => self.general(e, e.rm(), size, read, write),
            Place::RegGpr => self.general(e, e.reg(), size, read, write),
            Place::OpcodeGpr => self.general(e, e.opcode_register(), size, read, write),
            Place::VvvvGpr => self.general(e, e.vvvv, size, read, write),
            Place::RmVector => self.vector(e, row, e.rm_vector(), read, write),
            Place::RegVector => self.vector(e, row, e.reg(), read, write),
            Place::VvvvVector => self.vector(e, row, e.vvvv, read, write),
            Place::ImmVector => self.vector(e, row, (e.immediate >> 4 & 0xf) as u8, read, write),
            Place::RmMask => self.change(Var::opmask(e.rm() & 7), read, write),
            Place::RegMask => self.change(Var::opmask(e.reg() & 7), read, write),
            Place::RegMaskPair => {
                self.change(Var::opmask(e.reg() & 6), read, write);
                self.change(Var::opmask(e.reg() & 6 | 1), read, write);
            }
            Place::VvvvMask => self.change(Var::opmask(e.vvvv & 7), read, write),
            Place::None | Place::Memory | Place::RmFpu | Place::RegFpu => {}
        }
    }

    fn general(&mut self, e: &Encoding, number: u8, size: Size, read: bool, write: bool) {
        let partial = match size {
            Size::Byte | Size::Word => true,
            Size::Variable => e.operand_size() == 2,
            Size::Full => false,
        };
        let high_byte = size == Size::Byte && !e.form.has_rex && (4..8).contains(&number);
        let number = if high_byte { number - 4 } else { number };
        self.change(Var::gpr(number & 15), read || write && partial, write);
    }

    fn vector(&mut self, e: &Encoding, row: &Row, number: u8, read: bool, write: bool) {
        let merging = e.mask != 0 && !e.zeroing && row.has(row::MASK);
        let keeps = e.form.space == Space::Legacy || merging;
        self.change(Var::vec(number & 31), read || write && keeps, write);
    }

    fn address(&mut self, mem: &MemOperand) {
        if let Some(base) = mem.base {
            self.reads.insert(Var::gpr(base & 15));
        }
        if let Some((index, _)) = mem.index {
            self.reads.insert(if mem.vsib { Var::vec(index & 31) } else { Var::gpr(index & 15) });
        }
    }

    /// What the row's attributes add, and what the encoding takes away.
    fn special(&mut self, e: &Encoding, row: &Row) {
        if e.mask != 0 {
            let mask = Var::opmask(e.mask & 7);
            self.change(mask, true, row.has(row::MASK_REQUIRED));
        }
        if row.has(row::PUSH | row::POP) {
            self.change(Var::RSP, true, true);
        }
        if row.has(row::X87) {
            self.change(Var::X87, true, true);
        }
        if row.has(row::FLOAT) {
            self.reads.insert(Var::MXCSR);
        }
        if row.has(row::CONDITION) {
            self.reads = self.reads.union(condition_flags(e.form.opcode & 15));
        }
        if self.may_fault {
            match e.form.segment {
                0x64 => self.reads.insert(Var::FS_BASE),
                0x65 => self.reads.insert(Var::GS_BASE),
                _ => {}
            }
        }
        let repeated = row.has(row::REP) && e.form.rep != 0;
        if repeated {
            self.change(Var::RCX, true, true);
        }
        let count_mask = if e.wide() && row.operands[0].size != Size::Byte { 63 } else { 31 };
        if repeated || row.has(row::COUNT) && e.immediate & count_mask == 0 {
            self.reads = self.reads.union(self.writes);
        }
        if e.form.space == Space::Legacy && e.operand_size() == 2 {
            self.reads = self.reads.union(implicit::set(row.writes).intersect(VarSet::GPRS));
        }
        if row.has(row::IDIOM) && e.register_form() && e.reg() == e.rm() && e.operand_size() != 2 {
            self.reads.remove(Var::gpr(e.rm() & 15));
        }
    }
}

/// The flags that condition code 0 to 15 looks at.
fn condition_flags(cc: u8) -> VarSet {
    match cc >> 1 {
        0 => VarSet::of(Var::OF),
        1 => VarSet::of(Var::CF),
        2 => VarSet::of(Var::ZF),
        3 => VarSet::of_all(&[Var::CF, Var::ZF]),
        4 => VarSet::of(Var::SF),
        5 => VarSet::of(Var::PF),
        6 => VarSet::of_all(&[Var::SF, Var::OF]),
        _ => VarSet::of_all(&[Var::SF, Var::OF, Var::ZF]),
    }
}

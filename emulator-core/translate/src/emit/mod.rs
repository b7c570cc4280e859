//! The back end: intermediate code to host code.
//!
//! A block becomes two pieces: *hot* code, and *cold* code that runs once per exit until the exit is chained.
//! What must not be copied was made into other operations by the front end; here every operation has one
//! short emission.
//!
//! **Chaining.** A jump to another block first goes to its cold stub, which leaves with its exit number; the
//! runtime then writes the displacement of the jump. The displacement never crosses a cache line, so the
//! write is atomic for a thread that executes the jump at that moment.
//!
//! State recovery is described in [`mark`].

#![allow(clippy::useless_conversion, reason = "dynasm! converts register numbers, which are bytes already")]

mod branch;
mod buffer;
mod code;
mod emitter;
mod entry;
pub mod mark;
pub mod native;
pub mod stubs;

pub use buffer::CodeBuffer;
pub use code::{
    Code, EXIT_LOOKUP, EXIT_STOPPED, EmitError, Entry, Exit, FIRST_EXIT, Placement, displacement,
};
pub use entry::LateEntry;
use mark::BRANCH_REGS;
pub use mark::{Mark, PcAt};

use crate::decode::MemOperand;
use crate::ir::block::Block;
use crate::ir::op::{Mem, Op};
use crate::ir::var::Var;
use crate::regalloc::Assignment;
use crate::state;
use dynasmrt::{DynasmApi, dynasm};
use emitter::Emitter;
use mark::Marker;

/// Emits a block, in the place of what `out` was.
///
/// # Errors
/// See [`EmitError`]; what `out` then holds is of no use.
pub fn emit(
    block: &Block,
    code: &[u8],
    regs: &[Assignment],
    at: Placement,
    out: &mut Code,
) -> Result<(), EmitError> {
    out.restart(at);
    let Code { hot, cold, entries, exits, marks } = out;
    let marks = Marker::new(marks);
    let mut e = Emitter {
        asm: hot,
        cold,
        entries,
        exits,
        marks,
        block,
        guest: code,
        region: at.region,
        first_exit: at.first_exit,
        pc: PcAt::Known(block.pc),
        borrowed: 0,
        homed: 0,
        regs: [None; 128],
    };
    e.beginning(block.pc, at.indirect_entry)?;
    // Assignments are in the order of their first writes and end with their instruction.
    let mut regs = regs;
    for (i, op) in block.ops.iter().enumerate() {
        if regs.is_empty() {
            e.ready(i);
            e.op(i, op)?;
            e.done(i);
            continue;
        }
        if matches!(op, Op::Start { .. }) {
            regs = &regs[regs.partition_point(|a| a.to < i)..];
        }
        let own = &regs[..regs.partition_point(|a| a.from <= i)];
        e.ready(i);
        e.begin_ranges(own, i);
        e.op(i, op)?;
        e.done(i);
        e.end_ranges(own, i);
    }
    Ok(())
}

impl Emitter<'_> {
    /// The block's beginning: it can be entered by direct jumps, and by indirect ones if they are told to
    /// come here too.
    fn beginning(&mut self, pc: u64, indirect: bool) -> Result<(), EmitError> {
        if indirect && self.hands_on() {
            return self.arrival(pc);
        }
        let here = self.asm.here();
        if indirect {
            entry::compare(self.asm, &mut self.marks, self.region, pc)?;
            entry::take_back(self.asm, &mut self.marks, pc);
        }
        let direct = self.asm.here();
        let indirect = indirect.then_some(here);
        self.entries.push(Entry { pc, start: direct, direct: Some(direct), indirect });
        Ok(())
    }

    /// An entry that is for indirect branches before all: what the branch has taken stays where it is until
    /// somebody wants it. The prologue can come here as well, since it leaves the homes as they are.
    fn arrival(&mut self, pc: u64) -> Result<(), EmitError> {
        let indirect = Some(self.asm.here());
        entry::compare(self.asm, &mut self.marks, self.region, pc)?;
        self.entries.push(Entry { pc, start: self.asm.here(), direct: None, indirect });
        (self.pc, self.borrowed, self.homed) = (PcAt::Known(pc), BRANCH_REGS, BRANCH_REGS);
        self.mark();
        Ok(())
    }

    /// Whether the block comes to an indirect branch of its own before anything wants the register in which
    /// that has its target: an interpreter's instruction, a trampoline.
    fn hands_on(&self) -> bool {
        let ends = |op: &Op| matches!(op, Op::GotoPtr { .. } | Op::CallIndirect { .. });
        let end = self.block.ops.iter().position(ends);
        end.is_some_and(|end| (0..end).all(|i| self.wanted(i) >> 11 & 1 == 0))
    }

    /// Brings back what operation `i` wants. Most find nothing borrowed.
    fn ready(&mut self, i: usize) {
        if self.borrowed != 0 {
            self.bring_back(self.wanted(i));
        }
    }

    /// The guest registers that operation `i` has to find in the host's. Where a block may be left, all are.
    fn wanted(&self, i: usize) -> u16 {
        match self.block.ops[i] {
            Op::Start { .. } | Op::PushConst { .. } | Op::GotoPtr { .. } | Op::CallIndirect { .. } => 0,
            // Between a comparison and its jump, which the processor takes for one, nothing is to come.
            _ if matches!(self.block.ops.get(i + 2), Some(Op::ExitIf { .. })) => BRANCH_REGS,
            Op::ExitIf { .. } | Op::Goto { .. } | Op::Call { .. } | Op::ExitTb { .. } => BRANCH_REGS,
            _ => self.block.effects[i].reads.gprs(),
        }
    }

    /// The guest registers that operation `i` has set are not in their homes any more. What a callee has set
    /// is the return site's matter.
    fn done(&mut self, i: usize) {
        if self.homed != 0 && !matches!(self.block.ops[i], Op::Call { .. } | Op::CallIndirect { .. }) {
            let kept = !self.block.effects[i].writes.gprs();
            (self.homed, self.borrowed) = (self.homed & kept, self.borrowed & kept);
        }
    }

    /// Gives the temporaries that operation `i` defines their registers.
    fn begin_ranges(&mut self, regs: &[Assignment], i: usize) {
        for a in regs.iter().filter(|a| a.from == i) {
            self.regs[a.var.0 as usize & 127] = Some(a.reg);
            if a.borrowed {
                self.send_home(a.reg);
            }
        }
    }

    /// Behind operation `i`: marks the instruction as done if it is, and gives borrowed registers back.
    fn end_ranges(&mut self, regs: &[Assignment], i: usize) {
        if regs.iter().all(|a| a.to != i || !a.borrowed) || self.block.ops[i].target().is_some() {
            return;
        }
        let next = match self.block.ops.get(i + 1) {
            Some(&Op::Start { pc } | &Op::Goto { pc } | &Op::ExitTb { pc, .. }) => Some(pc),
            _ => None,
        };
        if let Some(pc) = next {
            self.pc = PcAt::Known(pc);
            self.mark();
        }
        for a in regs.iter().filter(|a| a.to == i && a.borrowed) {
            self.bring_back(1 << a.reg);
        }
    }

    /// Operation `i`.
    fn op(&mut self, i: usize, op: &Op) -> Result<(), EmitError> {
        match *op {
            Op::Start { pc } => {
                self.pc = PcAt::Known(pc);
                match self.block.ops.get(i + 1) {
                    // It marks itself.
                    Some(Op::Native { mem: Mem::AsIs | Mem::Rip(_), .. }) => {}
                    Some(Op::ExitIf { .. }) => self.marks.seen(self.here()),
                    _ => self.mark(),
                }
            }
            Op::Native { insn, mem } => self.native(insn, mem)?,
            Op::Const { dst, value } => {
                let reg = self.reg(dst)?;
                self.constant(reg, value);
            }
            Op::Mov { dst, src } => self.mov(dst, src)?,
            Op::Zext32 { dst, src } => {
                let (d, s, asm) = (self.reg(dst)?, self.reg(src)?, &mut *self.asm);
                dynasm!(asm; .arch x64; mov Rd(d), Rd(s));
            }
            Op::Add { dst, a, b } => {
                let (d, a, b, asm) = (self.reg(dst)?, self.reg(a)?, self.reg(b)?, &mut *self.asm);
                dynasm!(asm; .arch x64; lea Rq(d), [Rq(a) + Rq(b)]);
            }
            Op::Lea { dst, ref mem } => self.operand(0x8d, dst, mem)?,
            Op::Load { dst, ref mem } => self.operand(0x8b, dst, mem)?,
            Op::LoadAt { dst, addr } => {
                let (d, a, asm) = (self.reg(dst)?, self.reg(addr)?, &mut *self.asm);
                dynasm!(asm; .arch x64; mov Rq(d), [Rq(a)]);
            }
            Op::PushConst { value } => self.push_const(value)?,
            Op::Call { pc, next } => {
                self.push_const(next)?;
                self.to(pc)?;
                self.arrival(next)?;
            }
            Op::CallIndirect { target, next } => {
                self.in_place(target)?;
                self.push_const(next)?;
                self.jump();
                self.arrival(next)?;
            }
            Op::Pop { dst } => {
                let (d, asm) = (self.reg(dst)?, &mut *self.asm);
                dynasm!(asm; .arch x64; pop Rq(d));
            }
            Op::AddSp { bytes } => {
                let asm = &mut *self.asm;
                dynasm!(asm; .arch x64; lea rsp, [DWORD rsp + bytes as i32]);
            }
            Op::ExitIf { cond, pc } => self.exit_if(cond, pc)?,
            Op::Goto { pc } => self.to(pc)?,
            Op::GotoPtr { target } => {
                self.in_place(target)?;
                self.jump();
            }
            Op::ExitTb { reason, pc } => {
                // Behind a `Start`, the pc is not that of the reason, whose instruction may lie before it.
                if !matches!(i.checked_sub(1).and_then(|i| self.block.ops.get(i)), Some(Op::Start { .. })) {
                    self.pc = PcAt::Known(pc);
                }
                self.mark();
                let id = self.exit(Exit::Leave { reason, pc });
                branch::leave(self.asm, id);
            }
        }
        Ok(())
    }

    /// The host's copy of a guest instruction.
    fn native(&mut self, insn: u16, mem: Mem) -> Result<(), EmitError> {
        let (offset, insn) = &self.block.insns[insn as usize];
        let bytes = self.guest.get(*offset as usize..).unwrap_or(&[]);
        let reg = match mem {
            Mem::At(v) => self.reg(v)?,
            Mem::AsIs | Mem::Rip(_) => {
                let pc = self.block.pc.wrapping_add((*offset).into());
                self.marks.copied(self.asm.at(), pc, self.borrowed);
                0
            }
        };
        native::emit(self.asm, insn, bytes, mem, reg)
    }

    fn operand(&mut self, opcode: u8, dst: Var, mem: &MemOperand) -> Result<(), EmitError> {
        let reg = self.reg(dst)?;
        native::with_operand(self.asm, opcode, reg, mem)
    }

    fn constant(&mut self, d: u8, value: u64) {
        let asm = &mut *self.asm;
        if let Ok(v) = u32::try_from(value) {
            dynasm!(asm; .arch x64; mov Rd(d), DWORD v as i32);
        } else if let Ok(v) = i32::try_from(value as i64) {
            dynasm!(asm; .arch x64; mov Rq(d), DWORD v);
        } else {
            dynasm!(asm; .arch x64; mov Rq(d), QWORD value as i64);
        }
    }

    /// Between registers, or between a register and a variable that lives in the CPU state.
    fn mov(&mut self, dst: Var, src: Var) -> Result<(), EmitError> {
        match (home(dst), home(src)) {
            (None, None) => {
                let (d, s) = (self.reg(dst)?, self.reg(src)?);
                let asm = &mut *self.asm;
                if d != s {
                    dynasm!(asm; .arch x64; mov Rq(d), Rq(s));
                }
            }
            (None, Some(offset)) => {
                let d = self.reg(dst)?;
                let asm = &mut *self.asm;
                dynasm!(asm; .arch x64; gs mov Rq(d), [DWORD offset]);
            }
            (Some(offset), None) => {
                let s = self.reg(src)?;
                let asm = &mut *self.asm;
                dynasm!(asm; .arch x64; gs mov [DWORD offset], Rq(s));
            }
            (Some(_), Some(_)) => return Err(EmitError::Place),
        }
        Ok(())
    }
}

/// The place in the CPU state of a variable that has one.
fn home(v: Var) -> Option<i32> {
    let local = v.0.checked_sub(Var::FIRST_LOCAL).filter(|&n| n < state::LOCAL_COUNT);
    match local {
        Some(n) => Some(state::LOCALS + i32::from(n) * 8),
        None => (v == Var::GS_BASE).then_some(state::GS_BASE),
    }
}

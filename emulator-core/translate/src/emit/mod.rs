//! The back end: intermediate code to host code.
//!
//! A block becomes two pieces: *hot* code, and *cold* code that runs once per exit until the exit is chained. What must
//! not be copied was made into other operations by the front end; here every operation has one short emission.
//!
//! **State recovery.** A fault or a signal can stop the host at any instruction. [`Mark`]s say for every host offset
//! where the guest state is: what the guest pc is and which guest registers are in their home in the CPU state because
//! a temporary has their host register. An instruction that has taken effect is never undone: from the host instruction
//! that commits it on, the mark names the next guest pc.
//!
//! **Chaining.** A jump to another block first goes to its cold stub, which leaves with its exit number; the runtime
//! then writes the displacement in the hot code. The displacement never crosses a cache line, so the write is atomic for
//! a thread that executes the jump at that moment.

#![allow(clippy::useless_conversion, reason = "dynasm! converts register numbers, which are bytes already")]

mod entry;
pub mod native;
pub mod stubs;

pub use entry::late_entry;

use crate::decode::MemOperand;
use crate::ir::op::{Block, Cond, Op, Reason};
use crate::ir::var::Var;
use crate::regalloc::Assignment;
use crate::state;
use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynasmApi, VecAssembler, dynasm};

/// Where the pieces will lie and how exits are numbered.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// Host address of the hot code, a multiple of 16.
    pub hot: u64,
    /// Host address of the cold code.
    pub cold: u64,
    /// Number of the block's first exit.
    pub first_exit: u32,
    /// Emit the entry for indirect branches in front of the block.
    pub indirect_entry: bool,
}

/// Exit numbers that every code cache has.
pub const EXIT_LOOKUP: u32 = 0;
/// The thread was stopped; the pc is in the CPU state.
pub const EXIT_STOPPED: u32 = 1;
/// The first number for blocks.
pub const FIRST_EXIT: u32 = 2;

/// A translated block.
#[derive(Clone, Debug, Default)]
pub struct Code {
    /// Host code for [`Placement::hot`].
    pub hot: Vec<u8>,
    /// Host code for [`Placement::cold`].
    pub cold: Vec<u8>,
    /// Offset in the hot code where the block is entered from a chained jump or the prologue.
    pub entry: u32,
    /// Offset in the hot code of the entry for indirect branches, if asked for.
    pub indirect_entry: Option<u32>,
    /// The exits, in the order of their numbers.
    pub exits: Vec<Exit>,
    /// State recovery for the hot code, ascending.
    pub marks: Vec<Mark>,
    /// State recovery for the cold code, ascending.
    pub cold_marks: Vec<Mark>,
}

/// One way out of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// To the block at a guest address.
    Goto {
        /// Guest address.
        pc: u64,
        /// Offset in the hot code of the jump's 32-bit displacement.
        patch: u32,
        /// Offset in the cold code of the stub that the jump goes to while it is not chained.
        stub: u32,
    },
    /// To the cpu loop.
    Leave {
        /// Why.
        reason: Reason,
        /// Guest address that the reason speaks of.
        pc: u64,
    },
}

/// From this host offset on, until the next mark, the guest state is as said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Offset of the first host instruction that it holds for (it is about to run).
    pub at: u32,
    /// Where the guest pc is.
    pub pc: PcAt,
    /// Guest registers 0 to 7 that are in their home in the CPU state, as a bit mask.
    pub borrowed: u8,
    /// The arithmetic flags are in [`state::STUB_FLAGS`].
    pub flags_saved: bool,
}

/// Where the guest pc is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PcAt {
    /// It is this.
    Known(u64),
    /// In host rcx.
    Rcx,
    /// In [`state::TARGET`].
    Target,
}

/// The host cannot reach what the code needs, or the assembler refused; the block is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmitError {
    /// An address beyond the reach of a 32-bit displacement, or a block larger than a mark can say.
    #[error("host address out of reach")]
    Reach,
    /// A variable where the operation cannot have one.
    #[error("operation on a variable that is in the wrong place")]
    Place,
}

impl Code {
    fn clear(&mut self) {
        self.hot.clear();
        self.cold.clear();
        (self.entry, self.indirect_entry) = (0, None);
        self.exits.clear();
        self.marks.clear();
        self.cold_marks.clear();
    }
}

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
    out.clear();
    let mut e = Emitter {
        asm: assembler(at.hot),
        cold: assembler(at.cold),
        out,
        block,
        guest: code,
        at,
        pc: PcAt::Known(block.pc),
        borrowed: 0,
        regs: [None; 256],
    };
    if at.indirect_entry {
        e.out.marks.push(Mark { at: 0, pc: PcAt::Target, borrowed: 1 << 1, flags_saved: false });
        e.out.indirect_entry = Some(entry::indirect_entry(&mut e.asm, at.hot, block.pc)?);
        e.out.entry = e.offset();
    }
    // Assignments are in the order of their first writes and end with their instruction, so only its own are looked at.
    let mut first = 0;
    for (i, op) in block.ops.iter().enumerate() {
        if matches!(op, Op::Start { .. }) {
            first = regs.partition_point(|a| a.from < i);
        }
        let own = &regs[first..regs.partition_point(|a| a.from <= i)];
        e.begin_ranges(own, i);
        e.op(op)?;
        e.end_ranges(own, i);
    }
    let Emitter { asm, cold, out, .. } = e;
    out.hot = asm.finalize().map_err(|_| EmitError::Reach)?;
    out.cold = cold.finalize().map_err(|_| EmitError::Reach)?;
    Ok(())
}

/// An assembler with room for a usual block. Blocks have neither labels nor relocations: what they jump to is known.
fn assembler(at: u64) -> VecAssembler<X64Relocation> {
    VecAssembler::new_with_capacity(at as usize, 256, 0, 0, 0, 0, 0)
}

struct Emitter<'a> {
    asm: VecAssembler<X64Relocation>,
    cold: VecAssembler<X64Relocation>,
    out: &'a mut Code,
    block: &'a Block,
    guest: &'a [u8],
    at: Placement,
    pc: PcAt,
    borrowed: u8,
    regs: [Option<u8>; 256],
}

impl Emitter<'_> {
    fn offset(&self) -> u32 {
        self.asm.offset().0 as u32
    }

    /// Host address of the next hot byte.
    fn here(&self) -> u64 {
        self.at.hot + u64::from(self.offset())
    }

    fn mark(&mut self) {
        let mark = Mark { at: self.offset(), pc: self.pc, borrowed: self.borrowed, flags_saved: false };
        if self.out.marks.last().is_some_and(|m| m.at == mark.at) {
            self.out.marks.pop();
        }
        if self.out.marks.last().is_none_or(|m| (m.pc, m.borrowed) != (mark.pc, mark.borrowed)) {
            self.out.marks.push(mark);
        }
    }

    /// Gives the temporaries that operation `i` defines their registers.
    fn begin_ranges(&mut self, regs: &[Assignment], i: usize) {
        for a in regs.iter().filter(|a| a.from == i) {
            self.regs[a.var.0 as usize] = Some(a.reg);
            if a.borrowed {
                let asm = &mut self.asm;
                dynasm!(asm; .arch x64; gs mov [DWORD state::gpr(a.reg)], Rq(a.reg));
                self.borrowed |= 1 << a.reg;
                self.mark();
            }
        }
    }

    /// Behind operation `i`: marks the instruction as done if it is, and gives borrowed registers back.
    fn end_ranges(&mut self, regs: &[Assignment], i: usize) {
        let next = match self.block.ops.get(i + 1) {
            Some(&Op::Start { pc } | &Op::Goto { pc } | &Op::Leave { pc, .. }) => Some(PcAt::Known(pc)),
            Some(Op::Jump { .. }) => Some(PcAt::Rcx),
            _ => None,
        };
        if let Some(pc) = next
            && !matches!(self.block.ops[i], Op::Start { .. })
        {
            self.pc = pc;
            self.mark();
        }
        for a in regs.iter().filter(|a| a.to == i && a.borrowed) {
            if !matches!(self.block.ops[i], Op::Jump { .. }) {
                let asm = &mut self.asm;
                dynasm!(asm; .arch x64; gs mov Rq(a.reg), [DWORD state::gpr(a.reg)]);
                self.borrowed &= !(1 << a.reg);
                self.mark();
            }
        }
    }

    fn reg(&self, v: Var) -> Result<u8, EmitError> {
        v.as_gpr().or(self.regs[v.0 as usize]).ok_or(EmitError::Place)
    }

    fn op(&mut self, op: &Op) -> Result<(), EmitError> {
        match *op {
            Op::Start { pc } => {
                self.pc = PcAt::Known(pc);
                self.mark();
            }
            Op::Native { insn, mem } => {
                let (at, insn) = &self.block.insns[insn as usize];
                let bytes = self.guest.get(*at as usize..).unwrap_or(&[]);
                let reg = match mem {
                    crate::ir::op::Mem::At(v) => self.reg(v)?,
                    _ => 0,
                };
                let here = self.here();
                native::emit(&mut self.asm, insn, bytes, mem, reg, here)?;
            }
            Op::Const { dst, value } => {
                let reg = self.reg(dst)?;
                self.constant(reg, value);
            }
            Op::Mov { dst, src } => self.mov(dst, src)?,
            Op::Zext32 { dst, src } => {
                let (d, s, asm) = (self.reg(dst)?, self.reg(src)?, &mut self.asm);
                dynasm!(asm; .arch x64; mov Rd(d), Rd(s));
            }
            Op::Add { dst, a, b } => {
                let (d, a, b, asm) = (self.reg(dst)?, self.reg(a)?, self.reg(b)?, &mut self.asm);
                dynasm!(asm; .arch x64; lea Rq(d), [Rq(a) + Rq(b)]);
            }
            Op::Lea { dst, ref mem } => self.operand(0x8d, dst, mem)?,
            Op::Load { dst, ref mem } => self.operand(0x8b, dst, mem)?,
            Op::LoadAt { dst, addr } => {
                let (d, a, asm) = (self.reg(dst)?, self.reg(addr)?, &mut self.asm);
                dynasm!(asm; .arch x64; mov Rq(d), [Rq(a)]);
            }
            Op::PushConst { value } => self.push_const(value)?,
            Op::Pop { dst } => {
                let (d, asm) = (self.reg(dst)?, &mut self.asm);
                dynasm!(asm; .arch x64; pop Rq(d));
            }
            Op::Release { bytes } => {
                let asm = &mut self.asm;
                dynasm!(asm; .arch x64; lea rsp, [DWORD rsp + bytes as i32]);
            }
            Op::ExitIf { cond, pc } => self.exit_if(cond, pc)?,
            Op::Goto { pc } => self.goto(&[0xe9], pc)?,
            Op::Jump { target } => {
                if self.reg(target)? != 1 {
                    return Err(EmitError::Place);
                }
                self.jump();
            }
            Op::Leave { reason, pc } => {
                let id = self.exit(Exit::Leave { reason, pc });
                let asm = &mut self.asm;
                dynasm!(asm; .arch x64
                    ; gs mov DWORD [DWORD state::EXIT_ID], id as i32
                    ; gs jmp QWORD [DWORD state::LEAVE]
                );
            }
        }
        Ok(())
    }

    fn operand(&mut self, opcode: u8, dst: Var, mem: &MemOperand) -> Result<(), EmitError> {
        let reg = self.reg(dst)?;
        native::with_operand(&mut self.asm, opcode, reg, mem)
    }

    fn constant(&mut self, d: u8, value: u64) {
        let asm = &mut self.asm;
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
                let asm = &mut self.asm;
                if d != s {
                    dynasm!(asm; .arch x64; mov Rq(d), Rq(s));
                }
            }
            (None, Some(offset)) => {
                let d = self.reg(dst)?;
                let asm = &mut self.asm;
                dynasm!(asm; .arch x64; gs mov Rq(d), [DWORD offset]);
            }
            (Some(offset), None) => {
                let s = self.reg(src)?;
                let asm = &mut self.asm;
                dynasm!(asm; .arch x64; gs mov [DWORD offset], Rq(s));
            }
            (Some(_), Some(_)) => return Err(EmitError::Place),
        }
        Ok(())
    }

    /// Pushes with one instruction, so that a fault finds rsp unchanged: an immediate if it sign-extends, else a word of
    /// the cold code.
    fn push_const(&mut self, value: u64) -> Result<(), EmitError> {
        if let Ok(v) = i32::try_from(value as i64) {
            let asm = &mut self.asm;
            dynasm!(asm; .arch x64; push DWORD v);
            return Ok(());
        }
        let word = self.at.cold + self.cold.offset().0 as u64;
        self.cold.extend(value.to_le_bytes());
        let disp = displacement(word, self.here() + 6)?;
        self.asm.extend([0xff, 0x35]);
        self.asm.extend(disp.to_le_bytes());
        Ok(())
    }

    fn exit(&mut self, exit: Exit) -> u32 {
        self.out.exits.push(exit);
        self.at.first_exit + self.out.exits.len() as u32 - 1
    }

    /// A jump with the opcode bytes `op` and a displacement to the cold stub of a new exit.
    fn goto(&mut self, op: &[u8], pc: u64) -> Result<(), EmitError> {
        const LINE: u64 = 64;
        const NOPS: [&[u8]; 4] = [&[], &[0x90], &[0x66, 0x90], &[0x0f, 0x1f, 0x00]];
        let at = (self.here() + op.len() as u64) % LINE;
        if at > LINE - 4 {
            self.asm.extend(NOPS[(LINE - at) as usize].iter());
        }
        self.asm.extend(op.iter());
        let patch = self.offset();
        let stub = self.cold.offset().0 as u32;
        let disp = displacement(self.at.cold + u64::from(stub), self.here() + 4)?;
        self.asm.extend(disp.to_le_bytes());
        let id = self.exit(Exit::Goto { pc, patch, stub });
        self.out.cold_marks.push(Mark { at: stub, pc: PcAt::Known(pc), borrowed: 0, flags_saved: false });
        let cold = &mut self.cold;
        dynasm!(cold; .arch x64
            ; gs mov DWORD [DWORD state::EXIT_ID], id as i32
            ; gs jmp QWORD [DWORD state::LEAVE]
        );
        Ok(())
    }

    fn exit_if(&mut self, cond: Cond, pc: u64) -> Result<(), EmitError> {
        match cond {
            Cond::Flags(cc) => self.goto(&[0x0f, 0x80 | cc], pc),
            Cond::Count { opcode, addr32 } => {
                // The counting branches only reach 127 bytes: to a jump beside them, which the other way skips.
                if addr32 {
                    self.asm.push(0x67);
                }
                self.asm.extend([opcode, 2]);
                let skip = self.offset();
                let fallthrough = match self.pc {
                    PcAt::Known(p) => {
                        self.block.ops.iter().skip_while(|o| **o != Op::ExitIf { cond, pc }).find_map(|o| {
                            match *o {
                                Op::Start { pc: n } | Op::Goto { pc: n } if n != p => Some(n),
                                _ => None,
                            }
                        })
                    }
                    _ => None,
                };
                self.pc = PcAt::Known(fallthrough.unwrap_or(pc));
                self.mark();
                self.asm.extend([0xeb, 0]);
                self.pc = PcAt::Known(pc);
                self.mark();
                self.goto(&[0xe9], pc)?;
                let distance = self.offset() - (skip + 2);
                self.patch_byte(skip as usize + 1, distance as u8);
                Ok(())
            }
        }
    }

    fn patch_byte(&mut self, at: usize, value: u8) {
        let mut m = self.asm.alter();
        m.goto(dynasmrt::AssemblyOffset(at));
        m.push(value);
    }

    /// Through the first-level table; rcx has the target, guest rcx is in its home.
    fn jump(&mut self) {
        self.pc = PcAt::Rcx;
        self.mark();
        let asm = &mut self.asm;
        dynasm!(asm; .arch x64; gs mov [DWORD state::TARGET], rcx);
        self.pc = PcAt::Target;
        self.mark();
        let asm = &mut self.asm;
        dynasm!(asm; .arch x64
            ; movzx ecx, cx
            ; jmp QWORD [rcx * 8 + state::JUMP_TABLE as i32]
        );
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

/// The 32-bit displacement from `from` (the end of the instruction) to `to`.
pub fn displacement(to: u64, from: u64) -> Result<i32, EmitError> {
    i32::try_from(to.wrapping_sub(from) as i64).map_err(|_| EmitError::Reach)
}

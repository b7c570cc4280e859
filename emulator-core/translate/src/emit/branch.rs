//! Emission of control flow: direct jumps that are chained, conditional exits, calls, returns and indirect
//! jumps.

use super::buffer::CodeBuffer;
use super::code::{EmitError, Exit, displacement};
use super::emitter::Emitter;
use super::mark::PcAt;
use crate::ir::op::{Cond, Op};
use crate::ir::var::Var;
use crate::state;
use dynasmrt::{DynasmApi, dynasm};

/// Leaves translated code by the exit `id`.
pub(super) fn leave(asm: &mut CodeBuffer, id: u32) {
    dynasm!(asm; .arch x64
        ; gs mov DWORD [DWORD state::EXIT_ID], id as i32
        ; gs jmp QWORD [DWORD state::LEAVE]
    );
}

impl Emitter<'_> {
    /// Holds the front end to where indirect branches have their target.
    pub(super) fn in_place(&self, target: Var) -> Result<(), EmitError> {
        if self.reg(target)? == 11 { Ok(()) } else { Err(EmitError::Place) }
    }

    /// Adds an exit; returns its number.
    pub(super) fn exit(&mut self, exit: Exit) -> u32 {
        self.exits.push(exit);
        self.first_exit + self.exits.len() as u32 - 1
    }

    /// Pushes with one instruction, so that a fault finds rsp unchanged: an immediate if it sign-extends,
    /// else a word of the cold code.
    pub(super) fn push_const(&mut self, value: u64) -> Result<(), EmitError> {
        if let Ok(v) = i32::try_from(value as i64) {
            let asm = &mut *self.asm;
            dynasm!(asm; .arch x64; push DWORD v);
            return Ok(());
        }
        let word = self.cold.here();
        self.cold.copy(&value.to_le_bytes());
        let disp = displacement(word, self.asm.here() + 6)?;
        self.asm.copy(&[0xff, 0x35]);
        self.asm.copy(&disp.to_le_bytes());
        Ok(())
    }

    /// To the block at `pc`.
    pub(super) fn to(&mut self, pc: u64) -> Result<(), EmitError> {
        self.pc = PcAt::Known(pc);
        self.marks.seen(self.here());
        self.goto(&[0xe9], pc)
    }

    /// A jump with the opcode bytes `op` and a displacement to the cold stub of a new exit.
    pub(super) fn goto(&mut self, op: &[u8], pc: u64) -> Result<(), EmitError> {
        const LINE: u64 = 64;
        const NOPS: [&[u8]; 4] = [&[], &[0x90], &[0x66, 0x90], &[0x0f, 0x1f, 0x00]];
        let at = (self.asm.here() + op.len() as u64) % LINE;
        if at > LINE - 4 {
            self.mark();
            self.asm.copy(NOPS[(LINE - at) as usize]);
        }
        self.asm.copy(op);
        let (patch, stub) = (self.asm.here(), self.cold.here());
        self.asm.copy(&displacement(stub, patch + 4)?.to_le_bytes());
        let id = self.exit(Exit::Goto { pc, patch, stub });
        leave(self.cold, id);
        Ok(())
    }

    pub(super) fn exit_if(&mut self, cond: Cond, pc: u64) -> Result<(), EmitError> {
        match cond {
            Cond::Flags(cc) => self.goto(&[0x0f, 0x80 | cc], pc),
            Cond::Count { opcode, rep, addr32 } => self.exit_if_count(opcode, rep, addr32, pc),
        }
    }

    /// The counting branches only reach 127 bytes: to a jump beside them, which the other way skips.
    fn exit_if_count(&mut self, opcode: u8, rep: u8, addr32: bool, pc: u64) -> Result<(), EmitError> {
        let cond = Cond::Count { opcode, rep, addr32 };
        if addr32 {
            self.asm.push(0x67);
        }
        if rep != 0 {
            self.asm.push(rep);
        }
        self.asm.copy(&[opcode, 2]);
        let skip = self.asm.at();
        let fallthrough = match self.pc {
            PcAt::Known(p) => {
                self.block.ops.iter().skip_while(|o| **o != Op::ExitIf { cond, pc }).find_map(|o| match *o {
                    Op::Start { pc: n } | Op::Goto { pc: n } if n != p => Some(n),
                    _ => None,
                })
            }
            _ => None,
        };
        self.pc = PcAt::Known(fallthrough.unwrap_or(pc));
        self.mark();
        self.asm.copy(&[0xeb, 0]);
        self.pc = PcAt::Known(pc);
        self.mark();
        self.goto(&[0xe9], pc)?;
        let distance = self.asm.at() - (skip + 2);
        self.asm.set(skip + 1, distance as u8);
        Ok(())
    }

    /// Through the first-level table; r11 has the target, guest r11 is in its home.
    pub(super) fn jump(&mut self) {
        self.pc = PcAt::R11;
        self.send_home(1);
        let asm = &mut *self.asm;
        dynasm!(asm; .arch x64
            ; movzx ecx, r11w
            ; jmp QWORD [rcx * 8 + self.region.jump_table() as i32]
        );
    }
}

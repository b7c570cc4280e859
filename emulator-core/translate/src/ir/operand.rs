//! The kinds of operands that the table of operations ([`super::op`]) names: for each, what an operation
//! holds of it, what it adds to the operation's effect, what the verifier demands of it, and how it is
//! written.

use super::effect::Effect;
use super::var::{Var, VarSet};
use crate::decode::{Insn, MemOperand};
use std::fmt::{self, Display, Formatter};

/// The guest instructions of a block, with the offsets of their bytes.
pub type Insns = [(u32, Insn)];

/// A kind of operand.
pub trait Kind {
    /// What an operation holds.
    type Value: Copy;

    /// What it adds to the effect of its operation; `insns` are the block's.
    fn effect(_value: Self::Value, _insns: &Insns) -> Effect {
        Effect::PURE
    }

    /// A variable that the operation cannot work on.
    fn misfit(_value: Self::Value) -> Option<Var> {
        None
    }

    /// The variable with the guest address that the operation goes to.
    fn target(_value: Self::Value) -> Option<Var> {
        None
    }

    /// As text; `insns` renders the instruction with a number.
    fn text(value: Self::Value, insns: &dyn Fn(usize) -> String) -> String;
}

/// A 64-bit integer variable that is replaced.
#[derive(Debug)]
pub struct Out;
/// A 64-bit integer variable that is read.
#[derive(Debug)]
pub struct In;
/// A 64-bit integer variable with the guest address that the operation goes to.
#[derive(Debug)]
pub struct Target;
/// A constant: a guest address, 64 bits, or bytes.
#[derive(Debug)]
pub struct Const<T>(T);
/// The number of an instruction of the block.
#[derive(Debug)]
pub struct InsnIndex;

fn misfit(var: Var) -> Option<Var> {
    (!var.is_word()).then_some(var)
}

impl Kind for Out {
    type Value = Var;

    #[inline]
    fn effect(var: Var, _: &Insns) -> Effect {
        Effect { writes: VarSet::of(var), ..Effect::PURE }
    }

    fn misfit(var: Var) -> Option<Var> {
        misfit(var)
    }

    fn text(var: Var, _: &dyn Fn(usize) -> String) -> String {
        var.to_string()
    }
}

impl Kind for In {
    type Value = Var;

    #[inline]
    fn effect(var: Var, _: &Insns) -> Effect {
        Effect { reads: VarSet::of(var), ..Effect::PURE }
    }

    fn misfit(var: Var) -> Option<Var> {
        misfit(var)
    }

    fn text(var: Var, _: &dyn Fn(usize) -> String) -> String {
        var.to_string()
    }
}

impl Kind for Target {
    type Value = Var;

    #[inline]
    fn effect(var: Var, insns: &Insns) -> Effect {
        In::effect(var, insns)
    }

    fn misfit(var: Var) -> Option<Var> {
        misfit(var)
    }

    fn target(var: Var) -> Option<Var> {
        Some(var)
    }

    fn text(var: Var, _: &dyn Fn(usize) -> String) -> String {
        var.to_string()
    }
}

impl<T: Copy + fmt::LowerHex> Kind for Const<T> {
    type Value = T;

    fn text(value: T, _: &dyn Fn(usize) -> String) -> String {
        format!("{value:#x}")
    }
}

impl Kind for InsnIndex {
    type Value = u16;

    #[inline]
    fn effect(insn: u16, insns: &Insns) -> Effect {
        let Insn { reads, writes, may_fault, side_effect, .. } = insns[usize::from(insn)].1;
        Effect { reads, writes, keep: side_effect || may_fault, exact: may_fault, end: false }
    }

    fn text(insn: u16, insns: &dyn Fn(usize) -> String) -> String {
        insns(insn.into())
    }
}

/// A guest operand: without a segment base but for an fs override, rip resolved by the front end.
impl Kind for MemOperand {
    type Value = MemOperand;

    #[inline]
    fn effect(mem: MemOperand, _: &Insns) -> Effect {
        let mut reads = VarSet::EMPTY;
        for n in mem.base.into_iter().chain(mem.index.map(|(n, _)| n)) {
            reads.insert(Var::gpr(n & 15));
        }
        Effect { reads, ..Effect::PURE }
    }

    fn text(mem: MemOperand, _: &dyn Fn(usize) -> String) -> String {
        mem.to_string()
    }
}

impl Display for MemOperand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.segment {
            0x64 => f.write_str("fs:")?,
            0x65 => f.write_str("gs:")?,
            _ => {}
        }
        f.write_str("[")?;
        let mut plus = "";
        if let Some(b) = self.base {
            write!(f, "{}", Var::gpr(b & 15))?;
            plus = "+";
        }
        if let Some((i, scale)) = self.index {
            if self.vsib {
                write!(f, "{plus}v{i}*{scale}")?;
            } else {
                write!(f, "{plus}{}*{scale}", Var::gpr(i & 15))?;
            }
            plus = "+";
        }
        if self.disp < 0 && !plus.is_empty() {
            write!(f, "-{:#x}", self.disp.unsigned_abs())?;
        } else if self.disp != 0 || plus.is_empty() {
            write!(f, "{plus}{:#x}", self.disp)?;
        }
        f.write_str(if self.addr32 { "]32" } else { "]" })
    }
}

/// Where the memory operand of a `Native` instruction points in the host's copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mem {
    /// As the guest wrote it (or there is none).
    AsIs,
    /// Rip-relative to this absolute address, with another displacement.
    Rip(u64),
    /// The whole operand is the address in this variable.
    At(Var),
}

impl Kind for Mem {
    type Value = Mem;

    #[inline]
    fn effect(mem: Mem, insns: &Insns) -> Effect {
        match mem {
            Mem::AsIs | Mem::Rip(_) => Effect::PURE,
            Mem::At(var) => In::effect(var, insns),
        }
    }

    fn misfit(mem: Mem) -> Option<Var> {
        if let Mem::At(var) = mem { misfit(var) } else { None }
    }

    fn text(mem: Mem, _: &dyn Fn(usize) -> String) -> String {
        match mem {
            Mem::AsIs => String::new(),
            Mem::Rip(address) => format!(", mem=rip:{address:#x}"),
            Mem::At(var) => format!(", mem=[{var}]"),
        }
    }
}

/// What makes a conditional exit go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cond {
    /// Condition code 0 to 15 over the flags.
    Flags(u8),
    /// `loopne`, `loope`, `loop`, `jrcxz` by opcode e0 to e3, over rcx, or over ecx with the `67` prefix.
    Count {
        /// Opcode byte.
        opcode: u8,
        /// The `f2` or `f3` prefix, or zero: on some processors it replaces the condition of `loope` and
        /// `loopne`.
        rep: u8,
        /// Counts in ecx.
        addr32: bool,
    },
}

impl Kind for Cond {
    type Value = Cond;

    #[inline]
    fn effect(cond: Cond, _: &Insns) -> Effect {
        let rcx = VarSet::of(Var::RCX);
        match cond {
            Cond::Flags(_) => Effect { reads: VarSet::ARITH_FLAGS, ..Effect::PURE },
            Cond::Count { opcode: 0xe3, .. } => Effect { reads: rcx, ..Effect::PURE },
            Cond::Count { .. } => Effect { reads: VarSet::of(Var::ZF), ..Effect::PURE }.changing(rcx),
        }
    }

    /// As in the mnemonics.
    fn text(cond: Cond, _: &dyn Fn(usize) -> String) -> String {
        const CC: [&str; 16] =
            ["o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"];
        let name = match cond {
            Cond::Flags(cc) => CC[cc as usize & 15],
            Cond::Count { opcode, addr32, .. } => match (opcode, addr32) {
                (0xe0, false) => "loopne",
                (0xe1, false) => "loope",
                (0xe2, false) => "loop",
                (0xe3, false) => "rcxz",
                (0xe0, true) => "loopne32",
                (0xe1, true) => "loope32",
                (0xe2, true) => "loop32",
                _ => "ecxz",
            },
        };
        name.to_string()
    }
}

/// Why a block leaves to the cpu loop for good (rather than to reach another block).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A system call; the pc is that of the next instruction.
    Syscall,
    /// The runtime carries out the instruction at the pc, or raises what it raises.
    Emulate,
    /// The instruction at the pc has run and stored the x87 environment: its instruction pointer field is to
    /// be the guest's.
    FpuPointer,
    /// A single guest instruction was asked for and has run; the pc is that of the next one.
    Step,
}

impl Reason {
    /// All, in the order of their numbers.
    const ALL: [Reason; 4] = [Reason::Syscall, Reason::Emulate, Reason::FpuPointer, Reason::Step];

    /// The reason with this number, which is its position in the enumeration.
    pub fn of_number(number: u32) -> Option<Reason> {
        Reason::ALL.get(number as usize).copied()
    }
}

impl Kind for Reason {
    type Value = Reason;

    fn text(reason: Reason, _: &dyn Fn(usize) -> String) -> String {
        let name = match reason {
            Reason::Syscall => "syscall",
            Reason::Emulate => "emulate",
            Reason::FpuPointer => "fpu_pointer",
            Reason::Step => "step",
        };
        name.to_string()
    }
}

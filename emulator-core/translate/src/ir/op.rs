//! The operations. Each lists what it reads and writes in one place, [`Op::effect`]; the passes know nothing more.

use super::var::{Var, VarSet};
use crate::decode::{Insn, MemOperand};
use std::fmt;

/// A block of intermediate code with the guest instructions that `Native` operations refer to.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// Guest address of the first instruction.
    pub pc: u64,
    /// Bytes of guest code covered.
    pub len: u32,
    /// The operations; the last one is the only one that always leaves the block. [`Block::push`] adds to them.
    pub ops: Vec<Op>,
    /// What each operation does: every pass asks, so it is worked out once.
    pub effects: Vec<Effect>,
    /// The decoded instructions that `Native` refers to by index, with the offset of their bytes from `pc`.
    pub insns: Vec<(u32, Insn)>,
    /// The next free local or temporary variable.
    pub vars: VarPool,
}

/// Hands out local and temporary variables.
#[derive(Clone, Copy, Debug, Default)]
pub struct VarPool {
    locals: u8,
    temps: u8,
}

impl VarPool {
    /// First temporary: behind the locals that have a home in the CPU state.
    pub const FIRST_TEMP: u8 = Var::FIRST_LOCAL + crate::state::LOCAL_COUNT;
    /// All temporaries.
    pub const TEMPS: VarSet = VarSet(u128::MAX << Self::FIRST_TEMP);

    /// A new local variable; `None` when their homes are used up.
    pub fn local(&mut self) -> Option<Var> {
        (self.locals < crate::state::LOCAL_COUNT).then(|| {
            self.locals += 1;
            Var(Var::FIRST_LOCAL + self.locals - 1)
        })
    }

    /// A new temporary. Numbers are used again: a temporary only lives for one guest instruction, so the pool is
    /// rewound by [`VarPool::next_insn`] and no instruction needs more than a few.
    pub fn temp(&mut self) -> Var {
        self.temps += 1;
        Var(Self::FIRST_TEMP + self.temps - 1)
    }

    /// Starts a guest instruction: all temporaries are free again.
    pub fn next_insn(&mut self) {
        self.temps = 0;
    }
}

/// Where the memory operand of a `Native` instruction points in the host's copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mem {
    /// As the guest wrote it (or there is none).
    AsIs,
    /// Rip-relative to this absolute address, with the displacement computed anew.
    Rip(u64),
    /// The whole operand is the address in this variable.
    At(Var),
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
        /// Counts in ecx.
        addr32: bool,
    },
}

/// Why a block leaves to the cpu loop for good (rather than to reach another block).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A system call; the pc is that of the next instruction.
    Syscall,
    /// The runtime carries out the instruction at the pc, or raises what it raises.
    Emulate,
    /// The instruction at the pc has run and stored the x87 environment: its instruction pointer field is to be cleared.
    ClearFpuPointer,
    /// A single guest instruction was asked for and has run; the pc is that of the next one.
    Step,
}

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// What follows belongs to the guest instruction at `pc`.
    Start {
        /// Guest address.
        pc: u64,
    },
    /// A guest instruction that runs as it is but for its memory operand.
    Native {
        /// Index in [`Block::insns`].
        insn: u16,
        /// The memory operand in the copy.
        mem: Mem,
    },
    /// `dst = value`.
    Const {
        /// Written.
        dst: Var,
        /// 64-bit constant.
        value: u64,
    },
    /// `dst = src`, 64 bits.
    Mov {
        /// Written.
        dst: Var,
        /// Read.
        src: Var,
    },
    /// `dst = zero-extended low half of src`.
    Zext32 {
        /// Written.
        dst: Var,
        /// Read.
        src: Var,
    },
    /// `dst = a + b`, 64 bits, flags untouched.
    Add {
        /// Written.
        dst: Var,
        /// Read.
        a: Var,
        /// Read.
        b: Var,
    },
    /// `dst = effective address of mem` (without a segment base, rip resolved by the front end), flags untouched.
    Lea {
        /// Written.
        dst: Var,
        /// Base, index, scale, displacement, and whether it wraps at 32 bits.
        mem: MemOperand,
    },
    /// `dst = 64 bits of guest memory at the operand`; an fs override is honoured.
    Load {
        /// Written.
        dst: Var,
        /// The operand, as in `Lea`.
        mem: MemOperand,
    },
    /// `dst = 64 bits of guest memory at the address in addr`.
    LoadAt {
        /// Written.
        dst: Var,
        /// Address.
        addr: Var,
    },
    /// Pushes a constant on the guest's stack.
    PushConst {
        /// 64-bit value.
        value: u64,
    },
    /// Calls the block at `pc`: pushes `next` on the guest's stack. The block goes on where the callee returns to.
    Call {
        /// Guest address of the callee.
        pc: u64,
        /// The return address.
        next: u64,
    },
    /// Calls the block whose guest address is in `target`, as `Call` does.
    CallThrough {
        /// Guest address of the callee.
        target: Var,
        /// The return address.
        next: u64,
    },
    /// Pops from the guest's stack.
    Pop {
        /// Written, as is rsp.
        dst: Var,
    },
    /// Adds to rsp, flags untouched.
    Release {
        /// Bytes.
        bytes: u32,
    },
    /// Goes to the block at `pc` if the condition holds.
    ExitIf {
        /// The condition.
        cond: Cond,
        /// Guest address.
        pc: u64,
    },
    /// Goes to the block at `pc`.
    Goto {
        /// Guest address.
        pc: u64,
    },
    /// Goes to the block whose guest address is in `target`.
    Jump {
        /// Guest address.
        target: Var,
    },
    /// Leaves to the cpu loop.
    Leave {
        /// Why.
        reason: Reason,
        /// Guest address that the reason speaks of.
        pc: u64,
    },
}

/// What an operation does, for the passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Variables whose value is used.
    pub reads: VarSet,
    /// Variables whose whole value is replaced.
    pub writes: VarSet,
    /// Must stay even if nothing that it writes is used.
    pub keep: bool,
    /// May leave the block here (fault, conditional exit, end): all guest state must be exact before it.
    pub exact: bool,
}

fn mem_reads(mem: &MemOperand) -> VarSet {
    let mut set = VarSet::EMPTY;
    for n in mem.base.into_iter().chain(mem.index.map(|(n, _)| n)) {
        set.insert(Var::gpr(n & 15));
    }
    set
}

impl Op {
    /// What the operation reads, writes and may do. `insns` are the block's.
    pub fn effect(&self, insns: &[(u32, Insn)]) -> Effect {
        let pure = |reads, dst| Effect { reads, writes: VarSet::of(dst), keep: false, exact: false };
        let leaves = |reads| Effect { reads, writes: VarSet::EMPTY, keep: true, exact: true };
        match *self {
            Op::Start { .. } => {
                Effect { reads: VarSet::EMPTY, writes: VarSet::EMPTY, keep: true, exact: false }
            }
            Op::Native { insn, mem } => {
                let i = &insns[insn as usize].1;
                let mut reads = i.reads;
                if let Mem::At(v) = mem {
                    reads.insert(v);
                }
                Effect { reads, writes: i.writes, keep: i.side_effect || i.may_fault, exact: i.may_fault }
            }
            Op::Const { dst, .. } => pure(VarSet::EMPTY, dst),
            Op::Mov { dst, src } | Op::Zext32 { dst, src } => pure(VarSet::of(src), dst),
            Op::Add { dst, a, b } => pure(VarSet::of_all(&[a, b]), dst),
            Op::Lea { dst, ref mem } => pure(mem_reads(mem), dst),
            Op::Load { dst, ref mem } => {
                Effect { reads: mem_reads(mem), writes: VarSet::of(dst), keep: true, exact: true }
            }
            Op::LoadAt { dst, addr } => {
                Effect { reads: VarSet::of(addr), writes: VarSet::of(dst), keep: true, exact: true }
            }
            Op::PushConst { .. } => {
                Effect { reads: VarSet::of(Var::RSP), writes: VarSet::of(Var::RSP), keep: true, exact: true }
            }
            // The callee may have changed anything when the block goes on.
            Op::Call { .. } => Effect { writes: VarSet::GLOBALS, ..leaves(VarSet::GLOBALS) },
            Op::CallThrough { target, .. } => {
                let reads = VarSet::GLOBALS.union(VarSet::of(target));
                Effect { writes: VarSet::GLOBALS, ..leaves(reads) }
            }
            Op::Pop { dst } => Effect {
                reads: VarSet::of(Var::RSP),
                writes: VarSet::of_all(&[dst, Var::RSP]),
                keep: true,
                exact: true,
            },
            Op::Release { .. } => {
                Effect { reads: VarSet::of(Var::RSP), writes: VarSet::of(Var::RSP), keep: true, exact: false }
            }
            Op::ExitIf { cond, .. } => {
                let rcx = VarSet::of(Var::RCX);
                match cond {
                    Cond::Flags(_) => leaves(VarSet::ARITH_FLAGS),
                    Cond::Count { opcode: 0xe3, .. } => leaves(rcx),
                    Cond::Count { .. } => Effect { writes: rcx, ..leaves(rcx.union(VarSet::of(Var::ZF))) },
                }
            }
            Op::Goto { .. } | Op::Leave { .. } => leaves(VarSet::EMPTY),
            Op::Jump { target } => leaves(VarSet::of(target)),
        }
    }

    /// Whether the block ends here.
    pub fn is_end(&self) -> bool {
        matches!(self, Op::Goto { .. } | Op::Jump { .. } | Op::Leave { .. })
    }

    /// The variable with the guest address that an indirect branch goes to.
    pub fn target(&self) -> Option<Var> {
        match *self {
            Op::Jump { target } | Op::CallThrough { target, .. } => Some(target),
            _ => None,
        }
    }
}

struct MemText<'a>(&'a MemOperand);

impl fmt::Display for MemText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let m = self.0;
        match m.segment {
            0x64 => f.write_str("fs:")?,
            0x65 => f.write_str("gs:")?,
            _ => {}
        }
        f.write_str("[")?;
        let mut plus = "";
        if let Some(b) = m.base {
            write!(f, "{}", Var::gpr(b & 15))?;
            plus = "+";
        }
        if let Some((i, scale)) = m.index {
            if m.vsib {
                write!(f, "{plus}v{i}*{scale}")?;
            } else {
                write!(f, "{plus}{}*{scale}", Var::gpr(i & 15))?;
            }
            plus = "+";
        }
        if m.disp < 0 && !plus.is_empty() {
            write!(f, "-{:#x}", m.disp.unsigned_abs())?;
        } else if m.disp != 0 || plus.is_empty() {
            write!(f, "{plus}{:#x}", m.disp)?;
        }
        f.write_str(if m.addr32 { "]32" } else { "]" })
    }
}

impl Block {
    /// An empty block at `pc`, with the memory of the old one.
    pub fn restart(&mut self, pc: u64) {
        (self.pc, self.len, self.vars) = (pc, 0, VarPool::default());
        self.ops.clear();
        self.effects.clear();
        self.insns.clear();
    }

    /// Adds an operation at the end.
    pub fn push(&mut self, op: Op) {
        self.effects.push(op.effect(&self.insns));
        self.ops.push(op);
    }

    /// Removes the last operation.
    pub fn pop(&mut self) {
        self.ops.pop();
        self.effects.pop();
    }

    /// Keeps the operations for whose index and effect `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(usize, &Effect) -> bool) {
        let Some(mut kept) = (0..self.ops.len()).find(|&i| !keep(i, &self.effects[i])) else { return };
        for i in kept + 1..self.ops.len() {
            if keep(i, &self.effects[i]) {
                self.ops[kept] = self.ops[i];
                self.effects[kept] = self.effects[i];
                kept += 1;
            }
        }
        self.ops.truncate(kept);
        self.effects.truncate(kept);
    }

    /// The block as text, one operation a line; `text` renders the bytes of instruction `i`.
    pub fn text(&self, text: impl Fn(usize) -> String) -> String {
        use fmt::Write;
        let mut out = String::new();
        for op in &self.ops {
            let _ = match *op {
                Op::Start { pc } => writeln!(out, " ---- {pc:#x}"),
                Op::Native { insn, mem: Mem::AsIs } => writeln!(out, " native {}", text(insn as usize)),
                Op::Native { insn, mem: Mem::Rip(a) } => {
                    writeln!(out, " native {}, mem=rip:{a:#x}", text(insn as usize))
                }
                Op::Native { insn, mem: Mem::At(v) } => {
                    writeln!(out, " native {}, mem=[{v}]", text(insn as usize))
                }
                Op::Const { dst, value } => writeln!(out, " {dst} = {value:#x}"),
                Op::Mov { dst, src } => writeln!(out, " {dst} = {src}"),
                Op::Zext32 { dst, src } => writeln!(out, " {dst} = zext32 {src}"),
                Op::Add { dst, a, b } => writeln!(out, " {dst} = add {a}, {b}"),
                Op::Lea { dst, ref mem } => writeln!(out, " {dst} = lea {}", MemText(mem)),
                Op::Load { dst, ref mem } => writeln!(out, " {dst} = load {}", MemText(mem)),
                Op::LoadAt { dst, addr } => writeln!(out, " {dst} = load [{addr}]"),
                Op::PushConst { value } => writeln!(out, " push {value:#x}"),
                Op::Call { pc, next } => writeln!(out, " call {pc:#x}, return to {next:#x}"),
                Op::CallThrough { target, next } => writeln!(out, " call {target}, return to {next:#x}"),
                Op::Pop { dst } => writeln!(out, " {dst} = pop"),
                Op::Release { bytes } => writeln!(out, " rsp = add rsp, {bytes:#x}"),
                Op::ExitIf { cond, pc } => writeln!(out, " exit_if {} {pc:#x}", cond.name()),
                Op::Goto { pc } => writeln!(out, " goto {pc:#x}"),
                Op::Jump { target } => writeln!(out, " jump {target}"),
                Op::Leave { reason, pc } => writeln!(out, " leave {} {pc:#x}", reason.name()),
            };
        }
        out
    }
}

impl Cond {
    /// As in the mnemonics.
    pub fn name(self) -> &'static str {
        const CC: [&str; 16] =
            ["o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"];
        match self {
            Cond::Flags(cc) => CC[cc as usize & 15],
            Cond::Count { opcode, addr32 } => match (opcode, addr32) {
                (0xe0, false) => "loopne",
                (0xe1, false) => "loope",
                (0xe2, false) => "loop",
                (0xe3, false) => "rcxz",
                (0xe0, true) => "loopne32",
                (0xe1, true) => "loope32",
                (0xe2, true) => "loop32",
                _ => "ecxz",
            },
        }
    }
}

impl Reason {
    /// A short name.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Syscall => "syscall",
            Reason::Emulate => "emulate",
            Reason::ClearFpuPointer => "clear_fpu_pointer",
            Reason::Step => "step",
        }
    }
}

//! A block: a straight line of operations, and the variables that they may use.

use super::effect::Effect;
use super::op::Op;
use super::var::{Var, VarSet};
use crate::decode::Insn;

/// A block of intermediate code with the guest instructions that `Native` operations refer to.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// Guest address of the first instruction.
    pub pc: u64,
    /// Bytes of guest code covered.
    pub len: u32,
    /// The operations; the last one is the only one that always leaves the block. [`Block::push`] adds to
    /// them.
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

    /// A new temporary. Numbers are used again: a temporary only lives for one guest instruction, so the pool
    /// is rewound by [`VarPool::next_insn`] and no instruction needs more than a few.
    pub fn temp(&mut self) -> Var {
        self.temps += 1;
        Var(Self::FIRST_TEMP + self.temps - 1)
    }

    /// Starts a guest instruction: all temporaries are free again.
    pub fn next_insn(&mut self) {
        self.temps = 0;
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
        self.ops.iter().map(|op| format!(" {}\n", op.text(&text))).collect()
    }
}

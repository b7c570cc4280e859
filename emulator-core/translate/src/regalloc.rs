//! Register allocation for temporaries.
//!
//! Guest registers are pinned, so there is no free host register: a temporary takes over the register of a
//! guest register that no operation in its range touches. If that guest register is dead over the whole range
//! nothing more is needed; otherwise it is *borrowed*: its value is stored to its home in the CPU state
//! before and loaded after, and the state recovery takes it from there in between.
//!
//! Temporaries only get the eight low registers, so that an instruction can be rewritten to use one without a
//! REX prefix (which would change the meaning of ah, ch, dh, bh). The target of an indirect branch is always
//! in r11, which the target block takes back from its home.

use crate::ir::block::{Block, VarPool};
use crate::ir::op::Op;
use crate::ir::var::{Var, VarSet};
use crate::opt::liveness::Liveness;

/// One temporary's register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The temporary.
    pub var: Var,
    /// Host register number: 0 to 7, not 4; or 11.
    pub reg: u8,
    /// Index of the operation that writes it first.
    pub from: usize,
    /// Index of the operation that uses it last.
    pub to: usize,
    /// The guest register's value is stored before and (unless the block ends there) loaded after.
    pub borrowed: bool,
}

/// An instruction needs more temporaries than there are registers besides the ones that it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRegister;

/// In the order of preference: caller-saved and rarely addressed first, rcx last since an indirect branch
/// takes it.
const CANDIDATES: [u8; 7] = [7, 6, 2, 0, 3, 5, 1];

/// Assigns a register to each temporary, in the order of their first writes; `done` is filled with them.
pub fn allocate(block: &Block, live: &Liveness, done: &mut Vec<Assignment>) -> Result<(), NoRegister> {
    done.clear();
    // No range goes beyond its instruction, so only the assignments of the same one matter.
    let mut first = 0;
    for (from, op) in block.ops.iter().enumerate() {
        if matches!(op, Op::Start { .. }) {
            first = done.len();
        }
        for var in block.effects[from].writes.intersect(VarPool::TEMPS).iter() {
            if done[first..].iter().any(|a| a.var == var && a.from <= from && from <= a.to) {
                continue;
            }
            let to = last_use(block, var, from);
            let reg = choose(block, &done[first..], from, to)?;
            let entry = if from == 0 { live.entry } else { live.after[from - 1] };
            let borrowed = block.ops[to].target().is_some() || entry.has(Var::gpr(reg));
            done.push(Assignment { var, reg, from, to, borrowed });
        }
    }
    Ok(())
}

fn last_use(block: &Block, var: Var, from: usize) -> usize {
    let mut to = from;
    for (i, op) in block.ops.iter().enumerate().skip(from + 1) {
        if matches!(op, Op::Start { .. }) {
            break;
        }
        if block.effects[i].reads.has(var) || block.effects[i].writes.has(var) {
            to = i;
        }
    }
    to
}

fn choose(block: &Block, done: &[Assignment], from: usize, to: usize) -> Result<u8, NoRegister> {
    if block.ops[to].target().is_some() {
        return Ok(11);
    }
    let mut taken = VarSet::of(Var::RSP);
    for effect in &block.effects[from..=to] {
        taken = taken.union(effect.reads).union(effect.writes);
    }
    // An operation that jumps in this instruction takes rcx as well.
    let jumps = block.ops[from..].iter().take_while(|o| !matches!(o, Op::Start { .. }));
    if jumps.into_iter().any(|o| o.target().is_some()) {
        taken.insert(Var::RCX);
    }
    for a in done.iter().filter(|a| a.to >= from) {
        taken.insert(Var::gpr(a.reg));
    }
    CANDIDATES.into_iter().find(|&r| !taken.has(Var::gpr(r))).ok_or(NoRegister)
}

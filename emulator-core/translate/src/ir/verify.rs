//! The verifier: run on every block before emission in tests and debug builds, and by the golden tests on
//! each stage.
//!
//! It holds the front end and the passes to the rules that the register allocator and the state recovery
//! build on.

use super::block::{Block, VarPool};
use super::op::{Mem, Op};
use super::var::{Var, VarSet};

/// The first rule that a block breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The block has no operations or does not end in one that leaves it.
    #[error("the block does not end")]
    NoEnd,
    /// An operation behind the end.
    #[error("operation {0} lies behind the end")]
    BehindEnd(usize),
    /// The first operation is not `Start`.
    #[error("the block does not begin with a guest instruction")]
    NoStart,
    /// A local or temporary is read before it is written.
    #[error("operation {at} reads {var} before it is written")]
    Undefined {
        /// Index of the operation.
        at: usize,
        /// The variable.
        var: Var,
    },
    /// A temporary that is written in an earlier guest instruction, or before a conditional exit.
    #[error("operation {at}: the temporary {var} outlives its guest instruction")]
    Escapes {
        /// Index of the operation.
        at: usize,
        /// The variable.
        var: Var,
    },
    /// An operand that the operation's row in the table does not allow.
    #[error("operation {at} cannot work on {var}")]
    Misfit {
        /// Index of the operation.
        at: usize,
        /// The variable.
        var: Var,
    },
    /// `Native` names an instruction that the block does not have, or rewrites an operand that is not there.
    #[error("operation {0}: no such instruction or memory operand")]
    Native(usize),
}

/// Checks a block.
pub fn verify(block: &Block) -> Result<(), Broken> {
    let Some((last, body)) = block.ops.split_last() else { return Err(Broken::NoEnd) };
    if !last.is_end() {
        return Err(Broken::NoEnd);
    }
    if let Some(at) = body.iter().position(Op::is_end) {
        return Err(Broken::BehindEnd(at + 1));
    }
    if !matches!(block.ops[0], Op::Start { .. }) {
        return Err(Broken::NoStart);
    }
    let mut defined = VarSet::GLOBALS;
    let mut once = VarSet::EMPTY;
    for (at, op) in block.ops.iter().enumerate() {
        if let Op::Native { insn, mem } = *op {
            let known = block.insns.get(insn as usize);
            if known.is_none_or(|(_, i)| mem != Mem::AsIs && i.mem.is_none()) {
                return Err(Broken::Native(at));
            }
        }
        if let Some(var) = op.misfit() {
            return Err(Broken::Misfit { at, var });
        }
        if matches!(op, Op::Start { .. }) {
            defined = defined.minus(VarPool::TEMPS);
        }
        let effect = op.effect(&block.insns);
        if let Some(var) = effect.reads.minus(defined).iter().next() {
            return Err(if once.has(var) {
                Broken::Escapes { at, var }
            } else {
                Broken::Undefined { at, var }
            });
        }
        if matches!(op, Op::Call { .. } | Op::CallIndirect { .. }) {
            // The callee's locals have the same homes.
            defined = VarSet::EMPTY;
        }
        defined = defined.union(effect.writes);
        once = once.union(effect.writes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(ops: &[Op]) -> Block {
        Block { ops: ops.to_vec(), ..Block::default() }
    }

    #[test]
    fn each_rule_is_enforced() {
        let t = VarPool::default().temp();
        let start = Op::Start { pc: 0 };
        let end = Op::Goto { pc: 4 };
        let def = Op::Const { dst: t, value: 1 };
        assert_eq!(verify(&block(&[start, def, Op::GotoPtr { target: t }])), Ok(()));
        assert_eq!(verify(&block(&[])), Err(Broken::NoEnd));
        assert_eq!(verify(&block(&[start, def])), Err(Broken::NoEnd));
        assert_eq!(verify(&block(&[end])), Err(Broken::NoStart));
        assert_eq!(verify(&block(&[start, end, end])), Err(Broken::BehindEnd(2)));
        assert_eq!(
            verify(&block(&[start, Op::GotoPtr { target: t }])),
            Err(Broken::Undefined { at: 1, var: t })
        );
        assert_eq!(
            verify(&block(&[start, def, start, Op::GotoPtr { target: t }])),
            Err(Broken::Escapes { at: 3, var: t })
        );
        assert_eq!(
            verify(&block(&[start, Op::Native { insn: 0, mem: Mem::AsIs }, end])),
            Err(Broken::Native(1))
        );
        assert_eq!(
            verify(&block(&[start, Op::Mov { dst: t, src: Var::ZF }, end])),
            Err(Broken::Misfit { at: 1, var: Var::ZF })
        );
    }

    #[test]
    fn locals_may_cross_guest_instructions() {
        let l = VarPool::default().local().unwrap();
        let start = Op::Start { pc: 0 };
        assert_eq!(
            verify(&block(&[start, Op::Const { dst: l, value: 1 }, start, Op::GotoPtr { target: l }])),
            Ok(())
        );
    }
}

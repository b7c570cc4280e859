//! Dead code and dead flags: an operation that has no effect but on variables that nobody reads goes. That covers a
//! `cmp` whose flags are overwritten, a register that is set twice, and the no-operations between functions.

use super::liveness::Liveness;
use crate::ir::op::{Block, Op};

/// Removes dead operations; returns how many. `live` is the block's liveness before that.
pub fn dead_code(block: &mut Block, live: &Liveness) -> usize {
    let before = block.ops.len();
    let mut after = live.after.iter();
    let Block { ops, insns, .. } = block;
    ops.retain(|op: &Op| {
        let live = after.next().copied().unwrap_or_default();
        let effect = op.effect(insns);
        effect.keep || !effect.writes.intersect(live).is_empty()
    });
    before - ops.len()
}

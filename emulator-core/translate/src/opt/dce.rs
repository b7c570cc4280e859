//! Dead code and dead flags: an operation that has no effect but on variables that nobody reads goes. That covers a
//! `cmp` whose flags are overwritten, a register that is set twice, and the no-operations between functions.

use super::liveness::Liveness;
use crate::ir::op::Block;

/// Removes dead operations; returns how many. `live` is the block's liveness before that.
pub fn dead_code(block: &mut Block, live: &Liveness) -> usize {
    let before = block.ops.len();
    block.retain(|i, effect| {
        effect.keep || live.after.get(i).is_none_or(|after| !effect.writes.intersect(*after).is_empty())
    });
    before - block.ops.len()
}

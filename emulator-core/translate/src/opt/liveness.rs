//! Backward liveness.
//!
//! Two facts make it exact enough for precise guest state: every global is live where the block ends, and
//! every operation that may leave the block in the middle (a fault, a conditional exit) counts as a use of
//! every global. A register is dead only where it is overwritten before anything can look at it.

use crate::ir::block::Block;
use crate::ir::var::VarSet;

/// For each operation the variables that are live behind it, and the set that is live at the block's entry.
#[derive(Clone, Debug, Default)]
pub struct Liveness {
    /// Live behind operation *i*.
    pub after: Vec<VarSet>,
    /// Live at entry.
    pub entry: VarSet,
}

impl Liveness {
    /// Computes the liveness of a block.
    pub fn compute(&mut self, block: &Block) {
        let mut live = VarSet::GLOBALS;
        self.after.clear();
        self.after.resize(block.ops.len(), VarSet::EMPTY);
        for (slot, effect) in self.after.iter_mut().zip(&block.effects).rev() {
            *slot = live;
            live = live.minus(effect.writes).union(effect.reads);
            if effect.exact {
                live = live.union(VarSet::GLOBALS);
            }
        }
        self.entry = live;
    }
}

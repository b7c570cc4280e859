//! What an operation does, as far as the passes care.

use super::var::VarSet;

/// See the module.
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
    /// Always leaves the block: nothing follows.
    pub end: bool,
}

impl Effect {
    /// Nothing but what the operands add.
    pub const PURE: Effect =
        Effect { reads: VarSet::EMPTY, writes: VarSet::EMPTY, keep: false, exact: false, end: false };
    /// Must stay.
    pub const KEPT: Effect = Effect { keep: true, ..Effect::PURE };
    /// May leave the block.
    pub const EXACT: Effect = Effect { exact: true, ..Effect::KEPT };
    /// Always leaves the block.
    pub const END: Effect = Effect { end: true, ..Effect::EXACT };

    /// The effect, and that these variables are read and replaced.
    pub const fn changing(self, vars: VarSet) -> Effect {
        Effect { reads: self.reads.union(vars), writes: self.writes.union(vars), ..self }
    }

    /// Both effects.
    #[inline]
    pub const fn and(self, other: Effect) -> Effect {
        Effect {
            reads: self.reads.union(other.reads),
            writes: self.writes.union(other.writes),
            keep: self.keep || other.keep,
            exact: self.exact || other.exact,
            end: self.end || other.end,
        }
    }
}

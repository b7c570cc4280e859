//! What the back end makes: a block's host code with its entries, exits and marks.

use super::buffer::CodeBuffer;
use super::mark::Mark;
use crate::ir::op::Reason;
use crate::state::Region;

/// Where the pieces will lie and how exits are numbered.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// The code cache's region.
    pub region: Region,
    /// Host address of the hot code, a multiple of 16.
    pub hot: u64,
    /// Host address of the cold code.
    pub cold: u64,
    /// Number of the block's first exit.
    pub first_exit: u32,
    /// Emit the entry for indirect branches in front of the block.
    pub indirect_entry: bool,
}

/// Exit numbers that every code cache has.
pub const EXIT_LOOKUP: u32 = 0;
/// The thread was stopped; the pc is in the CPU state.
pub const EXIT_STOPPED: u32 = 1;
/// The first number for blocks.
pub const FIRST_EXIT: u32 = 2;

/// A translated block.
#[derive(Clone, Debug, Default)]
pub struct Code {
    /// Host code for [`Placement::hot`].
    pub hot: CodeBuffer,
    /// Host code for [`Placement::cold`].
    pub cold: CodeBuffer,
    /// Where the block can be entered, ascending by guest pc; the first entry is the block's beginning.
    pub entries: Vec<Entry>,
    /// The exits, in the order of their numbers.
    pub exits: Vec<Exit>,
    /// State recovery for the hot code, ascending. In the cold code the state is that of the exit whose stub
    /// it is.
    pub marks: Vec<Mark>,
}

/// A place where a block can be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Guest address.
    pub pc: u64,
    /// Host address for the prologue.
    pub start: u64,
    /// Host address for chained jumps, if there is one.
    pub direct: Option<u64>,
    /// Host address for indirect branches, if there is one.
    pub indirect: Option<u64>,
}

/// One way out of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// To the block at a guest address.
    Goto {
        /// Guest address.
        pc: u64,
        /// Host address of the jump's 32-bit displacement.
        patch: u64,
        /// Host address of the stub that the jump goes to while it is not chained.
        stub: u64,
    },
    /// To the cpu loop.
    Leave {
        /// Why.
        reason: Reason,
        /// Guest address that the reason is about.
        pc: u64,
    },
}

/// The host cannot reach what the code needs, or the assembler refused; the block is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmitError {
    /// An address beyond the reach of a 32-bit displacement, or a block larger than a mark can say.
    #[error("host address out of reach")]
    Reach,
    /// A variable where the operation cannot have one.
    #[error("operation on a variable that is in the wrong place")]
    Place,
}

impl Code {
    pub(super) fn restart(&mut self, at: Placement) {
        self.hot.restart(at.hot);
        self.cold.restart(at.cold);
        self.entries.clear();
        self.exits.clear();
        self.marks.clear();
    }
}

/// The 32-bit displacement from `from` (the end of the instruction) to `to`.
pub fn displacement(to: u64, from: u64) -> Result<i32, EmitError> {
    i32::try_from(to.wrapping_sub(from) as i64).map_err(|_| EmitError::Reach)
}

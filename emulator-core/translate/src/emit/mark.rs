//! State recovery: where the guest state is when the host stops at any instruction of a block.
//!
//! A fault or a signal can stop the host anywhere. [`Mark`]s say for every host offset what the guest pc is
//! and which guest registers are in their home in the CPU state because a temporary has their host register.
//! Most of a block is copied guest code, where the guest pc moves along with the host's: one mark does for a
//! whole run of it. An instruction that has taken effect is never undone: from the host instruction that
//! commits it on, the mark names the next guest pc.

/// From this host offset on, until the next mark, the guest state is as said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Offset of the first host instruction that it holds for (it is about to run).
    pub at: u32,
    /// Where the guest pc is.
    pub pc: PcAt,
    /// Guest registers 0 to 7 that are in their home in the CPU state, as a bit mask.
    pub borrowed: u8,
    /// The arithmetic flags are in [`crate::state::STUB_FLAGS`].
    pub flags_saved: bool,
}

/// Where the guest pc is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PcAt {
    /// It is this.
    Known(u64),
    /// It is this where the mark begins, and goes along with the host pc.
    Along(u64),
    /// In host rcx.
    Rcx,
    /// In [`crate::state::TARGET`].
    Target,
}

impl Mark {
    /// All registers are where they belong.
    pub const fn plain(at: u32, pc: PcAt) -> Mark {
        Mark { at, pc, borrowed: 0, flags_saved: false }
    }

    /// At the entry for indirect branches: the branch has left its target in the CPU state, and guest rcx in
    /// its home.
    pub const fn arrival(at: u32) -> Mark {
        Mark { borrowed: 1 << 1, ..Mark::plain(at, PcAt::Target) }
    }

    /// What it says of the host offset `at`, which it holds for.
    pub fn seen_from(self, at: u32) -> Mark {
        let pc = match self.pc {
            PcAt::Along(pc) => PcAt::Known(pc.wrapping_add(u64::from(at.wrapping_sub(self.at)))),
            pc => pc,
        };
        Mark { at, pc, ..self }
    }
}

/// Puts the marks of a block in order while it is emitted.
pub(super) struct Marker<'a> {
    marks: &'a mut Vec<Mark>,
}

impl<'a> Marker<'a> {
    pub(super) fn new(marks: &'a mut Vec<Mark>) -> Marker<'a> {
        Marker { marks }
    }

    /// The state is as `mark` says from its offset on.
    pub(super) fn set(&mut self, mark: Mark) {
        if self.marks.last().is_some_and(|m| m.at == mark.at) {
            self.marks.pop();
        }
        let same = |m: &Mark| Mark { at: mark.at, ..*m } == mark && !matches!(m.pc, PcAt::Along(_));
        if !self.marks.last().is_some_and(same) {
            self.marks.push(mark);
        }
    }

    /// At offset `at` begins a host instruction that alone does what the guest's at `pc` does.
    pub(super) fn instruction(&mut self, at: u32, pc: u64) {
        let here = Mark::plain(at, PcAt::Known(pc));
        if self.marks.last().is_none_or(|m| m.seen_from(at) != here) {
            self.set(here);
        }
    }

    /// At offset `at` begins a copy of the guest's instruction at `pc`.
    pub(super) fn copied(&mut self, at: u32, pc: u64) {
        let along =
            |m: &Mark| matches!(m.pc, PcAt::Along(_)) && m.seen_from(at) == Mark::plain(at, PcAt::Known(pc));
        if !self.marks.last().is_some_and(along) {
            self.set(Mark::plain(at, PcAt::Along(pc)));
        }
    }
}

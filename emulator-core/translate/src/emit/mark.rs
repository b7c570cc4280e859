//! State recovery: where the guest state is when the host stops at any instruction of a block.
//!
//! A fault or a signal can stop the host anywhere. [`Mark`]s say for every host offset what the guest pc is
//! and which guest registers are in their home in the CPU state because a temporary has their host register.
//! Most of a block is copied guest code, where the guest pc moves along with the host's: one mark does for a
//! whole run of it. An instruction that has taken effect is never undone: from the host instruction that
//! commits it on, the mark names the next guest pc.

/// What an indirect branch takes over: r11 has its target, rcx the index in the first-level table.
pub const BRANCH_REGS: u16 = 1 << 1 | 1 << 11;

/// From this host offset on, until the next mark, the guest state is as said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Offset of the first host instruction that it holds for (it is about to run).
    pub at: u32,
    /// Where the guest pc is.
    pub pc: PcAt,
    /// Guest general registers that are in their home in the CPU state, as a bit mask.
    pub borrowed: u16,
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
    /// In host r11.
    R11,
    /// In [`crate::state::TARGET`], at the end of the look-up stub.
    Target,
}

impl PcAt {
    /// Number and address, for those who keep marks.
    pub const fn number(self) -> (u32, u64) {
        match self {
            PcAt::Known(pc) => (0, pc),
            PcAt::Along(pc) => (1, pc),
            PcAt::R11 => (2, 0),
            PcAt::Target => (3, 0),
        }
    }

    /// The one with this number and address.
    pub const fn of_number(number: u32, pc: u64) -> Option<PcAt> {
        Some(match number {
            0 => PcAt::Known(pc),
            1 => PcAt::Along(pc),
            2 => PcAt::R11,
            3 => PcAt::Target,
            _ => return None,
        })
    }
}

impl Mark {
    /// All registers are where they belong.
    pub const fn plain(at: u32, pc: PcAt) -> Mark {
        Mark { at, pc, borrowed: 0, flags_saved: false }
    }

    /// At the entry for indirect branches: the branch has left its target in host r11, and the guest's
    /// registers that it took in their homes.
    pub const fn arrival(at: u32) -> Mark {
        Mark { borrowed: BRANCH_REGS, ..Mark::plain(at, PcAt::R11) }
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

    /// The state is as `mark` says at its offset.
    pub(super) fn seen(&mut self, mark: Mark) {
        if self.marks.last().is_none_or(|m| m.seen_from(mark.at) != mark) {
            self.set(mark);
        }
    }

    /// At offset `at` begins a copy of the guest's instruction at `pc`.
    pub(super) fn copied(&mut self, at: u32, pc: u64, borrowed: u16) {
        let here = Mark { borrowed, ..Mark::plain(at, PcAt::Known(pc)) };
        let along = |m: &Mark| matches!(m.pc, PcAt::Along(_)) && m.seen_from(at) == here;
        if !self.marks.last().is_some_and(along) {
            self.set(Mark { pc: PcAt::Along(pc), ..here });
        }
    }
}

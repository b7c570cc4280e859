//! The state recovery of many blocks, in few bytes.

use rxbox_translate::emit::{Mark, PcAt};

/// The marks of blocks, one run after the other.
#[derive(Debug, Default)]
pub(super) struct Marks(Vec<Kept>);

/// A [`Mark`]. Those of blocks never say that the flags are saved, which only the look-up stub does.
#[derive(Clone, Copy, Debug)]
struct Kept {
    pc: u64,
    at: u16,
    borrowed: u16,
    way: Way,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Known,
    Along,
    R11,
    Target,
}

const _: () = assert!(size_of::<Kept>() == 16);

impl Kept {
    fn mark(&self) -> Mark {
        let pc = match self.way {
            Way::Known => PcAt::Known(self.pc),
            Way::Along => PcAt::Along(self.pc),
            Way::R11 => PcAt::R11,
            Way::Target => PcAt::Target,
        };
        Mark { at: self.at.into(), pc, borrowed: self.borrowed, flags_saved: false }
    }
}

impl Marks {
    /// How many there are: where the next run begins.
    pub(super) fn end(&self) -> u32 {
        self.0.len() as u32
    }

    /// Adds a run. Offsets fit in 16 bits: a block has 64 guest instructions at most, of 15 bytes, and none
    /// becomes a hundred.
    pub(super) fn add(&mut self, marks: &[Mark]) {
        self.0.extend(marks.iter().map(|m| {
            let (way, pc) = match m.pc {
                PcAt::Known(pc) => (Way::Known, pc),
                PcAt::Along(pc) => (Way::Along, pc),
                PcAt::R11 => (Way::R11, 0),
                PcAt::Target => (Way::Target, 0),
            };
            Kept { pc, at: m.at as u16, borrowed: m.borrowed, way }
        }));
    }

    /// What holds at the offset `at` by the run from `start` to `end`, that is by its last mark not beyond.
    pub(super) fn holding(&self, (start, end): (u32, u32), at: u32) -> Option<Mark> {
        let run = self.0.get(start as usize..end as usize)?;
        let kept = run.get(run.partition_point(|m| u32::from(m.at) <= at).checked_sub(1)?)?;
        Some(kept.mark().seen_from(at))
    }

    /// All marks, in the order in which they were added.
    pub(super) fn iter(&self) -> impl Iterator<Item = Mark> {
        self.0.iter().map(Kept::mark)
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

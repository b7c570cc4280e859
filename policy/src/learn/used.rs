//! Who used something how often.

use std::collections::BTreeSet;

/// Programs that are remembered: a program chooses its name, as often as it likes.
const PROGRAMS: usize = 8;

/// Who did something how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) times: u64,
    /// Different things that were used.
    pub(crate) things: u64,
    pub(crate) programs: BTreeSet<String>,
}

impl Use {
    pub(crate) fn once(program: &[u8]) -> Use {
        let program = String::from_utf8_lossy(program).chars().filter(|c| !c.is_control()).collect();
        Use { times: 1, things: 1, programs: BTreeSet::from([program]) }
    }

    /// Takes in that the same thing was used again.
    pub(crate) fn again(&mut self, other: Use) {
        self.times = self.times.saturating_add(other.times);
        let room = PROGRAMS.saturating_sub(self.programs.len());
        self.programs.extend(other.programs.into_iter().take(room));
    }

    /// Takes in the use of another thing that the same entry is for.
    pub(crate) fn join(&mut self, other: &Use) {
        self.things = self.things.saturating_add(other.things);
        self.again(other.clone());
    }
}

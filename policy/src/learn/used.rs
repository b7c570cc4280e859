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
    /// The entry of a profile that allowed it before, as it is written there, and its remark.
    earlier: Option<(String, String)>,
}

impl Use {
    pub(crate) fn once(program: &[u8]) -> Use {
        let program = String::from_utf8_lossy(program).chars().filter(|c| !c.is_control()).collect();
        Use { times: 1, things: 1, programs: BTreeSet::from([program]), earlier: None }
    }

    /// No use of this run: what an entry was written for before.
    pub(crate) fn earlier(entry: String, remark: String) -> Use {
        Use { earlier: Some((entry, remark)), ..Use::default() }
    }

    /// The entry as it was written before, if nothing came to it.
    pub(crate) fn written(&self) -> Option<&str> {
        self.earlier.as_ref().map(|(entry, _)| entry.as_str()).filter(|entry| !entry.is_empty())
    }

    /// The remark of before.
    pub(crate) fn remark(&self) -> Option<&str> {
        self.earlier.as_ref().map(|(_, remark)| remark.as_str())
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
        self.earlier = match (self.earlier.take(), &other.earlier) {
            (Some(mine), Some(others)) if mine == *others => Some(mine),
            (None, None) => None,
            // It speaks of more than either.
            (mine, others) => {
                let remark = mine.as_ref().or(others.as_ref()).map(|(_, remark)| remark.clone());
                Some((String::new(), remark.filter(|_| self.times == 0).unwrap_or_default()))
            }
        };
        self.again(other.clone());
    }
}

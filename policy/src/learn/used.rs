//! What was used: which key of a profile it takes, and who used it how often.

use crate::decision::Access;
use std::collections::BTreeSet;

/// A list of a profile that grants something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    List,
    Read,
    Execute,
    Modify,
    Write,
}

impl Key {
    pub(crate) const ALL: [Key; 5] = [Key::List, Key::Read, Key::Execute, Key::Modify, Key::Write];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Key::List => "list",
            Key::Read => "read",
            Key::Execute => "execute",
            Key::Modify => "modify",
            Key::Write => "write",
        }
    }

    /// Whether an entry of this key grants what one of the other does.
    pub(crate) fn covers(self, other: Key) -> bool {
        match self {
            Key::List => other == Key::List,
            Key::Read => matches!(other, Key::List | Key::Read),
            Key::Execute => matches!(other, Key::List | Key::Read | Key::Execute),
            Key::Modify => matches!(other, Key::List | Key::Read | Key::Modify),
            Key::Write => other != Key::Execute,
        }
    }

    /// The keys that grant these accesses to one path and the least besides.
    pub(crate) fn of(done: &BTreeSet<u8>) -> Vec<Key> {
        let did = |accesses: &[Access]| accesses.iter().any(|access| done.contains(&(*access as u8)));
        let mut keys = Vec::new();
        if did(&[Access::Create, Access::Remove, Access::Attributes]) {
            keys.push(Key::Write);
        } else if did(&[Access::Write]) {
            keys.push(Key::Modify);
        }
        if did(&[Access::Execute]) {
            keys.push(Key::Execute);
        }
        if keys.is_empty() && did(&[Access::Read]) {
            keys.push(Key::Read);
        }
        if keys.is_empty() && did(&[Access::List, Access::Metadata]) {
            keys.push(Key::List);
        }
        keys
    }
}

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
        self.programs.extend(other.programs);
    }

    /// Takes in the use of another thing that the same entry is for.
    pub(crate) fn join(&mut self, other: &Use) {
        self.things = self.things.saturating_add(other.things);
        self.again(other.clone());
    }
}

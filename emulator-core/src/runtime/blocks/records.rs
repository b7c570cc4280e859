//! What is kept of each block, exit and entry.
//!
//! A program has tens of thousands of blocks, and every process that it forks has them too, so the records
//! are small: a host address takes four bytes, since the code cache lies below 2 GiB, and what belongs to a
//! block lies in one run, which ends where that of the next block begins.

use rxbox_translate::emit::{Entry, Exit};
use rxbox_translate::ir::op::Reason;
use std::num::NonZero;

/// Index of a block; never used again until a flush.
pub type BlockId = u32;

/// No block, or exit, of this number.
const NONE: u32 = u32::MAX;
/// In the place of a block: it is kept code.
pub(super) const IN_KEPT: BlockId = u32::MAX - 1;

/// A host address of the code cache in four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Host(NonZero<u32>);

impl Host {
    /// `address` is one of the code cache, which lies below 2 GiB.
    pub(super) fn of(address: u64) -> Host {
        debug_assert!(address < 1 << 31, "no address of the code cache");
        Host(NonZero::new(address as u32).unwrap_or(NonZero::<u32>::MAX))
    }

    pub(super) fn address(self) -> u64 {
        self.0.get().into()
    }
}

/// A translation block.
#[derive(Debug)]
pub(super) struct TranslationBlock {
    /// Guest address of its first instruction.
    pub(super) pc: u64,
    /// Bytes of guest code that it stands for.
    pub(super) len: u16,
    /// Bytes of its hot code.
    pub(super) hot_len: u16,
    pub(super) hot: Host,
    pub(super) cold: Host,
    /// Where its places begin in the list of entries, the beginning first.
    pub(super) entries: u32,
    /// Where its exits begin in the list of exits.
    pub(super) exits: u32,
    /// Where the state recovery of its hot code begins.
    pub(super) marks: u32,
    /// Where its guest bytes begin.
    pub(super) source: u32,
    /// In which generation it was made or last found valid.
    pub(super) generation: u32,
    /// The exits that are chained to it.
    pub(super) incoming: Incoming,
    pub(super) linked: bool,
}

/// The exits that are chained to a block: a list through the exits themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming(u32);

impl Incoming {
    /// None yet.
    pub(super) const NONE: Incoming = Incoming(NONE);

    /// Adds the exit with the index `at`.
    pub(super) fn push(&mut self, exits: &mut [ExitRecord], at: u32) {
        exits[at as usize].next = self.0;
        self.0 = at;
    }

    /// Takes the exit with the index `at` out, if it is there.
    pub(super) fn remove(&mut self, exits: &mut [ExitRecord], at: u32) {
        let next = exits[at as usize].next;
        if self.0 == at {
            self.0 = next;
            return;
        }
        let before = self.iter(exits).find(|&e| exits[e as usize].next == at);
        if let Some(before) = before {
            exits[before as usize].next = next;
        }
    }

    /// The indexes of all.
    pub(super) fn iter(self, exits: &[ExitRecord]) -> impl Iterator<Item = u32> {
        let some = |at| (at != NONE).then_some(at);
        std::iter::successors(some(self.0), move |&at| some(exits[at as usize].next))
    }
}

/// An exit of some block.
#[derive(Debug)]
pub(super) struct ExitRecord {
    /// The guest address that it goes to, or that its reason is about.
    pc: u64,
    pub(super) block: BlockId,
    chained: BlockId,
    next: u32,
    way: Way,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Goto { patch: Host, stub: Host },
    Leave(Reason),
}

impl ExitRecord {
    pub(super) fn new(block: BlockId, exit: Exit) -> ExitRecord {
        let (pc, way) = match exit {
            Exit::Goto { pc, patch, stub } => {
                (pc, Way::Goto { patch: Host::of(patch), stub: Host::of(stub) })
            }
            Exit::Leave { reason, pc } => (pc, Way::Leave(reason)),
        };
        ExitRecord { pc, block, chained: NONE, next: NONE, way }
    }

    pub(super) fn exit(&self) -> Exit {
        let pc = self.pc;
        match self.way {
            Way::Goto { patch, stub } => Exit::Goto { pc, patch: patch.address(), stub: stub.address() },
            Way::Leave(reason) => Exit::Leave { reason, pc },
        }
    }

    /// The guest address that it goes to, or that its reason is about.
    pub(super) fn target(&self) -> u64 {
        self.pc
    }

    /// The block that it goes straight to.
    pub(super) fn chained(&self) -> Option<BlockId> {
        (self.chained != NONE).then_some(self.chained)
    }

    pub(super) fn set_chained(&mut self, to: Option<BlockId>) {
        self.chained = to.unwrap_or(NONE);
    }
}

/// A place where a block is entered.
#[derive(Debug)]
pub(super) struct EntryRecord {
    pub(super) pc: u64,
    pub(super) block: BlockId,
    /// Host address for the prologue.
    pub(super) start: Host,
    /// Host address for chained jumps.
    pub(super) direct: Option<Host>,
    /// Host address for indirect branches.
    pub(super) indirect: Option<Host>,
}

impl EntryRecord {
    pub(super) fn new(block: BlockId, entry: &Entry) -> EntryRecord {
        let Entry { pc, start, direct, indirect } = *entry;
        let (direct, indirect) = (direct.map(Host::of), indirect.map(Host::of));
        EntryRecord { pc, block, start: Host::of(start), direct, indirect }
    }
}

const _: () = assert!(size_of::<TranslationBlock>() == 48);
const _: () = assert!(size_of::<ExitRecord>() == 32);
const _: () = assert!(size_of::<EntryRecord>() == 24);

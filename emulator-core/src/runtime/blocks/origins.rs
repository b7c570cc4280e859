//! The executable mappings of program files, with what is kept of their translations, and what leads into
//! kept code and out of it. How they are used is in [`super::kept`].

use super::records::{BlockId, Host};
use crate::runtime::kept::KeptCode;
use rxbox_wire::kept::{self, Point};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Numbers of exits of kept code: this, and the address of the code's place plus the exit's index. There are
/// fewer exits than bytes, and places do not overlap.
pub(super) const KEPT_EXIT: u32 = 1 << 31;
/// Most points that are noted between two reports.
const MOST_POINTS: usize = 1 << 20;

/// An executable mapping of a program file.
#[derive(Debug)]
pub(super) struct Origin {
    /// Its guest addresses.
    pub(super) span: Range<u64>,
    /// The supervisor's number.
    pub(super) number: u32,
    /// What is kept of it.
    pub(super) code: Option<KeptCode>,
    /// What was translated here since the last report.
    pub(super) points: Vec<Point>,
}

/// A cell that leads somewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    /// Its host address.
    pub(super) address: u32,
    /// The stub that it goes back to.
    pub(super) stub: u32,
    /// The guest address that it leads to.
    pub(super) pc: u64,
}

/// The origins of a process, and what leads into kept code and out of it.
#[derive(Debug, Default)]
pub(super) struct KeptBlocks {
    /// Ascending.
    pub(super) origins: Vec<Origin>,
    /// Detached code, in which threads may still be stopped.
    pub(super) retired: Vec<KeptCode>,
    /// Private exits that are chained to kept code.
    pub(super) incoming: HashSet<u32>,
    /// The cells that lead to a block; those that lead to kept code are together.
    pub(super) cells: HashMap<BlockId, Vec<Cell>>,
    /// Entries for chained jumps to kept code that was kept without.
    pub(super) direct: HashMap<u64, Host>,
    /// Entries for indirect branches to kept code that was kept without.
    pub(super) indirect: HashMap<u64, Host>,
    /// Points of mappings that are gone.
    pub(super) gone: Vec<(u32, Vec<Point>)>,
}

impl Origin {
    /// The entry for a guest address in kept code.
    pub(super) fn entry(&self, pc: u64) -> Option<kept::Entry> {
        let distance = u32::try_from(pc.checked_sub(self.span.start)?).ok()?;
        let entries = self.code.as_ref()?.tables().entries;
        let at = entries.partition_point(|entry| entry.pc < distance);
        entries.get(at).filter(|entry| entry.pc == distance)
    }

    /// A block was translated at `pc`.
    pub(super) fn note(&mut self, pc: u64, indirect: bool) {
        if self.points.len() < MOST_POINTS {
            self.points.push(Point::at((pc - self.span.start) as u32, indirect));
        }
    }
}

/// A host address of a table, which has 0 for none.
pub(super) fn host(address: u32) -> Option<u64> {
    (address != 0).then_some(address.into())
}

impl KeptBlocks {
    /// The origin that a guest address lies in.
    pub(super) fn at(&self, pc: u64) -> Option<&Origin> {
        let at = self.origins.partition_point(|origin| origin.span.end <= pc);
        self.origins.get(at).filter(|origin| origin.span.contains(&pc))
    }

    /// As [`KeptBlocks::at`].
    pub(super) fn at_mut(&mut self, pc: u64) -> Option<&mut Origin> {
        let at = self.origins.partition_point(|origin| origin.span.end <= pc);
        self.origins.get_mut(at).filter(|origin| origin.span.contains(&pc))
    }

    /// All kept code that is in use.
    pub(super) fn attached(&self) -> impl Iterator<Item = &KeptCode> {
        self.origins.iter().filter_map(|origin| origin.code.as_ref())
    }

    /// The kept code that a host address lies in, also if it is not used any more.
    pub(super) fn code_at(&self, host: u64) -> Option<&KeptCode> {
        self.attached().chain(&self.retired).find(|code| code.place().contains(host))
    }

    /// The private exit with this index goes into kept code.
    pub(super) fn leads_here(&mut self, exit: u32) {
        self.incoming.insert(exit);
    }

    /// It does no more.
    pub(super) fn leads_elsewhere(&mut self, exit: u32) {
        self.incoming.remove(&exit);
    }

    /// Makes the cells that lead to a private block go back to their stubs.
    pub(super) fn unchain_from(&mut self, id: BlockId) {
        let cells = self.cells.remove(&id).unwrap_or_default();
        self.unchain(cells);
    }

    /// Makes cells go back to their stubs.
    pub(super) fn unchain(&self, cells: Vec<Cell>) {
        for Cell { address, stub, .. } in cells {
            self.attached().for_each(|code| code.set_cell(address, stub.into()));
        }
    }
}

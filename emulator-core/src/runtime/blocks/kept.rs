//! Kept translations among the blocks.
//!
//! Executable mappings of program files are *origins*: the supervisor knows each by a number, and may have a
//! [kept translation](crate::runtime::kept) of it. Whatever is looked for is looked for there first, so a
//! kept block is never translated again, and what is translated in an origin is noted as a
//! [point](rxbox_wire::kept::Point), to be kept next time.
//!
//! Kept code is not written. Its jumps to each other are chained in the file; what goes elsewhere goes
//! through a *cell*, a word that holds the address of the exit's stub until it is chained. Jumps from private
//! blocks into kept code are chained as any.
//!
//! **Invariant:** kept code is reached only while guest memory holds what it was translated from. A change of
//! any byte of the mapping, or of its rights, [detaches](Blocks::detach_in) the origin as a whole: no table,
//! no jump and no look-up leads there any more, and the right to execute it goes, which stops whoever is
//! inside. Its place is not used again before every thread was outside.

use super::origins::{Cell, KEPT_EXIT, Origin, host};
use super::records::IN_KEPT;
use super::{Blocks, Full};
use crate::guest::Span;
use crate::runtime::kept::KeptCode;
use rxbox_translate::emit::{Exit, LateEntry, Mark, PcAt};
use rxbox_translate::ir::op::Reason;
use rxbox_translate::state::Region;
use rxbox_wire::kept::{self, Point, Tables};
use std::ops::Range;

impl Blocks {
    /// Whether kept code lies there, or has lain since the last flush.
    pub fn has_kept_at(&self, place: Span) -> bool {
        let mut all = self.kept.attached().chain(&self.kept.retired);
        all.any(|code| code.place().intersect(place).is_some())
    }

    /// Guest code of a file is mapped at `span`, which the supervisor has given a number. With `code` there
    /// is a kept translation.
    pub fn add_origin(&mut self, span: Range<u64>, number: u32, code: Option<KeptCode>) {
        self.detach_in(&span);
        let at = self.kept.origins.partition_point(|origin| origin.span.start < span.start);
        self.kept.origins.insert(at, Origin { span, number, code, points: Vec::new() });
        self.publish_kept(at);
    }

    /// Enters the entries for indirect branches of an origin in the tables.
    fn publish_kept(&self, origin: usize) {
        let Some(origin) = self.kept.origins.get(origin) else { return };
        for entry in origin.code.iter().flat_map(|code| code.tables().entries.iter()) {
            if let Some(host) = host(entry.indirect) {
                self.cache.set_target(origin.span.start + u64::from(entry.pc), host);
            }
        }
    }

    /// The kept entry for `pc`.
    pub(super) fn kept_entry(&self, pc: u64) -> Option<kept::Entry> {
        self.kept.at(pc)?.entry(pc)
    }

    /// The block at `pc` was translated by this process.
    pub(super) fn note_point(&mut self, pc: u64, indirect: bool) {
        if let Some(origin) = self.kept.at_mut(pc) {
            origin.note(pc, indirect);
        }
    }

    /// What was translated here since this was last asked, by the supervisor's numbers.
    pub fn take_points(&mut self) -> Vec<(u32, Vec<Point>)> {
        let mut all = std::mem::take(&mut self.kept.gone);
        let origins = self.kept.origins.iter_mut();
        all.extend(origins.map(|origin| (origin.number, std::mem::take(&mut origin.points))));
        all.retain(|(_, points)| !points.is_empty());
        all
    }

    /// Whether there is kept code in an origin on this page.
    pub(super) fn has_kept_code(&self, page: Range<u64>) -> bool {
        self.kept
            .origins
            .iter()
            .any(|o| o.code.is_some() && o.span.start < page.end && page.start < o.span.end)
    }

    /// Lets indirect branches find the kept block at `pc`; false if there is none.
    pub(super) fn publish_kept_at(&mut self, pc: u64) -> Result<bool, Full> {
        let Some(entry) = self.kept_entry(pc) else { return Ok(false) };
        let known = host(entry.indirect).or_else(|| self.kept.indirect.get(&pc).map(|host| host.address()));
        let target = match known {
            Some(host) => host,
            None => {
                let Some(direct) = host(entry.direct) else { return Ok(true) };
                let region = self.cache.region();
                let made = self.add_late(|at| LateEntry::indirect(region, at, pc, direct)).ok_or(Full)?;
                self.kept.indirect.insert(pc, made);
                self.note_point(pc, true);
                made.address()
            }
        };
        self.cache.set_target(pc, target);
        Ok(true)
    }

    /// Where chained jumps enter the kept block at `pc`; `None` if there is none, or no room.
    pub(super) fn kept_direct(&mut self, pc: u64) -> Option<u64> {
        let entry = self.kept_entry(pc)?;
        if let Some(direct) = host(entry.direct).or_else(|| self.kept.direct.get(&pc).map(|h| h.address())) {
            return Some(direct);
        }
        let made = self.add_late(|at| LateEntry::direct(at, pc, entry.start.into()))?;
        self.kept.direct.insert(pc, made);
        Some(made.address())
    }

    /// Makes an exit of kept code go straight to the block at `pc`.
    pub(super) fn chain_kept(&mut self, exit_id: u32, pc: u64) {
        let Some(row) = self.kept_exit(exit_id).filter(|row| row.pc == pc && row.cell != 0) else { return };
        let (to, direct) = match self.kept_direct(pc) {
            Some(direct) => (IN_KEPT, Some(direct)),
            None => {
                let Some(at) = self.entry(pc) else { return };
                (self.entries[at as usize].block, self.direct_entry(at))
            }
        };
        if let Some(direct) = direct {
            self.kept.attached().for_each(|code| code.set_cell(row.cell, direct));
            self.kept.cells.entry(to).or_default().push(Cell { address: row.cell, stub: row.stub, pc });
        }
    }

    /// The exit of kept code with this number, as the file has it.
    fn kept_exit(&self, exit_id: u32) -> Option<kept::Exit> {
        let number = u64::from(exit_id & !KEPT_EXIT);
        let code = self.kept.code_at(number)?;
        code.tables().exits.get((number - code.place().start) as usize)
    }

    /// The exit of kept code with this number.
    pub(super) fn exit_of_kept(&self, exit_id: u32) -> Option<Exit> {
        let row = self.kept_exit(exit_id)?;
        Some(match host(row.stub) {
            Some(stub) => Exit::Goto { pc: row.pc, patch: row.cell.into(), stub },
            None => Exit::Leave { reason: Reason::of_number(row.reason)?, pc: row.pc },
        })
    }

    /// Where the guest state is at a host pc of kept code.
    pub(super) fn recover_kept(&self, host: u64) -> Option<Mark> {
        let code = self.kept.code_at(host)?;
        let (tables, at) = (code.tables(), host as u32);
        let [hot, cold, _] = &code.header().parts;
        if cold.range().contains(&host) {
            return in_stub(&tables, at);
        }
        let block = tables.blocks.partition_point(|b| b.hot <= at).checked_sub(1);
        let late = tables.late.partition_point(|l| l.host <= at).checked_sub(1);
        let block = block.and_then(|i| Some((tables.blocks.get(i)?, i)));
        let late = late.and_then(|i| Some((tables.late.get(i)?, i)));
        match (block, late) {
            _ if !hot.range().contains(&host) => None,
            (block, Some((row, i))) if block.is_none_or(|(b, _)| b.hot < row.host) => {
                let end = tables.late.get(i + 1).map_or(tables.late_marks.len(), |next| next.marks as usize);
                holding(&tables.late_marks, row.marks as usize..end, at - row.host)
            }
            (Some((row, i)), _) => {
                let end = tables.blocks.get(i + 1).map_or(tables.marks.len(), |next| next.marks as usize);
                holding(&tables.marks, row.marks as usize..end, at - row.hot)
            }
            (None, _) => None,
        }
    }

    /// Guest memory in this range changes: nothing leads into kept code of it from now on. How many mappings
    /// that were.
    pub(super) fn detach_in(&mut self, range: &Range<u64>) -> usize {
        let meets = |o: &Origin| o.span.start < range.end && range.start < o.span.end;
        let mut detached = 0;
        while let Some(at) = self.kept.origins.iter().position(meets) {
            let origin = self.kept.origins.remove(at);
            if !origin.points.is_empty() {
                self.kept.gone.push((origin.number, origin.points));
            }
            if let Some(code) = origin.code {
                self.retire(origin.span, code);
            }
            detached += 1;
        }
        detached
    }

    fn retire(&mut self, span: Range<u64>, code: KeptCode) {
        for entry in code.tables().entries.iter() {
            if let Some(host) = host(entry.indirect) {
                self.cache.clear_target(span.start + u64::from(entry.pc), host);
            }
        }
        for (&pc, host) in self.kept.indirect.iter().filter(|(pc, _)| span.contains(pc)) {
            self.cache.clear_target(pc, host.address());
        }
        self.kept.indirect.retain(|pc, _| !span.contains(pc));
        self.kept.direct.retain(|pc, _| !span.contains(pc));
        let place = code.place();
        self.kept.cells.values_mut().for_each(|cells| cells.retain(|c| !place.contains(c.address.into())));
        let across = self.kept.cells.remove(&IN_KEPT).unwrap_or_default();
        let (stale, good) = across.into_iter().partition(|cell| span.contains(&cell.pc));
        self.kept.cells.insert(IN_KEPT, good);
        self.kept.unchain(stale);
        let leads_here = |exit: &&u32| span.contains(&self.exits[**exit as usize].target());
        let stale: Vec<u32> = self.kept.incoming.iter().filter(leads_here).copied().collect();
        stale.into_iter().for_each(|exit| self.unchain(exit));
        code.revoke();
        self.kept.retired.push(code);
    }

    /// Stops every thread that is in kept code, until [`Blocks::grant_kept`].
    pub(super) fn revoke_kept(&self) {
        self.kept.attached().for_each(KeptCode::revoke);
    }

    /// All private blocks are gone, and every thread is outside: kept code leads to none of them, and is
    /// found again.
    pub(super) fn renew_kept(&mut self) {
        let cells = std::mem::take(&mut self.kept.cells);
        self.kept.unchain(cells.into_values().flatten().collect());
        self.kept.incoming.clear();
        self.kept.direct.clear();
        self.kept.indirect.clear();
        self.kept.retired.clear();
        (0..self.kept.origins.len()).for_each(|at| self.publish_kept(at));
    }

    /// Lets kept code be executed again.
    pub fn grant_kept(&mut self) {
        let refused = |o: &&Origin| o.code.as_ref().is_some_and(|code| !code.grant());
        let refused: Vec<_> = self.kept.origins.iter().filter(refused).map(|o| o.span.clone()).collect();
        // Without the right its first instruction would stop, again and again.
        refused.iter().for_each(|span| _ = self.detach_in(span));
    }

    /// Gives up all origins. Every thread is outside.
    pub(super) fn forget_origins(&mut self) {
        self.detach_in(&(0..u64::MAX));
        self.kept.retired.clear();
    }

    /// How many origins there are.
    pub fn origins(&self) -> usize {
        self.kept.origins.len()
    }

    /// Where the code cache lies.
    pub fn region(&self) -> Region {
        self.cache.region()
    }

    /// In a process that was just forked: what was translated before is its parent's to tell.
    pub fn forget_points(&mut self) {
        self.kept.gone.clear();
        self.kept.origins.iter_mut().for_each(|origin| origin.points.clear());
    }
}

/// In the cold code all state is that of the exit whose stub it is.
fn in_stub(tables: &Tables<'_>, at: u32) -> Option<Mark> {
    let block = tables.blocks.partition_point(|b| b.cold <= at).checked_sub(1)?;
    let end = tables.blocks.get(block + 1).map_or(tables.exits.len(), |next| next.exits as usize);
    let start = tables.blocks.get(block)?.exits as usize;
    let exits = (start..end).rev().filter_map(|i| tables.exits.get(i));
    let mut stubs = exits.filter(|row| row.stub != 0 && row.stub <= at);
    stubs.next().map(|row| Mark::plain(0, PcAt::Known(row.pc)))
}

/// What holds at the offset `at` by these marks, that is by the last one not beyond.
fn holding(marks: &kept::Table<'_, kept::Mark>, run: Range<usize>, at: u32) -> Option<Mark> {
    let row = run.rev().filter_map(|i| marks.get(i)).find(|row| u32::from(row.at) <= at)?;
    let pc = PcAt::of_number(row.way, row.pc)?;
    Some(Mark { at: row.at.into(), pc, borrowed: row.borrowed, flags_saved: false }.seen_from(at))
}

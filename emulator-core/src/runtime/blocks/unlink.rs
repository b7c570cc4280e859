//! Unlinking: nothing leads to a block any more.

use super::records::{BlockId, IN_KEPT};
use super::{Blocks, pages, usize_range};
use rxbox_translate::emit::Exit;
use rxbox_wire::sizes::PAGE;
use std::ops::Range;

impl Blocks {
    /// Unlinks every block that stands for guest code in the range; returns how many.
    pub fn invalidate(&mut self, range: Range<u64>) -> usize {
        let detached = self.detach_in(&range);
        let mut found = Vec::new();
        let (first, last) = (range.start / PAGE, range.end.div_ceil(PAGE));
        if last - first > self.by_page.len() as u64 {
            for (_, ids) in self.by_page.iter().filter(|(p, _)| (first..last).contains(*p)) {
                found.extend(ids);
            }
        } else {
            for page in first..last {
                found.extend(self.by_page.get(&page).into_iter().flatten());
            }
        }
        found.sort_unstable();
        found.dedup();
        found.retain(|&id| {
            let b = &self.blocks[id as usize];
            b.pc < range.end && b.pc + u64::from(b.len) > range.start
        });
        for &id in &found {
            self.unlink(id);
        }
        detached + found.len()
    }

    pub(super) fn unlink(&mut self, id: BlockId) {
        self.withdraw_entries(id);
        self.kept.unchain_from(id);
        let block = &mut self.blocks[id as usize];
        block.linked = false;
        let (pc, len) = (block.pc, block.len);
        let incoming: Vec<u32> = block.incoming.iter(&self.exits).collect();
        for at in incoming.into_iter().chain(self.exits_of(id)) {
            self.unchain(at);
        }
        for at in self.entries_of(id) {
            let pc = self.entries[at as usize].pc;
            if self.by_pc.get(&pc) == Some(&at) {
                self.by_pc.remove(&pc);
            }
        }
        for page in pages(pc, len.into()) {
            if let Some(ids) = self.by_page.get_mut(&page) {
                ids.retain(|&b| b != id);
            }
        }
    }

    /// Takes a block's entries for indirect branches out of the tables.
    fn withdraw_entries(&self, id: BlockId) {
        for entry in &self.entries[usize_range(self.entries_of(id))] {
            if let Some(host) = entry.indirect {
                self.cache.clear_target(entry.pc, host.address());
            }
        }
    }

    /// Makes the exit with the index `at` go to its stub again.
    pub(super) fn unchain(&mut self, at: u32) {
        let record = &mut self.exits[at as usize];
        if let (Exit::Goto { patch, stub, .. }, Some(to)) = (record.exit(), record.chained()) {
            record.set_chained(None);
            self.cache.patch(patch, stub);
            if to == IN_KEPT {
                self.kept.leads_elsewhere(at);
                return;
            }
            self.blocks[to as usize].incoming.remove(&mut self.exits, at);
        }
    }

    /// Unlinks everything, so that every thread leaves translated code at its next exit; until the
    /// [flush](Blocks::flush) that follows, nothing kept can be executed.
    pub fn unlink_all(&mut self) {
        self.revoke_kept();
        for id in 0..self.blocks.len() as BlockId {
            if self.blocks[id as usize].linked {
                self.unlink(id);
            }
        }
    }
}

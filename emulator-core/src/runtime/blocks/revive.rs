//! Translations that outlive the program that they were made for.
//!
//! Most of what a program executes first is the dynamic linker and the C library, which the program before it
//! in the same process, or in the process that it was forked from, has executed too. Where the same file lies
//! at the same address again, the translation is the same again: it depends on nothing but the bytes and
//! their address.
//!
//! With each program a new *generation* begins. Blocks of earlier ones are *suspended*: they keep their place
//! in the indexes, and their chained jumps, but they are not found, and no table leads to them. When a pc is
//! asked for that a suspended block stands for, the block's guest bytes are compared with what lies there
//! now. If they are equal, and executable, it is *live* again.
//!
//! **Invariant:** every chained jump of a live block leads to a live block. So a block is revived together
//! with all that its jumps can lead to, and of these whatever is found stale is unlinked, which unchains the
//! jumps to it. What is live is write-protected and invalidated as if it had just been translated.

use super::records::{ExitRecord, IN_KEPT};
use super::{BlockId, Blocks, HostEntry, usize_range};

/// A block's guest code.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Address of its first byte.
    pub pc: u64,
    /// Its bytes at the time of translation.
    pub bytes: &'a [u8],
}

impl Blocks {
    /// Begins a new generation: no block is found until it is revived. The process has one thread, which is
    /// outside translated code.
    pub fn suspend_all(&mut self) {
        self.generation += 1;
        self.forget_origins();
        self.cache.clear_tables();
    }

    pub(super) fn is_live(&self, id: BlockId) -> bool {
        self.blocks[id as usize].generation == self.generation
    }

    /// Revives the suspended block at `pc`, if there is one and it is valid. `is_valid` says whether guest
    /// memory holds these bytes there and they may be executed; it is asked for each block that becomes live.
    pub fn revive(&mut self, pc: u64, mut is_valid: impl FnMut(Source<'_>) -> bool) -> Option<HostEntry> {
        let mut waiting = vec![self.entries[*self.by_pc.get(&pc)? as usize].block];
        while let Some(id) = waiting.pop() {
            let block = &self.blocks[id as usize];
            if self.is_live(id) || !block.linked {
                continue;
            }
            let start = block.source as usize;
            let source = Source { pc: block.pc, bytes: &self.sources[start..start + usize::from(block.len)] };
            if !is_valid(source) {
                self.unlink(id);
                continue;
            }
            self.blocks[id as usize].generation = self.generation;
            let exits = &self.exits[usize_range(self.exits_of(id))];
            waiting.extend(exits.iter().filter_map(ExitRecord::chained).filter(|&to| to != IN_KEPT));
            self.publish_entries(id);
        }
        self.find(pc)
    }
}

//! The translation blocks: found by guest pc, by host pc and by guest page; chained and unchained.
//!
//! A block is immutable once added. Invalidation *unlinks* it: no table, no index and no chained jump leads
//! to it any more, while its code stays in place for a thread that is just running it; that thread leaves by
//! the block's next exit, all of which are unchained. Memory comes back when the whole cache is flushed.

mod revive;

use super::cache::{CacheError, CodeCache};
use rxbox_translate::emit::{Code, Entry, Exit, FIRST_EXIT, Mark, PcAt, Placement, late_entry};
use rxbox_translate::frontend::Config;
use rxbox_translate::state::Region;
use rxbox_translate::{Stages, TranslateError, Translator};
use rxbox_wire::sizes::PAGE;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

/// Index of a block; never used again until a flush.
pub type BlockId = u32;

/// The host entry of a block, as only [`Blocks`] hands it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostEntry(u64);

impl HostEntry {
    /// The host address.
    pub fn address(self) -> u64 {
        self.0
    }
}

/// A translation block.
#[derive(Debug)]
pub struct TranslationBlock {
    /// Guest address of its first instruction.
    pub pc: u64,
    /// Bytes of guest code that it stands for.
    pub len: u32,
    hot: u64,
    hot_len: u32,
    cold: u64,
    /// Its places in [`Blocks::entries`], the beginning first.
    entries: Range<u32>,
    /// Numbers of its exits.
    exits: Range<u32>,
    /// State recovery of its hot code in [`Blocks::marks`].
    marks: Range<u32>,
    /// Numbers of the exits that are chained to it.
    incoming: Vec<u32>,
    linked: bool,
    /// Where its guest bytes begin in [`Blocks::sources`].
    source: u32,
}

/// An exit of some block.
#[derive(Debug)]
struct ExitRecord {
    block: BlockId,
    exit: Exit,
    /// The block that it goes straight to.
    chained: Option<BlockId>,
}

/// All blocks of a process, and the cache that they lie in.
#[derive(Debug)]
pub struct Blocks {
    cache: CodeCache,
    blocks: Vec<TranslationBlock>,
    /// Places where blocks are entered, with their block.
    entries: Vec<(BlockId, Entry)>,
    /// The index in `entries` of the one that serves a guest pc: the oldest of those of live blocks.
    by_pc: HashMap<u64, u32, BuildHasherDefault<PcHasher>>,
    by_page: HashMap<u64, Vec<BlockId>, BuildHasherDefault<PcHasher>>,
    /// Host addresses of the entries for indirect branches that were made later.
    late_entries: Vec<u64>,
    /// All exits from number [`FIRST_EXIT`] on.
    exits: Vec<ExitRecord>,
    /// State recovery of all blocks.
    marks: Vec<Mark>,
    translator: Translator,
    /// The guest bytes that the blocks were made from, one after the other.
    sources: Vec<u8>,
    /// For each block, in which generation it was made or last found valid.
    generations: Vec<u32>,
    /// Grows with each program of the process.
    generation: u32,
}

/// The cache is full: it has to be flushed with every thread outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Why a block could not be added.
#[derive(Debug)]
pub enum AddError {
    /// Flush and try again.
    Full,
    /// See there.
    Translate(TranslateError),
}

impl Blocks {
    /// Maps the code cache.
    pub fn new() -> Result<Blocks, CacheError> {
        Ok(Blocks {
            cache: CodeCache::map()?,
            blocks: Vec::new(),
            entries: Vec::new(),
            by_pc: HashMap::default(),
            by_page: HashMap::default(),
            late_entries: Vec::new(),
            exits: Vec::new(),
            marks: Vec::new(),
            translator: Translator::default(),
            sources: Vec::new(),
            generations: Vec::new(),
            generation: 0,
        })
    }

    /// The host entry of the block at `pc`.
    pub fn find(&self, pc: u64) -> Option<HostEntry> {
        self.entry(pc).map(|(_, entry)| HostEntry(entry.direct))
    }

    /// Where a live block is entered for `pc`.
    fn entry(&self, pc: u64) -> Option<(BlockId, Entry)> {
        let &at = self.by_pc.get(&pc)?;
        Some(self.entries[at as usize]).filter(|&(id, _)| self.is_live(id))
    }

    /// Translates the block at `pc` from the executable guest bytes `code_bytes` and adds it; returns its
    /// host entry. A block of a single step is not entered in any index, so it runs once.
    pub fn add(
        &mut self,
        pc: u64,
        code_bytes: &[u8],
        config: &Config,
        indirect: bool,
        stages: &mut impl Stages,
    ) -> Result<(HostEntry, BlockId), AddError> {
        let (hot, cold) = self.cache.room().ok_or(AddError::Full)?;
        let first_exit = FIRST_EXIT + self.exits.len() as u32;
        let region = self.cache.region();
        let placement = Placement { region, hot, cold, first_exit, indirect_entry: indirect };
        let mut translator = std::mem::take(&mut self.translator);
        let translated = translator.translate(pc, code_bytes, config, placement, stages);
        let added = translated.map(|(len, code)| {
            let bytes = code_bytes.get(..len as usize).unwrap_or_default();
            self.insert(pc, bytes, code, placement, config.step)
        });
        self.translator = translator;
        added.map_err(AddError::Translate)
    }

    fn insert(
        &mut self,
        pc: u64,
        bytes: &[u8],
        code: &Code,
        at: Placement,
        step: bool,
    ) -> (HostEntry, BlockId) {
        let id = self.blocks.len() as BlockId;
        let len = bytes.len() as u32;
        self.cache.add(&code.hot, &code.cold);
        let exits = code.exits.iter().map(|&exit| ExitRecord { block: id, exit, chained: None });
        let exits = keep(&mut self.exits, exits);
        let block = TranslationBlock {
            pc,
            len,
            hot: at.hot,
            hot_len: code.hot.len() as u32,
            cold: at.cold,
            entries: keep(&mut self.entries, code.entries.iter().map(|&entry| (id, entry))),
            exits: exits.start + FIRST_EXIT..exits.end + FIRST_EXIT,
            marks: keep(&mut self.marks, code.marks.iter().copied()),
            incoming: Vec::new(),
            linked: !step,
            source: self.sources.len() as u32,
        };
        let entry = HostEntry(code.entries[0].direct);
        self.generations.push(self.generation);
        let entries = block.entries.clone();
        self.blocks.push(block);
        if !step {
            self.sources.extend_from_slice(bytes);
            for page in pages(pc, len) {
                self.by_page.entry(page).or_default().push(id);
            }
            for at in entries {
                let pc = self.entries[at as usize].1.pc;
                if self.entry(pc).is_none() {
                    self.by_pc.insert(pc, at);
                }
            }
            self.publish_entries(id);
        }
        (entry, id)
    }

    /// Enters a block's entries for indirect branches in the tables.
    fn publish_entries(&self, id: BlockId) {
        for (_, Entry { pc, indirect, .. }) in self.entries_of(id) {
            if let Some(host) = indirect {
                self.cache.set_target(*pc, *host);
            }
        }
    }

    fn entries_of(&self, id: BlockId) -> &[(BlockId, Entry)] {
        let Range { start, end } = self.blocks[id as usize].entries;
        &self.entries[start as usize..end as usize]
    }

    fn exits_of(&self, block: &TranslationBlock) -> &[ExitRecord] {
        let Range { start, end } = block.exits;
        &self.exits[(start - FIRST_EXIT) as usize..(end - FIRST_EXIT) as usize]
    }

    /// Lets indirect branches find the block at `pc`: enters its entry for them in the tables, made now if it
    /// has none.
    pub fn publish(&mut self, pc: u64) -> Result<(), Full> {
        let Some(&at) = self.by_pc.get(&pc) else { return Ok(()) };
        let entry = self.entries[at as usize].1;
        let host = match entry.indirect {
            Some(host) => host,
            None => {
                let (host, _) = self.cache.room().ok_or(Full)?;
                let code = late_entry(self.cache.region(), host, pc, entry.direct).map_err(|_| Full)?;
                self.cache.add(&code, &[]);
                self.late_entries.push(host);
                self.entries[at as usize].1.indirect = Some(host);
                host
            }
        };
        self.cache.set_target(pc, host);
        Ok(())
    }

    /// How many bytes of guest code a block stands for.
    pub fn guest_len(&self, id: BlockId) -> u32 {
        self.blocks[id as usize].len
    }

    /// Host address and bytes of a block's hot code, for the log.
    pub fn host_code(&self, id: BlockId) -> (u64, Vec<u8>) {
        let b = &self.blocks[id as usize];
        (b.hot, self.cache.read(b.hot, b.hot_len as usize))
    }

    /// The exit with this number.
    pub fn exit(&self, exit_id: u32) -> Option<Exit> {
        Some(self.exits.get(exit_id.checked_sub(FIRST_EXIT)? as usize)?.exit)
    }

    /// Makes an exit go straight to the block at `pc`, if both are still linked.
    pub fn chain(&mut self, exit_id: u32, pc: u64) {
        let Some(from) = exit_id.checked_sub(FIRST_EXIT).map(|n| n as usize) else { return };
        let Some(&ExitRecord { block, exit: Exit::Goto { pc: target, patch, .. }, chained: None }) =
            self.exits.get(from)
        else {
            return;
        };
        let Some((to, entry)) = self.entry(pc) else { return };
        if target == pc && self.blocks[block as usize].linked {
            self.cache.patch(patch, entry.direct);
            self.exits[from].chained = Some(to);
            self.blocks[to as usize].incoming.push(exit_id);
        }
    }

    /// Chains those exits of a block whose targets are there already.
    pub fn chain_all(&mut self, id: BlockId) {
        for exit_id in self.blocks[id as usize].exits.clone() {
            if let Some(Exit::Goto { pc, .. }) = self.exit(exit_id) {
                self.chain(exit_id, pc);
            }
        }
    }

    /// Unlinks every block that stands for guest code in the range; returns how many.
    pub fn invalidate(&mut self, range: Range<u64>) -> usize {
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
        found.len()
    }

    /// Whether a guest page holds code that was translated.
    pub fn has_code(&self, page_addr: u64) -> bool {
        self.by_page.get(&(page_addr / PAGE)).is_some_and(|v| !v.is_empty())
    }

    fn unlink(&mut self, id: BlockId) {
        self.withdraw_entries(id);
        let block = &mut self.blocks[id as usize];
        block.linked = false;
        let (pc, len) = (block.pc, block.len);
        let incoming = std::mem::take(&mut block.incoming);
        let (entries, exits) = (block.entries.clone(), block.exits.clone());
        for exit_id in incoming.into_iter().chain(exits) {
            self.unchain(exit_id);
        }
        for at in entries {
            let pc = self.entries[at as usize].1.pc;
            if self.by_pc.get(&pc) == Some(&at) {
                self.by_pc.remove(&pc);
            }
        }
        for page in pages(pc, len) {
            if let Some(ids) = self.by_page.get_mut(&page) {
                ids.retain(|&b| b != id);
            }
        }
    }

    /// Takes a block's entries for indirect branches out of the tables.
    fn withdraw_entries(&self, id: BlockId) {
        for (_, Entry { pc, indirect, .. }) in self.entries_of(id) {
            if let Some(host) = indirect {
                self.cache.clear_target(*pc, *host);
            }
        }
    }

    fn unchain(&mut self, exit_id: u32) {
        let exit = &mut self.exits[(exit_id - FIRST_EXIT) as usize];
        if let (Exit::Goto { patch, stub, .. }, Some(to)) = (exit.exit, exit.chained.take()) {
            self.cache.patch(patch, stub);
            self.blocks[to as usize].incoming.retain(|&e| e != exit_id);
        }
    }

    /// Unlinks everything, so that every thread leaves translated code at its next exit.
    pub fn unlink_all(&mut self) {
        for id in 0..self.blocks.len() as BlockId {
            if self.blocks[id as usize].linked {
                self.unlink(id);
            }
        }
    }

    /// Forgets everything. Every thread must be outside translated code, with its stop recovered.
    pub fn flush(&mut self) {
        self.cache.reset();
        self.blocks.clear();
        self.entries.clear();
        self.by_pc.clear();
        self.by_page.clear();
        self.late_entries.clear();
        self.exits.clear();
        self.marks.clear();
        self.sources.clear();
        self.generations.clear();
    }

    /// Forgets everything and goes on in another region, as [`CodeCache::move_to`].
    ///
    /// # Errors
    /// See there.
    pub fn move_to(&mut self, region: Region) -> Result<(), CacheError> {
        self.cache.move_to(region)?;
        self.flush();
        Ok(())
    }

    /// Where the guest state is at this host pc; `None` if no code lies there.
    pub fn recover(&self, host: u64) -> Option<Mark> {
        if let Some(mark) = self.cache.stub_mark(host).filter(|_| host < self.cache.region().code()) {
            return Some(mark);
        }
        let hot = self.blocks.partition_point(|b| b.hot <= host).checked_sub(1).map(|i| &self.blocks[i]);
        let late = self.late_entries.partition_point(|&start| start <= host).checked_sub(1);
        if late.is_some_and(|i| hot.is_none_or(|b| self.late_entries[i] > b.hot)) {
            return Some(Mark::arrival(0));
        }
        let cold = self.blocks.partition_point(|b| b.cold <= host).checked_sub(1).map(|i| &self.blocks[i]);
        if let Some(block) = cold {
            return self.exit_at(block, host);
        }
        let block = hot?;
        let at = (host - block.hot) as u32;
        let marks = self.marks.get(block.marks.start as usize..block.marks.end as usize)?;
        let mark = marks.get(marks.partition_point(|m| m.at <= at).checked_sub(1)?)?;
        Some(mark.seen_from(at))
    }

    /// In the cold code of a block all state is that of the exit whose stub it is.
    fn exit_at(&self, block: &TranslationBlock, host: u64) -> Option<Mark> {
        self.exits_of(block).iter().rev().find_map(|e| match e.exit {
            Exit::Goto { pc, stub, .. } if stub <= host => Some(Mark::plain(0, PcAt::Known(pc))),
            _ => None,
        })
    }

    /// How many blocks there are, the unlinked ones included.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether nothing was translated yet.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

/// Adds items to a list and says where they lie.
fn keep<T>(list: &mut Vec<T>, items: impl Iterator<Item = T>) -> Range<u32> {
    let start = list.len() as u32;
    list.extend(items);
    start..list.len() as u32
}

fn pages(pc: u64, len: u32) -> Range<u64> {
    pc / PAGE..(pc + u64::from(len).max(1)).div_ceil(PAGE)
}

/// Hashes a guest address by one multiplication: the keys are addresses that the guest chose, and all that a
/// guest gains by making its own blocks collide is to be slow.
#[derive(Default)]
struct PcHasher(u64);

impl Hasher for PcHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.write_u64(b.into());
        }
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0 ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }
}

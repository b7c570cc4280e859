//! The translation blocks: found by guest pc, by host pc and by guest page; chained and unchained.
//!
//! A block is immutable once added. Invalidation *unlinks* it: no table, no index and no chained jump leads
//! to it any more, while its code stays in place for a thread that is just running it; that thread leaves by
//! the block's next exit, all of which are unchained. Memory comes back when the whole cache is flushed.

pub mod bake;
mod kept;
mod marks;
mod origins;
mod records;
mod recover;
mod revive;
mod unlink;

use super::cache::{CacheError, CodeCache};
use marks::Marks;
use origins::{KEPT_EXIT, KeptBlocks};
pub use records::BlockId;
use records::{EntryRecord, ExitRecord, Host, IN_KEPT, Incoming, TranslationBlock};
use rxbox_translate::emit::{Code, EmitError, Exit, FIRST_EXIT, LateEntry, Placement};
use rxbox_translate::frontend::Config;
use rxbox_translate::state::Region;
use rxbox_translate::{Stages, TranslateError, Translator};
use rxbox_wire::sizes::PAGE;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

/// The host entry of a block, as only [`Blocks`] hands it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostEntry(u64);

impl HostEntry {
    /// The host address.
    pub fn address(self) -> u64 {
        self.0
    }
}

/// All blocks of a process, and the cache that they lie in.
#[derive(Debug)]
pub struct Blocks {
    cache: CodeCache,
    blocks: Vec<TranslationBlock>,
    /// Places where blocks are entered.
    entries: Vec<EntryRecord>,
    /// The index in `entries` of the one that serves a guest pc: the oldest of those of live blocks.
    by_pc: HashMap<u64, u32, BuildHasherDefault<PcHasher>>,
    by_page: HashMap<u64, Vec<BlockId>, BuildHasherDefault<PcHasher>>,
    /// The entries that were made later than their blocks, ascending: where their code begins, and their
    /// state recovery in `late_marks`.
    late_entries: Vec<(Host, u32)>,
    /// All exits, in the order of their numbers.
    exits: Vec<ExitRecord>,
    /// State recovery of all hot code.
    marks: Marks,
    /// That of late entries.
    late_marks: Marks,
    translator: Translator,
    /// The guest bytes that the blocks were made from, one after the other.
    sources: Vec<u8>,
    /// Grows with each program of the process.
    generation: u32,
    /// Kept translations, and what leads to them.
    kept: KeptBlocks,
    /// Number of the first exit.
    first_exit: u32,
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
    /// Maps the code cache, at a place that `chance` stands for.
    ///
    /// # Errors
    /// See there.
    pub fn new(chance: u64) -> Result<Blocks, CacheError> {
        Ok(Blocks::of(CodeCache::map(chance)?))
    }

    fn of(cache: CodeCache) -> Blocks {
        Blocks {
            cache,
            blocks: Vec::new(),
            entries: Vec::new(),
            by_pc: HashMap::default(),
            by_page: HashMap::default(),
            late_entries: Vec::new(),
            exits: Vec::new(),
            marks: Marks::default(),
            late_marks: Marks::default(),
            translator: Translator::default(),
            sources: Vec::new(),
            generation: 0,
            kept: KeptBlocks::default(),
            first_exit: FIRST_EXIT,
        }
    }

    /// The host entry of the block at `pc`.
    pub fn find(&self, pc: u64) -> Option<HostEntry> {
        if let Some(entry) = self.kept_entry(pc) {
            return Some(HostEntry(entry.start.into()));
        }
        self.entry(pc).map(|at| HostEntry(self.entries[at as usize].start.address()))
    }

    /// The index of the entry of a live block for `pc`.
    fn entry(&self, pc: u64) -> Option<u32> {
        self.by_pc.get(&pc).copied().filter(|&at| self.is_live(self.entries[at as usize].block))
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
        let first_exit = self.first_exit + self.exits.len() as u32;
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
        self.cache.add(&code.hot, &code.cold);
        self.blocks.push(TranslationBlock {
            pc,
            len: bytes.len() as u16,
            hot_len: code.hot.len() as u16,
            hot: Host::of(at.hot),
            cold: Host::of(at.cold),
            entries: self.entries.len() as u32,
            exits: self.exits.len() as u32,
            marks: self.marks.end(),
            source: self.sources.len() as u32,
            generation: self.generation,
            incoming: Incoming::NONE,
            linked: !step,
        });
        self.entries.extend(code.entries.iter().map(|entry| EntryRecord::new(id, entry)));
        self.exits.extend(code.exits.iter().map(|&exit| ExitRecord::new(id, exit)));
        self.marks.add(&code.marks);
        if !step {
            self.note_point(pc, at.indirect_entry);
            self.sources.extend_from_slice(bytes);
            for page in pages(pc, bytes.len() as u64) {
                self.by_page.entry(page).or_default().push(id);
            }
            for at in self.entries_of(id) {
                let pc = self.entries[at as usize].pc;
                if self.entry(pc).is_none() {
                    self.by_pc.insert(pc, at);
                }
            }
            self.publish_entries(id);
        }
        (HostEntry(code.entries[0].start), id)
    }

    /// Enters a block's entries for indirect branches in the tables.
    fn publish_entries(&self, id: BlockId) {
        for entry in &self.entries[usize_range(self.entries_of(id))] {
            if let Some(host) = entry.indirect {
                self.cache.set_target(entry.pc, host.address());
            }
        }
    }

    /// The run of a block's items, which begins at its `start`, in a list of `len` items.
    fn run(&self, id: BlockId, start: impl Fn(&TranslationBlock) -> u32, len: usize) -> Range<u32> {
        let end = self.blocks.get(id as usize + 1).map_or(len as u32, &start);
        start(&self.blocks[id as usize])..end
    }

    /// The indexes of a block's entries.
    fn entries_of(&self, id: BlockId) -> Range<u32> {
        self.run(id, |b| b.entries, self.entries.len())
    }

    /// The indexes of a block's exits.
    fn exits_of(&self, id: BlockId) -> Range<u32> {
        self.run(id, |b| b.exits, self.exits.len())
    }

    /// Lets indirect branches find the block at `pc`: enters its entry for them in the tables, made now if it
    /// has none.
    pub fn publish(&mut self, pc: u64) -> Result<(), Full> {
        if self.publish_kept_at(pc)? {
            return Ok(());
        }
        let Some(&at) = self.by_pc.get(&pc) else { return Ok(()) };
        let entry = &self.entries[at as usize];
        if entry.indirect.is_none()
            && let Some(direct) = entry.direct
        {
            let region = self.cache.region();
            let made = self.add_late(|at| LateEntry::indirect(region, at, pc, direct.address()));
            self.entries[at as usize].indirect = Some(made.ok_or(Full)?);
        }
        if let Some(host) = self.entries[at as usize].indirect {
            self.cache.set_target(pc, host.address());
        }
        Ok(())
    }

    /// Where chained jumps enter the block of the entry with the index `at`; made now if there is no such
    /// place yet. `None` if there is no room.
    fn direct_entry(&mut self, at: u32) -> Option<u64> {
        let &EntryRecord { pc, start, direct, .. } = &self.entries[at as usize];
        let direct = match direct {
            Some(direct) => direct,
            None => self.add_late(|at| LateEntry::direct(at, pc, start.address()))?,
        };
        self.entries[at as usize].direct = Some(direct);
        Some(direct.address())
    }

    /// Adds an entry that is apart from its block; its host address, `None` if there is no room.
    fn add_late(&mut self, emit: impl FnOnce(u64) -> Result<LateEntry, EmitError>) -> Option<Host> {
        let (host, _) = self.cache.room()?;
        let LateEntry { code, marks } = emit(host).ok()?;
        self.cache.add(&code, &[]);
        self.late_entries.push((Host::of(host), self.late_marks.end()));
        self.late_marks.add(&marks);
        Some(Host::of(host))
    }

    /// How many bytes of guest code a block stands for.
    pub fn guest_len(&self, id: BlockId) -> u32 {
        self.blocks[id as usize].len.into()
    }

    /// Host address and bytes of a block's hot code, for the log.
    pub fn host_code(&self, id: BlockId) -> (u64, Vec<u8>) {
        let b = &self.blocks[id as usize];
        (b.hot.address(), self.cache.read(b.hot.address(), b.hot_len.into()))
    }

    /// The exit with this number.
    pub fn exit(&self, exit_id: u32) -> Option<Exit> {
        if exit_id & KEPT_EXIT != 0 {
            return self.exit_of_kept(exit_id);
        }
        Some(self.exits.get(exit_id.checked_sub(FIRST_EXIT)? as usize)?.exit())
    }

    /// Makes an exit go straight to the block at `pc`, if both are still linked.
    pub fn chain(&mut self, exit_id: u32, pc: u64) {
        if exit_id & KEPT_EXIT != 0 {
            self.chain_kept(exit_id, pc);
        } else if let Some(from) = exit_id.checked_sub(FIRST_EXIT) {
            self.chain_exit(from, pc);
        }
    }

    /// [`Blocks::chain`] for the exit with the index `from`.
    fn chain_exit(&mut self, from: u32, pc: u64) {
        let Some(record) = self.exits.get(from as usize).filter(|e| e.chained().is_none()) else { return };
        let Exit::Goto { pc: target, patch, .. } = record.exit() else { return };
        if target != pc || !self.blocks[record.block as usize].linked {
            return;
        }
        if let Some(direct) = self.kept_direct(pc) {
            self.cache.patch(patch, direct);
            self.exits[from as usize].set_chained(Some(IN_KEPT));
            self.kept.leads_here(from);
            return;
        }
        let Some(at) = self.entry(pc) else { return };
        if let Some(direct) = self.direct_entry(at) {
            let to = self.entries[at as usize].block;
            self.cache.patch(patch, direct);
            self.exits[from as usize].set_chained(Some(to));
            self.blocks[to as usize].incoming.push(&mut self.exits, from);
        }
    }

    /// Chains those exits of a block whose targets are there already.
    pub fn chain_all(&mut self, id: BlockId) {
        for at in self.exits_of(id) {
            if let Exit::Goto { pc, .. } = self.exits[at as usize].exit() {
                self.chain_exit(at, pc);
            }
        }
    }

    /// Whether a guest page holds code that was translated.
    pub fn has_code(&self, page_addr: u64) -> bool {
        self.by_page.get(&(page_addr / PAGE)).is_some_and(|v| !v.is_empty())
            || self.has_kept_code(page_addr..page_addr + PAGE)
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
        self.late_marks.clear();
        self.sources.clear();
        self.renew_kept();
    }

    /// Forgets everything and goes on in another region, as [`CodeCache::move_to`].
    ///
    /// # Errors
    /// See there.
    pub fn move_to(&mut self, region: Region) -> Result<(), CacheError> {
        self.forget_origins();
        self.cache.move_to(region)?;
        self.flush();
        Ok(())
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

fn usize_range(range: Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

fn pages(pc: u64, len: u64) -> Range<u64> {
    pc / PAGE..(pc + len.max(1)).div_ceil(PAGE)
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

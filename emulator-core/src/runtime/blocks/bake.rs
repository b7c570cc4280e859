//! Translations to be kept: of the code of one file, made without running any of it.
//!
//! The blocks are made as those of a process are, in memory that stands for the place where they will lie.
//! Jumps to each other are chained; the others go through cells ([`super::kept`]). Since everything has its
//! address in it, all is made twice: first to know how much it is, then at the place that is chosen for so
//! much.

use super::origins::KEPT_EXIT;
use super::records::{BlockId, Host};
use super::{AddError, Blocks};
use crate::runtime::cache::{CacheError, CodeCache};
use rxbox_translate::emit::{CodeBuffer, Exit, LateEntry, Mark, PcAt, displacement};
use rxbox_translate::frontend::Config;
use rxbox_translate::state::Region;
use rxbox_wire::kept::{Block, Entry, Exit as ExitRow, Header, Late, Mapping, Mark as MarkRow};
use rxbox_wire::kept::{Part, Point, Row};
use rxbox_wire::sizes::PAGE;
use std::collections::HashMap;

/// The most guest bytes that one block is made of.
pub const BLOCK_SPAN: usize = 1024;

/// What is to be kept.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The region of the processes that will use it.
    pub region: Region,
    /// Where the code is mapped.
    pub mapping: Mapping,
    /// Its bytes.
    pub code: &'a [u8],
    /// Where it is entered. Whatever they say, the translations are right.
    pub points: &'a [Point],
    /// How blocks are shaped.
    pub config: Config,
}

/// A file but for what its header says of its origin.
#[derive(Debug)]
pub struct Baked {
    /// With parts and tables filled in.
    pub header: Header,
    /// What follows the first page, up to the name.
    pub bytes: Vec<u8>,
}

/// The exits that go through one cell: host addresses of the jump to it, and of the stub.
#[derive(Clone, Copy, Debug)]
struct Cell {
    jump: u64,
    address: u64,
    stub: u64,
}

impl Order<'_> {
    /// Translates; `place` is asked for the address of so many bytes.
    ///
    /// # Errors
    /// The host has no memory for it; `Ok(None)` if there is no place.
    pub fn bake(&self, place: impl FnOnce(u64) -> Option<u64>) -> Result<Option<Baked>, CacheError> {
        let first = self.region.code_end();
        let middle = first + (self.region.end() - first) / 2;
        let draft = CodeCache::for_keeping(self.region, first..middle, middle..self.region.end())?;
        let (draft, cells, points) = self.translate(draft, self.points, first);
        let pages = |len| Part { address: 0, len }.pages();
        let [hot, cold] = draft.cache.used(first, middle).map(pages);
        let cells = pages(cells.len() as u64 * 8);
        draft.cache.close();
        let Some(at) = place(hot + cold + cells) else { return Ok(None) };
        let [cold, cells] = [at + hot, at + hot + cold];
        let cache = CodeCache::for_keeping(self.region, at..u64::MAX, cold..u64::MAX)?;
        let (blocks, words, _) = self.translate(cache, &self.points[..points], cells);
        let baked = self.file(&blocks, &words, [at, cold, cells]);
        blocks.cache.close();
        Ok(Some(baked))
    }

    /// The blocks, with cells from an address on; and for how many of the points there was room.
    fn translate(
        &self,
        mut cache: CodeCache,
        points: &[Point],
        cells: u64,
    ) -> (Blocks, HashMap<u64, Cell>, usize) {
        let first_exit = cache.room().map_or(0, |(hot, _)| KEPT_EXIT | hot as u32);
        let mut blocks = Blocks { first_exit, ..Blocks::of(cache) };
        let mut done = points.len();
        for (i, point) in points.iter().enumerate() {
            let distance = point.distance() as usize;
            let pc = self.mapping.address + distance as u64;
            if blocks.find(pc).is_some() {
                if point.is_indirect() && blocks.publish(pc).is_err() {
                    done = i;
                    break;
                }
                continue;
            }
            let Some(code) = self.code.get(distance..) else { continue };
            let code = &code[..code.len().min(BLOCK_SPAN)];
            match blocks.add(pc, code, &self.config, point.is_indirect(), &mut ()) {
                Err(AddError::Full) => {
                    done = i;
                    break;
                }
                Ok(_) | Err(AddError::Translate(_)) => {}
            }
        }
        (0..blocks.blocks.len() as BlockId).for_each(|id| blocks.chain_all(id));
        let cells = blocks.open_cells(cells);
        (blocks, cells, done)
    }

    /// The file's bytes, with parts at these addresses.
    fn file(&self, blocks: &Blocks, cells: &HashMap<u64, Cell>, [hot, cold, words]: [u64; 3]) -> Baked {
        let used = blocks.cache.used(hot, cold);
        let part = |address, len| Part { address, len };
        let parts = [part(hot, used[0]), part(cold, used[1]), part(words, cells.len() as u64 * 8)];
        let mut bytes = Vec::new();
        for part in &parts[..2] {
            bytes.extend(blocks.cache.read(part.address, part.len as usize));
            bytes.resize(bytes.len().next_multiple_of(PAGE as usize), 0);
        }
        let mut stubs: Vec<_> = cells.values().map(|cell| (cell.address, cell.stub)).collect();
        stubs.sort_unstable();
        stubs.iter().for_each(|(_, stub)| bytes.extend(stub.to_le_bytes()));
        bytes.resize(bytes.len().next_multiple_of(PAGE as usize), 0);
        let tables = self.tables(blocks, cells);
        let mut lengths = [0; 7];
        for (len, table) in lengths.iter_mut().zip(&tables) {
            *len = table.len() as u64;
            bytes.extend(table);
        }
        let header = Header { mapping: self.mapping, parts, tables: lengths, ..Header::default() };
        Baked { header, bytes }
    }

    fn tables(&self, blocks: &Blocks, cells: &HashMap<u64, Cell>) -> [Vec<u8>; 6] {
        let distance = |pc: u64| pc.wrapping_sub(self.mapping.address) as u32;
        let address = |host: Option<Host>| host.map_or(0, |host| host.address() as u32);
        let inside = |pc: u64| pc.wrapping_sub(self.mapping.address) < self.mapping.len;
        let mut entries: Vec<_> = blocks.by_pc.iter().filter(|(pc, _)| inside(**pc)).collect();
        entries.sort_unstable();
        let entries = entries.into_iter().map(|(&pc, &at)| {
            let entry = &blocks.entries[at as usize];
            let (direct, indirect) = (address(entry.direct), address(entry.indirect));
            Entry { pc: distance(pc), start: entry.start.address() as u32, direct, indirect }
        });
        let rows = blocks.blocks.iter().map(|b| Block {
            pc: distance(b.pc),
            hot: b.hot.address() as u32,
            cold: b.cold.address() as u32,
            exits: b.exits,
            marks: b.marks,
            indirect: blocks.entries[b.entries as usize].indirect.is_some().into(),
        });
        let exits = blocks.exits.iter().map(|record| match record.exit() {
            Exit::Goto { pc, stub, .. } => {
                let cell = cells.get(&pc).filter(|cell| cell.stub == stub);
                let cell = cell.map_or(0, |cell| cell.address as u32);
                ExitRow { pc, cell, stub: stub as u32, ..ExitRow::default() }
            }
            Exit::Leave { reason, pc } => ExitRow { pc, reason: reason as u32, ..ExitRow::default() },
        });
        let late =
            blocks.late_entries.iter().map(|&(host, marks)| Late { host: host.address() as u32, marks });
        let mark = |mark: Mark| {
            let (way, pc) = mark.pc.number();
            MarkRow { pc, at: mark.at as u16, borrowed: mark.borrowed, way }
        };
        [
            table(entries),
            table(rows),
            table(exits),
            table(blocks.marks.iter().map(mark)),
            table(late),
            table(blocks.late_marks.iter().map(mark)),
        ]
    }
}

fn table<R: Row>(rows: impl Iterator<Item = R>) -> Vec<u8> {
    let mut bytes = Vec::new();
    rows.for_each(|row| row.encode(&mut bytes));
    bytes
}

impl Blocks {
    /// Makes the exits that are not chained go through cells, one for each target, which lie from `first` on.
    fn open_cells(&mut self, first: u64) -> HashMap<u64, Cell> {
        let mut cells: HashMap<u64, Cell> = HashMap::new();
        for at in 0..self.exits.len() {
            let record = &self.exits[at];
            let Exit::Goto { pc, patch, stub } = record.exit() else { continue };
            if record.chained().is_some() {
                continue;
            }
            let address = first + cells.len() as u64 * 8;
            let known = cells.get(&pc).map(|cell| cell.jump);
            // Without room it goes to its stub, as long as it is there.
            let Some(jump) = known.or_else(|| Some(self.add_late(|at| through(at, pc, address))?.address()))
            else {
                continue;
            };
            cells.entry(pc).or_insert(Cell { jump, address, stub });
            self.cache.patch(patch, jump);
        }
        cells
    }
}

/// A jump through the word at `cell`, which lies at `at` and is on the way to guest address `pc`.
fn through(at: u64, pc: u64, cell: u64) -> Result<LateEntry, rxbox_translate::emit::EmitError> {
    let mut code = CodeBuffer::default();
    code.restart(at);
    let disp = displacement(cell, at + 6)?;
    code.copy(&[0xff, 0x25]);
    code.copy(&disp.to_le_bytes());
    Ok(LateEntry { code, marks: vec![Mark::plain(0, PcAt::Known(pc))] })
}

//! The code cache's memory: one region at a random place of the addresses that it may have at first, with the
//! tables of indirect targets, the stubs, hot code and cold code.
//!
//! The region's addresses are reserved, so nothing else can be mapped there, and
//! it is opened piece by piece as it is used: to the guest there is nothing mapped, and an access where
//! nothing is in use faults. Pages cost memory only once written. It is private: after a fork parent and
//! child have the same translations at the same place and share no page that either can write. It is the only
//! memory of the process that is executable besides the runtime's own image, and the seccomp filter keeps it
//! so. Code is only ever added (blocks are unlinked, not overwritten) until the whole cache is flushed with
//! every thread outside, so that a thread inside never sees an instruction change under it except a chained
//! displacement, which is replaced by one aligned store.
//!
//! A guest that wants to map where it lies gets what it wants: the region [moves](CodeCache::move_to), which
//! is a flush after which everything is elsewhere.
//!
//! It is writable while it is executable. What that costs to change, and what it would give, is in
//! `docs/adr/0012-writable-code.md`.

use crate::guest::{Span, layout};
use rxbox_translate::emit::{EmitError, Mark, stubs};
use rxbox_translate::state::{CACHE, Region};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// What is opened at once. The seccomp filter knows this size.
pub const PIECE: u64 = 1 << 20;
/// Where the last piece can begin.
pub const LAST_PIECE: u64 = CACHE.end - PIECE;
/// From where to where the region is open for hot code at first: its bytes from the stubs on.
const FIRST_OPEN: u64 = 2 * PIECE;
/// The part of the region that is for hot code, in eighths; the rest is for cold code.
const HOT_EIGHTHS: u64 = 5;
const DATA: i32 = libc::PROT_READ | libc::PROT_WRITE;
const ALL: i32 = DATA | libc::PROT_EXEC;

/// Code of one kind: where the next goes, and how far the region is open for it.
#[derive(Debug)]
struct Part {
    next: u64,
    open: u64,
    end: u64,
}

impl Part {
    /// Whether there is room for a block, once it is opened.
    fn has_room(&mut self) -> bool {
        const LARGEST: u64 = 64 * 1024;
        if self.next < self.open.saturating_sub(LARGEST) {
            return true;
        }
        let more = self.end.saturating_sub(self.open) >= PIECE && protect(self.open, PIECE, ALL);
        if more {
            self.open += PIECE;
        }
        more
    }
}

/// The region, and how far it is used.
#[derive(Debug)]
pub struct CodeCache {
    region: Region,
    hot: Part,
    cold: Part,
    stub_marks: Vec<Mark>,
}

/// Why the cache could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The host refused the mapping.
    #[error("cannot map the code cache: {0}")]
    Map(io::Error),
    /// The translator's fault.
    #[error("cannot emit the stubs: {0}")]
    Emit(#[from] EmitError),
}

impl CodeCache {
    /// Reserves the addresses, chooses the region that `chance` stands for and fills its tables and stubs. To
    /// be called once per process, before any guest mapping is made.
    ///
    /// # Errors
    /// See [`CacheError`].
    pub fn map(chance: u64) -> Result<CodeCache, CacheError> {
        let cache = CodeCache::at(Region::chosen(chance))?;
        layout::set_code_cache(cache.span());
        Ok(cache)
    }

    /// An empty cache in a region where nothing is mapped.
    fn at(region: Region) -> Result<CodeCache, CacheError> {
        CodeCache::with(region, ALL)
    }

    /// A cache in which code is made that is never executed here: it goes to these two ranges of addresses,
    /// which lie in the part of the region for kept translations, as long as there is room.
    ///
    /// # Errors
    /// See [`CacheError`].
    pub fn for_keeping(region: Region, hot: Range<u64>, cold: Range<u64>) -> Result<CodeCache, CacheError> {
        let mut cache = CodeCache::with(region, DATA)?;
        let part = |range: Range<u64>| Part { next: range.start, open: range.end, end: range.end };
        (cache.hot, cache.cold) = (part(hot), part(cold));
        if protect(region.code_end(), region.end() - region.code_end(), DATA) {
            return Ok(cache);
        }
        let error = io::Error::last_os_error();
        cache.close();
        Err(CacheError::Map(error))
    }

    /// Gives the memory back, which no thread executes.
    pub fn close(self) {
        close_region(self.region);
    }

    /// How many bytes of hot and cold code lie behind these addresses, at which they begin.
    pub fn used(&self, hot: u64, cold: u64) -> [u64; 2] {
        [self.hot.next - hot, self.cold.next - cold]
    }

    fn with(region: Region, rights: i32) -> Result<CodeCache, CacheError> {
        let cold = cold(region);
        let (bytes, stub_marks) = stubs::stubs(region)?;
        open_region(region, rights).map_err(CacheError::Map)?;
        let hot = Part { next: region.code(), open: region.stubs() + FIRST_OPEN, end: cold };
        let cold = Part { next: cold, open: cold + PIECE, end: region.code_end() };
        let cache = CodeCache { region, hot, cold, stub_marks };
        cache.write(region.stubs(), &bytes);
        cache.clear_tables();
        Ok(cache)
    }

    /// Forgets all code and goes on in another region. Every thread must be outside. The guest's map has to
    /// be told, and that the windows are others now.
    ///
    /// # Errors
    /// Something is mapped there, or the host refuses; nothing has changed then.
    pub fn move_to(&mut self, region: Region) -> Result<(), CacheError> {
        let before = std::mem::replace(self, CodeCache::at(region)?);
        layout::set_code_cache(self.span());
        close_region(before.region);
        Ok(())
    }

    /// The addresses of its region.
    fn span(&self) -> Span {
        Span { start: self.region.start(), end: self.region.end() }
    }

    /// Its region.
    pub fn region(&self) -> Region {
        self.region
    }

    /// Where the next block's hot and cold code will lie; `None` if the room left is less than a block may
    /// take.
    pub fn room(&mut self) -> Option<(u64, u64)> {
        (self.hot.has_room() && self.cold.has_room()).then_some((self.hot.next, self.cold.next))
    }

    /// Puts a block at the place that [`CodeCache::room`] gave.
    pub fn add(&mut self, hot: &[u8], cold: &[u8]) {
        self.write(self.hot.next, hot);
        self.write(self.cold.next, cold);
        self.hot.next = (self.hot.next + hot.len() as u64).next_multiple_of(16);
        self.cold.next = (self.cold.next + cold.len() as u64).next_multiple_of(8);
    }

    /// Forgets all code. Every thread must be outside.
    pub fn reset(&mut self) {
        self.hot.next = self.region.code();
        self.cold.next = cold(self.region);
        self.clear_tables();
    }

    /// Whether the address is one of the region's.
    pub fn has_reserved(host: u64) -> bool {
        layout::code_cache().contains(host)
    }

    /// State recovery for the stubs.
    pub fn stub_mark(&self, host: u64) -> Option<Mark> {
        let at = u32::try_from(host.checked_sub(self.region.stubs())?).ok()?;
        self.stub_marks.iter().rev().find(|m| m.at <= at).copied()
    }

    /// Lets indirect branches to `pc` go to the entry at `host`. The second level is for targets that take
    /// the place of another in the first: that is found missing once, and then is in the second as well.
    pub fn set_target(&self, pc: u64, host: u64) {
        let before =
            self.entry(self.region.jump_table(), stubs::first_index(pc)).swap(host, Ordering::AcqRel);
        if before == stubs::lookup(self.region) || before == host {
            return;
        }
        let (target, second) = self.second(pc);
        second.store(host, Ordering::Release);
        target.store(pc, Ordering::Release);
    }

    /// Takes the entry at `host` out of the tables' places for `pc`.
    pub fn clear_target(&self, pc: u64, host: u64) {
        let first = self.entry(self.region.jump_table(), stubs::first_index(pc));
        let _ = first.compare_exchange(host, stubs::lookup(self.region), Ordering::AcqRel, Ordering::Relaxed);
        let (target, second) = self.second(pc);
        if second.load(Ordering::Acquire) == host {
            target.store(stubs::NO_TARGET, Ordering::Release);
        }
    }

    /// Makes the jump whose displacement lies at `patch` go to `target`.
    pub fn patch(&self, patch: u64, target: u64) {
        let disp = target.wrapping_sub(patch + 4) as i32;
        assert!(self.has_code_at(patch, 4), "patch outside the code cache");
        // SAFETY: `patch` is in the mapped region. The emitter keeps displacements within one cache line, so
        // the store is a single access even where it is not aligned to four, as is the processor's fetch
        // (Intel SDM 3A 9.1.1).
        unsafe {
            if patch.is_multiple_of(4) {
                (*(patch as *const AtomicI32)).store(disp, Ordering::Release);
            } else {
                (patch as *mut i32).write_unaligned(disp);
            }
        }
    }

    /// Sets all entries of the tables to "nothing known". Every thread must be outside.
    pub fn clear_tables(&self) {
        let zero = renew_tables(self.region);
        for i in 0..Region::TABLE_ENTRIES {
            self.entry(self.region.jump_table(), i).store(stubs::lookup(self.region), Ordering::Relaxed);
        }
        // Unused places of the second level are for target 0, which lies in one place only.
        for i in (0..Region::TABLE_ENTRIES).filter(|_| !zero) {
            self.entry(self.region.second_table(), 2 * i).store(0, Ordering::Relaxed);
        }
        self.second(0).0.store(stubs::NO_TARGET, Ordering::Relaxed);
    }

    /// A copy of bytes of the region.
    pub fn read(&self, at: u64, len: usize) -> Vec<u8> {
        assert!(self.has_code_at(at, len as u64), "read outside the code cache");
        let mut bytes = vec![0; len];
        // SAFETY: the range lies in the mapped, readable region.
        unsafe { std::ptr::copy_nonoverlapping(at as *const u8, bytes.as_mut_ptr(), len) }
        bytes
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        assert!(self.has_code_at(at, bytes.len() as u64), "write outside the code cache");
        // SAFETY: the range lies in the mapped, writable region; nothing runs there yet (it is beyond what is
        // in use).
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len()) }
    }

    /// Whether these bytes lie in the region's executable part.
    fn has_code_at(&self, at: u64, len: u64) -> bool {
        at >= self.region.stubs() && at + len <= self.region.end()
    }

    /// The second level's place for `pc`: which target it is for, and the host address.
    fn second(&self, pc: u64) -> (&AtomicU64, &AtomicU64) {
        let (table, at) = (self.region.second_table(), 2 * stubs::second_index(pc));
        (self.entry(table, at), self.entry(table, at + 1))
    }

    /// A word of a table.
    fn entry(&self, table: u64, index: u64) -> &AtomicU64 {
        let at = table + index * 8;
        assert!((self.region.jump_table()..self.region.stubs()).contains(&at), "no word of a table");
        // SAFETY: the tables lie in the region, which is mapped for the life of the process, and are only
        // accessed as single words, here and by translated code.
        unsafe { &*(at as *const AtomicU64) }
    }
}

/// Where cold code begins.
fn cold(region: Region) -> u64 {
    region.stubs() + (region.code_end() - region.stubs()) / PIECE * HOT_EIGHTHS / 8 * PIECE
}

/// Gives the tables new pages, whose entries are zero; whether it did. In a forked process each of the old
/// pages would be copied, by a fault of its own, only to be overwritten. Pages of the first level are all
/// written at once, so they are made at once; of the second level a short program needs few.
fn renew_tables(region: Region) -> bool {
    let advise = |end, advice| {
        let (start, len) = (region.jump_table(), end - region.jump_table());
        // SAFETY: the tables' part of the region, which `open_region` has mapped: private memory. All entries
        // are made valid before anybody jumps through one.
        unsafe { libc::madvise(start as *mut _, len as usize, advice) == 0 }
    };
    let renewed = advise(region.stubs(), libc::MADV_DONTNEED);
    // Only for speed: a page that is not made now is made when it is written.
    advise(region.second_table(), libc::MADV_POPULATE_WRITE);
    renewed
}

/// Reserves a region, and opens the tables and the first pieces of each kind of code.
fn open_region(region: Region, rights: i32) -> io::Result<()> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: MAP_FIXED_NOREPLACE maps only where nothing is mapped.
    let p =
        unsafe { libc::mmap(region.start() as *mut _, Region::SIZE as usize, libc::PROT_NONE, flags, -1, 0) };
    if p == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let tables = region.jump_table();
    let opened = protect(tables, region.stubs() - tables, DATA)
        && (0..FIRST_OPEN / PIECE).all(|n| protect(region.stubs() + n * PIECE, PIECE, rights))
        && protect(cold(region), PIECE, rights);
    let error = io::Error::last_os_error();
    if !opened {
        close_region(region);
    }
    if opened { Ok(()) } else { Err(error) }
}

/// Gives a region up, which no thread is in and nothing refers to.
fn close_region(region: Region) {
    // SAFETY: `open_region` has mapped it; the only reference to it was the cache that the caller has given
    // up.
    unsafe { libc::munmap(region.start() as *mut _, Region::SIZE as usize) };
}

/// Opens a part of a region that is reserved; whether that went well.
fn protect(from: u64, len: u64, prot: i32) -> bool {
    assert!(from + len <= CACHE.end, "opened outside the code cache");
    // SAFETY: within a region, which is mapped for the life of its cache and gets more rights only.
    unsafe { libc::mprotect(from as *mut _, len as usize, prot) == 0 }
}

//! One guest process: what its threads share. The locks are taken in the order of [`crate::base::sync`].

use crate::base::sync::Lock;
use crate::channel::Channel;
use crate::exec::Machine;
use crate::fork::SharedWithParent;
use crate::guest::{AddressSpace, Change, HostMap, Span};
use crate::host::cpu::VectorKind;
use crate::host::map::HostMemory;
use crate::log::Log;
use crate::runtime::blocks::{AddError, Blocks, HostEntry};
use crate::runtime::thread::Beacon;
use crate::signal::{Actions, SignalDescriptors};
use crate::succession::Succession;
use rxbox_translate::TranslateError;
use rxbox_translate::cpuid::CpuidTable;
use rxbox_translate::frontend::Config;
use std::collections::HashSet;
use std::sync::OnceLock;

/// The most guest bytes that one block is made of.
const BLOCK_SPAN: usize = 1024;
const PAGE: u64 = 4096;

/// What all threads of a guest process share.
#[derive(Debug)]
pub struct Process {
    /// Guest memory.
    pub memory: Lock<Memory>,
    /// Translations.
    pub blocks: Lock<Blocks>,
    /// How blocks are shaped.
    pub config: Config,
    /// What cpuid answers.
    pub cpuid: CpuidTable,
    /// How much vector state there is.
    pub vectors: VectorKind,
    /// The channel.
    pub channel: Channel,
    /// Signal actions.
    pub actions: Lock<Actions>,
    /// What is logged, and where.
    pub log: Log,
    /// Threads that may be in translated code.
    pub threads: Lock<Vec<Beacon>>,
    /// Held while a descriptor is awaited on the control socket, so that each thread gets its own.
    pub control: Lock<()>,
    /// Held by the thread that does exclusive work.
    pub exclusive: Lock<()>,
    /// What the process has signal descriptors for.
    pub watched: SignalDescriptors,
    /// Which thread replaces the program, if one does.
    pub succession: Succession,
    /// What programs are told of the machine; set before the first one runs.
    pub machine: OnceLock<Machine>,
}

/// Guest memory with its host side.
#[derive(Debug)]
pub struct Memory {
    /// The guest's map.
    pub space: AddressSpace,
    /// The host's calls.
    pub host: HostMemory,
    /// Pages that the guest may write but that are read-only on the host, because code in them was translated.
    guarded: HashSet<u64>,
    /// Where the program's auxiliary vector lies.
    pub auxiliary: Span,
    /// In the child of a vfork(2): what it has changed of the memory that it shares with its parent.
    pub shared: Option<SharedWithParent>,
}

impl Memory {
    /// From an empty map.
    pub fn new(space: AddressSpace) -> Memory {
        Memory {
            space,
            host: HostMemory,
            guarded: HashSet::new(),
            auxiliary: Span { start: 0, end: 0 },
            shared: None,
        }
    }

    /// Makes pages with translated code read-only, at every address that shows them, so that a store into them is noticed.
    fn guard(&mut self, pc: u64, len: u32) {
        for page in (pc / PAGE..(pc + u64::from(len)).div_ceil(PAGE)).map(|p| p * PAGE) {
            self.guard_page(page);
            for twin in self.space.twins(Span { start: page, end: page + PAGE }) {
                self.guard_page(twin.start);
            }
        }
    }

    fn guard_page(&mut self, page: u64) {
        let Some(area) = self.space.query(page) else { return };
        if !area.prot.write || self.guarded.contains(&page) {
            return;
        }
        let prot = crate::guest::Prot { write: false, ..area.prot };
        if self.host.protect(Span { start: page, end: page + PAGE }, prot).is_ok() {
            self.guarded.insert(page);
        }
    }

    /// The pages are gone, or hold other contents.
    pub fn forget_guards(&mut self) {
        self.guarded.clear();
    }

    /// Gives pages in `span` the guest's own protection. Where guarded pages were moved (mremap) or lost their contents
    /// (madvise), the host's protection has stayed or gone along.
    fn open(&mut self, span: Span) {
        let Memory { space, host, .. } = self;
        for area in space.areas_in(span).filter(|a| a.prot.write && !a.is_special()) {
            if let Some(part) = area.span.intersect(span) {
                // It can only join what guarding split; if it fails, the guest's store faults.
                let _ = host.protect(part, area.prot);
            }
        }
    }

    /// Makes a guarded page writable again; false if it was not guarded.
    fn unguard(&mut self, page: u64) -> bool {
        let area = self.space.query(page);
        let watched =
            area.is_some_and(|a| a.prot.write) && self.shared.as_mut().is_some_and(|s| s.touch(page));
        if !self.guarded.remove(&page) && !watched {
            return false;
        }
        if let Some(prot) = self.space.query(page).map(|a| a.prot) {
            // Cannot fail for want of areas: it joins what guarding split. If it does, the guest's store faults again.
            let _ = self.host.protect(Span { start: page, end: page + PAGE }, prot);
        }
        true
    }
}

/// Why guest code at a pc cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// Nothing is mapped at this address.
    Unmapped(u64),
    /// Not executable at this address.
    NotExecutable(u64),
}

/// Why a store to guest memory faulted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// The page was guarded. It is not now.
    Guarded,
    /// The guest may write there: another thread has taken the guard away, or made the page writable, since the fault.
    Passed,
    /// The guest's own fault.
    Real,
}

/// How a block is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Want {
    /// It is reached by an indirect branch.
    pub indirect: bool,
    /// One instruction, run once: the page is not guarded.
    pub step: bool,
    /// The exit that led here, to be chained.
    pub chain: Option<u32>,
}

impl Process {
    /// The host entry of the block at `pc`, translated if need be.
    pub fn resolve(&self, pc: u64, want: Want) -> Result<HostEntry, FetchError> {
        if !want.step {
            let mut blocks = self.blocks.lock();
            if let Some(entry) = blocks.find(pc) {
                if let Some(exit) = want.chain.filter(|_| self.log.allows_chaining()) {
                    blocks.chain(exit, pc);
                }
                // Without room for an entry stub the branch keeps coming here; a full cache is flushed by the next block.
                if want.indirect && blocks.publish(pc).is_err() {
                    drop(blocks);
                    self.flush();
                    return self.translate(pc, want);
                }
                return Ok(entry);
            }
        }
        self.translate(pc, want)
    }

    fn translate(&self, pc: u64, want: Want) -> Result<HostEntry, FetchError> {
        loop {
            let mut memory = self.memory.lock();
            let mut blocks = self.blocks.lock();
            if !want.step && self.revive(&mut memory, &mut blocks, pc) {
                drop((blocks, memory));
                return self.resolve(pc, want);
            }
            let mut code = [0; BLOCK_SPAN];
            let len = fetch(&memory.space, pc, &mut code)?;
            let code = &code[..len];
            let config = Config { step: want.step, ..self.config };
            let mut stages = self.log.stages(pc, code);
            match blocks.add(pc, code, &config, want.indirect, &mut stages) {
                Ok((entry, id)) => {
                    self.log.emitted(|| blocks.host_code(id));
                    if !want.step {
                        memory.guard(pc, blocks.guest_len(id));
                        if self.log.allows_chaining() {
                            blocks.chain_all(id);
                            want.chain.into_iter().for_each(|exit| blocks.chain(exit, pc));
                        }
                    }
                    return Ok(entry);
                }
                Err(AddError::Full) => {
                    drop((blocks, memory));
                    self.flush();
                }
                Err(AddError::Translate(TranslateError::Fetch)) => {
                    let end = pc + code.len() as u64;
                    return Err(missing(&memory.space, end));
                }
                Err(AddError::Translate(e)) => crate::host::fatal::fatal(&format!("block at {pc:#x}: {e}")),
            }
        }
    }

    /// Makes a translation of an earlier program's current again, if the same code lies at `pc` now.
    fn revive(&self, memory: &mut Memory, blocks: &mut Blocks, pc: u64) -> bool {
        let revived = blocks.revive(pc, |source| {
            let (len, mut now) = (source.bytes.len(), [0; BLOCK_SPAN]);
            let executable =
                memory.space.exec_span(source.pc).is_some_and(|s| s.end - source.pc >= len as u64);
            let now = &mut now[..len];
            let valid =
                executable && crate::guest::access::copy_in(now, source.pc).is_ok() && now == source.bytes;
            if valid {
                memory.guard(source.pc, len as u32);
            }
            valid
        });
        revived.is_some()
    }

    /// Throws all translations away, with every thread outside translated code. Blocks are unlinked one by one only if a
    /// thread has to be got out.
    pub fn flush(&self) {
        let _alone = self.exclusive.lock();
        let threads = self.threads.lock();
        threads.iter().for_each(Beacon::nudge);
        if threads.iter().any(Beacon::in_cache) {
            self.blocks.lock().unlink_all();
        }
        while threads.iter().any(Beacon::in_cache) {
            std::thread::yield_now();
        }
        self.blocks.lock().flush();
        let mut memory = self.memory.lock();
        for page in memory.guarded.clone() {
            memory.unguard(page);
        }
    }

    /// Drops translations of code that a change of the address space made stale, and gives the change's answer.
    pub fn apply<T>(&self, memory: &mut Memory, change: Change<T>) -> Result<T, nix::errno::Errno> {
        let guarded = memory.guarded.len();
        for span in change.touched.spans() {
            self.blocks.lock().invalidate(span.start..span.end);
            memory.guarded.retain(|&p| !(span.start..span.end).contains(&p));
        }
        if memory.guarded.len() < guarded && memory.shared.is_none() {
            change.touched.spans().iter().for_each(|&span| memory.open(span));
        }
        change.result
    }

    /// Drops translations of the shared memory in `span` at other addresses: because it changes, or because it can be
    /// written here from now on; when the code is translated next, this place is guarded too.
    pub fn forget_twins(&self, memory: &Memory, span: Span) {
        for twin in memory.space.twins(span) {
            self.blocks.lock().invalidate(twin.start..twin.end);
        }
    }

    /// A store to `addr` faulted: says why, and if the page is read-only only because of translated code, drops that and
    /// makes the page writable.
    pub fn store_fault(&self, addr: u64) -> StoreFault {
        let page = addr / PAGE * PAGE;
        let mut memory = self.memory.lock();
        if memory.unguard(page) {
            let span = Span { start: page, end: page + PAGE };
            self.blocks.lock().invalidate(page..page + PAGE);
            self.forget_twins(&memory, span);
            return StoreFault::Guarded;
        }
        match memory.space.query(page) {
            Some(area) if area.prot.write && !area.is_special() => StoreFault::Passed,
            _ => StoreFault::Real,
        }
    }

    /// A store of the runtime's to guest memory faulted: makes the page writable if it is one that a store of the guest's would
    /// have made writable, a guarded page or a stack that grows.
    pub fn make_writable(&self, addr: u64) -> bool {
        if self.store_fault(addr) == StoreFault::Guarded {
            return true;
        }
        let mut guard = self.memory.lock();
        let memory = &mut *guard;
        memory.space.grow_down(&mut memory.host, addr)
    }

    /// How many of the `len` bytes at `addr` a store can reach, from the first on, as the map is now. A stack grows for it.
    pub fn writable(&self, addr: u64, len: u64) -> u64 {
        let mut guard = self.memory.lock();
        let Memory { space, host, .. } = &mut *guard;
        let end = addr.saturating_add(len);
        let mut at = addr;
        while at < end {
            if space.query(at).is_none() && !space.grow_down(host, at) {
                break;
            }
            match space.query(at) {
                Some(area) if area.prot.write => at = area.span.end,
                _ => break,
            }
        }
        at.min(end) - addr
    }

    /// Whether a pc may be executed, for faults of single-byte fetches.
    pub fn check_fetch(&self, pc: u64) -> Result<(), FetchError> {
        fetch(&self.memory.lock().space, pc, &mut [0; BLOCK_SPAN]).map(|_| ())
    }
}

/// The executable bytes from `pc` on, as many as a block may span, in the front of the buffer; how many they are.
fn fetch(space: &AddressSpace, pc: u64, code: &mut [u8; BLOCK_SPAN]) -> Result<usize, FetchError> {
    let span = space.exec_span(pc).ok_or_else(|| missing(space, pc))?;
    let len = BLOCK_SPAN.min((span.end - pc) as usize);
    match crate::guest::access::copy_in(&mut code[..len], pc) {
        Ok(()) => Ok(len),
        // A file that was cut short under the mapping: what lies beyond its end cannot be read.
        Err(fault) if fault.done > 0 => Ok(fault.done),
        Err(_) => Err(FetchError::NotExecutable(pc)),
    }
}

fn missing(space: &AddressSpace, addr: u64) -> FetchError {
    match space.query(addr) {
        Some(_) => FetchError::NotExecutable(addr),
        None => FetchError::Unmapped(addr),
    }
}

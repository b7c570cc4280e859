//! From a guest pc to translated code: found, revived, or translated now; and the flush of all translations.

use super::Process;
use super::memory::Memory;
use crate::guest::layout::is_canonical;
use crate::guest::{AddressSpace, Span, access, layout};
use crate::host::fatal::fatal;
use crate::runtime::blocks::bake::BLOCK_SPAN;
use crate::runtime::blocks::{AddError, Blocks, HostEntry};
use crate::runtime::cache::CodeCache;
use crate::runtime::cpu::ThreadHandle;
use rxbox_translate::TranslateError;
use rxbox_translate::emit::{Mark, PcAt};
use rxbox_translate::frontend::Config;
use rxbox_translate::state::Region;

/// Why guest code at a pc cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// The address is not canonical.
    NotCanonical,
    /// Nothing is mapped at this address.
    Unmapped(u64),
    /// Not executable at this address.
    NotExecutable(u64),
}

/// How a block is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockRequest {
    /// It is reached by an indirect branch.
    pub indirect: bool,
    /// One instruction, run once: the page is not write-protected.
    pub step: bool,
    /// The exit that led here, to be chained.
    pub chain: Option<u32>,
}

impl Process {
    /// The host entry of the block at `pc`, translated if need be.
    pub fn resolve(&self, pc: u64, request: BlockRequest) -> Result<HostEntry, FetchError> {
        if !request.step {
            let mut blocks = self.blocks.lock();
            if let Some(entry) = blocks.find(pc) {
                if let Some(exit) = request.chain.filter(|_| self.log.allows_chaining()) {
                    blocks.chain(exit, pc);
                }
                // Without room for an entry stub the branch keeps coming here; a full cache is flushed by the
                // next block.
                if request.indirect && blocks.publish(pc).is_err() {
                    drop(blocks);
                    self.flush();
                    return self.translate(pc, request);
                }
                return Ok(entry);
            }
        }
        self.translate(pc, request)
    }

    fn translate(&self, pc: u64, request: BlockRequest) -> Result<HostEntry, FetchError> {
        loop {
            let mut memory = self.memory.lock();
            let mut blocks = self.blocks.lock();
            if !request.step && self.revive(&mut memory, &mut blocks, pc) {
                drop((blocks, memory));
                return self.resolve(pc, request);
            }
            let mut code = [0; BLOCK_SPAN];
            let len = fetch(&memory.space, pc, &mut code)?;
            let code = &code[..len];
            let config = Config { step: request.step, ..self.config };
            let mut stages = self.log.stages(pc, code);
            match blocks.add(pc, code, &config, request.indirect, &mut stages) {
                Ok((entry, id)) => {
                    self.log.emitted(|| blocks.host_code(id));
                    if !request.step {
                        memory.write_protect(pc, blocks.guest_len(id));
                        if self.log.allows_chaining() {
                            blocks.chain_all(id);
                            request.chain.into_iter().for_each(|exit| blocks.chain(exit, pc));
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
                Err(AddError::Translate(e)) => fatal(&format!("block at {pc:#x}: {e}")),
            }
        }
    }

    /// The host entry of a block of this one instruction, in the place of what lies at `pc`. It is in no
    /// index and runs once.
    pub fn translate_alone(&self, pc: u64, instruction: &[u8]) -> HostEntry {
        loop {
            let config = Config { step: true, ..self.config };
            match self.blocks.lock().add(pc, instruction, &config, false, &mut ()) {
                Ok((entry, _)) => return entry,
                Err(AddError::Full) => {}
                Err(AddError::Translate(e)) => fatal(&format!("instruction at {pc:#x}: {e}")),
            }
            self.flush();
        }
    }

    /// Makes a translation of an earlier program's current again, if the same code lies at `pc` now.
    fn revive(&self, memory: &mut Memory, blocks: &mut Blocks, pc: u64) -> bool {
        let revived = blocks.revive(pc, |source| {
            let (len, mut now) = (source.bytes.len(), [0; BLOCK_SPAN]);
            let executable =
                memory.space.exec_span(source.pc).is_some_and(|s| s.end - source.pc >= len as u64);
            let now = &mut now[..len];
            let valid = executable && access::copy_in(now, source.pc).is_ok() && now == source.bytes;
            if valid {
                memory.write_protect(source.pc, len as u32);
            }
            valid
        });
        revived.is_some()
    }

    /// Throws all translations away, with every thread outside translated code. Blocks are unlinked one by
    /// one only if a thread has to be got out.
    pub fn flush(&self) {
        self.outside(|| {
            self.blocks.lock().flush();
            self.memory.lock().unprotect_all();
        });
    }

    /// The guest wants to map something just here: if the code cache is in the way, it moves to where there
    /// is room for it. If there is none, what the guest wants is refused.
    pub fn make_way(&self, wanted: Span) {
        if layout::code_cache().intersect(wanted).is_none() {
            return;
        }
        self.outside(|| {
            let mut memory = self.memory.lock();
            let room = memory.space.room_for_cache(Region::SIZE, wanted);
            let Some(region) = room.and_then(|room| Region::at(room.start)) else { return };
            if self.blocks.lock().move_to(region).is_ok() {
                memory.space.windows_moved();
                memory.unprotect_all();
            }
        });
    }

    /// Does something with every thread outside translated code, to which none comes back by an entry from
    /// before.
    fn outside(&self, act: impl FnOnce()) {
        let _alone = self.exclusive.lock();
        let threads = self.threads.lock();
        threads.iter().for_each(ThreadHandle::kick);
        if threads.iter().any(ThreadHandle::in_cache) {
            self.blocks.lock().unlink_all();
        }
        while threads.iter().any(ThreadHandle::in_cache) {
            std::thread::yield_now();
        }
        act();
        self.blocks.lock().grant_kept();
    }

    /// The guest's x87 instruction pointer, of which the processor has `stored`: the address of the last
    /// instruction's translation, or what the guest itself has loaded. Zero for a translation that is not
    /// known any more.
    pub fn x87_pointer(&self, stored: u64) -> u64 {
        if !CodeCache::has_reserved(stored) {
            return stored;
        }
        match self.blocks.lock().recover(stored) {
            Some(Mark { pc: PcAt::Known(pc) | PcAt::Along(pc), .. }) => pc,
            _ => 0,
        }
    }

    /// Whether a pc may be executed, for faults of single-byte fetches.
    pub fn check_fetch(&self, pc: u64) -> Result<(), FetchError> {
        fetch(&self.memory.lock().space, pc, &mut [0; BLOCK_SPAN]).map(|_| ())
    }
}

/// The executable bytes from `pc` on, as many as a block may span, in the front of the buffer; how many they
/// are.
fn fetch(space: &AddressSpace, pc: u64, code: &mut [u8; BLOCK_SPAN]) -> Result<usize, FetchError> {
    let span = space.exec_span(pc).ok_or_else(|| missing(space, pc))?;
    let len = BLOCK_SPAN.min((span.end - pc) as usize);
    match access::copy_in(&mut code[..len], pc) {
        Ok(()) => Ok(len),
        // A file that was cut short under the mapping: what lies beyond its end cannot be read.
        Err(fault) if fault.done > 0 => Ok(fault.done),
        Err(_) => Err(FetchError::NotExecutable(pc)),
    }
}

fn missing(space: &AddressSpace, addr: u64) -> FetchError {
    match space.query(addr) {
        Some(_) => FetchError::NotExecutable(addr),
        None if !is_canonical(addr) => FetchError::NotCanonical,
        None => FetchError::Unmapped(addr),
    }
}

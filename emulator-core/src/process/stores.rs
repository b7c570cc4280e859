//! Stores into guest memory: those of the guest that fault, and the runtime's own; and what a change of
//! memory means for translations of the code in it.

use super::Process;
use super::memory::Memory;
use crate::channel::Slot;
use crate::guest::access::{self, Fault};
use crate::guest::layout::PAGE;
use crate::guest::{Change, HostMap, Prot, Span};
use nix::errno::Errno;

/// Why a store to guest memory faulted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// The page was write-protected. It is not now.
    Unprotected,
    /// The guest may write there: another thread has taken the protection away, or made the page writable,
    /// since the fault.
    Passed,
    /// The guest's own fault.
    Real,
}

impl Process {
    /// Drops translations of code that a change of the address space made stale, and gives the change's
    /// answer.
    pub fn apply<T>(&self, memory: &mut Memory, change: Change<T>) -> Result<T, Errno> {
        for span in change.touched.spans() {
            self.blocks.lock().invalidate(span.start..span.end);
        }
        memory.touched(&change.touched);
        change.result
    }

    /// Drops translations of the shared memory in `span` at other addresses: because it changes, or because
    /// it can be written here from now on; when the code is translated next, this place is write-protected
    /// too.
    pub fn forget_aliases(&self, memory: &Memory, span: Span) {
        if !memory.has_shared_code() {
            return;
        }
        for alias in memory.space.aliases(span) {
            self.blocks.lock().invalidate(alias.start..alias.end);
        }
    }

    /// A store to `addr` faulted: says why, and if the page is read-only only because of translated code,
    /// drops that and makes the page writable.
    pub fn store_fault(&self, addr: u64) -> StoreFault {
        let page = addr / PAGE * PAGE;
        let mut memory = self.memory.lock();
        if memory.unprotect(page) {
            let span = Span { start: page, end: page + PAGE };
            self.blocks.lock().invalidate(page..page + PAGE);
            self.forget_aliases(&memory, span);
            return StoreFault::Unprotected;
        }
        match memory.space.query(page) {
            Some(area) if area.prot.write && !area.is_special() => StoreFault::Passed,
            _ => StoreFault::Real,
        }
    }

    /// A store of the runtime's to guest memory faulted: makes the page writable if it is one that a store of
    /// the guest's would have made writable, a write-protected page or a stack that grows.
    pub fn make_writable(&self, addr: u64) -> bool {
        if self.store_fault(addr) == StoreFault::Unprotected {
            return true;
        }
        self.grow_stack(addr)
    }

    /// A fault below a stack that grows down: makes room if that is what it is.
    pub fn grow_stack(&self, addr: u64) -> bool {
        let mut guard = self.memory.lock();
        let memory = &mut *guard;
        memory.space.grow_down(&mut memory.host, addr)
    }

    /// Writes guest memory. A page that is read-only only because code in it was translated is made writable
    /// first.
    ///
    /// # Errors
    /// EFAULT where the guest itself could not write.
    pub fn copy_out(&self, addr: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.store(addr, |done| access::copy_out(addr + done as u64, &bytes[done..]))
    }

    /// Writes guest memory in one page for a tracer (ptrace(2)): also where the guest itself may not, if
    /// nobody else sees it.
    ///
    /// # Errors
    /// EFAULT where nothing is mapped, or nothing that is the guest's own.
    pub fn force_out(&self, addr: u64, bytes: &[u8]) -> Result<(), Errno> {
        let mut guard = self.memory.lock();
        let Memory { space, host, .. } = &mut *guard;
        let area = space.query(addr).ok_or(Errno::EFAULT)?;
        if area.prot.write {
            drop(guard);
            return self.copy_out(addr, bytes);
        }
        if area.shared || area.is_special() {
            return Err(Errno::EFAULT);
        }
        let start = addr / PAGE * PAGE;
        let page = Span { start, end: start + PAGE };
        host.protect(page, Prot::READ_WRITE)?;
        let stored = access::copy_out(addr, bytes);
        // It was so before.
        let _ = host.protect(page, area.prot);
        self.blocks.lock().invalidate(page.start..page.end);
        Ok(stored?)
    }

    /// Copies `len` bytes from `start` of the slot's data area on to guest memory, as [`Process::copy_out`].
    ///
    /// # Errors
    /// EFAULT where the guest itself could not write.
    pub fn copy_from_slot(&self, slot: &Slot, start: usize, addr: u64, len: usize) -> Result<(), Errno> {
        self.store(addr, |done| slot.copy_to_guest(start + done, addr + done as u64, len - done))
    }

    /// Stores with `rest`, which is told how many bytes are done, until it comes to the end or to what cannot
    /// be written.
    fn store(&self, addr: u64, rest: impl Fn(usize) -> Result<(), Fault>) -> Result<(), Errno> {
        let mut done = 0;
        while let Err(fault) = rest(done) {
            done += fault.done;
            if !self.make_writable(addr + done as u64) {
                return Err(Errno::EFAULT);
            }
        }
        Ok(())
    }

    /// If this process still shares memory with a parent that waits: gives the changes over and lets the
    /// parent go on.
    pub fn release_parent(&self) {
        let shared = self.memory.lock().shared.take();
        if let Some(shared) = shared {
            shared.release();
        }
    }

    /// How many of the `len` bytes at `addr` a store can reach, from the first on, as the map is now. A stack
    /// grows for it.
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
}

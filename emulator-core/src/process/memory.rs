//! Guest memory: the guest's map, its host side, and the pages that are read-only on the host though the
//! guest may write them. There are two reasons for such a page: code in it was translated, or the process is
//! the child of a vfork(2) and has not yet written to it ([`SharedWithParent`]). The first store finds out
//! which ([`Memory::unprotect`]).

use super::vfork::SharedWithParent;
use crate::guest::layout::PAGE;
use crate::guest::{AddressSpace, HostMap, Prot, Span, Touched};
use crate::host::map::HostMemory;
use std::collections::HashSet;

/// Guest memory with its host side.
#[derive(Debug)]
pub struct Memory {
    /// The guest's map.
    pub space: AddressSpace,
    /// The host's calls.
    pub host: HostMemory,
    /// Pages that the guest may write but that are read-only on the host, because code in them was
    /// translated.
    protected: HashSet<u64>,
    /// Code was translated from memory that may be shown at several addresses. While it never was, as in most
    /// programs, no other address can hold stale translations.
    shared_code: bool,
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
            protected: HashSet::new(),
            shared_code: false,
            auxiliary: Span { start: 0, end: 0 },
            shared: None,
        }
    }

    /// Makes pages with translated code read-only, at every address that shows them, so that a store into
    /// them is noticed.
    pub(super) fn write_protect(&mut self, pc: u64, len: u32) {
        for page in (pc / PAGE..(pc + u64::from(len)).div_ceil(PAGE)).map(|p| p * PAGE) {
            self.write_protect_page(page);
            self.shared_code |= self.space.query(page).is_some_and(|area| area.shared);
            for alias in self.space.aliases(Span { start: page, end: page + PAGE }) {
                self.write_protect_page(alias.start);
            }
        }
    }

    /// Whether code was ever translated from shared memory.
    pub(super) fn has_shared_code(&self) -> bool {
        self.shared_code
    }

    fn write_protect_page(&mut self, page: u64) {
        let Some(area) = self.space.query(page) else { return };
        if !area.prot.write || self.protected.contains(&page) {
            return;
        }
        let prot = Prot { write: false, ..area.prot };
        if self.host.protect(Span { start: page, end: page + PAGE }, prot).is_ok() {
            self.protected.insert(page);
        }
    }

    /// The write-protected pages are gone, or hold other contents.
    pub fn forget_protected(&mut self) {
        self.protected.clear();
    }

    /// Gives pages in `span` the guest's own protection. Where write-protected pages were moved (mremap) or
    /// lost their contents (madvise), the host's protection has stayed or gone along.
    fn restore_protection(&mut self, span: Span) {
        let Memory { space, host, .. } = self;
        for area in space.areas_in(span).filter(|a| a.prot.write && !a.is_special()) {
            if let Some(part) = area.span.intersect(span) {
                // It can only join what write protection split; if it fails, the guest's store faults.
                let _ = host.protect(part, area.prot);
            }
        }
    }

    /// Makes a write-protected page writable again; false if it was not write-protected.
    pub(super) fn unprotect(&mut self, page: u64) -> bool {
        let area = self.space.query(page);
        let watched =
            area.is_some_and(|a| a.prot.write) && self.shared.as_mut().is_some_and(|s| s.touch(page));
        if !self.protected.remove(&page) && !watched {
            return false;
        }
        if let Some(prot) = self.space.query(page).map(|a| a.prot) {
            // Cannot fail for lack of areas: it joins what write protection split. If it does, the guest's
            // store faults again.
            let _ = self.host.protect(Span { start: page, end: page + PAGE }, prot);
        }
        true
    }

    /// Forgets write protection that a change of the map took with it, and gives what it left of it the
    /// guest's own.
    pub(super) fn touched(&mut self, touched: &Touched) {
        let before = self.protected.len();
        for span in touched.spans() {
            self.protected.retain(|&page| !span.contains(page));
        }
        if self.protected.len() < before && self.shared.is_none() {
            touched.spans().iter().for_each(|&span| self.restore_protection(span));
        }
    }

    /// Makes all pages with translated code writable again.
    pub(super) fn unprotect_all(&mut self) {
        for page in self.protected.clone() {
            self.unprotect(page);
        }
    }
}

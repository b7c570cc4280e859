//! mremap(2): resize a mapping in place, or move it.
//!
//! As in the kernel, everything that concerns the old mapping must lie in one area. The host needs more: one
//! kernel mapping. Where pages of an area were write protected because code was translated from them, the
//! host has several, so the area's own protection is restored first, and its translations, not
//! write-protected now, are reported as stale.

use nix::errno::Errno;

use super::area::Area;
use super::hostmap::HostMap;
use super::layout::{LOW, Span, TASK_SIZE, is_page_aligned, page_up, window_of};
use super::space::{AddressSpace, Change, Touched};

const MAY_MOVE: u64 = libc::MREMAP_MAYMOVE as u64;
const FIXED: u64 = libc::MREMAP_FIXED as u64;
const KEEP_OLD: u64 = libc::MREMAP_DONTUNMAP as u64;

/// The arguments of mremap(2).
#[derive(Clone, Copy, Debug)]
pub struct RemapRequest {
    /// Start of the old mapping.
    pub addr: u64,
    /// Its length in bytes; 0 copies a shared mapping.
    pub old_len: u64,
    /// The wanted length in bytes.
    pub new_len: u64,
    /// `MREMAP_` flags.
    pub flags: u64,
    /// The wanted address, with `MREMAP_FIXED`.
    pub new_addr: u64,
}

impl RemapRequest {
    /// The addresses that it must have and no others, if it names them.
    pub fn wanted(&self) -> Option<Span> {
        let fixed = self.flags & libc::MREMAP_FIXED as u64 != 0;
        Span::at(self.new_addr, page_up(self.new_len)?).filter(|_| fixed)
    }
}

impl AddressSpace {
    /// mremap(2). Gives the address of the resized mapping.
    pub fn remap(&mut self, host: &mut impl HostMap, request: &RemapRequest) -> Change<u64> {
        Change::of(|touched| self.try_remap(host, request, touched))
    }

    fn try_remap(
        &mut self,
        host: &mut impl HostMap,
        request: &RemapRequest,
        touched: &mut Touched,
    ) -> Result<u64, Errno> {
        let RemapRequest { addr, flags, new_addr, .. } = *request;
        let has = |flag| flags & flag != 0;
        let (Some(old_len), Some(new_len)) = (page_up(request.old_len), page_up(request.new_len)) else {
            return Err(Errno::EINVAL);
        };
        let known = flags & !(MAY_MOVE | FIXED | KEEP_OLD) == 0;
        let consistent = (has(MAY_MOVE) || !has(FIXED | KEEP_OLD)) && (!has(KEEP_OLD) || old_len == new_len);
        if !known || !consistent || !is_page_aligned(addr) || new_len == 0 {
            return Err(Errno::EINVAL);
        }
        let old = Span::at(addr, old_len).ok_or(Errno::EINVAL)?;
        let area = self.areas.find(addr).ok_or(Errno::EFAULT)?.clone();
        if self.areas.overlapping(old).any(Area::is_special) || area.is_special() {
            return Err(Errno::EPERM);
        }
        if has(FIXED) {
            return self.remap_to(host, &area, old, Span::at(new_addr, new_len), flags, touched);
        }
        if has(KEEP_OLD) {
            self.check_source(&area, old, new_len, true)?;
            return self.move_to_free(host, &area, old, new_len, true, touched);
        }
        if new_len <= old_len {
            let tail = Span { start: old.start + new_len, end: old.end };
            if !tail.is_empty() {
                self.unmap_span(host, tail, touched)?;
            }
            return Ok(addr);
        }
        self.check_source(&area, old, new_len, false)?;
        match self.grow_in_place(host, &area, old, new_len, touched)? {
            true => Ok(addr),
            false if has(MAY_MOVE) => self.move_to_free(host, &area, old, new_len, false, touched),
            false => Err(Errno::ENOMEM),
        }
    }

    /// `MREMAP_FIXED`: clears the target, shrinks the source if need be, moves.
    fn remap_to(
        &mut self,
        host: &mut impl HostMap,
        area: &Area,
        old: Span,
        new: Option<Span>,
        flags: u64,
        touched: &mut Touched,
    ) -> Result<u64, Errno> {
        let new =
            new.filter(|new| is_page_aligned(new.start) && new.end <= TASK_SIZE).ok_or(Errno::EINVAL)?;
        let overlap = old.start < new.end && new.start < old.end;
        if overlap {
            return Err(Errno::EINVAL);
        }
        if new.start < LOW.start {
            return Err(Errno::EPERM);
        }
        if self.areas.overlapping(new).any(Area::is_special) {
            return Err(Errno::EPERM);
        }
        if window_of(new).is_none() {
            return Err(Errno::ENOMEM);
        }
        // Checked before anything is cleared, so that a refused call costs the guest nothing.
        let kept = Span { end: old.start + old.len().min(new.len()), ..old };
        self.check_source(area, kept, new.len(), flags & KEEP_OLD != 0)?;
        self.unmap_span(host, new, touched)?;
        if kept != old {
            self.unmap_span(host, Span { start: kept.end, ..old }, touched)?;
        }
        self.relocate(host, area, kept, new, flags & KEEP_OLD != 0, touched)
    }

    /// The checks on the source of a move or growth: one area, limits, file offsets.
    fn check_source(&self, area: &Area, old: Span, new_len: u64, keep_old: bool) -> Result<(), Errno> {
        if old.is_empty() && !area.shared {
            return Err(Errno::EINVAL);
        }
        if !area.span.encloses(old) {
            return Err(Errno::EFAULT);
        }
        let offset = area.backing.as_ref().map_or(0, |backing| backing.offset);
        let skipped = old.start - area.span.start;
        offset.checked_add(skipped).and_then(|at| at.checked_add(new_len)).ok_or(Errno::EINVAL)?;
        let resized = Area { span: Span::at(0, new_len).ok_or(Errno::EINVAL)?, ..area.clone() };
        let replaced = if keep_old { 0 } else { old.len().min(new_len) };
        let replaced_data = if area.is_data() { replaced } else { 0 };
        self.check_limits(&resized, replaced, replaced_data)
    }

    /// Grows the tail of an area into the free range above it, if there is one.
    fn grow_in_place(
        &mut self,
        host: &mut impl HostMap,
        area: &Area,
        old: Span,
        new_len: u64,
        touched: &mut Touched,
    ) -> Result<bool, Errno> {
        let Some(new) = Span::at(old.start, new_len) else { return Ok(false) };
        let added = Span { start: old.end, end: new.end };
        let possible = old.end == area.span.end && !old.is_empty() && window_of(new).is_some();
        if !possible || !self.is_free(added) {
            return Ok(false);
        }
        self.unify(host, area, old, touched)?;
        host.remap(old, new, false)?;
        let resized = Area { span: new, ..area.slice(old) };
        self.areas.insert(resized.slice(added));
        Ok(true)
    }

    /// Moves to where mmap would put such a mapping.
    fn move_to_free(
        &mut self,
        host: &mut impl HostMap,
        area: &Area,
        old: Span,
        new_len: u64,
        keep_old: bool,
        touched: &mut Touched,
    ) -> Result<u64, Errno> {
        let low = LOW.encloses(area.span).then(|| self.find_free(new_len, self.image_range())).flatten();
        let new = low.or_else(|| self.any_place(new_len));
        self.relocate(host, area, old, new.ok_or(Errno::ENOMEM)?, keep_old, touched)
    }

    /// Moves `old`, a part of `area`, to the free span `new`.
    fn relocate(
        &mut self,
        host: &mut impl HostMap,
        area: &Area,
        old: Span,
        new: Span,
        keep_old: bool,
        touched: &mut Touched,
    ) -> Result<u64, Errno> {
        self.unify(host, area, old, touched)?;
        host.remap(old, new, keep_old)?;
        let source = if old.is_empty() { Span { end: area.span.end, ..old } } else { old };
        let moved = Area { span: new, ..area.slice(source) };
        if !keep_old && !old.is_empty() {
            self.areas.remove(old);
        }
        self.areas.insert(moved);
        Ok(new.start)
    }

    /// Makes the host's protection of `part` uniform, where write protection of translated code may have
    /// split it. The translations are stale then, whatever becomes of the call.
    fn unify(
        &self,
        host: &mut impl HostMap,
        area: &Area,
        part: Span,
        touched: &mut Touched,
    ) -> Result<(), Errno> {
        if !area.prot.exec || part.is_empty() {
            return Ok(());
        }
        self.touch(part, touched);
        if area.prot.write { host.protect(part, area.prot) } else { Ok(()) }
    }
}

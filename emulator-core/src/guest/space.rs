//! The guest's address space: which pages it has, and its limits, and what leaves it (munmap(2)). The other
//! calls that change it have modules of their own.
//!
//! The map answers like the kernel of a process that had the guest's windows as its whole user space and
//! found everything between and above them occupied. Every mutation goes to the host first and into the map
//! only if the host agreed ([`HostMap`]), so the map is what the host has, but for execution, which only the
//! map knows.
//!
//! Translations are copies of guest code, so each mutation reports the executable ranges that it [`Touched`]:
//! whatever was translated from there is stale. Pages that were not executable before have no translations.

use nix::errno::Errno;

use super::area::{Area, MappedFile, Prot, Role};
use super::areas::Areas;
use super::hostmap::HostMap;
use super::images::Images;
use super::layout::{
    LOW, MIDDLE, PAGE, Span, TASK_SIZE, code_cache, high, is_page_aligned, page_up, windows,
};
use super::random::spread;

/// Areas that a guest may have. Below the kernel's own limit (`vm.max_map_count`, 65530 by default), so that
/// the runtime and the write protection of translated pages have some left.
pub const MAX_AREAS: usize = 48 * 1024;
/// Lowest and highest place of the top of the area for images; a random page between is chosen.
const IMAGE_TOP: Span = Span { start: 0x5eff_0000, end: 0x5fff_0000 };
/// How far below the end of the high window the area for everything else ends at most; the stack is above.
const STACK_ROOM: u64 = 256 << 20;
/// How much further down the random part of that end takes it.
const MMAP_JITTER: u64 = 256 << 30;

/// Resource limits on the space, in bytes (setrlimit(2)); `u64::MAX` for none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// `RLIMIT_AS`
    pub address_space: u64,
    /// `RLIMIT_DATA`
    pub data: u64,
    /// `RLIMIT_STACK`
    pub stack: u64,
}

impl Limits {
    /// No limit but the customary stack of 8 MiB.
    pub const DEFAULT: Limits = Limits { address_space: u64::MAX, data: u64::MAX, stack: 8 << 20 };
}

/// Executable ranges that a mutation changed or removed, ascending within one mutation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Touched(Vec<Span>);

impl Touched {
    /// The ranges.
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    fn add(&mut self, span: Span) {
        match self.0.last_mut().filter(|last| last.end == span.start) {
            Some(last) => last.end = span.end,
            None => self.0.push(span),
        }
    }
}

/// What a mutation came to. A failed one can have touched code too: mprotect(2) works its way up to the first
/// hole.
#[derive(Debug)]
#[must_use = "stale translations must be dropped"]
pub struct Change<T> {
    /// The guest's answer.
    pub result: Result<T, Errno>,
    /// Code that is stale now.
    pub touched: Touched,
}

impl<T> Change<T> {
    pub(super) fn of(mutate: impl FnOnce(&mut Touched) -> Result<T, Errno>) -> Change<T> {
        let mut touched = Touched::default();
        let result = mutate(&mut touched);
        Change { result, touched }
    }
}

/// A page near the end of a range.
fn top(range: Span, bits: u64) -> u64 {
    range.end - bits % (range.len() / PAGE) * PAGE
}

/// The guest's address space.
#[derive(Clone, Debug)]
pub struct AddressSpace {
    pub(super) areas: Areas,
    pub(super) limits: Limits,
    /// The heap's first byte and its end as brk(2) last set it, not page aligned.
    pub(super) heap: Span,
    image_top: u64,
    mmap_top: u64,
    images: Images,
    /// Inode numbers for shared anonymous memory, which the kernel backs by nameless files.
    pub(super) next_ino: u64,
}

impl AddressSpace {
    /// An empty space. `seed` decides the random part of placement: equal seeds and requests, equal
    /// addresses.
    pub fn new(limits: Limits, seed: u64) -> AddressSpace {
        let mmap_top = high().end - STACK_ROOM;
        let mmap_top = Span { start: mmap_top - MMAP_JITTER, end: mmap_top };
        let [image_bits, mmap_bits] = spread(seed);
        AddressSpace {
            areas: Areas::new(),
            limits,
            heap: Span { start: 0, end: 0 },
            image_top: top(IMAGE_TOP, image_bits),
            mmap_top: top(mmap_top, mmap_bits),
            images: Images::default(),
            next_ino: 1,
        }
    }

    /// An empty space for the next program of the process, with the same limits: what was placed as an image
    /// in this one goes to its place again.
    pub fn next_program(&self, seed: u64) -> AddressSpace {
        let images = self.images.clone();
        AddressSpace { images, image_top: self.image_top, ..AddressSpace::new(self.limits, seed) }
    }

    /// From now on images have places that this word and their names decide, where these are free.
    pub fn place_images_by(&mut self, word: u64) {
        self.image_top = top(IMAGE_TOP, word);
        self.images.place_by(word);
    }

    /// Sets the limits for later requests; what exists stays (setrlimit(2)).
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The limits.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// munmap(2).
    pub fn unmap(&mut self, host: &mut impl HostMap, addr: u64, len: u64) -> Change<()> {
        Change::of(|touched| {
            // What munmap calls an invalid range includes the end of user space; what is not mapped is no
            // error.
            let end =
                Some(len).filter(|&len| len != 0).and_then(page_up).and_then(|len| addr.checked_add(len));
            match end {
                Some(end) if is_page_aligned(addr) && end <= TASK_SIZE => {
                    self.unmap_span(host, Span { start: addr, end }, touched)
                }
                _ => Err(Errno::EINVAL),
            }
        })
    }

    /// Takes every mapping away but what is lent, for execve(2): areas that adjoin, like those of one image,
    /// together.
    pub fn unmap_all(&mut self, host: &mut impl HostMap) {
        let mut runs: Vec<Span> = Vec::new();
        for area in self.areas().filter(|area| !area.is_special()) {
            match runs.last_mut().filter(|last| last.end == area.span.start) {
                Some(last) => last.end = area.span.end,
                None => runs.push(area.span),
            }
        }
        for run in runs {
            // What the map knows lies in the guest's windows, where the host cannot refuse to unmap whole
            // areas.
            let _ = self.unmap(host, run.start, run.len()).result;
        }
    }

    /// Lends the guest pages of the host's kernel at their own address outside the windows: the vDSO, which
    /// must find its data pages at fixed distances, can only work where it is. They behave as if sealed by
    /// mseal(2).
    ///
    /// # Errors
    /// `EINVAL`: not a page-aligned range outside the windows and the code cache, or something is lent there
    /// already.
    pub fn add_fixed_special(&mut self, span: Span, prot: Prot, name: &'static str) -> Result<(), Errno> {
        let aligned = is_page_aligned(span.start) && is_page_aligned(span.end) && span.start < span.end;
        let outside = span.end <= TASK_SIZE
            && windows().into_iter().chain([code_cache()]).all(|window| window.intersect(span).is_none());
        if !aligned || !outside || self.areas.overlapping(span).next().is_some() {
            return Err(Errno::EINVAL);
        }
        self.areas.insert(Area { role: Role::Special(name), ..Area::anonymous(span, prot) });
        Ok(())
    }

    /// Where the code cache of so many bytes could lie, were it not where the guest wants to have `wanted`:
    /// a place that is free and below the middle window.
    pub fn room_for_cache(&self, len: u64, wanted: Span) -> Option<Span> {
        let below = Span { end: wanted.start.min(MIDDLE.start), ..LOW };
        let above = Span { start: wanted.end.min(MIDDLE.start), end: MIDDLE.start };
        [above, below].into_iter().find_map(|range| self.find_free(len, range))
    }

    /// The windows are others than before, because the code cache has [moved](super::layout::set_code_cache).
    pub fn windows_moved(&mut self) {
        self.areas.file_gaps();
    }

    /// Whether nothing is mapped in `span` and the guest could map there.
    pub fn is_free(&self, span: Span) -> bool {
        self.areas.is_free(span)
    }

    /// The highest free range of `len` bytes (a multiple of the page size, not 0) within `within`.
    pub fn find_free(&self, len: u64, within: Span) -> Option<Span> {
        Span::at(self.areas.highest_free(len, within)?, len)
    }

    /// The place for an image of `len` bytes from this file: where the file was before, if that is free, else
    /// in one of the [ranges](AddressSpace::image_ranges) for images.
    pub fn image_place(&self, file: &MappedFile, len: u64) -> Option<Span> {
        let before = self.image_before(file).and_then(|start| Span::at(start, len));
        before
            .into_iter()
            .chain(self.images.places(file, len))
            .find(|&span| LOW.encloses(span) && self.is_free(span))
            .or_else(|| self.image_ranges().into_iter().find_map(|range| self.find_free(len, range)))
    }

    /// Where this file was placed as an image before.
    pub fn image_before(&self, file: &MappedFile) -> Option<u64> {
        self.images.start(file)
    }

    /// Where images go, in this order: where no file has its place yet, else anywhere in the
    /// [range](AddressSpace::image_range) for images.
    pub fn image_ranges(&self) -> [Span; 2] {
        let all = self.image_range();
        [self.images.untaken(all), all]
    }

    /// Where a file of so many bytes goes if it is free, in this order, if its name is to decide that.
    pub fn image_places(&self, file: &MappedFile, len: u64) -> impl Iterator<Item = Span> {
        self.images.places(file, len)
    }

    /// What decides where a program goes, if that is to be its name.
    pub fn program_bits(&self, file: &MappedFile) -> Option<u64> {
        self.images.bits(file, 0)
    }

    /// Takes note of where an image of this file is.
    pub fn note_image(&mut self, file: &MappedFile, start: u64) {
        self.images.note(file, start);
    }

    /// Where program images go when nobody says otherwise: the low window up to its random top.
    pub fn image_range(&self) -> Span {
        Span { end: self.image_top, ..LOW }
    }

    /// Where mappings go when nobody says otherwise: the high window up to its random top.
    pub fn mmap_range(&self) -> Span {
        Span { end: self.mmap_top, ..high() }
    }

    /// A free place for a mapping of which nobody says where: where mappings go, or where else there is room
    /// for it.
    pub(super) fn any_place(&self, len: u64) -> Option<Span> {
        [self.mmap_range(), high(), MIDDLE].into_iter().find_map(|range| self.find_free(len, range))
    }

    /// `ENOMEM` if `area` cannot be added once `freed` bytes (`freed_data` of them data) have made room.
    pub(super) fn check_limits(&self, area: &Area, freed: u64, freed_data: u64) -> Result<(), Errno> {
        let over = |used: u64, freed: u64, limit: u64| (used - freed).saturating_add(area.span.len()) > limit;
        let too_many = self.areas.len() + 2 > MAX_AREAS;
        let too_much = over(self.areas.total(), freed, self.limits.address_space);
        let too_much_data = area.is_data() && over(self.areas.data(), freed_data, self.limits.data);
        if too_many || too_much || too_much_data { Err(Errno::ENOMEM) } else { Ok(()) }
    }

    pub(super) fn unmap_span(
        &mut self,
        host: &mut impl HostMap,
        span: Span,
        touched: &mut Touched,
    ) -> Result<(), Errno> {
        if self.areas.overlapping(span).any(Area::is_special) {
            return Err(Errno::EPERM);
        }
        let splits =
            self.areas.find(span.start).is_some_and(|a| a.span.start < span.start && a.span.end > span.end);
        if splits && self.areas.len() >= MAX_AREAS {
            return Err(Errno::ENOMEM);
        }
        for part in windows().into_iter().filter_map(|window| window.intersect(span)) {
            if self.areas.overlapping(part).next().is_some() {
                host.unmap(part)?;
                self.touch(part, touched);
                self.areas.remove(part);
            }
        }
        Ok(())
    }

    /// Reports the executable parts of `span` as touched.
    pub(super) fn touch(&self, span: Span, touched: &mut Touched) {
        let code = self.areas.overlapping(span).filter(|area| area.prot.exec);
        code.filter_map(|area| area.span.intersect(span)).for_each(|part| touched.add(part));
    }
}

#[cfg(test)]
mod tests;

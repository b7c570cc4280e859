//! Where guest memory may lie.
//!
//! Guest addresses are host addresses, so guest and runtime share one address space and must never meet. The
//! kernel places the runtime's program and heap from `0x5555_5555_4000` on, and its libraries, stacks and
//! what it maps later downwards from below the top of user space. The guest owns windows between. Images lie
//! in the low one, within ±2 GiB of the code cache, so that translated code reaches them by displacements;
//! everything else where programs have it natively, right below the runtime's own.
//!
//! | range | owner |
//! | --- | --- |
//! | `0 .. 0x1_0000` | nobody (null pointers) |
//! | [`LOW`] | guest: program images, heap, `MAP_32BIT` |
//! | [`code_cache`] | runtime |
//! | [`MIDDLE`] | guest: where it names the address, and what fits nowhere else |
//! | [`high`] | guest: everything else, the stack at the top |
//! | between and above | runtime, the vDSO |
//!
//! This holds as long as the kernel maps top-down, which it does unless `RLIMIT_STACK` is unlimited, and
//! spreads addresses over 28 bits of pages, as it does unless `vm.mmap_rnd_bits` is set to more: then the
//! runtime may lie in the high window, which is [cut](keep_clear_of) to the larger rest before it is used.
//! The code cache lies between the low and the middle window and has less than there is: the windows reach up
//! to it. A guest that wants to map just there has it moved, and the windows with it.
//!
//! Since every host mapping at an address believed free is made with `MAP_FIXED_NOREPLACE`, a wrong belief is
//! an error and not a corrupted runtime.

pub use rxbox_wire::sizes::PAGE;

use rxbox_wire::space;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Of the guest's low window, what is not kept for the code cache: images and heap.
pub const LOW: Span = Span { start: space::LOW.0, end: space::LOW.1 };
/// Of the guest's middle window, what the code cache is never moved to.
pub const MIDDLE: Span = Span { start: space::MIDDLE.0, end: space::MIDDLE.1 };
/// The code cache of this process, start and end; before there is one, all that may become it.
static CODE_CACHE: [AtomicU64; 2] = [AtomicU64::new(LOW.end), AtomicU64::new(MIDDLE.start)];
/// The guest's high window, unless the runtime is in its way.
const HIGH: Span = Span { start: space::HIGH.0, end: space::HIGH.1 };
/// The high window of this process, start and end.
static HIGH_HERE: [AtomicU64; 2] = [AtomicU64::new(HIGH.start), AtomicU64::new(HIGH.end)];
/// How far the runtime's memory may grow: its heap upwards, what it maps downwards.
const GROWTH: u64 = 64 << 30;
/// End of what the guest believes to be user space (x86-64 with four page-table levels).
pub const TASK_SIZE: u64 = 0x7fff_ffff_f000;
/// Distance kept between a stack that grows down and what lies below it (`stack_guard_gap` of the kernel).
pub const STACK_GUARD: u64 = 256 * PAGE;

/// Whether the address is canonical with four levels of page tables (Intel SDM 1, 3.3.7.1).
pub const fn is_canonical(addr: u64) -> bool {
    (addr as i64) << 16 >> 16 == addr as i64
}

/// A half-open range of addresses, `start..end`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// First address.
    pub start: u64,
    /// First address after the range; never below `start`.
    pub end: u64,
}

impl Span {
    /// The span of `len` bytes from `start`; `None` if it wraps.
    pub const fn at(start: u64, len: u64) -> Option<Span> {
        match start.checked_add(len) {
            Some(end) => Some(Span { start, end }),
            None => None,
        }
    }

    /// The addresses of a line of `/proc/PID/maps` (proc_pid_maps(5)).
    pub fn of_maps_line(line: &str) -> Option<Span> {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        let hex = |digits| u64::from_str_radix(digits, 16).ok();
        Some(Span { start: hex(start)?, end: hex(end)? }).filter(|span| span.start <= span.end)
    }

    /// Bytes in the span.
    pub const fn len(self) -> u64 {
        self.end - self.start
    }

    /// Whether the span has no bytes.
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Whether `addr` lies in the span.
    pub const fn contains(self, addr: u64) -> bool {
        self.start <= addr && addr < self.end
    }

    /// Whether all of `other` lies in the span.
    pub const fn encloses(self, other: Span) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// What both spans have; `None` if that is nothing.
    pub fn intersect(self, other: Span) -> Option<Span> {
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        (start < end).then_some(Span { start, end })
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x}", self.start, self.end)
    }
}

/// `addr` rounded down to a page.
pub const fn page_down(addr: u64) -> u64 {
    addr & !(PAGE - 1)
}

/// `addr` rounded up to a page; `None` if that wraps.
pub const fn page_up(addr: u64) -> Option<u64> {
    match addr.checked_add(PAGE - 1) {
        Some(sum) => Some(page_down(sum)),
        None => None,
    }
}

/// Whether `addr` is the start of a page.
pub const fn is_page_aligned(addr: u64) -> bool {
    addr.is_multiple_of(PAGE)
}

/// The guest's high window.
pub fn high() -> Span {
    let [start, end] = &HIGH_HERE;
    Span { start: start.load(Ordering::Relaxed), end: end.load(Ordering::Relaxed) }
}

/// The code cache; never the guest's.
pub fn code_cache() -> Span {
    let [start, end] = &CODE_CACHE;
    Span { start: start.load(Ordering::Relaxed), end: end.load(Ordering::Relaxed) }
}

/// Says where the code cache lies, between [`LOW`]'s start and [`MIDDLE`]. The [address
/// space](super::AddressSpace::windows_moved) has to be told, if there is one.
pub fn set_code_cache(span: Span) {
    CODE_CACHE[0].store(span.start, Ordering::Relaxed);
    CODE_CACHE[1].store(span.end, Ordering::Relaxed);
}

/// All windows, ascending.
pub fn windows() -> [Span; 3] {
    let cache = code_cache();
    [Span { end: cache.start, ..LOW }, Span { start: cache.end, ..MIDDLE }, high()]
}

/// The window that holds all of `span`, if one does.
pub fn window_of(span: Span) -> Option<Span> {
    windows().into_iter().find(|window| window.encloses(span))
}

/// Cuts the high window to where none of these mappings are, which are the runtime's. To be called before
/// there is a guest, and before the process has a second thread.
pub fn keep_clear_of(runtime: impl Iterator<Item = Span>) {
    let rest = rest_of(HIGH, runtime);
    HIGH_HERE[0].store(rest.start, Ordering::Relaxed);
    HIGH_HERE[1].store(rest.end, Ordering::Relaxed);
}

/// What is left of a window, at the side where more is, with room to grow for each of these mappings.
fn rest_of(window: Span, runtime: impl Iterator<Item = Span>) -> Span {
    runtime.fold(window, |rest, mapping| {
        let Some(taken) = rest.intersect(mapping) else { return rest };
        let below = Span { end: taken.start.saturating_sub(GROWTH).max(rest.start), ..rest };
        let above = Span { start: taken.end.saturating_add(GROWTH).min(rest.end), ..rest };
        if below.len() > above.len() { below } else { above }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_code_cache_are_disjoint_ascending_and_page_aligned() {
        let all = [LOW, code_cache(), MIDDLE, high()];
        assert!(all.windows(2).all(|pair| pair[0].end <= pair[1].start));
        // No window touches another, so no mapping grows from one into the next.
        assert!(windows().windows(2).all(|pair| pair[0].end < pair[1].start));
        assert!(all.iter().all(|s| is_page_aligned(s.start) && is_page_aligned(s.end) && !s.is_empty()));
    }

    #[test]
    fn a_span_belongs_to_a_window_only_as_a_whole() {
        let span = |start, end| Span { start, end };
        assert_eq!(window_of(span(0x1_0000, 0x6000_0000)), Some(LOW));
        assert_eq!(window_of(span(0xf000, 0x1_1000)), None);
        assert_eq!(window_of(span(0x5fff_f000, 0x6000_1000)), None);
        assert_eq!(window_of(span(0x6000_0000, 0x6000_1000)), None);
        assert_eq!(window_of(span(HIGH.end - PAGE, HIGH.end)), Some(HIGH));
        assert_eq!(window_of(span(0x7fff_0000_0000, 0x7fff_0000_1000)), None);
    }

    #[test]
    fn the_high_window_makes_room_for_a_runtime_in_it() {
        let at = |start: u64| Span { start, end: start + PAGE };
        let rest = |runtime: &[u64]| rest_of(HIGH, runtime.iter().copied().map(at));
        assert_eq!(rest(&[0x5600_0000_0000, 0x7eff_0000_0000, 0x7fff_0000_0000]), HIGH);
        let image = 0x6200_0000_0000;
        let above = image + PAGE + GROWTH;
        assert_eq!(rest(&[image]), Span { start: above, end: HIGH.end });
        let libraries = 0x7800_0000_0000;
        let both = Span { start: above, end: libraries - GROWTH };
        assert_eq!(rest(&[image, libraries, libraries + 0x1000_0000]), both);
        assert_eq!(rest(&[libraries, image]), both);
    }

    #[test]
    fn rounding_up_reports_wrap_instead_of_wrapping() {
        assert_eq!(page_up(1), Some(PAGE));
        assert_eq!(page_up(PAGE), Some(PAGE));
        assert_eq!(page_up(u64::MAX - PAGE + 1), Some(u64::MAX - PAGE + 1));
        assert_eq!(page_up(u64::MAX - PAGE + 2), None);
        assert_eq!(Span::at(u64::MAX, 2), None);
    }
}

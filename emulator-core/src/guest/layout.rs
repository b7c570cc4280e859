//! Where guest memory may lie.
//!
//! Guest addresses are host addresses, so guest and runtime share one address space and must never meet. The
//! host places a position-independent program, its heap, libraries and stacks from `0x5555_5555_4000` on; the
//! guest owns windows below, and one in the wide gap above the heap. Between the first two lies the code
//! cache, within ±2 GiB of everything in the low window, so that translated code reaches low guest addresses
//! by displacements.
//!
//! | range | owner |
//! | --- | --- |
//! | `0 .. 0x1_0000` | nobody (null pointers) |
//! | [`LOW`] | guest: program images, heap, `MAP_32BIT` |
//! | [`CODE_CACHE`] | runtime |
//! | [`HIGH`] | guest: everything else, the stack at the top |
//! | [`ASKED`] | guest: only where it names the address |
//! | between and above | runtime, the vDSO |
//!
//! This holds as long as the kernel maps top-down, which it does unless `RLIMIT_STACK` is unlimited; and
//! since every host mapping at an address believed free is made with `MAP_FIXED_NOREPLACE`, a wrong belief is
//! an error and not a corrupted runtime.

pub use rxbox_wire::sizes::PAGE;

use rxbox_wire::space;
use std::fmt;

/// The guest's low window: images and heap.
pub const LOW: Span = Span { start: space::LOW.0, end: space::LOW.1 };
/// The code cache; never the guest's.
pub const CODE_CACHE: Span = Span { start: 0x7000_0000, end: 0x7fff_0000 };
/// The guest's high window.
pub const HIGH: Span = Span { start: space::HIGH.0, end: space::HIGH.1 };
/// Windows that are used only for what the guest wants to have just there ([`space::ASKED`]).
pub const ASKED: [Span; 2] = [
    Span { start: space::ASKED[0].0, end: space::ASKED[0].1 },
    Span { start: space::ASKED[1].0, end: space::ASKED[1].1 },
];
/// All windows, ascending.
pub const WINDOWS: [Span; 4] = [LOW, HIGH, ASKED[0], ASKED[1]];
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

/// The window that holds all of `span`, if one does.
pub fn window_of(span: Span) -> Option<Span> {
    WINDOWS.into_iter().find(|window| window.encloses(span))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_code_cache_are_disjoint_ascending_and_page_aligned() {
        let all = [LOW, CODE_CACHE, HIGH, ASKED[0], ASKED[1]];
        assert!(all.windows(2).all(|pair| pair[0].end <= pair[1].start));
        assert!(WINDOWS.windows(2).all(|pair| pair[0].end < pair[1].start));
        assert!(all.iter().all(|s| is_page_aligned(s.start) && is_page_aligned(s.end) && !s.is_empty()));
    }

    #[test]
    fn a_span_belongs_to_a_window_only_as_a_whole() {
        let span = |start, end| Span { start, end };
        assert_eq!(window_of(span(0x1_0000, 0x7000_0000)), Some(LOW));
        assert_eq!(window_of(span(0xf000, 0x1_1000)), None);
        assert_eq!(window_of(span(0x6fff_f000, 0x7000_1000)), None);
        assert_eq!(window_of(span(0x7000_0000, 0x7000_1000)), None);
        assert_eq!(window_of(span(HIGH.end - PAGE, HIGH.end)), Some(HIGH));
        assert_eq!(window_of(span(0x7fff_0000_0000, 0x7fff_0000_1000)), None);
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

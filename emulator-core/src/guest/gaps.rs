//! An index of free address ranges by size, for placing mappings top-down.
//!
//! Programs have thousands of mappings, and a walk over them at every mmap is quadratic in the life of the
//! program. Here gaps are filed by the power of two of their length: in every class above that of the wanted
//! length each gap is long enough, so the highest gap of the class decides at once; only the class of the
//! length itself can need a walk.

use std::collections::BTreeMap;

use super::layout::Span;

/// One class for each power of two that a length can have.
const CLASSES: usize = u64::BITS as usize;

/// Free ranges, disjoint, keyed by their start.
#[derive(Clone, Debug)]
pub(super) struct Gaps {
    all: BTreeMap<u64, u64>,
    by_class: [BTreeMap<u64, u64>; CLASSES],
}

fn class(len: u64) -> usize {
    len.max(1).ilog2() as usize
}

impl Gaps {
    pub(super) fn new() -> Gaps {
        Gaps { all: BTreeMap::new(), by_class: std::array::from_fn(|_| BTreeMap::new()) }
    }

    /// Files a gap. Empty ones are ignored.
    pub(super) fn add(&mut self, gap: Span) {
        if !gap.is_empty() {
            self.all.insert(gap.start, gap.end);
            self.by_class[class(gap.len())].insert(gap.start, gap.end);
        }
    }

    /// Forgets every gap that starts in `span`.
    pub(super) fn clear(&mut self, span: Span) {
        while let Some((&start, &end)) = self.all.range(span.start..span.end).next() {
            self.all.remove(&start);
            self.by_class[class(end - start)].remove(&start);
        }
    }

    /// The highest address at which `len` bytes (not 0) are free within `within`.
    pub(super) fn highest(&self, len: u64, within: Span) -> Option<u64> {
        let mut best: Option<u64> = None;
        for gaps in &self.by_class[class(len)..] {
            for (&start, &end) in gaps.range(..within.end).rev() {
                let Some(usable) = within.intersect(Span { start, end }) else { break };
                if best.is_some_and(|best| usable.end < best + len) {
                    break;
                }
                if usable.len() >= len {
                    best = Some(usable.end - len);
                    break;
                }
            }
        }
        best
    }

    /// Whether all of `span` is free.
    pub(super) fn is_free(&self, span: Span) -> bool {
        let below = self.all.range(..=span.start).next_back();
        below.is_some_and(|(&start, &end)| Span { start, end }.encloses(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: u64, end: u64) -> Span {
        Span { start, end }
    }

    #[test]
    fn the_highest_fit_wins_over_classes_and_clipping() {
        let mut gaps = Gaps::new();
        for gap in [span(0, 0x100), span(0x200, 0x210), span(0x300, 0x303), span(0x400, 0x480)] {
            gaps.add(gap);
        }
        let all = span(0, 0x1000);
        assert_eq!(gaps.highest(3, all), Some(0x47d));
        assert_eq!(gaps.highest(0x81, all), Some(0x7f));
        assert_eq!(gaps.highest(0x101, all), None);
        assert_eq!(gaps.highest(3, span(0, 0x400)), Some(0x300));
        assert_eq!(gaps.highest(4, span(0, 0x400)), Some(0x20c));
        assert_eq!(gaps.highest(4, span(0x20e, 0x402)), None);
        assert_eq!(gaps.highest(2, span(0x20e, 0x402)), Some(0x400));
    }

    #[test]
    fn cleared_gaps_are_neither_found_nor_free() {
        let mut gaps = Gaps::new();
        gaps.add(span(0x10, 0x20));
        gaps.add(span(0x30, 0x40));
        assert!(gaps.is_free(span(0x12, 0x20)));
        assert!(!gaps.is_free(span(0x12, 0x21)));
        gaps.clear(span(0x0, 0x30));
        assert!(!gaps.is_free(span(0x12, 0x14)));
        assert_eq!(gaps.highest(0x10, span(0, 0x100)), Some(0x30));
        assert_eq!(gaps.highest(0x10, span(0, 0x30)), None);
    }
}

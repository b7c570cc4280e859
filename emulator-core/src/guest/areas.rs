//! The set of areas, kept disjoint, merged and indexed.
//!
//! Invariants, upheld by every method:
//! - areas do not overlap, and no two neighbours could be one area;
//! - an area that is not special lies in one window;
//! - the gaps filed in the index are exactly the free ranges of the windows, shortened at their upper end by
//!   the guard below an area that grows down;
//! - `total` and `data` are the sums over the areas in the windows.

use std::collections::BTreeMap;

use super::area::{Area, Role};
use super::gaps::Gaps;
use super::layout::{Span, window_of, windows};

/// All mappings of the guest, by address.
#[derive(Clone, Debug)]
pub(super) struct Areas {
    by_start: BTreeMap<u64, Area>,
    gaps: Gaps,
    total: u64,
    data: u64,
}

impl Areas {
    pub(super) fn new() -> Areas {
        let mut areas = Areas { by_start: BTreeMap::new(), gaps: Gaps::new(), total: 0, data: 0 };
        areas.file_gaps();
        areas
    }

    /// Files all gaps anew, for windows that are others now.
    pub(super) fn file_gaps(&mut self) {
        let mut gaps = Gaps::new();
        for window in windows() {
            let mut from = window.start;
            for area in self.overlapping(window) {
                let to = area.span.start.saturating_sub(area.guard()).max(from);
                gaps.add(Span { start: from, end: to });
                from = area.span.end;
            }
            gaps.add(Span { start: from, end: window.end });
        }
        self.gaps = gaps;
    }

    /// Number of areas.
    pub(super) fn len(&self) -> usize {
        self.by_start.len()
    }

    /// Bytes mapped in the windows.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Bytes that count against `RLIMIT_DATA`.
    pub(super) fn data(&self) -> u64 {
        self.data
    }

    /// All areas, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Area> {
        self.by_start.values()
    }

    /// The area that holds `addr`.
    pub(super) fn find(&self, addr: u64) -> Option<&Area> {
        let (_, area) = self.by_start.range(..=addr).next_back()?;
        area.span.contains(addr).then_some(area)
    }

    /// The lowest area that starts at or above `addr`.
    pub(super) fn next_from(&self, addr: u64) -> Option<&Area> {
        self.by_start.range(addr..).next().map(|(_, area)| area)
    }

    /// The highest area that starts below `addr`.
    pub(super) fn last_before(&self, addr: u64) -> Option<&Area> {
        self.by_start.range(..addr).next_back().map(|(_, area)| area)
    }

    /// Areas that share bytes with `span`, ascending, whole.
    pub(super) fn overlapping(&self, span: Span) -> impl Iterator<Item = &Area> {
        let first = self.find(span.start).map_or(span.start, |area| area.span.start);
        self.by_start.range(first..span.end.max(first)).map(|(_, area)| area)
    }

    /// The parts of areas that lie in `span`, ascending.
    pub(super) fn parts(&self, span: Span) -> impl Iterator<Item = Area> {
        self.overlapping(span).filter_map(move |area| Some(area.slice(area.span.intersect(span)?)))
    }

    /// Whether all of `span` is mapped.
    pub(super) fn covers(&self, span: Span) -> bool {
        let mut reached = span.start;
        for area in self.overlapping(span) {
            if area.span.start > reached {
                return false;
            }
            reached = area.span.end;
        }
        reached >= span.end
    }

    /// Whether all of `span` is free, guards of growing areas above included.
    pub(super) fn is_free(&self, span: Span) -> bool {
        self.gaps.is_free(span)
    }

    /// The highest free place for `len` bytes in `within`.
    pub(super) fn highest_free(&self, len: u64, within: Span) -> Option<u64> {
        self.gaps.highest(len, within)
    }

    /// Adds an area in a free range and merges it with its neighbours.
    pub(super) fn insert(&mut self, area: Area) {
        let span = area.span;
        self.edit(span, |areas| areas.put(area));
    }

    /// Forgets everything in `span`, splitting areas at its edges.
    pub(super) fn remove(&mut self, span: Span) {
        self.edit(span, |areas| {
            areas.take(span);
        });
    }

    /// Puts `area` in place of everything in its span.
    pub(super) fn replace(&mut self, area: Area) {
        let span = area.span;
        self.edit(span, |areas| {
            areas.take(span);
            areas.put(area);
        });
    }

    /// Changes attributes of everything in `span`, splitting and merging as needed.
    pub(super) fn update(&mut self, span: Span, change: impl Fn(&mut Area)) {
        self.edit(span, |areas| {
            for mut area in areas.take(span) {
                change(&mut area);
                areas.put(area);
            }
        });
    }

    /// Runs `change`, which may alter areas within `span` only, and files the gaps around it again.
    fn edit(&mut self, span: Span, change: impl FnOnce(&mut Areas)) {
        let Some(window) = window_of(span) else {
            // Special areas lie outside the windows, where gaps are not managed.
            return change(self);
        };
        let below = self.last_before(span.start).map_or(0, |area| area.span.end);
        let above = self.next_from(span.end);
        let (end, guard) = above.map_or((u64::MAX, 0), |area| (area.span.start, area.guard()));
        let around = Span { start: below.max(window.start).min(span.start), end: end.min(window.end) };
        self.gaps.clear(around);
        change(self);
        let mut free_from = around.start;
        let mut free = Vec::new();
        for area in self.overlapping(around) {
            let free_to = area.span.start.saturating_sub(area.guard()).max(free_from);
            free.push(Span { start: free_from, end: free_to });
            free_from = area.span.end.min(around.end);
        }
        let guard = if end < window.end { guard } else { 0 };
        free.push(Span { start: free_from, end: around.end.saturating_sub(guard).max(free_from) });
        free.into_iter().for_each(|gap| self.gaps.add(gap));
    }

    fn take(&mut self, span: Span) -> Vec<Area> {
        let touched: Vec<Area> = self.overlapping(span).cloned().collect();
        let mut taken = Vec::with_capacity(touched.len());
        for area in touched {
            self.by_start.remove(&area.span.start);
            self.account(&area, u64::wrapping_sub);
            let Some(inner) = area.span.intersect(span) else { continue };
            let edges = [
                Span { start: area.span.start, end: inner.start },
                Span { start: inner.end, end: area.span.end },
            ];
            for edge in edges.into_iter().filter(|edge| !edge.is_empty()) {
                let rest = area.slice(edge);
                self.account(&rest, u64::wrapping_add);
                self.by_start.insert(edge.start, rest);
            }
            taken.push(area.slice(inner));
        }
        taken
    }

    fn put(&mut self, mut area: Area) {
        self.account(&area, u64::wrapping_add);
        if let Some(below) = self.last_before(area.span.start).filter(|below| below.continues_in(&area)) {
            area = Area { span: Span { end: area.span.end, ..below.span }, ..below.clone() };
        }
        if let Some(above) = self.by_start.get(&area.span.end).filter(|above| area.continues_in(above)) {
            let end = above.span.end;
            self.by_start.remove(&area.span.end);
            area.span.end = end;
        }
        self.by_start.insert(area.span.start, area);
    }

    fn account(&mut self, area: &Area, apply: fn(u64, u64) -> u64) {
        if matches!(area.role, Role::Special(_)) {
            return;
        }
        self.total = apply(self.total, area.span.len());
        if area.is_data() {
            self.data = apply(self.data, area.span.len());
        }
    }
}

#[cfg(test)]
impl Areas {
    /// Panics unless the invariants of the module hold.
    pub(super) fn check(&self) {
        let areas: Vec<&Area> = self.iter().collect();
        for pair in areas.windows(2) {
            assert!(pair[0].span.end <= pair[1].span.start, "overlap: {pair:?}");
            assert!(!pair[0].continues_in(pair[1]), "unmerged: {pair:?}");
        }
        let plain = || areas.iter().filter(|a| !a.is_special());
        assert!(plain().all(|a| window_of(a.span).is_some() && !a.span.is_empty()));
        assert_eq!(self.total, plain().map(|a| a.span.len()).sum::<u64>());
        assert_eq!(self.data, plain().filter(|a| a.is_data()).map(|a| a.span.len()).sum::<u64>());
        let mut fresh = self.clone();
        fresh.file_gaps();
        assert_eq!(format!("{:?}", self.gaps), format!("{:?}", fresh.gaps), "gap index");
    }
}

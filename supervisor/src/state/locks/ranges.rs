//! Which ranges of a file a process has locked, and who waits for whom.

use crate::host::command::Flock;
use std::collections::BTreeMap;

/// Bytes of a file, `first..=last`, locked to read or to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) write: bool,
}

impl Range {
    /// The bytes that `start` and `len` of a `struct flock` stand for, counted from the start of the file;
    /// `None` if there are none (the kernel refuses such a lock).
    pub fn new(start: i64, len: i64, write: bool) -> Option<Range> {
        let (first, last) = match len {
            0 => (start, i64::MAX),
            1.. => (start, start.checked_add(len - 1)?),
            _ => (start.checked_add(len)?, start.checked_sub(1)?),
        };
        (first >= 0 && first <= last).then_some(Range { first, last, write })
    }

    /// Whether it is locked to write.
    pub(super) fn writes(&self) -> bool {
        self.write
    }

    /// The `struct flock` that locks it.
    pub(super) fn lock(&self) -> [u8; Flock::SIZE] {
        let mut lock = [0; Flock::SIZE];
        let kind = if self.write { libc::F_WRLCK } else { libc::F_RDLCK };
        lock[..2].copy_from_slice(&(kind as i16).to_le_bytes());
        lock[8..16].copy_from_slice(&self.first.to_le_bytes());
        // A length of 0 is up to the end, whatever that will be.
        let length = if self.last == i64::MAX { 0 } else { self.last - self.first + 1 };
        lock[16..24].copy_from_slice(&length.to_le_bytes());
        lock
    }

    fn overlaps(&self, other: &Range) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    fn conflicts(&self, other: &Range) -> bool {
        self.overlaps(other) && (self.write || other.write)
    }
}

/// Locks that a process may have on one file.
const MOST: usize = 1 << 13;

/// What a process has locked of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<Range>);

impl Ranges {
    /// All of them.
    pub(super) fn all(&self) -> &[Range] {
        &self.0
    }

    /// Unlocks the bytes of a range.
    pub fn clear(&mut self, range: &Range) {
        let parts = |held: &Range| {
            let before = (held.first < range.first).then(|| Range { last: range.first - 1, ..*held });
            let after = (held.last > range.last).then(|| Range { first: range.last + 1, ..*held });
            [before, after]
        };
        let (touched, mut rest): (Vec<_>, Vec<_>) = self.0.iter().partition(|held| held.overlaps(range));
        rest.extend(touched.iter().flat_map(parts).flatten());
        self.0 = rest;
    }

    /// Locks the bytes of a range, however they were locked before. What adjoins it becomes one with it, as
    /// in the kernel.
    pub fn set(&mut self, range: Range) {
        self.clear(&range);
        let adjoins = |held: &Range| {
            let follows = |a: &Range, b: &Range| a.last.checked_add(1) == Some(b.first);
            held.write == range.write && (follows(held, &range) || follows(&range, held))
        };
        let (neighbours, rest): (Vec<_>, Vec<_>) = self.0.iter().partition(|held| adjoins(held));
        self.0 = rest;
        self.0.push(neighbours.iter().fold(range, |all, next| Range {
            first: all.first.min(next.first),
            last: all.last.max(next.last),
            ..all
        }));
    }

    /// Whether so much is locked apart that no more shall be: the book, and the kernel's, are not part of the
    /// guest's memory.
    pub fn full(&self) -> bool {
        self.0.len() >= MOST
    }

    /// Whether a lock stands in the way of another process's.
    pub fn block(&self, wanted: &Range) -> bool {
        self.0.iter().any(|held| held.conflicts(wanted))
    }

    /// Whether this lock, or more, is held here.
    pub fn hold(&self, range: &Range) -> bool {
        self.0.iter().any(|held| held.write == range.write && held.overlaps(range))
    }
}

/// What a thread waits for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<F> {
    /// Its process.
    pub pid: i32,
    /// The file.
    pub file: F,
    /// The bytes of it.
    pub range: Range,
}

/// Whether a process that is going to wait would wait for itself: one that blocks it waits, maybe through
/// others, for a lock of its own. `blockers` names the processes that have locks in the way of what somebody
/// wants.
pub(super) fn deadlock<F: Copy>(
    wanted: Wanted<F>,
    waiting: &BTreeMap<i32, Wanted<F>>,
    blockers: impl Fn(&Wanted<F>) -> Vec<i32>,
) -> bool {
    let mut todo = blockers(&wanted);
    let mut seen = Vec::new();
    while let Some(pid) = todo.pop() {
        if pid == wanted.pid {
            return true;
        }
        if !seen.contains(&pid) {
            seen.push(pid);
            todo.extend(waiting.values().filter(|w| w.pid == pid).flat_map(&blockers));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: i64, len: i64, write: bool) -> Range {
        Range::new(start, len, write).unwrap()
    }

    #[test]
    fn a_range_is_what_the_kernel_takes_it_for() {
        let bytes = |start, len| Range::new(start, len, true).map(|r| (r.first, r.last));
        assert_eq!(bytes(5, 10), Some((5, 14)));
        assert_eq!(bytes(5, 0), Some((5, i64::MAX)));
        assert_eq!(bytes(5, -5), Some((0, 4)));
        assert_eq!(bytes(5, -6), None);
        assert_eq!(bytes(i64::MAX, 2), None);
        assert_eq!(bytes(-1, 1), None);
    }

    #[test]
    fn locks_split_and_replace_each_other() {
        let mut ranges = Ranges::default();
        ranges.set(range(0, 100, true));
        ranges.set(range(10, 10, false));
        ranges.clear(&range(50, 10, true));
        assert!(ranges.block(&range(9, 1, false)) && !ranges.block(&range(10, 10, false)));
        assert!(ranges.block(&range(10, 10, true)) && !ranges.block(&range(50, 10, true)));
        assert!(ranges.hold(&range(12, 1, false)) && !ranges.hold(&range(12, 1, true)));
        ranges.clear(&range(0, 0, true));
        assert_eq!(ranges, Ranges::default());
    }

    #[test]
    fn adjoining_locks_are_one_and_those_apart_are_bounded() {
        let mut ranges = Ranges::default();
        for byte in (0..2 * MOST as i64).step_by(2).chain((1..2 * MOST as i64).step_by(2)) {
            ranges.set(range(byte, 1, true));
            assert_eq!(ranges.full(), byte == 2 * MOST as i64 - 2, "{byte}");
        }
        assert_eq!(ranges, Ranges(vec![range(0, 2 * MOST as i64, true)]));
        ranges.set(range(2 * MOST as i64, 0, false));
        assert_eq!(ranges.0.len(), 2, "of another kind");
    }

    #[test]
    fn a_circle_of_any_length_is_a_deadlock_and_a_chain_is_none() {
        // Process n holds byte n.
        let wants = |pid, byte| Wanted { pid, file: (), range: range(byte, 1, true) };
        let blockers = |w: &Wanted<()>| vec![w.range.first as i32];
        let waiting = BTreeMap::from([(1, wants(1, 2)), (2, wants(2, 3))]);
        assert!(!deadlock(wants(3, 4), &waiting, blockers));
        assert!(deadlock(wants(3, 1), &waiting, blockers));
        let circle = BTreeMap::from([(1, wants(1, 2)), (2, wants(2, 1))]);
        assert!(!deadlock(wants(3, 1), &circle, blockers));
    }
}

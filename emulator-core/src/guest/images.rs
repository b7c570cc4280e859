//! Where program images were placed.
//!
//! A file that was mapped as an image goes to the same address again, in the next program of the process as
//! well as in one forked from it, if the place is free: then the translations of its code are still good
//! ([`crate::runtime::blocks`]). Files that come for the first time go below all places that are taken this
//! way, so that the order in which a program loads its libraries does not matter.
//!
//! The first place of a file is as random as any; that it stays the same within a run is the price. A run is
//! one program with all that it starts, as a server is with the processes that it forks.

use super::area::MappedFile;
use super::layout::{PAGE, Span};
use std::collections::HashMap;

/// Where the area for libraries begins; below are programs with their heaps.
const LIBRARIES: u64 = 0x2000_0000;
/// Where images go that have their places by their names: at the top, so that what programs map at low
/// addresses of their own choice finds as much room as without.
const PLACES: Span = Span { start: 0x5000_0000, end: 0x5fe0_0000 };
/// How many such places a file has, one to be taken where another is not free.
const TRIES: u64 = 8;
/// How many files are remembered.
const MOST: usize = 4096;

/// The places of the files, by device and inode. Whether a file still has the same contents, nobody asks
/// here.
#[derive(Clone, Debug, Default)]
pub(super) struct Images {
    starts: HashMap<(u64, u64), u64>,
    lowest: Option<u64>,
    /// What decides with a file's name where it goes.
    word: Option<u64>,
}

impl Images {
    /// From now on names and this word decide where files go.
    pub(super) fn place_by(&mut self, word: u64) {
        self.word = Some(word);
    }

    /// Bits that stand for a file, if names decide, and for one more number.
    pub(super) fn bits(&self, file: &MappedFile, number: u64) -> Option<u64> {
        let mix = |bits: u64, byte: &u8| (bits ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let bits = file.path.iter().fold(self.word? ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15), mix);
        let bits = (bits ^ bits >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Some(bits ^ bits >> 29)
    }

    /// The places for a file of so many bytes, if names decide.
    pub(super) fn places(&self, file: &MappedFile, len: u64) -> impl Iterator<Item = Span> {
        let pages = PLACES.len().saturating_sub(len) / PAGE;
        let bits = (0..TRIES).filter_map(|number| self.bits(file, number)).collect::<Vec<_>>();
        let places = bits.into_iter().filter(move |_| pages != 0);
        places.filter_map(move |bits| Span::at(PLACES.start + bits % pages * PAGE, len))
    }

    /// Where this file was.
    pub(super) fn start(&self, file: &MappedFile) -> Option<u64> {
        self.starts.get(&(file.dev, file.ino)).copied()
    }

    /// Takes note of where the file is.
    pub(super) fn note(&mut self, file: &MappedFile, start: u64) {
        if self.starts.len() < MOST {
            self.starts.insert((file.dev, file.ino), start);
            if start >= LIBRARIES {
                self.lowest = Some(self.lowest.map_or(start, |lowest| lowest.min(start)));
            }
        }
    }

    /// The part of `range` where files go that have no place yet.
    pub(super) fn untaken(&self, range: Span) -> Span {
        let end = self.lowest.map_or(range.end, |lowest| lowest.clamp(range.start, range.end));
        Span { end, ..range }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(ino: u64) -> MappedFile {
        MappedFile { path: Vec::new(), dev: 1, ino }
    }

    #[test]
    fn a_file_is_found_where_it_was_noted_last_and_others_go_below_all_libraries() {
        let range = Span { start: 0x1_0000, end: 0x6000_0000 };
        let mut images = Images::default();
        assert_eq!((images.start(&file(1)), images.untaken(range)), (None, range));
        images.note(&file(1), 0x5000_0000);
        images.note(&file(2), 0x5800_0000);
        images.note(&file(3), 0x1000_0000);
        assert_eq!(images.start(&file(2)), Some(0x5800_0000));
        assert_eq!(images.untaken(range), Span { end: 0x5000_0000, ..range }, "programs take no place");
        images.note(&file(2), 0x4000_0000);
        assert_eq!(images.start(&file(2)), Some(0x4000_0000));
        assert_eq!(images.untaken(range), Span { end: 0x4000_0000, ..range });
    }

    #[test]
    fn no_more_than_so_many_files_are_remembered() {
        let mut images = Images::default();
        for n in 0..=MOST as u64 {
            images.note(&file(n), LIBRARIES);
        }
        assert_eq!(images.start(&file(MOST as u64)), None);
    }
}

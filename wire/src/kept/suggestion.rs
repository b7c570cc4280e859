//! What a run suggests to keep: which code of which files, and at which points it was entered.
//!
//! The points come from children, so they are anybody's word: who translates takes them for addresses at
//! which to begin, and for nothing else.

use super::{Mapping, Point};

/// Code of a program file. The file itself comes beside it, as a descriptor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suggestion {
    /// Path of the file, as guests see it.
    pub path: Vec<u8>,
    /// Where which part of it was mapped.
    pub mapping: Mapping,
    /// Where it was entered, in the order in which that happened first.
    pub points: Vec<Point>,
}

/// The bytes of a list.
pub fn encode(all: &[Suggestion]) -> Vec<u8> {
    let mut b = Vec::new();
    for Suggestion { path, mapping: Mapping { address, len, offset }, points } in all {
        for word in [*address, *len, *offset, path.len() as u64, points.len() as u64] {
            b.extend(word.to_le_bytes());
        }
        b.extend(path);
        points.iter().for_each(|point| b.extend(point.0.to_le_bytes()));
    }
    b
}

/// The list; what is cut off at the end is left out.
pub fn decode(mut bytes: &[u8]) -> Vec<Suggestion> {
    std::iter::from_fn(|| one(&mut bytes)).collect()
}

fn one(rest: &mut &[u8]) -> Option<Suggestion> {
    let mut word = || {
        let (head, tail) = rest.split_first_chunk()?;
        *rest = tail;
        Some(u64::from_le_bytes(*head))
    };
    let mapping = Mapping { address: word()?, len: word()?, offset: word()? };
    let (path, points) = (word()?, word()?);
    let mut take = |n: u64| {
        let (head, tail) = rest.split_at_checked(usize::try_from(n).ok()?)?;
        *rest = tail;
        Some(head)
    };
    let path = take(path)?.to_vec();
    let points = points_of(take(points.checked_mul(4)?)?).collect();
    Some(Suggestion { path, mapping, points })
}

/// The points that these bytes are.
pub fn points_of(bytes: &[u8]) -> impl Iterator<Item = Point> {
    bytes.as_chunks().0.iter().map(|four| Point(u32::from_le_bytes(*four)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_back_as_it_was_and_a_cut_one_without_its_end() {
        let mapping = Mapping { address: 1 << 20, len: 4096, offset: 0 };
        let one = Suggestion { path: b"/bin/true".to_vec(), mapping, points: vec![Point(3), Point(8)] };
        let all = [one, Suggestion::default()];
        let bytes = encode(&all);
        assert_eq!(decode(&bytes), all);
        for n in 0..bytes.len() {
            assert!(all.starts_with(&decode(&bytes[..n])));
        }
        assert_eq!(decode(&[0xff; 80]), []);
    }
}

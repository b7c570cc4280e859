//! The form of a kept translation: one file for one executable mapping of a program file.
//!
//! Translating code depends on nothing but its bytes, its address, and the translator with its configuration.
//! So what was translated once can be kept, and mapped by every process that maps the same code at the same
//! address. A file has a page with a [`Header`], then host code, which lies in two places of the code cache's
//! region that are part of the translation, then words of data, then tables:
//!
//! | part | what |
//! | --- | --- |
//! | hot, cold | host code, read and executed, never written |
//! | cells | words through which exits go whose targets were not translated: each has an address |
//! | [`Entry`] | where code can be entered, ascending by guest address |
//! | [`Block`] | translation blocks, ascending by host address |
//! | [`Exit`] | the ways out, in the order of their numbers |
//! | [`Mark`] | state recovery of blocks, then of what lies apart from them |
//! | [`Late`] | entries that lie apart from their blocks, ascending by host address |
//! | name | path of the program file, for people |
//!
//! Host addresses take four bytes, since the region lies below 2 GiB; guest addresses of the mapping are
//! distances from its begin.
//!
//! Numbers are little-endian. Who reads a file trusts none of it: what is out of bounds is not there.

pub mod secret;
pub mod suggestion;

use crate::sizes::PAGE;
use std::marker::PhantomData;
use std::ops::Range;

/// The first bytes: a name and the version of the form.
const MAGIC: &[u8; 8] = b"rxkept\0\x01";
/// Bytes of the part that holds the header.
pub const HEAD: usize = PAGE as usize;
/// Name of the file in the cache's folder with the user's [secret](secret::Secret).
pub const SECRET_FILE: &str = "secret";
/// `argv[0]` by which the program knows that it is to be a keeper, who translates what is to be kept.
pub const ROLE: &str = "rxbox-keeper";
/// The cache's folder, as a keeper is started with it.
pub const CACHE_FD: i32 = 3;
/// The socket from which a keeper gets what there is to do: messages of a list of
/// [suggestions](suggestion) and the files in its order.
pub const PARCEL_FD: i32 = 4;
/// Where the seal lies: a keyed hash over everything behind it.
pub const SEAL: Range<usize> = 8..40;
/// Most bytes of a part.
const LARGEST: u64 = 128 << 20;

/// A row of a table, of fixed size.
pub trait Row: Sized {
    /// Bytes of a row.
    const SIZE: usize;
    /// Appends the row.
    fn encode(&self, to: &mut Vec<u8>);
    /// From exactly so many bytes.
    fn decode(bytes: &[u8]) -> Self;
}

macro_rules! rows {
    ($($(#[$doc:meta])* $row:ident { $($(#[$about:meta])* $field:ident: $int:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $row { $($(#[$about])* pub $field: $int),* }

        impl Row for $row {
            const SIZE: usize = $(size_of::<$int>() +)* 0;

            fn encode(&self, to: &mut Vec<u8>) {
                $(to.extend(self.$field.to_le_bytes());)*
            }

            fn decode(bytes: &[u8]) -> $row {
                let mut at = 0;
                let mut take = |n: usize| { at += n; &bytes[at - n..at] };
                $row { $($field: {
                    let mut raw = [0; size_of::<$int>()];
                    raw.copy_from_slice(take(size_of::<$int>()));
                    <$int>::from_le_bytes(raw)
                }),* }
            }
        }
    )*};
}

rows! {
    /// A place where code is entered.
    Entry {
        /// Distance of the guest address.
        pc: u32,
        /// Host address for the prologue.
        start: u32,
        /// Host address for chained jumps; 0 if there is none.
        direct: u32,
        /// Host address for indirect branches; 0 if there is none.
        indirect: u32,
    }
    /// A translation block.
    Block {
        /// Distance of the guest address.
        pc: u32,
        /// Host address of its hot code.
        hot: u32,
        /// Host address of its cold code.
        cold: u32,
        /// Where its exits begin.
        exits: u32,
        /// Where its state recovery begins.
        marks: u32,
        /// 1 if its beginning is entered by indirect branches.
        indirect: u32,
    }
    /// A way out.
    Exit {
        /// The guest address that it goes to, or that its reason is about.
        pc: u64,
        /// Host address of its cell; 0 if it needs none, since it goes straight to its target or leaves.
        cell: u32,
        /// Host address of the stub that leaves by it; 0 if it is no jump, but leaves for a reason.
        stub: u32,
        /// The reason.
        reason: u32,
        /// Nothing.
        pad: u32,
    }
    /// State recovery from a host offset of a block, or of an entry apart, on.
    Mark {
        /// Guest address.
        pc: u64,
        /// The offset.
        at: u16,
        /// Guest registers that are in their homes, as a bit mask.
        borrowed: u16,
        /// How the guest address is meant.
        way: u32,
    }
    /// An entry apart from its block.
    Late {
        /// Host address.
        host: u32,
        /// Where its state recovery begins.
        marks: u32,
    }
}

/// The rows of a table.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a, R> {
    bytes: &'a [u8],
    rows: PhantomData<R>,
}

impl<'a, R: Row> Table<'a, R> {
    /// The rows that these bytes are.
    pub fn new(bytes: &'a [u8]) -> Table<'a, R> {
        Table { bytes, rows: PhantomData }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / R::SIZE
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Row `i`.
    pub fn get(&self, i: usize) -> Option<R> {
        let start = i.checked_mul(R::SIZE)?;
        self.bytes.get(start..start.checked_add(R::SIZE)?).map(R::decode)
    }

    /// All rows.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = R> + use<'a, R> {
        self.bytes.chunks_exact(R::SIZE).map(R::decode)
    }

    /// How many rows at the front are `before`, of which all come before those that are not.
    pub fn partition_point(&self, before: impl Fn(&R) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.get(middle).is_some_and(|row| before(&row)) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low
    }
}

/// What a file was like when its code was translated (stat(2)): a shortcut to its contents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    /// Bytes.
    pub size: u64,
    /// Last change of contents, in nanoseconds.
    pub modified: i128,
    /// Last change of contents or attributes, in nanoseconds.
    pub changed: i128,
}

/// Executable code of a file in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mapping {
    /// Guest address.
    pub address: u64,
    /// Bytes, whole pages.
    pub len: u64,
    /// Where they begin in the file.
    pub offset: u64,
}

/// Where a part lies in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Address of its first page.
    pub address: u64,
    /// Bytes.
    pub len: u64,
}

impl Part {
    /// The bytes with what fills the last page.
    pub const fn pages(&self) -> u64 {
        self.len.div_ceil(PAGE) * PAGE
    }

    /// Its addresses.
    pub const fn range(&self) -> Range<u64> {
        self.address..self.address + self.len
    }
}

/// How many tables there are, the name included.
const TABLES: usize = 7;

/// What a file says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Stands for the translator, its configuration and the place of the region.
    pub translator: [u8; 32],
    /// Hash of the mapping's bytes.
    pub contents: [u8; 32],
    /// Of the program file.
    pub stamp: Stamp,
    /// What was translated.
    pub mapping: Mapping,
    /// Hot code, cold code, cells.
    pub parts: [Part; 3],
    /// Bytes of each table: entries, blocks, exits, marks, entries apart, their marks, name.
    pub tables: [u64; TABLES],
}

impl Header {
    /// The bytes of the first page. The seal is not in it yet.
    pub fn encode(&self) -> Vec<u8> {
        let mut b = MAGIC.to_vec();
        b.resize(SEAL.end, 0);
        b.extend(self.translator);
        b.extend(self.contents);
        let Stamp { dev, ino, size, modified, changed } = self.stamp;
        let Mapping { address, len, offset } = self.mapping;
        let words = [dev, ino, size, address, len, offset].into_iter();
        let words = words.chain(self.parts.iter().flat_map(|part| [part.address, part.len]));
        words.chain(self.tables).for_each(|word| b.extend(word.to_le_bytes()));
        [modified, changed].iter().for_each(|time| b.extend(time.to_le_bytes()));
        b.resize(HEAD, 0);
        b
    }

    /// From a file's first page; `None` if it is of another form, or its parts are none that the form allows.
    pub fn decode(page: &[u8]) -> Option<Header> {
        let mut rest = page.strip_prefix(MAGIC)?.get(SEAL.end - SEAL.start..)?;
        fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
            let (head, tail) = rest.split_first_chunk()?;
            *rest = tail;
            Some(*head)
        }
        let (translator, contents) = (take(&mut rest)?, take(&mut rest)?);
        let mut words = [0; 12 + TABLES];
        for word in &mut words {
            *word = u64::from_le_bytes(take(&mut rest)?);
        }
        let [modified, changed] = [take(&mut rest)?, take(&mut rest)?].map(i128::from_le_bytes);
        let [dev, ino, size, address, len, offset, parts @ .., _, _, _, _, _, _, _] = words;
        let [hot, hot_len, cold, cold_len, cells, cells_len] = parts;
        let part = |address, len| Part { address, len };
        let header = Header {
            translator,
            contents,
            stamp: Stamp { dev, ino, size, modified, changed },
            mapping: Mapping { address, len, offset },
            parts: [part(hot, hot_len), part(cold, cold_len), part(cells, cells_len)],
            tables: std::array::from_fn(|i| words[12 + i]),
        };
        header.is_sound().then_some(header)
    }

    /// Whether parts and tables have possible places and sizes.
    fn is_sound(&self) -> bool {
        let Mapping { address, len, offset } = self.mapping;
        let low = |start: u64, len: u64| start < 1 << 31 && len <= LARGEST;
        [address, len, offset].iter().all(|n| n.is_multiple_of(PAGE))
            && low(address, 0)
            && len < 1 << 31
            && self.parts.iter().all(|part| low(part.address, part.len) && part.address.is_multiple_of(PAGE))
            && self.parts.windows(2).all(|two| two[0].address + two[0].pages() == two[1].address)
            && self.tables.iter().all(|&len| len <= LARGEST)
    }

    /// The addresses that the parts take.
    pub fn place(&self) -> Range<u64> {
        let [hot, _, cells] = self.parts;
        hot.address..cells.address + cells.pages()
    }

    /// Where part `i` begins in the file.
    pub fn part_at(&self, i: usize) -> u64 {
        HEAD as u64 + self.parts.iter().take(i).map(Part::pages).sum::<u64>()
    }

    /// Where table `i` lies in the file.
    pub fn table_at(&self, i: usize) -> Range<usize> {
        let before: u64 = self.tables.iter().take(i).sum();
        let start = self.part_at(self.parts.len()) + before;
        start as usize..(start + self.tables.get(i).copied().unwrap_or(0)) as usize
    }

    /// Bytes of the whole file.
    pub fn file_len(&self) -> u64 {
        self.table_at(TABLES).end as u64
    }
}

/// The whole file, as bytes.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'a> {
    /// Where code can be entered.
    pub entries: Table<'a, Entry>,
    /// Blocks.
    pub blocks: Table<'a, Block>,
    /// Ways out.
    pub exits: Table<'a, Exit>,
    /// State recovery of blocks.
    pub marks: Table<'a, Mark>,
    /// Entries apart.
    pub late: Table<'a, Late>,
    /// Their state recovery.
    pub late_marks: Table<'a, Mark>,
    /// Path of the program file.
    pub name: &'a [u8],
}

impl<'a> Tables<'a> {
    /// The tables of a file; what lies beyond its end is empty.
    pub fn of(header: &Header, file: &'a [u8]) -> Tables<'a> {
        let table = |i| file.get(header.table_at(i)).unwrap_or_default();
        Tables {
            entries: Table::new(table(0)),
            blocks: Table::new(table(1)),
            exits: Table::new(table(2)),
            marks: Table::new(table(3)),
            late: Table::new(table(4)),
            late_marks: Table::new(table(5)),
            name: table(6),
        }
    }
}

/// A point at which a mapping's code was entered, as a child suggests it: the distance of the guest address,
/// and in the lowest bit whether by an indirect branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point(pub u32);

impl Point {
    /// The point at this distance, which is less than 2³¹.
    pub const fn at(distance: u32, indirect: bool) -> Point {
        Point(distance << 1 | indirect as u32)
    }

    /// The distance.
    pub const fn distance(self) -> u32 {
        self.0 >> 1
    }

    /// Whether an indirect branch led there.
    pub const fn is_indirect(self) -> bool {
        self.0 & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let part = |address, len| Part { address, len };
        Header {
            translator: [7; 32],
            contents: [9; 32],
            stamp: Stamp { dev: 1, ino: 2, size: 3, modified: -4, changed: 1 << 70 },
            mapping: Mapping { address: 0x40_0000, len: 0x2000, offset: 0x1000 },
            parts: [part(0x7000_0000, 5000), part(0x7000_2000, 1), part(0x7000_3000, 8)],
            tables: [16, 24, 24, 16, 0, 0, 5],
        }
    }

    #[test]
    fn a_header_comes_back_as_it_was_and_parts_follow_each_other() {
        let header = header();
        let page = header.encode();
        assert_eq!(page.len(), HEAD);
        assert_eq!(Header::decode(&page), Some(header.clone()));
        assert_eq!(header.place(), 0x7000_0000..0x7000_4000);
        assert_eq!([header.part_at(0), header.part_at(1), header.part_at(2)], [0x1000, 0x3000, 0x4000]);
        assert_eq!(header.table_at(1), 0x5010..0x5028);
        assert_eq!(header.file_len(), 0x5000 + 85);
    }

    #[test]
    fn impossible_places_and_sizes_are_refused_and_no_byte_panics() {
        let sound = header();
        let refused = |change: &dyn Fn(&mut Header)| {
            let mut header = sound.clone();
            change(&mut header);
            Header::decode(&header.encode()).is_none()
        };
        assert!(refused(&|h| h.mapping.address += 1));
        assert!(refused(&|h| h.parts[1].address += PAGE));
        assert!(refused(&|h| h.parts[0].len = u64::MAX));
        assert!(refused(&|h| h.tables[3] = u64::MAX));
        let page = sound.encode();
        for i in 0..512 {
            for value in [0, 0x7f, 0xff] {
                let mut page = page.clone();
                page[i] = value;
                let _ = Header::decode(&page).map(|header| header.file_len());
            }
        }
        assert_eq!(Header::decode(&page[..100]), None);
    }

    #[test]
    fn rows_come_back_and_are_found() {
        let mut bytes = Vec::new();
        let entries = [2, 5, 9].map(|pc| Entry { pc, start: pc + 1, direct: 0, indirect: u32::MAX });
        entries.iter().for_each(|entry| entry.encode(&mut bytes));
        let table = Table::<Entry>::new(&bytes);
        assert_eq!(table.len(), 3);
        assert_eq!(table.iter().collect::<Vec<_>>(), entries);
        assert_eq!((table.get(2), table.get(3)), (Some(entries[2]), None));
        assert_eq!([1, 5, 6, 10].map(|pc| table.partition_point(|e| e.pc < pc)), [0, 1, 2, 3]);
        assert_eq!(Point::at(77, true).distance(), 77);
        assert!(Point::at(77, true).is_indirect() && !Point::at(77, false).is_indirect());
    }
}

//! One file's translation: what is known of it, what is new, and where it goes.

use super::folder::Folder;
use crate::host::cpu;
use crate::runtime::blocks::bake::Order;
use crate::runtime::translator;
use rxbox_translate::cpuid::CpuidTable;
use rxbox_translate::state::Region;
use rxbox_wire::kept::secret::{contents, seal};
use rxbox_wire::kept::suggestion::Suggestion;
use rxbox_wire::kept::{Header, Mapping, Point, Stamp, Tables};
use rxbox_wire::sizes::PAGE;
use rxbox_wire::space;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{SystemTime, UNIX_EPOCH};

/// Longest code of one mapping.
const LONGEST: u64 = 256 << 20;
/// Nanoseconds for which a file must not have changed: a change within the tick of the clock that its times
/// are taken from would not show.
const SETTLED: i128 = 2_000_000_000;
/// How many points must be new for a file to be translated again; or this share of what is there.
const WORTH: usize = 32;
const SHARE: usize = 50;

/// Keeps what is suggested of this file, if it is worth it.
pub(super) fn keep(folder: &Folder<'_>, suggestion: &Suggestion, file: &File) -> io::Result<()> {
    let Suggestion { path, mapping, points } = suggestion;
    let (stamp, code) = read(file, mapping)?;
    let name = folder.secret.name(path, stamp.size, mapping);
    let region = Region::chosen(folder.secret.places()[0]);
    let config = translator::config(&CpuidTable::new(cpu::leaves(), cpu::xcr0()));
    let (translator, contents) = (translator::identity(region, &config), contents(&code));
    let old = folder.read(&name).and_then(|bytes| Some((Header::decode(&bytes)?, bytes)));
    let old = old.filter(|(header, _)| header.contents == contents && header.mapping == *mapping);
    let known =
        old.as_ref().map_or_else(Vec::new, |(header, bytes)| known_points(&Tables::of(header, bytes)));
    let is_current = old.is_some_and(|(header, _)| header.translator == translator && header.stamp == stamp);
    let (all, new) = merged(known, points, mapping);
    if new == 0 && is_current || new < WORTH && new * SHARE < all.len() && is_current || all.is_empty() {
        return Ok(());
    }
    let taken = folder.places(&name);
    let order = Order { region, mapping: *mapping, code: &code, points: &all, config };
    let baked = order.bake(|len| place(region, &taken, len)).map_err(io::Error::other)?;
    let Some(baked) = baked else { return Ok(()) };
    let mut header = Header { translator, contents, stamp, ..baked.header };
    if let Some(last) = header.tables.last_mut() {
        *last = path.len() as u64;
    }
    let mut bytes = header.encode();
    bytes.extend(baked.bytes);
    bytes.extend(path);
    seal(&folder.secret, &mut bytes);
    folder.write(&name, &bytes)
}

/// What the file is like, and the mapping's bytes; what lies beyond the end of the file is zero.
fn read(file: &File, mapping: &Mapping) -> io::Result<(Stamp, Vec<u8>)> {
    let Mapping { address, len, offset } = *mapping;
    let whole = [address, len, offset].iter().all(|n| n.is_multiple_of(PAGE));
    let low = space::LOW.0 <= address && len <= LONGEST && address + len <= space::LOW.1;
    let before = stamp(file)?;
    let inside = offset.checked_add(len).is_some_and(|end| end <= before.size.next_multiple_of(PAGE));
    if !whole || !low || !inside || len == 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut code = vec![0; len as usize];
    let mut done = 0;
    while done < code.len() {
        match file.read_at(&mut code[done..], offset + done as u64)? {
            0 => break,
            n => done += n,
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as i128);
    if stamp(file)? != before || now - before.changed.max(before.modified) < SETTLED {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    Ok((before, code))
}

fn stamp(file: &File) -> io::Result<Stamp> {
    let data = file.metadata()?;
    if !data.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let time = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    Ok(Stamp {
        dev: data.dev(),
        ino: data.ino(),
        size: data.len(),
        modified: time(data.mtime(), data.mtime_nsec()),
        changed: time(data.ctime(), data.ctime_nsec()),
    })
}

/// The points that a kept translation was made of: the beginnings of its blocks, in their order, and what is
/// entered by indirect branches.
fn known_points(tables: &Tables<'_>) -> Vec<Point> {
    let blocks = tables.blocks.iter().map(|block| Point::at(block.pc, block.indirect != 0));
    let entries = tables.entries.iter().filter(|entry| entry.indirect != 0);
    blocks.chain(entries.map(|entry| Point::at(entry.pc, true))).collect()
}

/// All points within the mapping, each once, and how many of them are new.
fn merged(known: Vec<Point>, suggested: &[Point], mapping: &Mapping) -> (Vec<Point>, usize) {
    let mut seen: HashSet<u32> = HashSet::new();
    let mut all = Vec::new();
    let mut add = |all: &mut Vec<Point>, point: Point| {
        // Where an indirect branch can go, a direct one can.
        let fresh = !seen.contains(&(point.0 | 1)) && seen.insert(point.0);
        if fresh && u64::from(point.distance()) < mapping.len {
            all.push(point);
        }
    };
    known.into_iter().for_each(|point| add(&mut all, point));
    let before = all.len();
    suggested.iter().for_each(|&point| add(&mut all, point));
    let new = all.len() - before;
    (all, new)
}

/// The first gap between the taken places that has room for so many bytes.
fn place(region: Region, taken: &[Range<u64>], len: u64) -> Option<u64> {
    let mut at = region.code_end();
    for place in taken {
        if place.start >= at + len {
            break;
        }
        at = at.max(place.end);
    }
    (at + len <= region.end()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_point_comes_once_in_order_and_an_indirect_one_stands_for_both() {
        let mapping = Mapping { address: 0x1000, len: 0x1000, offset: 0 };
        let at = |distance, indirect| Point::at(distance, indirect);
        let known = vec![at(8, true), at(4, false)];
        let suggested = [at(4, false), at(8, false), at(4, true), at(0x1000, false), at(12, false)];
        let (all, new) = merged(known, &suggested, &mapping);
        assert_eq!(all, [at(8, true), at(4, false), at(4, true), at(12, false)]);
        assert_eq!(new, 2);
    }

    #[test]
    fn a_place_is_the_first_gap_that_is_large_enough_within_the_region() {
        let region = Region::LOWEST;
        let start = region.code_end();
        let taken = [start..start + 10, start + 15..start + 30];
        assert_eq!(place(region, &taken, 5), Some(start + 10));
        assert_eq!(place(region, &taken, 6), Some(start + 30));
        assert_eq!(place(region, &[], region.end() - start), Some(start));
        assert_eq!(place(region, &taken, region.end() - start), None);
    }
}

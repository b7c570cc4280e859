//! The map against the manual pages, case by case: [`growth`] has what grows and moves, [`model`] random
//! operations.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::guest::layout::{high, window_of};
use crate::guest::{FileSource, HostRequest, MapRequest, MappedFile, Place, RemapRequest};

mod growth;
mod model;

/// One page as a host would have it: protection bits, sharing.
type HostPage = (i32, bool);

/// A host that keeps a table of pages and can be told to refuse.
#[derive(Clone, Default, Debug, PartialEq)]
struct FakeHost {
    pages: BTreeMap<u64, HostPage>,
    refuse: bool,
    calls: usize,
}

impl FakeHost {
    fn call(&mut self) -> Result<(), Errno> {
        self.calls += 1;
        if self.refuse { Err(Errno::EAGAIN) } else { Ok(()) }
    }
}

fn pages(span: Span) -> impl Iterator<Item = u64> {
    assert!(window_of(span).is_some(), "host call outside the guest's windows: {span:?}");
    (span.start..span.end).step_by(PAGE as usize)
}

impl HostMap for FakeHost {
    fn map(&mut self, request: &HostRequest<'_>) -> Result<(), Errno> {
        self.call()?;
        for page in pages(request.span) {
            let old = self.pages.insert(page, (request.prot.host_bits(), request.shared));
            assert!(request.replace || old.is_none(), "{page:#x} was not free");
        }
        Ok(())
    }

    fn unmap(&mut self, span: Span) -> Result<(), Errno> {
        self.call()?;
        assert!(window_of(span).is_some());
        self.pages.retain(|&page, _| !span.contains(page));
        Ok(())
    }

    fn protect(&mut self, span: Span, prot: Prot) -> Result<(), Errno> {
        self.call()?;
        pages(span).for_each(|page| self.pages.get_mut(&page).expect("mapped").0 = prot.host_bits());
        Ok(())
    }

    fn remap(&mut self, old: Span, new: Span, keep_old: bool) -> Result<(), Errno> {
        self.call()?;
        let first = self.pages[&old.start];
        let old_pages: Vec<HostPage> = pages(old).map(|page| self.pages[&page]).collect();
        assert!(old_pages.iter().all(|&page| page == first), "one kernel mapping");
        if !keep_old {
            self.pages.retain(|&page, _| !old.contains(page));
        }
        pages(new)
            .for_each(|page| assert!(self.pages.insert(page, first).is_none(), "{page:#x} was not free"));
        Ok(())
    }

    fn advise(&mut self, span: Span, _: i32) -> Result<(), Errno> {
        self.call()?;
        assert!(pages(span).all(|page| self.pages.contains_key(&page)));
        Ok(())
    }

    fn store(&mut self, _: u64, _: &[u8]) -> Result<(), Errno> {
        self.call()
    }
}

const BASE: u64 = 0x10_0000_0000;
const RX: u64 = 5;

fn space() -> (AddressSpace, FakeHost) {
    (AddressSpace::new(Limits::DEFAULT, 7), FakeHost::default())
}

fn page(n: u64) -> u64 {
    BASE + n * PAGE
}

fn span(from: u64, to: u64) -> Span {
    Span { start: page(from), end: page(to) }
}

fn fixed(from: u64, to: u64, prot: Prot) -> MapRequest<'static> {
    MapRequest::anonymous(Place::Fixed(page(from)), (to - from) * PAGE, prot)
}

fn map(space: &mut AddressSpace, host: &mut FakeHost, from: u64, to: u64, prot: Prot) {
    assert_eq!(space.map(host, &fixed(from, to, prot)).result, Ok(page(from)));
}

fn file(path: &str) -> (std::fs::File, Arc<MappedFile>) {
    let file = MappedFile { path: path.into(), dev: libc::makedev(0xfe, 0), ino: 247_030 };
    (std::fs::File::open("/dev/null").unwrap(), Arc::new(file))
}

#[test]
fn placement_is_deterministic_top_down_and_apart_for_images() {
    let (mut a, mut host) = space();
    let anywhere = MapRequest::anonymous(Place::Hint(0), 3 * PAGE, Prot::READ);
    let first = a.map(&mut host, &anywhere).result.unwrap();
    let second = a.map(&mut host, &anywhere).result.unwrap();
    assert_eq!(second + 3 * PAGE, first);
    assert!(high().contains(first));
    let (null, mapped) = file("/lib/libc.so.6");
    let source = FileSource { fd: std::os::fd::AsFd::as_fd(&null), file: mapped, offset: 0 };
    let image = MapRequest { source: Some(source), ..anywhere.clone() };
    let low = a.map(&mut host, &image).result.unwrap();
    assert!(LOW.contains(low) && low + 3 * PAGE <= IMAGE_TOP.end && low + 3 * PAGE > IMAGE_TOP.start);
    let shared = a.map(&mut host, &MapRequest { shared: true, ..image }).result.unwrap();
    assert!(high().contains(shared));
    let again = AddressSpace::new(Limits::DEFAULT, 7).map(&mut FakeHost::default(), &anywhere).result;
    assert_eq!(again, Ok(first));
    let other = AddressSpace::new(Limits::DEFAULT, 8).map(&mut FakeHost::default(), &anywhere).result;
    assert_ne!(other, Ok(first));
}

#[test]
fn a_free_hint_is_taken_and_a_taken_one_is_not() {
    let (mut space, mut host) = space();
    let hint = MapRequest::anonymous(Place::Hint(page(4) - 1), PAGE, Prot::READ);
    assert_eq!(space.map(&mut host, &hint).result, Ok(page(4)));
    let elsewhere = space.map(&mut host, &hint).result.unwrap();
    assert_ne!(elsewhere, page(4));
    for runtimes in [CODE_CACHE_MIDDLE, 0x5555_5555_4000, u64::MAX - 5] {
        let hint = MapRequest { place: Place::Hint(runtimes), ..hint.clone() };
        let got = space.map(&mut host, &hint).result.unwrap();
        assert!(window_of(Span { start: got, end: got + PAGE }).is_some());
    }
    let low = space.map(&mut host, &MapRequest { place: Place::Low(0), ..hint }).result.unwrap();
    assert!(low < 0x6000_0000);
}

const CODE_CACHE_MIDDLE: u64 = 0x7800_0000;

#[test]
fn bad_requests_get_the_kernels_errors() {
    let (mut space, mut host) = space();
    let mut at = |place, len| space.map(&mut host, &MapRequest::anonymous(place, len, Prot::READ)).result;
    assert_eq!(at(Place::Hint(0), 0), Err(Errno::EINVAL));
    assert_eq!(at(Place::Hint(0), u64::MAX), Err(Errno::ENOMEM));
    assert_eq!(at(Place::Hint(0), 1 << 47), Err(Errno::ENOMEM));
    assert_eq!(at(Place::Low(0), 1 << 31), Err(Errno::ENOMEM));
    assert_eq!(at(Place::Fixed(1), PAGE), Err(Errno::EINVAL));
    assert_eq!(at(Place::Fixed(0), PAGE), Err(Errno::EPERM));
    assert_eq!(at(Place::Fixed(CODE_CACHE_MIDDLE), PAGE), Err(Errno::ENOMEM));
    assert_eq!(at(Place::Fixed(LOW.end - PAGE), 2 * PAGE), Err(Errno::ENOMEM));
    assert_eq!(at(Place::Fixed(TASK_SIZE), PAGE), Err(Errno::ENOMEM));
    assert_eq!(at(Place::Fixed(0u64.wrapping_sub(PAGE)), PAGE), Err(Errno::ENOMEM));
    assert_eq!(at(Place::FixedNoReplace(page(0)), PAGE), Ok(page(0)));
    assert_eq!(at(Place::FixedNoReplace(page(0)), PAGE), Err(Errno::EEXIST));
    let calls = host.calls;
    let mut unmap = |addr, len| space.unmap(&mut host, addr, len).result;
    assert_eq!(unmap(1, PAGE), Err(Errno::EINVAL));
    assert_eq!(unmap(page(0), 0), Err(Errno::EINVAL));
    assert_eq!(unmap(page(0), u64::MAX - page(0)), Err(Errno::EINVAL));
    assert_eq!(unmap(TASK_SIZE, PAGE), Err(Errno::EINVAL));
    assert_eq!(unmap(0x5555_5555_4000, PAGE), Ok(()), "for the guest, nothing is mapped there");
    assert_eq!(host.calls, calls, "no refused or empty request reaches the host");
}

#[test]
fn protect_stops_at_a_hole_having_changed_what_lies_below() {
    let (mut space, mut host) = space();
    map(&mut space, &mut host, 0, 2, Prot::READ);
    map(&mut space, &mut host, 3, 4, Prot::READ);
    let change = space.protect(&mut host, page(0), 4 * PAGE, 3);
    assert_eq!(change.result, Err(Errno::ENOMEM));
    assert_eq!(space.query(page(1)).unwrap().prot, Prot::READ_WRITE);
    assert_eq!(space.query(page(3)).unwrap().prot, Prot::READ);
    assert_eq!(space.protect(&mut host, page(2), PAGE, 3).result, Err(Errno::ENOMEM));
    assert_eq!(space.protect(&mut host, page(0), PAGE, 0x10).result, Err(Errno::EINVAL));
    assert_eq!(space.protect(&mut host, page(0) + 1, PAGE, 1).result, Err(Errno::EINVAL));
    assert_eq!(space.protect(&mut host, page(0), 0, 1).result, Ok(()));
    assert_eq!(space.protect(&mut host, page(0), u64::MAX, 1).result, Err(Errno::ENOMEM));
}

#[test]
fn exactly_the_executable_parts_of_a_mutation_are_touched() {
    let (mut space, mut host) = space();
    map(&mut space, &mut host, 0, 6, Prot::READ_EXEC);
    map(&mut space, &mut host, 6, 8, Prot::READ);
    let change = space.protect(&mut host, page(5), 2 * PAGE, 1);
    assert_eq!(change.touched.spans(), [span(5, 6)]);
    let change = space.protect(&mut host, page(0), PAGE, RX);
    assert_eq!(
        change.touched.spans(),
        [span(0, 1)],
        "also if nothing changes: the host's write protection goes"
    );
    assert_eq!(space.unmap(&mut host, page(1), 7 * PAGE).touched.spans(), [span(1, 5)]);
    let replaced = space.map(&mut host, &fixed(0, 1, Prot::READ_WRITE));
    assert_eq!(replaced.touched.spans(), [span(0, 1)]);
    let made_code = space.protect(&mut host, page(0), PAGE, RX);
    assert!(made_code.touched.spans().is_empty());
    let dropped = space.advise(&mut host, page(0), PAGE, libc::MADV_DONTNEED);
    assert_eq!(dropped.touched.spans(), [span(0, 1)]);
}

#[test]
fn an_executable_span_covers_neighbours_of_other_protection() {
    let (mut space, mut host) = space();
    let all = Prot { read: true, write: true, exec: true };
    map(&mut space, &mut host, 0, 1, Prot::READ_EXEC);
    map(&mut space, &mut host, 1, 2, all);
    map(&mut space, &mut host, 2, 3, Prot::READ);
    assert_eq!(space.exec_span(page(0) + 1), Some(span(0, 2)));
    assert_eq!(space.exec_span(page(1)), Some(span(1, 2)));
    assert_eq!(space.exec_span(page(2)), None);
    assert_eq!(space.exec_span(page(3)), None);
}

#[test]
fn the_host_refuses_and_nothing_changes() {
    let (mut space, mut host) = space();
    map(&mut space, &mut host, 0, 4, Prot::READ_EXEC);
    let before = (space.maps_text(), host.pages.clone());
    host.refuse = true;
    let grow = RemapRequest { addr: page(0), old_len: 4 * PAGE, new_len: 8 * PAGE, flags: 1, new_addr: 0 };
    let changes = [
        space.map(&mut host, &fixed(1, 2, Prot::READ)).result.err(),
        space.unmap(&mut host, page(1), PAGE).result.err(),
        space.protect(&mut host, page(1), PAGE, 3).result.err(),
        space.remap(&mut host, &grow).result.err(),
    ];
    assert_eq!(changes, [Some(Errno::EAGAIN); 4]);
    assert_eq!((space.maps_text(), host.pages), before);
    assert_eq!(space.areas.total(), 4 * PAGE);
}

#[test]
fn special_areas_are_readable_and_sealed() {
    let (mut space, mut host) = space();
    let vdso = Span { start: 0x7fff_1000_0000, end: 0x7fff_1000_2000 };
    space.add_fixed_special(vdso, Prot::READ_EXEC, "[vdso]").unwrap();
    assert_eq!(space.add_fixed_special(vdso, Prot::READ_EXEC, "[vdso]"), Err(Errno::EINVAL));
    assert_eq!(space.add_fixed_special(span(0, 1), Prot::READ, "[vvar]"), Err(Errno::EINVAL));
    assert_eq!(space.exec_span(vdso.start + 0x800), Some(vdso));
    assert_eq!(space.unmap(&mut host, vdso.start, PAGE).result, Err(Errno::EPERM));
    assert_eq!(space.protect(&mut host, vdso.start, PAGE, 3).result, Err(Errno::EPERM));
    assert_eq!(space.advise(&mut host, vdso.start, PAGE, libc::MADV_DONTNEED).result, Err(Errno::EPERM));
    let away = RemapRequest { addr: vdso.start, old_len: PAGE, new_len: PAGE, flags: 3, new_addr: page(0) };
    assert_eq!(space.remap(&mut host, &away).result, Err(Errno::EPERM));
    assert_eq!(host.calls, 0);
    assert_eq!(space.total_bytes(), 0);
    assert!(String::from_utf8(space.maps_text()).unwrap().ends_with(" [vdso]\n"));
}

#[test]
fn all_is_unmapped_by_one_call_for_areas_that_adjoin() {
    let (mut space, mut host) = space();
    space
        .add_fixed_special(Span { start: 0x7fff_1000_0000, end: 0x7fff_1000_2000 }, Prot::READ, "[vdso]")
        .unwrap();
    for (from, to, prot) in
        [(0, 1, Prot::READ), (1, 3, Prot::READ_EXEC), (3, 4, Prot::READ_WRITE), (6, 7, Prot::READ)]
    {
        map(&mut space, &mut host, from, to, prot);
    }
    let calls = host.calls;
    space.unmap_all(&mut host);
    assert_eq!((host.calls - calls, host.pages.len(), space.total_bytes()), (2, 0, 0));
    assert_eq!(space.areas().count(), 1, "what is lent stays");
}

#[test]
fn the_maps_text_is_the_kernels_byte_for_byte() {
    let (mut space, mut host) = space();
    let (null, mapped) = file("/usr/bin/new\nline");
    let source = FileSource { fd: std::os::fd::AsFd::as_fd(&null), file: mapped, offset: 0x2000 };
    let image = MapRequest {
        source: Some(source),
        ..MapRequest::anonymous(Place::Fixed(0x40_0000), 2 * PAGE, Prot::READ_EXEC)
    };
    space.map(&mut host, &image).result.unwrap();
    space.map(&mut host, &fixed(0, 1, Prot::READ_WRITE)).result.unwrap();
    space.map(&mut host, &MapRequest { shared: true, ..fixed(1, 2, Prot::READ_WRITE) }).result.unwrap();
    space.unmap(&mut host, 0x40_0000, PAGE).result.unwrap();
    let expected = "\
00401000-00402000 r-xp 00003000 fe:00 247030                             /usr/bin/new\\012line
1000000000-1000001000 rw-p 00000000 00:00 0 
1000001000-1000002000 rw-s 00000000 00:01 1                              /dev/zero (deleted)
";
    assert_eq!(String::from_utf8(space.maps_text()).unwrap(), expected);
}

#[test]
fn neighbours_merge_and_split_again_with_their_file_offsets() {
    let (mut space, mut host) = space();
    let (null, mapped) = file("/f");
    let mut part = |space: &mut AddressSpace, from: u64, offset: u64| {
        let source =
            FileSource { fd: std::os::fd::AsFd::as_fd(&null), file: mapped.clone(), offset: offset * PAGE };
        let request = MapRequest { source: Some(source), ..fixed(from, from + 2, Prot::READ) };
        space.map(&mut host, &request).result.unwrap();
    };
    part(&mut space, 0, 10);
    part(&mut space, 4, 14);
    part(&mut space, 6, 15);
    part(&mut space, 2, 12);
    let offsets = |space: &AddressSpace| -> Vec<(u64, u64)> {
        space.areas().map(|a| (a.span.len() / PAGE, a.backing.as_ref().unwrap().offset / PAGE)).collect()
    };
    assert_eq!(offsets(&space), [(6, 10), (2, 15)]);
    space.protect(&mut host, page(3), PAGE, 3).result.unwrap();
    assert_eq!(offsets(&space), [(3, 10), (1, 13), (2, 14), (2, 15)]);
    space.protect(&mut host, page(3), PAGE, 1).result.unwrap();
    assert_eq!(offsets(&space), [(6, 10), (2, 15)]);
    space.areas.check();
}

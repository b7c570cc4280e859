//! Random operations on the map and on an array of pages, which must stay equal, and equal to the host's
//! pages.

use super::*;
use rxbox_tests::random::Random;

/// Pages in the array, at [`BASE`].
const PAGES: usize = 96;

/// A non-empty range of pages.
fn range(random: &mut Random) -> (usize, usize) {
    let from = random.index(PAGES - 1);
    let len = 1 + random.index(12.min(PAGES - from));
    (from, (from + len).min(PAGES))
}

/// Protection, and whether the page is of an area that grows down.
type Model = [Option<(Prot, bool)>; PAGES];

/// What the map says of each page of the array.
fn seen(space: &AddressSpace) -> Model {
    std::array::from_fn(|n| space.query(page(n as u64)).map(|area| (area.prot, area.grows_down)))
}

/// The model's mremap to a fixed place, `None` if it must fail.
fn remap_model(model: &Model, old: (usize, usize), new: (usize, usize)) -> Option<Model> {
    let disjoint = old.1 <= new.0 || new.1 <= old.0;
    let first = model[old.0]?;
    let kept = (old.1 - old.0).min(new.1 - new.0);
    let uniform = model[old.0..old.0 + kept].iter().all(|&page| page == Some(first));
    (disjoint && uniform).then(|| {
        let mut after = *model;
        after[old.0..old.1].fill(None);
        after[new.0..new.1].fill(Some(first));
        after
    })
}

struct Run {
    space: AddressSpace,
    host: FakeHost,
    model: Model,
    random: Random,
}

impl Run {
    fn step(&mut self) {
        let (from, to) = range(&mut self.random);
        let (addr, len) = (page(from as u64), (to - from) as u64 * PAGE);
        let bits = self.random.below(8);
        let prot = Prot::from_bits(bits);
        let executable = |model: &Model| -> u64 {
            model[from..to].iter().filter(|page| page.is_some_and(|(prot, _)| prot.exec)).count() as u64
        };
        match self.random.below(8) {
            0 | 1 => {
                let before = executable(&self.model);
                let grows_down = self.random.below(4) == 0;
                let request = MapRequest { grows_down, ..fixed(from as u64, to as u64, prot) };
                let change = self.space.map(&mut self.host, &request);
                assert_eq!(change.result, Ok(addr));
                assert_eq!(change.touched.spans().iter().map(|s| s.len() / PAGE).sum::<u64>(), before);
                self.model[from..to].fill(Some((prot, grows_down)));
            }
            2 => {
                let place = Place::FixedNoReplace(addr);
                let request = MapRequest { place, ..fixed(from as u64, to as u64, prot) };
                let free = self.model[from..to].iter().all(Option::is_none);
                let wanted = if free { Ok(addr) } else { Err(Errno::EEXIST) };
                assert_eq!(self.space.map(&mut self.host, &request).result, wanted);
                assert!(!self.space.is_free(Span { start: addr, end: addr + len }));
                if free {
                    self.model[from..to].fill(Some((prot, false)));
                }
            }
            3 | 4 => {
                let before = executable(&self.model);
                let change = self.space.unmap(&mut self.host, addr, len);
                assert_eq!(change.result, Ok(()));
                assert_eq!(change.touched.spans().iter().map(|s| s.len() / PAGE).sum::<u64>(), before);
                self.model[from..to].fill(None);
            }
            5 | 6 => {
                let result = self.space.protect(&mut self.host, addr, len, bits).result;
                let hole = self.model[from..to].iter().position(Option::is_none);
                assert_eq!(result, hole.map_or(Ok(()), |_| Err(Errno::ENOMEM)));
                let reached = hole.map_or(to, |hole| from + hole);
                self.model[from..reached].iter_mut().flatten().for_each(|page| page.0 = prot);
            }
            _ => {
                let (new_from, new_to) = range(&mut self.random);
                let request = RemapRequest {
                    addr,
                    old_len: len,
                    new_len: (new_to - new_from) as u64 * PAGE,
                    flags: (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u64,
                    new_addr: page(new_from as u64),
                };
                let after = remap_model(&self.model, (from, to), (new_from, new_to));
                let change = self.space.remap(&mut self.host, &request);
                assert_eq!(change.result.is_ok(), after.is_some(), "{request:?}: {:?}", change.result);
                self.model = after.unwrap_or(self.model);
            }
        }
    }

    fn check(&self) {
        self.space.areas.check();
        assert_eq!(seen(&self.space), self.model);
        for (n, expected) in self.model.iter().enumerate() {
            let host = self.host.pages.get(&page(n as u64)).map(|&(bits, _)| bits);
            assert_eq!(host, expected.map(|(prot, _)| prot.host_bits()));
        }
        assert_eq!(self.host.pages.len() as u64 * PAGE, self.space.total_bytes());
    }
}

#[test]
fn random_operations_agree_with_an_array_of_pages_and_with_the_host() {
    for stream in 1..=40 {
        let (space, host) = space();
        let random = Random::new(stream);
        let mut run = Run { space, host, model: [None; PAGES], random };
        for _ in 0..400 {
            run.step();
            run.check();
        }
    }
}

#[test]
fn random_requests_of_any_address_never_leave_the_windows_or_panic() {
    let edges = [
        0,
        PAGE,
        LOW.start,
        LOW.end,
        high().start,
        high().end,
        TASK_SIZE,
        1 << 47,
        1 << 63,
        u64::MAX - PAGE + 1,
    ];
    let (mut space, mut host) = space();
    // Areas of terabytes are fine for the map but not for a table of pages.
    host.refuse = true;
    let mut random = Random::new(99);
    let number = |random: &mut Random| {
        let edge = random.pick(&edges);
        let near = edge.wrapping_add(random.below(9).wrapping_sub(4).wrapping_mul(PAGE));
        near.wrapping_add(if random.below(4) == 0 { random.below(PAGE) } else { 0 })
    };
    for _ in 0..20_000 {
        let (a, b, c, d) =
            (number(&mut random), number(&mut random), number(&mut random), number(&mut random));
        let flags = random.below(8);
        let place = [Place::Hint(a), Place::Fixed(a), Place::FixedNoReplace(a), Place::Low(a)]
            [random.below(4) as usize];
        drop(space.map(&mut host, &MapRequest::anonymous(place, b, Prot::READ_WRITE)));
        drop(space.unmap(&mut host, a, b));
        drop(space.protect(&mut host, a, b, flags));
        drop(space.brk(&mut host, a));
        drop(space.advise(&mut host, a, b, random.below(30) as i32));
        drop(space.remap(&mut host, &RemapRequest { addr: a, old_len: b, new_len: c, flags, new_addr: d }));
        space.grow_down(&mut host, a);
        host.refuse = false;
        let small = MapRequest::anonymous(place, 1 + b % (3 * PAGE), Prot::READ_EXEC);
        drop(space.map(&mut host, &small));
        let request = RemapRequest { addr: a, old_len: PAGE, new_len: c % (5 * PAGE), flags, new_addr: d };
        drop(space.remap(&mut host, &request));
        host.refuse = true;
    }
    space.areas.check();
    assert!(space.areas().all(|area| window_of(area.span).is_some()));
    assert_eq!(host.pages.len() as u64 * PAGE, space.total_bytes());
}

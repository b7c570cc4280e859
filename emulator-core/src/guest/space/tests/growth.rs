//! What grows and moves: heap, stacks, mremap(2), and the limits on all of it.

use super::*;

#[test]
fn remap_grows_in_place_moves_shrinks_and_refuses_like_the_kernel() {
    let (mut space, mut host) = space();
    map(&mut space, &mut host, 0, 2, Prot::READ_WRITE);
    map(&mut space, &mut host, 4, 5, Prot::READ);
    let mut remap = |addr: u64, old: u64, new: u64, flags: i32, to: u64| {
        let request = RemapRequest {
            addr: page(addr),
            old_len: old * PAGE,
            new_len: new * PAGE,
            flags: flags as u64,
            new_addr: page(to),
        };
        let result = space.remap(&mut host, &request).result;
        space.areas.check();
        result
    };
    let (may, fixed, keep) = (libc::MREMAP_MAYMOVE, libc::MREMAP_FIXED, libc::MREMAP_DONTUNMAP);
    assert_eq!(remap(0, 2, 4, 0, 0), Ok(page(0)));
    assert_eq!(remap(0, 4, 5, 0, 0), Err(Errno::ENOMEM));
    assert_eq!(remap(0, 4, 1, 0, 0), Ok(page(0)));
    assert_eq!(remap(2, 1, 2, may, 0), Err(Errno::EFAULT));
    assert_eq!(remap(0, 2, 3, may, 0), Err(Errno::EFAULT), "old range beyond its area");
    assert_eq!(remap(0, 1, 0, 0, 0), Err(Errno::EINVAL));
    assert_eq!(remap(0, 1, 1, fixed, 8), Err(Errno::EINVAL), "fixed needs may-move");
    assert_eq!(remap(0, 1, 2, may | keep, 0), Err(Errno::EINVAL), "keep needs equal lengths");
    assert_eq!(remap(0, 1, 2, may | fixed, 0), Err(Errno::EINVAL), "overlap");
    assert_eq!(remap(0, 0, 2, may, 0), Err(Errno::EINVAL), "only shared mappings are copied");
    assert_eq!(remap(0, 1, 1, 8, 0), Err(Errno::EINVAL));
    assert_eq!(remap(0, 1, 3, may | fixed, 4), Ok(page(4)), "the target is replaced");
    assert_eq!(remap(4, 3, 3, may | fixed | keep, 20), Ok(page(20)));
    let moved = remap(20, 3, 300, 0, 0).and(remap(20, 300, 1 << 20, may, 0));
    assert_eq!(moved, Ok(page(20)));
    let prots: Vec<(Span, Prot)> = space.areas().map(|area| (area.span, area.prot)).collect();
    assert_eq!(prots, [(span(4, 7), Prot::READ_WRITE), (span(20, 20 + (1 << 20)), Prot::READ_WRITE)]);
    let runtimes = RemapRequest {
        addr: page(4),
        old_len: PAGE,
        new_len: PAGE,
        flags: (may | fixed) as u64,
        new_addr: CODE_CACHE_MIDDLE,
    };
    assert_eq!(space.remap(&mut host, &runtimes).result, Err(Errno::ENOMEM));
    let wrap = RemapRequest { new_addr: 0u64.wrapping_sub(PAGE), ..runtimes };
    assert_eq!(space.remap(&mut host, &wrap).result, Err(Errno::EINVAL));
}

#[test]
fn the_heap_moves_both_ways_and_stops_at_obstacles_and_limits() {
    let (mut space, mut host) = space();
    space.set_heap_start(page(0) + 0x10);
    let mut brk = |space: &mut AddressSpace, end| space.brk(&mut host, end).result.unwrap();
    assert_eq!(brk(&mut space, 0), page(0) + 0x10);
    assert_eq!(brk(&mut space, page(3) + 5), page(3) + 5);
    assert_eq!(space.query(page(3)).unwrap().span, span(1, 4));
    assert!(String::from_utf8(space.maps_text()).unwrap().contains("[heap]"));
    assert_eq!(brk(&mut space, page(2)), page(2));
    assert_eq!(space.query(page(2)), None);
    assert_eq!(brk(&mut space, u64::MAX), page(2));
    assert_eq!(brk(&mut space, page(0)), page(2));
    space.set_limits(Limits { data: 4 * PAGE, ..Limits::DEFAULT });
    assert_eq!(brk(&mut space, page(8)), page(2));
    space.set_limits(Limits::DEFAULT);
    map(&mut space, &mut host, 9, 10, Prot::READ);
    assert_eq!(space.brk(&mut host, page(10)).result, Ok(page(2)));
    assert_eq!(space.brk(&mut host, page(9)).result, Ok(page(9)));
    space.areas.check();
}

#[test]
fn a_stack_grows_to_its_limit_and_keeps_its_distance() {
    let (mut space, mut host) = space();
    let limit = Limits { stack: 1024 * PAGE, ..Limits::DEFAULT };
    space.set_limits(limit);
    let stack = MapRequest { grows_down: true, ..fixed(2000, 2001, Prot::READ_WRITE) };
    space.map(&mut host, &stack).result.unwrap();
    assert!(space.grow_down(&mut host, page(1990) + 9));
    assert_eq!(space.query(page(1995)).unwrap().span, span(1990, 2001));
    assert!(!space.grow_down(&mut host, page(2001 - 1025)));
    assert!(space.grow_down(&mut host, page(2001 - 1024)));
    map(&mut space, &mut host, 700, 710, Prot::READ);
    space.set_limits(Limits { stack: u64::MAX, ..limit });
    assert!(!space.grow_down(&mut host, page(710 + 255)));
    assert!(space.grow_down(&mut host, page(710 + 256)));
    assert!(!space.grow_down(&mut host, page(705)), "inside a mapping");
    assert!(!space.grow_down(&mut host, page(600)), "nothing above grows");
    let guard = MapRequest::anonymous(Place::Hint(page(960)), PAGE, Prot::READ);
    assert_ne!(space.map(&mut host, &guard).result, Ok(page(960)), "no mapping lands in the guard");
    space.areas.check();
    assert_eq!(space.protect(&mut host, page(1990), PAGE, 7 | libc::PROT_GROWSDOWN as u64).result, Ok(()));
    assert!(space.query(page(966)).unwrap().prot.exec);
    assert!(!space.query(page(1999)).unwrap().prot.exec);
}

#[test]
fn limits_count_what_setrlimit_says() {
    let (mut space, mut host) = space();
    space.set_limits(Limits { address_space: 10 * PAGE, data: 4 * PAGE, stack: 0 });
    let mut try_map = |from, to, prot| space.map(&mut host, &fixed(from, to, prot)).result.err();
    assert_eq!(try_map(0, 5, Prot::READ_WRITE), Some(Errno::ENOMEM));
    assert_eq!(try_map(0, 4, Prot::READ_WRITE), None);
    assert_eq!(try_map(10, 11, Prot::READ_WRITE), Some(Errno::ENOMEM));
    assert_eq!(try_map(0, 4, Prot::READ_WRITE), None, "what is replaced makes room");
    assert_eq!(try_map(10, 17, Prot::READ), Some(Errno::ENOMEM));
    assert_eq!(try_map(10, 16, Prot::READ), None);
    assert_eq!(space.protect(&mut host, page(10), PAGE, 3).result, Err(Errno::ENOMEM));
    assert_eq!((space.total_bytes(), space.data_bytes()), (10 * PAGE, 4 * PAGE));
}

#[test]
fn a_child_does_not_get_what_was_marked() {
    let (mut space, mut host) = space();
    map(&mut space, &mut host, 0, 4, Prot::READ);
    space.advise(&mut host, page(1), 2 * PAGE, libc::MADV_DONTFORK).result.unwrap();
    let hole = space.advise(&mut host, page(3), 2 * PAGE, libc::MADV_NORMAL).result;
    assert_eq!(hole, Err(Errno::ENOMEM));
    assert_eq!(space.advise(&mut host, page(0), PAGE, 12345).result, Err(Errno::EINVAL));
    space.after_fork();
    assert_eq!(space.areas().map(|a| a.span).collect::<Vec<_>>(), [span(0, 1), span(3, 4)]);
    space.areas.check();
}

#[test]
fn areas_are_bounded_in_number() {
    let (mut space, mut host) = space();
    let refused = (0..MAX_AREAS as u64 + 10)
        .find_map(|n| space.map(&mut host, &fixed(2 * n, 2 * n + 1, Prot::READ)).result.err());
    assert_eq!(refused, Some(Errno::ENOMEM));
    assert_eq!(space.areas.len(), MAX_AREAS - 1);
    assert_eq!(space.unmap(&mut host, page(0), PAGE).result, Ok(()));
}

#[test]
fn growing_or_moving_writable_code_reports_it_stale_because_its_write_protection_goes() {
    let (mut space, mut host) = space();
    map(&mut space, &mut host, 0, 2, Prot { read: true, write: true, exec: true });
    let request = |addr, new_len, flags: i32, new_addr| RemapRequest {
        addr: page(addr),
        old_len: 2 * PAGE,
        new_len: new_len * PAGE,
        flags: flags as u64,
        new_addr: page(new_addr),
    };
    let grown = space.remap(&mut host, &request(0, 3, 0, 0));
    assert_eq!((grown.result, grown.touched.spans()), (Ok(page(0)), &[span(0, 2)][..]));
    let fixed = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    let moved = space.remap(&mut host, &request(0, 2, fixed, 8));
    assert_eq!((moved.result, moved.touched.spans()), (Ok(page(8)), &[span(0, 2)][..]));
}

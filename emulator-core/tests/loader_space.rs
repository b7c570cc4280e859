//! The guest's map and this process's real mappings, side by side through random operations.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::sync::Arc;

use rxbox_emulator_core::guest::layout::{PAGE, Span, windows};
use rxbox_emulator_core::guest::{
    AddressSpace, FileSource, Limits, MapRequest, MappedFile, Place, Prot, RemapRequest,
};
use rxbox_emulator_core::host::map::HostMemory;
use rxbox_tests::random::Random;

/// Ranges of equal permissions, adjacent ones joined.
type Ranges = Vec<(Span, String)>;

fn joined(ranges: impl Iterator<Item = (Span, String)>) -> Ranges {
    let mut joined: Ranges = Vec::new();
    for (span, permissions) in ranges {
        match joined.last_mut().filter(|(last, same)| last.end == span.start && *same == permissions) {
            Some((last, _)) => last.end = span.end,
            None => joined.push((span, permissions)),
        }
    }
    joined
}

fn parse(line: &str) -> Option<(Span, String)> {
    Some((Span::of_maps_line(line)?, line.split_once(' ')?.1.get(..4)?.to_string()))
}

/// What the kernel has in the guest's windows.
fn kernels() -> Ranges {
    let text = std::fs::read_to_string("/proc/self/maps").unwrap();
    let in_windows = |span: &Span| windows().into_iter().any(|window| window.intersect(*span).is_some());
    joined(text.lines().filter_map(parse).filter(|(span, _)| in_windows(span)))
}

/// What the kernel must have by the guest's map: everything, without execution.
fn expected(space: &AddressSpace) -> Ranges {
    let text = String::from_utf8(space.maps_text()).unwrap();
    joined(text.lines().filter_map(parse).map(|(span, permissions)| {
        let read = if permissions.contains('x') { "r" } else { &permissions[..1] };
        (span, format!("{read}{}-{}", &permissions[1..2], &permissions[3..]))
    }))
}

const BASE: u64 = 0x20_0000_0000;

#[test]
fn the_kernel_has_what_the_map_says_after_every_operation() {
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    let named = Arc::new(MappedFile { path: b"/prog".to_vec(), dev: 1, ino: 1 });
    let mut space = AddressSpace::new(Limits::DEFAULT, 3);
    let mut random = Random::new(1);
    space.set_heap_start(0x2100_0000);
    for step in 0..1500 {
        let addr = BASE + random.below(64) * PAGE;
        let len = (1 + random.below(8)) * PAGE;
        let bits = random.below(8);
        let source = (random.below(3) == 0).then(|| FileSource {
            fd: std::os::fd::AsFd::as_fd(&file),
            file: named.clone(),
            offset: random.below(4) * PAGE,
        });
        let writable_file = source.is_some() && bits & 2 != 0;
        let request = MapRequest {
            shared: random.below(3) == 0 && !writable_file,
            source,
            noreserve: random.below(2) == 0,
            ..MapRequest::anonymous(Place::Fixed(addr), len, Prot::from_bits(bits))
        };
        let host = &mut HostMemory;
        // Refusals are part of the test: what the host refuses must not be in the map.
        let _ = match random.below(8) {
            0 | 1 => space.map(host, &request).result.map(drop),
            2 => space.map(host, &MapRequest { place: Place::Hint(0), ..request }).result.map(drop),
            3 => space.unmap(host, addr, len).result,
            4 => space.protect(host, addr, len, bits).result,
            5 => space.brk(host, 0x2100_0000 + random.below(20) * PAGE).result.map(drop),
            6 => space.advise(host, addr, len, libc::MADV_DONTNEED).result,
            _ => {
                let new_addr = BASE + random.below(64) * PAGE;
                let new_len = (1 + random.below(8)) * PAGE;
                let flags = random.pick(&[1, 3, 0]);
                let request = RemapRequest { addr, old_len: len, new_len, flags, new_addr };
                space.remap(host, &request).result.map(drop)
            }
        };
        assert_eq!(kernels(), expected(&space), "step {step}");
    }
    assert!(space.areas().count() > 10);
}

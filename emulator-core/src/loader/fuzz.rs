//! Fuzz target: whatever a program file holds, it is refused with a reason, or placed in the guest's windows.

use super::elf::ElfImage;
use super::stack::{Auxiliary, Strings};
use super::{Executable, ImageFile, LoadError, Program, Start, load, resolve_scripts};
use crate::guest::layout::{PAGE, Span, TASK_SIZE, page_down, page_up, window_of};
use crate::guest::{AddressSpace, HostMap, HostRequest, Limits, Prot};
use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::io::Write;
use std::os::fd::OwnedFd;

/// A host that maps nothing and watches that nothing but guest memory is asked for.
struct Watcher;

fn watch(span: Span) -> Result<(), Errno> {
    assert!(window_of(span).is_some(), "{span:?} is not the guest's");
    assert!(span.start.is_multiple_of(PAGE) && span.end.is_multiple_of(PAGE), "{span:?}");
    Ok(())
}

impl HostMap for Watcher {
    fn map(&mut self, request: &HostRequest<'_>) -> Result<(), Errno> {
        watch(request.span)
    }
    fn unmap(&mut self, span: Span) -> Result<(), Errno> {
        watch(span)
    }
    fn protect(&mut self, span: Span, _: Prot) -> Result<(), Errno> {
        watch(span)
    }
    fn remap(&mut self, old: Span, new: Span, _: bool) -> Result<(), Errno> {
        watch(old).and(watch(new))
    }
    fn advise(&mut self, span: Span, _: i32) -> Result<(), Errno> {
        watch(span)
    }
    fn store(&mut self, addr: u64, bytes: &[u8]) -> Result<(), Errno> {
        let end = addr.checked_add(bytes.len() as u64).and_then(page_up).ok_or(Errno::EFAULT)?;
        watch(Span { start: page_down(addr), end })
    }
}

/// The input: eight bytes that decide the random part of placement, the file. Programs and scripts get this
/// file as their interpreter too.
pub fn program(input: &[u8]) {
    let Some((seed, bytes)) = input.split_first_chunk() else { return };
    let seed = u64::from_le_bytes(*seed);
    if let Ok(image) = ElfImage::parse(&bytes) {
        sound(&image, bytes.len() as u64);
    }
    let mut space = AddressSpace::new(Limits::DEFAULT, seed);
    if let Err(error) = start(&mut space, bytes, seed) {
        assert!(!error.to_string().is_empty());
    }
    assert!(space.areas().all(|area| window_of(area.span).is_some()));
}

/// What [`super::elf`] promises of an image.
fn sound(image: &ElfImage, size: u64) {
    let mut below = 0;
    for segment in &image.segments {
        let Span { start, end } = segment.memory;
        assert!(below <= start && start < end && end <= TASK_SIZE, "{segment:?}");
        assert!(image.span.encloses(segment.memory), "{segment:?}");
        assert!(segment.file_len <= end - start, "{segment:?}");
        assert!(segment.file_len == 0 || segment.offset + segment.file_len <= size, "{segment:?}");
        assert!(segment.file_len == 0 || segment.offset % PAGE == start % PAGE, "{segment:?}");
        below = end;
    }
    assert!(image.align.is_power_of_two() && image.align >= PAGE, "{image:?}");
}

fn start(space: &mut AddressSpace, bytes: &[u8], seed: u64) -> Result<Start, LoadError> {
    let open = || file(bytes).map_err(|_| Errno::EIO);
    let argv = vec![b"prog".to_vec(), b"arg".to_vec()];
    let own = open().map_err(|errno| LoadError::Host { what: "open", errno })?;
    let program = resolve_scripts(own, b"/bin/prog", argv, |_| open())?;
    let executable = Executable::check(program.file, |_| open())?;
    let strings = Strings { argv: &program.argv, envp: &[b"A=b".to_vec()], path: &program.path };
    let auxiliary =
        Auxiliary { min_signal_stack: 2048, clock_ticks: 100, random: [7; 16], ..Auxiliary::default() };
    load(space, &mut Watcher, &Program { executable, strings, auxiliary, seed })
}

/// A file with these bytes and no name.
fn file(bytes: &[u8]) -> std::io::Result<ImageFile> {
    let mut file = std::fs::File::from(memfd_create(c"fuzz", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(ImageFile::new(OwnedFd::from(file), b"/bin/prog".to_vec())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_file_is_refused_or_placed_in_the_windows_of_guests() {
        rxbox_tests::fuzz::run("program", 20_000, program);
    }

    #[test]
    fn placement_depends_on_the_seed_alone() {
        let bytes = std::fs::read("/bin/true").unwrap();
        let place = |seed| {
            let mut space = AddressSpace::new(Limits::DEFAULT, seed);
            let start = start(&mut space, &bytes, seed).unwrap();
            (start, space.areas().map(|area| area.span).collect::<Vec<_>>())
        };
        assert_eq!(place(1), place(1));
        let (a, b) = (place(1).0, place(2).0);
        assert!(a.image != b.image && a.stack != b.stack && a.entry != b.entry);
    }
}

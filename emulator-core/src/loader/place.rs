//! Puts an image into the address space.
//!
//! Program images and dynamic linkers go low, near the code cache, so that translated code reaches them by
//! displacements: a fixed program where it must be, a movable one at a random page of [`PROGRAM_BASE`] with
//! room for its heap above, a dynamic linker where libraries go.

use super::elf::{ElfImage, Segment};
use super::error::LoadError;
use super::file::ImageFile;
use crate::guest::layout::{LOW, PAGE, Span, high, page_down, page_up, window_of};
use crate::guest::{AddressSpace, HostMap, MapRequest, Place, Prot};

/// Where movable programs start.
const PROGRAM_BASE: Span = Span { start: 0x1000_0000, end: 0x2000_0000 };
/// Largest random distance of the heap from the image (as `arch_randomize_brk` of the kernel).
const HEAP_JITTER: u64 = 32 << 20;
/// Largest random distance of the stack from the top of the window.
const STACK_JITTER: u64 = 16 << 20;
/// Bounds on the size of the initial stack, whatever the limit; the upper one is what the high window keeps
/// free at its top.
const STACK_SIZE: (u64, u64) = (256 << 10, 192 << 20);

/// A placed image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Placed {
    /// What was added to addresses of the file, modulo 2⁶⁴.
    pub(super) bias: u64,
    /// Its pages.
    pub(super) span: Span,
}

impl Placed {
    /// Where an address of the file is now.
    pub(super) fn at(&self, address: u64) -> u64 {
        address.wrapping_add(self.bias)
    }
}

/// What an image is for, which decides where it goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// The program, at a page chosen by these bits.
    Program(u64),
    /// Its dynamic linker.
    Linker,
}

/// Chooses the place of an image.
pub(super) fn choose(
    space: &AddressSpace,
    file: &ImageFile,
    image: &ElfImage,
    part: Part,
) -> Result<Placed, LoadError> {
    let len = image.span.len();
    if !image.kind.is_relocatable() {
        let possible = window_of(image.span).is_some() && space.is_free(image.span);
        let no_room = LoadError::NoRoom { what: "a program at its fixed address", len };
        return possible.then_some(Placed { bias: 0, span: image.span }).ok_or(no_room);
    }
    // Aligned: the bias is a multiple of the alignment, so that file addresses keep theirs.
    let aligned = |start: u64| {
        let bias = start.wrapping_sub(image.span.start).wrapping_add(image.align - 1) & !(image.align - 1);
        let span = Span::at(image.span.start.wrapping_add(bias), len)?;
        (span.start >= start && space.is_free(span)).then_some(Placed { bias, span })
    };
    let random = || match part {
        Part::Program(bits) => aligned({
            let bits = space.program_bits(&file.file).unwrap_or(bits);
            PROGRAM_BASE.start + bits % (PROGRAM_BASE.len() / PAGE) * PAGE
        }),
        Part::Linker => space.image_places(&file.file, len).find_map(|span| aligned(span.start)),
    };
    let before = space.image_before(&file.file).and_then(aligned).filter(|p| LOW.encloses(p.span));
    let with_slack = len.checked_add(image.align - PAGE);
    let free = |within| aligned(space.find_free(with_slack?, within)?.start);
    before
        .or_else(random)
        .or_else(|| space.image_ranges().into_iter().find_map(free))
        .or_else(|| free(space.mmap_range()))
        .ok_or(LoadError::NoRoom { what: "the program", len })
}

/// Maps all segments of an image at its chosen place, which is free.
pub(super) fn map(
    space: &mut AddressSpace,
    host: &mut impl HostMap,
    file: &ImageFile,
    image: &ElfImage,
    placed: &Placed,
) -> Result<(), LoadError> {
    image.segments.iter().try_for_each(|segment| map_segment(space, host, file, segment, placed))?;
    if image.kind.is_relocatable() {
        space.note_image(&file.file, placed.span.start);
    }
    Ok(())
}

fn map_segment(
    space: &mut AddressSpace,
    host: &mut impl HostMap,
    file: &ImageFile,
    segment: &Segment,
    placed: &Placed,
) -> Result<(), LoadError> {
    // Ends lie in a guest window, so rounding up cannot wrap.
    let up = |addr| page_up(addr).unwrap_or(high().end);
    let start = page_down(placed.at(segment.memory.start));
    let file_end = placed.at(segment.file_end());
    let zero_from = if segment.file_len == 0 { start } else { up(file_end) };
    if segment.file_len != 0 {
        let request = MapRequest {
            source: Some(file.source(page_down(segment.offset))),
            ..MapRequest::anonymous(Place::Fixed(start), zero_from - start, segment.prot)
        };
        // Replaced is at most the tail of the segment before, which nobody has executed yet.
        space.map(host, &request).result.map_err(|errno| host_error("mapping a segment", errno))?;
    }
    let has_zeroes = segment.memory.len() > segment.file_len;
    if has_zeroes && segment.file_len != 0 && segment.prot.write {
        // The rest of the last file page. A read-only segment keeps what the file has there, as with the
        // kernel.
        let zeroes = [0; PAGE as usize];
        let rest = &zeroes[..(zero_from - file_end) as usize];
        host.store(file_end, rest).map_err(|errno| host_error("clearing the end of a segment", errno))?;
    }
    let zero_to = up(placed.at(segment.memory.end));
    if zero_from < zero_to {
        let request = MapRequest::anonymous(Place::Fixed(zero_from), zero_to - zero_from, segment.prot);
        space.map(host, &request).result.map_err(|errno| host_error("mapping zeroed memory", errno))?;
    }
    Ok(())
}

pub(super) fn host_error(what: &'static str, errno: nix::errno::Errno) -> LoadError {
    LoadError::Host { what, errno }
}

/// The start of the heap: a random page after the program.
pub(super) fn heap_start(program: Span, bits: u64) -> u64 {
    program.end + bits % (HEAP_JITTER / PAGE) * PAGE
}

/// Maps the initial stack near the top of the high window. Gives its span.
pub(super) fn map_stack(
    space: &mut AddressSpace,
    host: &mut impl HostMap,
    executable: bool,
    bits: u64,
) -> Result<Span, LoadError> {
    let len = page_down(space.limits().stack.clamp(STACK_SIZE.0, STACK_SIZE.1));
    let end = high().end - PAGE - bits % (STACK_JITTER / PAGE) * PAGE;
    let span = Span { start: end - len, end };
    let prot = Prot { exec: executable, ..Prot::READ_WRITE };
    space.map_stack(host, span, prot).map_err(|errno| host_error("mapping the stack", errno))?;
    Ok(span)
}

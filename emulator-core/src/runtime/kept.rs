//! A kept translation in memory: its file, mapped.
//!
//! The tables are mapped wherever there is room, to be read; the code where it has to be, in the part of the
//! code cache's region that is for it, to be read and executed; the cells beside it, as private memory that
//! begins as the file has it. So all processes that run the same program share the pages of its code, and
//! none can write there.
//!
//! Chained jumps inside the code cannot be undone. A thread that must not go on in it is stopped by
//! [revoking](KeptCode::revoke) the right to execute it: the fetch of its next instruction faults, which is
//! a stop like any other ([`super::stop`]).

use crate::guest::Span;
use rxbox_translate::state::Region;
use rxbox_wire::kept::{HEAD, Header, Tables};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// A kept translation that is mapped. What it maps stays until it is dropped, when no thread is inside.
#[derive(Debug)]
pub struct KeptCode {
    header: Header,
    file: NonNull<u8>,
    len: usize,
}

// SAFETY: the file's mapping is only read, the cells are only accessed as atomics.
unsafe impl Send for KeptCode {}

/// Why a kept translation is of no use here.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The host refused a mapping.
    #[error("cannot map a kept translation: {0}")]
    Map(io::Error),
    /// It is none, or of another translator, or for a place that is another's.
    #[error("the kept translation is not for this process")]
    Foreign,
}

impl KeptCode {
    /// Maps the file behind `fd`, which `translator` has made for a region like this, if its place is not
    /// taken.
    ///
    /// # Errors
    /// See [`Refused`]; then nothing is mapped.
    pub fn map(
        fd: BorrowedFd<'_>,
        size: u64,
        region: Region,
        translator: &[u8; 32],
        is_taken: impl Fn(Span) -> bool,
    ) -> Result<Self, Refused> {
        let len = usize::try_from(size).map_err(|_| Refused::Foreign)?;
        if len < HEAD {
            return Err(Refused::Foreign);
        }
        let file = map(None, len, libc::PROT_READ, fd, 0)?;
        let mut kept = KeptCode { header: Header::default(), file, len };
        let header = Header::decode(kept.bytes()).filter(|header| {
            let place = header.place();
            header.translator == *translator
                && header.file_len() == size
                && region.code_end() <= place.start
                && place.end <= region.end()
                && !is_taken(Span { start: place.start, end: place.end })
        });
        kept.header = header.ok_or(Refused::Foreign)?;
        match kept.map_parts(fd) {
            Ok(()) => Ok(kept),
            // Dropping it takes the parts away.
            Err(e) => Err(Refused::Map(e)),
        }
    }

    fn map_parts(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        for (i, part) in self.header.parts.iter().enumerate().filter(|(_, part)| part.len != 0) {
            let prot = if i < 2 { libc::PROT_READ } else { libc::PROT_READ | libc::PROT_WRITE };
            map(Some(part.address), part.pages() as usize, prot, fd, self.header.part_at(i))
                .map_err(|_| io::Error::last_os_error())?;
        }
        if self.protect(libc::PROT_READ | libc::PROT_EXEC) { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// What the file says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The file's tables.
    pub fn tables(&self) -> Tables<'_> {
        Tables::of(&self.header, self.bytes())
    }

    /// The addresses of code and cells.
    pub fn place(&self) -> Span {
        let place = self.header.place();
        Span { start: place.start, end: place.end }
    }

    /// Takes the right to execute the code away: every thread inside stops.
    pub fn revoke(&self) {
        self.protect(libc::PROT_READ);
    }

    /// Gives the right to execute the code back; whether that went well.
    pub fn grant(&self) -> bool {
        self.protect(libc::PROT_READ | libc::PROT_EXEC)
    }

    /// The word at this address, if it is one of the cells.
    pub fn cell(&self, address: u32) -> Option<&AtomicU64> {
        let address = u64::from(address);
        let inside = self.header.parts[2].range().contains(&address) && address.is_multiple_of(8);
        // SAFETY: an aligned word of the cells' mapping, which is private, readable and writable as long as
        // this value lives, and is only accessed as an atomic here and as a whole by translated code.
        inside.then(|| unsafe { &*(address as *const AtomicU64) })
    }

    /// Makes the exits of a cell go to `host`.
    pub fn set_cell(&self, address: u32, host: u64) {
        if let Some(cell) = self.cell(address) {
            cell.store(host, Ordering::Release);
        }
    }

    /// Hot and cold code adjoin.
    fn protect(&self, prot: i32) -> bool {
        let [hot, cold, _] = &self.header.parts;
        let len = hot.pages() + cold.pages();
        // SAFETY: the code's mappings. What may be lost is the right to execute, which threads inside take
        // for a stop.
        len == 0 || unsafe { libc::mprotect(hot.address as *mut _, len as usize, prot) == 0 }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping of the file is readable and lives as long as this value. A file that has its
        // name is replaced, never written.
        unsafe { std::slice::from_raw_parts(self.file.as_ptr(), self.len) }
    }
}

impl Drop for KeptCode {
    fn drop(&mut self) {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        let place = self.header.place();
        if !place.is_empty() {
            let (start, len) = (place.start as *mut _, (place.end - place.start) as usize);
            // SAFETY: what lies there is what `map_parts` has put over the region's reserved addresses, to
            // which it goes back; no thread is inside and no reference to the cells is left.
            unsafe { libc::mmap(start, len, libc::PROT_NONE, flags, -1, 0) };
        }
        // SAFETY: the file's mapping, to which no reference is left.
        unsafe { libc::munmap(self.file.as_ptr().cast(), self.len) };
    }
}

/// Maps so many bytes of a file from `offset` on, at an address of the region's that holds nothing yet, or
/// anywhere.
fn map(
    at: Option<u64>,
    len: usize,
    prot: i32,
    fd: BorrowedFd<'_>,
    offset: u64,
) -> Result<NonNull<u8>, Refused> {
    let flags = libc::MAP_PRIVATE | if at.is_some() { libc::MAP_FIXED } else { 0 };
    let start = at.unwrap_or(0) as *mut _;
    // SAFETY: wherever the kernel likes, or over addresses that the region has reserved and nobody uses.
    let mapped = unsafe { libc::mmap(start, len, prot, flags, fd.as_raw_fd(), offset as i64) };
    if mapped == libc::MAP_FAILED {
        return Err(Refused::Map(io::Error::last_os_error()));
    }
    NonNull::new(mapped.cast()).ok_or(Refused::Foreign)
}

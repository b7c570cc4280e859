//! The host's memory calls on guest memory.
//!
//! Changing mappings is unsafe in Rust's sense because memory may vanish under references. Here it cannot:
//! every call is confined to the guest's windows, which this module checks again for itself, and no Rust
//! object lives there. Execution is never granted.

use std::os::fd::AsRawFd;

use super::call;
use nix::errno::Errno;

use crate::guest::layout::{PAGE, Span, page_down, page_up, window_of};
use crate::guest::{HostMap, HostRequest, Prot, Source, access};

/// The address space of this process, guest windows only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HostMemory;

/// The start of a span as the pointer that libc wants; `EINVAL` outside the guest's windows.
fn guest_pointer(span: Span) -> Result<*mut libc::c_void, Errno> {
    window_of(span).ok_or(Errno::EINVAL)?;
    Ok(std::ptr::with_exposed_provenance_mut(span.start as usize))
}

fn check(status: libc::c_int) -> Result<(), Errno> {
    Errno::result(status).map(drop)
}

fn check_mapped(address: *mut libc::c_void, wanted: *mut libc::c_void) -> Result<(), Errno> {
    match address {
        libc::MAP_FAILED => Err(Errno::last()),
        got if got == wanted => Ok(()),
        // Only a kernel older than 4.17, which takes MAP_FIXED_NOREPLACE for a hint, maps elsewhere.
        _ => Err(Errno::ENOSYS),
    }
}

impl HostMap for HostMemory {
    fn map(&mut self, request: &HostRequest<'_>) -> Result<(), Errno> {
        let HostRequest { span, prot, shared, noreserve, populate, locked, replace, .. } = *request;
        let wanted = guest_pointer(span)?;
        let (fd, offset, kind) = match request.source {
            Source::Anonymous => (-1, 0, libc::MAP_ANONYMOUS),
            Source::File(fd, offset) => {
                (fd.as_raw_fd(), i64::try_from(offset).map_err(|_| Errno::EOVERFLOW)?, 0)
            }
        };
        let flag = |on: bool, flag: libc::c_int| if on { flag } else { 0 };
        let flags = kind
            | if shared { libc::MAP_SHARED } else { libc::MAP_PRIVATE }
            | if replace { libc::MAP_FIXED } else { libc::MAP_FIXED_NOREPLACE }
            | flag(noreserve, libc::MAP_NORESERVE)
            | flag(populate, libc::MAP_POPULATE)
            | flag(locked, libc::MAP_LOCKED);
        // SAFETY: the span lies in a guest window, where no Rust object lives that a new mapping could
        // destroy.
        let got = unsafe { libc::mmap(wanted, span.len() as usize, prot.host_bits(), flags, fd, offset) };
        match check_mapped(got, wanted) {
            // The map believed the span free and the kernel knows better: there is no room for the guest.
            Err(Errno::EEXIST) => Err(Errno::ENOMEM),
            Err(Errno::ENOSYS) if got != libc::MAP_FAILED => {
                // SAFETY: unmaps what this call has just mapped and nobody knows of.
                unsafe { libc::munmap(got, span.len() as usize) };
                Err(Errno::ENOSYS)
            }
            result => result,
        }
    }

    fn unmap(&mut self, span: Span) -> Result<(), Errno> {
        let start = guest_pointer(span)?;
        // SAFETY: the span lies in a guest window, where no Rust object lives.
        check(unsafe { libc::munmap(start, span.len() as usize) })
    }

    fn protect(&mut self, span: Span, prot: Prot) -> Result<(), Errno> {
        let start = guest_pointer(span)?;
        // SAFETY: the span lies in a guest window, where no Rust object lives.
        check(unsafe { libc::mprotect(start, span.len() as usize, prot.host_bits()) })
    }

    fn remap(&mut self, old: Span, new: Span, keep_old: bool) -> Result<(), Errno> {
        let (from, to) = (guest_pointer(old)?, guest_pointer(new)?);
        let moves = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        let flags = match (from == to, keep_old) {
            (true, _) => 0,
            (false, false) => moves,
            (false, true) => moves | libc::MREMAP_DONTUNMAP,
        };
        // SAFETY: both spans lie in guest windows, where no Rust object lives.
        let got = unsafe { libc::mremap(from, old.len() as usize, new.len() as usize, flags, to) };
        check_mapped(got, to)
    }

    fn advise(&mut self, span: Span, advice: i32) -> Result<(), Errno> {
        let start = guest_pointer(span)?;
        // SAFETY: the span lies in a guest window, where no Rust object lives.
        check(unsafe { libc::madvise(start, span.len() as usize, advice) })
    }

    fn store(&mut self, addr: u64, bytes: &[u8]) -> Result<(), Errno> {
        Ok(access::copy_out(addr, bytes)?)
    }
}

/// Calls that change nothing of the map: the host's own, on guest pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageCall {
    /// msync(2) with its flags.
    Msync(u64),
    /// mlock(2).
    Mlock,
    /// mlock2(2) with its flags.
    Mlock2(u64),
    /// munlock(2).
    Munlock,
}

/// As many whole pages from `addr` on as `len` bytes take; `None` if that is something and not all the
/// guest's.
fn pages(addr: u64, len: u64) -> Option<Span> {
    let span = page_up(len).and_then(|len| Span::at(addr, len))?;
    (span.is_empty() || window_of(span).is_some()).then_some(span)
}

/// Makes such a call.
///
/// # Errors
/// ENOMEM for pages that are not the guest's, else as the call.
pub fn page_call(call: PageCall, addr: u64, len: u64) -> Result<i64, Errno> {
    let (nr, third) = match call {
        PageCall::Msync(flags) => (libc::SYS_msync, flags),
        PageCall::Mlock => (libc::SYS_mlock, 0),
        PageCall::Mlock2(flags) => (libc::SYS_mlock2, flags),
        PageCall::Munlock => (libc::SYS_munlock, 0),
    };
    // The pages that are touched. A length that comes to none beyond the last one is nothing, as in the
    // kernel.
    let (start, odd) = (page_down(addr), addr % PAGE);
    let len = page_up(len.wrapping_add(odd)).unwrap_or(0);
    let locks = !matches!(call, PageCall::Msync(_));
    if !locks && odd != 0 {
        return Err(Errno::EINVAL);
    }
    let Some(end) = start.checked_add(len) else {
        return Err(if locks { Errno::EINVAL } else { Errno::ENOMEM });
    };
    // What is not mapped cannot be locked or written back.
    let span = Span { start, end };
    if !span.is_empty() && window_of(span).is_none() {
        return Err(Errno::ENOMEM);
    }
    // SAFETY: the pages are the guest's, whose contents and protection these calls leave alone.
    call::result(unsafe { call::raw(nr, [start, len, third, 0, 0, 0]) })
}

/// mincore(2): a byte for each page.
///
/// # Errors
/// ENOMEM for pages that are not the guest's, else as mincore(2).
pub fn resident(addr: u64, len: u64) -> Result<Vec<u8>, Errno> {
    let span = pages(addr, len).ok_or(Errno::ENOMEM)?;
    let mut pages = vec![0u8; (span.len() / PAGE) as usize];
    let args = [addr, len, pages.as_mut_ptr() as u64, 0, 0, 0];
    // SAFETY: the kernel writes a byte for each page into the vector, which has that many.
    call::result(unsafe { call::raw(libc::SYS_mincore, args) })?;
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anonymous(span: Span, prot: Prot) -> HostRequest<'static> {
        HostRequest {
            span,
            prot,
            source: Source::Anonymous,
            shared: false,
            noreserve: false,
            populate: false,
            locked: false,
            replace: false,
        }
    }

    /// The permission letters of the host's mapping at `addr`.
    fn host_permissions(addr: u64) -> Option<String> {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().find_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let hex = |text| u64::from_str_radix(text, 16).unwrap_or(0);
            Span { start: hex(start), end: hex(end) }.contains(addr).then(|| rest[..4].to_string())
        })
    }

    #[test]
    fn guest_execution_is_never_the_hosts() {
        let span = Span { start: 0x1_3000_0000, end: 0x1_3000_0000 + 2 * PAGE };
        let all = Prot { read: true, write: true, exec: true };
        HostMemory.map(&anonymous(span, all)).unwrap();
        assert_eq!(host_permissions(span.start).unwrap(), "rw-p");
        HostMemory.protect(span, Prot { read: false, write: false, exec: true }).unwrap();
        assert_eq!(host_permissions(span.start).unwrap(), "r--p");
        HostMemory.unmap(span).unwrap();
        assert_eq!(host_permissions(span.start), None);
    }

    #[test]
    fn an_occupied_span_is_not_replaced_unless_asked() {
        let span = Span { start: 0x1_3010_0000, end: 0x1_3010_0000 + PAGE };
        HostMemory.map(&anonymous(span, Prot::READ_WRITE)).unwrap();
        HostMemory.store(span.start, b"kept").unwrap();
        assert_eq!(HostMemory.map(&anonymous(span, Prot::READ_WRITE)), Err(Errno::ENOMEM));
        assert_eq!(access::read_u32(span.start).map(u32::to_le_bytes), Ok(*b"kept"));
        HostMemory.map(&HostRequest { replace: true, ..anonymous(span, Prot::READ) }).unwrap();
        assert_eq!(access::read_u32(span.start), Ok(0));
    }

    #[test]
    fn nothing_outside_the_guest_windows_can_be_changed() {
        let own = vec![1u8; 3 * PAGE as usize];
        let start = (own.as_ptr().addr() as u64).next_multiple_of(PAGE);
        let span = Span { start, end: start + PAGE };
        let guest = Span { start: 0x1_3020_0000, end: 0x1_3020_0000 + PAGE };
        let replace = HostRequest { replace: true, ..anonymous(span, Prot::READ) };
        assert_eq!(HostMemory.map(&replace), Err(Errno::EINVAL));
        assert_eq!(HostMemory.unmap(span), Err(Errno::EINVAL));
        assert_eq!(HostMemory.protect(span, Prot::NONE), Err(Errno::EINVAL));
        assert_eq!(HostMemory.advise(span, libc::MADV_DONTNEED), Err(Errno::EINVAL));
        assert_eq!(HostMemory.remap(span, guest, false), Err(Errno::EINVAL));
        assert_eq!(HostMemory.remap(guest, span, false), Err(Errno::EINVAL));
        assert_eq!(HostMemory.store(start, &[0]), Err(Errno::EFAULT));
        assert!(own.iter().all(|&byte| byte == 1));
    }

    #[test]
    fn contents_move_with_a_mapping() {
        let at = |start, pages| Span { start, end: start + pages * PAGE };
        let (old, new) = (at(0x1_3030_0000, 1), at(0x1_3040_0000, 3));
        HostMemory.map(&anonymous(old, Prot::READ_WRITE)).unwrap();
        HostMemory.store(old.start, b"move").unwrap();
        HostMemory.remap(old, new, false).unwrap();
        assert_eq!(host_permissions(old.start), None);
        assert_eq!(access::read_u32(new.start).map(u32::to_le_bytes), Ok(*b"move"));
        assert_eq!(access::read_u32(new.end - 4), Ok(0));
    }
}

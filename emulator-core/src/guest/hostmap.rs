//! What the guest's map asks of the host.
//!
//! The map decides and remembers; a [`HostMap`] acts. Every change goes host first, map second: when the host
//! refuses, the map stays as it was, so the two never disagree. Tests put a model in the host's place.

use std::os::fd::BorrowedFd;

use nix::errno::Errno;

use super::area::Prot;
use super::layout::Span;

/// Where the bytes of a new mapping come from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'fd> {
    /// Zeroes.
    Anonymous,
    /// A file, from a page-aligned offset in bytes.
    File(BorrowedFd<'fd>, u64),
}

/// A new host mapping.
#[derive(Clone, Copy, Debug)]
pub struct HostRequest<'fd> {
    /// Exactly where.
    pub span: Span,
    /// The guest's protection; the host grants all of it but execution.
    pub prot: Prot,
    /// Its contents.
    pub source: Source<'fd>,
    /// `MAP_SHARED`.
    pub shared: bool,
    /// `MAP_NORESERVE`.
    pub noreserve: bool,
    /// `MAP_POPULATE`.
    pub populate: bool,
    /// `MAP_LOCKED`.
    pub locked: bool,
    /// Whether guest mappings in the span may be replaced. If not, the span is believed free, and the host
    /// fails with `EEXIST` if it is not.
    pub replace: bool,
}

/// The host's memory, as far as it is the guest's. All spans are page aligned and lie in one guest window.
pub trait HostMap {
    /// mmap(2) at exactly `request.span`.
    fn map(&mut self, request: &HostRequest<'_>) -> Result<(), Errno>;
    /// munmap(2).
    fn unmap(&mut self, span: Span) -> Result<(), Errno>;
    /// mprotect(2); execution is never granted.
    fn protect(&mut self, span: Span, prot: Prot) -> Result<(), Errno>;
    /// mremap(2) of `old` to `new`: in place if both start alike, else a move that replaces what is at `new`.
    /// An empty `old` copies a shared mapping; `keep_old` is `MREMAP_DONTUNMAP`.
    fn remap(&mut self, old: Span, new: Span, keep_old: bool) -> Result<(), Errno>;
    /// madvise(2).
    fn advise(&mut self, span: Span, advice: i32) -> Result<(), Errno>;
    /// Writes bytes into mapped guest memory; `EFAULT` where that is impossible.
    fn store(&mut self, addr: u64, bytes: &[u8]) -> Result<(), Errno>;
}

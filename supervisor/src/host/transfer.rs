//! Transfers between open descriptors and the shared data area.
//!
//! The data area is memory that the untrusted child writes at any time, so it never becomes a Rust slice: a
//! [`Buffer`] is only an address and a length for the kernel to copy from or to.

use super::SyscallResult;
use super::number::{Wait, raw};
use nix::errno::Errno;
use rxbox_wire::sizes::DATA_SIZE;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::LazyLock;

/// Memory that the kernel may read and write during a call.
#[derive(Clone, Copy, Debug)]
pub struct Buffer<'a> {
    start: *mut u8,
    len: usize,
    /// Memory that is not there follows it, for the kernel to find.
    cut: bool,
    /// The guest gives it as vectors, which the kernel takes otherwise where there is nothing in them.
    vectored: bool,
    life: PhantomData<&'a ()>,
}

impl<'a> Buffer<'a> {
    /// Memory that others may write at the same time.
    ///
    /// # Safety
    /// The `len` bytes from `start` on stay mapped for `'a`, and no Rust reference to them exists meanwhile.
    pub unsafe fn from_raw(start: *mut u8, len: usize) -> Buffer<'a> {
        Buffer { start, len, cut: false, vectored: false, life: PhantomData }
    }
    /// Private memory.
    pub fn from_slice(slice: &'a mut [u8]) -> Buffer<'a> {
        // SAFETY: a slice is valid memory, and borrowed as long.
        unsafe { Buffer::from_raw(slice.as_mut_ptr(), slice.len()) }
    }
    /// Memory in the place of a guest's that is not there: for the kernel to find that out, where it comes to
    /// it.
    pub fn nowhere(len: usize) -> Buffer<'static> {
        let len = len.min(DATA_SIZE);
        // SAFETY: nobody has a reference to memory that cannot be touched; it is never unmapped.
        unsafe { Buffer::from_raw(std::ptr::with_exposed_provenance_mut(*NOWHERE), len) }
    }
    /// Its first `n` bytes, or all if it has fewer.
    pub fn first(self, n: usize) -> Buffer<'a> {
        Buffer { len: self.len.min(n), cut: self.cut && n >= self.len, ..self }
    }
    /// The range `range` of it, cut to what is there.
    pub fn part(self, range: std::ops::Range<usize>) -> Buffer<'a> {
        let at = range.start.min(self.len);
        let end = range.end.clamp(at, self.len);
        let cut = self.cut && end == self.len;
        Buffer { start: self.start.wrapping_add(at), len: end - at, cut, ..self }
    }
    /// The same with memory behind it that is not there.
    pub fn cut(self) -> Buffer<'a> {
        Buffer { cut: true, ..self }
    }
    /// The same as the content of vectors.
    pub fn vectored(self) -> Buffer<'a> {
        Buffer { vectored: true, ..self }
    }
    /// Number of bytes.
    pub fn len(self) -> usize {
        self.len
    }
    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
    /// For the kernel: the address.
    pub(super) fn address(self) -> u64 {
        self.start as u64
    }
    /// For the kernel: as one iovec, or two if memory that is not there follows.
    pub(super) fn iovecs(self) -> ([libc::iovec; 2], usize) {
        /// The kernel looks at no more than the rest of a page before it gives up.
        const END: usize = 4096;
        let end = Buffer::nowhere(END);
        let vector = |start: *mut u8, len| libc::iovec { iov_base: start.cast(), iov_len: len };
        ([vector(self.start, self.len), vector(end.start, end.len)], if self.cut { 2 } else { 1 })
    }
}

/// As many bytes as any buffer has, of which none can be touched.
static NOWHERE: LazyLock<usize> = LazyLock::new(|| {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping wherever the kernel likes.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), DATA_SIZE, libc::PROT_NONE, flags, -1, 0) };
    // Nothing is mapped in the first page either (vm.mmap_min_addr).
    if start == libc::MAP_FAILED { 0 } else { start.expose_provenance() }
});

/// Direction of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the descriptor to the buffer.
    Read,
    /// From the buffer to the descriptor.
    Write,
}

/// read(2), write(2): at the descriptor's own offset.
pub fn transfer(wait: Wait, way: Way, fd: BorrowedFd<'_>, buffer: Buffer<'_>) -> SyscallResult {
    if buffer.cut || buffer.vectored {
        let nr = if way == Way::Read { libc::SYS_readv } else { libc::SYS_writev };
        let (vectors, count) = buffer.iovecs();
        let args = [fd.as_raw_fd() as u64, vectors.as_ptr() as u64, count as u64, 0, 0, 0];
        // SAFETY: the first vector names a buffer, which is valid memory of its length for as long as it
        // lives, and the second memory that cannot be touched.
        return unsafe { raw(wait, nr, args) };
    }
    let nr = if way == Way::Read { libc::SYS_read } else { libc::SYS_write };
    let args = [fd.as_raw_fd() as u64, buffer.address(), buffer.len() as u64, 0, 0, 0];
    // SAFETY: a buffer is valid memory of its length for as long as it lives.
    unsafe { raw(wait, nr, args) }
}

/// preadv2(2), pwritev2(2) with one vector: at `offset`, or the descriptor's own for -1; `flags` are `RWF_*`.
pub fn transfer_at(
    wait: Wait,
    way: Way,
    fd: BorrowedFd<'_>,
    buffer: Buffer<'_>,
    offset: i64,
    flags: u32,
) -> SyscallResult {
    if flags == 0 && offset >= 0 && !buffer.cut && !buffer.vectored {
        let nr = if way == Way::Read { libc::SYS_pread64 } else { libc::SYS_pwrite64 };
        let args = [fd.as_raw_fd() as u64, buffer.address(), buffer.len() as u64, offset as u64, 0, 0];
        // SAFETY: a buffer is valid memory of its length for as long as it lives.
        return unsafe { raw(wait, nr, args) };
    }
    let nr = if way == Way::Read { libc::SYS_preadv2 } else { libc::SYS_pwritev2 };
    let (vectors, count) = buffer.iovecs();
    let vectors = vectors.as_ptr() as u64;
    let args = [fd.as_raw_fd() as u64, vectors, count as u64, offset as u64, 0, flags.into()];
    // SAFETY: the first vector names a buffer, which is valid memory of its length for as long as it lives,
    // and the second memory that cannot be touched.
    unsafe { raw(wait, nr, args) }
}

/// What the kernel says of a transfer by vectors that nobody can read, at `offset`: EFAULT if there is
/// nothing wrong but these. Nothing is moved, and nothing waited for.
pub fn try_at(way: Way, fd: BorrowedFd<'_>, offset: Option<i64>) -> Errno {
    let (read, write) = match offset {
        None => (libc::SYS_readv, libc::SYS_writev),
        Some(_) => (libc::SYS_preadv, libc::SYS_pwritev),
    };
    let nr = if way == Way::Read { read } else { write };
    let args = [fd.as_raw_fd() as u64, 0, 1, offset.unwrap_or(0) as u64, 0, 0];
    // SAFETY: there are no vectors at a null pointer.
    let done = unsafe { raw(Wait::Short, nr, args) };
    done.err().unwrap_or(Errno::EFAULT)
}

/// Calls that move bytes between two descriptors, each with an optional offset that the kernel moves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum Move {
    /// copy_file_range(2).
    CopyFileRange = libc::SYS_copy_file_range,
    /// splice(2).
    Splice = libc::SYS_splice,
}

/// copy_file_range(2), splice(2): at most `n` bytes from `from` to `to`.
pub fn move_bytes(
    wait: Wait,
    call: Move,
    from: (BorrowedFd<'_>, Option<&mut i64>),
    to: (BorrowedFd<'_>, Option<&mut i64>),
    n: u64,
    flags: u32,
) -> SyscallResult {
    let [a, b] = [from.1, to.1].map(|o| o.map_or(0, |o| &raw mut *o as u64));
    let args = [from.0.as_raw_fd() as u64, a, to.0.as_raw_fd() as u64, b, n, flags.into()];
    // SAFETY: the offsets are null or borrowed for the length of this function.
    unsafe { raw(wait, call as i64, args) }
}

/// sendfile(2): at most `n` bytes from `from` at its own offset or at `offset`, which is moved on.
pub fn sendfile(
    wait: Wait,
    to: BorrowedFd<'_>,
    from: BorrowedFd<'_>,
    offset: Option<&mut i64>,
    n: u64,
) -> SyscallResult {
    let at = offset.map_or(0, |o| &raw mut *o as u64);
    let args = [to.as_raw_fd() as u64, from.as_raw_fd() as u64, at, n, 0, 0];
    // SAFETY: the offset is null or borrowed for the length of this function.
    unsafe { raw(wait, libc::SYS_sendfile, args) }
}

/// tee(2).
pub fn tee(wait: Wait, from: BorrowedFd<'_>, to: BorrowedFd<'_>, n: u64, flags: u32) -> SyscallResult {
    let args = [from.as_raw_fd() as u64, to.as_raw_fd() as u64, n, flags.into(), 0, 0];
    // SAFETY: only numbers.
    unsafe { raw(wait, libc::SYS_tee, args) }
}

/// getrandom(2). Waits only for a machine that has just started.
pub fn getrandom(buffer: Buffer<'_>, flags: u32) -> SyscallResult {
    // SAFETY: the kernel writes at most the buffer's length.
    unsafe {
        raw(Wait::Long, libc::SYS_getrandom, [buffer.address(), buffer.len() as u64, flags.into(), 0, 0, 0])
    }
}

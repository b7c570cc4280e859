//! Access to guest memory that survives every address a guest can give.
//!
//! A guest pointer is an allegation. It can point at nothing, at a page that another guest thread unmaps this
//! moment, or at the runtime itself. Two measures make it harmless:
//!
//! - An address outside the guest's windows (and, for loads, outside the pages [lent](lend) by the host's
//!   kernel) is a fault before it is touched, so the runtime neither leaks nor overwrites its own memory by
//!   accident.
//! - Guest memory is touched by a handful of machine instructions only, each known by its address. When one
//!   of them faults, the process's handler for SIGSEGV and SIGBUS asks [`fixup`] and resumes at the landing
//!   it names; the routine then reports how far it came. Checking a map beforehand instead would race with
//!   other guest threads.
//!
//! Guest memory can change at any time, so no Rust reference to it ever exists here.

use std::arch::global_asm;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;

use super::layout::{PAGE, Span, windows};

// System V calling convention. Labels `_at` are the instructions that can fault, `_landing` where to go on
// then.
global_asm!(
    // A label that other codegen units of this program see, and nobody else.
    ".macro label name",
    ".globl \\name",
    ".hidden \\name",
    "\\name:",
    ".endm",
    ".pushsection .text.rxbox_access, \"ax\", @progbits",
    // copy(rdi: to, rsi: from, rdx: bytes) -> rax: bytes not copied. rcx counts down, also when the string
    // instruction faults half-way.
    "label rxbox_access_copy",
    "mov rcx, rdx",
    "label rxbox_access_copy_at",
    "rep movsb",
    "label rxbox_access_copy_landing",
    "mov rax, rcx",
    "ret",
    // load(rdi: from) -> rax: value, rdx: 0, or 1 for a fault.
    "label rxbox_access_load32",
    "xor edx, edx",
    "label rxbox_access_load32_at",
    "mov eax, [rdi]",
    "ret",
    "label rxbox_access_load64",
    "xor edx, edx",
    "label rxbox_access_load64_at",
    "mov rax, [rdi]",
    "ret",
    "label rxbox_access_load_landing",
    "mov edx, 1",
    "ret",
    // store(rdi: to, rsi: value) -> rax: 0, or 1 for a fault.
    "label rxbox_access_store32",
    "xor eax, eax",
    "label rxbox_access_store32_at",
    "mov [rdi], esi",
    "ret",
    "label rxbox_access_store64",
    "xor eax, eax",
    "label rxbox_access_store64_at",
    "mov [rdi], rsi",
    "ret",
    "label rxbox_access_store_landing",
    "mov eax, 1",
    "ret",
    // exchange(rdi: at, esi: old, edx: new) -> rax: the value found, rdx: 0, or 1 for a fault.
    "label rxbox_access_exchange",
    "mov eax, esi",
    "mov ecx, edx",
    "xor edx, edx",
    "label rxbox_access_exchange_at",
    "lock cmpxchg [rdi], ecx",
    "ret",
    ".popsection",
    ".purgem label",
);

/// A loaded value, in the register pair in which the routine returns it.
#[repr(C)]
struct Loaded {
    value: u64,
    faulted: u64,
}

// SAFETY: the signatures are those of the routines above.
unsafe extern "C" {
    fn rxbox_access_copy(to: *mut u8, from: *const u8, bytes: usize) -> usize;
    fn rxbox_access_load32(from: u64) -> Loaded;
    fn rxbox_access_load64(from: u64) -> Loaded;
    fn rxbox_access_store32(to: u64, value: u64) -> u64;
    fn rxbox_access_store64(to: u64, value: u64) -> u64;
    fn rxbox_access_exchange(at: u64, old: u32, new: u32) -> Loaded;
    // Labels, of which only the address is used.
    safe static rxbox_access_copy_at: u8;
    safe static rxbox_access_copy_landing: u8;
    safe static rxbox_access_load32_at: u8;
    safe static rxbox_access_load64_at: u8;
    safe static rxbox_access_load_landing: u8;
    safe static rxbox_access_store32_at: u8;
    safe static rxbox_access_store64_at: u8;
    safe static rxbox_access_store_landing: u8;
    safe static rxbox_access_exchange_at: u8;
}

/// For the handler of SIGSEGV and SIGBUS: if the fault at host instruction `pc` is one of an access to guest
/// memory, the address at which the thread must go on. Async-signal-safe.
pub fn fixup(pc: usize) -> Option<usize> {
    let address = |label: &u8| std::ptr::from_ref(label).addr();
    let landing = match pc {
        pc if pc == address(&rxbox_access_copy_at) => &rxbox_access_copy_landing,
        pc if pc == address(&rxbox_access_load32_at) => &rxbox_access_load_landing,
        pc if pc == address(&rxbox_access_load64_at) => &rxbox_access_load_landing,
        pc if pc == address(&rxbox_access_store32_at) => &rxbox_access_store_landing,
        pc if pc == address(&rxbox_access_store64_at) => &rxbox_access_store_landing,
        pc if pc == address(&rxbox_access_exchange_at) => &rxbox_access_load_landing,
        _ => return None,
    };
    Some(address(landing))
}

/// Guest memory that is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("fault at guest address {addr:#x} after {done} bytes")]
pub struct Fault {
    /// The first address that could not be accessed.
    pub addr: u64,
    /// Bytes that were copied before it.
    pub done: usize,
}

impl From<Fault> for Errno {
    fn from(_: Fault) -> Errno {
        Errno::EFAULT
    }
}

/// Pages outside the windows that guest code may read: start and end.
static LENT: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// Lets guest pointers read `span`, which lies outside the windows: the host kernel's vDSO and its data.
/// Called once, before the guest runs; the pages must stay mapped and hold nothing of the runtime's.
pub fn lend(span: Span) {
    LENT[0].store(span.start, Ordering::Relaxed);
    LENT[1].store(span.end, Ordering::Release);
}

/// Bytes from `addr`, at most `len`, that lie in one range where the guest may store, or load.
fn permitted(addr: u64, len: usize, load: bool) -> usize {
    let lent = Span { end: LENT[1].load(Ordering::Acquire), start: LENT[0].load(Ordering::Relaxed) };
    let inside = windows().into_iter().chain(load.then_some(lent)).find(|span| span.contains(addr));
    let room = inside.map_or(0, |span| span.end - addr);
    len.min(usize::try_from(room).unwrap_or(usize::MAX))
}

fn outcome(addr: u64, len: usize, done: usize) -> Result<(), Fault> {
    if done == len { Ok(()) } else { Err(Fault { addr: addr.wrapping_add(done as u64), done }) }
}

/// Copies `len` bytes of guest memory at `addr` to `dst`.
///
/// # Errors
/// [`Fault`] with the number of bytes that were copied; what lies after them in `dst` is unchanged.
///
/// # Safety
/// `dst` is valid for writes of `len` bytes, which nobody borrows meanwhile, and is not guest memory.
pub unsafe fn copy_in_raw(dst: *mut u8, addr: u64, len: usize) -> Result<(), Fault> {
    let allowed = permitted(addr, len, true);
    // SAFETY: stores go to `dst`, which the caller vouches for; loads come from guest windows or lent pages,
    // where a fault ends the copy by way of `fixup`, and where no Rust object lives.
    let left = unsafe { rxbox_access_copy(dst, std::ptr::with_exposed_provenance(addr as usize), allowed) };
    outcome(addr, len, allowed - left)
}

/// Copies `len` bytes at `src` to guest memory at `addr`.
///
/// # Errors
/// [`Fault`] with the number of bytes that were copied.
///
/// # Safety
/// `src` is valid for reads of `len` bytes.
pub unsafe fn copy_out_raw(addr: u64, src: *const u8, len: usize) -> Result<(), Fault> {
    let allowed = permitted(addr, len, false);
    // SAFETY: loads come from `src`, which the caller vouches for; stores go to guest windows, where a fault
    // ends the copy by way of `fixup`, and where no Rust object lives.
    let left =
        unsafe { rxbox_access_copy(std::ptr::with_exposed_provenance_mut(addr as usize), src, allowed) };
    outcome(addr, len, allowed - left)
}

/// Fills `dst` from guest memory at `addr`.
///
/// # Errors
/// [`Fault`] with the number of bytes that were copied.
pub fn copy_in(dst: &mut [u8], addr: u64) -> Result<(), Fault> {
    // SAFETY: `dst` is exclusively borrowed and so many bytes long.
    unsafe { copy_in_raw(dst.as_mut_ptr(), addr, dst.len()) }
}

/// Writes `src` to guest memory at `addr`.
///
/// # Errors
/// [`Fault`] with the number of bytes that were copied.
pub fn copy_out(addr: u64, src: &[u8]) -> Result<(), Fault> {
    // SAFETY: `src` is borrowed and so many bytes long.
    unsafe { copy_out_raw(addr, src.as_ptr(), src.len()) }
}

/// Loads 4 bytes, in one access if they are aligned.
///
/// # Errors
/// [`Fault`] if not all of them can be read.
pub fn read_u32(addr: u64) -> Result<u32, Fault> {
    outcome(addr, 4, permitted(addr, 4, true))?;
    // SAFETY: the bytes lie where the guest may load; a fault comes back by way of `fixup`.
    let loaded = unsafe { rxbox_access_load32(addr) };
    if loaded.faulted == 0 { Ok(loaded.value as u32) } else { Err(Fault { addr, done: 0 }) }
}

/// Loads 8 bytes, in one access if they are aligned.
///
/// # Errors
/// [`Fault`] if not all of them can be read.
pub fn read_u64(addr: u64) -> Result<u64, Fault> {
    outcome(addr, 8, permitted(addr, 8, true))?;
    // SAFETY: the bytes lie where the guest may load; a fault comes back by way of `fixup`.
    let loaded = unsafe { rxbox_access_load64(addr) };
    if loaded.faulted == 0 { Ok(loaded.value) } else { Err(Fault { addr, done: 0 }) }
}

/// Stores 4 bytes, in one access if they are aligned.
///
/// # Errors
/// [`Fault`] if not all of them can be written.
pub fn write_u32(addr: u64, value: u32) -> Result<(), Fault> {
    outcome(addr, 4, permitted(addr, 4, false))?;
    // SAFETY: the bytes lie in a guest window; a fault comes back by way of `fixup`.
    let faulted = unsafe { rxbox_access_store32(addr, value.into()) };
    if faulted == 0 { Ok(()) } else { Err(Fault { addr, done: 0 }) }
}

/// Stores 8 bytes, in one access if they are aligned.
///
/// # Errors
/// [`Fault`] if not all of them can be written.
pub fn write_u64(addr: u64, value: u64) -> Result<(), Fault> {
    outcome(addr, 8, permitted(addr, 8, false))?;
    // SAFETY: the bytes lie in a guest window; a fault comes back by way of `fixup`.
    let faulted = unsafe { rxbox_access_store64(addr, value) };
    if faulted == 0 { Ok(()) } else { Err(Fault { addr, done: 0 }) }
}

/// Replaces the aligned 4 bytes `old` by `new`, as one atomic access; gives the value that was there, `old`
/// or another.
///
/// # Errors
/// [`Fault`] if they cannot be written or are not aligned.
pub fn compare_exchange_u32(addr: u64, old: u32, new: u32) -> Result<u32, Fault> {
    let aligned = if addr.is_multiple_of(4) { 4 } else { 0 };
    outcome(addr, 4, permitted(addr, aligned, false))?;
    // SAFETY: the bytes lie in a guest window; a fault comes back by way of `fixup`.
    let found = unsafe { rxbox_access_exchange(addr, old, new) };
    if found.faulted == 0 { Ok(found.value as u32) } else { Err(Fault { addr, done: 0 }) }
}

/// Copies a string that ends with NUL, without the NUL. Memory beyond the NUL need not exist.
///
/// # Errors
/// `EFAULT` if memory ends before the string does; `ENAMETOOLONG` if no NUL is among the first `max` bytes,
/// as the kernel says of paths.
pub fn copy_str(addr: u64, max: usize) -> Result<Vec<u8>, Errno> {
    const CHUNK: usize = 256;
    let mut text = Vec::new();
    while text.len() < max {
        let at = addr.wrapping_add(text.len() as u64);
        // A chunk ends with its page: behind that of the last strings of a stack there is nothing, and a
        // fault is expensive.
        let page = (PAGE - at % PAGE) as usize;
        let mut chunk = [0; CHUNK];
        let chunk = &mut chunk[..CHUNK.min(max - text.len()).min(page)];
        let copied = copy_in(chunk, at);
        let got = copied.map_or_else(|fault| fault.done, |()| chunk.len());
        let got = chunk.get(..got).unwrap_or_default();
        match got.iter().position(|&byte| byte == 0) {
            Some(end) => {
                text.extend_from_slice(&got[..end]);
                return Ok(text);
            }
            None => text.extend_from_slice(got),
        }
        copied?;
    }
    Err(Errno::ENAMETOOLONG)
}

#[cfg(test)]
mod tests;

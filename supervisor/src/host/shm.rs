//! The channel's shared memory, seen from the supervisor.
//!
//! The other side is hostile and writes to this memory at any time. Therefore:
//! * no Rust reference to it exists, but to single words that are only accessed as atomics;
//! * data are copied out by an instruction that the compiler knows nothing about, so it can neither read
//!   twice nor assume that what it read stays;
//! * it cannot be taken away: the memory file is sealed against shrinking before it is shared, so that no
//!   access here raises SIGBUS.

use crate::host::transfer::Buffer;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::fstat;
use rxbox_wire::channel::{
    ATTENTION, CONTENDED, GUEST_PROCESSOR, GUEST_SLEEPS, INTERRUPT, REPLY, REQUEST, TURN, WORKER_PROCESSOR,
    WORKER_SLEEPS,
};
use rxbox_wire::frame::{Reply, Request};
use rxbox_wire::handoff::{Handoff, IDLE};
use rxbox_wire::sizes::{ABSENT, DATA_SIZE, HEADER_SIZE, MAX_SLOTS, SLOT_SIZE};
use std::arch::asm;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A channel: the memory that a guest process shares with its workers.
#[derive(Debug)]
pub struct Channel {
    memory: OwnedFd,
    base: NonNull<u8>,
    slots: usize,
}

// SAFETY: the mapping belongs to the value and is only accessed through atomics, the kernel and opaque
// copies.
unsafe impl Send for Channel {}
// SAFETY: as above.
unsafe impl Sync for Channel {}

/// A memory file for a channel. The limit on file sizes of the process that makes it holds for it like for
/// any file: where that is narrow there are slots for fewer threads. EFBIG if there is none for one.
pub fn memory() -> Result<OwnedFd, Errno> {
    let (most, _) = getrlimit(Resource::RLIMIT_FSIZE)?;
    let slots = (most / SLOT_SIZE as u64).min(MAX_SLOTS as u64);
    if slots == 0 {
        return Err(Errno::EFBIG);
    }
    let memory = memfd_create(c"rxbox-channel", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    nix::unistd::ftruncate(&memory, slots as i64 * SLOT_SIZE as i64)?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&memory, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(memory)
}

impl Channel {
    /// A new channel; all slots are idle.
    pub fn new() -> Result<Channel, Errno> {
        Channel::of(memory()?)
    }

    /// The channel in this memory file, which is new and as [`memory`] makes it.
    pub fn of(memory: OwnedFd) -> Result<Channel, Errno> {
        let slots = usize::try_from(fstat(&memory)?.st_size).map_or(0, |size| size / SLOT_SIZE);
        let size = NonZeroUsize::new(slots * SLOT_SIZE).ok_or(Errno::EINVAL)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new shared mapping wherever the kernel likes.
        let base = unsafe { mmap(None, size, protection, MapFlags::MAP_SHARED, &memory, 0) }?;
        Ok(Channel { memory, base: base.cast(), slots })
    }

    /// How many slots it has.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The memory file, to hand to the child.
    pub fn memory(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }

    /// Slot `n`; `None` beyond the last.
    pub fn slot(&self, n: usize) -> Option<Slot<'_>> {
        if n >= self.slots {
            return None;
        }
        // SAFETY: the slot lies within the mapping, which has that many.
        let base = unsafe { self.base.add(n * SLOT_SIZE) };
        Some(Slot { base, life: PhantomData })
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made in `of`; slots and areas borrow from the channel, so none is
        // left.
        let _ = unsafe { munmap(self.base.cast::<c_void>(), self.slots * SLOT_SIZE) };
    }
}

/// Why a call is interrupted; in the word any other value that is not 0 means the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Interrupt {
    /// The guest thread has something else to do.
    LookUp = 1,
    /// The process was stopped and goes on.
    Continued = 2,
}

/// One slot.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a> {
    base: NonNull<u8>,
    life: PhantomData<&'a Channel>,
}

// SAFETY: a slot is accessed only through atomics, the kernel and opaque copies.
unsafe impl Send for Slot<'_> {}
// SAFETY: as above.
unsafe impl Sync for Slot<'_> {}

impl<'a> Slot<'a> {
    fn word(&self, offset: usize) -> &'a AtomicU32 {
        // SAFETY: the offsets used are multiples of 4 within the header page of a page-aligned slot, the
        // mapping lives as long as `'a`, and everybody on this side accesses the words as atomics.
        unsafe { self.base.add(offset).cast().as_ref() }
    }

    fn long(&self, offset: usize) -> &'a AtomicU64 {
        // SAFETY: as for `word`, with multiples of 8.
        unsafe { self.base.add(offset).cast().as_ref() }
    }

    /// The worker's view of the hand-over words.
    pub fn handoff(&self) -> Handoff<'a> {
        Handoff {
            turn: self.word(TURN),
            i_sleep: self.word(WORKER_SLEEPS),
            peer_sleeps: self.word(GUEST_SLEEPS),
            my_processor: self.word(WORKER_PROCESSOR),
            peer_processor: self.word(GUEST_PROCESSOR),
        }
    }

    /// The guest thread's view of the hand-over words, for those who play it.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn guest_handoff(&self) -> Handoff<'a> {
        Handoff {
            turn: self.word(TURN),
            i_sleep: self.word(GUEST_SLEEPS),
            peer_sleeps: self.word(WORKER_SLEEPS),
            my_processor: self.word(GUEST_PROCESSOR),
            peer_processor: self.word(WORKER_PROCESSOR),
        }
    }

    /// The word by which the guest thread asks to interrupt its call.
    pub fn interrupt(&self) -> &'a AtomicU32 {
        self.word(INTERRUPT)
    }

    /// The word by which the guest thread is asked to look up.
    pub fn attention(&self) -> &'a AtomicU32 {
        self.word(ATTENTION)
    }

    /// Whether the call was interrupted since the process was stopped and goes on.
    pub fn was_continued(&self) -> bool {
        self.interrupt().load(Ordering::Relaxed) == Interrupt::Continued as u32
    }

    /// Clears the request to interrupt, which was for a call that is over. It is rarely set, and a word that
    /// is not written stays in the caches of both cores.
    pub fn clear_interrupt(&self) {
        if self.interrupt().load(Ordering::Relaxed) != 0 {
            self.interrupt().store(0, Ordering::Relaxed);
        }
    }

    /// The word by which the guest thread says that cores are short.
    pub fn contended(&self) -> &'a AtomicU32 {
        self.word(CONTENDED)
    }

    /// Makes the slot idle for a new guest thread.
    pub fn reset(&self) {
        self.interrupt().store(0, Ordering::Relaxed);
        self.contended().store(0, Ordering::Relaxed);
        self.word(GUEST_PROCESSOR).store(0, Ordering::Relaxed);
        self.attention().store(0, Ordering::Relaxed);
        self.handoff().turn.store(IDLE, Ordering::Release);
    }

    /// The request's bytes, each word read once; of one that is sent without them, lengths that say so.
    pub fn request(&self) -> [u8; Request::SIZE] {
        let mut bytes = [ABSENT.to_ne_bytes()[0]; Request::SIZE];
        let (head, lengths) = bytes.split_at_mut(Request::HEAD);
        self.read_words(REQUEST, head);
        if !Request::is_bare(head) {
            self.read_words(REQUEST + Request::HEAD, lengths);
        }
        bytes
    }

    fn read_words(&self, offset: usize, bytes: &mut [u8]) {
        for (i, part) in bytes.chunks_exact_mut(8).enumerate() {
            part.copy_from_slice(&self.long(offset + 8 * i).load(Ordering::Relaxed).to_ne_bytes());
        }
    }

    /// Writes the reply's bytes.
    pub fn reply(&self, bytes: &[u8; Reply::SIZE]) {
        for (i, part) in bytes.chunks_exact(8).enumerate() {
            let word = u64::from_ne_bytes(std::array::from_fn(|k| part[k]));
            self.long(REPLY + 8 * i).store(word, Ordering::Relaxed);
        }
    }

    /// Writes the request's bytes, for those who play the guest thread.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn write_request(&self, bytes: &[u8; Request::SIZE]) {
        for (i, part) in bytes.chunks_exact(8).enumerate() {
            let word = u64::from_ne_bytes(std::array::from_fn(|k| part[k]));
            self.long(REQUEST + 8 * i).store(word, Ordering::Relaxed);
        }
    }

    /// The reply's bytes, for those who play the guest thread.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn read_reply(&self) -> [u8; Reply::SIZE] {
        let mut bytes = [0; Reply::SIZE];
        self.read_words(REPLY, &mut bytes);
        bytes
    }

    /// The data area.
    pub fn area(&self) -> Area<'a> {
        // SAFETY: the data area lies behind the header within the slot.
        let start = unsafe { self.base.add(HEADER_SIZE) };
        Area { start, len: DATA_SIZE, life: PhantomData }
    }
}

const _: () = assert!(Request::SIZE.is_multiple_of(8) && REQUEST.is_multiple_of(8));
const _: () = assert!(Request::HEAD.is_multiple_of(8) && ABSENT == u32::MAX);
const _: () = assert!(Reply::SIZE.is_multiple_of(8) && REPLY.is_multiple_of(8));

/// A data area: memory that both sides and the kernel write. Ranges beyond its end are cut, so that no caller
/// can make an access out of bounds.
#[derive(Clone, Copy, Debug)]
pub struct Area<'a> {
    start: NonNull<u8>,
    len: usize,
    life: PhantomData<&'a ()>,
}

// SAFETY: the area is accessed only by the kernel and opaque copies.
unsafe impl Send for Area<'_> {}

impl<'a> Area<'a> {
    /// Private memory in the role of a data area.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn from_slice(memory: &'a mut [u8]) -> Area<'a> {
        Area { start: NonNull::from(&mut memory[0]), len: memory.len(), life: PhantomData }
    }

    /// `len` bytes from byte `offset` on, for the kernel.
    pub fn buffer(&self, offset: usize, len: usize) -> Buffer<'a> {
        let len = len.min(self.len - offset.min(self.len));
        // SAFETY: the range lies in the area, which is mapped for `'a` and of which there are no references.
        unsafe { Buffer::from_raw(self.pointer(offset), len) }
    }

    /// Where byte `offset` lies. At most the area's end.
    fn pointer(&self, offset: usize) -> *mut u8 {
        // SAFETY: not beyond one past the end.
        unsafe { self.start.add(offset.min(self.len)).as_ptr() }
    }

    /// Copies `data` in from byte `offset` on.
    pub fn write(&self, offset: usize, data: &[u8]) {
        let room = self.len - offset.min(self.len);
        // SAFETY: the source is a slice; the destination has room for that many bytes.
        unsafe { copy(data.as_ptr(), self.pointer(offset), data.len().min(room)) }
    }

    /// Replaces the content of `to` by `len` bytes from byte `offset` on. The vector's memory is reused.
    pub fn read(&self, offset: usize, len: usize, to: &mut Vec<u8>) {
        let n = len.min(self.len - offset.min(self.len));
        to.clear();
        to.reserve(n);
        // SAFETY: the source has `n` bytes, the destination room for them, and they are initialised by the
        // copy.
        unsafe {
            copy(self.pointer(offset), to.as_mut_ptr(), n);
            to.set_len(n);
        }
    }
}

/// Copies memory that others may write at the same time.
///
/// # Safety
/// `from` is readable and `to` writable for `n` bytes, and they do not overlap.
unsafe fn copy(from: *const u8, to: *mut u8, n: usize) {
    // SAFETY: the caller's promise; the direction flag is clear by the calling convention.
    unsafe {
        asm!("rep \
            movsb", inout("rcx") n => _, inout("rsi") from => _, inout("rdi") to => _, options(nostack,
            preserves_flags));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_cannot_be_shrunk_or_unsealed() {
        let channel = Channel::new().unwrap();
        assert_eq!(nix::unistd::ftruncate(channel.memory(), 0), Err(Errno::EPERM));
        let seals = FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_WRITE);
        assert_eq!(fcntl(channel.memory(), seals), Err(Errno::EPERM));
    }

    #[test]
    fn slots_exist_up_to_the_last_and_do_not_overlap() {
        let channel = Channel::new().unwrap();
        assert!(channel.slot(MAX_SLOTS).is_none());
        assert!(channel.slot(usize::MAX).is_none());
        let last = channel.slot(MAX_SLOTS - 1).unwrap();
        last.area().write(DATA_SIZE - 1, b"x");
        let (a, b) = (channel.slot(0).unwrap(), channel.slot(1).unwrap());
        assert_eq!(a.area().pointer(DATA_SIZE), b.base.as_ptr());
    }

    #[test]
    fn requests_and_replies_come_back_as_they_were_written() {
        let channel = Channel::new().unwrap();
        let slot = channel.slot(3).unwrap();
        let request = std::array::from_fn(|i| i as u8);
        slot.write_request(&request);
        assert_eq!(slot.request(), request);
        let reply = std::array::from_fn(|i| 200 - i as u8);
        slot.reply(&reply);
        assert_eq!(slot.read_reply(), reply);
    }

    #[test]
    fn a_request_without_data_has_no_lengths_whatever_lies_in_their_place() {
        let channel = Channel::new().unwrap();
        let slot = channel.slot(0).unwrap();
        let request = Request { nr: 39, flags: Request::PART, args: [7; 6], len: [ABSENT; 6] };
        slot.write_request(&[3; Request::SIZE]);
        let (bytes, sent) = request.packed();
        assert_eq!(sent, Request::HEAD);
        for (at, word) in bytes[..sent].chunks_exact(8).enumerate() {
            let word = u64::from_ne_bytes(word.try_into().unwrap());
            slot.long(REQUEST + 8 * at).store(word, Ordering::Relaxed);
        }
        let flags = Request::PART | Request::BARE;
        assert_eq!(Request::decode(&slot.request()), Request { flags, ..request });
    }

    #[test]
    fn accesses_beyond_the_area_are_cut() {
        let mut memory = [7u8; 16];
        let area = Area::from_slice(&mut memory);
        area.write(12, b"abcdefgh");
        area.write(usize::MAX, b"zz");
        let mut out = vec![0; 100];
        area.read(10, usize::MAX, &mut out);
        assert_eq!(out, b"\x07\x07abcd");
        area.read(17, 1, &mut out);
        assert_eq!(out, b"");
    }
}

//! A guest thread's processor: the owner of its [`ThreadArea`], and the safe way into translated code. It is
//! made by one host thread ([`NewCpu`]), with the guest state that it is to begin with, and adopted by
//! another, if need be.

use super::blocks::HostEntry;
use super::enter;
use super::state::CpuState;
use super::stop::{SignalRing, ThreadArea};
use crate::host::cpu::VectorKind;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

/// A processor that no host thread has adopted yet.
#[derive(Debug)]
pub struct NewCpu {
    area: NonNull<ThreadArea>,
}

// SAFETY: what the area owns is plain memory, which only the owner of this value and, by atomics, its handles
// access.
unsafe impl Send for NewCpu {}

impl NewCpu {
    /// A processor in its initial state.
    #[expect(clippy::new_without_default, reason = "there is nothing that it would be the default of")]
    pub fn new() -> NewCpu {
        let area = Box::new(ThreadArea { cpu: CpuState::new(), ring: SignalRing::default() });
        NewCpu { area: NonNull::from(Box::leak(area)) }
    }

    /// The guest state that it begins with.
    pub fn state(&mut self) -> &mut CpuState {
        // SAFETY: the area lives as long as this value, which is borrowed; no thread runs with it yet.
        unsafe { &mut self.area.as_mut().cpu }
    }

    /// A handle by which other threads can see and kick its thread. To be registered once it is certain that
    /// there will be one: the memory goes with this value if nobody adopts it.
    pub fn handle(&self) -> ThreadHandle {
        ThreadHandle(self.area)
    }

    /// Makes this host thread its thread. The memory is not freed before the thread ends ([`Cpu::release`]),
    /// since a signal may come at any time.
    pub fn adopt(self, kind: VectorKind) -> Cpu {
        let area = ManuallyDrop::new(self).area;
        // SAFETY: the area is not freed any more and is this thread's alone.
        unsafe { enter::adopt(&raw mut (*area.as_ptr()).cpu, kind) };
        Cpu { area }
    }
}

impl Drop for NewCpu {
    fn drop(&mut self) {
        // SAFETY: made by `new` as a box, and never adopted.
        drop(unsafe { Box::from_raw(self.area.as_ptr()) });
    }
}

/// The processor of the calling host thread. Not `Send`: translated code addresses it through this thread's
/// GS base.
#[derive(Debug)]
pub struct Cpu {
    area: NonNull<ThreadArea>,
}

impl Cpu {
    /// The guest state, complete while the runtime runs.
    pub fn state(&mut self) -> &mut CpuState {
        // SAFETY: the area lives as long as the thread. `self` is borrowed, so the thread is not in `enter`;
        // a signal handler on this thread touches only atomics, the ring and `raw`, the latter only inside
        // `enter`.
        unsafe { &mut self.area.as_mut().cpu }
    }

    /// Signals that arrived at this thread.
    pub fn ring(&self) -> &SignalRing {
        // SAFETY: as above; the ring is made for being shared with the handler.
        unsafe { &(*self.area.as_ptr()).ring }
    }

    /// Whether there is work to look after before guest code may run.
    pub fn pending(&self) -> bool {
        // SAFETY: an atomic in the area.
        unsafe { (*self.area.as_ptr()).cpu.pending.load(Ordering::SeqCst) != 0 }
    }

    /// Says that pending work is about to be looked after. The caller then looks at every source of it.
    pub fn clear_pending(&self) {
        // SAFETY: an atomic in the area.
        unsafe { (*self.area.as_ptr()).cpu.pending.store(0, Ordering::SeqCst) };
    }

    /// Says that nothing that this thread still has to do depends on the block that it left.
    pub fn outside(&self) {
        // SAFETY: an atomic in the area.
        unsafe { (*self.area.as_ptr()).cpu.in_cache.store(0, Ordering::Release) };
    }

    /// A handle by which other threads can see and kick this one.
    pub fn handle(&self) -> ThreadHandle {
        ThreadHandle(self.area)
    }

    /// Makes this thread look after pending work before it enters translated code again.
    pub fn kick(&self) {
        self.handle().kick();
    }

    /// Gives the memory back. Every signal is blocked, and stays so until the host thread ends.
    pub fn release(self) {
        // SAFETY: made by `adopt` as a box; no handler runs on this thread any more, and its handle was taken
        // back.
        drop(unsafe { Box::from_raw(self.area.as_ptr()) });
    }

    /// Runs translated code; returns the exit number or [`enter::EXIT_ABORTED`].
    pub fn enter(&mut self, at: HostEntry) -> u32 {
        // SAFETY: this thread adopted the area; a `HostEntry` is a block's entry in the cache, and the cache
        // is only flushed while every thread is outside and has `pending` set, which the prologue sees.
        unsafe { enter::enter(at.address()) }
    }
}

/// What other threads may touch of a thread: the two words by which it is asked to come out of translated
/// code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadHandle(NonNull<ThreadArea>);

// SAFETY: only the atomics behind the pointer are accessed, and the area is never freed while the thread is
// registered.
unsafe impl Send for ThreadHandle {}

impl ThreadHandle {
    /// Asks the thread to look after pending work before it enters translated code again.
    pub fn kick(&self) {
        // SAFETY: see the Send implementation.
        unsafe { (*self.0.as_ptr()).cpu.pending.store(1, Ordering::SeqCst) };
    }

    /// Whether the thread is in translated code or about to be.
    pub fn in_cache(&self) -> bool {
        // SAFETY: see the Send implementation.
        unsafe { (*self.0.as_ptr()).cpu.in_cache.load(Ordering::SeqCst) != 0 }
    }
}

//! The child's side of the channel.
//!
//! One slot belongs to one guest thread. Between calls nobody but this thread touches it; during a call the
//! worker owns it until the reply. The supervisor is trusted, but the memory is still never turned into a
//! Rust reference, because a hostile guest thread may write to any of it at any time.

use crate::guest::access::{self, Fault};
use crate::host::{call, cpu};
use crate::runtime::cpu::Cpu;
use nix::errno::Errno;
use rxbox_wire::boot::CONTROL_FD;
use rxbox_wire::channel as layout;
use rxbox_wire::frame::{Reply, Request};
use rxbox_wire::handoff::{self, Futex, Handoff};
use rxbox_wire::kind::Syscall;
use rxbox_wire::sizes::{self, INTERNAL};
use rxbox_wire::spin_policy::{Cores, SpinPolicy};
use rxbox_wire::table;
use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

/// Status of a process whose slot the supervisor has closed: to it the process has ended.
const CLOSED_STATUS: i32 = 128 + libc::SIGKILL;

/// The mapped channel of this process.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    base: *mut u8,
    cores: Cores,
}

// SAFETY: the mapping lives as long as the process; slots are handed out to one thread each.
unsafe impl Send for Channel {}
// SAFETY: as above.
unsafe impl Sync for Channel {}

/// The kernel's futex; `interruptible` sleeps end at once while work is pending.
struct HostFutex {
    interruptible: bool,
}

impl Futex for HostFutex {
    fn wait(&self, word: &AtomicU32, value: u32) {
        let args = [word.as_ptr() as u64, libc::FUTEX_WAIT as u64, value.into(), 0, 0, 0];
        // SAFETY: the word outlives the call.
        unsafe {
            match self.interruptible {
                true => call::interruptible(libc::SYS_futex, args),
                false => call::raw(libc::SYS_futex, args),
            }
        };
    }
    fn wake(&self, word: &AtomicU32) {
        let args = [word.as_ptr() as u64, libc::FUTEX_WAKE as u64, i32::MAX as u64, 0, 0, 0];
        // SAFETY: the word outlives the call.
        unsafe { call::raw(libc::SYS_futex, args) };
    }
}

impl Channel {
    /// Maps the channel behind `fd` and closes the descriptor.
    pub fn map(fd: i32) -> io::Result<Channel> {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping wherever the kernel likes.
        let base =
            unsafe { libc::mmap(std::ptr::null_mut(), sizes::CHANNEL_SIZE, prot, libc::MAP_SHARED, fd, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the mapping keeps the file; nobody else uses the number.
        unsafe { libc::close(fd) };
        Ok(Channel { base: base.cast(), cores: if cpu::allowed() > 1 { Cores::Free } else { Cores::One } })
    }

    /// Puts a new process's channel and control socket in the places of its parent's.
    ///
    /// # Errors
    /// As mmap(2) and dup2(2).
    pub fn take_line(&self, memory: &OwnedFd, control: &OwnedFd) -> Result<(), Errno> {
        self.replace(memory)?;
        let args = [control.as_raw_fd() as u64, CONTROL_FD as u64, 0, 0, 0, 0];
        // SAFETY: nothing in this process refers to the old socket but by its number, which the new one
        // takes.
        let done = unsafe { call::raw(libc::SYS_dup2, args) };
        if done < 0 { Err(Errno::from_raw(-done as i32)) } else { Ok(()) }
    }

    /// Maps another channel in this one's place: every slot is that one's then. The process has no other
    /// thread.
    fn replace(&self, memory: &OwnedFd) -> Result<(), Errno> {
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED);
        let (base, fd) = (self.base.cast(), memory.as_raw_fd());
        // SAFETY: replaces exactly the old channel's mapping, of which nobody holds a reference now.
        let mapped = unsafe { libc::mmap(base, sizes::CHANNEL_SIZE, prot, flags, fd, 0) };
        if mapped == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(()) }
    }

    /// The slot with this number.
    pub fn slot(&self, number: usize) -> Slot {
        assert!(number < sizes::MAX_SLOTS, "slot number out of range");
        // SAFETY: within the mapping.
        let base = unsafe { self.base.add(number * sizes::SLOT_SIZE) };
        Slot { base, number, cores: Cell::new(self.cores), policy: Default::default() }
    }

    /// The slot with this number, for a thread that begins with what the one of `other` knows of the cores.
    pub fn slot_like(&self, number: usize, other: &Slot) -> Slot {
        Slot { cores: other.cores.clone(), ..self.slot(number) }
    }
}

/// The slot of one guest thread.
#[derive(Debug)]
pub struct Slot {
    base: *mut u8,
    number: usize,
    cores: Cell<Cores>,
    /// For calls that may block and for those that do not.
    policy: [Cell<SpinPolicy>; 2],
}

// SAFETY: the mapping lives as long as the process, and a slot is used by one thread at a time.
unsafe impl Send for Slot {}

/// A call that was sent and has no reply yet.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    /// The worker slept and had to be woken.
    woke: bool,
    /// The call may take long.
    blocks: bool,
    /// It is a guest's call, which a signal interrupts.
    interruptible: bool,
}

impl Slot {
    /// The slot's number.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Bytes of the data area from `offset` to its end.
    pub fn room(&self, offset: usize) -> usize {
        sizes::DATA_SIZE.saturating_sub(offset)
    }

    /// Copies guest memory at `addr` into the data area; what does not fit is cut.
    ///
    /// # Errors
    /// [`Fault`] with the number of bytes that were copied.
    pub fn copy_from_guest(&self, offset: usize, addr: u64, len: usize) -> Result<(), Fault> {
        let (to, room) = self.data(offset);
        // SAFETY: `to` has room for that many bytes, and the worker does not own the slot now.
        unsafe { access::copy_in_raw(to, addr, len.min(room)) }
    }

    /// Copies out of the data area to guest memory at `addr`; what lies beyond its end is cut.
    ///
    /// # Errors
    /// [`Fault`] with the number of bytes that were copied.
    pub fn copy_to_guest(&self, offset: usize, addr: u64, len: usize) -> Result<(), Fault> {
        let (from, room) = self.data(offset);
        // SAFETY: `from` has that many bytes.
        unsafe { access::copy_out_raw(addr, from, len.min(room)) }
    }

    /// A pointer into the data area, with the bytes from there to its end.
    fn data(&self, offset: usize) -> (*mut u8, usize) {
        let offset = offset.min(sizes::DATA_SIZE);
        // SAFETY: within the slot's data area or one past its end.
        (unsafe { self.base.add(sizes::HEADER_SIZE + offset) }, sizes::DATA_SIZE - offset)
    }

    /// Copies into the data area; what does not fit is cut.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        let (to, room) = self.data(offset);
        // SAFETY: `to` has room for that many bytes, and the worker does not own the slot now.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len().min(room)) }
    }

    /// Copies out of the data area.
    pub fn read(&self, offset: usize, len: usize) -> Vec<u8> {
        let (from, room) = self.data(offset);
        let mut out = vec![0; len.min(room)];
        // SAFETY: `from` has that many bytes.
        unsafe { std::ptr::copy_nonoverlapping(from, out.as_mut_ptr(), out.len()) }
        out
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: an aligned word of the header page, only ever accessed as an atomic.
        unsafe { &*self.base.add(offset).cast() }
    }

    fn handoff(&self) -> Handoff<'_> {
        Handoff {
            turn: self.word(layout::TURN),
            i_sleep: self.word(layout::GUEST_SLEEPS),
            peer_sleeps: self.word(layout::WORKER_SLEEPS),
            my_processor: self.word(layout::GUEST_PROCESSOR),
            peer_processor: self.word(layout::WORKER_PROCESSOR),
        }
    }

    /// Sends a request whose data lie in the data area and waits for the reply. A signal that arrives
    /// meanwhile makes the supervisor interrupt a call of the guest's; the reply then says how far it came.
    /// The runtime's own requests do not wait for others, and what they are for, such as the program of an
    /// execve(2), must not fail because of a signal.
    pub fn call(&self, cpu: &Cpu, request: &Request) -> Reply {
        let begun = self.begin(request);
        self.finish(cpu, begun)
    }

    /// Sends a request; [`Slot::finish`] waits for the reply.
    pub fn begin(&self, request: &Request) -> Begun {
        let (bytes, sent) = request.packed();
        // SAFETY: the request's place in the header page.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.add(layout::REQUEST), sent) }
        // A wish to interrupt the call before came too late for that one, and must not meet this one.
        // It is rare, and a word that is not written stays on both cores.
        if self.word(layout::INTERRUPT).load(Ordering::Relaxed) != 0 {
            self.word(layout::INTERRUPT).store(0, Ordering::Relaxed);
        }
        let woke = self.handoff().pass(handoff::REQUEST, &HostFutex { interruptible: false });
        let blocks = table::row(request.nr).is_some_and(Syscall::blocks_worker);
        Begun { woke, blocks, interruptible: request.nr < INTERNAL }
    }

    /// In the first slot of a process that has just been forked: waits until the supervisor knows of the
    /// process. The slot was made such as if the process had asked for it. If its parent ended before it
    /// could tell, the slot is closed.
    pub fn await_birth(&self, cpu: &Cpu) {
        self.finish(cpu, Begun { woke: true, blocks: false, interruptible: false });
    }

    /// Waits for the reply. If the supervisor has closed the slot there is none, and the process ends.
    pub fn finish(&self, cpu: &Cpu, begun: Begun) -> Reply {
        let handoff = self.handoff();
        let Begun { woke, blocks, interruptible } = begun;
        let policy_for = &self.policy[usize::from(blocks)];
        let mut policy = policy_for.get();
        let mut wait = policy.begin(woke, self.cores.get());
        let mut asked = !interruptible;
        while !handoff.spin(handoff::REQUEST, &mut wait, cpu::current) {
            wait.sleeps();
            if cpu.pending() && !asked {
                asked = true;
                self.interrupt();
            }
            if handoff.sleep(handoff::REQUEST, &HostFutex { interruptible: !asked }) != handoff::REQUEST {
                break;
            }
        }
        policy.end(wait);
        policy_for.set(policy);
        if wait.has_lost_core() {
            self.word(layout::CONTENDED).store(1, Ordering::Relaxed);
        }
        if handoff.turn.load(Ordering::Acquire) == handoff::CLOSED {
            call::exit_process(CLOSED_STATUS);
        }
        let mut bytes = [0; Reply::SIZE];
        // SAFETY: the reply's place in the header page; the turn was taken with an acquire load.
        unsafe {
            std::ptr::copy_nonoverlapping(self.base.add(layout::REPLY), bytes.as_mut_ptr(), bytes.len());
        }
        let reply = Reply::decode(&bytes);
        if self.cores.get() != Cores::One {
            let contended = reply.flags & Reply::CONTENDED != 0;
            self.cores.set(if contended { Cores::Contended } else { Cores::Free });
        }
        if reply.flags & Reply::SIGNALLED != 0 {
            // The call raised a signal in its own caller: it is taken on the way out of the kernel, before
            // the guest goes on.
            call::enter_kernel();
        }
        reply
    }

    /// Asks the supervisor to interrupt the call under way in this slot.
    fn interrupt(&self) {
        self.word(layout::INTERRUPT).store(1, Ordering::SeqCst);
        let message = (self.number as u32).to_le_bytes();
        let flags = (libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) as u64;
        let args = [CONTROL_FD as u64, message.as_ptr() as u64, message.len() as u64, flags, 0, 0];
        // SAFETY: the message outlives the call.
        unsafe { call::raw(libc::SYS_sendto, args) };
    }

    /// Whether the supervisor wants this thread to look up.
    pub fn wants_attention(&self) -> bool {
        self.word(layout::ATTENTION).load(Ordering::Relaxed) != 0
    }

    /// Whether the supervisor has wanted this thread to look up since this was last asked.
    pub fn take_attention(&self) -> bool {
        self.wants_attention() && self.word(layout::ATTENTION).swap(0, Ordering::SeqCst) != 0
    }

    /// Says that this thread makes no more calls.
    pub fn close(&self) {
        self.handoff().pass(handoff::CLOSED, &HostFutex { interruptible: false });
    }
}

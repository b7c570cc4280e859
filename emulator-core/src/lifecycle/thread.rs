//! New guest threads: a guest thread is a host thread of the emulator child with a slot and a processor state
//! of its own.
//!
//! A new thread is made a processor state with its maker's registers, starts with every signal blocked, and
//! waits for its slot. Then it adopts its processor state, and only then opens its mask. It is one of the
//! process's threads as soon as it has a slot, so that nothing is done from then on that is to be done
//! without others.

use super::clone_args::CloneArgs;
use crate::base::result::SyscallResult;
use crate::base::sigset::SigSet;
use crate::channel::Slot;
use crate::host::thread::{BlockedSignals, spawn};
use crate::process::Process;
use crate::runtime::cpu::NewCpu;
use crate::signal::{lifecycle, ptrace};
use crate::thread::{Life, Thread, request};
use nix::errno::Errno;

/// A thread by the arguments of clone(2).
pub fn new_thread(thread: &mut Thread, args: &CloneArgs) -> SyscallResult {
    if args.has(libc::CLONE_PIDFD) {
        // Threads have no descriptors before Linux 6.9.
        return Errno::EINVAL.into();
    }
    let process = thread.process;
    let mut cpu = NewCpu::new();
    cpu.state().copy_guest(thread.state());
    cpu.state().gpr[0] = 0;
    if args.stack != 0 {
        cpu.state().gpr[4] = args.stack;
    }
    if args.has(libc::CLONE_SETTLS) {
        cpu.state().fs_base = args.tls;
    }
    let handle = cpu.handle();
    let mask = thread.signals.mask();
    let clear_child_tid = if args.has(libc::CLONE_CHILD_CLEARTID) { args.child_tid } else { 0 };
    let life = thread.life;
    let companion = args.is_companion();
    let body = move |(slot, tid)| {
        let mut thread = begin(process, cpu, slot, tid, mask, life);
        (thread.clear_child_tid, thread.companion) = (clear_child_tid, companion);
        life(thread);
    };
    let spawned = {
        let _blocked = BlockedSignals::all();
        spawn(body)
    };
    let Ok((tid, start)) = spawned else { return Errno::EAGAIN.into() };
    let slot = request::new_thread(thread, tid, args.event(), companion);
    let Ok(slot) = usize::try_from(slot) else { return SyscallResult::Value(slot) };
    for (flag, at) in
        [(libc::CLONE_CHILD_SETTID, args.child_tid), (libc::CLONE_PARENT_SETTID, args.parent_tid)]
    {
        if args.has(flag) {
            let _ = process.copy_out(at, &tid.to_le_bytes());
        }
    }
    process.join(handle);
    // It waits for this, so it is there.
    let _ = start.send((process.channel.slot_like(slot, &thread.slot), tid));
    if args.event() != 0 {
        ptrace::event(thread, args.event(), tid as u64);
    }
    SyscallResult::Value(tid.into())
}

/// The first steps of a new host thread.
fn begin(process: &'static Process, cpu: NewCpu, slot: Slot, tid: i32, mask: SigSet, life: Life) -> Thread {
    let cpu = cpu.adopt(process.vectors);
    std::mem::forget(BlockedSignals::but_faults());
    let mut thread = Thread::new(process, cpu, slot, tid, life);
    lifecycle::thread_start(&mut thread, mask);
    if thread.slot.wants_attention() {
        thread.cpu.kick();
    }
    thread
}

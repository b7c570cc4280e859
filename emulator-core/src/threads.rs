//! Guest threads: a guest thread is a host thread of the emulator child with a slot and a processor state of its own.
//!
//! A new thread is made a processor state with its maker's registers, starts with every signal blocked, and waits for its
//! slot. Then it adopts its processor state, and only then opens its mask. It is one of the process's threads as soon as it
//! has a slot, so that nothing is done from then on that is to be done without others. Futexes are the host's, on the guest's own words: guest and host addresses are the same.

use crate::base::sigset::SigSet;
use crate::channel::Slot;
use crate::guest::layout::window_of;
use crate::guest::{Span, access};
use crate::host::call;
use crate::host::thread::{BlockedSignals, is_leader, spawn};
use crate::process::Process;
use crate::runtime::thread::NewCpu;
use crate::signal::{self, ThreadSignals};
use crate::syscall::marshal::Error;
use crate::syscall::{Answer, copy_out, request};
use crate::thread::{Passing, Thread};
use crate::{clone3, cpu_loop, fork, robust, succession};
use libc::{
    EAGAIN, FUTEX_CMP_REQUEUE, FUTEX_CMP_REQUEUE_PI, FUTEX_LOCK_PI, FUTEX_LOCK_PI2, FUTEX_REQUEUE,
    FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_WAIT_REQUEUE_PI, FUTEX_WAKE_OP, WNOHANG,
};

/// clone(2), clone3(2), fork(2), vfork(2).
pub fn clone(thread: &mut Thread, nr: u32, args: &[u64; 6]) -> Answer {
    /// What makes a thread of the same process; clone(2) requires each for the next.
    const THREAD: u64 = (libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD) as u64;
    match i64::from(nr) {
        libc::SYS_clone if args[0] & THREAD == THREAD => new_thread(thread, args),
        libc::SYS_clone3 => clone3::clone3(thread, args),
        libc::SYS_clone => fork::fork(thread, &fork::Wanted::of_clone(args)),
        libc::SYS_vfork => fork::fork(thread, &fork::Wanted::VFORK),
        _ => fork::fork(thread, &fork::Wanted::FORK),
    }
}

/// A thread by the arguments of clone(2).
pub fn new_thread(thread: &mut Thread, args: &[u64; 6]) -> Answer {
    let [flags, stack, parent_tid, child_tid, tls, _] = *args;
    let has = move |flag: i32| flags & flag as u64 != 0;
    if has(libc::CLONE_PIDFD) {
        // Threads have no descriptors before Linux 6.9.
        return Answer::Value(-i64::from(libc::EINVAL));
    }
    let process = thread.process;
    let mut cpu = NewCpu::new();
    cpu.state().copy_guest(thread.state());
    cpu.state().gpr[0] = 0;
    if stack != 0 {
        cpu.state().gpr[4] = stack;
    }
    if has(libc::CLONE_SETTLS) {
        cpu.state().fs_base = tls;
    }
    let beacon = cpu.beacon();
    let mask = thread.signals.mask();
    let clear_child_tid = if has(libc::CLONE_CHILD_CLEARTID) { child_tid } else { 0 };
    let body = move |(slot, tid)| begin(process, cpu, slot, tid, mask, clear_child_tid);
    let spawned = {
        let _blocked = BlockedSignals::all();
        spawn(body)
    };
    let Ok((tid, start)) = spawned else { return Answer::Value(-i64::from(EAGAIN)) };
    let slot = request::new_thread(thread, tid);
    let Ok(slot) = usize::try_from(slot) else { return Answer::Value(slot) };
    for (flag, at) in [(libc::CLONE_CHILD_SETTID, child_tid), (libc::CLONE_PARENT_SETTID, parent_tid)] {
        if has(flag) {
            let _ = copy_out(process, at, &tid.to_le_bytes());
        }
    }
    succession::join(process, beacon);
    // It waits for this, so it is there.
    let _ = start.send((process.channel.slot_like(slot, &thread.slot), tid));
    Answer::Value(tid.into())
}

/// What a new host thread does.
fn begin(process: &'static Process, cpu: NewCpu, slot: Slot, tid: i32, mask: SigSet, clear_child_tid: u64) {
    let cpu = cpu.adopt(process.vectors);
    std::mem::forget(BlockedSignals::but_faults());
    let mut thread = Thread {
        process,
        cpu,
        slot,
        tid,
        signals: ThreadSignals::new(),
        clear_child_tid,
        robust_list: (0, 0),
        limit: None,
        left: None,
        faults: Passing::default(),
        exit: None,
    };
    signal::thread_start(&mut thread, mask);
    live(thread);
}

/// exit(2): this thread ends.
pub fn exit(thread: &mut Thread, status: i32) -> Answer {
    thread.exit = Some(status);
    Answer::Done
}

/// exit_group(2): the process ends.
pub fn exit_group(thread: &Thread, status: i32) -> ! {
    fork::release_parent(thread);
    call::exit_process(status)
}

/// The life of a guest thread from its first instruction on. Comes back when it has ended; the first thread of a process
/// does not, but takes on the programs that other threads execute.
pub fn live(mut thread: Thread) {
    loop {
        let status = cpu_loop::run(&mut thread);
        if !is_leader() {
            return end(thread, status);
        }
        succession::outlive(&mut thread, status);
    }
}

/// A thread has ended. The processor state is given back last, with every signal blocked for good.
fn end(thread: Thread, status: i32) {
    std::mem::forget(BlockedSignals::but_faults());
    pass_away(&thread);
    thread.slot.close();
    succession::leave(&thread, status);
    std::mem::forget(BlockedSignals::all());
    thread.cpu.release();
}

/// What the kernel does when a thread ends: robust futexes that it holds are marked, the word at clear_child_tid becomes 0
/// and its waiters wake (set_tid_address(2)).
pub fn pass_away(thread: &Thread) {
    robust::release(thread.robust_list.0, thread.tid);
    let at = thread.clear_child_tid;
    if at != 0 && copy_out(thread.process, at, &[0; 4]).is_ok() {
        let args = [at, libc::FUTEX_WAKE as u64, 1, 0, 0, 0];
        // SAFETY: a wake touches no memory; the word is the guest's.
        unsafe { call::raw(libc::SYS_futex, args) };
    }
}

/// futex(2) on guest words.
pub fn futex(thread: &Thread, args: &[u64; 6]) -> Answer {
    let op = args[1] as i32 & libc::FUTEX_CMD_MASK;
    // Some operations take a second word, and write it.
    let second = matches!(
        op,
        FUTEX_REQUEUE | FUTEX_CMP_REQUEUE | FUTEX_WAKE_OP | FUTEX_CMP_REQUEUE_PI | FUTEX_WAIT_REQUEUE_PI
    );
    if !is_guest_word(args[0]) || second && !is_guest_word(args[4]) {
        return Answer::Value(-i64::from(libc::EFAULT));
    }
    let mut host = *args;
    let left = thread.left.map(|left| left.time);
    if let Some(left) = &left {
        host[3] = left.as_ptr() as u64;
    }
    // SAFETY: the words are guest memory, where no Rust object lives; the timeout, the guest's or `left`, is only read. The
    // kernel checks all of them for faults.
    let result = unsafe {
        match op {
            FUTEX_WAIT | FUTEX_WAIT_BITSET | FUTEX_LOCK_PI | FUTEX_LOCK_PI2 | FUTEX_WAIT_REQUEUE_PI => {
                call::interruptible(libc::SYS_futex, host)
            }
            // A wake that a signal breaks off is one that a C library ends its program for.
            _ => call::raw(libc::SYS_futex, host),
        }
    };
    if result == -i64::from(libc::EINTR) {
        let timed = matches!(op, FUTEX_WAIT | FUTEX_WAIT_BITSET) && args[3] != 0;
        return Answer::Interrupted { restart: !timed };
    }
    Answer::Value(result)
}

/// futex_waitv(2) on guest words. The array is copied, so that what is checked is what the kernel sees.
pub fn futex_of_many(args: &[u64; 6]) -> Answer {
    /// Bytes of a `struct futex_waitv`: value, address, flags, and a word that must be 0.
    const WAITER: usize = 24;
    const MOST: usize = 128;
    let [waiters, count, flags, timeout, clock, _] = *args;
    let count = count as u32 as usize;
    if waiters == 0 || !(1..=MOST).contains(&count) {
        return Answer::Value(-i64::from(libc::EINVAL));
    }
    // Aligned as the kernel's structure is.
    let mut copy = vec![[0u64; WAITER / 8]; count];
    for (i, waiter) in copy.iter_mut().enumerate() {
        for (k, word) in waiter.iter_mut().enumerate() {
            match access::read_u64(waiters.wrapping_add((WAITER * i + 8 * k) as u64)) {
                Ok(value) => *word = value,
                Err(_) => return Answer::Value(-i64::from(libc::EFAULT)),
            }
        }
        if !is_guest_word(waiter[1]) {
            return Answer::Value(-i64::from(libc::EFAULT));
        }
    }
    let host = [copy.as_ptr() as u64, count as u64, flags, timeout, clock, 0];
    // SAFETY: the array lives here; words and time are the guest's, and the kernel only reads them, with checks for faults.
    let result = unsafe { call::interruptible(libc::SYS_futex_waitv, host) };
    if result == -i64::from(libc::EINTR) {
        return Answer::Interrupted { restart: true };
    }
    Answer::Value(result)
}

fn is_guest_word(addr: u64) -> bool {
    Span::at(addr, 4).is_some_and(|word| window_of(word).is_some())
}

/// wait4(2), waitid(2): the guest's children are host children of this process. `approved` is the supervisor's answer: for a
/// process descriptor the process's id, with bit 32 set if the wait is not to block.
pub fn wait(thread: &mut Thread, nr: u32, args: &[u64; 6], approved: i64) -> Answer {
    let mut status = [0u8; 128];
    let mut usage = [0u8; 144];
    let (at, options_at, usage_at) = if i64::from(nr) == libc::SYS_wait4 { (1, 2, 3) } else { (2, 3, 4) };
    let mut host = *args;
    let mut hurried = false;
    if at == 2 && args[0] as u32 == libc::P_PIDFD {
        (host[0], host[1]) = (libc::P_PID.into(), u64::from(approved as u32));
        hurried = approved >> 32 != 0 && args[3] & WNOHANG as u64 == 0;
        host[3] |= if hurried { WNOHANG as u64 } else { 0 };
    }
    if args[at] != 0 {
        host[at] = status.as_mut_ptr() as u64;
    }
    if args[usage_at] != 0 {
        host[usage_at] = usage.as_mut_ptr() as u64;
    }
    // SAFETY: both buffers are as large as what the kernel writes (siginfo_t 128, rusage 144).
    let result = unsafe {
        match host[options_at] & WNOHANG as u64 {
            0 => call::interruptible(nr.into(), host),
            _ => call::raw(nr.into(), host),
        }
    };
    if result == -i64::from(libc::EINTR) {
        return Answer::Interrupted { restart: true };
    }
    // Nobody has changed state if there is no signal number, the first word of a siginfo.
    if hurried && result == 0 && status[..4] == [0; 4] {
        return Answer::Value(-i64::from(EAGAIN));
    }
    if result >= 0 {
        let size = if at == 1 { 4 } else { 128 };
        let copied = give(thread, args[at], &status[..size]).and(give(thread, args[usage_at], &usage));
        if copied.is_err() {
            return Answer::Value(-i64::from(libc::EFAULT));
        }
    }
    Answer::Value(result)
}

fn give(thread: &Thread, addr: u64, bytes: &[u8]) -> Result<(), Error> {
    if addr == 0 { Ok(()) } else { copy_out(thread.process, addr, bytes) }
}

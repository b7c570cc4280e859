//! Scheduling of guest threads. A guest thread is a thread of an emulator child, so the host is asked about
//! that and told to treat it so; but only to step back: no guest gets more of the machine than it was given.

use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::number::{ScalarCall, scalar_call};
use crate::host::schedule::{Change, set_io_priority};
use crate::host::stat::Stat;
use crate::state::credentials as rules;
use crate::state::process::Process;
use nix::errno::Errno;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[
    ("getpriority", getpriority),
    ("setpriority", setpriority),
    ("ioprio_get", ioprio_get),
    ("ioprio_set", ioprio_set),
    ("sched_getaffinity", sched_getaffinity),
    ("sched_setaffinity", sched_setaffinity),
    ("sched_getscheduler", sched_getscheduler),
    ("sched_setscheduler", sched_setscheduler),
    ("sched_getparam", sched_getparam),
    ("sched_setparam", sched_setparam),
    ("sched_getattr", sched_getattr),
    ("sched_setattr", sched_setattr),
    ("sched_get_priority_max", sched_get_priority_max),
    ("sched_get_priority_min", sched_get_priority_min),
    ("sched_rr_get_interval", sched_rr_get_interval),
    ("getcpu", getcpu),
];

/// A thread of the sandbox: its process, and its number.
type Found = (Arc<Process>, i32);

/// The thread that a guest means by `tid`, 0 being the caller itself; ESRCH if it is none of the sandbox.
fn thread(call: &Call<'_>, tid: i32) -> Result<Found, Errno> {
    if tid == 0 || tid == call.tid {
        return Ok((call.process.clone(), call.tid));
    }
    Ok((call.sandbox.processes.meant(tid).ok_or(Errno::ESRCH)?, tid))
}

/// [`thread`] for a call that changes how it is scheduled, which is for its own user (EPERM).
fn changed(call: &Call<'_>, tid: i32) -> Result<Found, Errno> {
    let (process, tid) = thread(call, tid)?;
    let own = process.pid == call.process.pid;
    if own || rules::may_schedule(&call.credentials(), &process.credentials_of_thread(tid)) {
        Ok((process, tid))
    } else {
        Err(Errno::EPERM)
    }
}

/// [`thread`] for a call that only asks: that may be about the caller's parent too, which a program finds
/// alive wherever it runs. One outside of the sandbox is as the caller itself.
fn asked(call: &Call<'_>, tid: i32) -> Result<Found, Errno> {
    let found = thread(call, tid);
    if found.is_err() && tid == call.process.ppid() { thread(call, 0) } else { found }
}

/// EINVAL for a negative number, which the calls on policies tell from one that nobody has.
fn positive(tid: i32) -> Result<i32, Errno> {
    if tid < 0 { Err(Errno::EINVAL) } else { Ok(tid) }
}

/// How a number is turned into a thread.
type Find = fn(&Call<'_>, i32) -> Result<Found, Errno>;

/// The processes (by their first threads) or threads that getpriority(2) and its like name by `which` and
/// `who`.
fn members(call: &Call<'_>, which: u32, who: i32, find: Find) -> Result<Vec<Found>, Errno> {
    let pids = |keep: &dyn Fn(&Process) -> bool| -> Vec<Found> {
        call.sandbox.processes.all().into_iter().filter(|p| keep(p)).map(|p| (p.clone(), p.pid)).collect()
    };
    let group = if who == 0 { call.process.handle.group() } else { Some(who) };
    let found = match which {
        libc::PRIO_PROCESS => vec![find(call, who)?],
        libc::PRIO_PGRP => pids(&|p| p.handle.group() == group),
        libc::PRIO_USER => {
            let user = if who == 0 { call.credentials().user.real } else { who as u32 };
            pids(&|p| p.credentials().user.real == user)
        }
        _ => return Err(Errno::EINVAL),
    };
    if found.is_empty() { Err(Errno::ESRCH) } else { Ok(found) }
}

fn getpriority(call: &mut Call<'_>) -> SyscallResult {
    let members = members(call, call.u32(0), call.i32(1), asked)?;
    let priority = |(process, tid): Found| process.handle.thread(tid)?.priority();
    members.into_iter().filter_map(|found| priority(found).ok()).max().ok_or(Errno::ESRCH)
}

fn setpriority(call: &mut Call<'_>) -> SyscallResult {
    let members = members(call, call.u32(0), call.i32(1), thread)?;
    for (_, tid) in &members {
        changed(call, *tid)?;
    }
    let nice = call.i32(2).clamp(-20, 19);
    members.into_iter().try_fold(0, |_, (process, tid)| {
        call.sandbox.change(&process.handle.thread(tid)?, Change::Nice(nice))
    })
}

/// Whose input and output priority ioprio_get(2) and ioprio_set(2) mean, as [`members`] has it.
const IOPRIO_WHO_PROCESS: u32 = 1;
/// The class of a priority lies above its level.
const CLASS_SHIFT: u32 = 13;

fn whose(call: &Call<'_>) -> Result<u32, Errno> {
    /// IOPRIO_WHO_PROCESS and the like.
    const WHO: [u32; 3] = [libc::PRIO_PROCESS, libc::PRIO_PGRP, libc::PRIO_USER];
    let which = call.u32(0).checked_sub(1).ok_or(Errno::EINVAL)?;
    WHO.get(which as usize).copied().ok_or(Errno::EINVAL)
}

/// The best of them. A single process without one has none; among several it counts as what it gets.
fn ioprio_get(call: &mut Call<'_>) -> SyscallResult {
    let members = members(call, whose(call)?, call.i32(1), asked)?;
    let own = call.u32(0) == IOPRIO_WHO_PROCESS;
    let priority = |(process, tid): &Found| match process.attributes.io_priority.load(Relaxed) {
        0 if !own => by_nice(process, *tid),
        set => set,
    };
    Ok(members.iter().map(priority).min().unwrap_or(0).into())
}

/// The priority of a thread that has not set one, among others: best effort, by its niceness.
fn by_nice(process: &Process, tid: i32) -> u32 {
    const BEST_EFFORT: u32 = 2 << CLASS_SHIFT;
    // The kernel tells of niceness as 20 minus it.
    let priority = process.handle.thread(tid).and_then(|thread| thread.priority()).unwrap_or(20);
    BEST_EFFORT | ((40 - priority.clamp(1, 40)) as u32 / 5)
}

/// The workers do the input and output of guests, so each has the priority of the process that it serves
/// ([`crate::host::schedule::set_io_priority`]). None is above what the supervisor may have.
fn ioprio_set(call: &mut Call<'_>) -> SyscallResult {
    const LEVELS: u32 = 0b111;
    let priority = call.u32(2);
    match (priority >> CLASS_SHIFT, priority & LEVELS) {
        (0, 0) | (2 | 3, _) => {}
        // The class of real time, which takes a capability.
        (1, _) => return Err(Errno::EPERM),
        _ => return Err(Errno::EINVAL),
    }
    let members = members(call, whose(call)?, call.i32(1), thread)?;
    for (_, tid) in &members {
        changed(call, *tid)?;
    }
    for (process, _) in members {
        process.attributes.io_priority.store(priority, Relaxed);
        for worker in process.threads.workers() {
            // One that is at its end needs none.
            let _ = set_io_priority(worker, priority);
        }
    }
    Ok(0)
}

fn sched_getaffinity(call: &mut Call<'_>) -> SyscallResult {
    let len = call.u32(1);
    // The kernel counts bits.
    if !len.is_multiple_of(8) || len.wrapping_mul(8) == 0 {
        return Err(Errno::EINVAL);
    }
    let (process, tid) = asked(call, call.i32(0))?;
    let n = process.handle.thread(tid)?.affinity(call.buffer(2).first(len as usize))?;
    call.filled(2, n as usize);
    Ok(n)
}

fn sched_setaffinity(call: &mut Call<'_>) -> SyscallResult {
    let (process, tid) = changed(call, call.i32(0))?;
    let len = call.u32(1) as usize;
    let mask = if len == 0 { &[] } else { call.need(2)? };
    if mask.is_empty() && len > 0 {
        return Err(Errno::EFAULT);
    }
    call.sandbox.change(&process.handle.thread(tid)?, Change::affinity(&mask[..mask.len().min(len)]))
}

/// Set in a policy to say that children start with the default again.
const RESET_ON_FORK: i32 = libc::SCHED_RESET_ON_FORK;

fn sched_getscheduler(call: &mut Call<'_>) -> SyscallResult {
    let (process, tid) = asked(call, positive(call.i32(0))?)?;
    process.handle.thread(tid)?.policy()
}

/// A policy without privilege. Real time and deadlines would take the machine from others: EPERM.
fn ordinary(policy: i32, priority: u32) -> Result<(), Errno> {
    match policy {
        libc::SCHED_OTHER | libc::SCHED_BATCH | libc::SCHED_IDLE if priority == 0 => Ok(()),
        libc::SCHED_FIFO | libc::SCHED_RR if (1..=99).contains(&priority) => Err(Errno::EPERM),
        _ => Err(Errno::EINVAL),
    }
}

/// `sched_priority` of the `sched_param` in argument `i`.
fn wanted_priority(call: &Call<'_>, i: usize) -> Result<u32, Errno> {
    Ok(u32::from_le_bytes(call.bytes(i)?.ok_or(Errno::EINVAL)?.try_into().map_err(|_| Errno::EFAULT)?))
}

fn sched_setscheduler(call: &mut Call<'_>) -> SyscallResult {
    let ((process, tid), policy) = (changed(call, positive(call.i32(0))?)?, call.i32(1));
    ordinary(policy & !RESET_ON_FORK, wanted_priority(call, 2)?)?;
    call.sandbox.change(&process.handle.thread(tid)?, Change::Policy(policy))
}

fn sched_getparam(call: &mut Call<'_>) -> SyscallResult {
    let (process, tid) = asked(call, positive(call.i32(0))?)?;
    process.handle.thread(tid)?;
    if !call.present(1) {
        return Err(Errno::EINVAL);
    }
    call.put(1, &0u32.to_le_bytes())?;
    Ok(0)
}

fn sched_setparam(call: &mut Call<'_>) -> SyscallResult {
    let (process, tid) = changed(call, positive(call.i32(0))?)?;
    // The record of threads may be behind.
    process.handle.thread(tid)?;
    if wanted_priority(call, 1)? == 0 { Ok(0) } else { Err(Errno::EINVAL) }
}

/// Bytes of the first version of `struct sched_attr`: size, policy, flags, nice, priority, and three times.
const ATTR_SIZE: usize = 48;
/// Bytes of the last version, which has limits of utilization.
const ATTR_SIZE_NOW: usize = 56;
/// The largest that the kernel looks at.
const ATTR_SIZE_MAX: usize = 4096;

fn sched_getattr(call: &mut Call<'_>) -> SyscallResult {
    let room = call.u32(2) as usize;
    if !(ATTR_SIZE..=ATTR_SIZE_MAX).contains(&room) || call.u32(3) != 0 || !call.present(1) {
        return Err(Errno::EINVAL);
    }
    let (process, tid) = asked(call, positive(call.i32(0))?)?;
    let thread = process.handle.thread(tid)?;
    let policy = thread.policy()? as i32;
    let nice = 20 - thread.priority()? as i32;
    let flags = u64::from(policy & RESET_ON_FORK != 0);
    let mut attr = vec![0; room];
    attr[..4].copy_from_slice(&(room.min(ATTR_SIZE_NOW) as u32).to_le_bytes());
    attr[4..8].copy_from_slice(&(policy & !RESET_ON_FORK).to_le_bytes());
    attr[8..16].copy_from_slice(&flags.to_le_bytes());
    attr[16..20].copy_from_slice(&nice.to_le_bytes());
    if room >= ATTR_SIZE_NOW {
        attr[52..56].copy_from_slice(&UTILIZATION_MAX.to_le_bytes());
    }
    call.put(1, &attr)?;
    Ok(0)
}

/// The largest utilization (SCHED_CAPACITY_SCALE), to which threads are limited at first.
const UTILIZATION_MAX: u32 = 1024;

/// The `sched_attr` of argument 1, as long as any version: EINVAL for none, E2BIG, with the size that is
/// known, for one of which this knows not all.
fn attributes(call: &mut Call<'_>) -> Result<[u8; ATTR_SIZE_NOW], Errno> {
    if !call.present(1) || call.u32(2) != 0 {
        return Err(Errno::EINVAL);
    }
    let given = call.need(1)?;
    let size = u32::from_le_bytes(*given.first_chunk().ok_or(Errno::EFAULT)?) as usize;
    let size = if size == 0 { ATTR_SIZE } else { size };
    let fits = (ATTR_SIZE..=ATTR_SIZE_MAX).contains(&size);
    if fits && given.len() < size {
        return Err(Errno::EFAULT);
    }
    if !fits || given[..size].iter().skip(ATTR_SIZE_NOW).any(|byte| *byte != 0) {
        call.put(1, &(ATTR_SIZE_NOW as u32).to_le_bytes())?;
        return Err(Errno::E2BIG);
    }
    let mut attr = [0; ATTR_SIZE_NOW];
    let known = size.min(ATTR_SIZE_NOW);
    attr[..known].copy_from_slice(&given[..known]);
    Ok(attr)
}

fn sched_setattr(call: &mut Call<'_>) -> SyscallResult {
    positive(call.i32(0))?;
    let attr = attributes(call)?;
    let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| attr[at + i]));
    let time = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
    let (policy, flags) = (word(4) as i32, word(8));
    if policy < 0 {
        return Err(Errno::EINVAL);
    }
    let (process, tid) = changed(call, call.i32(0))?;
    if flags & !1 != 0 || word(12) != 0 {
        return Err(Errno::EINVAL);
    }
    if policy == libc::SCHED_DEADLINE {
        return Err(deadline(time(24), time(32), time(40)));
    }
    ordinary(policy, word(20))?;
    let thread = process.handle.thread(tid)?;
    if policy != libc::SCHED_IDLE {
        call.sandbox.change(&thread, Change::Nice((word(16) as i32).clamp(-20, 19)))?;
    }
    call.sandbox.change(&thread, Change::Policy(if flags == 1 { policy | RESET_ON_FORK } else { policy }))
}

/// What a deadline answers (sched(7)): EPERM, if the times (in nanoseconds) are such as it can have at all.
fn deadline(runtime: u64, deadline: u64, period: u64) -> Errno {
    /// The resolution of run times.
    const LEAST: u64 = 1 << 10;
    const MOST: u64 = 1 << 63;
    let period = if period == 0 { deadline } else { period };
    let right = deadline != 0 && runtime >= LEAST && deadline < MOST && period < MOST;
    if right && runtime <= deadline && deadline <= period { Errno::EPERM } else { Errno::EINVAL }
}

fn sched_get_priority_max(call: &mut Call<'_>) -> SyscallResult {
    scalar_call(ScalarCall::SchedPriorityMax, [call.u32(0).into(), 0, 0])
}

fn sched_get_priority_min(call: &mut Call<'_>) -> SyscallResult {
    scalar_call(ScalarCall::SchedPriorityMin, [call.u32(0).into(), 0, 0])
}

fn sched_rr_get_interval(call: &mut Call<'_>) -> SyscallResult {
    let (process, tid) = asked(call, positive(call.i32(0))?)?;
    let interval = process.handle.thread(tid)?.interval()?;
    call.put_words(1, &interval).map(|()| 0)
}

/// The processor that the calling guest thread runs on, not the one that serves it.
fn getcpu(call: &mut Call<'_>) -> SyscallResult {
    const PROCESSOR: usize = 39;
    let stat = |pid, tid| Stat::of_thread(pid, tid).ok_or(Errno::ESRCH);
    let cpu = call.process.handle.look_at_thread(call.tid, stat)?.field(PROCESSOR) as u32;
    call.put(0, &cpu.to_le_bytes())?;
    call.put(1, &node_of(cpu).to_le_bytes())?;
    Ok(0)
}

/// The memory node of a processor; 0 on a machine that tells of none.
fn node_of(cpu: u32) -> u32 {
    let entries =
        std::fs::read_dir(format!("/sys/devices/system/cpu/cpu{cpu}")).into_iter().flatten().flatten();
    let mut nodes = entries.filter_map(|e| e.file_name().to_str()?.strip_prefix("node")?.parse().ok());
    nodes.next().unwrap_or(0)
}

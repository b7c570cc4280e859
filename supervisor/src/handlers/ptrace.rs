//! Tracing (ptrace(2)), and what goes with it: waits for children, which tell of traced threads, and access
//! to another process's memory.
//!
//! Nothing of it is the host's ptrace. Who may trace whom is decided here; a traced thread then stops by
//! itself, and its emulator child reads and writes its own memory for the tracer ([`crate::state::tracees`]).
//! So a tracer reaches what the guest process that it traces could reach itself, and a child that is not its
//! guest's emulator any more can only lie about that guest.

use crate::context::{Call, Entry, grant};
use crate::handlers::pidfd::waited_for;
use crate::host::SyscallResult;
use crate::state::credentials::may_look_into;
use crate::state::process::Process;
use crate::state::tracees::{Going, SigInfo, WaitFor, Waiter, Whom, Wish};
use nix::errno::Errno;
use rxbox_wire::ptrace::{EXTENDED, GENERAL, MASK, Mode, Order, StopKind, WaitAnswer, word};
use std::sync::Arc;

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[
    ("ptrace", ptrace),
    ("wait4", wait4),
    ("waitid", waitid),
    ("process_vm_readv", read_memory),
    ("process_vm_writev", write_memory),
];

/// `PTRACE_O_MASK`, without what is about filters, which guests have none of.
const OPTIONS: u32 = 0x7f | libc::PTRACE_O_EXITKILL as u32;
/// Bytes of the FXSAVE part, NT_FPREGSET.
const FLOATING: usize = 512;
/// Where the XSAVE header says what is in use.
const IN_USE: usize = EXTENDED + FLOATING;
const NT_PRSTATUS: u64 = 1;
const NT_PRFPREG: u64 = 2;
const NT_X86_XSTATE: u64 = 0x202;
/// Offsets of `u_debugreg` in `struct user`, and behind it.
const DEBUG_REGISTERS: std::ops::Range<u64> = 848..912;

/// What an unknown request answers: it is not looked at before it is known whom it is for.
pub(super) fn unknown(call: &Call<'_>, errno: Errno) -> Errno {
    call.sandbox.tracees.process_of(call.i32(1)).map_or(Errno::ESRCH, |_| errno)
}

fn ptrace(call: &mut Call<'_>) -> SyscallResult {
    let (request, tid) = (call.u32(0), call.i32(1));
    match request {
        libc::PTRACE_TRACEME => return trace_me(call),
        libc::PTRACE_ATTACH | libc::PTRACE_SEIZE => return attach(call, tid, request == libc::PTRACE_SEIZE),
        _ => {}
    }
    let (tracer, tracees) = (call.pid(), call.sandbox.tracees.clone());
    let process = tracees.process_of(tid).and_then(|pid| call.sandbox.processes.get(pid));
    // The event loop may not have seen its end.
    if process.is_none_or(|process| process.has_ended()) {
        return Err(Errno::ESRCH);
    }
    match request {
        libc::PTRACE_INTERRUPT => {
            if tracees.interrupt(tracer, tid)? {
                tracee(call, tid)?.attend(tid);
            }
            Ok(0)
        }
        libc::PTRACE_KILL => {
            if tracees.is_tracer(tracer, tid) {
                tracee(call, tid)?.kill();
                return Ok(0);
            }
            Err(Errno::ESRCH)
        }
        libc::PTRACE_PEEKTEXT | libc::PTRACE_PEEKDATA => {
            let bytes = tracees.ask(tracer, tid, Order::Read { addr: call.u64(2), len: 8 })?;
            if bytes.len() < 8 {
                return Err(Errno::EIO);
            }
            give(call, 3, &bytes)
        }
        libc::PTRACE_POKETEXT | libc::PTRACE_POKEDATA => {
            let bytes = call.u64(3).to_le_bytes().to_vec();
            let order = Order::Write { addr: call.u64(2), bytes };
            tracees.ask(tracer, tid, order).map(|_| 0).map_err(not_there)
        }
        libc::PTRACE_CONT | libc::PTRACE_SYSCALL | libc::PTRACE_SINGLESTEP | libc::PTRACE_DETACH => {
            go_on(call, tid, request)
        }
        _ => at_stop(call, tid, request),
    }
}

/// Memory that is not there is EIO to a tracer.
fn not_there(errno: Errno) -> Errno {
    if errno == Errno::ESRCH { errno } else { Errno::EIO }
}

fn give(call: &mut Call<'_>, i: usize, bytes: &[u8]) -> SyscallResult {
    call.put(i, bytes)?;
    Ok(0)
}

/// The process of a thread.
fn tracee(call: &Call<'_>, tid: i32) -> Result<Arc<Process>, Errno> {
    let processes = &call.sandbox.processes;
    let of_thread = || processes.all().into_iter().find(|p| p.threads.slot_of(tid).is_some());
    processes.get(tid).or_else(of_thread).ok_or(Errno::ESRCH)
}

/// The parent traces the caller from now on.
fn trace_me(call: &mut Call<'_>) -> SyscallResult {
    let parent = call.sandbox.processes.get(call.process.ppid()).ok_or(Errno::EPERM)?;
    let wish = Wish { tracer: parent.pid, seized: false, options: 0, signal: None, trap: false };
    let there = || !parent.ended();
    call.sandbox.tracees.add(call.process.pid, call.tid, wish, there).map_err(|_| Errno::EPERM)?;
    call.process.be_traced(&call.sandbox.tracees);
    // It may be waiting for a child in the kernel, which will not tell it.
    parent.threads.ids().into_iter().for_each(|tid| parent.kick(tid));
    Ok(0)
}

fn attach(call: &mut Call<'_>, tid: i32, seize: bool) -> SyscallResult {
    let options = if seize { call.u32(3) } else { 0 };
    let target = tracee(call, tid)?;
    if seize && (call.u64(2) != 0 || call.u64(3) & !u64::from(OPTIONS) != 0) {
        return Err(Errno::EIO);
    }
    target.handle.is_there()?;
    may_trace(call, &target, tid)?;
    let signal = (!seize).then(|| stop_signal(libc::SIGSTOP, 0, 0));
    let wish = Wish { tracer: call.pid(), seized: seize, options, signal, trap: false };
    let there = || !target.has_ended() && target.threads.slot_of(tid).is_some() && !call.process.ended();
    call.sandbox.tracees.add(target.pid, tid, wish, there)?;
    target.be_traced(&call.sandbox.tracees);
    target.attend(tid);
    Ok(0)
}

/// A process may trace any other of the sandbox that acts as the same user and has not made itself
/// untraceable, as on Linux without capabilities. None gets by it what it does not have: the policy is the
/// same for all.
fn may_trace(call: &Call<'_>, target: &Process, tid: i32) -> Result<(), Errno> {
    let dumpable = target.attributes.is_dumpable();
    let may = may_look_into(&call.credentials(), &target.credentials(), dumpable);
    // A companion may trace the threads of the process that it shares its memory with.
    let own = target.pid == call.process.pid && (call.pid() == target.pid || tid == call.tid);
    if !own && may { Ok(()) } else { Err(Errno::EPERM) }
}

/// A signal that a tracer has its tracee get.
fn stop_signal(signal: i32, pid: i32, uid: u32) -> SigInfo {
    crate::host::signal::Info::sent(signal, libc::SI_USER, pid, uid).shown()
}

fn go_on(call: &mut Call<'_>, tid: i32, request: u32) -> SyscallResult {
    let mode = match request {
        libc::PTRACE_CONT => Mode::TRACED,
        libc::PTRACE_SYSCALL => Mode::TRACED | Mode::CALLS,
        libc::PTRACE_SINGLESTEP => Mode::TRACED | Mode::STEP,
        _ => Mode::empty(),
    };
    let number = call.u64(3);
    if number > 64 {
        return Err(Errno::EIO);
    }
    let (pid, uid) = (call.pid(), call.credentials().user.real);
    let signal = (number != 0).then(|| stop_signal(number as i32, pid, uid));
    call.sandbox.tracees.at_stop(pid, tid, |stopped| stopped.go_on(Going { mode, signal }))?;
    Ok(0)
}

/// Requests that look at a stopped thread, or change what it goes on with.
fn at_stop(call: &mut Call<'_>, tid: i32, request: u32) -> SyscallResult {
    let (tracer, tracees) = (call.pid(), call.sandbox.tracees.clone());
    let at = |from: usize, len: usize| {
        tracees.at_stop(tracer, tid, |s| Ok(s.state()?.get(from..).unwrap_or_default()[..].to_vec())).map(
            |mut bytes| {
                bytes.truncate(len);
                bytes
            },
        )
    };
    let set = |from: usize, bytes: &[u8]| {
        tracees.at_stop(tracer, tid, |stopped| {
            let place = stopped.state_mut()?.get_mut(from..from + bytes.len()).ok_or(Errno::EIO)?;
            place.copy_from_slice(bytes);
            Ok(0)
        })
    };
    match request {
        libc::PTRACE_GETREGS => give(call, 3, &at(0, GENERAL)?),
        libc::PTRACE_SETREGS => set(0, call.need(3)?),
        libc::PTRACE_GETFPREGS => give(call, 3, &at(EXTENDED, FLOATING)?),
        libc::PTRACE_SETFPREGS => set_floating(call, tid, call.need(3)?.to_vec()),
        libc::PTRACE_PEEKUSER => {
            let word = match call.u64(2) {
                offset if offset % 8 != 0 => return Err(Errno::EIO),
                offset if offset < GENERAL as u64 => at(offset as usize, 8)?,
                _ => at(0, 0).map(|_| vec![0; 8])?,
            };
            give(call, 3, &word)
        }
        libc::PTRACE_POKEUSER => {
            let value = call.u64(3);
            match call.u64(2) {
                offset if offset % 8 != 0 => Err(Errno::EIO),
                offset if offset < GENERAL as u64 => set(offset as usize, &value.to_le_bytes()),
                // There are no hardware breakpoints; none is set.
                offset if DEBUG_REGISTERS.contains(&offset) && value == 0 => at(0, 0).map(|_| 0),
                offset if DEBUG_REGISTERS.contains(&offset) => Err(Errno::ENOSPC),
                _ => Err(Errno::EIO),
            }
        }
        libc::PTRACE_GETREGSET => {
            let (from, len) = match call.u64(2) {
                NT_PRSTATUS => (0, GENERAL),
                NT_PRFPREG => (EXTENDED, FLOATING),
                NT_X86_XSTATE => (EXTENDED, usize::MAX),
                _ => return Err(Errno::EINVAL),
            };
            let bytes = at(from, len)?;
            call.put(3, &bytes)?;
            Ok(bytes.len().min(call.room(3)) as i64)
        }
        libc::PTRACE_SETREGSET => {
            call.reach(3)?;
            let mut bytes = Vec::new();
            call.area.read(call.checked.place[3].start, call.room(3), &mut bytes);
            let len = bytes.len() as i64;
            match call.u64(2) {
                NT_PRSTATUS if bytes.len() <= GENERAL && bytes.len().is_multiple_of(8) => set(0, &bytes)?,
                NT_PRFPREG if bytes.len() == FLOATING => set_floating(call, tid, bytes)?,
                NT_X86_XSTATE => set(EXTENDED, &bytes)?,
                _ => return Err(Errno::EINVAL),
            };
            Ok(len)
        }
        libc::PTRACE_GETSIGMASK if call.u64(2) == 8 => give(call, 3, &at(MASK, 8)?),
        libc::PTRACE_SETSIGMASK if call.u64(2) == 8 => set(MASK, call.need(3)?),
        libc::PTRACE_SETOPTIONS => {
            let options = call.u64(3);
            if options & !u64::from(OPTIONS) != 0 {
                return Err(Errno::EINVAL);
            }
            tracees.at_stop(tracer, tid, |stopped| {
                stopped.set_options(options as u32);
                Ok(0)
            })
        }
        libc::PTRACE_GETEVENTMSG => {
            let message = tracees.at_stop(tracer, tid, |stopped| stopped.message())?;
            give(call, 3, &message.to_le_bytes())
        }
        libc::PTRACE_GETSIGINFO => {
            let info = tracees.at_stop(tracer, tid, |stopped| stopped.info())?;
            give(call, 3, &info)
        }
        libc::PTRACE_SETSIGINFO => {
            let info = call.need(3)?.try_into().map_err(|_| Errno::EFAULT)?;
            tracees.at_stop(tracer, tid, |stopped| stopped.set_info(info)).map(|()| 0)
        }
        libc::PTRACE_LISTEN => tracees.at_stop(tracer, tid, |stopped| stopped.listen()).map(|()| 0),
        libc::PTRACE_GET_SYSCALL_INFO => syscall_info(call, tid),
        _ => Err(Errno::EINVAL),
    }
}

/// Sets x87 and SSE registers, which are in use from then on.
fn set_floating(call: &Call<'_>, tid: i32, bytes: Vec<u8>) -> SyscallResult {
    /// What is neither the processor's nor a register: reserved, and for software.
    const TAKEN: usize = 416;
    call.sandbox.tracees.at_stop(call.pid(), tid, |stopped| {
        let state = stopped.state_mut()?;
        state[EXTENDED..EXTENDED + TAKEN].copy_from_slice(bytes.get(..TAKEN).ok_or(Errno::EIO)?);
        state[IN_USE] |= 3;
        Ok(0)
    })
}

/// `struct ptrace_syscall_info`; the answer is how many bytes there are.
fn syscall_info(call: &mut Call<'_>, tid: i32) -> SyscallResult {
    const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
    let (kind, state) = call
        .sandbox
        .tracees
        .at_stop(call.pid(), tid, |stopped| Ok((stopped.kind()?, stopped.state()?[..GENERAL].to_vec())))?;
    let register = |n: usize| u64::from_le_bytes(std::array::from_fn(|k| state[8 * n + k]));
    let op = match kind {
        StopKind::CallEntry => 1u8,
        StopKind::CallExit => 2,
        _ => 0,
    };
    let mut bytes = vec![op, 0, 0, 0];
    bytes.extend(AUDIT_ARCH_X86_64.to_le_bytes());
    bytes.extend([register(word::RIP), register(word::RSP)].iter().flat_map(|w| w.to_le_bytes()));
    match op {
        1 => {
            bytes.extend(register(word::ORIG_RAX).to_le_bytes());
            bytes.extend(word::ARGUMENTS.iter().flat_map(|n| register(*n).to_le_bytes()));
        }
        2 => {
            let value = register(word::RAX) as i64;
            bytes.extend(value.to_le_bytes());
            bytes.push(u8::from((-4095..0).contains(&value)));
        }
        _ => {}
    }
    let room = usize::try_from(call.u64(2)).unwrap_or(usize::MAX);
    call.put(3, &bytes[..bytes.len().min(room)])?;
    Ok(bytes.len() as i64)
}

fn wait4(call: &mut Call<'_>) -> SyscallResult {
    if !call.sandbox.tracees.any() {
        return grant(call);
    }
    let group = |group: i32| members(call, group);
    let whom = match call.i32(0) {
        -1 => Whom::Any,
        0 => group(call.process.handle.group().unwrap_or(0)),
        pid @ 1.. => Whom::One(pid),
        pid => group(pid.saturating_neg()),
    };
    let answer = wait(call, whom, call.u32(2), true);
    grant(call)?;
    Ok(answer.encode())
}

fn waitid(call: &mut Call<'_>) -> SyscallResult {
    const WHAT: i32 = libc::WEXITED | libc::WSTOPPED | libc::WCONTINUED;
    const HOW: i32 = libc::WNOHANG | libc::WNOWAIT | libc::__WNOTHREAD | libc::__WCLONE | libc::__WALL;
    // The kernel looks at the options before it looks for anybody.
    let known = call.i32(3) & WHAT != 0 && call.i32(3) & !(WHAT | HOW) == 0;
    let process = match call.u32(0) {
        _ if !known => Err(Errno::EINVAL),
        libc::P_PIDFD if call.i32(1) < 0 => Err(Errno::EINVAL),
        libc::P_PIDFD => waited_for(call).map(Some),
        _ => Ok(None),
    };
    let process = match process {
        Ok(process) => process,
        Err(e) => {
            grant(call)?;
            return Ok(WaitAnswer::Refused(e as i32).encode());
        }
    };
    let options = call.u32(3);
    let answer = if call.sandbox.tracees.any() {
        let group = |group: i32| members(call, group);
        let whom = match (call.u32(0), call.i32(1)) {
            (libc::P_ALL, _) => Whom::Any,
            (libc::P_PGID, 0) => group(call.process.handle.group().unwrap_or(0)),
            (libc::P_PGID, id) => group(id),
            (_, id) => Whom::One(process.map_or(id, |(pid, _)| pid)),
        };
        wait(call, whom, options, options & libc::WEXITED as u32 != 0)
    } else {
        WaitAnswer::Plain
    };
    grant(call)?;
    Ok(match (answer, process) {
        (WaitAnswer::Event { .. }, _) | (_, None) => answer,
        (_, Some((pid, hurried))) => WaitAnswer::Process { pid, hurried },
    }
    .encode())
}

/// All of a group.
fn members(call: &Call<'_>, group: i32) -> Whom {
    Whom::Processes(call.sandbox.processes.members(group).iter().map(|p| p.pid).collect())
}

fn wait(call: &Call<'_>, whom: Whom, options: u32, ends: bool) -> WaitAnswer {
    let has = |flag: i32| options & flag as u32 != 0;
    let wait = WaitFor {
        whom,
        ends,
        keeps: has(libc::WNOWAIT),
        blocks: !has(libc::WNOHANG),
        clones: has(libc::__WALL) || has(libc::__WCLONE),
    };
    let waiter = Waiter { tracer: call.pid(), process: call.process.pid, tid: call.tid };
    call.sandbox.tracees.wait(waiter, &wait)
}

/// Which thread reads and writes a process's memory for the caller: a stopped one that it traces. EPERM if
/// there is none.
fn servant(call: &Call<'_>, pid: i32) -> Result<i32, Errno> {
    call.sandbox.tracees.stopped_thread(call.pid(), pid).ok_or(Errno::EPERM)
}

/// Reads ranges of the memory of a process that the caller traces, up to the first byte that is not there.
///
/// # Errors
/// EPERM if none of its threads is stopped for the caller.
pub(super) fn read(call: &Call<'_>, pid: i32, ranges: &[(u64, u64)], most: usize) -> Result<Vec<u8>, Errno> {
    call.sandbox.tracees.read_memory(call.pid(), servant(call, pid)?, ranges, most)
}

/// Writes to ranges of the memory of a process that the caller traces, up to the first page that cannot be
/// written; how many bytes.
///
/// # Errors
/// EPERM if none of its threads is stopped for the caller.
pub(super) fn write(call: &Call<'_>, pid: i32, ranges: &[(u64, u64)], bytes: &[u8]) -> Result<usize, Errno> {
    Ok(call.sandbox.tracees.write_memory(call.pid(), servant(call, pid)?, ranges, bytes).0)
}

/// A process, and ranges of its memory.
type Remote = (i32, Vec<(u64, u64)>);

/// The process and the ranges of its memory that a call names; `None` if it names no bytes, and so nobody.
fn remote(call: &Call<'_>) -> Result<Option<Remote>, Errno> {
    /// UIO_MAXIOV.
    const MOST: u64 = 1024;
    if call.u64(5) != 0 {
        return Err(Errno::EINVAL);
    }
    // The kernel takes in the caller's own vectors first.
    call.reach(1)?;
    if call.u64(4) > MOST {
        return Err(Errno::EINVAL);
    }
    let vectors = if call.u64(4) == 0 || call.room(1) == 0 { &[] } else { call.need(3)? };
    let word = |vector: &[u8], at: usize| u64::from_le_bytes(std::array::from_fn(|k| vector[at + k]));
    let ranges: Vec<_> = vectors.chunks_exact(16).map(|vector| (word(vector, 0), word(vector, 8))).collect();
    if ranges.iter().any(|(_, len)| *len > i64::MAX as u64) {
        return Err(Errno::EINVAL);
    }
    if ranges.iter().all(|(_, len)| *len == 0) {
        return Ok(None);
    }
    Ok(Some((tracee(call, call.i32(0))?.pid, ranges)))
}

/// What a transfer answers that came so far.
fn moved(done: usize, ranges: &[(u64, u64)]) -> SyscallResult {
    if done == 0 && ranges.iter().any(|range| range.1 > 0) { Err(Errno::EFAULT) } else { Ok(done as i64) }
}

/// Whether the memory is the caller's own, which its child reaches by itself.
fn is_own(call: &Call<'_>) -> bool {
    let id = call.i32(0);
    call.u64(5) == 0 && (id == call.process.pid || call.process.threads.ids().contains(&id))
}

fn read_memory(call: &mut Call<'_>) -> SyscallResult {
    if is_own(call) {
        return grant(call);
    }
    let Some((pid, ranges)) = remote(call)? else { return Ok(0) };
    let bytes = read(call, pid, &ranges, call.room(1))?;
    call.put(1, &bytes)?;
    moved(bytes.len(), &ranges)
}

fn write_memory(call: &mut Call<'_>) -> SyscallResult {
    if is_own(call) {
        return grant(call);
    }
    let Some((pid, ranges)) = remote(call)? else { return Ok(0) };
    let mut bytes = Vec::new();
    call.area.read(call.checked.place[1].start, call.room(1), &mut bytes);
    let done = write(call, pid, &ranges, &bytes)?;
    moved(done, &ranges)
}

//! System V semaphores, shared memory and message queues: the calls on what [`crate::state::ipc`] keeps.

use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::credentials::Credentials;
use crate::state::ipc::{Get, Message, Namespace, Op, Wanted};
use nix::errno::Errno;
use rxbox_wire::frame::Reply;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[
    ("semget", semget),
    ("semop", semop),
    ("semtimedop", semtimedop),
    ("semctl", semctl),
    ("shmget", shmget),
    ("shmat", shmat),
    ("shmctl", shmctl),
    ("msgget", msgget),
    ("msgsnd", msgsnd),
    ("msgrcv", msgrcv),
    ("msgctl", msgctl),
];

/// Commands that are the same for all objects (`linux/ipc.h`).
const IPC_RMID: i32 = libc::IPC_RMID;
const IPC_SET: i32 = libc::IPC_SET;
const IPC_STAT: i32 = libc::IPC_STAT;
const IPC_INFO: i32 = 3;

/// The sandbox's objects, without what processes that have ended leave behind: attached segments, semaphores
/// to undo.
fn objects<'a>(call: &'a Call<'_>) -> &'a Namespace {
    call.sandbox.remove_ended(call.process);
    &call.sandbox.ipc
}

fn caller(call: &Call<'_>) -> Arc<Credentials> {
    call.credentials()
}

/// Gives the guest a structure as the content of argument `i`: EFAULT if there is no room for it.
fn give(call: &mut Call<'_>, i: usize, bytes: &[u8]) -> Result<(), Errno> {
    if call.room(i) < bytes.len() {
        return Err(Errno::EFAULT);
    }
    call.put(i, bytes)?;
    Ok(())
}

fn semget(call: &mut Call<'_>) -> SyscallResult {
    let by = caller(call);
    let get = Get { key: call.i32(0), flags: call.i32(2), by: &by };
    objects(call).semaphores.open(get, call.i32(1)).map(i64::from)
}

fn semop(call: &mut Call<'_>) -> SyscallResult {
    operate(call, None)
}

fn semtimedop(call: &mut Call<'_>) -> SyscallResult {
    let deadline = if call.present(3) {
        let [seconds, nanoseconds] = call.words(3)?;
        if (seconds as i64) < 0 || nanoseconds >= 1_000_000_000 {
            return Err(Errno::EINVAL);
        }
        // A time that no clock reaches is none.
        Instant::now().checked_add(Duration::new(seconds, nanoseconds as u32))
    } else {
        None
    };
    operate(call, deadline)
}

fn operate(call: &mut Call<'_>, deadline: Option<Instant>) -> SyscallResult {
    const SIZE: usize = 6;
    let bytes = call.need(1)?;
    let half = |b: &[u8], at: usize| u16::from_le_bytes([b[at], b[at + 1]]);
    let op = |b: &[u8]| Op { number: half(b, 0), change: half(b, 2) as i16, flags: half(b, 4) as i16 };
    let ops: Vec<Op> = bytes.chunks_exact(SIZE).map(op).collect();
    let by = caller(call);
    objects(call).semaphores.operate(call.i32(0), &ops, call.process.pid, &by, deadline).map(|()| 0)
}

fn semctl(call: &mut Call<'_>) -> SyscallResult {
    const GETPID: i32 = 11;
    const GETVAL: i32 = 12;
    const GETALL: i32 = 13;
    const GETNCNT: i32 = 14;
    const GETZCNT: i32 = 15;
    const SETVAL: i32 = 16;
    const SETALL: i32 = 17;
    const SEM_STAT: i32 = 18;
    const SEM_INFO: i32 = 19;
    const SEM_STAT_ANY: i32 = 20;
    let (id, number, by, pid) = (call.i32(0), call.i32(1), caller(call), call.process.pid);
    let all = &objects(call).semaphores;
    match call.i32(2) {
        IPC_RMID => all.remove(id, &by).map(|()| 0),
        IPC_SET => all.set_owner(id, &by, call.need(3)?).map(|()| 0),
        GETPID => all.last(id, number, &by).map(i64::from),
        GETVAL => all.value(id, number, &by).map(i64::from),
        GETNCNT => all.waiting(id, number, false, &by).map(|n| n as i64),
        GETZCNT => all.waiting(id, number, true, &by).map(|n| n as i64),
        SETVAL => all.set_value(id, number, call.i32(3), pid, &by).map(|()| 0),
        SETALL => all.set_values(id, call.need(3)?, pid, &by).map(|()| 0),
        command => {
            let (answer, bytes) = match command {
                IPC_STAT => (0, all.status(id, &by)?),
                GETALL => (0, all.values(id, &by)?),
                IPC_INFO | SEM_INFO => all.info(command == SEM_INFO),
                SEM_STAT | SEM_STAT_ANY => placed(all.status_at(id, any(command == SEM_STAT_ANY, &by))?),
                _ => return Err(Errno::EINVAL),
            };
            give(call, 3, &bytes).map(|()| answer)
        }
    }
}

/// Who asks for the status of an object in a place: nobody, where everybody may.
fn any(any: bool, by: &Credentials) -> Option<&Credentials> {
    (!any).then_some(by)
}

/// The identifier is the answer to such a call.
fn placed((id, bytes): (i32, Vec<u8>)) -> (i64, Vec<u8>) {
    (id.into(), bytes)
}

fn shmget(call: &mut Call<'_>) -> SyscallResult {
    if call.i32(2) & libc::SHM_HUGETLB != 0 {
        // Huge pages are not the guest's to take from the machine.
        return Err(Errno::EPERM);
    }
    let by = caller(call);
    let get = Get { key: call.i32(0), flags: call.i32(2), by: &by };
    let segments = &objects(call).segments;
    segments.open(get, call.u64(1), call.process.pid, &call.sandbox.budget).map(i64::from)
}

/// The child maps the memory where the call says.
fn shmat(call: &mut Call<'_>) -> SyscallResult {
    let (flags, by, pid) = (call.i32(2), caller(call), call.process.pid);
    let (write, execute) = (flags & libc::SHM_RDONLY == 0, flags & libc::SHM_EXEC != 0);
    let segments = &objects(call).segments;
    let attach = segments.attach(call.i32(0), write, execute, pid, &by)?;
    if let Err(e) = call.process.send_about(attach.fd.as_fd(), &attach.about) {
        segments.detach(attach.about.ino, pid);
        return Err(e);
    }
    call.reply.flags |= Reply::FD | Reply::GRANTED;
    Ok(0)
}

fn shmctl(call: &mut Call<'_>) -> SyscallResult {
    const SHM_LOCK: i32 = 11;
    const SHM_UNLOCK: i32 = 12;
    const SHM_STAT: i32 = 13;
    const SHM_INFO: i32 = 14;
    const SHM_STAT_ANY: i32 = 15;
    let (id, by) = (call.i32(0), caller(call));
    let all = &objects(call).segments;
    match call.i32(1) {
        IPC_RMID => all.remove(id, &by).map(|()| 0),
        IPC_SET => all.set_owner(id, &by, call.need(2)?).map(|()| 0),
        command @ (SHM_LOCK | SHM_UNLOCK) => all.set_locked(id, &by, command == SHM_LOCK).map(|()| 0),
        command => {
            let (answer, bytes) = match command {
                IPC_STAT => (0, all.status(id, &by)?),
                IPC_INFO => all.limits(),
                SHM_INFO => all.info(),
                SHM_STAT | SHM_STAT_ANY => placed(all.status_at(id, any(command == SHM_STAT_ANY, &by))?),
                _ => return Err(Errno::EINVAL),
            };
            give(call, 2, &bytes).map(|()| answer)
        }
    }
}

fn msgget(call: &mut Call<'_>) -> SyscallResult {
    let by = caller(call);
    let get = Get { key: call.i32(0), flags: call.i32(1), by: &by };
    call.sandbox.ipc.messages.open(get).map(i64::from)
}

fn msgsnd(call: &mut Call<'_>) -> SyscallResult {
    let [kind] = call.words(1)?;
    let size = usize::try_from(call.i64(2)).map_err(|_| Errno::EINVAL)?;
    let text = call.need(1)?[8..].to_vec();
    if text.len() != size {
        // More than any message holds, and so cut on its way.
        return Err(Errno::EINVAL);
    }
    let (message, by) = (Message { kind: kind as i64, text }, caller(call));
    let messages = &call.sandbox.ipc.messages;
    messages.send(call.i32(0), message, call.i32(3), call.process.pid, &by).map(|()| 0)
}

fn msgrcv(call: &mut Call<'_>) -> SyscallResult {
    let room = u64::try_from(call.i64(2)).map_err(|_| Errno::EINVAL)?;
    let (wanted, by) = (Wanted { kind: call.i64(3), room, flags: call.i32(4) }, caller(call));
    let got = call.sandbox.ipc.messages.receive(call.i32(0), wanted, call.process.pid, &by)?;
    let bytes = [&got.kind.to_le_bytes()[..], &got.text].concat();
    give(call, 1, &bytes)?;
    Ok(got.text.len() as i64)
}

fn msgctl(call: &mut Call<'_>) -> SyscallResult {
    const MSG_STAT: i32 = 11;
    const MSG_INFO: i32 = 12;
    const MSG_STAT_ANY: i32 = 13;
    let (id, by) = (call.i32(0), caller(call));
    let all = &call.sandbox.ipc.messages;
    match call.i32(1) {
        IPC_RMID => all.remove(id, &by).map(|()| 0),
        IPC_SET => all.set_owner(id, &by, call.need(2)?).map(|()| 0),
        command => {
            let (answer, bytes) = match command {
                IPC_STAT => (0, all.status(id, &by)?),
                IPC_INFO | MSG_INFO => all.info(command == MSG_INFO),
                MSG_STAT | MSG_STAT_ANY => placed(all.status_at(id, any(command == MSG_STAT_ANY, &by))?),
                _ => return Err(Errno::EINVAL),
            };
            give(call, 2, &bytes).map(|()| answer)
        }
    }
}

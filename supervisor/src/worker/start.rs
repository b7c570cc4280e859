//! How threads and processes of a guest start: each is found on the host, counted, and given a worker.
//!
//! The child says which thread or process it has started. That it has is asked of the host: no other thread
//! or process of the host can be passed off as a guest's.

use crate::context::Call;
use crate::handlers::pidfd::for_child;
use crate::host::SyscallResult;
use crate::host::process::ProcessHandle;
use crate::sandbox::Sandbox;
use crate::state::process::Process;
use crate::state::tracees::OUTSIDE;
use nix::errno::Errno;
use rxbox_wire::frame::Reply;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A thread of the caller's process has started, and gets a slot: its number.
pub(super) fn new_thread(sandbox: &Arc<Sandbox>, call: &mut Call<'_>) -> SyscallResult {
    let tid = call.i32(0);
    call.process.handle.thread(tid)?;
    sandbox.enter_thread()?;
    let slots = call.process.line.channel.slots();
    let credentials = Some(call.credentials());
    let started = call.process.threads.reserve_for(Some(tid), credentials, slots).and_then(|slot| {
        if call.u32(2) != 0 {
            call.process.threads.set_companion(slot);
            sandbox.tracees.add_companion(call.process.pid, tid);
        }
        trace_new(call, call.process, tid, call.u32(1));
        sandbox.start_worker(call.process, slot).inspect_err(|_| call.process.threads.free(slot))?;
        Ok(slot as i64)
    });
    started.inspect_err(|_| sandbox.leave_thread())
}

/// The caller is about to fork: the new process's line is sent to it.
pub(super) fn new_process(call: &mut Call<'_>) -> SyscallResult {
    if call.u32(0) != 0 {
        call.process.fds.room()?;
    }
    call.sandbox.announce_fork(call.process, call.slot, call.u32(1) != 0)?;
    call.reply.flags |= Reply::FD;
    Ok(0)
}

/// The caller has forked, or has failed to: the new process is added, and starts.
pub(super) fn process_started(sandbox: &Arc<Sandbox>, call: &mut Call<'_>) -> SyscallResult {
    let pid = call.i32(0);
    let child = if pid > 0 { new_child(sandbox, call.process, pid) } else { Err(Errno::ECANCELED) };
    let births = sandbox.processes.births();
    // Another thread may have told of it meanwhile.
    let child = child.and_then(|new| match sandbox.processes.get(pid) {
        Some(_) => Err(Errno::EEXIST),
        None => Ok(new),
    });
    let made = call.process.fork_is_made(call.slot);
    let (process, missed) = match call.process.end_fork(call.slot, child) {
        Ok(born) => born,
        Err(errno) => {
            drop(births);
            if made {
                sandbox.sweep();
            }
            // If the fork failed in the child, that knows why.
            return if errno == Errno::ECANCELED { Ok(0) } else { Err(errno) };
        }
    };
    let process = Arc::new(process);
    let added = sandbox.add_process(process.clone());
    drop(births);
    sandbox.forks.told(&sandbox.processes);
    sandbox.ipc.forked(call.process.pid, pid);
    trace_new(call, &process, pid, call.u32(2));
    start_first_thread(sandbox, &process, added, Some(pid))?;
    for info in missed {
        // It may have ended already.
        let _ = process.handle.signal(&info);
    }
    if call.present(1) {
        // There was room before the fork; if another thread has taken it, the process is there all the same.
        let number = for_child(call, &process).unwrap_or(-1);
        call.put(1, &number.to_le_bytes())?;
    }
    Ok(pid.into())
}

/// A new thread, or the first one of a new process, is traced as its maker is, if its tracer wants that.
fn trace_new(call: &Call<'_>, process: &Process, tid: i32, event: u32) {
    let Some(wish) = call.sandbox.tracees.inherited(call.tid, event) else { return };
    // Nobody else can have found it yet.
    let (tracees, tracer) = (&call.sandbox.tracees, wish.tracer);
    let runs = || call.sandbox.processes.get(tracer).is_some_and(|t| !t.ended());
    let there = || tracer == OUTSIDE || tracees.is_companion(tracer) || runs();
    if tracees.add(process.pid, tid, wish, there).is_ok() {
        process.be_traced(&call.sandbox.tracees);
        let slot = process.threads.slot_of(tid).unwrap_or(0);
        if let Some(slot) = process.line.channel.slot(slot) {
            slot.attention().store(1, Ordering::SeqCst);
        }
    }
}

/// Adds the first process and starts the worker of its first thread. If that fails the process is ended.
pub fn start_first_process(sandbox: &Arc<Sandbox>, process: &Arc<Process>) -> Result<(), Errno> {
    if sandbox.tracees.trace_from_outside(process.pid) {
        process.be_traced(&sandbox.tracees);
    }
    start_first_thread(sandbox, process, sandbox.add_process(process.clone()), None)
}

/// Starts the worker of a process's first thread, whose id is known of a forked process: it waits until it is
/// told to start. If there can be no worker for it, it is ended, and can have done nothing but compute.
fn start_first_thread(
    sandbox: &Arc<Sandbox>,
    process: &Arc<Process>,
    added: Result<(), Errno>,
    first: Option<i32>,
) -> Result<(), Errno> {
    let started = added.and_then(|()| {
        sandbox.enter_thread()?;
        let slots = process.line.channel.slots();
        let slot = process.threads.reserve(first, slots).inspect_err(|_| sandbox.leave_thread())?;
        if first.is_some() {
            process.line.start(sandbox.processors.reply_flag());
        }
        sandbox.start_worker(process, slot).inspect_err(|_| sandbox.leave_thread())
    });
    started.inspect_err(|_| {
        process.kill();
        sandbox.remove_process(process);
    })
}

/// The process `pid` if that is a child of `parent`'s emulator and not known yet: nothing else on the host
/// can be passed off as a new guest process. One of this number that has ended, though the event loop has
/// not seen it, gives way.
fn new_child(sandbox: &Sandbox, parent: &Process, pid: i32) -> Result<ProcessHandle, Errno> {
    let child = parent.handle.child(pid)?;
    match sandbox.processes.get(pid) {
        Some(known) if known.handle.is_there().is_ok() => return Err(Errno::EEXIST),
        Some(former) => sandbox.remove_process(&former),
        None => {}
    }
    Ok(child)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::fixture::{Guest, ended, living};
    use crate::host::number::{NewFd, new_fd};
    use crate::host::shm::Channel;
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
    use rxbox_wire::handoff::{CLOSED, REPLY, REQUEST};
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::FileExt;
    use std::process::Command;

    fn own() -> (Guest, Arc<Process>) {
        let guest = Guest::free();
        let own = guest.add(std::process::id() as i32, living());
        (guest, own)
    }

    #[test]
    fn only_a_child_of_the_caller_is_taken_for_its_new_process_and_only_once() {
        let (guest, own) = own();
        let mut child = Command::new("/bin/sleep").arg("600").spawn().unwrap();
        let pid = child.id() as i32;
        let new = |pid| new_child(&guest.sandbox, &own, pid).map(|child| child.number());
        assert_eq!(new(pid), Ok(pid));
        for other in [own.pid, own.ppid(), 1, nix::unistd::getppid().as_raw(), 5_000_000] {
            assert_eq!(new(other), Err(Errno::ESRCH), "{other}");
        }
        guest.add(pid, new_fd(NewFd::Pidfd, [pid as u64, 0, 0]).unwrap());
        assert_eq!(new(pid), Err(Errno::EEXIST));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(new(pid), Err(Errno::ESRCH));
    }

    /// The number of a process that has ended, which the event loop has not seen yet, is given out again.
    #[test]
    fn a_process_that_has_ended_gives_way_to_a_new_one_of_its_number() {
        let (guest, own) = own();
        let mut child = Command::new("/bin/sleep").arg("600").spawn().unwrap();
        let pid = child.id() as i32;
        let former = guest.add(pid, ended());
        assert_eq!(new_child(&guest.sandbox, &own, pid).map(|child| child.number()), Ok(pid));
        assert!(former.ended() && guest.sandbox.processes.get(pid).is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_forked_process_has_what_its_parent_had_and_a_line_of_its_own() {
        let (guest, own) = own();
        let file = crate::state::fd::File::made(nix::unistd::pipe().unwrap().0).unwrap();
        own.fds.insert(file, true, 5).unwrap();
        own.set_umask(0o077);
        own.set_name(b"parent");
        own.begin_fork(3, Channel::new().unwrap(), false).unwrap();
        own.set_umask(0);
        let handle = ProcessHandle::of_parts(77, living());
        let (child, _) = own.end_fork(3, Ok(handle)).unwrap();
        assert_eq!(
            (child.pid, child.ppid(), child.umask(), child.name()),
            (77, own.pid, 0o077, b"parent".to_vec())
        );
        assert_eq!(child.fds.cloexec(5), Ok(true));
        assert!(own.end_fork(3, Err(Errno::EAGAIN)).is_err());
        // What the child was sent leads to the new line.
        let (memory, control) = sent(&guest);
        nix::sys::socket::send(control, b"1234", MsgFlags::empty()).unwrap();
        assert_eq!(child.line.drain(2), (true, true));
        nix::unistd::close(control).unwrap();
        child.line.start(0);
        assert_eq!(turn(&memory), REPLY);
    }

    /// Channel and control socket of a new process, as its parent's emulator gets them.
    fn sent(guest: &Guest) -> (File, i32) {
        let ends = guest.ends.lock().unwrap();
        let mut space = nix::cmsg_space!([i32; 4]);
        let mut bytes = [0; 64];
        let mut io = [std::io::IoSliceMut::new(&mut bytes)];
        let end = ends.last().unwrap().as_raw_fd();
        let message = recvmsg::<()>(end, &mut io, Some(&mut space), MsgFlags::empty()).unwrap();
        let Some(ControlMessageOwned::ScmRights(sent)) = message.cmsgs().unwrap().next() else { panic!() };
        let [memory, control] = sent[..] else { panic!("{sent:?}") };
        let file = File::open(format!("/proc/self/fd/{memory}")).unwrap();
        nix::unistd::close(memory).unwrap();
        (file, control)
    }

    /// The turn word of the first slot.
    fn turn(memory: &File) -> u32 {
        let mut word = [0; 4];
        memory.read_exact_at(&mut word, 0).unwrap();
        u32::from_le_bytes(word)
    }

    #[test]
    fn a_child_waits_for_its_parents_word_and_is_told_if_that_will_not_come() {
        let (guest, own) = own();
        let fork = || {
            own.begin_fork(3, Channel::new().unwrap(), false).unwrap();
            let (memory, control) = sent(&guest);
            nix::unistd::close(control).unwrap();
            assert_eq!(turn(&memory), REQUEST);
            memory
        };
        let (replaced, failed) = (fork(), fork());
        assert_eq!([turn(&replaced), turn(&failed)], [CLOSED, REQUEST]);
        assert!(own.end_fork(3, Err(Errno::ESRCH)).is_err());
        let left = fork();
        own.end();
        assert_eq!([turn(&failed), turn(&left)], [CLOSED, CLOSED]);
    }
}

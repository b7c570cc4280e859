//! What the child's runtime asks for itself: threads, processes, programs.
//!
//! The requests are as hostile as guest calls. What the child says of the host (thread and process ids) is compared with
//! the host; what it says of the guest (names, arguments, texts) is only ever shown to that guest or, escaped, to the
//! user.

use crate::caller::Caller;
use crate::context::Call;
use crate::handlers::fs::open_exec;
use crate::handlers::pidfd::for_child;
use crate::host::SyscallResult;
use crate::host::name::reopen;
use crate::host::number::{NewFd, ScalarCall, new_fd, scalar_call};
use crate::host::signal::{Info, queue_process, queue_thread};
use crate::host::stat::parent_of;
use crate::report::ending::End;
use crate::report::escape::shown;
use crate::sandbox::Sandbox;
use crate::sandbox::layers;
use crate::state::process::{ExeRecord, Process};
use nix::errno::Errno;
use rxbox_wire::frame::Reply;
use rxbox_wire::relay;
use rxbox_wire::table::Internal;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// Answers a request of the runtime's.
pub fn serve(sandbox: &Arc<Sandbox>, request: Internal, call: &mut Call<'_>) -> SyscallResult {
    match request {
        Internal::Hello => hello(call),
        Internal::OpenExec => open_program(call),
        Internal::ExecDone => exec_done(call),
        Internal::Report => report(call),
        Internal::NewThread => new_thread(sandbox, call),
        Internal::NewProcess => new_process(call),
        Internal::ProcessStarted => process_started(sandbox, call),
        Internal::View => view(call),
        Internal::SendAgain => send_again(call),
        Internal::Detached => {
            call.sandbox.ipc.segments.detach(call.u64(0), call.process.pid);
            Ok(0)
        }
        Internal::KickSiblings => kick_siblings(call),
    }
}

/// The first thread of the first process is there. Before its first request is served, its confinement is confirmed: a child that
/// runs without its filter is never served. Others are forked from one that has been confirmed, and a process cannot
/// get rid of what confines it, nor have children without (seccomp(2), PR_SET_NO_NEW_PRIVS(2const), capabilities(7)).
fn hello(call: &mut Call<'_>) -> SyscallResult {
    let (pid, tid) = (call.process.pid, call.i32(0));
    if !call.process.executed()
        && call.process.threads.ids().is_empty()
        && let Err(missing) = layers::confirm(pid)
    {
        call.sandbox.ending.end(End::Broken(format!("the emulator child is not confined: {missing}")));
        return Err(Errno::EPERM);
    }
    own_thread(call.process, tid)?;
    call.process.threads.set_guest(call.slot, tid)?;
    Ok(tid.into())
}

/// ESRCH if no thread of the process has this id: what signal 0 says of another process's.
fn own_thread(process: &Process, tid: i32) -> Result<(), Errno> {
    scalar_call(ScalarCall::Tgkill, [process.pid as u64, tid as u64, 0]).map(drop)
}

fn open_program(call: &mut Call<'_>) -> SyscallResult {
    let caller = Caller { call: "execve", ..Caller::of(call) };
    let (fd, _) = open_exec(&caller, libc::AT_FDCWD, call.string(0)?, 0)?;
    call.process.send_fd(fd.as_fd())?;
    call.reply.flags |= Reply::FD;
    Ok(0)
}

/// The new program is in place. Its file is looked up again by the name that the child gives: the guest can only make
/// its own `/proc/self/exe` lead somewhere else, to a file that it may execute. A file that has vanished meanwhile leaves
/// that link as it was.
fn exec_done(call: &mut Call<'_>) -> SyscallResult {
    let caller = Caller { call: "execve", ..Caller::of(call) };
    let old = call.process.exe();
    let (fd, path) = match open_exec(&caller, libc::AT_FDCWD, call.string(0)?, 0) {
        Ok((file, path)) => (reopen(file.as_fd(), libc::O_PATH)?, path.into()),
        Err(_) => (reopen(old.fd.as_fd(), libc::O_PATH)?, old.path.clone()),
    };
    let (arguments, environment) = (strings(call, 1), strings(call, 2));
    call.process.set_exe(ExeRecord { fd, path, arguments, environment });
    let called = call.string(3)?.to_bytes();
    call.process.set_name(called.rsplit(|&b| b == b'/').next().unwrap_or_default());
    call.process.threads.keep_only(call.slot);
    for file in call.process.fds.close_on_exec() {
        call.process.locks.release(&file);
    }
    call.sandbox.ipc.executed(call.process.pid);
    Ok(0)
}

/// The strings of argument `i`, each without its NUL.
fn strings(call: &Call<'_>, i: usize) -> Vec<Vec<u8>> {
    let bytes = call.bytes(i).unwrap_or_default();
    bytes.split_inclusive(|&b| b == 0).map(|s| s.strip_suffix(&[0]).unwrap_or(s).to_vec()).collect()
}

/// A line for the user about the guest. Before the first program runs, it says why none will.
fn report(call: &mut Call<'_>) -> SyscallResult {
    let mut text = Vec::new();
    call.area.read(call.checked.place[0].start, call.room(0), &mut text);
    if !call.process.executed() {
        call.process.refuse(shown(&text));
        return Ok(0);
    }
    call.sandbox.audit.note(&format!(
        "pid {} {}: {}",
        call.process.pid,
        shown(&call.process.name()),
        shown(&text)
    ));
    Ok(0)
}

fn new_thread(sandbox: &Arc<Sandbox>, call: &mut Call<'_>) -> SyscallResult {
    let tid = call.i32(0);
    own_thread(call.process, tid)?;
    sandbox.enter_thread()?;
    let started = call.process.threads.reserve(Some(tid)).and_then(|slot| {
        sandbox.start_worker(call.process, slot).inspect_err(|_| call.process.threads.free(slot))?;
        Ok(slot as i64)
    });
    started.inspect_err(|_| sandbox.leave_thread())
}

fn new_process(call: &mut Call<'_>) -> SyscallResult {
    call.sandbox.room_for_process()?;
    if call.u32(0) != 0 {
        call.process.fds.room()?;
    }
    call.process.begin_fork(call.slot)?;
    call.reply.flags |= Reply::FD;
    Ok(0)
}

fn process_started(sandbox: &Arc<Sandbox>, call: &mut Call<'_>) -> SyscallResult {
    let pid = call.i32(0);
    let child = if pid > 0 { child_of(call.process, pid).map(|fd| (pid, fd)) } else { Err(Errno::ECANCELED) };
    let births = sandbox.processes.births();
    let (process, missed) = match call.process.end_fork(call.slot, child) {
        // The fork failed in the child, which knows why.
        Err(Errno::ECANCELED) => return Ok(0),
        born => born?,
    };
    let process = Arc::new(process);
    let added = sandbox.add_process(process.clone());
    drop(births);
    sandbox.ipc.forked(call.process.pid, pid);
    start_first_thread(sandbox, &process, added, Some(pid))?;
    for info in missed {
        // It may have ended already.
        let _ = queue_process(process.pidfd.as_fd(), &info);
    }
    if call.present(1) {
        // There was room before the fork; if another thread has taken it, the process is there all the same.
        let number = for_child(call, &process).unwrap_or(-1);
        call.put(1, &number.to_le_bytes());
    }
    Ok(pid.into())
}

/// Adds the first process and starts the worker of its first thread. If that fails the process is ended.
pub fn start_first_process(sandbox: &Arc<Sandbox>, process: &Arc<Process>) -> Result<(), Errno> {
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
        let slot = process.threads.reserve(first).inspect_err(|_| sandbox.leave_thread())?;
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

/// A descriptor of the process `pid` if that is a child of `parent`'s emulator: nothing else on the host can be passed
/// off as a guest process. The parent is asked for after the descriptor was made, while that still refers to a process:
/// so the number has not changed hands in between.
fn child_of(parent: &Process, pid: i32) -> Result<OwnedFd, Errno> {
    let fd = new_fd(NewFd::Pidfd, [pid as u64, 0, 0])?;
    let stated = parent_of(pid).ok_or(Errno::ESRCH)?;
    queue_process(fd.as_fd(), &Info::none())?;
    if stated == parent.pid { Ok(fd) } else { Err(Errno::ESRCH) }
}

/// Interrupts whatever the caller's sibling threads wait for: a thread cannot send signals itself.
fn kick_siblings(call: &mut Call<'_>) -> SyscallResult {
    let process = call.process;
    for tid in process.threads.ids().into_iter().filter(|tid| *tid != call.tid) {
        // One that is ending needs no call.
        let _ = queue_thread(process.pid, tid, &Info::sent(relay::KICK_SIGNAL, relay::KICK_CODE, 0, 0));
    }
    Ok(0)
}

/// The child tells about itself what the guest is going to read below /proc/self.
fn view(call: &mut Call<'_>) -> SyscallResult {
    let mut text = Vec::new();
    call.area.read(call.checked.place[1].start, call.room(1), &mut text);
    call.process.set_view(call.u32(0), text)?;
    Ok(0)
}

/// The child has taken a signal that is not to be delivered yet, and wants it sent again. It can only reach
/// itself, and what the signal says of its sender no other process sees.
fn send_again(call: &mut Call<'_>) -> SyscallResult {
    let info = call.need(2)?.try_into().map_err(|_| Errno::EFAULT)?;
    let info = Info::given(info, call.i32(1)).relayed();
    match call.i32(0) {
        0 => queue_process(call.process.pidfd.as_fd(), &info),
        tid => queue_thread(call.process.pid, tid, &info),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::tests::Guest;
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
    use rxbox_wire::bell::{CLOSED, REPLY, REQUEST};
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::FileExt;
    use std::process::Command;

    fn own() -> (Guest, Arc<Process>) {
        let guest = Guest::free();
        let pid = std::process::id() as i32;
        let own = guest.add(pid, new_fd(NewFd::Pidfd, [pid as u64, 0, 0]).unwrap());
        (guest, own)
    }

    #[test]
    fn only_a_child_of_the_caller_is_taken_for_its_new_process() {
        let (_guest, own) = own();
        let mut child = Command::new("/bin/sleep").arg("600").spawn().unwrap();
        assert!(child_of(&own, child.id() as i32).is_ok());
        for other in [own.pid, own.ppid(), 1, nix::unistd::getppid().as_raw(), 5_000_000] {
            assert_eq!(child_of(&own, other).map(drop), Err(Errno::ESRCH), "{other}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(child_of(&own, child.id() as i32).map(drop), Err(Errno::ESRCH));
    }

    #[test]
    fn a_forked_process_has_what_its_parent_had_and_a_line_of_its_own() {
        let (guest, own) = own();
        let file = crate::state::fd::File::made(nix::unistd::pipe().unwrap().0).unwrap();
        own.fds.insert(file, true, 5).unwrap();
        own.set_umask(0o077);
        own.set_name(b"parent");
        own.begin_fork(3).unwrap();
        own.set_umask(0);
        let pidfd = new_fd(NewFd::Pidfd, [own.pid as u64, 0, 0]).unwrap();
        let (child, _) = own.end_fork(3, Ok((77, pidfd))).unwrap();
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
            own.begin_fork(3).unwrap();
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

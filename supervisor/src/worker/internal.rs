//! What the child's runtime asks for itself: threads, processes, programs.
//!
//! The requests are as hostile as guest calls. What the child says of the host (thread and process ids) is
//! compared with the host; what it says of the guest (names, arguments, texts) is only ever shown to that
//! guest or, escaped, to the user.

use crate::caller::Caller;
use crate::context::Call;
use crate::handlers::fs::{open_exec, program};
use crate::handlers::identity;
use crate::host::SyscallResult;
use crate::host::name::reopen;
use crate::host::signal::Info;
use crate::report::ending::End;
use crate::report::escape::shown;
use crate::report::stream::PATIENCE;
use crate::sandbox::Sandbox;
use crate::sandbox::layers;
use crate::state::fd::Kind;
use crate::state::process::{ExeRecord, Process};
use crate::state::tracees::{OUTSIDE, Report, Step};
use crate::worker::start;
use nix::errno::Errno;
use rxbox_wire::boot;
use rxbox_wire::control::About;
use rxbox_wire::frame::Reply;
use rxbox_wire::kept::Mapping;
use rxbox_wire::ptrace::{PIECE, STATE_MAX, StopKind};
use rxbox_wire::table::Internal;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

/// Answers a request of the runtime's.
pub fn serve(sandbox: &Arc<Sandbox>, request: Internal, call: &mut Call<'_>) -> SyscallResult {
    match request {
        Internal::Hello => hello(call),
        Internal::OpenExec => open_program(call),
        Internal::ExecDone => exec_done(call),
        Internal::Report => report(call),
        Internal::NewThread => start::new_thread(sandbox, call),
        Internal::NewProcess => start::new_process(call),
        Internal::ProcessStarted => start::process_started(sandbox, call),
        Internal::View => view(call),
        Internal::SendAgain => send_again(call),
        Internal::Detached => {
            call.sandbox.ipc.segments.detach(call.u64(0), call.process.pid);
            Ok(0)
        }
        Internal::KickSiblings => kick_siblings(call),
        Internal::Identity => tell_identity(call),
        Internal::TraceStop => trace_stop(call),
        Internal::TraceObeyed => trace_obeyed(call),
        Internal::Terminal => terminal(call),
        Internal::Code => code(call),
        Internal::Translated => translated(call),
    }
}

/// The first thread of the first process is there. Before its first request is served, its confinement is
/// confirmed: a child that runs without its filter is never served. Others are forked from one that has been
/// confirmed, and a process cannot get rid of what confines it, nor have children without (seccomp(2),
/// PR_SET_NO_NEW_PRIVS(2const), capabilities(7)).
fn hello(call: &mut Call<'_>) -> SyscallResult {
    let tid = call.i32(0);
    if !call.process.executed() && call.process.threads.ids().is_empty() {
        confirm_layers(call.sandbox, call.process, boot::Layers::from_bits_truncate(call.u32(1)))
            .inspect_err(|missing| call.sandbox.ending.end(End::Broken(missing.clone())))
            .map_err(|_| Errno::EPERM)?;
    }
    call.process.handle.thread(tid)?;
    call.process.threads.set_guest(call.slot, tid)?;
    if call.sandbox.tracees.is_tracer(OUTSIDE, tid) {
        call.process.attend(tid);
    }
    Ok(tid.into())
}

/// Whether the first child is confined as it always is and as the profile requires it; what is missing.
fn confirm_layers(sandbox: &Sandbox, first: &Process, offered: boot::Layers) -> Result<(), String> {
    layers::confirm(first.handle.on_host())
        .map_err(|missing| format!("the emulator child is not confined: {missing}"))?;
    sandbox.layers.child(offered);
    for stream in &sandbox.records {
        // A reader that is gone or takes nothing wants no report.
        let _ = stream.deliver(&sandbox.layers.json(), Instant::now() + PATIENCE);
    }
    let missing = sandbox.layers.missing(&sandbox.policy);
    if missing.is_empty() { Ok(()) } else { Err(missing.join("\n")) }
}

fn open_program(call: &mut Call<'_>) -> SyscallResult {
    let caller = Caller { call: "execve", ..Caller::of(call) };
    let (fd, path) = open_exec(&caller, libc::AT_FDCWD, call.string(0)?, call.i32(1))?;
    let copy = caller.check_contents(&path, fd.as_fd())?;
    if copy.is_none() {
        call.sandbox.offer_code(fd.as_fd());
    }
    call.process.send_copy(copy.as_deref().map_or(fd.as_fd(), AsFd::as_fd), fd.as_fd())?;
    call.reply.flags |= Reply::FD;
    Ok(0)
}

/// Code is mapped: the number of the mapping, and what is kept of it.
fn code(call: &mut Call<'_>) -> SyscallResult {
    let translations = call.sandbox.translations.get().ok_or(Errno::ENOSYS)?;
    let mapping = Mapping { address: call.u64(2), len: call.u64(3), offset: call.u64(4) };
    let (number, kept) = translations.code((call.u64(0), call.u64(1)), mapping)?;
    if let Some(kept) = kept {
        call.process.send_about(kept.as_fd(), &About::default())?;
        call.reply.flags |= Reply::FD;
    }
    Ok(number.into())
}

/// What the child has translated itself.
fn translated(call: &mut Call<'_>) -> SyscallResult {
    let translations = call.sandbox.translations.get().ok_or(Errno::ENOSYS)?;
    let mut points = Vec::new();
    call.area.read(call.checked.place[0].start, call.room(0), &mut points);
    translations.suggest(&points);
    Ok(0)
}

/// The new program is in place. Its file is looked up again by the name that the child gives: the guest can
/// only make its own `/proc/self/exe` lead somewhere else, to a file that it may execute. A file that has
/// vanished meanwhile leaves that link as it was.
fn exec_done(call: &mut Call<'_>) -> SyscallResult {
    let caller = Caller { call: "execve", ..Caller::of(call) };
    let old = call.process.exe();
    let (fd, path) = match program(&caller, libc::AT_FDCWD, call.string(0)?, 0) {
        Ok((file, path)) => (reopen(file.as_fd(), libc::O_PATH)?, path.into()),
        Err(_) => (reopen(old.fd.as_fd(), libc::O_PATH)?, old.path.clone()),
    };
    let (arguments, environment) = (strings(call, 1)?, strings(call, 2)?);
    call.process.set_exe(ExeRecord { fd, path, arguments, environment });
    let called = call.string(3)?.to_bytes();
    call.process.set_name(called.rsplit(|&b| b == b'/').next().unwrap_or_default());
    call.process.threads.keep_only(call.slot);
    identity::executed(call)?;
    let closed = call.process.fds.close_on_exec();
    closed.files().iter().for_each(|file| call.process.locks.release(file));
    call.sandbox.ipc.executed(call.process.pid);
    call.sandbox.notices.get().inspect(|notices| notices.program_runs());
    Ok(0)
}

/// The strings of argument `i`, each without its NUL.
fn strings(call: &Call<'_>, i: usize) -> Result<Vec<Vec<u8>>, Errno> {
    let bytes = call.bytes(i)?.unwrap_or_default();
    Ok(bytes.split_inclusive(|&b| b == 0).map(|s| s.strip_suffix(&[0]).unwrap_or(s).to_vec()).collect())
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

/// Interrupts whatever the caller's sibling threads wait for: a thread cannot send signals itself.
fn kick_siblings(call: &mut Call<'_>) -> SyscallResult {
    let process = call.process;
    if call.sandbox.tracees.any() {
        call.sandbox.tracees.replaced(process.pid, call.tid);
    }
    process.threads.ids().into_iter().filter(|tid| *tid != call.tid).for_each(|tid| process.kick(tid));
    Ok(0)
}

/// As whom the program runs that is about to be loaded: what its auxiliary vector says (getauxval(3)).
fn tell_identity(call: &mut Call<'_>) -> SyscallResult {
    let now = call.process.executing().unwrap_or_else(|| call.credentials());
    let ids = [now.user.real, now.user.effective, now.group.real, now.group.effective];
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    call.put(0, &bytes)?;
    Ok(0)
}

/// The thread may have to stop for a tracer: it gets an order once there is one.
fn trace_stop(call: &mut Call<'_>) -> SyscallResult {
    let kind = StopKind::of(call.u32(0)).ok_or(Errno::EINVAL)?;
    let info = call.bytes(2)?.and_then(|info| info.try_into().ok());
    let mut state = Vec::new();
    call.area.read(call.checked.place[3].start, call.room(3).min(STATE_MAX), &mut state);
    let report = Report { kind, value: call.u64(1), info, state };
    let (notice, others) = call.sandbox.tracees.report(call.tid, report)?;
    others.into_iter().for_each(|tid| call.process.attend(tid));
    notice.into_iter().for_each(|notice| call.sandbox.tell_tracer(notice));
    next_order(call, 5)
}

/// The thread has carried an order out.
fn trace_obeyed(call: &mut Call<'_>) -> SyscallResult {
    let mut bytes = Vec::new();
    call.area.read(call.checked.place[1].start, call.room(1).min(PIECE), &mut bytes);
    let answer = match call.i32(0) {
        0.. => Ok(bytes),
        errno => Err(Errno::from_raw(errno.saturating_neg())),
    };
    call.sandbox.tracees.obeyed(call.tid, answer);
    next_order(call, 3)
}

/// Waits for the next order to a stopped thread, which goes to argument `i`.
fn next_order(call: &mut Call<'_>, i: usize) -> SyscallResult {
    loop {
        match call.sandbox.tracees.next(call.tid, || call.process.ended()) {
            Step::Order(order) => {
                call.put(i, &order.encode())?;
                return Ok(0);
            }
            Step::Tell(notice) => call.sandbox.tell_tracer(notice),
        }
    }
}

/// A terminal that the guest has open, for what only a process of its session can do
/// ([`crate::state::terminals`]).
fn terminal(call: &mut Call<'_>) -> SyscallResult {
    let file = call.file(0)?;
    if file.kind != Kind::Terminal {
        return Err(Errno::ENOTTY);
    }
    call.process.send_fd(file.host.as_fd())?;
    call.reply.flags |= Reply::FD;
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
        0 => call.process.handle.signal(&info),
        tid => call.process.handle.thread(tid)?.signal(&info),
    }
}

//! The runtime's own requests to the supervisor ([`Internal`]).

use super::Thread;
use crate::guest::MappedFile;
use crate::host::control;
use crate::host::thread::gettid;
use crate::loader::ImageFile;
use crate::loader::stack::Strings;
use crate::signal::info::SigInfo;
use nix::errno::Errno;
use rxbox_wire::boot::Layers;
use rxbox_wire::frame::{Reply, Request};
use rxbox_wire::kept::{Mapping, Point};
use rxbox_wire::ptrace::{Mode, ORDER_MAX, Order, StopKind};
use rxbox_wire::sizes::{ABSENT, ALIGN, BULK_MAX, STRINGS_MAX};
use rxbox_wire::table::Internal;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Sends a request whose data are the runtime's: argument `i`'s bytes in `data[i]`, none where that is empty.
fn send(thread: &Thread, what: Internal, args: [u64; 6], data: &[&[u8]]) -> Reply {
    let mut len = [ABSENT; 6];
    let mut at = 0usize;
    for (slot, bytes) in len.iter_mut().zip(data).filter(|(_, bytes)| !bytes.is_empty()) {
        thread.slot.write(at, bytes);
        *slot = bytes.len() as u32;
        at = (at + bytes.len()).next_multiple_of(ALIGN);
    }
    thread.slot.call(&thread.cpu, &Request { nr: what.nr(), flags: 0, args, len })
}

fn plain(thread: &Thread, what: Internal, args: [u64; 2]) -> i64 {
    send(thread, what, [args[0], args[1], 0, 0, 0, 0], &[]).ret
}

/// Says that the first thread of the first process is ready, and what is in force around it; gives the id
/// that the guest knows it by.
pub fn hello(thread: &Thread, layers: Layers) -> i64 {
    plain(thread, Internal::Hello, [gettid() as u64, layers.bits().into()])
}

/// Makes the other threads of the process look up from what they wait for.
pub fn kick_siblings(thread: &Thread) {
    plain(thread, Internal::KickSiblings, [0, 0]);
}

/// Asks for a slot for a new thread, which is there but has not begun; its number or a negative errno. The
/// event is the one by which a tracer can have it traced (`PTRACE_EVENT_*`), or 0; a companion is known to
/// the guest as a process.
pub fn new_thread(thread: &Thread, tid: i32, event: i32, companion: bool) -> i64 {
    send(thread, Internal::NewThread, [tid as u64, event as u64, companion.into(), 0, 0, 0], &[]).ret
}

/// Asks for channel and control socket of a new process, and with `pidfd` for room for a descriptor of it.
///
/// # Errors
/// As fork(2).
pub fn new_process(thread: &Thread, pidfd: bool, shares_place: bool) -> Result<[OwnedFd; 2], Errno> {
    let _mine = thread.process.control.lock();
    let ret = plain(thread, Internal::NewProcess, [pidfd.into(), shares_place.into()]);
    if ret < 0 {
        return Err(Errno::from_raw(-ret as i32));
    }
    let (fds, _) = control::receive_all()?;
    <[OwnedFd; 2]>::try_from(fds).map_err(|_| Errno::EPROTO)
}

/// Says that the new process is there, or that there is none (a negative errno); gives the answer for the
/// guest, and the number of the descriptor if one is wanted. The event is as for [`new_thread`].
pub fn process_started(thread: &Thread, pid: i32, pidfd: bool, event: i32) -> (i64, i32) {
    let room: &[u8] = if pidfd { &[0; 4] } else { &[] };
    let args = [pid as u64, 0, event as u64, 0, 0, 0];
    let reply = send(thread, Internal::ProcessStarted, args, &[&[], room]);
    let number = thread.slot.read(0, room.len());
    (reply.ret, number.first_chunk().map_or(-1, |b| i32::from_le_bytes(*b)))
}

/// Tells the user something about the guest.
pub fn report(thread: &Thread, text: &str) {
    let bytes = text.as_bytes();
    send(thread, Internal::Report, [0, bytes.len() as u64, 0, 0, 0, 0], &[bytes]);
}

/// Tells the user once in a process what rxbox does not offer.
pub fn report_missing(thread: &Thread, told: &AtomicBool, text: &str) {
    if !told.swap(true, Ordering::Relaxed) {
        report(thread, text);
    }
}

/// Opens a program or interpreter, if the policy lets the guest execute it. With AT_SYMLINK_NOFOLLOW it is
/// no link.
///
/// # Errors
/// As execve(2) for the file.
pub fn open_exec(thread: &Thread, path: &[u8], flags: i32) -> Result<ImageFile, Errno> {
    let mut text = path.to_vec();
    text.push(0);
    let _mine = thread.process.control.lock();
    let reply = send(thread, Internal::OpenExec, [0, flags as u64, 0, 0, 0, 0], &[&text]);
    if reply.ret < 0 {
        return Err(Errno::from_raw(-reply.ret as i32));
    }
    let (fd, about) = control::receive()?;
    let size = control::size(&fd)?;
    let file = MappedFile { path: about.path, dev: about.dev, ino: about.ino };
    Ok(ImageFile { fd, file: Arc::new(file), size })
}

/// Says that code of a file is mapped; its number, and the kept translation if there is one.
pub fn code(thread: &Thread, dev: u64, ino: u64, mapping: Mapping) -> Option<(u32, Option<OwnedFd>)> {
    let _mine = thread.process.control.lock();
    let Mapping { address, len, offset } = mapping;
    let reply = send(thread, Internal::Code, [dev, ino, address, len, offset, 0], &[]);
    let number = u32::try_from(reply.ret).ok()?;
    let file = (reply.flags & Reply::FD != 0).then(control::receive).and_then(Result::ok);
    Some((number, file.map(|(fd, _)| fd)))
}

/// Tells at which points code was entered that was translated here, by the numbers of the mappings.
pub fn translated(thread: &Thread, all: &[(u32, Vec<Point>)]) {
    for (number, points) in all {
        for some in points.chunks(BULK_MAX / 4 - 2) {
            let words = [*number, some.len() as u32].into_iter().chain(some.iter().map(|point| point.0));
            let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
            send(thread, Internal::Translated, [0, bytes.len() as u64, 0, 0, 0, 0], &[&bytes]);
        }
    }
}

/// Real and effective user, real and effective group of this thread.
pub fn identity(thread: &Thread) -> [u32; 4] {
    let reply = send(thread, Internal::Identity, [0; 6], &[&[0; 16]]);
    let told = thread.slot.read(0, reply.out[0] as usize);
    std::array::from_fn(|i| {
        told.get(4 * i..4 * i + 4).map_or(0, |id| u32::from_le_bytes(std::array::from_fn(|k| id[k])))
    })
}

/// A terminal that the guest has open by this number.
///
/// # Errors
/// ENOTTY if it is none; of the control socket.
pub fn terminal(thread: &Thread, fd: i32) -> Result<OwnedFd, Errno> {
    let _mine = thread.process.control.lock();
    match plain(thread, Internal::Terminal, [fd as u64, 0]) {
        0 => control::receive().map(|(file, _)| file),
        error => Err(Errno::from_raw(-error as i32)),
    }
}

/// Says that the program of the file at `path` is loaded: descriptors that close on exec are closed, the name
/// is taken.
pub fn exec_done(thread: &Thread, path: &[u8], strings: Strings<'_>) {
    let text = |path: &[u8]| [path, &[0]].concat();
    let [path, called] = [path, strings.path].map(text);
    send(thread, Internal::ExecDone, [0; 6], &[&path, &joined(strings.argv), &joined(strings.envp), &called]);
}

/// As many whole strings with their NULs as cross.
fn joined(strings: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for s in strings {
        if out.len() + s.len() + 1 > STRINGS_MAX as usize {
            break;
        }
        out.extend(s);
        out.push(0);
    }
    out
}

/// Has a signal that was taken sent once more: to this thread if a call like tgkill(2) had sent it, else to
/// the process.
pub fn send_again(thread: &Thread, info: &SigInfo) {
    let whom = if info.code() == libc::SI_TKILL { thread.tid as u64 } else { 0 };
    let args = [whom, info.signal() as u64, 0, 0, 0, 0];
    send(thread, Internal::SendAgain, args, &[&[], &[], info.bytes()]);
}

/// Says that a segment of shared memory, by the inode number of its memory, is not attached any more.
pub fn detached(thread: &Thread, inode: u64) {
    plain(thread, Internal::Detached, [inode, 0]);
}

/// Says that the thread stops for its tracer, and with which state; the order that it gets.
pub fn trace_stop(
    thread: &Thread,
    kind: StopKind,
    value: u64,
    info: Option<&SigInfo>,
    state: &[u8],
) -> Order {
    let info: &[u8] = info.map_or(&[], |info| info.bytes());
    let args = [kind as u64, value, 0, 0, state.len() as u64, 0];
    ordered(thread, Internal::TraceStop, args, &[&[], &[], info, state, &[], &[0; ORDER_MAX]])
}

/// Says what came of an order; the next one.
pub fn trace_obeyed(thread: &Thread, answer: Result<Vec<u8>, Errno>) -> Order {
    let (result, bytes) = match answer {
        Ok(bytes) => (0, bytes),
        Err(e) => (-i64::from(e as i32), Vec::new()),
    };
    let args = [result as u64, 0, bytes.len() as u64, 0, 0, 0];
    ordered(thread, Internal::TraceObeyed, args, &[&[], &bytes, &[], &[0; ORDER_MAX]])
}

/// Sends a request whose last argument is room for an order.
fn ordered(thread: &Thread, what: Internal, args: [u64; 6], data: &[&[u8]]) -> Order {
    let reply = send(thread, what, args, data);
    let before = data[..data.len() - 1].iter().map(|bytes| bytes.len().next_multiple_of(ALIGN));
    let bytes = thread.slot.read(before.sum(), reply.out[data.len() - 1] as usize);
    // A supervisor that says nothing wants nothing.
    Order::decode(&bytes).unwrap_or_else(|| Order::go_on(Mode::empty()))
}

/// A file below `/proc/self` whose text only the child knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum View {
    /// The memory map.
    Maps = 0,
    /// The auxiliary vector.
    Auxv = 1,
    /// What `status` tells of signals: three sets, blocked by the thread, ignored and caught by the process.
    Signals = 2,
}

impl View {
    /// The view of this number.
    pub fn of(number: u32) -> Option<View> {
        [View::Maps, View::Auxv, View::Signals].into_iter().find(|view| *view as u32 == number)
    }

    /// The view that a path may be about, by its last component or the one before. To tell the supervisor
    /// without need does no harm.
    pub fn named(path: &[u8]) -> Option<View> {
        let mut components = path.rsplit(|&b| b == b'/');
        match (components.next()?, components.next()) {
            (b"maps" | b"smaps" | b"numa_maps" | b"map_files", _) | (_, Some(b"map_files")) => {
                Some(View::Maps)
            }
            (b"auxv", _) => Some(View::Auxv),
            (b"status", _) => Some(View::Signals),
            _ => None,
        }
    }
}

fn signal_sets(thread: &Thread) -> Vec<u8> {
    let [ignored, caught] = thread.process.actions.lock().ignored_and_caught();
    [thread.signals.mask(), ignored, caught].iter().flat_map(|set| set.0.to_le_bytes()).collect()
}

/// Tells the supervisor the text of a view, before it is asked for by name.
pub fn view(thread: &Thread, view: View) {
    let mut text = match view {
        View::Maps => thread.process.memory.lock().space.maps_text(),
        View::Auxv => thread.auxiliary_vector(),
        View::Signals => signal_sets(thread),
    };
    if text.len() > BULK_MAX {
        text.truncate(BULK_MAX);
        text.truncate(text.iter().rposition(|&b| b == b'\n').map_or(BULK_MAX, |end| end + 1));
    }
    send(thread, Internal::View, [view as u64, 0, text.len() as u64, 0, 0, 0], &[&[], &text]);
}

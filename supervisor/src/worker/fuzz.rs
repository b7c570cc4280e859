//! Fuzz targets: what a child can send, over its channel and over its control socket.

#![allow(clippy::unwrap_used, reason = "a fuzz target ends by a panic")]

#[path = "../../../tests/fuzz/forge.rs"]
mod forge;

use super::Worker;
use crate::handlers::fixture::{Guest, null};
use crate::host::interrupt;
use crate::host::shm::Channel;
use crate::path::fixture::Scratch;
use crate::state::process::Line;
use arbitrary::{Result, Unstructured};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, send, sendmsg, socketpair,
};
use rxbox_wire::control::About;
use rxbox_wire::frame::{Reply, Request};
use rxbox_wire::sizes::FAULT;
use rxbox_wire::table;
use std::fs::{create_dir, write};
use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Requests of one input at most.
const REQUESTS: usize = 200;
/// The input: a profile and a sequence of requests, each a row with registers and data. None makes the worker
/// panic, and replies fit the requests. All calls are as if a signal were there, so that none waits.
pub fn frames(input: &[u8]) {
    interrupt::install().unwrap();
    // As a program of Rust's is started, which libFuzzer's is not.
    SigSet::from(Signal::SIGPIPE).thread_block().unwrap();
    let mut input = Unstructured::new(input);
    let scratch = Scratch::new();
    let profile =
        if input.arbitrary().unwrap_or(false) { some_rights(&scratch) } else { "version = 1\n".into() };
    let Guest { sandbox, process, ends: _ends } = Guest::under(&profile);
    for file in files(&scratch) {
        process.fds.insert(crate::state::fd::File::made(file).unwrap(), false, 0).unwrap();
    }
    let sandbox = Arc::new(sandbox);
    let slot = process.line.channel.slot(0).unwrap();
    let mut worker =
        Worker { sandbox: &sandbox, process: &process, number: 0, slot, tid: 7, input: Default::default() };
    slot.interrupt().store(1, Ordering::SeqCst);
    for _ in 0..REQUESTS {
        if input.is_empty() {
            break;
        }
        let Ok((request, data)) = forge::request(&mut input, scratch.text()) else { break };
        slot.area().write(0, &data);
        slot.write_request(&request);
        match worker.serve() {
            Ok(reply) => fits(&Request::decode(&request), &reply),
            Err(violation) => assert!(!violation.to_string().is_empty()),
        }
    }
}

fn some_rights(scratch: &Scratch) -> String {
    let at = scratch.text();
    format!(
        "version = 1\n[filesystem]\nread = [\"/usr/share\"]\nwrite = [\"{at}\"]\nexecute = [\"{at}\"]\n\
         hidden = [\"{at}/d/x?\"]\n[network]\nallow = [\"unix:{at}\"]\n[audit]\ndenials = \"none\"\n"
    )
}

/// What the guest has open: 0 to 6.
fn files(scratch: &Scratch) -> [OwnedFd; 7] {
    write(scratch.0.join("f"), "content").unwrap();
    create_dir(scratch.0.join("d")).unwrap();
    write(scratch.0.join("d/x"), "hidden").unwrap();
    symlink("d/../f", scratch.0.join("l")).unwrap();
    let (read, write) = nix::unistd::pipe().unwrap();
    let pair = socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::SOCK_CLOEXEC).unwrap();
    let memory = memfd_create(c"fuzz", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap();
    let folder = std::fs::File::open(&scratch.0).unwrap();
    [null(), read, write, pair.0, pair.1, memory, folder.into()]
}

/// A reply says of no argument that more of it is there than was asked for.
fn fits(request: &Request, reply: &Reply) {
    for (out, len) in reply.out.iter().zip(request.len) {
        assert!(*out == 0 || (len < FAULT && *out <= len), "{reply:?} to {request:?}");
    }
    let row = table::row(request.nr).unwrap();
    assert!(reply.ret >= -4095 || !row.name.starts_with("open"), "{reply:?} to {request:?}");
}

/// The input: messages and descriptors from the child, and descriptors to it, in any order. Whatever comes,
/// the supervisor never waits, sees the child's end, and keeps no descriptor of the child's.
pub fn control(input: &[u8]) {
    let (line, end) = Line::new(Channel::new().unwrap()).unwrap();
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).unwrap();
    let mut input = Unstructured::new(input);
    // Fails where the input ends.
    let _ = converse(&mut input, &line, &end, &writer);
    drop((end, writer));
    assert!((0..10_000).any(|_| !line.drain(64).1), "the end of the child is not seen");
    drop(line);
    // A pipe ends when nobody has its other end.
    assert_eq!(nix::unistd::read(&reader, &mut [0]), Ok(0));
}

fn converse(input: &mut Unstructured<'_>, line: &Line, end: &OwnedFd, writer: &OwnedFd) -> Result<()> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    while !input.is_empty() {
        let size = input.int_in_range(0..=300)?;
        let kind = input.int_in_range(0..=4)?;
        let bytes = input.bytes(input.len().min(size))?;
        match kind {
            0 => _ = send(end.as_raw_fd(), bytes, flags),
            1 => {
                let rights = vec![writer.as_raw_fd(); 1 + bytes.len() % 4];
                let rights = [ControlMessage::ScmRights(&rights)];
                _ = sendmsg::<()>(end.as_raw_fd(), &[IoSlice::new(bytes)], &rights, flags, None);
            }
            2 => {
                let about = About { dev: size as u64, ino: 1, path: bytes.to_vec() };
                assert_eq!(About::decode(&about.encode()), Some(about.clone()));
                let sent = line.send(&about, &[line.channel.memory()]);
                assert!(matches!(sent, Ok(()) | Err(Errno::ENOBUFS)), "{sent:?}");
            }
            3 => _ = recv(end.as_raw_fd(), &mut [0; About::MAX], flags),
            _ => _ = line.drain(bytes.len()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_frame_makes_the_worker_panic() {
        rxbox_tests::fuzz::run("frames", 1_500, super::frames);
    }

    #[test]
    fn no_message_makes_the_supervisor_wait_or_keep_a_descriptor() {
        rxbox_tests::fuzz::run("control", 5_000, super::control);
    }
}

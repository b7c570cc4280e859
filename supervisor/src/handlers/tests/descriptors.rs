//! The descriptor table, reading and writing, locks, ioctl.

use super::A::{M, N, Null, Room};
use super::{Guest, number, word, words};
use crate::host::number::{Fcntl, NewFd, fcntl, new_fd};
use crate::state::fd::{File, Kind};
use nix::errno::Errno;
use rxbox_wire::frame::Reply;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};

const SET: i64 = libc::F_SETLK as i64;
const GET: i64 = libc::F_GETLK as i64;

/// A file that has no name any more, with this content.
fn file(content: &[u8]) -> std::fs::File {
    let fd = nix::sys::memfd::memfd_create(c"test", nix::sys::memfd::MFdFlags::MFD_CLOEXEC).unwrap();
    let mut file = std::fs::File::from(fd);
    file.write_all(content).unwrap();
    file.rewind().unwrap();
    file
}

fn pipe() -> (OwnedFd, OwnedFd) {
    nix::unistd::pipe().unwrap()
}

#[test]
fn numbers_that_were_never_given_are_bad_whatever_the_supervisor_has_open_under_them() {
    let g = Guest::free();
    for n in [0, 1, 2, 3, 7, -1, libc::AT_FDCWD.into(), i64::from(u32::MAX)] {
        assert_eq!(g.ask("read", &[N(n), Room(8), N(8)]), Err(Errno::EBADF), "{n}");
        assert_eq!(g.ask("dup2", &[N(n), N(5)]), Err(Errno::EBADF), "{n}");
        assert_eq!(g.ask("close", &[N(n)]), Err(Errno::EBADF), "{n}");
    }
}

#[test]
fn dup2_onto_itself_changes_nothing_and_dup3_refuses_it() {
    let g = Guest::free();
    let n = g.give(file(b""));
    g.ask("fcntl", &[N(n), N(libc::F_SETFD.into()), N(1)]).unwrap();
    assert_eq!(g.ask("dup2", &[N(n), N(n)]), Ok(n));
    assert_eq!(g.ask("fcntl", &[N(n), N(libc::F_GETFD.into())]), Ok(1));
    assert_eq!(g.ask("dup3", &[N(n), N(n), N(0)]), Err(Errno::EINVAL));
    assert_eq!(g.ask("dup2", &[N(n + 1), N(n + 1)]), Err(Errno::EBADF));
}

#[test]
fn duplicates_share_the_offset_and_not_the_close_on_exec_flag() {
    let g = Guest::free();
    let n = g.give(file(b"abcdef"));
    let copy = g.ask("dup3", &[N(n), N(20), N(libc::O_CLOEXEC.into())]).unwrap();
    assert_eq!(copy, 20);
    assert_eq!(g.call("read", &[N(n), Room(2), N(2)]).out[1], b"ab");
    assert_eq!(g.call("read", &[N(copy), Room(2), N(2)]).out[1], b"cd");
    assert_eq!(g.ask("fcntl", &[N(copy), N(libc::F_GETFD.into())]), Ok(1));
    assert_eq!(g.ask("fcntl", &[N(n), N(libc::F_GETFD.into())]), Ok(0));
    assert_eq!(g.ask("fcntl", &[N(n), N(libc::F_DUPFD.into()), N(30)]), Ok(30));
    assert_eq!(g.ask("fcntl", &[N(n), N(libc::F_DUPFD.into()), N(-1)]), Err(Errno::EINVAL));
}

#[test]
fn close_range_closes_or_marks_exactly_its_range() {
    let g = Guest::free();
    for _ in 0..6 {
        g.give(file(b""));
    }
    assert_eq!(g.ask("close_range", &[N(3), N(2), N(0)]), Err(Errno::EINVAL));
    assert_eq!(g.ask("close_range", &[N(0), N(1), N(libc::CLOSE_RANGE_CLOEXEC.into())]), Ok(0));
    assert_eq!(g.ask("close_range", &[N(3), N(4), N(0)]), Ok(0));
    assert_eq!(
        g.process.fds.iter().iter().map(|e| (e.0, e.2)).collect::<Vec<_>>(),
        [(0, true), (1, true), (2, false), (5, false)]
    );
    assert_eq!(g.ask("close_range", &[N(0), N(u32::MAX.into()), N(0)]), Ok(0));
    assert!(g.process.fds.iter().is_empty());
}

#[test]
fn a_pipe_gets_two_numbers_or_none() {
    let g = Guest::free();
    g.process.fds.set_limit(3);
    let done = g.call("pipe2", &[Room(8), N(libc::O_CLOEXEC.into())]);
    assert_eq!((done.answer, number(&done.out[0]), number(&done.out[0][4..])), (Ok(0), 0, 1));
    assert_eq!(g.ask("pipe2", &[Room(8), N(0)]), Err(Errno::EMFILE));
    assert_eq!(g.process.fds.iter().len(), 2);
    assert_eq!(g.ask("pipe2", &[Room(8), N(libc::O_APPEND.into())]), Err(Errno::EINVAL));
}

#[test]
fn a_full_transfer_on_a_regular_file_may_go_on_and_a_short_one_may_not() {
    let g = Guest::free();
    let n = g.give(file(b"abc"));
    assert_eq!(g.part("read", &[N(n), Room(2), N(2)]).flags, Reply::MORE);
    assert_eq!(g.part("read", &[N(n), Room(2), N(2)]).flags, 0);
    let (r, w) = pipe();
    nix::unistd::write(&w, b"abcd").unwrap();
    let n = g.give(r);
    assert_eq!(g.part("read", &[N(n), Room(2), N(2)]).flags, 0);
}

#[test]
fn a_part_of_a_message_is_not_sent() {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    let g = Guest::free();
    for (kind, answer) in [(SockType::Datagram, Err(Errno::EMSGSIZE)), (SockType::Stream, Ok(1))] {
        let (a, _b) = socketpair(AddressFamily::Unix, kind, None, SockFlag::empty()).unwrap();
        let n = g.give(a);
        assert_eq!(g.part("write", &[N(n), M(b"x"), N(1)]).answer, answer);
        assert_eq!(g.part("sendto", &[N(n), M(b"x"), N(1), N(0), Null, N(0)]).answer, answer);
        assert_eq!(g.ask("write", &[N(n), M(b"x"), N(1)]), Ok(1));
    }
}

#[test]
fn positional_transfers_leave_the_offset_and_refuse_negative_ones() {
    let g = Guest::free();
    let n = g.give(file(b"abcdef"));
    assert_eq!(g.call("pread64", &[N(n), Room(3), N(3), N(2)]).out[1], b"cde");
    assert_eq!(g.ask("pread64", &[N(n), Room(3), N(3), N(-1)]), Err(Errno::EINVAL));
    assert_eq!(g.call("preadv2", &[N(n), Room(2), N(1), N(-1), N(0), N(0)]).out[1], b"ab");
    assert_eq!(g.ask("preadv2", &[N(n), Room(2), N(1), N(-2), N(0), N(0)]), Err(Errno::EINVAL));
    assert_eq!(g.ask("pwrite64", &[N(n), M(b"xy"), N(2), N(4)]), Ok(2));
    assert_eq!(g.call("pread64", &[N(n), Room(6), N(6), N(0)]).out[1], b"abcdxy");
}

#[test]
fn a_pipe_without_readers_raises_the_signal_in_the_guest() {
    let g = Guest::free();
    let (r, w) = pipe();
    drop(r);
    let n = g.give(w);
    let done = g.call("write", &[N(n), M(b"x"), N(1)]);
    assert_eq!((done.answer, done.flags), (Err(Errno::EPIPE), Reply::SIGNALLED));
}

#[test]
fn writes_stop_at_the_guests_own_file_size_limit() {
    let g = Guest::free();
    let n = g.give(file(b""));
    g.ask("setrlimit", &[N(libc::RLIMIT_FSIZE.into()), M(&words(&[4, 4]))]).unwrap();
    assert_eq!(g.ask("write", &[N(n), M(b"abcdef"), N(6)]), Ok(4));
    let done = g.call("write", &[N(n), M(b"x"), N(1)]);
    assert_eq!((done.answer, done.flags), (Err(Errno::EFBIG), Reply::SIGNALLED));
    assert_eq!(g.ask("ftruncate", &[N(n), N(5)]), Err(Errno::EFBIG));
    assert_eq!(g.ask("ftruncate", &[N(n), N(2)]), Ok(0));
    assert_eq!(g.ask("pwrite64", &[N(n), M(b"x"), N(1), N(4)]), Err(Errno::EFBIG));
}

#[test]
fn a_view_is_read_at_its_own_offset_and_cannot_be_written_mapped_or_moved() {
    let g = Guest::free();
    let stand_in: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
    let view = File::view(stand_in, (*b"/proc/self/comm").into(), b"guest\n".to_vec());
    let n = g.process.fds.insert(view, false, 0).unwrap().into();
    assert_eq!(g.call("read", &[N(n), Room(3), N(3)]).out[1], b"gue");
    assert_eq!(g.ask("lseek", &[N(n), N(-1), N(libc::SEEK_END.into())]), Ok(5));
    assert_eq!(g.call("read", &[N(n), Room(9), N(9)]).out[1], b"\n");
    assert_eq!(g.ask("write", &[N(n), M(b"x"), N(1)]), Err(Errno::EBADF));
    let map = [Null, N(4096), N(libc::PROT_READ.into()), N(libc::MAP_PRIVATE.into()), N(n), N(0)];
    assert_eq!(g.ask("mmap", &map), Err(Errno::ENODEV));
    let (_r, w) = pipe();
    let w = g.give(w);
    assert_eq!(g.ask("sendfile", &[N(w), N(n), Null, N(5)]), Err(Errno::EINVAL));
}

#[test]
fn moved_offsets_are_given_back() {
    let g = Guest::free();
    let (from, to) = (g.give(file(b"abcdef")), g.give(file(b"")));
    let done = g.call("copy_file_range", &[N(from), M(&words(&[1])), N(to), Null, N(3), N(0)]);
    assert_eq!((done.answer, word(&done.out[1], 0)), (Ok(3), 4));
    assert_eq!(g.call("pread64", &[N(to), Room(9), N(9), N(0)]).out[1], b"bcd");
    let done = g.call("sendfile", &[N(to), N(from), M(&words(&[4])), N(9)]);
    assert_eq!((done.answer, word(&done.out[2], 0)), (Ok(2), 6));
    assert_eq!(g.ask("sendfile", &[N(to), N(from), M(&words(&[u64::MAX])), N(9)]), Err(Errno::EINVAL));
}

/// A `struct flock` from the start of the file.
fn flock(kind: i32, start: i64, len: i64) -> Vec<u8> {
    let mut b = vec![0; 32];
    b[..2].copy_from_slice(&(kind as i16).to_le_bytes());
    b[8..16].copy_from_slice(&start.to_le_bytes());
    b[16..24].copy_from_slice(&len.to_le_bytes());
    b
}

#[test]
fn record_locks_belong_to_the_process_and_exclude_other_processes() {
    let g = Guest::living();
    let child = g.add(super::NOBODY - 1, super::living());
    let f = file(b"0123456789");
    let (a, b) = (g.give(f.try_clone().unwrap()), g.give(f.try_clone().unwrap()));
    let theirs = child.fds.insert(File::made(f.into()).unwrap(), false, 0).unwrap().into();
    let lock = flock(libc::F_WRLCK, 0, 5);
    assert_eq!(g.ask("fcntl", &[N(a), N(SET), M(&lock)]), Ok(0));
    assert_eq!(g.ask("fcntl", &[N(b), N(SET), M(&lock)]), Ok(0), "a process does not lock itself out");
    let as_child = |args: &[super::A<'_>]| g.call_as(&child, "fcntl", args);
    assert_eq!(as_child(&[N(theirs), N(SET), M(&lock)]).answer, Err(Errno::EAGAIN));
    assert_eq!(as_child(&[N(theirs), N(SET), M(&flock(libc::F_WRLCK, 5, 5))]).answer, Ok(0));
    let seen = as_child(&[N(theirs), N(GET), M(&lock)]);
    assert_eq!(i32::from(i16::from_le_bytes([seen.out[2][0], seen.out[2][1]])), libc::F_WRLCK);
    assert_eq!(seen.out[2][24..28], super::NOBODY.to_le_bytes(), "the holder is told");
    g.ask("close", &[N(b)]).unwrap();
    assert_eq!(as_child(&[N(theirs), N(SET), M(&lock)]).answer, Ok(0), "any close drops the locks");
}

#[test]
fn the_locks_of_a_process_that_has_ended_are_in_nobodys_way() {
    let g = Guest::living();
    let child = g.add(super::NOBODY - 1, super::ended());
    let f = file(b"0123456789");
    let own = g.give(f.try_clone().unwrap());
    let theirs = child.fds.insert(File::made(f.into()).unwrap(), false, 0).unwrap().into();
    let lock = flock(libc::F_WRLCK, 0, 5);
    assert_eq!(g.call_as(&child, "fcntl", &[N(theirs), N(SET), M(&lock)]).answer, Ok(0));
    assert_eq!(g.ask("fcntl", &[N(own), N(SET), M(&lock)]), Ok(0));
}

#[test]
fn a_lock_counted_from_the_offset_lies_where_the_guests_offset_is() {
    let g = Guest::living();
    let child = g.add(super::NOBODY - 1, super::living());
    let f = file(b"0123456789");
    let a = g.give(f.try_clone().unwrap());
    let theirs = child.fds.insert(File::made(f.into()).unwrap(), false, 0).unwrap().into();
    g.ask("lseek", &[N(a), N(4), N(0)]).unwrap();
    let mut lock = flock(libc::F_WRLCK, 0, 1);
    lock[2] = libc::SEEK_CUR as u8;
    assert_eq!(g.ask("fcntl", &[N(a), N(SET), M(&lock)]), Ok(0));
    let tries = |at| g.call_as(&child, "fcntl", &[N(theirs), N(SET), M(&flock(libc::F_WRLCK, at, 1))]).answer;
    assert_eq!((tries(3), tries(4)), (Ok(0), Err(Errno::EAGAIN)));
}

#[test]
fn a_write_lock_needs_a_descriptor_open_for_writing() {
    let g = Guest::free();
    let n = g.give(std::fs::File::open("/etc/passwd").unwrap());
    assert_eq!(g.ask("fcntl", &[N(n), N(SET), M(&flock(libc::F_WRLCK, 0, 1))]), Err(Errno::EBADF));
    assert_eq!(g.ask("fcntl", &[N(n), N(SET), M(&flock(77, 0, 1))]), Err(Errno::EINVAL));
}

#[test]
fn status_flags_are_set_but_for_signals_that_would_be_the_supervisors() {
    let g = Guest::free();
    let (r, _w) = pipe();
    let (pipe, terminal) = (g.give(r), g.give(nix::pty::openpty(None, None).unwrap().slave));
    let (flags, fioasync) = (libc::O_NONBLOCK | libc::O_ASYNC, libc::FIOASYNC as i64);
    let set = |n| g.ask("fcntl", &[N(n), N(libc::F_SETFL.into()), N(flags.into())]).unwrap();
    let get = |n| g.ask("fcntl", &[N(n), N(libc::F_GETFL.into())]).unwrap() as i32 & !libc::O_ACCMODE;
    set(pipe);
    set(terminal);
    assert_eq!((get(pipe), get(terminal)), (flags, libc::O_NONBLOCK));
    assert_eq!(g.ask("ioctl", &[N(terminal), N(fioasync), M(&[1, 0, 0, 0])]), Err(Errno::ENOTTY));
    assert_eq!(g.ask("ioctl", &[N(pipe), N(fioasync), M(&[0, 0, 0, 0])]), Ok(0));
    assert_eq!(get(pipe), libc::O_NONBLOCK);
    assert_eq!(g.ask("read", &[N(pipe), Room(1), N(1)]), Err(Errno::EAGAIN));
}

#[test]
fn only_processes_of_the_sandbox_are_sent_the_signals_of_a_descriptor() {
    let g = Guest::free();
    let (r, _w) = pipe();
    let outside = std::process::id() as i32;
    fcntl(r.as_fd(), Fcntl::SetOwner, outside as u64).unwrap();
    let host = r.try_clone().unwrap();
    let n = g.give(r);
    let own = |pid: i32| g.ask("fcntl", &[N(n), N(libc::F_SETOWN.into()), N(pid.into())]);
    let host_owner = || fcntl(host.as_fd(), Fcntl::GetOwner, 0).unwrap() as i32;
    let switch = || g.ask("fcntl", &[N(n), N(libc::F_SETFL.into()), N(libc::O_ASYNC.into())]);
    assert_eq!(
        g.ask("fcntl", &[N(n), N(libc::F_GETOWN.into())]),
        Ok(0),
        "who is outside is nobody's business"
    );
    assert_eq!(switch(), Err(Errno::EPERM), "the owner that it came with would be signalled");
    for pid in [outside, 1, i32::MAX] {
        assert_eq!(own(pid), Err(Errno::ESRCH));
    }
    assert_eq!(own(-1), Err(Errno::EPERM));
    assert_eq!((own(super::NOBODY), host_owner()), (Err(Errno::ESRCH), outside), "it has ended");
    assert_eq!((own(0), host_owner()), (Ok(0), 0));
    assert_eq!(switch(), Ok(0));
    // A process whose number another one got: what was named is taken back.
    let reused = g.add(outside, super::ended());
    assert_eq!((own(reused.pid), host_owner()), (Err(Errno::ESRCH), 0));
}

#[test]
fn terminal_injection_is_refused_whatever_the_high_bits() {
    let g = Guest::free();
    let pty = nix::pty::openpty(None, None).unwrap();
    let n = g.give(pty.slave);
    for request in [libc::TIOCSTI, libc::TIOCLINUX] {
        for high in [0u64, 1 << 32, 0xffff_ffff << 32] {
            let done = g.ask("ioctl", &[N(n), N((request | high) as i64), M(b"x")]);
            assert_eq!(done, Err(Errno::EPERM), "{request:#x} {high:#x}");
        }
    }
}

#[test]
fn an_unknown_request_never_reaches_the_host() {
    let g = Guest::free();
    let n = g.give(std::fs::File::open("/dev/null").unwrap());
    assert_eq!(g.ask("ioctl", &[N(n), N(0x1234_5678), N(0)]), Err(Errno::ENOTTY));
}

#[test]
fn terminal_settings_cross_whole() {
    let g = Guest::free();
    let pty = nix::pty::openpty(None, None).unwrap();
    let n = g.give(pty.slave);
    let size = [24u16, 80, 0, 0].map(u16::to_le_bytes).concat();
    assert_eq!(g.ask("ioctl", &[N(n), N(libc::TIOCSWINSZ as i64), M(&size)]), Ok(0));
    assert_eq!(g.call("ioctl", &[N(n), N(libc::TIOCGWINSZ as i64), Room(8)]).out[2], size);
    assert_eq!(g.call("ioctl", &[N(n), N(libc::TCGETS as i64), Room(36)]).out[2].len(), 36);
}

#[test]
fn job_control_is_the_childs_and_of_terminals_only() {
    let mut g = Guest::free();
    let leader = Leader::of_session();
    g.process = g.add(leader.pid(), leader.pidfd());
    let pty = nix::pty::openpty(None, None).unwrap();
    let (terminal, other) = (g.give(pty.slave), g.give(std::fs::File::open("/dev/null").unwrap()));
    let ask = |n: i64, request: u64| {
        let value = match request {
            libc::TIOCSCTTY | libc::TIOCNOTTY => N(0),
            libc::TIOCSPGRP => M(&[1, 0, 0, 0]),
            _ => Room(4),
        };
        g.call("ioctl", &[N(n), N(request as i64), value])
    };
    for request in [libc::TIOCSCTTY, libc::TIOCNOTTY, libc::TIOCGPGRP, libc::TIOCGSID, libc::TIOCSPGRP] {
        let done = ask(terminal, request);
        assert_eq!((done.answer, done.flags), (Ok(0), Reply::GRANTED), "{request:#x}");
        assert_eq!(ask(other, request).answer, Err(Errno::ENOTTY), "{request:#x}");
    }
    // What the leader may have taken can be opened by `/dev/tty` only if it has.
    assert_eq!(g.sandbox.terminals.name(&g.process.handle).map(drop), Err(Errno::ENXIO));
}

/// A terminal that is opened is offered to a leader without one, unless it says O_NOCTTY.
#[test]
fn an_opened_terminal_is_offered_to_whoever_can_take_it() {
    let mut g = Guest::free();
    let pty = nix::pty::openpty(None, None).unwrap();
    let name = nix::unistd::ttyname(&pty.slave).unwrap().into_os_string().into_encoded_bytes();
    let name = [&*name, b"\0"].concat();
    let offered = |g: &Guest, name: &[u8], flags: i32| {
        let done = g.call("open", &[M(name), N(flags.into()), N(0)]);
        assert!(done.answer.is_ok(), "{:?}", done.answer);
        done.flags & Reply::TAKE != 0
    };
    assert!(!offered(&g, &name, libc::O_RDWR), "it leads no session");
    let leader = Leader::of_session();
    g.process = g.add(leader.pid(), leader.pidfd());
    assert!(offered(&g, &name, libc::O_RDWR));
    assert!(!offered(&g, &name, libc::O_RDWR | libc::O_NOCTTY));
    assert!(!offered(&g, &name, libc::O_WRONLY));
    assert!(!offered(&g, b"/dev/ptmx\0", libc::O_RDWR));
    assert!(!offered(&g, b"/dev/null\0", libc::O_RDWR));
}

/// A process that leads a group, or a session.
struct Leader(std::process::Child);

impl Leader {
    /// Once it does.
    fn of_session() -> Leader {
        let mut program = Command::new("/usr/bin/setsid");
        program.args(["/bin/sh", "-c", "echo; exec cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = program.spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        Leader(child)
    }
    fn pid(&self) -> i32 {
        self.0.id() as i32
    }
    fn pidfd(&self) -> OwnedFd {
        new_fd(NewFd::Pidfd, [self.0.id().into(), 0, 0]).unwrap()
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_private_mapping_gets_a_descriptor_that_cannot_write() {
    let g = Guest::free();
    let n = g.give(file(b"abc"));
    let map =
        |flags: i32| g.call("mmap", &[Null, N(4096), N(libc::PROT_READ.into()), N(flags.into()), N(n), N(0)]);
    assert_eq!(map(libc::MAP_PRIVATE).flags, Reply::GRANTED | Reply::FD);
    let read_only = g.give(std::fs::File::open("/etc/passwd").unwrap());
    let shared_write = [Null, N(4096), N(3), N(libc::MAP_SHARED.into()), N(read_only), N(0)];
    assert_eq!(g.ask("mmap", &shared_write), Err(Errno::EACCES));
    assert_eq!(g.call("mmap", &[Null, N(4096), N(3), N(0x22), N(-1), N(0)]).flags, Reply::GRANTED);
    assert_eq!(
        g.ask("mmap", &[Null, N(4096), N(1), N(libc::MAP_PRIVATE.into()), N(50), N(0)]),
        Err(Errno::EBADF)
    );
}

#[test]
fn memory_files_cannot_ask_for_huge_pages() {
    let g = Guest::free();
    let n = g.ask("memfd_create", &[M(b"m\0"), N(libc::MFD_CLOEXEC.into())]).unwrap();
    assert_eq!(g.process.fds.get(n as i32).unwrap().kind, Kind::Memory);
    assert_eq!(g.ask("memfd_create", &[M(b"m\0"), N(libc::MFD_HUGETLB.into())]), Err(Errno::EINVAL));
    let mut back = String::new();
    assert_eq!(g.ask("write", &[N(n), M(b"abc"), N(3)]), Ok(3));
    let host = g.process.fds.get(n as i32).unwrap().host.try_clone().unwrap();
    let mut host = std::fs::File::from(host);
    host.rewind().unwrap();
    host.read_to_string(&mut back).unwrap();
    assert_eq!(back, "abc");
}

#[test]
fn the_limit_of_output_counts_the_stream_by_whatever_descriptor_and_ends_the_sandbox() {
    use crate::state::output::Output;
    use std::os::fd::AsFd;
    let (r, w) = pipe();
    let mut r = std::fs::File::from(r);
    let mut g = Guest::free();
    g.sandbox.output = Output::new(Some(6), &[w.as_fd()], g.sandbox.ending.clone());
    let n = g.give(w);
    let copy = g.ask("dup", &[N(n)]).unwrap();
    let other = g.give(file(b""));
    // A pipe may hold no more than what one call has put in, so it is emptied after each.
    let mut arrived = |text: &[u8]| {
        let mut all = [0; 16];
        assert_eq!((r.read(&mut all).unwrap(), &all[..text.len()]), (text.len(), text));
    };
    assert_eq!(g.ask("write", &[N(n), M(b"abcd"), N(4)]), Ok(4));
    arrived(b"abcd");
    assert_eq!(g.ask("write", &[N(other), M(b"abcdefgh"), N(8)]), Ok(8), "another file does not count");
    let nonblocking = [N(other), M(&words(&[0])), N(copy), Null, N(1), N(0)];
    assert_eq!(g.ask("splice", &nonblocking), Ok(1));
    arrived(b"a");
    assert_eq!(g.ask("write", &[N(copy), M(b"ef"), N(2)]), Ok(1));
    assert!(g.sandbox.ending.cause().is_none());
    assert!(g.ask("write", &[N(copy), M(b"f"), N(1)]).is_err());
    assert_eq!(g.sandbox.ending.cause(), Some(&crate::report::ending::End::OutputLimit));
    arrived(b"e");
}

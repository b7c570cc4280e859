//! Waiting for descriptors and for time.

use super::A::{M, N, Null, Room};
use super::{Guest, word, words};
use crate::host::interrupt::watch;
use nix::errno::Errno;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU32;

fn pollfd(fd: i64, events: i16) -> Vec<u8> {
    [&(fd as i32).to_le_bytes()[..], &events.to_le_bytes(), &[0; 2]].concat()
}

fn revents(bytes: &[u8], n: usize) -> i16 {
    i16::from_le_bytes([bytes[8 * n + 6], bytes[8 * n + 7]])
}

/// A guest with a pipe that has a byte in it; the numbers of its two ends.
fn with_pipe() -> (Guest, i64, i64) {
    let g = Guest::free();
    let (r, w): (OwnedFd, OwnedFd) = nix::unistd::pipe().unwrap();
    nix::unistd::write(&w, b"x").unwrap();
    let (r, w) = (g.give(r), g.give(w));
    (g, r, w)
}

#[test]
fn poll_tells_of_numbers_that_are_not_open_without_waiting() {
    let (g, r, w) = with_pipe();
    let set =
        [pollfd(r, libc::POLLIN), pollfd(50, libc::POLLIN), pollfd(-1, libc::POLLIN), pollfd(w, 0)].concat();
    let done = g.call("poll", &[M(&set), N(4), N(-1)]);
    assert_eq!(done.answer, Ok(2));
    let told = [0, 1, 2, 3].map(|n| revents(&done.out[0], n));
    assert_eq!(told, [libc::POLLIN, libc::POLLNVAL, 0, 0]);
    assert_eq!(done.out[0][..4], set[..4], "the guest's own numbers stay");
}

#[test]
fn select_answers_in_the_guests_numbers_and_refuses_closed_ones() {
    let (g, r, _) = with_pipe();
    // With a byte in it a pipe may be full.
    let (_empty, w): (OwnedFd, OwnedFd) = nix::unistd::pipe().unwrap();
    let w = g.give(w);
    let moved = g.ask("dup2", &[N(r), N(63)]).unwrap();
    let reading = words(&[1 << moved | 1 << r]);
    let writing = words(&[1 << w]);
    let done = g.call("select", &[N(64), M(&reading), M(&writing), Null, Null]);
    assert_eq!(
        (done.answer, word(&done.out[1], 0), word(&done.out[2], 0)),
        (Ok(3), 1 << moved | 1 << r, 1 << w)
    );
    assert_eq!(g.ask("select", &[N(64), M(&words(&[1 << 40])), Null, Null, Null]), Err(Errno::EBADF));
    assert_eq!(g.ask("select", &[N(-1), Null, Null, Null, Null]), Err(Errno::EINVAL));
    let none = g.call("pselect6", &[N(64), M(&words(&[0])), Null, Null, M(&words(&[0, 0])), Null]);
    assert_eq!((none.answer, word(&none.out[1], 0)), (Ok(0), 0));
}

#[test]
fn epoll_gives_back_the_guests_own_words() {
    let (g, r, _) = with_pipe();
    let epoll = g.ask("epoll_create1", &[N(0)]).unwrap();
    let event = [&(libc::EPOLLIN as u32).to_le_bytes()[..], b"whatever"].concat();
    let add = libc::EPOLL_CTL_ADD.into();
    assert_eq!(g.ask("epoll_ctl", &[N(epoll), N(add), N(r), M(&event)]), Ok(0));
    assert_eq!(g.ask("epoll_ctl", &[N(epoll), N(add), N(r), M(&event)]), Err(Errno::EEXIST));
    let copy = g.ask("dup", &[N(r)]).unwrap();
    assert_eq!(
        g.ask("epoll_ctl", &[N(epoll), N(add), N(copy), M(&event)]),
        Ok(0),
        "a duplicate counts apart"
    );
    let done = g.call("epoll_wait", &[N(epoll), Room(48), N(4), N(-1)]);
    assert_eq!((done.answer, done.out[1].len()), (Ok(2), 24));
    assert_eq!(done.out[1][4..12], *b"whatever");
    assert_eq!(g.ask("epoll_wait", &[N(r), Room(48), N(4), N(0)]), Err(Errno::EINVAL));
    assert_eq!(g.ask("epoll_wait", &[N(epoll), Null, N(0), N(0)]), Err(Errno::EINVAL));
}

/// With the word set that asks to interrupt, every call that could wait for ever comes back.
#[test]
fn whatever_may_wait_can_be_interrupted_off() {
    crate::host::interrupt::install().unwrap();
    let g = Guest::free();
    let (r, _w): (OwnedFd, OwnedFd) = nix::unistd::pipe().unwrap();
    let r = g.give(r);
    let (_source, sink) = nix::unistd::pipe().unwrap();
    let sink = g.give(sink);
    let epoll = g.ask("epoll_create1", &[N(0)]).unwrap();
    let listener = g.give(std::os::unix::net::UnixDatagram::unbound().unwrap());
    let asked = AtomicU32::new(1);
    let interrupted = |name: &str, args: &[super::A<'_>]| {
        assert_eq!(watch(&asked, || g.ask(name, args)), Err(Errno::EINTR), "{name}");
    };
    interrupted("read", &[N(r), Room(1), N(1)]);
    interrupted("readv", &[N(r), Room(1), N(1)]);
    interrupted("poll", &[M(&pollfd(r, libc::POLLIN)), N(1), N(-1)]);
    interrupted("select", &[N(64), M(&words(&[1 << r])), Null, Null, Null]);
    interrupted("epoll_wait", &[N(epoll), Room(12), N(1), N(-1)]);
    interrupted("epoll_pwait2", &[N(epoll), Room(12), N(1), Null]);
    interrupted("recvfrom", &[N(listener), Room(1), N(1), N(0), Null, Null]);
    interrupted("nanosleep", &[M(&words(&[1000, 0])), Null]);
    interrupted("clock_nanosleep", &[N(1), N(0), M(&words(&[1000, 0])), Null]);
    interrupted("splice", &[N(r), Null, N(sink), Null, N(1), N(0)]);
}

#[test]
fn a_timer_is_read_back_as_it_was_set() {
    let g = Guest::free();
    let timer = g.ask("timerfd_create", &[N(libc::CLOCK_MONOTONIC.into()), N(0)]).unwrap();
    let done = g.call("timerfd_settime", &[N(timer), N(0), M(&words(&[7, 8, 1000, 0])), Room(32)]);
    assert_eq!((done.answer, &done.out[3][..]), (Ok(0), &[0; 32][..]));
    let now = g.call("timerfd_gettime", &[N(timer), Room(32)]).out[1].clone();
    assert_eq!((word(&now, 0), word(&now, 1)), (7, 8));
    assert!((1..=1000).contains(&word(&now, 2)));
}

#[test]
fn clocks_of_others_are_not_there() {
    let g = Guest::free();
    let clock_of = |pid: i32| i64::from(!pid << 3 | 2);
    assert_eq!(g.ask("clock_gettime", &[N(libc::CLOCK_MONOTONIC.into()), Room(16)]), Ok(0));
    assert_eq!(
        g.ask("clock_gettime", &[N(clock_of(std::process::id() as i32)), Room(16)]),
        Err(Errno::EINVAL)
    );
    assert_eq!(g.ask("clock_gettime", &[N(clock_of(1)), Room(16)]), Err(Errno::EINVAL));
    assert_eq!(g.ask("clock_gettime", &[N(i64::from(!5 << 3 | 3)), Room(16)]), Err(Errno::EINVAL));
}

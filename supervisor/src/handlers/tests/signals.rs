//! Signals, process groups.

use super::A::{M, N};
use super::{Guest, NOBODY, ended};
use crate::host::number::{Make, make};
use nix::errno::Errno;
use rxbox_wire::frame::Reply;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

/// A host process that waits until it gets a signal or its input ends.
struct Victim(Child);

impl Victim {
    fn start() -> Victim {
        Victim(Command::new("/bin/cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
    }
    fn pid(&self) -> i32 {
        self.0.id() as i32
    }
    fn pidfd(&self) -> OwnedFd {
        make(Make::Pidfd, [self.0.id().into(), 0, 0]).unwrap()
    }
    /// The signal that ended it, once its input has ended.
    fn ended_by(mut self) -> Option<i32> {
        self.0.wait().unwrap().signal()
    }
}

#[test]
fn a_signal_reaches_a_process_of_the_sandbox() {
    let (g, victim) = (Guest::free(), Victim::start());
    g.add(victim.pid(), victim.pidfd());
    assert_eq!(g.ask("kill", &[N(victim.pid().into()), N(0)]), Ok(0));
    assert_eq!(g.ask("kill", &[N(victim.pid().into()), N(65)]), Err(Errno::EINVAL));
    assert_eq!(g.ask("kill", &[N(victim.pid().into()), N(libc::SIGTERM.into())]), Ok(0));
    assert_eq!(victim.ended_by(), Some(libc::SIGTERM));
}

#[test]
fn a_thread_is_reached_by_its_own_number() {
    let (g, victim) = (Guest::free(), Victim::start());
    g.add(victim.pid(), victim.pidfd());
    let pid = victim.pid().into();
    assert_eq!(g.ask("tgkill", &[N(pid), N(pid + 1), N(libc::SIGTERM.into())]), Err(Errno::ESRCH));
    assert_eq!(g.ask("tgkill", &[N(pid), N(pid), N(libc::SIGTERM.into())]), Ok(0));
    assert_eq!(victim.ended_by(), Some(libc::SIGTERM));
}

/// Whatever a guest names, nothing outside of the sandbox is there for it: the supervisor (this test), its parent, init.
#[test]
fn nothing_outside_of_the_sandbox_exists_for_signals() {
    let (g, outsider) = (Guest::free(), Victim::start());
    let term = libc::SIGTERM.into();
    let us = std::process::id().into();
    for pid in [us, i64::from(nix::unistd::getppid().as_raw()), 1, outsider.pid().into(), i32::MIN.into()] {
        for signal in [0, term] {
            assert_eq!(g.ask("kill", &[N(pid), N(signal)]), Err(Errno::ESRCH), "{pid}");
            assert_eq!(g.ask("tkill", &[N(pid.max(1)), N(signal)]), Err(Errno::ESRCH), "{pid}");
            assert_eq!(
                g.ask("tgkill", &[N(pid.max(1)), N(pid.max(1)), N(signal)]),
                Err(Errno::ESRCH),
                "{pid}"
            );
            assert_eq!(
                g.ask("rt_sigqueueinfo", &[N(pid), N(signal), M(&queued())]),
                Err(Errno::ESRCH),
                "{pid}"
            );
        }
    }
    let group = nix::unistd::getpgrp().as_raw();
    assert_eq!(g.ask("kill", &[N((-group).into()), N(0)]), Err(Errno::ESRCH));
    assert_eq!(g.ask("kill", &[N(-1), N(term)]), Err(Errno::ESRCH), "there is nobody but the caller");
    let mut outsider = outsider;
    outsider.0.stdin.take();
    assert_eq!(outsider.ended_by(), None);
}

/// A siginfo with the code of sigqueue(3).
fn queued() -> Vec<u8> {
    let mut info = vec![0; 128];
    info[8..12].copy_from_slice(&libc::SI_QUEUE.to_le_bytes());
    info
}

#[test]
fn kill_minus_one_reaches_all_others_and_a_group_its_members() {
    let (g, a, b) = (Guest::free(), Victim::start(), Victim::start());
    g.add(a.pid(), a.pidfd());
    g.add(b.pid(), b.pidfd());
    assert_eq!(g.ask("kill", &[N((-a.pid()).into()), N(libc::SIGUSR1.into())]), Ok(0));
    assert_eq!(a.ended_by(), Some(libc::SIGUSR1));
    assert_eq!(g.ask("kill", &[N(-1), N(libc::SIGTERM.into())]), Ok(0));
    assert_eq!(b.ended_by(), Some(libc::SIGTERM));
}

#[test]
fn nobody_poses_as_the_kernel_towards_another_process() {
    let (g, victim) = (Guest::free(), Victim::start());
    g.add(victim.pid(), victim.pidfd());
    let pid = victim.pid().into();
    for code in [libc::SI_USER, libc::SI_TKILL, 1, 0x80] {
        let mut info = queued();
        info[8..12].copy_from_slice(&code.to_le_bytes());
        assert_eq!(g.ask("rt_sigqueueinfo", &[N(pid), N(libc::SIGTERM.into()), M(&info)]), Err(Errno::EPERM));
    }
    assert_eq!(g.ask("rt_sigqueueinfo", &[N(pid), N(libc::SIGTERM.into()), M(&queued())]), Ok(0));
    assert_eq!(victim.ended_by(), Some(libc::SIGTERM));
}

#[test]
fn a_process_that_has_ended_is_not_taken_for_another_of_its_number() {
    let (g, victim) = (Guest::free(), Victim::start());
    let (pid, pidfd) = (victim.pid(), victim.pidfd());
    g.add(pid, pidfd);
    let mut victim = victim;
    victim.0.stdin.take();
    victim.ended_by();
    assert_eq!(g.ask("kill", &[N(pid.into()), N(0)]), Err(Errno::ESRCH));
    assert_eq!(g.ask("tgkill", &[N(pid.into()), N(pid.into()), N(0)]), Err(Errno::ESRCH));
}

#[test]
fn a_signal_to_oneself_makes_the_child_look_for_it() {
    let (mut g, victim) = (Guest::free(), Victim::start());
    g.process = g.add(victim.pid(), victim.pidfd());
    let done = g.call("kill", &[N(victim.pid().into()), N(libc::SIGUSR2.into())]);
    assert_eq!((done.answer, done.flags), (Ok(0), Reply::SIGNALLED));
    assert_eq!(victim.ended_by(), Some(libc::SIGUSR2));
}

#[test]
fn groups_and_sessions_follow_the_kernels_rules() {
    let g = Guest::free();
    let child = g.add(NOBODY - 1, ended());
    let (me, other) = (i64::from(NOBODY), i64::from(NOBODY - 1));
    assert_eq!((g.ask("getpgrp", &[]), g.ask("getsid", &[N(0)])), (Ok(me), Ok(me)));
    assert_eq!(g.ask("setsid", &[]), Err(Errno::EPERM), "it leads a group already");
    assert_eq!(g.ask("setpgid", &[N(0), N(0)]), Err(Errno::EPERM), "it leads a session");
    assert_eq!(g.ask("setpgid", &[N(other), N(me)]), Err(Errno::EPERM), "the other is in another session");
    assert_eq!(g.ask("setpgid", &[N(1), N(0)]), Err(Errno::ESRCH));
    assert_eq!(g.ask("setpgid", &[N(0), N(-1)]), Err(Errno::EINVAL));
    assert_eq!(g.ask("getpgid", &[N(other)]), Ok(other));
    assert_eq!(g.ask("getsid", &[N(std::process::id().into())]), Err(Errno::ESRCH));
    assert_eq!(g.call_as(&child, "getppid", &[]).answer, Ok(me));
}

//! Signals, process groups.

use super::A::{M, N, Null};
use super::{Guest, NOBODY, ended, null};
use crate::host::number::{NewFd, new_fd};
use crate::host::process::ProcessHandle;
use crate::host::shm::Channel;
use crate::state::process::ExeRecord;
use nix::errno::Errno;
use rxbox_wire::frame::Reply;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

/// A host process that waits until it gets a signal or its input ends.
struct Victim(Child);

impl Victim {
    fn start() -> Victim {
        Victim(Command::new("/bin/cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
    }
    /// One that leads a process group.
    fn leader() -> Victim {
        let mut cat = Command::new("/bin/cat");
        Victim(cat.stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0).spawn().unwrap())
    }
    /// Another that leads a group, in a session whose leader is not of the sandbox. The two pids.
    fn in_a_session() -> (Victim, i32, i32) {
        let script = r#"timeout 60 sh -c 'echo $PPID; exec cat >&2'; :"#;
        let mut leader = Command::new("setsid");
        leader.args(["sh", "-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut leader = leader.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(leader.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let session = leader.id() as i32;
        (Victim(leader), session, line.trim().parse().unwrap())
    }
    fn pid(&self) -> i32 {
        self.0.id() as i32
    }
    fn pidfd(&self) -> OwnedFd {
        new_fd(NewFd::Pidfd, [self.0.id().into(), 0, 0]).unwrap()
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

/// Whatever a guest names, nothing outside of the sandbox is there for it: the supervisor (this test), its
/// parent, init.
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
    let (g, a, b) = (Guest::free(), Victim::leader(), Victim::start());
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
fn groups_of_the_sandbox_are_asked_for_and_joined_and_no_others() {
    let (mut g, (leader, outside, pid)) = (Guest::free(), Victim::in_a_session());
    g.process = g.add(pid, new_fd(NewFd::Pidfd, [pid as u64, 0, 0]).unwrap());
    let (pid, outside) = (i64::from(pid), i64::from(outside));
    assert_eq!((g.ask("getpgrp", &[]), g.ask("getpgid", &[N(pid)])), (Ok(pid), Ok(pid)));
    assert_eq!(g.ask("getsid", &[N(0)]), Ok(outside));
    for other in [1, i64::from(std::process::id()), -1] {
        assert_eq!(g.ask("getpgid", &[N(other)]), Err(Errno::ESRCH));
        assert_eq!(g.ask("getsid", &[N(other)]), Err(Errno::ESRCH));
        assert_eq!(g.ask("setpgid", &[N(other), N(0)]), Err(Errno::ESRCH));
    }
    assert_eq!(g.ask("setpgid", &[N(0), N(-1)]), Err(Errno::EINVAL));
    assert_eq!(g.ask("setpgid", &[N(0), N(outside)]), Err(Errno::EPERM), "the group of the session's leader");
    assert_eq!(g.call("setpgid", &[N(0), N(0)]).flags, Reply::GRANTED);
    let child = g.add(NOBODY - 1, ended());
    assert_eq!(g.call_as(&child, "getppid", &[]).answer, Ok(pid));
    assert_eq!(g.call("setpgid", &[N(child.pid.into()), N(0)]).flags, Reply::GRANTED);
    let exe = ExeRecord { fd: null(), path: (*b"/x").into(), arguments: Vec::new(), environment: Vec::new() };
    child.set_exe(exe);
    assert_eq!(g.ask("setpgid", &[N(child.pid.into()), N(0)]), Err(Errno::EACCES), "it runs another program");
    assert_eq!(leader.ended_by(), None);
}

#[test]
fn a_group_gets_a_signal_and_a_process_that_is_about_to_be_in_it_too() {
    let (g, leader) = (Guest::free(), Victim::leader());
    let (parent, group) = (g.add(leader.pid(), leader.pidfd()), i64::from(-leader.pid()));
    parent.begin_fork(3, Channel::new().unwrap(), false).unwrap();
    assert_eq!(g.ask("kill", &[N(group), N(libc::SIGTERM.into())]), Ok(0));
    assert_eq!(leader.ended_by(), Some(libc::SIGTERM));
    let (_, missed) = parent.end_fork(3, Ok(ProcessHandle::of_parts(NOBODY - 2, ended()))).unwrap();
    assert_eq!(missed.len(), 1);
    assert_eq!(g.ask("kill", &[N(group), N(0)]), Err(Errno::ESRCH));
}

#[test]
fn descriptors_of_processes_are_for_the_sandbox_only() {
    use std::os::fd::AsRawFd;
    let (g, victim) = (Guest::free(), Victim::start());
    let target = g.add(victim.pid(), victim.pidfd());
    let pid = i64::from(victim.pid());
    let n = g.ask("pidfd_open", &[N(pid), N(0)]).unwrap();
    for outside in [1, i64::from(std::process::id())] {
        assert_eq!(g.ask("pidfd_open", &[N(outside), N(0)]), Err(Errno::ESRCH));
        let host = new_fd(NewFd::Pidfd, [outside as u64, 0, 0]).unwrap();
        let n = g.give(host);
        assert_eq!(g.ask("pidfd_send_signal", &[N(n), N(0), Null, N(0)]), Err(Errno::ESRCH));
        assert_eq!(g.ask("pidfd_getfd", &[N(n), N(0), N(0)]), Err(Errno::ESRCH));
    }
    assert_eq!(g.ask("pidfd_open", &[N(pid), N(1)]), Err(Errno::EINVAL));
    assert_eq!(g.ask("pidfd_getfd", &[N(n), N(5), N(0)]), Err(Errno::EBADF));
    let theirs = target.fds.insert(crate::state::fd::File::made(null()).unwrap(), false, 5).unwrap();
    let mine = g.ask("pidfd_getfd", &[N(n), N(theirs.into()), N(0)]).unwrap();
    assert!(g.process.fds.get(mine as i32).unwrap().host.as_raw_fd() > 2);
    assert_eq!(g.process.fds.cloexec(mine as i32), Ok(true));
    assert_eq!(
        g.ask("waitid", &[N(libc::P_PIDFD.into()), N(n), Null, N(libc::WEXITED.into()), Null]),
        Ok(pid)
    );
    assert_eq!(g.ask("pidfd_send_signal", &[N(mine), N(0), Null, N(0)]), Err(Errno::EBADF));
    assert_eq!(g.ask("pidfd_send_signal", &[N(n), N(libc::SIGTERM.into()), Null, N(0)]), Ok(0));
    assert_eq!(victim.ended_by(), Some(libc::SIGTERM));
}

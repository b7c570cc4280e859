//! Users, capabilities, limits, prctl, scheduling.

use super::A::{M, N, Null, Room};
use super::{Guest, number, word, words};
use crate::host::credentials::{Credentials, Ids};
use nix::errno::Errno;
use rxbox_wire::frame::Reply;
use std::sync::Arc;

/// A user id that the guest does not have.
const FOREIGN: i64 = 54_321;
const KEEP: i64 = -1;

#[test]
fn a_guest_takes_on_only_identities_that_it_has() {
    let g = Guest::free();
    let me = g.ask("getuid", &[]).unwrap();
    assert_eq!(g.ask("setuid", &[N(me)]), Ok(0));
    assert_eq!(g.ask("setuid", &[N(KEEP)]), Err(Errno::EINVAL));
    for call in ["setuid", "setgid"] {
        assert_eq!(g.ask(call, &[N(FOREIGN)]), Err(Errno::EPERM));
    }
    for call in ["setresuid", "setresgid"] {
        for i in 0..3 {
            let mut args = [N(KEEP), N(KEEP), N(KEEP)];
            args[i] = N(FOREIGN);
            assert_eq!(g.ask(call, &args), Err(Errno::EPERM));
        }
        assert_eq!(g.ask(call, &[N(KEEP), N(KEEP), N(KEEP)]), Ok(0));
    }
    for call in ["setreuid", "setregid"] {
        assert_eq!(g.ask(call, &[N(FOREIGN), N(KEEP)]), Err(Errno::EPERM));
        assert_eq!(g.ask(call, &[N(KEEP), N(FOREIGN)]), Err(Errno::EPERM));
    }
    let done = g.call("getresuid", &[Room(4), Room(4), Room(4)]);
    assert_eq!([0, 1, 2].map(|i| number(&done.out[i])), [me; 3]);
    assert_eq!(g.ask("setgroups", &[N(0), Null]), Err(Errno::EPERM));
}

#[test]
fn the_mask_is_the_guests_own() {
    let g = Guest::free();
    assert_eq!(g.ask("umask", &[N(0o177_077)]), Ok(0o022));
    assert_eq!(g.ask("umask", &[N(0)]), Ok(0o077));
}

#[test]
fn capabilities_that_a_guest_does_not_have_it_does_not_get() {
    let g = Guest::free();
    let header = [0x2008_0522u32.to_le_bytes(), [0; 4]].concat();
    assert_eq!(g.call("capget", &[M(&header), Room(24)]).out[1], [0; 24]);
    assert_eq!(g.ask("capset", &[M(&header), M(&[0; 24])]), Ok(0));
    assert_eq!(g.ask("capset", &[M(&header), M(&[1; 24])]), Err(Errno::EPERM));
    let unknown = g.call("capget", &[M(&[0; 8]), Room(24)]);
    assert_eq!((unknown.answer, &unknown.out[0][..4]), (Err(Errno::EINVAL), &header[..4]));
    assert_eq!(g.ask("prctl", &[N(libc::PR_CAPBSET_READ.into()), N(0)]), Ok(0));
}

#[test]
fn limits_are_the_guests_own_and_only_go_down() {
    let g = Guest::free();
    let nofile = libc::RLIMIT_NOFILE.into();
    assert_eq!(g.ask("setrlimit", &[N(nofile), M(&words(&[2, 8]))]), Ok(0));
    assert_eq!(g.ask("setrlimit", &[N(nofile), M(&words(&[9, 8]))]), Err(Errno::EINVAL));
    assert_eq!(g.ask("setrlimit", &[N(nofile), M(&words(&[2, 9]))]), Err(Errno::EPERM));
    let done = g.call("prlimit64", &[N(0), N(nofile), M(&words(&[1, 8])), Room(16)]);
    assert_eq!((done.answer, word(&done.out[3], 0), word(&done.out[3], 1)), (Ok(0), 2, 8));
    assert_eq!(g.ask("eventfd2", &[N(0), N(0)]), Ok(0));
    assert_eq!(g.ask("eventfd2", &[N(0), N(0)]), Err(Errno::EMFILE));
    assert_eq!(g.ask("prlimit64", &[N(1), N(nofile), Null, Room(16)]), Err(Errno::ESRCH));
    assert_eq!(g.ask("getrlimit", &[N(16), Room(16)]), Err(Errno::EINVAL));
}

#[test]
fn new_processes_are_granted_up_to_the_limit_and_never_in_new_namespaces() {
    let g = Guest::free();
    assert_eq!(g.call("clone", &[N(libc::SIGCHLD.into())]).flags, Reply::GRANTED);
    for flag in [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWPID, libc::CLONE_NEWNET] {
        assert_eq!(g.ask("clone", &[N(flag.into())]), Err(Errno::EPERM));
    }
    assert_eq!(g.ask("clone", &[N(libc::CLONE_THREAD.into())]), Err(Errno::EINVAL));
    g.ask("setrlimit", &[N(libc::RLIMIT_NPROC.into()), M(&words(&[0, 0]))]).unwrap();
    for (user, answer) in [(1000, Err(Errno::EAGAIN)), (0, Ok(0))] {
        let user_is = Credentials { user: Ids::all(user), ..(*g.process.credentials()).clone() };
        g.process.set_credentials(0, Arc::new(user_is));
        assert_eq!(g.ask("fork", &[]), answer, "as user {user}");
    }
}

#[test]
fn a_thread_keeps_the_name_it_gave_itself() {
    let g = Guest::free();
    let get = || g.call("prctl", &[N(libc::PR_GET_NAME.into()), Room(16)]).out[1].clone();
    assert_eq!(&get()[..6], b"guest\0");
    g.ask("prctl", &[N(libc::PR_SET_NAME.into()), M(b"a-name-that-is-too-long\0")]).unwrap();
    assert_eq!(get(), b"a-name-that-is-\0");
}

#[test]
fn privileges_are_given_up_for_good() {
    let g = Guest::free();
    assert_eq!(g.ask("prctl", &[N(libc::PR_GET_NO_NEW_PRIVS.into())]), Ok(1));
    assert_eq!(g.ask("prctl", &[N(libc::PR_SET_NO_NEW_PRIVS.into()), N(0)]), Err(Errno::EINVAL));
    assert_eq!(g.ask("prctl", &[N(libc::PR_SET_DUMPABLE.into()), N(2)]), Err(Errno::EINVAL));
    assert_eq!(g.ask("prctl", &[N(0x1234_5678)]), Err(Errno::EINVAL));
}

#[test]
fn no_guest_takes_more_of_the_machine_than_it_was_given() {
    let g = Guest::free();
    let one = 1u32.to_le_bytes();
    for policy in [libc::SCHED_FIFO, libc::SCHED_RR] {
        assert_eq!(g.ask("sched_setscheduler", &[N(0), N(policy.into()), M(&one)]), Err(Errno::EPERM));
    }
    let mut attr = [0; 48];
    attr[..4].copy_from_slice(&48u32.to_le_bytes());
    attr[4..8].copy_from_slice(&libc::SCHED_DEADLINE.to_le_bytes());
    assert_eq!(g.ask("sched_setattr", &[N(0), M(&attr), N(0)]), Err(Errno::EINVAL), "without times");
    let times = [1_000_000_u64, 10_000_000, 10_000_000].map(u64::to_le_bytes).concat();
    attr[24..].copy_from_slice(&times);
    assert_eq!(g.ask("sched_setattr", &[N(0), M(&attr), N(0)]), Err(Errno::EPERM));
    assert_eq!(
        g.ask("sched_setscheduler", &[N(1), N(0), M(&[0; 4])]),
        Err(Errno::ESRCH),
        "not of the sandbox"
    );
    assert_eq!(
        g.ask("sched_setaffinity", &[N(std::process::id().into()), N(8), M(&[1; 8])]),
        Err(Errno::ESRCH)
    );
    assert_eq!(g.ask("setpriority", &[N(0), N(1), N(19)]), Err(Errno::ESRCH));
    assert_eq!(g.ask("ioprio_set", &[N(1), N(0), N(1 << 13)]), Err(Errno::EPERM));
}

#[test]
fn the_memory_that_the_policy_gives_is_all_there_is() {
    let g = Guest::under("version = 1\n[limits]\nmemory = \"64M\"\n");
    let info = g.call("sysinfo", &[Room(112)]).out[0].clone();
    let unit = number(&info[104..]).max(1) as u64;
    assert_eq!(word(&info, 4) * unit, 64 << 20);
    assert!(g.call("uname", &[Room(390)]).out[0].starts_with(b"Linux\0"));
}

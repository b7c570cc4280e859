//! The supervisor's own seccomp filter: the host calls that its handlers make, each with the reason, and no
//! others.
//!
//! The filter knows nothing of names and descriptors, so it is no judge of what a call does; it takes away
//! whole kinds: a handler that is fooled, or code that an attacker got to run in the supervisor, starts no
//! program, makes no namespace and no mount, traces no process, loads no filter, reaches none of the second
//! interfaces of the kernel (io_uring, bpf, perf, keys), makes no memory executable, and types nothing into a
//! terminal. Without a network in the profile it makes no socket either but pairs of connected ones.
//!
//! It is put in force after the init process was started, which needs more (fork, exec), and before the first
//! worker is: all threads have it. A call that has no rule fails with ENOSYS, upon which the C library takes
//! an older one where it has one; nobody is killed for it.
//!
//! Rules without conditions cost next to nothing: the kernel remembers for each number whether the filter
//! always lets it through (`SECCOMP_RET_ALLOW` in seccomp(2), since Linux 5.11).

use libc::*;
use rxbox_seccomp::{Action, CompileError, Rule, THREAD, Test, name};

/// Why the filter is not in force.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The rules do not make a filter.
    #[error("cannot compile the supervisor's seccomp filter: {0}")]
    Compile(#[from] CompileError),
    /// The kernel has no seccomp filters, or what rxbox runs in forbids them.
    #[error(
        "cannot install the supervisor's seccomp filter: {0}; an outer sandbox may refuse it, or this is \
         another rxbox"
    )]
    Install(#[from] rxbox_seccomp::InstallError),
}

/// A call, its name, and what its arguments have to be.
type Call = (c_long, &'static str, &'static [(u8, Test)]);

/// Calls that are let through for one reason.
#[derive(Debug)]
struct Group {
    why: &'static str,
    calls: &'static [Call],
}

/// Groups of the form `"why": call, call [argument: test, ...], ...;`.
macro_rules! groups {
    ($($why:literal: $($call:ident $([$($arg:literal: $test:expr),*])?),+;)*) => {
        &[$(Group {
            why: $why,
            calls: &[$(($call, name(stringify!($call)), &[$($(($arg, $test)),*)?])),+],
        }),*]
    };
}

const NOT_EXECUTABLE: Test = Test::Masked(PROT_EXEC as u64, 0);

const GROUPS: &[Group] = groups! {
    "files that are open":
        SYS_close, SYS_fstat, SYS_fstatfs, SYS_lseek, SYS_getdents64, SYS_ftruncate, SYS_fallocate,
        SYS_fadvise64, SYS_readahead, SYS_fsync, SYS_fdatasync, SYS_syncfs, SYS_sync_file_range, SYS_flock,
        SYS_fchmod, SYS_fchown, SYS_fcntl;
    "bytes of files, pipes and sockets":
        SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_preadv, SYS_pwritev,
        SYS_preadv2, SYS_pwritev2, SYS_sendfile, SYS_splice, SYS_tee, SYS_copy_file_range;
    "names, which were judged before":
        SYS_openat, SYS_openat2, SYS_newfstatat, SYS_statx, SYS_statfs, SYS_readlink, SYS_readlinkat,
            SYS_faccessat,
        SYS_faccessat2, SYS_mkdirat, SYS_unlinkat, SYS_renameat2, SYS_renameat, SYS_linkat, SYS_symlinkat,
        SYS_mknodat, SYS_fchmodat, SYS_fchownat, SYS_utimensat, SYS_truncate, SYS_setxattr, SYS_getxattr,
        SYS_listxattr, SYS_removexattr, SYS_inotify_add_watch, SYS_sync;
    "objects without a name":
        SYS_pipe2, SYS_memfd_create, SYS_eventfd2, SYS_timerfd_create, SYS_timerfd_settime,
        SYS_timerfd_gettime, SYS_signalfd4, SYS_epoll_create1, SYS_epoll_ctl, SYS_inotify_init1,
        SYS_inotify_rm_watch;
    "messages of queues":
        SYS_mq_timedsend, SYS_mq_timedreceive, SYS_mq_getsetattr;
    "devices and terminals, but for what types into a terminal (TIOCSTI, TIOCLINUX)":
        SYS_ioctl [1: Test::NotInt(TIOCSTI as u32), 1: Test::NotInt(TIOCLINUX as u32)];
    "sockets that there are; the maker hands over what it made by messages, too":
        SYS_socketpair, SYS_bind, SYS_connect, SYS_listen, SYS_accept4, SYS_getsockname, SYS_getpeername,
        SYS_sendto, SYS_sendmsg, SYS_recvfrom, SYS_recvmsg, SYS_shutdown, SYS_getsockopt, SYS_setsockopt;
    "waiting":
        SYS_poll, SYS_ppoll, SYS_pselect6, SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_futex,
        SYS_nanosleep, SYS_clock_nanosleep, SYS_restart_syscall, SYS_sched_yield;
    "clocks and timers":
        SYS_clock_gettime, SYS_clock_getres, SYS_timer_create, SYS_timer_settime, SYS_timer_delete;
    "processes of the guest":
        SYS_pidfd_open, SYS_pidfd_send_signal, SYS_rt_tgsigqueueinfo, SYS_tgkill, SYS_kill, SYS_wait4,
        SYS_waitid, SYS_prlimit64, SYS_getpriority, SYS_setpriority, SYS_ioprio_get, SYS_ioprio_set,
        SYS_sched_getscheduler, SYS_sched_setscheduler, SYS_sched_getparam, SYS_sched_setparam,
        SYS_sched_getaffinity, SYS_sched_setaffinity, SYS_sched_rr_get_interval, SYS_sched_get_priority_max,
        SYS_sched_get_priority_min, SYS_getpgid, SYS_getsid;
    "what the supervisor is":
        SYS_getpid, SYS_gettid, SYS_getppid, SYS_getpgrp, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid,
        SYS_getresuid, SYS_getresgid, SYS_getgroups, SYS_getrusage, SYS_uname, SYS_sysinfo, SYS_getrandom;
    "capabilities, which can only become fewer, for the time of a call that none is to help":
        SYS_capget, SYS_capset;
    "its own memory, never executable":
        SYS_brk, SYS_mmap [2: NOT_EXECUTABLE], SYS_mprotect [2: NOT_EXECUTABLE], SYS_munmap, SYS_mremap,
        SYS_madvise, SYS_membarrier;
    "its own threads":
        SYS_clone [0: THREAD], SYS_set_robust_list, SYS_rseq, SYS_prctl [0: Test::Int(PR_SET_NAME as u32)],
        SYS_exit;
    "its own signals and its end":
        SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigtimedwait, SYS_sigaltstack,
        SYS_exit_group;
};

/// Only where the profile allows a network, or the host gives none to be alone in.
const WITH_NETWORK: &[Group] = groups! {
    "sockets of the host's network": SYS_socket;
};

/// Only where the profile lets guests change user and groups as root does.
const WITH_IDENTITIES: &[Group] = groups! {
    "credentials of a guest thread, for the thread that serves it":
        SYS_setresuid, SYS_setresgid, SYS_setfsuid, SYS_setfsgid, SYS_setgroups;
};

/// The kinds of calls that only some profiles need.
#[derive(Clone, Copy, Debug)]
pub struct Kinds {
    /// Sockets of the host's network can be made.
    pub sockets: bool,
    /// Threads can take on other ids and groups.
    pub identities: bool,
}

impl Kinds {
    #[cfg(test)]
    const ALL: Kinds = Kinds { sockets: true, identities: true };
}

fn groups(kinds: Kinds) -> impl Iterator<Item = &'static Group> {
    let Kinds { sockets, identities } = kinds;
    let only = |groups: &'static [Group], wanted: bool| groups.iter().filter(move |_| wanted);
    GROUPS.iter().chain(only(WITH_NETWORK, sockets)).chain(only(WITH_IDENTITIES, identities))
}

/// The rules, one reason a line.
pub fn text(kinds: Kinds) -> String {
    let condition = |(argument, test): &(u8, Test)| test.text(&format!("argument {argument}"));
    let call = |(_, name, tests): &Call| match tests {
        [] => (*name).to_owned(),
        _ => format!("{name}({})", tests.iter().map(condition).collect::<Vec<_>>().join(", ")),
    };
    groups(kinds)
        .map(|group| {
            format!("{}: {}\n", group.why, group.calls.iter().map(call).collect::<Vec<_>>().join(" "))
        })
        .collect()
}

/// Puts the filter in force for this thread and those that it starts, for good. The process must have
/// `no_new_privs`.
///
/// # Errors
/// See [`FilterError`].
pub fn restrict(kinds: Kinds) -> Result<(), FilterError> {
    let calls = groups(kinds).flat_map(|group| group.calls);
    let rules = calls.map(|(call, _, when)| Rule { call: *call, when, action: Action::Allow });
    Ok(rxbox_seccomp::compile(rules, Action::Errno(ENOSYS as u16))?.restrict_thread()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// Calls that are made before: by the init process, by the maker, or for what is to be there by then.
    const BEFORE: [&str; 10] = [
        "close_range",
        "fsconfig",
        "fsmount",
        "fsopen",
        "mount_setattr",
        "move_mount",
        "mq_open",
        "mq_unlink",
        "open_tree",
        "seccomp",
    ];

    fn listed() -> BTreeSet<&'static str> {
        groups(Kinds::ALL).flat_map(|group| group.calls).map(|(_, name, _)| *name).collect()
    }

    /// The names behind `SYS_` in the sources below a folder.
    fn named(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                named(&entry.path(), found);
            } else if entry.file_name() != "filter.rs" {
                let text = std::fs::read_to_string(entry.path()).unwrap();
                let names = text.split("libc::SYS_").skip(1);
                found.extend(names.map(|rest| {
                    rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap().to_owned()
                }));
            }
        }
    }

    #[test]
    fn every_call_that_a_handler_makes_by_its_number_has_a_rule() {
        let mut made = BTreeSet::new();
        named(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut made);
        assert!(made.len() > 50);
        let listed = listed();
        let without: Vec<_> =
            made.iter().filter(|n| !listed.contains(n.as_str()) && !BEFORE.contains(&n.as_str())).collect();
        assert!(without.is_empty(), "{without:?}");
    }

    #[test]
    fn every_call_is_listed_once() {
        let all = groups(Kinds::ALL).flat_map(|group| group.calls).count();
        assert_eq!(all, listed().len());
    }

    #[test]
    fn no_rule_lets_through_what_starts_a_program_or_leaves_the_sandbox() {
        let never = "execve execveat fork vfork clone3 ptrace unshare setns mount umount2 pivot_root chroot \
            bpf \
            perf_event_open io_uring_setup keyctl add_key userfaultfd process_vm_readv process_vm_writev \
            pidfd_getfd seccomp init_module finit_module kexec_load reboot swapon open_by_handle_at setuid \
            personality move_mount fsopen open_tree quotactl acct";
        let listed = listed();
        assert!(never.split_ascii_whitespace().all(|name| !listed.contains(name)));
    }

    #[test]
    fn the_list_with_its_reasons_is_the_one_that_was_reviewed() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filter.txt");
        if std::env::var_os("RXBOX_BLESS").is_some() {
            std::fs::write(&file, text(Kinds::ALL)).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text(Kinds::ALL));
        let none = Kinds { sockets: false, identities: false };
        assert_eq!(text(Kinds::ALL).lines().count(), text(none).lines().count() + 2);
        assert!(!text(none).contains("SYS_set") && !text(none).contains("setresuid"));
    }
}

//! The table against the C headers and against itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail like the tests themselves"
)]

use rxbox_wire::effect::Effect;
use rxbox_wire::kind::{Bulk, Command, Extent, Kind, Pieces, Route, Syscall, Wait};
use rxbox_wire::table::Internal;
use rxbox_wire::{names, sizes, table};
use std::collections::HashSet;

/// Numbers and names of the installed header; newer calls are in the table without a header to compare.
fn header() -> Vec<(u32, String)> {
    let path = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
    let text = std::fs::read_to_string(path)
        .expect("the kernel's header is part of the C library's development files");
    text.lines()
        .filter_map(|line| line.strip_prefix("#define __NR_")?.split_once(' '))
        .map(|(name, nr)| (nr.trim().parse().unwrap(), name.to_owned()))
        .collect()
}

#[test]
fn every_number_of_the_kernel_header_has_a_row_of_the_same_name() {
    let header = header();
    assert!(header.len() > 300);
    for (nr, name) in header {
        assert_eq!(table::row(nr).map(|r| r.name), Some(name.as_str()), "number {nr}");
    }
}

#[test]
fn the_table_has_all_numbers_of_linux_6_18_and_no_others() {
    let numbers: Vec<u32> = table::SYSCALLS.iter().map(|r| r.nr).collect();
    assert_eq!(numbers, (0..=336).chain(424..=469).collect::<Vec<u32>>());
}

#[test]
fn a_row_is_found_by_its_number_and_by_its_name_and_no_other_number_has_one() {
    for row in table::SYSCALLS {
        assert!(std::ptr::eq(table::row(row.nr).unwrap(), row));
        assert!(std::ptr::eq(table::by_name(row.name).unwrap(), row));
    }
    for nr in [
        337,
        423,
        470,
        512,
        547,
        0x4000_0000,
        sizes::INTERNAL - 1,
        sizes::INTERNAL + table::INTERNAL.len() as u32,
        u32::MAX,
    ] {
        assert_eq!(table::row(nr), None, "{nr:#x}");
    }
}

#[test]
fn names_are_unique_among_calls_and_among_the_arguments_of_a_call() {
    let mut seen = HashSet::new();
    for row in table::SYSCALLS {
        assert!(seen.insert(row.name), "{} is there twice", row.name);
        let args: HashSet<&str> = row.args.iter().map(|a| a.name).collect();
        assert_eq!(args.len(), row.args.len(), "{}", row.name);
        assert!(args.iter().all(|a| !a.contains('#')), "{}", row.name);
    }
}

#[test]
fn internal_rows_have_the_numbers_of_the_enumeration() {
    let named = [
        (Internal::Hello, "hello"),
        (Internal::OpenExec, "open_exec"),
        (Internal::ExecDone, "exec_done"),
        (Internal::Report, "report"),
        (Internal::NewThread, "new_thread"),
        (Internal::NewProcess, "new_process"),
        (Internal::ProcessStarted, "process_started"),
        (Internal::View, "view"),
        (Internal::SendAgain, "send_again"),
        (Internal::Detached, "detached"),
        (Internal::KickSiblings, "kick_siblings"),
        (Internal::Identity, "identity"),
        (Internal::TraceStop, "trace_stop"),
        (Internal::TraceObeyed, "trace_obeyed"),
        (Internal::Terminal, "terminal"),
        (Internal::Code, "code"),
        (Internal::Translated, "translated"),
    ];
    assert_eq!(named.len(), table::INTERNAL.len());
    for (which, name) in named {
        let row = table::row(which.nr()).unwrap();
        assert_eq!((row.nr, row.name), (which.nr(), name));
        assert_eq!(Internal::of(which.nr()), Some(which));
    }
    for nr in [0, sizes::INTERNAL - 1, sizes::INTERNAL + named.len() as u32, u32::MAX] {
        assert_eq!(Internal::of(nr), None, "{nr:#x}");
    }
}

#[test]
fn every_refusal_has_a_named_errno_and_a_reason() {
    let calls = table::SYSCALLS.iter().map(|r| (r.name, Some(r.route)));
    let commands = table::multiplexers().flat_map(|(_, c)| c.rows.iter().map(|r| (r.name, r.route)));
    let mut refused = 0;
    for (name, route) in calls.chain(commands) {
        if let Some(Route::Refuse { errno, why }) = route {
            assert!(names::errno(errno).is_some() && why.len() > 5, "{name}: {errno} {why}");
            refused += 1;
        }
    }
    assert!(refused > 100);
}

/// The effects that rows declare, all commands and control messages together.
fn effects() -> impl Iterator<Item = (&'static str, Effect)> {
    let commands = table::multiplexers().flat_map(|(_, commands)| commands.rows);
    let rows = commands.chain(table::CONTROL);
    rows.flat_map(|row| row.effects.iter().map(move |effect| (row.name, *effect)))
}

#[test]
fn effects_are_declared_by_the_rows_that_have_them() {
    let have = |is: fn(Effect) -> bool| {
        let mut names: Vec<_> = effects().filter(|(_, effect)| is(*effect)).map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        names.join(" ")
    };
    let ways = "IPV6_ADDR_PREFERENCES IPV6_FREEBIND IPV6_MULTICAST_IF IPV6_PKTINFO IPV6_UNICAST_IF \
                IP_FREEBIND IP_HDRINCL IP_MULTICAST_IF IP_PKTINFO IP_UNICAST_IF SO_BINDTODEVICE \
                SO_BINDTOIFINDEX";
    assert_eq!(have(|effect| matches!(effect, Effect::Route(_))), ways);
    let groups = "IPV6_ADD_MEMBERSHIP IPV6_DROP_MEMBERSHIP IPV6_JOIN_ANYCAST IPV6_LEAVE_ANYCAST \
                  IP_ADD_MEMBERSHIP IP_ADD_SOURCE_MEMBERSHIP IP_BLOCK_SOURCE IP_DROP_MEMBERSHIP \
                  IP_DROP_SOURCE_MEMBERSHIP IP_UNBLOCK_SOURCE MCAST_JOIN_GROUP MCAST_JOIN_SOURCE_GROUP \
                  MCAST_LEAVE_GROUP MCAST_LEAVE_SOURCE_GROUP";
    assert_eq!(have(|effect| matches!(effect, Effect::Emit(_))), groups);
    assert_eq!(have(|effect| effect == Effect::Bind), "IP_LOCAL_PORT_RANGE");
    let privileged = "F_SETPIPE_SZ IPV6_JOIN_ANYCAST IPV6_LEAVE_ANYCAST NETLINK_ADD_MEMBERSHIP \
                      SO_BINDTODEVICE SO_BINDTOIFINDEX SO_PRIORITY TCP_CONGESTION";
    assert_eq!(have(|effect| effect == Effect::Privilege), privileged);
    for is in [
        |effect| effect == Effect::Harmless,
        |effect| effect == Effect::Terminal,
        |effect| effect == Effect::KernelMemory,
        |effect| effect == Effect::Block,
        |effect| matches!(effect, Effect::Interface(_)),
        |effect| effect == Effect::Interfaces,
    ] {
        assert!(!have(is).is_empty());
    }
}

#[test]
fn control_messages_that_lead_elsewhere_have_no_row() {
    assert!(table::control(libc::SOL_SOCKET, libc::SCM_RIGHTS).is_some());
    for row in table::CONTROL {
        let alone = |effect: &Effect| matches!(effect, Effect::Harmless | Effect::Route(_));
        assert!(row.effects.iter().all(alone), "nothing gives capabilities up for {}", row.name);
    }
    for (level, kind) in [
        (libc::IPPROTO_IP, libc::IP_RETOPTS),
        (libc::IPPROTO_IPV6, libc::IPV6_RTHDR),
        (libc::IPPROTO_IPV6, libc::IPV6_HOPOPTS),
        (libc::IPPROTO_IPV6, libc::IPV6_DSTOPTS),
        (libc::SOL_SOCKET, libc::SO_MARK),
        (libc::SOL_SOCKET, -1),
    ] {
        assert_eq!(table::control(level, kind), None, "{level} {kind}");
    }
}

#[test]
fn what_passes_by_the_checks_is_refused() {
    for name in [
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "io_submit",
        "bpf",
        "perf_event_open",
        "keyctl",
        "userfaultfd",
        "name_to_handle_at",
        "open_by_handle_at",
        "mount",
        "umount2",
        "pivot_root",
        "chroot",
        "setns",
        "fsopen",
        "fsmount",
        "move_mount",
        "open_tree",
        "mount_setattr",
        "init_module",
        "finit_module",
        "kexec_load",
        "reboot",
        "iopl",
        "ioperm",
        "modify_ldt",
        "rseq",
        "process_madvise",
        "memfd_secret",
        "fanotify_init",
        "swapon",
        "acct",
    ] {
        let row = table::by_name(name).unwrap();
        assert!(matches!(row.route, Route::Refuse { .. }), "{name}");
    }
}

fn command(call: &str, args: [u64; 6]) -> Option<&'static Command> {
    table::kinds(table::by_name(call).unwrap(), &args).1
}

#[test]
fn terminal_injection_is_refused_whatever_the_high_half_of_the_request() {
    for request in [libc::TIOCSTI, libc::TIOCLINUX] {
        for high in [0, 1 << 32, u64::MAX << 32] {
            let row = command("ioctl", [0, request | high, 0, 0, 0, 0]).unwrap();
            assert!(matches!(row.route, Some(Route::Refuse { errno: libc::EPERM, .. })), "{request:#x}");
        }
    }
}

#[test]
fn a_command_is_found_by_the_bits_that_the_kernel_looks_at() {
    let name = |call, args| command(call, args).map(|c| c.name);
    assert_eq!(name("futex", [0, 0x80 | 0x100 | 9, 0, 0, 0, 0]), Some("FUTEX_WAIT_BITSET"));
    assert_eq!(name("futex", [0, 14, 0, 0, 0, 0]), None);
    assert_eq!(name("fcntl", [0, 1 << 40 | 3, 0, 0, 0, 0]), Some("F_GETFL"));
    assert_eq!(name("setsockopt", [3, 1, 2, 0, 0, 0]), Some("SO_REUSEADDR"));
    assert_eq!(name("setsockopt", [3, 6 | 7 << 32, 1 | 9 << 32, 0, 0, 0]), Some("TCP_NODELAY"));
    assert_eq!(name("setsockopt", [3, 250, 1, 0, 0, 0]), None);
}

#[test]
fn options_that_can_only_be_read_refuse_to_be_written_and_the_other_way_round() {
    let route =
        |call, level: i32, name: i32| command(call, [3, level as u64, name as u64, 0, 0, 0]).unwrap().route;
    let refused = |r: Option<Route>| matches!(r, Some(Route::Refuse { errno: libc::ENOPROTOOPT, .. }));
    assert!(refused(route("setsockopt", libc::SOL_SOCKET, libc::SO_ERROR)));
    assert_eq!(route("getsockopt", libc::SOL_SOCKET, libc::SO_ERROR), None);
    assert!(refused(route("getsockopt", libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP)));
    assert_eq!(route("setsockopt", libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP), None);
}

#[test]
fn nothing_crosses_behind_an_unknown_command() {
    for (call, args) in [
        ("ioctl", [0, 0xdead, 1, 1, 1, 1]),
        ("prctl", [999, 1, 1, 1, 1, 1]),
        ("getsockopt", [0, 99, 99, 1, 1, 1]),
    ] {
        let row = table::by_name(call).unwrap();
        let (kinds, command) = table::kinds(row, &args);
        assert_eq!(command, None);
        let behind =
            row.args.iter().position(|a| matches!(a.kind, Kind::Command(_) | Kind::OptionName)).unwrap() + 1;
        assert!(kinds[behind..].iter().all(|a| a.kind == Kind::Unused), "{call}");
    }
}

/// The bytes of a structure argument.
fn size(call: &str, arg: &str) -> usize {
    let row = table::by_name(call).unwrap();
    match row.args.iter().find(|a| a.name == arg).unwrap().kind {
        Kind::In(_, e) | Kind::Out(_, e) | Kind::InOut(_, e) => match e {
            Extent::Struct(s) | Extent::Timeout(s, _) => s.size as usize,
            Extent::Array { of, .. } => of.size as usize,
            Extent::Fixed(n) | Extent::Batch { size: n, .. } => n as usize,
            _ => panic!("{call}: {arg} has no fixed size"),
        },
        kind => panic!("{call}: {arg} is {kind:?}"),
    }
}

#[test]
fn structures_have_the_sizes_of_the_c_headers() {
    macro_rules! sizes {
        ($($call:literal $arg:literal $type:ident,)*) => {
            $(assert_eq!(size($call, $arg), size_of::<libc::$type>(), "{}", $call);)*
        };
    }
    sizes! {
        "fstat" "statbuf" stat, "statx" "statxbuf" statx, "statfs" "buf" statfs,
            "nanosleep" "duration" timespec,
        "gettimeofday" "tv" timeval, "timerfd_settime" "new_value" itimerspec, "getrlimit" "rlim" rlimit,
        "getrusage" "usage" rusage, "sysinfo" "info" sysinfo, "uname" "buf" utsname, "times" "buf" tms,
        "poll" "fds" pollfd, "epoll_ctl" "event" epoll_event, "epoll_wait" "events" epoll_event,
            "utime" "times" utimbuf,
        "rt_sigqueueinfo" "info" siginfo_t, "sched_getparam" "param" sched_param,
    }
}

#[test]
fn requests_that_encode_a_size_take_as_many_bytes() {
    // Declared with `long`, carried out with `int`: include/uapi/linux/fs.h.
    const INT_IN_TRUTH: &[&str] =
        &["FS_IOC_GETFLAGS", "FS_IOC_SETFLAGS", "FS_IOC_GETVERSION", "FS_IOC_SETVERSION"];
    let (_, ioctl) = table::multiplexers().find(|(call, _)| call.name == "ioctl").unwrap();
    let mut compared = 0;
    for row in ioctl.rows.iter().filter(|r| r.value >> 30 != 0 && !INT_IN_TRUTH.contains(&r.name)) {
        let encoded = (row.value >> 16 & 0x3fff) as u32;
        if let Some(Kind::In(_, e) | Kind::Out(_, e) | Kind::InOut(_, e)) = row.args.first().map(|a| a.kind) {
            assert_eq!(e, Extent::Fixed(encoded), "{}", row.name);
            compared += 1;
        }
    }
    assert!(compared >= 8, "{compared}");
}

#[test]
fn every_name_of_several_bits_comes_before_the_names_of_its_bits() {
    for row in table::SYSCALLS {
        for arg in row.args {
            let Kind::Flags(set) = arg.kind else { continue };
            for (i, (a, first)) in set.names.iter().enumerate() {
                for (b, later) in &set.names[i + 1..] {
                    let covers = b & a == *a && *a != 0 && b & !set.field != 0 && a & !set.field != 0;
                    assert!(!covers, "{}: {later} is never shown behind {first}", set.title);
                }
            }
        }
    }
}

/// The calls of the table whose rows a test holds for, in alphabetical order.
fn named(holds: impl Fn(&Syscall) -> bool) -> Vec<&'static str> {
    let mut names: Vec<_> = table::SYSCALLS.iter().filter(|row| holds(row)).map(|row| row.name).collect();
    names.sort_unstable();
    names
}

#[test]
fn calls_are_made_again_after_a_signal_as_signal_7_says_and_no_others() {
    let restarted = [
        "accept",
        "accept4",
        "connect",
        "copy_file_range",
        "creat",
        "fallocate",
        "flock",
        "futex",
        "futex_waitv",
        "getrandom",
        "ioctl",
        "open",
        "openat",
        "openat2",
        "preadv2",
        "pwritev2",
        "read",
        "readv",
        "recvfrom",
        "recvmmsg",
        "recvmsg",
        "sendfile",
        "sendmmsg",
        "sendmsg",
        "sendto",
        "splice",
        "tee",
        "wait4",
        "waitid",
        "write",
        "writev",
    ];
    // These registers make futex(2) a wait.
    assert_eq!(named(|row| row.restarts(&[0; 6])), restarted);
    for name in ["poll", "ppoll", "select", "pselect6", "epoll_wait", "nanosleep", "clock_nanosleep", "pause"]
    {
        assert!(!restarted.contains(&name), "{name}");
    }
}

#[test]
fn a_command_says_itself_whether_it_waits_and_is_made_again() {
    let row = |call| table::by_name(call).unwrap();
    let fcntl = |op: i32| row("fcntl").restarts(&[3, op as u64, 0, 0, 0, 0]);
    assert_eq!(
        [libc::F_SETLKW, libc::F_OFD_SETLKW, libc::F_SETLK, libc::F_GETFL].map(fcntl),
        [true, true, false, false]
    );
    let futex = |op: i32, timeout: u64| {
        let args = [0x1000, (op | libc::FUTEX_PRIVATE_FLAG) as u64, 0, timeout, 0, 0];
        (row("futex").waits(&args), row("futex").restarts(&args))
    };
    assert_eq!(futex(libc::FUTEX_WAIT, 0), (Wait::Blocking, true));
    assert_eq!(futex(libc::FUTEX_WAIT, 0x2000), (Wait::Blocking, false), "its time would begin again");
    assert_eq!(futex(libc::FUTEX_WAIT_BITSET, 0x2000), (Wait::Blocking, false));
    assert_eq!(futex(libc::FUTEX_LOCK_PI, 0x2000), (Wait::Blocking, true));
    assert_eq!(futex(libc::FUTEX_WAKE, 0), (Wait::Never, false));
}

#[test]
fn calls_that_wait_for_descriptors_end_when_a_signal_arrives_for_one() {
    let waiting = ["epoll_pwait", "epoll_pwait2", "epoll_wait", "poll", "ppoll", "pselect6", "select"];
    assert_eq!(named(|row| row.wait == Wait::Polling), waiting);
    let masked = ["epoll_pwait", "epoll_pwait2", "ppoll", "pselect6", "rt_sigsuspend"];
    assert_eq!(named(|row| row.signal_mask(&[0; 6]).is_some()), masked);
    let ppoll = table::by_name("ppoll").unwrap();
    assert_eq!(ppoll.signal_mask(&[0; 6]), Some((3, Kind::SigMask { size: 4 })));
}

#[test]
fn a_time_that_counts_from_now_is_told_from_a_point_in_time() {
    let limit = |call, args: [u64; 6]| {
        let (at, _, form) = table::by_name(call).unwrap().time_limit(&args)?;
        Some((at, form.is_from_now(&args)))
    };
    for (call, at) in [
        ("poll", 2),
        ("epoll_wait", 3),
        ("epoll_pwait2", 3),
        ("nanosleep", 0),
        ("rt_sigtimedwait", 2),
        ("semtimedop", 3),
    ] {
        assert_eq!(limit(call, [0; 6]), Some((at, true)), "{call}");
    }
    for (call, at) in [("ppoll", 2), ("select", 4), ("mq_timedsend", 4), ("futex_waitv", 3), ("recvmmsg", 4)]
    {
        assert_eq!(limit(call, [0; 6]), Some((at, false)), "{call}");
    }
    let sleep = |clock: i32, flags: i32| limit("clock_nanosleep", [clock as u64, flags as u64, 0, 0, 0, 0]);
    assert_eq!(sleep(libc::CLOCK_MONOTONIC, 0), Some((2, true)));
    assert_eq!(sleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME), Some((2, false)));
    assert_eq!(sleep(libc::CLOCK_PROCESS_CPUTIME_ID, 0), Some((2, false)));
    let futex = |op: i32| limit("futex", [0, op as u64, 0, 0, 0, 0]);
    assert_eq!(futex(libc::FUTEX_WAIT), Some((3, true)));
    assert_eq!(futex(libc::FUTEX_WAIT_BITSET), Some((3, false)));
    assert_eq!(futex(libc::FUTEX_WAKE), None);
    assert_eq!(limit("read", [0; 6]), None);
}

#[test]
fn bulk_data_travel_as_the_kinds_say() {
    let pieces = |row: &Syscall| matches!(row.bulk(&[0; 6]), Bulk::Pieces(_));
    let transfers = [
        "pread64", "preadv", "preadv2", "pwrite64", "pwritev", "pwritev2", "read", "readv", "recvfrom",
        "sendto", "write", "writev",
    ];
    assert_eq!(named(pieces), transfers);
    assert_eq!(named(|row| row.travel == Bulk::Message), ["sendmsg"]);
    assert_eq!(named(|row| matches!(row.travel, Bulk::Map { .. })), ["mmap", "shmat"]);
    let shape = |name: &str| match table::by_name(name).unwrap().travel {
        Bulk::Pieces(Pieces { buffer: 1, count: 2, write, vectored, offset, address, persistent }) => {
            (write, vectored, offset, address, persistent)
        }
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(shape("read"), (false, false, None, None, false));
    assert_eq!(shape("writev"), (true, true, None, None, true));
    assert_eq!(shape("pwrite64"), (true, false, Some(3), None, true));
    assert_eq!(shape("preadv2"), (false, true, Some(3), None, false));
    assert_eq!(shape("recvfrom"), (false, false, None, Some((4, 5)), false));
    assert_eq!(shape("sendto"), (true, false, None, Some((4, 5)), false));
}

#[test]
fn a_transfer_with_an_address_and_a_mapping_without_a_file_travel_like_any_other_call() {
    let bulk = |name: &str, args| table::by_name(name).unwrap().bulk(&args);
    assert_eq!(bulk("sendto", [3, 1, 8, 0, 0x1000, 16]), Bulk::AtOnce);
    assert_eq!(bulk("recvfrom", [3, 1, 8, 0, 0, 0x1000]), Bulk::AtOnce);
    assert_eq!(bulk("mmap", [0, 4096, 3, libc::MAP_ANONYMOUS as u64, 0, 0]), Bulk::AtOnce);
    assert_ne!(bulk("mmap", [0, 4096, 3, libc::MAP_PRIVATE as u64, 3, 0]), Bulk::AtOnce);
    assert_eq!(bulk("getdents64", [3, 1, 8, 0, 0, 0]), Bulk::AtOnce);
}

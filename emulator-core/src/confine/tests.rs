use super::evaluator::{Data, I386, X86_64, run};
use super::*;

const KILL_PROCESS: u32 = 0x8000_0000;
const ALLOW: u32 = 0x7fff_0000;
const PID: u32 = 4242;

fn errno(code: i32) -> u32 {
    0x0005_0000 | code as u32
}

/// The strictest answer of all programs, as the kernel combines them: the lowest, with "kill process" below all.
fn judge_as(arch: u32, log: bool, nr: i64, args: [u64; 6]) -> u32 {
    let [allow, errno] = compile(&Options { log }, PID).unwrap();
    let data = Data { nr: nr as u32, arch, args };
    let answers = allow.iter().chain(&errno).map(|(_, program)| run(program, &data));
    answers.min_by_key(|answer| *answer as i32).unwrap()
}

fn judge(nr: i64, args: [u64; 6]) -> u32 {
    judge_as(X86_64, false, nr, args)
}

#[test]
fn the_list_is_the_golden_one() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/src/confine/golden.txt");
    let conditions = |when: &[(u8, Test)]| {
        let texts: Vec<_> = when
            .iter()
            .map(|(arg, test)| match test {
                Test::Int(v) => format!("arg{arg} == {v:#x} (32 bits)"),
                Test::Long(v) => format!("arg{arg} == {v:#x}"),
                Test::Within(bits) => format!("arg{arg} within {bits:#x}"),
                Test::Pid => format!("arg{arg} == own pid"),
                Test::OtherPid => format!("arg{arg} != own pid"),
            })
            .collect();
        if texts.is_empty() { String::new() } else { format!(" if {}", texts.join(" and ")) }
    };
    let mut text = String::from("default: kill the process\n");
    for rule in ALLOWED {
        let log = if rule.log_only { " (only with a log)" } else { "" };
        text += &format!("allow {}{}{log}: {}\n", rule.name, conditions(rule.when), rule.why);
    }
    for (code, rule) in ERRNO {
        text += &format!("errno {code} {}{}: {}\n", rule.name, conditions(rule.when), rule.why);
    }
    if std::env::var_os("RXBOX_BLESS").is_some() {
        std::fs::write(golden, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(golden).unwrap(), "RXBOX_BLESS=1 accepts the new list");
}

#[test]
fn every_number_that_no_rule_lists_ends_the_process() {
    let [allow, _] = compile(&Options { log: true }, PID).unwrap();
    let listed: Vec<_> = ALLOWED.iter().map(|r| r.call).collect();
    for nr in (0..2048).filter(|nr| !listed.contains(nr)) {
        for args in [[0; 6], [u64::MAX; 6], [PID.into(); 6]] {
            let answer = run(&allow[0].1, &Data { nr: nr as u32, arch: X86_64, args });
            assert_eq!(answer, KILL_PROCESS, "call {nr}");
        }
    }
}

#[test]
fn x32_and_32_bit_calls_end_the_process_whatever_their_number() {
    const X32: i64 = 0x4000_0000;
    for nr in 0..600 {
        assert_eq!(judge(nr | X32, [0; 6]), KILL_PROCESS);
        assert_eq!(judge_as(I386, true, nr, [0; 6]), KILL_PROCESS);
    }
}

#[test]
fn memory_never_becomes_executable() {
    let (rw, private) = (3, (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64);
    assert_eq!(judge(libc::SYS_mmap, [0, 4096, rw, private, u64::MAX, 0]), ALLOW);
    assert_eq!(judge(libc::SYS_mprotect, [0, 4096, rw, 0, 0, 0]), ALLOW);
    for prot in [4, 5, 7, 4 | 1 << 40, 1 << 33] {
        assert_eq!(judge(libc::SYS_mmap, [0, 4096, prot, private, u64::MAX, 0]), KILL_PROCESS);
        assert_eq!(judge(libc::SYS_mprotect, [0, 4096, prot, 0, 0, 0]), KILL_PROCESS);
    }
    for flags in [libc::MAP_HUGETLB, libc::MAP_SYNC, libc::MAP_GROWSDOWN] {
        assert_eq!(judge(libc::SYS_mmap, [0, 4096, rw, private | flags as u64, 0, 0]), KILL_PROCESS);
    }
}

#[test]
fn clone_takes_exactly_the_flags_of_a_thread_or_a_fork() {
    assert_eq!(judge(libc::SYS_clone, [0x003d_0f00, 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(judge(libc::SYS_clone, [0x0120_0011, 0, 0, 0, 0, 0]), ALLOW);
    for bit in 0..64 {
        assert_eq!(
            judge(libc::SYS_clone, [0x003d_0f00 ^ 1 << bit, 0, 0, 0, 0, 0]),
            KILL_PROCESS,
            "bit {bit}"
        );
        assert_eq!(
            judge(libc::SYS_clone, [0x0120_0011 ^ 1 << bit, 0, 0, 0, 0, 0]),
            KILL_PROCESS,
            "bit {bit}"
        );
    }
    assert_eq!(judge(libc::SYS_clone3, [0; 6]), errno(libc::ENOSYS));
}

#[test]
fn signals_go_only_to_the_process_itself() {
    assert_eq!(judge(libc::SYS_tgkill, [PID.into(), 1, 6, 0, 0, 0]), ALLOW);
    // The kernel looks at 32 bits only.
    assert_eq!(judge(libc::SYS_tgkill, [u64::from(PID) | 1 << 32, 1, 6, 0, 0, 0]), ALLOW);
    assert_eq!(judge(libc::SYS_tgkill, [1, 1, 9, 0, 0, 0]), errno(libc::EPERM));
    for nr in [libc::SYS_kill, libc::SYS_tkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo] {
        assert_eq!(judge(nr, [PID.into(), PID.into(), 9, 0, 0, 0]), KILL_PROCESS);
    }
    assert_eq!(judge(libc::SYS_pidfd_send_signal, [4, 9, 0, 0, 0, 0]), KILL_PROCESS);
}

#[test]
fn only_the_supervisors_descriptors_are_of_use() {
    assert_eq!(judge(libc::SYS_recvmsg, [4, 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(judge(libc::SYS_recvmsg, [5, 0, 0, 0, 0, 0]), KILL_PROCESS);
    assert_eq!(judge(libc::SYS_sendto, [4, 0, 4, 0, 0, 0]), ALLOW);
    assert_eq!(judge(libc::SYS_sendto, [4, 0, 4, 0, 0x1000, 110]), KILL_PROCESS);
    assert_eq!(judge(libc::SYS_sendto, [3, 0, 4, 0, 0, 0]), KILL_PROCESS);
    assert_eq!(judge(libc::SYS_write, [5, 0, 0, 0, 0, 0]), KILL_PROCESS);
    assert_eq!(judge_as(X86_64, true, libc::SYS_write, [5, 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(judge_as(X86_64, true, libc::SYS_write, [1, 0, 0, 0, 0, 0]), KILL_PROCESS);
}

/// Calls that the child carries out without the host's call of the same name.
const EMULATED: [&str; 9] = [
    "arch_prctl",
    "execve",
    "execveat",
    "fork",
    "get_robust_list",
    "recvmmsg",
    "sendmmsg",
    "set_tid_address",
    "vfork",
];

#[test]
fn whatever_the_table_grants_the_filter_lets_through() {
    for row in rxbox_wire::table::SYSCALLS.iter().filter(|s| s.route == rxbox_wire::kind::Route::Grant) {
        let known = ALLOWED.iter().any(|r| r.call == i64::from(row.nr)) || EMULATED.contains(&row.name);
        assert!(known, "{} is granted, but the filter ends the child for it", row.name);
    }
}

/// The filter in force, on real processes: what is not listed ends them, what is listed does not.
#[test]
fn victims_die_of_forbidden_calls_and_live_through_allowed_ones() {
    for (nr, args, dies) in [
        (libc::SYS_getpid, [0u64; 6], false),
        (libc::SYS_clone3, [0; 6], false),
        (libc::SYS_openat, [0; 6], true),
        (libc::SYS_execve, [0; 6], true),
        (libc::SYS_ptrace, [0; 6], true),
        (libc::SYS_socket, [1, 1, 0, 0, 0, 0], true),
        (libc::SYS_mmap, [0, 4096, 7, 0x22, u64::MAX, 0], true),
        (libc::SYS_getpid | 0x4000_0000, [0; 6], true),
    ] {
        // SAFETY: the child makes system calls only, and ends without touching what it shares with the other threads.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let installed = install(&Options { log: false }).is_ok();
            // SAFETY: as above; the arguments are numbers or harmless.
            unsafe {
                libc::syscall(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
                libc::syscall(libc::SYS_exit_group, if installed { 0 } else { 1 });
            }
        }
        let mut status = 0;
        // SAFETY: waits for the child just made.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        let expected = if dies { libc::SIGSYS } else { 0 };
        assert_eq!(status & 0x7f, expected, "call {nr:#x}, status {status:#x}");
        assert_eq!(status >> 8 & 0xff, 0, "call {nr:#x}");
    }
}

//! The list as text, the compiled programs against the list, and the filter in force on real processes.

#[expect(unsafe_code, reason = "makes forbidden host calls")]
mod victims;

use super::*;
use rxbox_seccomp::{Data, I386, Test, X86_64};
use rxbox_translate::state::{CACHE, Region};
use rxbox_wire::kind::Route;
use rxbox_wire::table::SYSCALLS;
use std::fmt::Write;

const X32: u32 = 0x4000_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
const ALLOW: u32 = 0x7fff_0000;

fn errno(code: i32) -> u32 {
    0x0005_0000 | code as u32
}

fn judge_log(log: bool, call: i64, args: [u64; 6]) -> u32 {
    compile(&Options { log }).unwrap().answer(&Data { nr: call as u32, arch: X86_64, args })
}

fn judge(call: i64, args: [u64; 6]) -> u32 {
    judge_log(false, call, args)
}

fn matching(log: bool, nr: u32, args: [u64; 6]) -> Vec<&'static Rule> {
    let matches = |rule: &&Rule| {
        rule.only.holds(log)
            && rule.call == i64::from(nr)
            && rule.when.iter().all(|&(arg, test)| test.holds(args[usize::from(arg)]))
    };
    rules().iter().filter(matches).collect()
}

/// What the list says.
fn expected(log: bool, nr: u32, args: [u64; 6]) -> u32 {
    match matching(log, nr, args)[..] {
        [] => KILL_PROCESS,
        [rule] => rule.action.answer(),
        ref several => panic!("call {nr} with {args:x?} matches {several:?}"),
    }
}

/// Arguments that each rule of a call takes, and those around them: every bit turned, one more, one less, the
/// extremes.
fn samples(nr: u32) -> Vec<[u64; 6]> {
    let mut out = vec![[0; 6], [u64::MAX; 6]];
    for rule in rules().iter().filter(|rule| rule.call == i64::from(nr)) {
        let mut base = [0u64; 6];
        for &(arg, test) in rule.when {
            base[usize::from(arg)] = match test {
                Test::Int(n) | Test::AtMost(n) | Test::IntMasked(_, n) => n.into(),
                Test::NotInt(n) => u64::from(n) + 1,
                Test::Long(n) | Test::Within(n) | Test::Masked(_, n) => n,
            };
        }
        out.push(base);
        for arg in 0..6 {
            let old = base[arg];
            let turned = (0..64).map(|bit| old ^ 1 << bit);
            let around = [0, u64::MAX, old.wrapping_add(1), old.wrapping_sub(1), u32::MAX.into()];
            out.extend(turned.chain(around).map(|value| {
                let mut args = base;
                args[arg] = value;
                args
            }));
        }
    }
    out
}

#[test]
fn the_programs_do_what_the_list_says_for_every_call_and_around_every_condition() {
    for log in [false, true] {
        let program = compile(&Options { log }).unwrap();
        for nr in (0..=512).chain([1023, 1024, 0x3fff_ffff, u32::MAX]) {
            for args in samples(nr) {
                let answer = program.answer(&Data { nr, arch: X86_64, args });
                assert_eq!(answer, expected(log, nr, args), "call {nr}, {args:x?}, log {log}");
            }
        }
    }
}

#[test]
fn x32_and_32_bit_calls_end_the_process_whatever_their_number() {
    let program = compile(&Options { log: true }).unwrap();
    for nr in 0..=1024 {
        for args in samples(nr) {
            for (arch, nr) in [(X86_64, nr | X32), (I386, nr), (I386, nr | X32)] {
                assert_eq!(program.answer(&Data { nr, arch, args }), KILL_PROCESS, "call {nr:#x}");
            }
        }
    }
}

#[test]
fn memory_never_becomes_executable_and_takes_no_huge_pages() {
    let (read_write, private) = (3, (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64);
    assert_eq!(judge(libc::SYS_mmap, [0, 4096, read_write, private, u64::MAX, 0]), ALLOW);
    assert_eq!(judge(libc::SYS_mprotect, [0, 4096, read_write, 0, 0, 0]), ALLOW);
    for prot in [4, 5, 7, 4 | 1 << 40, 1 << 33] {
        assert_eq!(judge(libc::SYS_mmap, [0, 4096, prot, private, u64::MAX, 0]), KILL_PROCESS);
        assert_eq!(judge(libc::SYS_mprotect, [0, 4096, prot, 0, 0, 0]), KILL_PROCESS);
    }
    for flags in [libc::MAP_HUGETLB, libc::MAP_SYNC, libc::MAP_GROWSDOWN, libc::MAP_32BIT] {
        assert_eq!(judge(libc::SYS_mmap, [0, 4096, read_write, private | flags as u64, 0, 0]), KILL_PROCESS);
    }
    assert_eq!(judge(libc::SYS_pkey_mprotect, [0, 4096, read_write, 0, 0, 0]), KILL_PROCESS);
    assert_eq!(judge(libc::SYS_personality, [0x0040_0000, 0, 0, 0, 0, 0]), KILL_PROCESS);
}

/// The code cache may be moved, but stays low; the last piece ends where it cannot be moved to.
#[test]
fn what_is_opened_as_code_lies_low() {
    const PIECE: u64 = 1 << 20;
    for (at, len, answer) in [
        (0x7000_0000, PIECE, ALLOW),
        (0x7000_1000, PIECE, ALLOW),
        (0x7fee_0000, PIECE, ALLOW),
        (0x7fee_1000, PIECE, KILL_PROCESS),
        (0x6ff0_0000, PIECE, ALLOW),
        (0x8000_0000, PIECE, KILL_PROCESS),
        (0x7000_0800, PIECE, KILL_PROCESS),
        (0x1_7000_0000, PIECE, KILL_PROCESS),
        (0x7000_0000, 2 * PIECE, KILL_PROCESS),
        (0x7000_0000, 4096, KILL_PROCESS),
    ] {
        assert_eq!(judge(libc::SYS_mprotect, [at, len, 7, 0, 0, 0]), answer, "{at:#x} {len:#x}");
    }
}

/// What is mapped from a file where kept translations lie can be executed, and never both that and written.
#[test]
fn kept_translations_become_executable_only_in_their_region() {
    let (first, most) = (CACHE.start, Region::KEPT);
    for (at, len, rights, answer) in [
        (first, 4096, 5, ALLOW),
        (first + 0x1234_5000, most, 5, ALLOW),
        (first, 2 * most, 5, KILL_PROCESS),
        (first - 4096, 4096, 5, KILL_PROCESS),
        (0x8000_0000, 4096, 5, KILL_PROCESS),
        (first + 1, 4096, 5, KILL_PROCESS),
        (1 << 32 | first, 4096, 5, KILL_PROCESS),
        (first, 1 << 32 | 4096, 5, KILL_PROCESS),
        (first, 4096, 4, KILL_PROCESS),
        (first, 4096, 7, KILL_PROCESS),
    ] {
        assert_eq!(judge(libc::SYS_mprotect, [at, len, rights, 0, 0, 0]), answer, "{at:#x} {len:#x}");
    }
}

#[test]
fn clone_takes_exactly_the_flags_of_a_thread_or_a_fork() {
    let taken = [0x003d_0f00u64, 0x0120_0011];
    for flags in taken {
        assert_eq!(judge(libc::SYS_clone, [flags, 0, 0, 0, 0, 0]), ALLOW);
        for other in (0..64).map(|bit| flags ^ 1 << bit).filter(|other| !taken.contains(other)) {
            assert_eq!(judge(libc::SYS_clone, [other, 0, 0, 0, 0, 0]), KILL_PROCESS, "{other:#x}");
        }
    }
    for (flags, stack) in [(0x11, 0), (0x0120_0011, 1)] {
        assert_eq!(judge(libc::SYS_clone, [flags, stack, 0, 0, 0, 0]), KILL_PROCESS);
    }
    assert_eq!(judge(libc::SYS_clone3, [0; 6]), errno(libc::ENOSYS));
    assert_eq!(judge(libc::SYS_fork, [0; 6]), KILL_PROCESS);
    assert_eq!(judge(libc::SYS_vfork, [0; 6]), KILL_PROCESS);
}

#[test]
fn operations_on_futexes_and_barriers_are_those_of_the_manual() {
    for op in 0..0x400 {
        let known = matches!(op & !0x180, 0 | 1 | 3..=13);
        let answer = if known { ALLOW } else { KILL_PROCESS };
        assert_eq!(judge(libc::SYS_futex, [0, op, 0, 0, 0, 0]), answer, "futex {op:#x}");
    }
    assert_eq!(judge(libc::SYS_futex_waitv, [0, 128, 0, 0, 0, 0]), ALLOW);
    assert_eq!(judge(libc::SYS_futex_waitv, [0, 129, 0, 0, 0, 0]), KILL_PROCESS);
    assert_eq!(judge(libc::SYS_futex_waitv, [0, 1, 1, 0, 0, 0]), KILL_PROCESS);
    for command in 0..0x800 {
        let known = [0, 1, 2, 4, 8, 16, 32, 64, 512].contains(&command);
        let answer = if known { ALLOW } else { KILL_PROCESS };
        assert_eq!(judge(libc::SYS_membarrier, [command, 0, 0, 0, 0, 0]), answer, "membarrier {command:#x}");
        assert_eq!(judge(libc::SYS_membarrier, [command, 1, 0, 0, 0, 0]), KILL_PROCESS);
    }
}

#[test]
fn no_process_is_signalled_or_looked_at() {
    let me = u64::from(std::process::id());
    for nr in [
        libc::SYS_kill,
        libc::SYS_tkill,
        libc::SYS_rt_sigqueueinfo,
        libc::SYS_rt_tgsigqueueinfo,
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_send_signal,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_kcmp,
        libc::SYS_getpgid,
        libc::SYS_prlimit64,
        libc::SYS_sched_setaffinity,
    ] {
        assert_eq!(judge(nr, [me, me, 0, 0, 0, 0]), KILL_PROCESS, "call {nr}");
    }
    assert_eq!(judge(libc::SYS_tgkill, [me, me, 6, 0, 0, 0]), errno(libc::EPERM));
    assert_eq!(judge(libc::SYS_sched_getaffinity, [me, 128, 0, 0, 0, 0]), errno(libc::ENOSYS));
    // The clock of process 1, and that of descriptor 5 (clock_getres(2), "dynamic clocks").
    for clock in [!1u64 << 3 | 2, !5u64 << 3 | 3] {
        assert_eq!(judge(libc::SYS_clock_gettime, [clock, 0, 0, 0, 0, 0]), KILL_PROCESS);
        assert_eq!(judge(libc::SYS_timer_create, [clock, 0, 0, 0, 0, 0]), KILL_PROCESS);
    }
}

#[test]
fn no_call_that_takes_a_path_is_carried_out() {
    use rxbox_wire::kind::Kind;
    for row in SYSCALLS.iter().filter(|row| row.args.iter().any(|arg| matches!(arg.kind, Kind::Path(_)))) {
        for args in samples(row.nr) {
            let answer = judge(row.nr.into(), args);
            let refused = answer == errno(libc::EPERM) && row.name == "openat";
            assert!(refused || answer == KILL_PROCESS, "{} gives {answer:#x}", row.name);
        }
    }
}

#[test]
fn only_the_supervisors_descriptors_are_written_to_and_their_numbers_stay() {
    assert_eq!(judge(libc::SYS_recvmsg, [4, 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(judge(libc::SYS_recvmsg, [5, 0, 0, 0, 0, 0]), KILL_PROCESS);
    assert_eq!(judge(libc::SYS_sendto, [4, 0, 4, 0, 0, 0]), ALLOW);
    assert_eq!(judge(libc::SYS_sendto, [4, 0, 4, 0, 0x1000, 110]), KILL_PROCESS);
    assert_eq!(judge(libc::SYS_sendto, [3, 0, 4, 0, 0, 0]), KILL_PROCESS);
    assert_eq!(judge(libc::SYS_sendmsg, [4, 0, 0, 0, 0, 0]), KILL_PROCESS);
    for log in [false, true] {
        assert_eq!(judge_log(log, libc::SYS_close, [4, 0, 0, 0, 0, 0]), KILL_PROCESS);
        assert_eq!(judge_log(log, libc::SYS_close, [6, 0, 0, 0, 0, 0]), ALLOW);
        assert_eq!(judge_log(log, libc::SYS_write, [2, 0, 0, 0, 0, 0]), errno(libc::EBADF));
        assert_eq!(judge_log(log, libc::SYS_write, [1, 0, 0, 0, 0, 0]), KILL_PROCESS);
    }
    assert_eq!(judge_log(true, libc::SYS_close, [5, 0, 0, 0, 0, 0]), KILL_PROCESS);
    assert_eq!(judge_log(false, libc::SYS_close, [5, 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(judge_log(true, libc::SYS_write, [5, 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(judge_log(false, libc::SYS_write, [5, 0, 0, 0, 0, 0]), errno(libc::EBADF));
    for nr in [libc::SYS_dup, libc::SYS_dup2, libc::SYS_dup3, libc::SYS_fcntl, libc::SYS_close_range] {
        // The second argument is the command for fcntl: F_DUPFD.
        assert_eq!(judge(nr, [4, 0, 0, 0, 0, 0]), KILL_PROCESS, "call {nr}");
    }
}

/// Granted calls that the runtime carries out without the host's call of the same name; a segment of shared
/// memory is a file that it maps.
const EMULATED: [&str; 18] = [
    "arch_prctl",
    "clone3",
    "execve",
    "execveat",
    "fork",
    "get_robust_list",
    "ioctl",
    "mlockall",
    "munlockall",
    "pause",
    "recvmmsg",
    "rt_sigsuspend",
    "sendmmsg",
    "set_tid_address",
    "shmat",
    "shmdt",
    "vfork",
    "vmsplice",
];

#[test]
fn whatever_the_table_grants_the_filter_lets_through_or_the_runtime_emulates() {
    for row in SYSCALLS.iter().filter(|row| row.route == Route::Grant) {
        let allowed =
            rules().iter().any(|rule| rule.call == i64::from(row.nr) && rule.action == Action::Allow);
        let emulated = EMULATED.contains(&row.name);
        assert!(allowed != emulated, "{}: allowed {allowed}, emulated {emulated}", row.name);
    }
}

#[test]
fn names_are_those_of_the_table() {
    for rule in rules() {
        let row = SYSCALLS.iter().find(|row| i64::from(row.nr) == rule.call).unwrap();
        assert_eq!(rule.name, row.name);
        assert!(rule.when.iter().all(|(arg, _)| usize::from(*arg) < row.args.len()), "{}", rule.name);
    }
}

/// A rule as a line of text, arguments by name.
fn line(rule: &Rule) -> String {
    let args = SYSCALLS.iter().find(|row| i64::from(row.nr) == rule.call).unwrap().args;
    let conditions = rule.when.iter().map(|&(arg, test)| test.text(args[usize::from(arg)].name));
    let when = conditions.collect::<Vec<_>>().join(", ");
    let answer = match rule.action {
        Action::Allow => "allow".into(),
        Action::Errno(code) => format!("{:?}", nix::errno::Errno::from_raw(code.into())),
        Action::KillProcess => "kill".into(),
    };
    let only = match rule.only {
        Only::Always => "",
        Only::WithLog => " (with a log)",
        Only::WithoutLog => " (without a log)",
    };
    format!("{answer:<7} {}({when}){only}: {}", rule.name, rule.why)
}

#[test]
fn the_list_is_the_golden_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/confine.txt");
    let mut text = String::from(
        "# The host calls of the emulator child, as its seccomp filter judges them (src/confine/rules.rs).\n\
         # \"int\" compares 32 bits, \"within\" means no bits but these. Everything else ends the \
         process.\n\n",
    );
    for rule in rules() {
        writeln!(text, "{}", line(rule)).unwrap();
    }
    if std::env::var_os("RXBOX_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(path).unwrap(), "RXBOX_BLESS=1 accepts the new list");
}

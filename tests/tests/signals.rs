//! Guest signals: the programs `guests/signals_*.c` print what they see of signals, natively and in rxbox the
//! same, and die natively and in rxbox the same.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use rxbox_tests::{Program, Scratch, difference, guest, rxbox};
use std::process::Command;

/// Runs a guest both ways; returns the exit status that both had.
fn same(name: &str, arguments: &[&str]) -> i32 {
    let scratch = Scratch::new(name);
    let program = guest(&scratch, name);
    let folder = scratch.path().join("w");
    std::fs::create_dir(&folder).unwrap();
    let path = program.to_string_lossy();
    let argv: Vec<&str> = std::iter::once(&*path).chain(arguments.iter().copied()).collect();
    let program = Program::new(&folder, &argv);
    let (native, boxed) = (program.native(), program.boxed("permissive"));
    assert!(!native.stdout.is_empty(), "{argv:?} shows nothing natively: {}", native.err());
    assert!(native.stdout == boxed.stdout, "{argv:?}: {}", difference(&native.stdout, &boxed.stdout));
    assert_eq!(native.status, boxed.status, "{argv:?}: {}", boxed.err());
    boxed.status
}

/// Runs a guest that ends well.
fn ends_well(name: &str) {
    assert_eq!(same(name, &[]), 0);
}

#[test]
fn handlers_are_told_who_sent_a_signal_and_why() {
    ends_well("signals_siginfo");
}

#[test]
fn masks_nesting_jumps_and_alternate_stacks_work_as_natively() {
    ends_well("signals_nested");
}

#[test]
fn faults_have_their_cause_and_handlers_can_repair_them() {
    ends_well("signals_faults");
}

#[test]
fn signals_are_read_from_descriptors_and_end_waits_for_them() {
    ends_well("signals_descriptors");
}

#[test]
fn calls_of_a_process_that_was_stopped_and_goes_on_fail_or_wait_on_as_natively() {
    ends_well("stopped");
}

#[test]
fn interrupted_calls_restart_or_fail_as_natively() {
    ends_well("signals_restart");
}

#[test]
fn signals_that_come_faster_than_they_are_taken_are_all_there_and_break_off_only_what_waits() {
    ends_well("signals_storm");
}

#[test]
fn signals_find_registers_and_flags_as_they_are_in_the_middle_of_branches() {
    ends_well("signals_branches");
}

#[test]
fn signals_can_be_waited_for_and_timers_raise_them() {
    ends_well("signals_wait");
}

#[test]
fn processor_state_is_kept_over_a_handler() {
    ends_well("signals_state");
}

#[test]
fn threads_get_their_own_signals() {
    ends_well("signals_threads");
}

#[test]
fn a_guest_killed_by_a_signal_ends_rxbox_with_the_same_status() {
    let ways = [
        ("segv", libc::SIGSEGV),
        ("segv-ignored", libc::SIGSEGV),
        ("segv-blocked", libc::SIGSEGV),
        ("segv-sent", libc::SIGSEGV),
        ("ill", libc::SIGILL),
        ("fpe", libc::SIGFPE),
        ("trap", libc::SIGTRAP),
        ("abort", libc::SIGABRT),
        ("term", libc::SIGTERM),
        ("kill", libc::SIGKILL),
        ("realtime", libc::SIGRTMAX()),
        ("blocked-then-not", libc::SIGHUP),
        ("alarm", libc::SIGALRM),
        ("pipe", libc::SIGPIPE),
        ("no-stack", libc::SIGSEGV),
        ("bad-sigreturn", libc::SIGSEGV),
        ("deep-recursion", libc::SIGSEGV),
    ];
    for (way, signal) in ways {
        assert_eq!(same("signals_death", &[way]), 128 + signal, "{way}");
    }
    assert_eq!(same("signals_death", &["segv-sent-ignored"]), 3);
}

#[test]
fn descriptors_signal_their_owner() {
    ends_well("signals_owner");
}

#[test]
fn a_process_sees_what_another_blocks_ignores_and_catches() {
    assert_eq!(same("signals_seen", &[]), 0);
}

/// coreutils' `env` sets what a program is started with.
#[test]
fn what_is_ignored_and_blocked_at_the_start_is_inherited_through_rxbox() {
    let lines = |run: &[&str]| {
        let mut command = Command::new("/usr/bin/env");
        command.args(["--ignore-signal=HUP", "--block-signal=USR1", "--block-signal=TERM"]).args(run);
        command.args(["/usr/bin/grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"]);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let native = lines(&[]);
    // The runner of the tests may ignore more.
    assert!(
        native.1.contains("SigBlk:\t0000000000004200\n") && native.1.contains("1\nSigCgt:"),
        "{native:?}"
    );
    let supervisor = rxbox().to_str().unwrap();
    assert_eq!(lines(&[supervisor, "--profile", "permissive", "--"]), native);
}

//! Translations outlive the program that they were made for, and never stand for other code than what lies
//! there now.

use rxbox_tests::{Program, Scratch, compile_guest, guest, rxbox, same};
use std::path::Path;

/// How many blocks are translated in a run of the program with this argument.
fn translated(program: &Path, argument: &str) -> usize {
    let scratch = Scratch::new("translated");
    let log = scratch.path().join("log");
    let log = log.to_string_lossy();
    let ran = Program::new(scratch.path(), &[&program.to_string_lossy(), argument])
        .options(&["--log", "in_asm", "--log-file", &log])
        .boxed("permissive");
    assert_eq!(ran.status, 0, "{}", ran.err());
    let text = std::fs::read_to_string(&*log).unwrap();
    text.lines().filter(|line| line.starts_with("IN: ")).count()
}

#[test]
fn a_program_that_is_executed_again_is_not_translated_again() {
    let scratch = Scratch::new("again");
    let program = guest(&scratch, "exec_again");
    let (once, often) = (translated(&program, "0"), translated(&program, "8"));
    assert!(once > 100, "{once} blocks");
    assert!(often < 2 * once, "{once} blocks once, {often} in nine executions");
}

/// Two programs that differ in one constant, as files `one` and `two`.
fn two_programs(dir: &Path) {
    for (name, answer) in [("one", "-DANSWER=1"), ("two", "-DANSWER=2")] {
        compile_guest("exec_again", &dir.join(name), &[answer]);
    }
}

#[test]
fn another_program_in_the_same_file_runs_its_own_code() {
    assert!(rxbox().exists());
    same("permissive", &[], &["./one"], two_programs, b"");
}

#[test]
fn programs_that_a_shell_starts_one_after_the_other_run_their_own_code() {
    let script = "for i in 1 2 3; do ./one 0; ./two; (exec ./two 1); exec 3<&-; cat two >three; chmod +x \
        three; ./three 0; cat one >three; ./three 2; done";
    same("permissive", &[], &["/bin/bash", "-c", script], two_programs, b"");
}

//! Whatever a guest does to the descriptors that it shares with rxbox, the user learns what it was denied.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use rxbox_tests::{Scratch, guest, rxbox};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const DENIED: &str = "rxbox: denied read /etc/shadow (openat";

/// The guest with one of its modes, not yet started.
fn command(scratch: &Scratch, options: &[&str], mode: &str) -> Command {
    let program = guest(scratch, "denials");
    let folder = scratch.path().join("kept");
    fs::create_dir_all(&folder).unwrap();
    let denied = format!("deny = [\"/etc/shadow\"]\ndeny_write = [{folder:?}]\n");
    let profile = format!("version = 1\nextends = [\"permissive\"]\n[filesystem]\n{denied}");
    let mut command = Command::new(rxbox());
    command.arg("--profile").arg(scratch.file("profile.toml", profile)).args(options);
    command.arg("--").arg(program).arg(mode).arg(folder).stdout(Stdio::piped());
    command
}

/// Waits for the guest's last word, and reads the errors only then.
fn errors_after_the_end(mut run: Child) -> String {
    let mut line = String::new();
    BufReader::new(run.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "done\n");
    let mut text = Vec::new();
    run.stderr.take().unwrap().read_to_end(&mut text).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0));
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_full_pipe_loses_no_denial() {
    let scratch = Scratch::new("full-pipe");
    for mode in ["fill", "block"] {
        let run = command(&scratch, &[], mode).stderr(Stdio::piped()).spawn().unwrap();
        let text = errors_after_the_end(run);
        assert!(text.contains(DENIED), "{mode}: {}", &text[text.len().saturating_sub(300)..]);
    }
}

/// Nobody reads what is told: the run ends all the same, and a file gets it.
#[test]
fn a_pipe_that_nobody_reads_does_not_keep_the_run_from_its_end() {
    let scratch = Scratch::new("unread-pipe");
    let log: PathBuf = scratch.path().join("log");
    let mut run = command(&scratch, &["--log-file", log.to_str().unwrap()], "block");
    let mut run = run.stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0));
    assert!(fs::read_to_string(&log).unwrap().contains(DENIED));
}

#[test]
fn what_is_taken_out_of_a_file_is_told_again() {
    let scratch = Scratch::new("truncated");
    let log = scratch.path().join("errors");
    for _ in 0..2 {
        let mut run = command(&scratch, &[], "truncate");
        let status = run.stderr(File::create(&log).unwrap()).status().unwrap();
        let text = fs::read_to_string(&log).unwrap();
        assert_eq!((status.code(), text.matches(DENIED).count()), (Some(0), 1), "{text}");
    }
}

#[test]
fn a_flood_of_denials_hides_none_of_another_place_and_is_counted_by_rule() {
    let scratch = Scratch::new("flood");
    let report = scratch.path().join("report");
    let script = "exec 3>\"$1\"; shift; exec \"$@\"";
    let inner = command(&scratch, &["--status-fd", "3"], "flood");
    let mut outer = Command::new("/bin/sh");
    outer.args(["-c", script, "sh"]).arg(&report).arg(inner.get_program()).args(inner.get_args());
    let out = outer.output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(text.contains(DENIED), "{text}");
    let report = fs::read_to_string(report).unwrap();
    let counted = |count: u32| {
        let line = format!("\"count\":{count}}}");
        report.lines().any(|l| l.starts_with("{\"event\":\"denied\",\"rule\":\"") && l.ends_with(&line))
    };
    assert!(counted(4000), "{report}");
}

//! The guide's commands do what the guide says: each is run, and prints what stands below it.

use rxbox_tests::console::steps;
use rxbox_tests::{Scratch, difference, rxbox};
use std::process::Command;

const GUIDE: &str = include_str!("../../docs/guide.md");
/// Where the guide has the working directory.
const FOLDER: &str = "/home/you/report";

/// Without what differs from host to host, and from version to version: process ids and lines of profiles
/// that come along.
fn general(text: &str, folder: &str) -> String {
    let text = text.replace(folder, FOLDER);
    let mut general = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("pid ") {
        let (before, number) = rest.split_at(at + "pid ".len());
        general += before;
        general.push('N');
        rest = number.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    general += rest;
    // A trace begins its lines with the process id.
    let lines = general.lines().map(|line| match line.split_once(' ') {
        Some((pid, call)) if pid.parse::<u32>().is_ok() => format!("N {call}\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn every_command_of_the_guide_prints_what_the_guide_says() {
    let scratch = Scratch::in_the_open("guide");
    let folder = scratch.path().to_str().unwrap();
    let steps = steps(GUIDE);
    assert!(steps.len() > 10, "{}", steps.len());
    let state = Scratch::new("guide-state");
    // Whether the host lets this user mount overlays.
    let mut offered = true;
    let path = format!("{}:/usr/bin:/bin", rxbox().parent().unwrap().display());
    for step in steps {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("exec 2>&1\n{}", step.command)]).current_dir(scratch.path());
        shell.env_clear().env("PATH", &path).env("HOME", "/nonexistent").env("LC_ALL", "C");
        shell.env("XDG_STATE_HOME", state.path());
        if !offered && step.command.contains("rxbox changes") {
            continue;
        }
        let ran = shell.output().unwrap();
        let printed = general(&String::from_utf8_lossy(&ran.stdout), folder);
        if step.command.contains("--try") && printed.contains("rxbox: cannot overlay ") {
            offered = false;
            continue;
        }
        let wanted = general(&step.output, folder);
        assert!(
            printed == wanted,
            "$ {}\n{}",
            step.command,
            difference(wanted.as_bytes(), printed.as_bytes())
        );
    }
}

//! A right to a file gives what its name says and nothing beside it.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use rxbox_tests::{Program, Scratch, guest, rxbox};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The guest `rights`, a file that is a program, and a profile that gives the file to this list.
fn field(list: &str) -> (Scratch, PathBuf, PathBuf) {
    let scratch = Scratch::new("rights");
    guest(&scratch, "rights");
    let file = scratch.path().join("d/tool");
    fs::create_dir(scratch.path().join("d")).unwrap();
    fs::copy("/bin/true", &file).unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    let entry = format!("{list} = [\"{}\"]", file.display());
    let text = format!("version = 1\nextends = [\"base\"]\n[filesystem]\n{entry}\n");
    let profile = scratch.file("profile.toml", text);
    (scratch, file, profile)
}

fn words<'a>(program: &'a str, mode: &'a str, file: &'a Path) -> [&'a str; 3] {
    [program, mode, file.to_str().unwrap()]
}

#[test]
fn who_may_modify_a_file_changes_none_of_its_attributes() {
    let (scratch, file, profile) = field("modify");
    let program = scratch.path().join("rights").to_string_lossy().into_owned();
    let before = file.metadata().unwrap().permissions();
    let ran = Program::new(&scratch.path().join("d"), &words(&program, "attributes", &file)).boxed(profile);
    let tries: Vec<String> = ran.out().lines().map(str::to_owned).collect();
    assert!(tries.len() >= 17, "{}{}", ran.out(), ran.err());
    for line in &tries {
        assert!(line.starts_with("held") && line.ends_with(": Permission denied"), "{line}");
    }
    assert_eq!(file.metadata().unwrap().permissions(), before);
}

/// Has a guest lock a file that this list of the profile gives it, in all ways that it may. The locks hold
/// within the sandbox. What a process outside that wants to lock it, too, says meanwhile, after another has
/// executed it.
fn noticed_outside(list: &str) -> String {
    let (scratch, file, profile) = field(list);
    let program = scratch.path().join("rights").to_string_lossy().into_owned();
    let mut command = Command::new(rxbox());
    command.arg("--profile").arg(profile).arg("--").args(words(&program, "locks", &file));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while !said.ends_with("locked\n") {
        assert_ne!(out.read_line(&mut said).unwrap(), 0, "{said}");
    }
    assert!(Command::new(&file).status().unwrap().success(), "it is executed");
    let probe = Command::new(&program).arg("probe").arg(&file).output().unwrap();
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    out.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success() && !said.contains("ESCAPED"), "{said}");
    assert_eq!(said.matches("held").count(), 2, "{said}");
    String::from_utf8(probe.stdout).unwrap()
}

#[test]
fn locks_on_a_file_that_may_only_be_read_are_not_noticed_outside() {
    assert_eq!(noticed_outside("read"), "probed\n");
}

#[test]
fn locks_on_a_file_that_may_be_written_are_noticed_outside_and_do_not_open_it_to_write() {
    assert_eq!(noticed_outside("write"), "it is locked\nprobed\n");
}

#[test]
fn the_locks_of_a_process_stay_as_it_opens_the_file_for_more() {
    let (scratch, file, profile) = field("write");
    let program = scratch.path().join("rights").to_string_lossy().into_owned();
    let run = Program::new(&scratch.path().join("d"), &words(&program, "widened", &file));
    let (native, boxed) = (run.native(), run.boxed(profile));
    assert_eq!(boxed.out(), native.out(), "{}", boxed.err());
}

//! The static program needs nothing of the root directory that it lies in, and runs static and dynamic
//! programs there as the other does.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use rxbox_tests::{Scratch, rxbox, static_rxbox};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const LIBRARIES: &str = "lib/x86_64-linux-gnu";
/// Of the root directory: what a dynamic program needs.
const FILES: [(&str, &str); 4] = [
    ("/bin/busybox", "bin/busybox"),
    ("/usr/bin/cat", "bin/cat"),
    ("/lib64/ld-linux-x86-64.so.2", "lib64/ld-linux-x86-64.so.2"),
    ("/lib/x86_64-linux-gnu/libc.so.6", "lib/x86_64-linux-gnu/libc.so.6"),
];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A root directory with an rxbox, these programs, an empty `/proc` and nothing else.
fn root_with(program: &Path) -> Scratch {
    let scratch = Scratch::in_the_open("root");
    for folder in ["proc", "work"] {
        fs::create_dir(scratch.path().join(folder)).unwrap();
    }
    for (from, to) in FILES.into_iter().chain([(program.to_str().unwrap(), "rxbox")]) {
        let to = scratch.path().join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
    scratch
}

/// Runs in a root directory. It must be a mount, as those of containers are.
fn run_in(root: &Path, words: &[&str]) -> Output {
    let within = "cd /work && exec \"$@\"";
    let script = "mount --bind \"$0\" \"$0\" && exec chroot \"$0\" /bin/busybox sh -c \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(root).args([within, "sh"]).args(words);
    command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").stdin(Stdio::null()).output().unwrap()
}

/// Whether this user may mount.
fn may_mount() -> bool {
    Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status().unwrap().success()
}

#[test]
fn the_static_program_has_no_loader_and_runs_what_the_other_runs() {
    let headers = Command::new("readelf").args(["-W", "-l", "-d"]).arg(static_rxbox()).output().unwrap();
    let headers = text(&headers.stdout);
    assert!(
        headers.contains("LOAD") && !headers.contains("INTERP") && !headers.contains("NEEDED"),
        "{headers}"
    );
    for program in ["/bin/busybox", "/usr/bin/sort"] {
        let words = ["--profile", "untrusted", "--", program, "sort", "/etc/shadow", "/etc/hostname"];
        let [ours, other] = [static_rxbox(), rxbox()].map(|rxbox| {
            let ran = Command::new(rxbox).args(words).stdin(Stdio::null()).output().unwrap();
            (ran.status.code(), text(&ran.stdout))
        });
        assert_eq!(ours, other);
    }
}

#[test]
fn in_an_empty_root_directory_static_and_dynamic_programs_run_and_are_denied_the_same() {
    if !may_mount() {
        return;
    }
    let root = root_with(static_rxbox());
    root.file("secret", "secret\n");
    let boxed = |words: &[&str]| {
        let ran = run_in(root.path(), &[&["/rxbox", "--profile", "untrusted", "--"], words].concat());
        (ran.status.code(), text(&ran.stdout), text(&ran.stderr))
    };
    for cat in [&["/bin/busybox", "cat"][..], &["/bin/cat"]] {
        let native = run_in(root.path(), &[cat, &["/secret"]].concat());
        assert_eq!(text(&native.stdout), "secret\n", "{cat:?}");
        let (status, out, errors) = boxed(&[cat, &["/bin/cat"]].concat());
        assert_eq!(
            (status, out.len()),
            (Some(0), text(&fs::read("/usr/bin/cat").unwrap()).len()),
            "{errors}"
        );
        let (status, out, errors) = boxed(&[cat, &["/secret"]].concat());
        assert_eq!((status, &*out), (Some(1), ""), "{errors}");
        assert!(errors.contains("denied read /secret"), "{errors}");
    }
}

#[test]
fn the_dynamic_program_runs_in_a_root_directory_that_has_its_libraries() {
    if !may_mount() {
        return;
    }
    let root = root_with(rxbox());
    let library = "libgcc_s.so.1";
    fs::copy(Path::new("/").join(LIBRARIES).join(library), root.path().join(LIBRARIES).join(library))
        .unwrap();
    let ran =
        run_in(root.path(), &["/rxbox", "--profile", "untrusted", "--", "/bin/busybox", "echo", "it runs"]);
    assert_eq!((text(&ran.stdout).as_str(), text(&ran.stderr).as_str()), ("it runs\n", ""));
}

//! The cgroup of a run: what it holds that nothing else does, and that none is left behind. Where the host
//! gives rxbox none (it belongs to somebody else, or is shared), a profile that requires it is refused.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use rxbox_tests::{Scratch, eventually, guest, processes, rxbox};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// rxbox under a profile that requires the layer.
fn required(scratch: &Scratch) -> Command {
    let text = "version = 1\nextends = [\"permissive\"]\n[limits]\nmemory = \"50M\"\nthreads = 20\n\
        [hardening]\nrequire = [\"cgroup\"]\n";
    let mut command = Command::new(rxbox());
    command.arg("--profile").arg(scratch.file("required.toml", text)).arg("--");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether this host has a cgroup for rxbox: a run says the same as `rxbox doctor`.
fn offered(scratch: &Scratch) -> bool {
    let Output { status, stderr, .. } = required(scratch).arg("/bin/true").output().unwrap();
    let doctor = Command::new(rxbox()).arg("doctor").output().unwrap();
    let line = text(&doctor.stdout).lines().find(|line| line.starts_with("cgroup")).unwrap().to_owned();
    match status.code() {
        Some(0) => assert!(line.contains("available"), "{line}"),
        Some(125) => {
            assert!(text(&stderr).contains("layer cgroup is required by"), "{}", text(&stderr));
            assert!(line.contains("missing") && line.contains("Delegate=yes"), "{line}");
        }
        other => panic!("{other:?} {}", text(&stderr)),
    }
    status.success()
}

#[test]
fn memory_that_only_the_kernel_sees_is_held_by_a_cgroup() {
    let scratch = Scratch::new("cgroup-memory");
    if !offered(&scratch) {
        return;
    }
    for mode in ["unlinked", "sent-sockets"] {
        let output = required(&scratch).arg(guest(&scratch, "contained")).arg(mode).output().unwrap();
        assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("", Some(137)), "{mode}");
        assert!(text(&output.stderr).contains("memory limit"), "{mode}: {}", text(&output.stderr));
    }
}

/// The groups of a run's that there are.
fn groups(supervisor: i32) -> Vec<PathBuf> {
    let name = format!("rxbox-{supervisor}");
    let (mut found, mut todo) = (Vec::new(), vec![PathBuf::from("/sys/fs/cgroup")]);
    while let Some(dir) = todo.pop() {
        let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
        let dirs = entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path());
        for dir in dirs {
            if dir.file_name().unwrap().to_str().unwrap().starts_with(&name) {
                found.push(dir.clone());
            }
            todo.push(dir);
        }
    }
    found
}

/// Starts a run that goes on, once it runs; with its supervisor's number.
fn start(scratch: &Scratch) -> (Child, i32) {
    let mut job = required(scratch).args(["/bin/sh", "-c", "echo; exec sleep 1000"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(job.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let children = format!("/proc/{0}/task/{0}/children", job.id());
    let supervisor = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
    (job, supervisor)
}

#[test]
fn the_cgroup_of_a_run_goes_with_it_whichever_of_its_processes_are_killed() {
    let scratch = Scratch::new("cgroup-left");
    if !offered(&scratch) {
        return;
    }
    let (mut job, supervisor) = start(&scratch);
    let limits: Vec<_> = groups(supervisor);
    assert!(!limits.is_empty() && limits.iter().all(|dir| dir.join("cgroup.procs").exists()), "{limits:?}");
    processes::kill(&[supervisor]);
    job.wait().unwrap();
    assert_eq!(groups(supervisor), [] as [PathBuf; 0]);

    // Nobody of the run is left to do it.
    let (mut job, supervisor) = start(&scratch);
    processes::kill(&[job.id() as i32, supervisor]);
    let mut rest = Vec::new();
    job.stderr.take().unwrap().read_to_end(&mut rest).unwrap();
    job.wait().unwrap();
    eventually("the end of all in the group", || {
        !Path::new(&format!("/proc/{supervisor}")).exists()
            && groups(supervisor)
                .iter()
                .all(|dir| std::fs::read_to_string(dir.join("cgroup.procs")).unwrap().is_empty())
    });
    assert!(required(&scratch).arg("/bin/true").status().unwrap().success());
    assert_eq!(groups(supervisor), [] as [PathBuf; 0]);
}

//! Podman, which needs no daemon: each container has a process of its own that watches over it.

use super::{PROGRAMS, error, terminal, told};
use rxbox_tests::containers::{root_of, runtime};
use rxbox_tests::{Scratch, eventually};
use std::fs;
use std::process::{Command, Output, Stdio};

const IMAGE: &str = "rxbox-podman:1";
/// A container without network, with limits that any host can give it.
const LIMITS: [&str; 6] =
    ["--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"];

/// A podman of the test's own.
struct Podman {
    words: Vec<String>,
    scratch: Scratch,
}

impl Podman {
    fn words(&self, words: &[&str]) -> Vec<String> {
        self.words.iter().cloned().chain(words.iter().map(ToString::to_string)).collect()
    }

    /// Its output goes to files: what watches over a container lives on with it.
    fn call(&self, words: &[&str]) -> Output {
        let path = |name: &str| self.scratch.path().join(name);
        let file = |name: &str| fs::File::create(path(name)).expect("a file");
        let all = self.words(words);
        let mut command = Command::new(&all[0]);
        command.args(&all[1..]).stdin(Stdio::null()).stdout(file("out")).stderr(file("error"));
        let status = command.status().expect("podman");
        let read = |name| fs::read(path(name)).expect("a file");
        Output { status, stdout: read("out"), stderr: read("error") }
    }

    fn run(&self, words: &[&str]) -> Output {
        self.call(&[&["run"], &LIMITS[..], words].concat())
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // What a failed test leaves.
        self.call(&["rm", "-f", "-t", "0", "-a"]);
        self.call(&["rmi", "-f", "-a"]);
        let storage = self.scratch.path().join("storage/overlay");
        let _ = Command::new("umount").arg(storage).stderr(Stdio::null()).status();
    }
}

/// One with an image; nothing where there can be none, since it takes the right to mount.
fn start() -> Option<Podman> {
    let mounts = Command::new("unshare").args(["--mount", "true"]).output().expect("unshare");
    let root = Command::new("id").arg("-u").output().expect("id").stdout == b"0\n";
    if !mounts.status.success() || !root {
        return None;
    }
    let scratch = Scratch::new("podman");
    let files = scratch.path().join("root");
    root_of(&files, &PROGRAMS);
    let at = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
    let runtime = runtime(&scratch).to_string_lossy().into_owned();
    let words = [
        ["/usr/bin/podman", "--root"].map(str::to_owned),
        [at("storage"), "--runroot".to_owned()],
        [at("run"), "--tmpdir".to_owned()],
        [at("tmp"), "--cgroup-manager".to_owned()],
        ["cgroupfs", "--storage-driver"].map(str::to_owned),
        ["overlay".to_owned(), "--runtime".to_owned()],
    ];
    let words = words.into_iter().flatten().chain([runtime]).collect();
    let archive = at("image.tar");
    let tar = Command::new("tar").arg("-C").arg(&files).args(["-cf", &archive, "."]).status();
    assert!(tar.expect("tar").success());
    let podman = Podman { words, scratch };
    let imported = podman.call(&["import", "-q", &archive, IMAGE]);
    assert!(imported.status.success(), "{}", error(&imported));
    Some(podman)
}

#[test]
fn podman_runs_containers_in_rxbox() {
    let Some(podman) = start() else { return };
    let volume = podman.scratch.path().join("volume");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("file"), "there\n").unwrap();
    let bound = format!("{}:/data", volume.display());
    let image = [IMAGE, "/bin/sh", "-c"];
    for (options, script, status, out) in [
        (&[][..], "id -u; exit 7", 7, "0\n"),
        (&["-u", "1000:1000"], "id -u; touch /x || echo denied", 0, "1000\ndenied\n"),
        (&["--read-only"], "touch /x || echo ro; touch /tmp/x && echo rw", 0, "ro\nrw\n"),
        (&["-v", &bound], "cat /data/file; touch /data/new", 0, "there\n"),
        (&["-h", "named", "-e", "NEW=x"], "hostname; echo $NEW", 0, "named\nx\n"),
        (&["--memory", "512m", "--pids-limit", "200"], "echo held", 0, "held\n"),
        (&[], "kill -9 $$", 137, ""),
    ] {
        let output = podman.run(&[&["--rm"], options, &image, &[script]].concat());
        assert_eq!(told(&output), (Some(status), out.to_owned()), "{options:?}: {}", error(&output));
    }
    assert!(volume.join("new").exists());
    for (program, status) in [("no-such-program", 127), ("/no/such/program", 127), ("/etc/passwd", 126)] {
        let missing = podman.run(&["--rm", IMAGE, program]);
        assert_eq!(missing.status.code(), Some(status), "{program}: {}", error(&missing));
    }
    let script = "echo begun; while :; do sleep 1; done";
    let started = podman.run(&[&["-d", "--name", "one"], &image[..], &[script]].concat());
    assert!(started.status.success(), "{}", error(&started));
    for (words, status, out) in [
        (&["exec", "one", "/bin/sh", "-c", "id -u; exit 5"][..], 5, "0\n"),
        (&["exec", "-u", "1000", "-e", "NEW=x", "one", "/bin/sh", "-c", "id -u; echo $NEW"], 0, "1000\nx\n"),
        (&["exec", "one", "no-such-program"], 127, ""),
    ] {
        let output = podman.call(words);
        assert_eq!(told(&output), (Some(status), out.to_owned()), "{words:?}: {}", error(&output));
    }
    eventually("the log", || told(&podman.call(&["logs", "one"])) == (Some(0), "begun\n".to_owned()));
    terminal::shell(&podman.words(&["exec", "-it", "one", "/bin/bash"]));
    assert!(podman.call(&["kill", "one"]).status.success());
    assert_eq!(told(&podman.call(&["wait", "one"])), (Some(0), "137\n".to_owned()));
    assert!(podman.call(&["rm", "one"]).status.success());
    let run = [&["run", "--rm", "-it"], &LIMITS[..], &[IMAGE, "/bin/bash"]].concat();
    terminal::shell(&podman.words(&run));
    assert_eq!(told(&podman.call(&["ps", "-a", "-q"])), (Some(0), String::new()));
}

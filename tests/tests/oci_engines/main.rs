//! rxbox as the runtime of real engines: containerd by its shim for runc, and Docker.

use rxbox_tests::Scratch;
use rxbox_tests::containers::{root_of, runtime};
use rxbox_tests::docker::Docker;
use rxbox_tests::eventually;
use std::fs;
use std::process::Output;

const PROGRAMS: [&str; 7] = [
    "/bin/bash",
    "/usr/bin/cat",
    "/usr/bin/hostname",
    "/usr/bin/id",
    "/usr/bin/sleep",
    "/usr/bin/touch",
    "/usr/bin/true",
];

fn told(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn containerd_and_docker_run_containers_in_rxbox() {
    let scratch = Scratch::new("engines");
    let root = scratch.path().join("root");
    root_of(&root, &PROGRAMS);
    let runtime = runtime(&scratch);
    let added = format!("rxbox={}", runtime.display());
    let Some(docker) = Docker::with(&["--add-runtime", &added]) else { return };
    let (runtime, root_path) = (runtime.to_string_lossy(), root.to_string_lossy());
    let shim = ["--runtime", "io.containerd.runc.v2", "--runc-binary", &*runtime];
    let ctr = |words: &[&str]| docker.ctr(&[&["run", "--rm"], &shim[..], words].concat());
    for (script, status, out) in [("exit 0", 0, ""), ("id -u; exit 7", 7, "0\n"), ("kill -9 $$", 137, "")] {
        let output = ctr(&["--rootfs", &*root_path, "one", "/bin/sh", "-c", script]);
        assert_eq!(told(&output), (Some(status), out.to_owned()), "{script}: {}", error(&output));
    }
    let detached = ["-d", "--rootfs", &*root_path, "two", "/usr/bin/sleep", "600"];
    let started = docker.ctr(&[&["run"], &shim[..], &detached].concat());
    assert!(started.status.success(), "{}", error(&started));
    let exec = ["task", "exec", "--exec-id", "e", "two", "/bin/sh", "-c", "cat /proc/2/comm; exit 4"];
    let output = docker.ctr(&exec);
    assert_eq!(told(&output), (Some(4), "sleep\n".to_owned()), "{}", error(&output));
    // It says how the task has ended.
    let ended = docker.ctr(&["task", "rm", "--force", "two"]);
    assert!(error(&ended).contains("137"), "{}", error(&ended));
    assert!(docker.ctr(&["container", "rm", "two"]).status.success());

    docker.import(&root, "rxbox-oci:1");
    let volume = scratch.path().join("volume");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("file"), "there\n").unwrap();
    let bound = format!("{}:/data", volume.display());
    let run = |words: &[&str]| docker.run(&[&["--runtime", "rxbox"], words].concat());
    let image = ["rxbox-oci:1", "/bin/sh", "-c"];
    for (options, script, status, out) in [
        (&[][..], "id -u; exit 7", 7, "0\n"),
        (&["-u", "1000:1000"], "id -u; touch /x || echo denied", 0, "1000\ndenied\n"),
        (&["--read-only", "--tmpfs", "/tmp"], "touch /x || echo ro; touch /tmp/x && echo rw", 0, "ro\nrw\n"),
        (&["-v", &bound], "cat /data/file; touch /data/new", 0, "there\n"),
        (&["-h", "named", "-e", "NEW=x"], "hostname; echo $NEW", 0, "named\nx\n"),
        (&["--memory", "512m", "--pids-limit", "200"], "echo held", 0, "held\n"),
    ] {
        let output = run(&[options, &image, &[script]].concat());
        assert_eq!(told(&output), (Some(status), out.to_owned()), "{options:?}: {}", error(&output));
    }
    assert!(volume.join("new").exists());
    let missing = run(&["rxbox-oci:1", "no-such-program"]);
    assert_eq!(missing.status.code(), Some(127), "{}", error(&missing));
    let script = "echo begun; while :; do sleep 1; done";
    let options = ["run", "-d", "--name", "three", "--network", "none", "--runtime", "rxbox"];
    let started = docker.call(&[&options, &image[..], &[script]].concat());
    assert!(started.status.success(), "{}", error(&started));
    let output = docker.call(&["exec", "three", "/bin/sh", "-c", "id -u; exit 5"]);
    assert_eq!(told(&output), (Some(5), "0\n".to_owned()), "{}", error(&output));
    let log = || told(&docker.call(&["logs", "three"]));
    eventually("the log", || log() == (Some(0), "begun\n".to_owned()));
    assert!(docker.call(&["kill", "three"]).status.success());
    assert_eq!(told(&docker.call(&["wait", "three"])), (Some(0), "137\n".to_owned()));
    assert!(docker.call(&["rm", "three"]).status.success());
}

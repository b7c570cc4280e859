//! rxbox as the runtime of real engines: containerd by its shim for runc, Docker, and podman.

mod killed;
mod podman;
mod programs;
mod terminal;

use rxbox_tests::Scratch;
use rxbox_tests::containers::{root_of, runtime};
use rxbox_tests::docker::Docker;
use rxbox_tests::eventually;
use std::fs;
use std::path::Path;
use std::process::Output;

/// What the plain image has.
const PROGRAMS: [&str; 9] = [
    "/bin/bash",
    "/usr/bin/cat",
    "/usr/bin/hostname",
    "/usr/bin/id",
    "/usr/bin/sleep",
    "/usr/bin/stty",
    "/usr/bin/touch",
    "/usr/bin/true",
    "/usr/bin/tty",
];
const IMAGE: &str = "rxbox-oci:1";

fn told(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Containerd and Docker with rxbox as a runtime, and what is to run in it.
struct Engines {
    docker: Docker,
    /// rxbox by the name of a runtime.
    runtime: String,
    /// The files of the plain image.
    root: String,
    scratch: Scratch,
}

impl Engines {
    fn start() -> Option<Engines> {
        let scratch = Scratch::new("engines");
        let root = scratch.path().join("root");
        root_of(&root, &PROGRAMS);
        let runtime = runtime(&scratch);
        let docker = Docker::with(&["--add-runtime", &format!("rxbox={}", runtime.display())])?;
        docker.import(&root, IMAGE);
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Some(Engines { docker, runtime: text(&runtime), root: text(&root), scratch })
    }

    /// The words of `ctr run` with rxbox, to which these are added.
    fn ctr_run<'a>(&'a self, options: &[&'a str], words: &[&'a str]) -> Vec<&'a str> {
        let shim = ["--runtime", "io.containerd.runc.v2", "--runc-binary", &*self.runtime];
        [&["run"], options, &shim, &["--rootfs", &*self.root], words].concat()
    }
}

/// The engines are started once for all of it.
#[test]
fn containerd_and_docker_run_containers_in_rxbox() {
    let Some(engines) = Engines::start() else { return };
    containerd_runs_containers(&engines);
    docker_runs_containers(&engines);
    terminal::containers_have_terminals(&engines);
    killed::whatever_is_killed_nothing_is_left(&engines);
    programs::programs_of_packages_do_their_work(&engines);
}

fn containerd_runs_containers(engines: &Engines) {
    // Where containerd keeps a runtime's containers is one place for all on a host.
    let [one, two] = ["one", "two"].map(|name| format!("{name}-{}", std::process::id()));
    let (one, two) = (&*one, &*two);
    let ctr = |options: &[&str], words: &[&str]| engines.docker.ctr(&engines.ctr_run(options, words));
    for (script, status, out) in [("exit 0", 0, ""), ("id -u; exit 7", 7, "0\n"), ("kill -9 $$", 137, "")] {
        let output = ctr(&["--rm"], &[one, "/bin/sh", "-c", script]);
        assert_eq!(told(&output), (Some(status), out.to_owned()), "{script}: {}", error(&output));
    }
    let started = ctr(&["-d"], &[two, "/usr/bin/sleep", "600"]);
    assert!(started.status.success(), "{}", error(&started));
    let exec = ["task", "exec", "--exec-id", "e", two, "/bin/sh", "-c", "cat /proc/2/comm; exit 4"];
    let output = engines.docker.ctr(&exec);
    assert_eq!(told(&output), (Some(4), "sleep\n".to_owned()), "{}", error(&output));
    // It says how the task has ended.
    let ended = engines.docker.ctr(&["task", "rm", "--force", two]);
    assert!(error(&ended).contains("137"), "{}", error(&ended));
    assert!(engines.docker.ctr(&["container", "rm", two]).status.success());
}

fn docker_runs_containers(Engines { docker, scratch, .. }: &Engines) {
    let volume = scratch.path().join("volume");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("file"), "there\n").unwrap();
    let bound = format!("{}:/data", volume.display());
    let run = |words: &[&str]| docker.run(&[&["--runtime", "rxbox"], words].concat());
    let image = [IMAGE, "/bin/sh", "-c"];
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
    // The statuses by which Docker tells why nothing runs.
    for (program, status) in
        [("no-such-program", 127), ("/no/such/program", 127), ("/etc/passwd", 126), ("/etc", 126)]
    {
        let missing = run(&[IMAGE, program]);
        assert_eq!(missing.status.code(), Some(status), "{program}: {}", error(&missing));
    }
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

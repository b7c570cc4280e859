//! Runs with a name: they are listed, get signals, and nobody finds what they left behind or gets in who may
//! not.

use rxbox_tests::processes::{below, kill};
use rxbox_tests::{Scratch, eventually, rxbox};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Where the runs of this user are found, if the session is this folder.
fn directory(scratch: &Scratch) -> PathBuf {
    if is_root() { "/run/rxbox".into() } else { scratch.path().join("rxbox") }
}

/// Names are the user's, not the test's: so each has a part of its own.
fn named(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

fn command(scratch: &Scratch, words: &[&str]) -> Command {
    let mut command = Command::new(rxbox());
    command.args(words).env("XDG_RUNTIME_DIR", scratch.path()).stdin(Stdio::null());
    command
}

fn output(scratch: &Scratch, words: &[&str]) -> Output {
    command(scratch, words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A run with this name that does something for a minute at most.
fn start(scratch: &Scratch, name: &str, words: &[&str]) -> Child {
    let options = ["--name", name, "--profile", "permissive", "--time-limit", "60", "--quiet", "--"];
    let run = command(scratch, &[&options, words].concat()).stdout(Stdio::null()).spawn().unwrap();
    eventually("the run is listed", || status(scratch, name).is_some());
    run
}

/// What is told of a run, by key.
fn status(scratch: &Scratch, name: &str) -> Option<serde_json::Value> {
    let listed = output(scratch, &["ps", "--json"]).stdout;
    let runs: Vec<serde_json::Value> = serde_json::from_slice(&listed).unwrap();
    runs.into_iter().find(|run| run["name"] == name)
}

#[test]
fn a_run_with_a_name_is_listed_with_what_it_does_and_gets_signals() {
    let scratch = Scratch::new("named");
    let name = named("worker");
    let script = "trap 'exit 7' USR1; cat /proc/kcore; sleep 40 & while :; do wait; done";
    let mut run = start(&scratch, &name, &["/bin/sh", "-c", script]);
    eventually("there are two processes", || {
        status(&scratch, &name).is_some_and(|s| s["processes"] == 2 && s["memory"].as_u64() > Some(1 << 20))
    });
    let told = status(&scratch, &name).unwrap();
    assert_eq!((told["pid"].as_u64(), &told["profile"]), (Some(run.id().into()), &"permissive".into()));
    assert!(told["program"].as_str().unwrap().starts_with("/") && told["cpu"].as_f64() > Some(0.0), "{told}");
    let table = text(&output(&scratch, &["ps"]).stdout);
    assert!(table.starts_with("NAME") && table.contains(&format!("\n{name} ")), "{table}");
    let killed = output(&scratch, &["kill", &name, "--signal", "usr1"]);
    assert!(killed.status.success(), "{killed:?}");
    assert_eq!(run.wait().unwrap().code(), Some(7));
    assert_eq!(status(&scratch, &name), None);
    assert!(!directory(&scratch).join(&name).exists());
    let killed = output(&scratch, &["kill", &name]);
    let message = text(&killed.stderr);
    assert!(killed.status.code() == Some(125) && message.contains(&format!("no run is called {name}")));
}

#[test]
fn denials_are_counted_while_the_program_runs() {
    let scratch = Scratch::new("named-denials");
    let name = named("denied");
    let script = "while :; do cat /etc/shadow; sleep 0.1; done";
    let words = ["--name", &name, "--time-limit", "60", "--quiet", "/bin/sh", "-c", script];
    let mut run = command(&scratch, &words).stderr(Stdio::null()).spawn().unwrap();
    eventually("denials are counted", || {
        status(&scratch, &name).is_some_and(|told| told["denials"].as_u64() > Some(1))
    });
    assert!(output(&scratch, &["kill", "-s", "KILL", &name]).status.success());
    assert_eq!(run.wait().unwrap().signal(), Some(libc::SIGKILL));
}

#[test]
fn a_run_is_followed_by_its_name_until_it_or_the_user_ends() {
    let scratch = Scratch::new("named-traced");
    let name = named("traced");
    let script = "while :; do cat /etc/shadow; sleep 0.1; done";
    let words = ["--name", &name, "--time-limit", "60", "--quiet", "/bin/sh", "-c", script];
    let mut run = command(&scratch, &words).stderr(Stdio::null()).spawn().unwrap();
    eventually("the run is listed", || status(&scratch, &name).is_some());
    let traces = ["first", "second"].map(|file| scratch.path().join(file));
    let mut clients = traces.each_ref().map(|file| {
        let words = ["trace", "-n", &name, "-f", "--denied", "--json", "-o", file.to_str().unwrap()];
        command(&scratch, &words).spawn().unwrap()
    });
    for file in &traces {
        eventually("denials are told", || std::fs::read_to_string(file).is_ok_and(|t| t.lines().count() > 1));
    }
    let signal = format!("kill -INT {}", clients[0].id());
    assert!(Command::new("/bin/sh").args(["-c", &signal]).status().unwrap().success());
    assert!(clients[0].wait().unwrap().success());
    assert!(output(&scratch, &["kill", "-s", "KILL", &name]).status.success());
    assert_eq!(run.wait().unwrap().signal(), Some(libc::SIGKILL));
    assert!(clients[1].wait().unwrap().success());
    let told = std::fs::read_to_string(&traces[1]).unwrap();
    for line in told.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            event["decisions"].as_array().unwrap().iter().any(|judged| judged["allowed"] == false),
            "{line}"
        );
    }
    assert!(told.contains("/etc/shadow"), "{told}");
}

#[test]
fn a_follower_who_stops_reading_misses_calls_and_holds_no_run_up() {
    let scratch = Scratch::new("named-slow");
    let (name, go) = (named("slow"), scratch.path().join("go"));
    let script = format!(
        "while ! [ -e {} ]; do sleep 0.1; done; dd if=/dev/zero of=/dev/null bs=1 count=20000 2>/dev/null",
        go.display()
    );
    let mut run = start(&scratch, &name, &["/bin/sh", "-c", &script]);
    let file = scratch.path().join("trace");
    let words = ["trace", "-n", &name, "-f", "--json", "-o", file.to_str().unwrap()];
    let mut client = command(&scratch, &words).spawn().unwrap();
    eventually("calls are told", || std::fs::read(&file).is_ok_and(|told| !told.is_empty()));
    let send = |signal: &str, pid: u32| {
        assert!(Command::new("/bin/kill").args([signal, &pid.to_string()]).status().unwrap().success());
    };
    send("-STOP", client.id());
    std::fs::write(&go, "").unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0));
    send("-CONT", client.id());
    assert!(client.wait().unwrap().success());
    let events = std::fs::read_to_string(&file).unwrap().lines().count();
    assert!(events > 10 && events < 40_000, "{events}");
}

#[test]
fn a_name_is_one_runs_and_what_a_killed_one_leaves_is_nobodys() {
    let scratch = Scratch::new("named-left");
    let name = named("one");
    let mut run = start(&scratch, &name, &["/bin/sleep", "50"]);
    let second = output(&scratch, &["--name", &name, "--profile", "permissive", "/bin/true"]);
    let message = text(&second.stderr);
    assert_eq!(second.status.code(), Some(125), "{message}");
    assert!(message.contains(&format!("{name}-2 is free")), "{message}");
    // All of them, the one that would clean up first.
    let all = below(run.id().cast_signed());
    kill(&[&[run.id().cast_signed()], &all[..]].concat());
    run.wait().unwrap();
    let socket = directory(&scratch).join(&name);
    assert!(socket.exists());
    // Those that were killed may take a moment to end.
    eventually("the name is free", || {
        output(&scratch, &["--name", &name, "--profile", "permissive", "/bin/true"]).status.success()
    });
    assert!(!socket.exists());
}

#[test]
fn no_guest_sees_or_reaches_where_runs_are_found() {
    let scratch = Scratch::new("named-guest");
    let name = named("target");
    let mut run = start(&scratch, &name, &["/bin/sleep", "50"]);
    let directory = directory(&scratch);
    let script = r#"
import os, socket, sys
directory, name = sys.argv[1:]
there = os.path.join(directory, name)
def attempt(what, act):
    try:
        act()
        print("DONE", what)
    except OSError as e:
        print(e.errno, what)
def connect():
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.connect(there)
def bind():
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.bind(there + "-mine")
attempt("list", lambda: os.listdir(directory))
attempt("stat", lambda: os.stat(there))
attempt("connect", connect)
attempt("bind", bind)
attempt("unlink", lambda: os.unlink(there))
attempt("rename", lambda: os.rename(directory, directory + "-away"))
attempt("chmod", lambda: os.chmod(directory, 0o777))
attempt("link", lambda: os.link(there, directory + "-link"))
attempt("enter", lambda: os.chdir(directory))
parent = os.open(os.path.dirname(directory), os.O_RDONLY)
attempt("open", lambda: os.open("rxbox", os.O_RDONLY | os.O_DIRECTORY, dir_fd=parent))
"#;
    let words = ["--profile", "permissive", "--quiet", "/usr/bin/python3", "-c", script];
    let paths = [directory.to_str().unwrap(), &name];
    let tried = output(&scratch, &[&words[..], &paths].concat());
    let told = text(&tried.stdout);
    assert_eq!(told.lines().count(), 10, "{}", text(&tried.stderr));
    assert!(told.lines().all(|line| line.starts_with("13 ")), "{told}");
    // Natively all but one of these would have been done; and a guest cannot be the first to make it, either.
    assert!(output(&scratch, &["kill", &name]).status.success());
    assert_eq!(run.wait().unwrap().signal(), Some(libc::SIGTERM));
    let other = Scratch::new("named-first");
    if !is_root() {
        let made = output(
            &other,
            &["--profile", "permissive", "/bin/mkdir", other.path().join("rxbox").to_str().unwrap()],
        );
        assert!(!made.status.success() && !other.path().join("rxbox").exists());
    }
}

#[test]
fn a_run_without_a_name_leaves_nothing_and_a_bad_name_is_told() {
    let scratch = Scratch::new("named-none");
    assert!(output(&scratch, &["--profile", "permissive", "/bin/true"]).status.success());
    if !is_root() {
        assert!(!scratch.path().join("rxbox").exists());
    }
    for name in ["", "../x", "-f", "a b"] {
        let ran = output(&scratch, &["--name", name, "/bin/true"]);
        assert!(text(&ran.stderr).starts_with("rxbox: --name wants letters"), "{ran:?}");
    }
}

//! Whole runs of the program: statuses, limits, signals, and what the emulator child is left with.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn rxbox(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rxbox"));
    command.args(["--profile", "permissive"]).args(arguments).stdin(Stdio::null());
    command
}

fn output(arguments: &[&str]) -> Output {
    rxbox(arguments).output().unwrap()
}

fn code(arguments: &[&str]) -> Option<i32> {
    let status = output(arguments).status;
    status.code().or(status.signal().map(|n| 128 + n))
}

/// Waits for what must come to pass; only a failure takes as long as the bound.
fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "did not come to pass");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_ascii_whitespace().map(|n| n.parse().unwrap()).collect()
}

/// A guest that runs until its standard input ends, its rxbox, init process and emulator child.
struct Running {
    rxbox: Child,
    init: u32,
    emulator: u32,
}

fn running() -> Running {
    let script = "echo ready; read line; exit 3";
    let mut command = rxbox(&["/bin/sh", "-c", script]);
    let mut rxbox =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).env("SECRET", "s3cret").spawn().unwrap();
    let mut word = [0; 6];
    rxbox.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
    assert_eq!(&word, b"ready\n");
    let name = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    // The process that was started stands for the guest; its child is the supervisor.
    let supervisor = children(rxbox.id())[0];
    let init = children(supervisor).into_iter().find(|pid| name(pid) == "rxbox-init\n").unwrap();
    let emulator = children(init)[0];
    Running { rxbox, init, emulator }
}

/// Whether a process is there and has not ended.
fn alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|s| !s.rsplit(')').next().unwrap().starts_with(" Z"))
}

#[test]
fn the_status_is_the_programs_own_or_says_why_there_is_none() {
    assert_eq!(code(&["/bin/true"]), Some(0));
    assert_eq!(code(&["/bin/sh", "-c", "exit 7"]), Some(7));
    assert_eq!(code(&["/bin/sh", "-c", "kill -USR1 $$"]), Some(128 + libc::SIGUSR1));
    assert_eq!(code(&["/bin/sh", "-c", "kill -KILL $$"]), Some(137));
    assert_eq!(code(&["no-such-program"]), Some(127));
    assert_eq!(code(&["/nowhere/program"]), Some(127));
    assert_eq!(code(&["/etc/passwd"]), Some(126));
    assert_eq!(code(&["/tmp"]), Some(126));
    assert_eq!(code(&["--nonsense", "/bin/true"]), Some(125));
    assert_eq!(code(&["--profile", "/nowhere.toml", "/bin/true"]), Some(125));
}

#[test]
fn a_program_that_may_not_be_run_never_runs_and_the_rule_is_told() {
    let out = output(&["--deny-path", "/bin/true", "/bin/true"]);
    let text = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(126), "{text}");
    assert!(text.contains("--deny-path"), "{text}");
}

#[test]
fn the_time_limit_ends_a_program_that_waits_and_one_that_computes() {
    let start = Instant::now();
    assert_eq!(code(&["--time-limit", "1", "/bin/sleep", "600"]), Some(124));
    assert_eq!(code(&["--limit", "wall_time=300ms", "/bin/sh", "-c", "while :; do :; done"]), Some(124));
    assert!(start.elapsed() < Duration::from_secs(300));
}

#[test]
fn processor_time_is_limited() {
    assert_eq!(
        code(&["--limit", "cpu_time=200ms", "/bin/sh", "-c", "while :; do :; done"]),
        Some(128 + libc::SIGXCPU)
    );
}

#[test]
fn the_report_tells_equal_statuses_apart() {
    let report = |arguments: &str| {
        let script =
            format!("exec 3>&1 >/dev/null; exec \"$0\" --profile permissive --status-fd 3 {arguments}");
        let out =
            Command::new("/bin/sh").args(["-c", &script, env!("CARGO_BIN_EXE_rxbox")]).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    let both = report("/bin/sh -c 'exit 124'");
    let (layers, end) = both.split_once('\n').unwrap();
    assert!(layers.starts_with("{\"event\":\"layers\",\"in_force\":[\"seccomp\""), "{layers}");
    assert_eq!(end, "{\"event\":\"end\",\"cause\":\"exit\",\"code\":124,\"status\":124}\n");
    assert!(report("--time-limit 1 /bin/sleep 600").contains("\"cause\":\"time-limit\",\"code\":124"));
    assert!(report("/nowhere/x").contains("\"cause\":\"not-found\""));
}

#[test]
fn what_doctor_finds_is_what_a_run_has() {
    let words = |text: &str| -> Vec<String> { text.split('"').map(str::to_owned).collect() };
    let found = Command::new(env!("CARGO_BIN_EXE_rxbox")).arg("doctor").output().unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    let available: Vec<&str> = found
        .lines()
        .filter(|line| line.contains(" available") || line.contains(" partly"))
        // Made where a profile requires it.
        .filter(|line| !line.starts_with("cgroup"))
        .filter_map(|line| line.split(' ').next())
        .collect();
    let script = "exec 3>&1 >/dev/null; exec \"$0\" --profile untrusted --status-fd 3 /bin/true";
    let run = Command::new("/bin/sh").args(["-c", script, env!("CARGO_BIN_EXE_rxbox")]).output().unwrap();
    let report = String::from_utf8(run.stdout).unwrap();
    let in_force = report.split("\"missing\"").next().unwrap().split("\"in_force\":").nth(1).unwrap();
    let in_force: Vec<String> = words(in_force).into_iter().skip(1).step_by(2).collect();
    assert!(available.contains(&"seccomp"), "{found}");
    assert_eq!(available, in_force, "{found}{report}");
}

#[test]
fn a_signal_to_rxbox_reaches_the_guest() {
    let script = "trap 'exit 5' TERM; echo ready; while :; do :; done";
    let mut rxbox =
        rxbox(&["/bin/sh", "-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    rxbox.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(rxbox.id() as i32), nix::sys::signal::Signal::SIGTERM)
        .unwrap();
    assert_eq!(rxbox.wait().unwrap().code(), Some(5));
}

#[test]
fn nobody_outlives_an_rxbox_that_is_killed() {
    let Running { mut rxbox, init, emulator } = running();
    assert!(alive(init) && alive(emulator));
    rxbox.kill().unwrap();
    assert_eq!(rxbox.wait().unwrap().signal(), Some(libc::SIGKILL));
    eventually(|| (!alive(emulator) && !alive(init)).then_some(()));
}

#[test]
fn without_its_init_process_the_run_is_over() {
    let Running { mut rxbox, init, emulator } = running();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(init as i32), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    assert_eq!(rxbox.wait().unwrap().code(), Some(125));
    eventually(|| (!alive(emulator)).then_some(()));
}

#[test]
fn an_emulator_child_that_is_killed_ends_the_run_and_rxbox_lives_to_tell() {
    let Running { mut rxbox, emulator, .. } = running();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(emulator as i32), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    assert_eq!(rxbox.wait().unwrap().signal(), Some(libc::SIGKILL));
}

#[test]
fn the_emulator_child_has_nothing_but_its_line_to_the_supervisor() {
    let Running { mut rxbox, emulator, .. } = running();
    let read = |file: &str| fs::read_to_string(format!("/proc/{emulator}/{file}")).unwrap();
    let mut descriptors: Vec<(i32, String)> = fs::read_dir(format!("/proc/{emulator}/fd"))
        .unwrap()
        .map(|e| {
            let e = e.unwrap();
            let to = fs::read_link(e.path()).unwrap().display().to_string();
            (e.file_name().to_str().unwrap().parse().unwrap(), to)
        })
        .collect();
    descriptors.sort();
    assert_eq!(descriptors.len(), 4, "{descriptors:?}");
    assert!(descriptors[..3].iter().all(|(_, to)| to == "/memfd:rxbox-nothing (deleted)"), "{descriptors:?}");
    assert!(descriptors[3].0 == 4 && descriptors[3].1.starts_with("socket:"), "{descriptors:?}");
    assert_eq!(read("environ"), "");
    let status = read("status");
    for line in ["Seccomp:\t2", "NoNewPrivs:\t1", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000"] {
        assert!(status.contains(line), "{line} in {status}");
    }
    drop(rxbox.stdin.take().map(|mut i| i.write_all(b"\n")));
    assert_eq!(rxbox.wait().unwrap().code(), Some(3));
}

#[test]
fn descriptors_that_rxbox_inherits_do_not_reach_the_guest() {
    let script =
        "exec 7</etc/passwd; exec 9>/dev/null; exec \"$0\" --profile untrusted /bin/ls /proc/self/fd";
    let out = Command::new("/bin/sh").args(["-c", script, env!("CARGO_BIN_EXE_rxbox")]).output().unwrap();
    let listed = String::from_utf8(out.stdout).unwrap();
    let numbers: Vec<i32> = listed.split_ascii_whitespace().map(|n| n.parse().unwrap()).collect();
    // Number 3 may be ls's own, on the directory.
    assert!(numbers.starts_with(&[0, 1, 2]) && numbers.iter().all(|n| *n <= 3), "{numbers:?}");
}

#[test]
fn bytes_pass_through_pipes_whole() {
    let mut cat = rxbox(&["/bin/cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let data: Vec<u8> = (0..3_000_000u32).flat_map(|i| i.to_le_bytes()).collect();
    let (mut input, mut out) = (cat.stdin.take().unwrap(), cat.stdout.take().unwrap());
    let mut got = Vec::new();
    std::thread::scope(|s| {
        s.spawn(|| {
            input.write_all(&data).unwrap();
            drop(input);
        });
        out.read_to_end(&mut got).unwrap();
    });
    assert!(cat.wait().unwrap().success() && got == data);
}

#[test]
fn calls_are_logged_one_a_line() {
    let out = output(&["--log", "syscall", "/bin/echo", "a\x1b]"]);
    let log = String::from_utf8(out.stderr).unwrap();
    assert!(log.lines().any(|l| l.contains("write(1, \"a\\x1b]\\n\", 4) = 4")), "{log}");
    assert!(log.lines().all(|l| l.split(' ').next().unwrap().parse::<i32>().is_ok()), "{log}");
    assert!(log.lines().last().unwrap().contains("exit_group(0)"), "{log}");
}

//! What goes wrong in one place stays there: processes that end badly, a supervisor that is killed, and
//! guests that use up all they can get. After each rxbox still answers.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use rxbox_tests::{Program, Ran, Scratch, eventually, guest, host_offers, processes, rxbox};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// A run whose output is read line by line.
struct Run {
    rxbox: Child,
    lines: BufReader<ChildStdout>,
}

impl Run {
    fn start(options: &[&str], argv: &[&str]) -> Run {
        let mut command = Command::new(rxbox());
        command.args(options).arg("--").args(argv).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut rxbox = command.stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(rxbox.stdout.take().unwrap());
        Run { rxbox, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The next line is the number that a guest process has: the host's number of it.
    fn process(&mut self) -> i32 {
        let number = self.line();
        let is = |pid: &i32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            numbers.is_some_and(|numbers| numbers.split_ascii_whitespace().next_back() == Some(&number))
        };
        processes::below(self.rxbox.id() as i32).into_iter().find(is).expect("the process")
    }

    /// Everything from here to the end, and how that was.
    fn rest(mut self) -> (String, ExitStatus) {
        let mut text = String::new();
        drop(self.rxbox.stdin.take());
        self.lines.read_to_string(&mut text).unwrap();
        (text, self.rxbox.wait().unwrap())
    }

    /// Sends rxbox SIGTERM, of which the guest is to die.
    fn ends_when_told(mut self) {
        kill(libc::SIGTERM, self.rxbox.id() as i32);
        let status = self.rxbox.wait().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGTERM), "{status}");
    }
}

fn kill(signal: i32, pid: i32) {
    let sent = Command::new("/bin/kill").args([format!("-{signal}"), pid.to_string()]).status();
    assert!(sent.unwrap().success());
}

fn alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
}

/// A profile that allows everything but more than these limits.
fn limits(scratch: &Scratch, limits: &str) -> String {
    let text = format!("version = 1\nextends = [\"permissive\"]\n[limits]\n{limits}\n");
    scratch.file("limits.toml", text).to_string_lossy().into_owned()
}

fn contained(scratch: &Scratch, mode: &str) -> String {
    let program = guest(scratch, "contained");
    assert!(Path::new(&program).exists(), "{mode}");
    program.to_string_lossy().into_owned()
}

const PERMISSIVE: [&str; 2] = ["--profile", "permissive"];

#[test]
fn a_process_that_is_killed_from_outside_ends_alone_and_its_parent_is_told() {
    let script = "sleep 1000 & echo $!; wait $!; echo was $?; echo alive | cat";
    let mut run = Run::start(&PERMISSIVE, &["/bin/sh", "-c", script]);
    kill(libc::SIGKILL, run.process());
    let (text, status) = run.rest();
    assert_eq!((text.as_str(), status.code()), ("was 137\nalive\n", Some(0)));
}

/// The channel's turn words of a child process are overwritten from outside, as only an emulator that is not
/// itself any more would do it.
#[test]
fn a_process_whose_channel_is_corrupted_ends_alone_and_its_parent_is_told() {
    let scratch = Scratch::new("corrupted-channel");
    let copy = scratch.path().join("copy");
    let script = "exec 3<&0; cat >\"$0\" <&3 & echo $!; wait $!; echo was $?; echo alive | cat";
    let mut run = Run::start(&PERMISSIVE, &["/bin/sh", "-c", script, copy.to_str().unwrap()]);
    let pid = run.process();
    // It has read, so it reads again: its request is with the worker. The reply finds no turn that it could
    // have.
    run.rxbox.stdin.as_mut().unwrap().write_all(b"x\n").unwrap();
    eventually("the read", || fs::read(&copy).is_ok_and(|text| text == b"x\n"));
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let channel = maps.lines().find(|l| l.contains("rxbox-channel")).unwrap();
    let base = u64::from_str_radix(channel.split('-').next().unwrap(), 16).unwrap();
    let memory = File::options().write(true).read(true).open(format!("/proc/{pid}/mem")).unwrap();
    // Requests from here on have a number that is in no table: the words of the request are all ones.
    eventually("the end", || {
        let _ = memory.write_all_at(&77u32.to_le_bytes(), base);
        let woken = run.rxbox.stdin.as_mut().map(|i| i.write_all(b"x\n"));
        woken.is_some_and(|w| w.is_err()) || !alive(pid)
    });
    let (text, status) = run.rest();
    assert_eq!((text.as_str(), status.code()), ("was 137\nalive\n", Some(0)));
}

/// The code cache and nothing else can be written and executed, and it lies somewhere else in each run that
/// keeps no translations, in the same place in what a process forks.
#[test]
fn the_code_cache_lies_somewhere_and_nothing_else_is_writable_code() {
    let code = |pid: i32| -> Vec<u64> {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        let both = maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|r| r.starts_with("rwx")));
        both.map(|line| u64::from_str_radix(line.split('-').next().unwrap(), 16).unwrap()).collect()
    };
    let places: std::collections::BTreeSet<u64> = (0..4)
        .map(|_| {
            let script = "exec 3<&0; (echo $$; read x <&3) & wait";
            let options = [&PERMISSIVE[..], &["--no-cache"]].concat();
            let mut run = Run::start(&options, &["/bin/sh", "-c", script]);
            let first = run.process();
            let forked = processes::below(first);
            let here = code(first);
            assert!(forked.len() == 1 && code(forked[0]) == here);
            assert!(!here.is_empty() && here.iter().all(|at| (0x6000_0000..0x7fff_0000).contains(at)));
            kill(libc::SIGKILL, first);
            run.rest();
            here[0]
        })
        .collect();
    // By chance once in so many million times.
    assert!(places.len() > 1, "{places:x?}");
}

#[test]
fn the_end_of_the_first_process_ends_all_others() {
    let script = "sleep 1000 & echo $!; (setsid sleep 1000 & echo $!; sleep 1000) & read x; exit 3";
    let mut run = Run::start(&PERMISSIVE, &["/bin/sh", "-c", script]);
    let others = [run.process(), run.process()];
    assert!(others.into_iter().all(alive));
    let (_, status) = run.rest();
    assert_eq!(status.code(), Some(3));
    // rxbox comes back only when nobody is left.
    assert!(!others.into_iter().any(alive));
}

#[test]
fn nothing_outlives_an_rxbox_that_is_killed() {
    let script =
        "trap '' HUP TERM; sleep 1000 & echo $!; (trap '' HUP; setsid sleep 1000 & echo $!; wait) & wait";
    let mut run = Run::start(&PERMISSIVE, &["/bin/sh", "-c", script]);
    let others = [run.process(), run.process()];
    assert!(others.into_iter().all(alive));
    kill(libc::SIGKILL, run.rxbox.id() as i32);
    eventually("the end of all", || !others.into_iter().any(alive));
    assert_eq!(run.rest().1.signal(), Some(libc::SIGKILL));
}

/// A process with the name that the kernel has of it, and when it started, which tells it from a later one of
/// its number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    pid: i32,
    started: String,
}

impl Seen {
    fn of(pid: i32) -> Option<Seen> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<_> = stat.rsplit_once(") ")?.1.split(' ').collect();
        (fields[0] != "Z").then(|| Seen { pid, started: fields[19].to_owned() })
    }

    fn runs(&self) -> bool {
        Seen::of(self.pid).is_some_and(|now| now.started == self.started)
    }
}

/// Kills some of rxbox's own processes at once; everything that it has started ends, and so does rxbox.
#[test]
fn nothing_outlives_the_processes_of_rxbox_whichever_of_them_are_killed() {
    let script =
        "trap '' HUP TERM; sleep 1000 & (trap '' HUP; setsid sleep 1000 & sleep 1000 & echo; wait) & wait";
    let mut cases = vec![&["job"][..], &["supervisor"], &["init"], &["maker"], &["supervisor", "init"]];
    // What is below none of its processes any more the kernel ends with its PID namespace.
    if host_offers("pid_namespace") {
        cases.extend([&["job", "supervisor", "init"][..], &["job", "supervisor", "init", "maker"]]);
    }
    for which in cases {
        let mut run = Run::start(&PERMISSIVE, &["/bin/sh", "-c", script]);
        run.line();
        let job = run.rxbox.id() as i32;
        let all: Vec<_> = processes::below(job).into_iter().filter_map(Seen::of).collect();
        let one =
            |is: &dyn Fn(i32) -> bool| all.iter().map(|process| process.pid).find(|pid| is(*pid)).unwrap();
        assert!(all.len() > 6, "{all:?}");
        let victims = which.iter().map(|name| match *name {
            "job" => job,
            "supervisor" => one(&|pid| processes::parent(pid) == Some(job)),
            other => one(&|pid| processes::name(pid).contains(other)),
        });
        processes::kill(&victims.collect::<Vec<_>>());
        eventually("the end of all", || !all.iter().any(Seen::runs));
        assert!(!run.rest().1.success());
    }
}

/// Runs a guest into a limit: it says what it got and goes on; then rxbox is told to end.
fn runs_into(mode: &str, limit: &str, says: impl Fn(&str) -> bool) {
    let scratch = Scratch::new("bomb");
    let (profile, program) = (limits(&scratch, limit), contained(&scratch, mode));
    let mut run = Run::start(&["--profile", &profile], &[&program, mode]);
    let line = run.line();
    assert!(says(&line), "{mode}: {line}");
    run.ends_when_told();
}

#[test]
fn a_fork_bomb_runs_into_the_limit_of_processes() {
    runs_into("forks", "processes = 20", |line| line == "19 children, then EAGAIN");
}

#[test]
fn processes_that_never_stop_forking_can_be_ended() {
    runs_into("bomb", "processes = 20", |line| line == "EAGAIN");
}

#[test]
fn processes_that_nobody_waits_for_count_until_somebody_does() {
    runs_into("zombies", "processes = 8", |line| line == "7 zombies, one fewer and one more, then EAGAIN");
}

/// Each lock has a descriptor of the supervisor's, which keeps some for itself.
#[test]
fn locks_run_into_a_bound_of_their_own() {
    let scratch = Scratch::new("locks");
    let program = contained(&scratch, "locks");
    let script = "ulimit -n 1024; cd \"$1\"; exec \"$0\" --profile permissive -- \"$2\" locks";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).arg(rxbox()).arg(scratch.path()).arg(program);
    let mut rxbox = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(rxbox.stdout.take().unwrap());
    let mut run = Run { rxbox, lines };
    assert_eq!(run.line(), "ENOLCK, then 0 1");
    run.ends_when_told();
}

#[test]
fn a_thread_bomb_runs_into_the_limit_of_threads() {
    runs_into("threads", "threads = 30", |line| line == "29 threads, then EAGAIN");
}

#[test]
fn threads_without_a_limit_end_where_a_process_can_have_no_more() {
    runs_into("threads", "processes = 5", |line| line.ends_with("threads, then EAGAIN"));
}

#[test]
fn descriptors_run_into_the_limit_of_open_files() {
    runs_into("descriptors", "open_files = 50", |line| line == "descriptor 49, then EMFILE");
}

#[test]
fn a_storm_of_signals_leaves_rxbox_answering() {
    runs_into("storm", "processes = 5", |line| line == "storm");
}

#[test]
fn a_memory_bomb_is_ended_at_the_limit_of_memory() {
    let scratch = Scratch::new("bomb");
    let (profile, program) = (limits(&scratch, "memory = \"300M\""), contained(&scratch, "memory"));
    let run = Run::start(&["--profile", &profile], &[&program, "memory"]);
    let (text, status) = run.rest();
    // Either the guest is told (ENOMEM) or it is ended; it never gets all that it asked for.
    assert_eq!((text.as_str(), status.code()), ("", Some(137)));
}

/// Whatever the kernel or the supervisor keeps for a guest is the guest's memory.
#[test]
fn memory_that_is_in_no_process_counts() {
    let scratch = Scratch::new("kept");
    let profile = limits(&scratch, "memory = \"50M\"");
    for mode in ["memory-files", "mapped-files", "sent-files", "segments", "messages", "sockets", "views"] {
        let program = contained(&scratch, mode);
        let mut run = Run::start(&["--profile", &profile], &[&program, mode]);
        eventually(mode, || run.rxbox.try_wait().unwrap().is_some());
        assert_eq!(run.rest().1.code(), Some(137), "{mode}");
    }
}

/// The parent is killed at some moment of a fork, over and over: whatever the moment, the run goes on to its
/// end.
#[test]
fn a_parent_that_is_killed_while_it_forks_leaves_nothing_that_hangs() {
    let scratch = Scratch::new("killed");
    let program = contained(&scratch, "killed");
    let ran: Ran = Program::new(scratch.path(), &[&program, "killed"]).boxed("permissive");
    assert_eq!((ran.out().as_str(), ran.status), ("over\n", 0), "{}", ran.err());
}

/// Whether this host lets this user make namespaces.
fn host_offers_namespaces() -> bool {
    let made =
        Command::new("unshare").args(["--user", "--net", "--mount", "--ipc", "--uts", "true"]).output();
    made.is_ok_and(|output| output.status.success())
}

#[test]
fn without_a_network_in_the_profile_sockets_see_no_interface_of_the_host() {
    let scratch = Scratch::new("network-seen");
    let program = guest(&scratch, "network_seen");
    let program = Program::new(scratch.path(), &[program.to_str().unwrap()]);
    let required = "version = 1\nextends = [\"untrusted\"]\n[hardening]\nrequire = [\"namespaces\"]\n";
    let ran = program.boxed(scratch.file("required.toml", required));
    if host_offers_namespaces() {
        assert_eq!((ran.status, ran.out().as_str()), (0, "interface lo\njoined nowhere\n"), "{}", ran.err());
    } else {
        assert_eq!(ran.status, 125, "{}", ran.err());
        assert!(ran.err().contains("layer namespaces is required"), "{}", ran.err());
    }
}

#[test]
fn the_child_of_a_confined_run_is_in_namespaces_of_its_own_and_sees_no_file() {
    let mut run = Run::start(&["--profile", "untrusted"], &["/bin/sh", "-c", "echo $$; read line; exit 0"]);
    let pid = run.process();
    let own = |name: &str| fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
    let its = |name: &str| fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
    for name in ["user", "mnt", "net", "ipc", "uts"] {
        assert_eq!(its(name) != own(name), host_offers_namespaces(), "{name}");
    }
    assert_eq!(its("pid") != own("pid"), host_offers("pid_namespace"));
    let root = fs::read_dir(format!("/proc/{pid}/root/")).unwrap();
    assert_eq!(root.count() == 0, host_offers_namespaces());
    assert_eq!(run.rest().1.code(), Some(0));
}

#[test]
fn descriptors_that_nobody_named_are_not_kept() {
    let guest = "echo started; read line; exit 0";
    let script = format!("exec 7>&2 2>/dev/null; exec \"$0\" --profile untrusted -- /bin/sh -c '{guest}'");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &script]).arg(rxbox());
    let mut child =
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut seventh = child.stderr.take().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    let mut run = Run { rxbox: child, lines };
    assert_eq!(run.line(), "started");
    // A pipe ends when its last writer has closed it.
    let ended = std::thread::spawn(move || seventh.read_to_end(&mut Vec::new()));
    eventually("the end of the pipe", || ended.is_finished());
    assert_eq!(run.rest().1.code(), Some(0));
}

/// The guest stops itself, and natively the job with it: its limits go on, and end it.
#[test]
fn a_guest_that_is_stopped_is_ended_at_its_limits() {
    let scratch = Scratch::new("stopped");
    for (mode, limit, code) in [
        ("stopped-computing", "wall_time = \"1s\"", 124),
        ("stopped-computing", "cpu_time = \"500ms\"", 128 + libc::SIGXCPU),
        ("stopped-growing", "memory = \"100M\"", 137),
    ] {
        let (profile, program) = (limits(&scratch, limit), contained(&scratch, mode));
        let mut run = Run::start(&["--profile", &profile], &[&program, mode]);
        eventually(limit, || run.rxbox.try_wait().unwrap().is_some());
        assert_eq!(run.rest().1.code(), Some(code), "{limit}");
    }
}

/// A first process that is stopped does not keep the others from running, one of which continues it.
#[test]
fn a_stopped_process_is_continued_by_its_child() {
    let scratch = Scratch::new("continued");
    let program = contained(&scratch, "continued");
    let mut run = Run::start(&PERMISSIVE, &[&program, "continued"]);
    eventually("the end", || run.rxbox.try_wait().unwrap().is_some());
    assert_eq!(run.rest().0, "over\n");
}

/// The closing of a socket can wait as long as its guest says, which is nobody's time but its own.
#[test]
fn a_socket_whose_closing_waits_keeps_no_limit_and_no_signal_waiting() {
    let scratch = Scratch::new("linger");
    let program = contained(&scratch, "lingers");
    let profile = limits(&scratch, "wall_time = \"2s\"");
    let mut run = Run::start(&["--profile", &profile], &[&program, "lingers"]);
    assert_eq!(run.line(), "0");
    eventually("the time limit", || run.rxbox.try_wait().unwrap().is_some());
    assert_eq!(run.rest().1.code(), Some(124));
    runs_into("lingers", "processes = 5", |line| line == "0");
}

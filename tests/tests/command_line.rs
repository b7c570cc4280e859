//! The command line as a user meets it: statuses, reports, logs, the other commands, errors, streams and
//! signals.

use rxbox_tests::{Program, Scratch, eventually, rxbox};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(rxbox());
    command.args(words).stdin(Stdio::null());
    command
}

fn output(words: &[&str]) -> Output {
    command(words).output().unwrap()
}

fn code(words: &[&str]) -> i32 {
    let status = output(words).status;
    status.code().or(status.signal().map(|n| 128 + n)).unwrap_or(-1)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A profile in a folder.
fn profile(scratch: &Scratch, content: &str) -> String {
    let content = format!("version = 1\nextends = [\"permissive\"]\n{content}");
    scratch.file("p.toml", content).to_string_lossy().into_owned()
}

/// A shell that has said that it is ready.
fn shell(before: &str, after: &str) -> Child {
    let script = format!("{before}; echo ready; {after}");
    let mut run = command(&["--profile", "permissive", "--time-limit", "60", "/bin/sh", "-c", &script]);
    let mut run = run.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut word = [0; 6];
    run.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
    assert_eq!(&word, b"ready\n");
    run
}

fn send(run: &Child, signal: i32) {
    let sent = Command::new("/bin/kill").args([format!("-{signal}"), run.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

/// Sends a signal and waits, with the input still open.
fn ended_by(run: &mut Child, signal: i32) -> Option<i32> {
    let _input = run.stdin.take();
    send(run, signal);
    let status = run.wait().unwrap();
    status.code().or(status.signal().map(|n| 128 + n))
}

#[test]
fn the_exit_status_is_the_programs_or_tells_why_there_is_none() {
    let scratch = Scratch::new("status");
    for status in [0, 1, 77, 124, 125, 126, 127, 255] {
        assert_eq!(code(&["--profile", "permissive", "/bin/sh", "-c", &format!("exit {status}")]), status);
    }
    for (signal, name) in [(1, "HUP"), (6, "ABRT"), (9, "KILL"), (11, "SEGV"), (15, "TERM")] {
        assert_eq!(
            code(&["--profile", "permissive", "/bin/sh", "-c", &format!("kill -{name} $$")]),
            128 + signal
        );
    }
    let killing = profile(&scratch, "[syscalls]\nkill = [\"uname\"]\n");
    assert_eq!(code(&["--profile", &killing, "/bin/uname"]), 159);
    assert_eq!(code(&["--profile", "permissive", "--time-limit", "1", "/bin/sleep", "600"]), 124);
    let fills = "x = []\nwhile True: x.append(bytearray(1 << 20))";
    assert_eq!(
        code(&["--profile", "permissive", "--limit", "memory=128M", "/usr/bin/python3", "-c", fills]),
        137
    );
    assert_eq!(code(&["--profile", "permissive", "/nowhere"]), 127);
    assert_eq!(code(&["--profile", "permissive", "/etc/passwd"]), 126);
    assert_eq!(code(&["--profile", "no-such-profile", "/bin/true"]), 125);
}

/// The report of the end of a run, on descriptor 7.
fn report(scratch: &Scratch, arguments: &str) -> String {
    let script = format!("exec 7>&1 >/dev/null 2>&1; exec \"$0\" --status-fd 7 {arguments}");
    let mut shell = Command::new("/bin/sh");
    let out = shell.args(["-c", &script]).arg(rxbox()).current_dir(scratch.path()).output().unwrap();
    let reports = text(&out.stdout);
    let mut lines: Vec<&str> = reports.lines().collect();
    let end = lines.pop().unwrap().to_owned();
    assert!(end.starts_with("{\"event\":\"end\",") && reports.ends_with("}\n"), "{reports}");
    assert!(!lines.iter().any(|line| line.contains("\"end\"")), "{reports}");
    end + "\n"
}

#[test]
fn the_report_tells_equal_statuses_apart() {
    let scratch = Scratch::new("report");
    let killing = profile(&scratch, "[syscalls]\nkill = [\"uname\"]\n");
    let damaged = scratch.file("damaged", "\x7fELF");
    assert!(Command::new("chmod").arg("+x").arg(&damaged).status().unwrap().success());
    for (arguments, cause, code) in [
        ("/bin/sh -c 'exit 159'", "exit", 159),
        ("/bin/sh -c 'kill -9 $$'", "signal", 137),
        (&format!("--profile {killing} /bin/uname"), "policy", 159),
        ("--time-limit 1 /bin/sleep 600", "time-limit", 124),
        ("--limit cpu_time=100ms /bin/sh -c 'while :; do :; done'", "cpu-limit", 128 + libc::SIGXCPU),
        ("--limit memory=64M /usr/bin/perl -e '$x = \"a\" x (300 << 20)'", "memory-limit", 137),
        ("--limit output=10 /bin/echo more than ten bytes >file", "output-limit", 159),
        ("/nowhere", "not-found", 127),
        (&format!("--allow-exec {0} {0}", damaged.display()), "not-runnable", 126),
        ("--profile nowhere /bin/true", "error", 125),
    ] {
        let report = report(&scratch, arguments);
        assert!(report.contains(&format!("\"cause\":\"{cause}\",\"code\":{code}")), "{arguments}: {report}");
    }
    let told = report(&scratch, &format!("--allow-exec {0} {0}", damaged.display()));
    assert!(told.contains(&format!("\"message\":\"{}: truncated", damaged.display())), "{told}");
}

#[test]
fn each_item_of_the_log_prints_its_stage_and_no_other() {
    let scratch = Scratch::new("log");
    let first_words = [
        ("in_asm", "IN: "),
        ("op", "OP:\n"),
        ("op_opt", "OP after optimization:\n"),
        ("out_asm", "OUT: "),
        ("exec", "EXEC "),
        ("page", "PAGES:\n"),
        ("syscall", " write(1, \"logged\\n\", 7) = 7\n"),
    ];
    for (item, _) in first_words {
        let file = scratch.path().join(item);
        let out = output(&["--log", item, "--log-file", file.to_str().unwrap(), "/bin/echo", "logged"]);
        assert_eq!((text(&out.stdout).as_str(), text(&out.stderr).as_str()), ("logged\n", ""), "{item}");
        let log = std::fs::read_to_string(file).unwrap();
        for (other, word) in first_words {
            assert_eq!(log.contains(word), item == other, "--log {item} and {word:?}");
        }
    }
}

#[test]
fn the_stages_of_a_block_follow_each_other() {
    let scratch = Scratch::new("stages");
    let file = scratch.path().join("log");
    let items = "in_asm,op,op_opt,out_asm";
    assert_eq!(code(&["--log", items, "--log-file", file.to_str().unwrap(), "/bin/true"]), 0);
    let log = std::fs::read_to_string(file).unwrap();
    let places = ["IN: ", "OP:\n", "OP after optimization:\n", "OUT: "].map(|stage| log.find(stage).unwrap());
    assert!(places[0] == 0 && places.is_sorted(), "{places:?}");
    assert!(
        log.lines().any(|l| l.starts_with("0x") && l.ends_with(" syscall")),
        "no system call among the code"
    );
}

#[test]
fn without_a_file_the_log_goes_to_standard_error() {
    let out = output(&["--log", "syscall", "/bin/echo", "x"]);
    assert_eq!(text(&out.stdout), "x\n");
    assert!(text(&out.stderr).contains("write(1, \"x\\n\", 2) = 2"));
    let out = output(&["--log", "nothing", "/bin/echo"]);
    assert_eq!(out.status.code(), Some(125));
    assert!(text(&out.stderr).contains("--log cannot be \"nothing\"; there are in_asm, op"));
}

#[test]
fn the_table_of_system_calls_is_printed() {
    let all = text(&output(&["syscalls"]).stdout);
    assert!(all.lines().count() > 300);
    assert!(all.lines().any(|l| l.split_whitespace().take(3).eq(["257", "openat", "perform"])));
    let one = text(&output(&["syscalls", "io_uring_setup"]).stdout);
    assert!(one.contains("refuse") && one.contains("ENOSYS"), "{one}");
    let wrong = output(&["syscalls", "opnat"]);
    assert_eq!(wrong.status.code(), Some(125));
    assert!(text(&wrong.stderr).contains("openat"), "{}", text(&wrong.stderr));
}

#[test]
fn decisions_are_explained_with_their_rule() {
    let asked = |words: &[&str]| {
        let out = output(words);
        (out.status.code().unwrap(), text(&out.stdout) + &text(&out.stderr))
    };
    let (status, told) = asked(&["explain", "read", "/etc/shadow"]);
    assert!(status == 1 && told.contains("deny EACCES by untrusted.toml:"), "{told}");
    let (status, told) = asked(&["explain", "read", "/etc/passwd"]);
    assert!(status == 0 && told.contains("allow"), "{told}");
    let (status, told) =
        asked(&["explain", "--allow-net", "tcp:192.0.2.1:443", "connect", "tcp:192.0.2.1:443"]);
    assert!(status == 0 && told.contains("--allow-net"), "{told}");
    let (status, told) = asked(&["explain", "connect", "tcp:192.0.2.1:443"]);
    assert!(status == 1 && told.contains("default"), "{told}");
    let (status, told) = asked(&["explain", "call", "opnat"]);
    assert!(status == 125 && told.contains("openat"), "{told}");
}

#[test]
fn errors_in_profiles_are_told_with_line_column_and_help() {
    let scratch = Scratch::new("profiles");
    let wrong = profile(&scratch, "[filesystem]\nraed = [\"/tmp\"]\n");
    let checked = output(&["check", "untrusted", &wrong]);
    assert_eq!(checked.status.code(), Some(1));
    let run = output(&["--profile", &wrong, "/bin/echo", "ran"]);
    assert_eq!((run.status.code(), text(&run.stdout).as_str()), (Some(125), ""));
    for told in [text(&checked.stdout), text(&run.stderr)] {
        for part in ["unknown key `raed`", "p.toml:4:1", "did you mean `read`?"] {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
    }
    assert_eq!(code(&["check", "untrusted", "permissive", "base"]), 0);
}

#[test]
fn a_command_line_without_sense_is_told_and_nothing_runs() {
    for (words, told) in [
        (&["--bogus", "/bin/echo"][..], "unknown option --bogus (see rxbox --help)"),
        (&["--profile"], "--profile wants a value"),
        (&["--quiet"], "no program is given"),
        (&["--time-limit", "soon", "/bin/echo"], "--time-limit wants a number of seconds"),
        (&["--limit", "memry=1M", "/bin/echo"], "memory"),
        (&["--limit", "memory=much", "/bin/echo"], "memory"),
        (&["--status-fd", "99", "/bin/echo"], "--status-fd"),
        (&["--log", "syscall", "--log-file", "/nowhere/log", "/bin/echo"], "the log"),
    ] {
        let out = output(words);
        assert_eq!((out.status.code(), text(&out.stdout).as_str()), (Some(125), ""), "{words:?}");
        assert!(text(&out.stderr).starts_with("rxbox: "), "{words:?}: {}", text(&out.stderr));
        assert!(text(&out.stderr).contains(told), "{words:?}: {}", text(&out.stderr));
    }
    assert!(text(&output(&["--help"]).stdout).contains("--profile <P>"));
}

#[test]
fn streams_are_the_programs() {
    let scratch = Scratch::new("streams");
    let cat = Program::new(scratch.path(), &["/bin/cat", "-", "/nowhere"]).input("in\n").boxed("untrusted");
    assert_eq!((cat.status, cat.out().as_str()), (1, "in\n"));
    assert!(cat.err().contains("/nowhere"));
    // Those that are closed are closed for the program as well.
    let look = "for n in 0 1 2; do [ -h /proc/$$/fd/$n ] && exit 1; done; exit 7";
    let script = format!("exec \"$0\" --profile permissive /bin/sh -c '{look}' <&- >&- 2>&-");
    let status =
        Command::new("/bin/sh").args(["-c", &script]).arg(rxbox()).current_dir(scratch.path()).status();
    assert_eq!(status.unwrap().code(), Some(7));
}

#[test]
fn a_reader_that_goes_away_ends_the_program_by_sigpipe() {
    let mut run =
        command(&["--profile", "permissive", "/usr/bin/yes"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut word = [0; 2];
    run.stdout.take().unwrap().read_exact(&mut word).unwrap();
    assert_eq!(run.wait().unwrap().signal(), Some(libc::SIGPIPE));
}

#[test]
fn signals_go_on_to_the_program() {
    for (name, signal) in [("TERM", 15), ("INT", 2), ("HUP", 1), ("QUIT", 3), ("USR1", 10), ("USR2", 12)] {
        // In a loop: a signal just before a command that waits would be looked at only after it.
        let mut run = shell(&format!("trap 'exit 40' {name}"), "while :; do :; done");
        assert_eq!(ended_by(&mut run, signal), Some(40), "{name}");
        let mut run = shell(":", "read line");
        assert_eq!(ended_by(&mut run, signal), Some(128 + signal), "{name} without a handler");
    }
}

#[test]
fn a_stopped_program_goes_on() {
    let mut run = shell(":", "read line; echo over");
    send(&run, libc::SIGSTOP);
    send(&run, libc::SIGCONT);
    run.stdin.take().unwrap().write_all(b"\n").unwrap();
    let mut rest = String::new();
    run.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!((rest.as_str(), run.wait().unwrap().code()), ("over\n", Some(0)));
}

/// A process of the host: its number and the time when it started, which no other has together.
type HostProcess = (u32, u64);

/// The parent and the start time of a process (proc_pid_stat(5)).
fn parent_and_start(pid: u32) -> Option<(u32, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    Some((fields[1].parse().ok()?, fields[19].parse().ok()?))
}

/// A process and all below it.
fn family(first: u32) -> Vec<HostProcess> {
    let numbers = || std::fs::read_dir("/proc").unwrap().flatten();
    let all: Vec<_> = numbers()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent_and_start(pid)?)))
        .collect();
    let mut found = vec![first];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(all.iter().filter(|(_, (of, _))| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    all.iter().filter(|(pid, _)| found.contains(pid)).map(|(pid, (_, start))| (*pid, *start)).collect()
}

fn lives((pid, start): HostProcess) -> bool {
    parent_and_start(pid).is_some_and(|(_, since)| since == start)
}

#[test]
fn nothing_is_left_of_a_run_that_is_killed() {
    let scratch = Scratch::new("killed");
    let script = "sleep 1000 & sleep 1000 & echo ready; wait";
    let mut run = command(&["--profile", "permissive", "/bin/sh", "-c", script]);
    run.stdout(Stdio::piped()).current_dir(scratch.path());
    let mut run = run.spawn().unwrap();
    run.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
    let all = family(run.id());
    assert!(all.len() >= 5, "rxbox, its init process, and three processes of the guest: {all:?}");
    run.kill().unwrap();
    assert_eq!(run.wait().unwrap().signal(), Some(libc::SIGKILL));
    eventually("the end of all", || !all.iter().any(|process| lives(*process)));
}

#[test]
fn the_environment_is_what_the_profile_and_the_options_say() {
    let scratch = Scratch::new("environment");
    let seen = |profile: &str, options: &[&str]| {
        let run = Program::new(scratch.path(), &["/usr/bin/env"]).env("SECRET", "s").env("LC_ALL", "C");
        let mut lines: Vec<_> =
            run.options(options).boxed(profile).out().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let usual = ["HOME=/root", "LANG=C.UTF-8", "LC_ALL=C", "PATH=/usr/bin:/bin:/usr/sbin:/sbin"];
    assert_eq!(seen("untrusted", &[]), usual);
    // What is named like a secret passes by its whole name.
    assert_eq!(seen("untrusted", &["--pass-env", "SEC*"]), usual);
    let more = seen("untrusted", &["--pass-env", "SECRET", "--env", "A=b=c"]);
    assert_eq!(more, [&["A=b=c"], &usual[..], &["SECRET=s"]].concat());
    assert!(seen("permissive", &[]).contains(&"SECRET=s".to_owned()));
}

/// The kernel lays a process out by it.
#[test]
fn any_limit_of_the_stack_is_the_programs_own() {
    for limit in ["unlimited", "68719476736", "8192", "100"] {
        let show =
            format!("ulimit -S -s {limit}; exec \"$0\" --profile permissive -- sh -c 'ulimit -s; echo ran'");
        let ran = Command::new("sh").arg("-c").arg(show).arg(rxbox()).output().unwrap();
        assert_eq!(text(&ran.stdout), format!("{limit}\nran\n"), "{}", text(&ran.stderr));
    }
}

#[test]
fn a_run_that_cannot_begin_says_why() {
    let rxbox = rxbox().to_string_lossy();
    for (why, script) in [
        ("another rxbox", "exec \"$0\" --profile permissive -- \"$0\" --profile permissive true"),
        ("not a profile", "mkdir a; exec \"$0\" --profile ./a true"),
    ] {
        let scratch = Scratch::new("begin");
        let ran =
            Command::new("sh").args(["-c", script, &rxbox]).current_dir(scratch.path()).output().unwrap();
        assert_eq!(ran.status.code(), Some(125), "{why}");
        assert!(text(&ran.stderr).contains(why), "{}", text(&ran.stderr));
    }
}

#[test]
fn programs_are_searched_in_the_path() {
    let scratch = Scratch::new("path");
    let script = scratch.file("a-name-of-its-own", "#!/bin/sh\necho found\n");
    assert!(Command::new("/bin/chmod").arg("+x").arg(script).status().unwrap().success());
    let run = |path: &str| {
        let mut run = command(&["--profile", "permissive", "a-name-of-its-own"]);
        run.env("PATH", path).output().unwrap()
    };
    let folder = scratch.path().display();
    assert_eq!(text(&run(&format!("/nowhere:{folder}:/bin")).stdout), "found\n");
    assert_eq!(run("/nowhere:/bin").status.code(), Some(127));
}

fn told(words: &[&str]) -> (Option<i32>, String) {
    let out = output(words);
    (out.status.code(), text(&out.stdout) + &text(&out.stderr))
}

/// What is shown of a profile is a profile that allows the same.
#[test]
fn a_profile_that_is_shown_as_one_allows_what_it_did() {
    // In a private place rxbox's own rule for the files that it reads would tell the two apart.
    let scratch = Scratch::in_the_open("shown");
    let file = |name: &str, text: &str| scratch.file(name, text).display().to_string();
    file("base.toml", "version = 1\n[filesystem]\nread = [\"/srv?\"]\n[limits]\nthreads = 3\n");
    let whole =
        "version = 1\nextends = [\"untrusted\", \"./base.toml\"]\n[filesystem]\nwrite = [\"/srv/*/out\"]\n
[network]\nallow = [\"tcp:192.0.2.0/24:443\"]\n[limits]\nthreads = 4\n[environment]\npass = [\"X_*\"]\n";
    let whole = file("whole.toml", whole);
    let (status, shown) = told(&["show", "--filters", &whole]);
    assert_eq!(status, Some(0), "{shown}");
    for line in [
        "    \"/srv?\", # base.toml:3\n",
        "    \"/etc/shadow?\", # untrusted.toml:",
        "threads = 4 # whole.toml:9\n",
        "# names, which were judged before: openat openat2",
        "# the allocator's heap: brk\n",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(!shown.contains("threads = 3"), "{shown}");
    let again = file("again.toml", &shown);
    assert_eq!(told(&["diff", &whole, &again]).0, Some(0));
}

#[test]
fn profiles_are_compared_in_both_directions() {
    let scratch = Scratch::new("compared");
    let file = |name: &str, text: &str| scratch.file(name, text).display().to_string();
    let a = "version = 1\n[filesystem]\nread = [\"/usr\"]\n[limits]\nmemory = \"1G\"\n";
    let b = "version = 1\n[filesystem]\nread = [\"/etc\"]\nwrite = [\"/usr/lib\"]\ndeny = [\"/usr/bin\"]\n
[network]\nbind = [\"tcp:*:80\"]\n[environment]\npass = [\"X\"]\n[limits]\nmemory = \"2G\"\n";
    let (a, b) = (file("a.toml", a), file("b.toml", b));
    let (status, said) = told(&["diff", &a, &b]);
    assert_eq!(status, Some(1));
    let (forth, back) = said.split_once(&format!("{a} allows and {b} does not:\n")).unwrap();
    for line in [
        "b.toml:3 filesystem.read \"/etc\": read, list, metadata; as /etc\n",
        "b.toml:4 filesystem.write \"/usr/lib\": write, attributes, create, remove; as /usr/lib",
        "b.toml:8 network.bind \"tcp:*:80\": bind; as ",
        "b.toml:10 environment.pass \"X\": variable; as X\n",
        "b.toml:12 limits.memory \"2G\": memory; as limits, denied by a.toml:5\n",
    ] {
        assert!(forth.contains(line), "{line}: {said}");
    }
    assert!(back.contains("a.toml:3 filesystem.read \"/usr\": read, list, metadata; as "), "{said}");
    assert!(back.contains(", denied by b.toml:5\n") || back.contains("as /usr\n"), "{said}");
    assert_eq!(told(&["diff", &a, "nowhere"]).0, Some(125));
}

#[test]
fn what_opens_the_sandbox_is_warned_of() {
    let scratch = Scratch::new("warned");
    let open =
        "version = 1\nextends = [\"untrusted\"]\n[filesystem]\nread = [\"${HOME}\", \"/etc/shadow?\"]\n
write = [\"/srv?\"]\nexecute = [\"/srv?\"]\n[network]\nallow = [\"unix:/run\"]\n";
    let open = scratch.file("open.toml", open).display().to_string();
    let (status, said) = told(&["check", &open, "untrusted"]);
    assert_eq!(status, Some(0), "{said}");
    for warning in [
        "warning: what is written can be run: /srv by open.toml:6 `filesystem.write \"/srv?\"` and \
            open.toml:7",
        "warning: a daemon's socket can be reached: ",
        "/run/docker.sock",
        "warning: an entry grants nothing: open.toml:4 `filesystem.read \"/etc/shadow?\"`, since \
            untrusted.toml:",
    ] {
        assert!(said.contains(warning), "{warning}: {said}");
    }
    assert!(said.ends_with("untrusted: no errors\n"), "{said}");
    // `untrusted` hides the secrets that a home has.
    let bare = "version = 1\n[filesystem]\nwrite = [\"${HOME}\"]\n";
    let (_, said) = told(&["check", &scratch.file("bare.toml", bare).display().to_string()]);
    assert!(
        said.contains("warning: secrets of the home can be read: ") && said.contains("/.ssh/id_rsa"),
        "{said}"
    );
    assert!(said.contains("warning: what runs later outside of the sandbox can be written: "), "{said}");
}

#[test]
fn each_rule_on_the_way_is_told_and_more_than_paths_explained() {
    let (status, said) = told(&["explain", "--why", "read", "/etc/shadow"]);
    assert!(status == Some(1) && said.starts_with("/etc/shadow: deny EACCES by untrusted.toml:"), "{said}");
    assert!(
        said.contains(" denies everything from /etc/shadow on (filesystem.deny \"/etc/shadow?\")"),
        "{said}"
    );
    let (_, said) = told(&["explain", "--why", "read", "/usr/lib/x"]);
    assert!(said.contains(" allows read, execute, list, metadata from /usr on ("), "{said}");
    for (words, answer) in [
        (["explain", "env", "PATH"], "PATH: allow by base.toml:"),
        (["explain", "env", "LD_PRELOAD"], "LD_PRELOAD: hide by default"),
        (["explain", "limit", "memory"], "memory: 2G by untrusted.toml:"),
        (["explain", "call", "kexec_load"], "kexec_load: deny EPERM by rxbox, under every profile"),
    ] {
        let (_, said) = told(&words);
        assert!(said.starts_with(answer), "{said}");
    }
}

/// What cannot be a profile is said as it is.
#[test]
fn a_profile_that_is_a_folder_or_a_pipe_or_given_twice_is_told_so() {
    for (words, told_so) in [
        (&["--profile", "/usr/", "true"][..], "it is a folder, not a profile"),
        (&["--profile", "/dev/null", "true"], "it is no regular file"),
        (&["--profile", "base", "--profile", "untrusted", "true"], "--profile is given 2 times"),
    ] {
        let (status, said) = told(words);
        assert!(status == Some(125) && said.contains(told_so), "{said}");
    }
}

/// Under QEMU's name its users find their options, with their meanings.
#[test]
fn it_is_called_as_qemu_is() {
    let scratch = Scratch::new("qemu");
    let link = scratch.path().join("qemu-x86_64");
    std::os::unix::fs::symlink(rxbox(), &link).unwrap();
    let script = "echo $0 $A ${HOME-none}; ulimit -s";
    let options = ["-E", "A=1", "-U", "HOME", "-0", "zero", "-s", "2M", "-L", "/", "-cpu", "max"];
    let words = [&options[..], &["/bin/bash", "-c", script]].concat();
    let by_name = Command::new(&link).args(&words).env("HOME", "/x").output().unwrap();
    let by_word = output(&[&["qemu-x86_64"], &words[..]].concat());
    for ran in [by_name, by_word] {
        assert_eq!(text(&ran.stdout), "zero 1 none\n2048\n", "{}", text(&ran.stderr));
    }
    let traced = Command::new(&link).args(["/bin/echo", "x"]).env("QEMU_STRACE", "1").output().unwrap();
    assert!(text(&traced.stderr).contains("write(1, \"x\\n\", 2)"), "{}", text(&traced.stderr));
    // As QEMU does, it takes a name without a slash for one of the working directory.
    std::fs::copy("/bin/echo", scratch.path().join("own")).unwrap();
    let own = Command::new(&link).args(["own", "x"]).current_dir(scratch.path()).output().unwrap();
    assert_eq!(text(&own.stdout), "x\n", "{}", text(&own.stderr));
    let refused = output(&["qemu-x86_64", "-cpu", "Haswell", "/bin/true"]);
    assert_eq!(refused.status.code(), Some(125));
    assert!(text(&refused.stderr).contains("no other model than max"), "{}", text(&refused.stderr));
}

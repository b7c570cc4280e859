//! Starting under any conditions: what a program finds when it is started (arguments, environment, signals,
//! limits, descriptors, masks, directory) is the same natively and in rxbox, whatever the process that starts
//! it has done to itself before.

use rxbox_tests::{Scratch, difference, guest, rxbox};
use std::path::Path;
use std::process::Command;

/// Shell scripts that start the guest; `{RUN}` stands for the guest, or rxbox with it, and its arguments.
const CONDITIONS: &[&str] = &[
    "exec {RUN}",
    // Signals.
    "trap '' CHLD; exec {RUN}",
    "trap '' PIPE HUP INT QUIT CHLD USR1 XFSZ TSTP TTOU RTMIN RTMAX; exec {RUN}",
    "exec python3 -c 'import signal, os, sys; signal.pthread_sigmask(signal.SIG_SETMASK, \
     signal.valid_signals()); os.execv(sys.argv[1], sys.argv[1:])' {RUN}",
    "exec nohup {RUN}",
    // Limits, soft and hard.
    "ulimit -f 2000; exec {RUN}",
    "ulimit -Sf 1; exec {RUN}",
    "ulimit -Sn 16; exec {RUN}",
    "ulimit -Sn 4; exec {RUN}",
    "ulimit -n 512; exec {RUN}",
    "ulimit -Sv 1000000; ulimit -Sd 300000; exec {RUN}",
    "ulimit -s 200; ulimit -l 0; ulimit -q 0; ulimit -i 0; ulimit -c 0; exec {RUN}",
    "ulimit -s unlimited; ulimit -t 1000; exec {RUN}",
    // Descriptors.
    "exec {RUN} <&-",
    "exec {RUN} >&-",
    "exec {RUN} 2>&-",
    "exec {RUN} <&- >&- 2>&-",
    "exec {RUN} </ >>kept 2>/dev/full",
    "exec 5</dev/zero 6>>kept 7<>both 9</ 12< <(echo hi) 100>&1; exec {RUN}",
    "exec python3 -c 'import os, socket, sys; s = socket.socketpair(); os.dup2(s[0].fileno(), 3); \
     os.dup2(os.eventfd(3), 4); os.dup2(os.memfd_create(\"m\"), 6); os.closerange(7, 99); \
     os.execv(sys.argv[1], sys.argv[1:])' {RUN}",
    // Personality.
    "exec setarch -R {RUN}",
    "exec setarch -L {RUN}",
    "exec setarch --short-inode --whole-seconds {RUN}",
    // Places.
    "mkdir gone; cd gone; rmdir ../gone; exec {RUN}",
    "mkdir shut; cd shut; chmod 0 .; exec {RUN}",
    "umask 077; exec nice -n 5 {RUN}",
    "exec env -i {RUN}",
    "exec env - A= B=b {RUN}",
];

/// Those that need a user namespace, in which alone the starter may mount.
const MOUNTS: &[&str] = &[
    "exec unshare -r {RUN}",
    "exec unshare -rm sh -c 'mount -t tmpfs none /dev; exec {RUN}'",
    "exec unshare -rm sh -c 'mount -o remount,bind,nodev /dev; exec {RUN}'",
    "exec unshare -rm sh -c 'mount -t tmpfs none /run; exec {RUN}'",
];

/// Runs a script, and gives its status and what the guest has reported.
fn report(dir: &Path, script: &str, run: &str) -> (Option<i32>, String) {
    let _ = std::fs::remove_dir_all(dir);
    std::fs::create_dir(dir).unwrap();
    let report = dir.join("report");
    let script = script.replace("{RUN}", &format!("{run} {}", report.display()));
    // What the tests themselves happen to have inherited is no condition of theirs.
    let script = format!("for n in {{3..99}}; do eval \"exec $n>&-\"; done; {script}");
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", "120", "bash", "-c", &script]).current_dir(dir).env_clear();
    command.env("PATH", "/usr/bin:/bin").env("A", "a").env("EMPTY", "");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let text = std::fs::read_to_string(&report).unwrap_or(said);
    // The shell tells the name of what it runs.
    let kept = text.lines().filter(|line| !line.starts_with("environment \"_="));
    (output.status.code(), kept.map(|line| format!("{line}\n")).collect())
}

fn all_equal(scripts: &[&str]) {
    let scratch = Scratch::new("starts");
    let program = guest(&scratch, "started").to_string_lossy().into_owned();
    let boxed = format!("{} --profile permissive -- {program}", rxbox().display());
    let dir = scratch.path().join("w");
    for script in scripts {
        let native = report(&dir, script, &program);
        assert_eq!(native.0, Some(0), "{script} fails natively: {}", native.1);
        let seen = report(&dir, script, &boxed);
        let context = difference(native.1.as_bytes(), seen.1.as_bytes());
        assert_eq!(native.0, seen.0, "{script}: {}", seen.1);
        assert!(native.1 == seen.1, "{script}: {context}");
    }
}

#[test]
fn a_program_finds_the_same_whatever_its_starter_has_done() {
    all_equal(CONDITIONS);
}

#[test]
fn a_program_finds_the_same_where_devices_and_folders_are_missing() {
    let may = Command::new("unshare").args(["-rm", "true"]).status().unwrap().success();
    all_equal(if may { MOUNTS } else { &[] });
}

/// In the `/proc` of another PID namespace numbers are those of other processes.
#[test]
fn a_proc_of_other_processes_is_not_taken_for_ones_own() {
    let ran =
        Command::new("unshare").args(["-rpf"]).arg(rxbox()).args(["/bin/echo", "ran"]).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    let told = said.starts_with("unshare: ") || said.contains("there is no /proc of this PID namespace");
    assert!(told || ran.stdout == b"ran\n", "{said}");
}

/// Where not even a mount namespace may be made, there is no way to a `/proc`.
#[test]
fn a_missing_proc_is_mounted_or_missed() {
    let scratch = Scratch::new("no-proc");
    let script = format!(
        "umount -l /proc && exec {} --profile permissive -- /bin/echo ran >{}/out 2>&1",
        rxbox().display(),
        scratch.path().display()
    );
    let shell = |unshare: &[&str]| {
        Command::new("unshare").args(unshare).args(["sh", "-c", &script]).status().unwrap().code()
    };
    let said = || std::fs::read_to_string(scratch.path().join("out")).unwrap_or_default();
    // In a user namespace the kernel mounts none where there was none.
    if shell(&["-rm"]) == Some(125) {
        assert!(
            said().starts_with("rxbox: there is no /proc of this PID namespace, and none can be mounted"),
            "{}",
            said()
        );
    }
    if shell(&["-m"]).is_some_and(|status| status != 1) {
        assert_eq!(said(), "ran\n");
    }
}

/// Runs a script under a profile; `$0` is rxbox with its options. What it prints, and what it complains of.
fn words(profile: &str, options: &[&str], script: &str) -> (String, String) {
    let run = format!("{} --profile {profile} {} --", rxbox().display(), options.join(" "));
    let output = Command::new("bash").args(["-c", &script.replace("{RUN}", &run)]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn what_a_shell_or_make_passes_by_number_arrives() {
    let (said, complaint) = words("permissive", &[], "{RUN} cat <(echo hi) <(echo there)");
    assert_eq!(said, "hi\nthere\n", "{complaint}");
    let scratch = Scratch::new("jobs");
    let run = format!("{} --profile permissive --", rxbox().display());
    let rule = |name| format!("{name}:\n\t+@{run} make -s -f inner {name}\n");
    scratch.file("outer", format!("all: one two\n{}{}", rule("one"), rule("two")));
    scratch
        .file("inner", "one two: %: %.a %.b\n%.a:\n\t@sleep 0.05; echo $@\n%.b:\n\t@sleep 0.05; echo $@\n");
    let make = |words: &[&str]| {
        let output = Command::new("make").args(words).current_dir(scratch.path()).output().unwrap();
        let mut lines: Vec<_> =
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        (lines, String::from_utf8(output.stderr).unwrap())
    };
    let (lines, complaint) = make(&["-s", "-j3", "-f", "outer"]);
    assert_eq!(
        (lines, complaint.as_str()),
        (["one.a", "one.b", "two.a", "two.b"].map(String::from).into(), "")
    );
}

#[test]
fn a_profile_passes_what_it_names_and_nothing_else() {
    let list = "exec 7</dev/null 8</dev/zero; {RUN} bash -c 'cd /proc/$$/fd; echo *'";
    let listed = |profile: &str, options: &[&str]| words(profile, options, list).0;
    assert_eq!(listed("untrusted", &[]).trim(), "0 1 2");
    assert_eq!(listed("untrusted", &["--pass-fd 8"]).trim(), "0 1 2 8");
    assert!(listed("permissive", &[]).contains("7 8"));
    let (said, complaint) = words("untrusted", &["--pass-fd 9"], "exec 9>&-; {RUN} echo ran");
    assert_eq!((said.as_str(), complaint.trim()), ("", "rxbox: descriptor 9 is not passed: it is not open"));
    let (said, complaint) = words("untrusted", &["--pass-fd 9"], "exec 9</proc; {RUN} echo ran");
    assert!(said.is_empty() && complaint.contains("of /proc the guest has its own"), "{complaint}");
}

/// A directory is a place: what is opened from there is judged by its own name.
#[test]
fn a_passed_directory_opens_nothing_that_the_policy_denies() {
    let scratch = Scratch::in_the_open("passed");
    let (open, shut) = (scratch.file("open/f", "open\n"), scratch.file("shut/f", "shut\n"));
    let (allow, dir) = (open.parent().unwrap().display(), shut.parent().unwrap().display());
    let script = format!(
        "exec 7<{dir} 8<{dir}/f 9<{allow}; {{RUN}} bash -c 'cd /proc/self/fd/9 && cat f; cat <&8; \
         cat /proc/self/fd/7/f; cat {dir}/f; cd /proc/self/fd/7 && cat f'"
    );
    let options = ["--pass-fd 7", "--pass-fd 8", "--pass-fd 9", &format!("--allow-read {allow}"), "--quiet"];
    let (said, complaint) = words("untrusted", &options, &script);
    assert_eq!(said, "open\nshut\n", "{complaint}");
}

#[test]
fn a_program_gets_the_name_that_it_is_given() {
    let (said, complaint) = words("untrusted", &["--argv0 other"], "{RUN} /bin/bash -c 'echo $0 \"$@\"'");
    assert_eq!(said, "other\n", "{complaint}");
    let (said, _) = words("untrusted", &["--argv0 other"], "{RUN} cat /proc/self/cmdline | tr '\\0' ' '");
    assert_eq!(said, "other /proc/self/cmdline ");
}

/// Limits that only a privileged user could raise are told with what is needed.
#[test]
fn a_limit_that_leaves_nothing_for_rxbox_is_told() {
    for (limit, said) in
        [("-n 8", "hard limit on open descriptors is 8"), ("-f 1", "hard limit on file sizes")]
    {
        let run = format!("ulimit {limit}; exec {} --profile permissive -- /bin/true", rxbox().display());
        let output = Command::new("bash").args(["-c", &run]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let lifted = output.status.success();
        assert!(lifted || output.status.code() == Some(125) && text.contains(said), "{limit}: {text}");
    }
}

/// What the policy's limit on file sizes says is of the guest's files, not of rxbox's memory.
#[test]
fn a_limit_on_file_sizes_is_the_guests_alone() {
    let scratch = Scratch::new("file-size");
    let script =
        "echo ok; (echo child); head -c 5000 /dev/zero >f; echo $?; head -c 4000 /dev/zero >f && echo fits";
    let mut command = Command::new(rxbox());
    command.args(["--profile", "permissive", "--limit", "file_size=4K", "--", "bash", "-c", script]);
    let output = command.current_dir(scratch.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text, "ok\nchild\n153\nfits\n", "{}", String::from_utf8_lossy(&output.stderr));
}

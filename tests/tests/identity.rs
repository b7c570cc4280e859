//! As whom a run is: everything of rxbox's, the guest included, is the user that the profile names.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use rxbox_tests::terminal::Terminal;
use rxbox_tests::{Scratch, guest_is_the_same, rxbox};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Output, Stdio};

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

fn run(words: &[&str]) -> Output {
    Command::new(rxbox()).args(words).stdin(Stdio::null()).output().unwrap()
}

/// What a shell tells of itself.
const SELF: &str = "id -u; id -g; id -G; grep -E '^(Uid|Gid|CapEff|CapPrm)' /proc/self/status";

#[test]
fn root_runs_everything_as_the_user_that_is_named() {
    let scratch = Scratch::new("identity");
    if !is_root() {
        let own = text(&Command::new("id").arg("-un").output().unwrap().stdout);
        let ran = run(&["--profile", "permissive", "--user", &own, "id", "-u"]);
        assert!(ran.status.success(), "{}", text(&ran.stderr));
        let refused = run(&["--profile", "permissive", "--user", "root", "id", "-u"]);
        assert_eq!(refused.status.code(), Some(125));
        assert!(text(&refused.stderr).contains("only root can"), "{}", text(&refused.stderr));
        return;
    }
    let native = Command::new("setpriv")
        .args(["--reuid=nobody", "--regid=nogroup", "--init-groups", "--", "sh", "-c", SELF])
        .output()
        .unwrap();
    assert_ne!(text(&native.stdout), "");
    // What nobody else reads is read before.
    let profile = "version = 1\nextends = [\"permissive\"]\n[identity]\nuser = \"nobody\"\n";
    let profile = scratch.file("named.toml", profile);
    fs::set_permissions(&profile, fs::Permissions::from_mode(0o600)).unwrap();
    for options in
        [&["--profile", profile.to_str().unwrap()][..], &["--profile", "permissive", "--user", "nobody"]]
    {
        let ran = run(&[options, &["--", "sh", "-c", SELF]].concat());
        assert_eq!(text(&ran.stdout), text(&native.stdout), "{}", text(&ran.stderr));
        let mut running = Command::new(rxbox());
        let running = running.args(options).args(["--", "sh", "-c", "echo $HOME $USER $LOGNAME; read x"]);
        let mut running = running.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut out = std::io::BufReader::new(running.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        let home = text(&Command::new("sh").args(["-c", "echo ~nobody"]).output().unwrap().stdout);
        assert_eq!(line.trim_end(), format!("{home} nobody nobody"));
        // None of its processes is root's.
        let mut todo = vec![running.id().to_string()];
        let mut seen = 0;
        while let Some(pid) = todo.pop() {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            let ids = |key: &str| status.lines().find(|l| l.starts_with(key)).unwrap().to_owned();
            assert_eq!(ids("Uid:"), "Uid:\t65534\t65534\t65534\t65534", "{status}");
            assert_eq!(ids("Gid:"), "Gid:\t65534\t65534\t65534\t65534", "{status}");
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
            todo.extend(children.split_whitespace().map(str::to_owned));
            seen += 1;
        }
        assert!(seen > 3, "{seen}");
        drop(running.stdin.take());
        running.wait().unwrap();
    }
}

#[test]
fn a_user_that_is_not_there_is_an_error_with_the_nearest_name() {
    let ran = run(&["--profile", "permissive", "--user", "nobdy", "true"]);
    assert_eq!(ran.status.code(), Some(125));
    let told = text(&ran.stderr);
    assert!(told.contains("cannot run as nobdy") && told.contains("did you mean `nobody`"), "{told}");
    assert!(run(&["explain", "--user", "nobdy", "read", "/etc"]).status.code() == Some(125));
}

/// Whoever looks at a terminal is told; a log is not filled with it.
#[test]
fn root_is_told_on_a_terminal_that_it_runs_an_untrusted_program() {
    let rxbox = rxbox().to_string_lossy();
    let told = |options: &str| {
        let script = format!("{rxbox} {options} -- /bin/true; echo \"<$?>\"");
        let mut terminal = Terminal::start(&["/bin/sh", "-c", &script]);
        let said = terminal.expect("<0>");
        terminal.end();
        said.contains("runs as root")
    };
    assert_eq!(told(""), is_root());
    assert!(!told("--quiet") && !told("--profile permissive"));
    if is_root() {
        assert!(!told("--user root"));
    }
    assert!(!text(&run(&["--", "/bin/true"]).stderr).contains("root"));
}

#[test]
fn processes_become_who_they_want_as_natively() {
    guest_is_the_same("identity", &["permissive"]);
}

/// Without the words that differ from run to run, on both sides.
#[test]
fn programs_that_run_others_as_somebody_else_do_as_natively() {
    for words in [
        &["setpriv", "--reuid=nobody", "--regid=nogroup", "--init-groups", "sh", "-c", SELF_AND_SECRETS][..],
        &["setpriv", "--reuid=nobody", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "id"],
        &["runuser", "-u", "nobody", "--", "sh", "-c", SELF_AND_SECRETS],
        &["su", "-s", "/bin/sh", "nobody", "-c", SELF_AND_SECRETS],
    ] {
        let native = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output().unwrap();
        let ran = run(&[&["--profile", "permissive", "--"], words].concat());
        assert_eq!(text(&ran.stdout), text(&native.stdout), "{words:?}: {}", text(&ran.stderr));
        assert_eq!(ran.status.code(), native.status.code(), "{words:?}: {}", text(&ran.stderr));
    }
}

/// What a shell tells of itself, and what it is not to read.
const SELF_AND_SECRETS: &str =
    "id; head -c1 /etc/shadow >/dev/null 2>&1; echo $?; ls /root >/dev/null 2>&1; echo $?";

#[test]
fn without_the_grant_root_stays_root_and_nothing_on_the_host_can_change_it() {
    let scratch = Scratch::new("identity-kept");
    let kept = "version = 1\nextends = [\"permissive\"]\n[identity]\nchange = false\n";
    let kept = scratch.file("kept.toml", kept);
    for profile in [kept.to_str().unwrap(), "untrusted"] {
        let ran = run(&["--profile", profile, "--", "setpriv", "--reuid=nobody", "true"]);
        assert_eq!(ran.status.code(), Some(127), "{}", text(&ran.stderr));
        assert!(text(&ran.stderr).contains("not permitted"), "{}", text(&ran.stderr));
        for [_, effective, permitted] in threads_of(&["--profile", profile, "--", "cat"]) {
            assert_eq!((effective | permitted) & CHANGING, 0, "under {profile}");
        }
    }
}

/// The thread that serves a process has what that has, and nobody else of rxbox; children have nothing.
#[test]
fn a_call_is_made_with_the_ids_and_capabilities_of_the_process_that_makes_it() {
    let words = [
        "--profile",
        "permissive",
        "--",
        "setpriv",
        "--reuid=nobody",
        "--regid=nogroup",
        "--clear-groups",
        "cat",
    ];
    if !is_root() {
        return assert_eq!(run(&words).status.code(), Some(127));
    }
    let threads = threads_of(&words);
    let [serving, others]: [Vec<_>; 2] = [65_534, 0].map(|user| {
        threads.iter().filter(|[uid, ..]| *uid == user).map(|[_, effective, _]| *effective).collect()
    });
    assert_eq!(serving, [0], "{threads:x?}");
    assert_eq!(serving.len() + others.len(), threads.len(), "{threads:x?}");
}

/// `CAP_SETGID` and `CAP_SETUID`.
const CHANGING: u64 = 0b1100_0000;

/// User, effective and permitted capabilities of the threads of the supervisor while a guest, `cat` in the
/// end, waits for input.
fn threads_of(words: &[&str]) -> Vec<[u64; 3]> {
    let mut command = Command::new(rxbox());
    let mut running = command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = running.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"x").unwrap();
    std::io::Read::read_exact(&mut running.stdout.take().unwrap(), &mut [0]).unwrap();
    let mut found = Vec::new();
    let mut todo = vec![running.id().to_string()];
    while let Some(pid) = todo.pop() {
        let tasks: Vec<_> = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten().collect();
        for task in tasks {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let field = |key: &str, radix| {
                let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("0");
                u64::from_str_radix(line.split_whitespace().next().unwrap(), radix).unwrap()
            };
            let name = status.lines().next().unwrap_or_default().replace("Name:\t", "");
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            todo.extend(children.split_whitespace().map(str::to_owned));
            if name == "worker" {
                found.push([field("Uid:", 10), field("CapEff:", 16), field("CapPrm:", 16)]);
            }
        }
    }
    drop(input);
    running.wait().unwrap();
    assert!(!found.is_empty());
    found
}

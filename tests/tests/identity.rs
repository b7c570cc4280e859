//! As whom a run is: everything of rxbox's, the guest included, is the user that the profile names.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use rxbox_tests::terminal::Terminal;
use rxbox_tests::{Scratch, rxbox};
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

//! What passes between a service manager and a service (sd_notify(3), sd_listen_fds(3),
//! sd_watchdog_enabled(3)), with a manager of the tests' own: it takes notices from the process that it has
//! started and from no other.

use rxbox_tests::{Scratch, guest, rxbox};
use std::path::Path;
use std::process::{Command, Stdio};

/// What the manager hears of a program that it starts, and what is said on standard error.
fn heard(manager: &Path, program: &[&str]) -> (String, String) {
    let dir = manager.parent().expect("a folder");
    let output = Command::new(manager)
        .arg("manager")
        .args(program)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// The same of one in rxbox, under `untrusted` with these lines.
fn heard_of_boxed(service: &Path, lines: &str, arguments: &[&str]) -> (String, String) {
    let profile = service.with_extension("toml");
    std::fs::write(&profile, format!("version = 1\nextends = [\"untrusted\"]\n{lines}"))
        .expect("it is written");
    let [rxbox, profile, program] = [rxbox(), &profile, service].map(|path| path.to_str().expect("text"));
    heard(service, &[&[rxbox, "--profile", profile, "--", program], arguments].concat())
}

const ALL: &str = "[service]\nnotify = [\"ready\", \"reloading\", \"stopping\", \"status\", \"errno\", \
    \"watchdog\", \"timeouts\", \"fdstore\"]\n[descriptors]\npass = [\"listen\"]\n";

#[test]
fn a_service_that_may_tell_everything_is_heard_as_it_is_natively() {
    let scratch = Scratch::in_the_open("notices");
    let service = guest(&scratch, "notifier");
    let (native, _) = heard(&service, &[service.to_str().expect("text")]);
    let lines: Vec<_> = native.lines().collect();
    let wanted = [
        "READY=1 STATUS=up, main, 0 descriptors",
        "STATUS=watched 60000000 1, 1 sockets web 1, started 1, main, 0 descriptors",
        "RELOADING=1 MONOTONIC_USEC=12345, main, 0 descriptors",
        "READY=1, main, 0 descriptors",
        "WATCHDOG=1, main, 0 descriptors",
        "FDSTORE=1 FDNAME=kept, main, 1 descriptors",
        "BARRIER=1, main, 1 descriptors",
        "STOPPING=1, main, 0 descriptors",
        "hello, ended 0",
    ];
    assert_eq!(lines, wanted);
    let (boxed, errors) = heard_of_boxed(&service, ALL, &[]);
    assert_eq!((boxed, errors), (native.clone(), String::new()));
    // With the whole network of the host, too.
    let [rxbox, program] = [rxbox(), &service].map(|path| path.to_str().expect("text"));
    let (boxed, errors) = heard(&service, &[rxbox, "--profile", "permissive", "--quiet", "--", program]);
    assert_eq!((boxed, errors), (native, String::new()));
}

#[test]
fn the_manager_hears_only_what_the_profile_lists_in_a_form_that_it_expects() {
    let scratch = Scratch::in_the_open("notices-hostile");
    let service = guest(&scratch, "notifier");
    let lines = "[service]\nnotify = [\"ready\", \"status\"]\n";
    let (heard, errors) = heard_of_boxed(&service, lines, &["hostile"]);
    let wanted = [
        "READY=1 STATUS=up, main, 0 descriptors",
        "STATUS=watched none 0, none sockets none 0, started 1, main, 0 descriptors",
        "READY=1, main, 0 descriptors",
        "BARRIER=1, main, 1 descriptors",
        "STATUS=\\x1b[2Jup, main, 0 descriptors",
        "no greeting, ended 0",
    ];
    assert_eq!(heard.lines().collect::<Vec<_>>(), wanted, "{errors}");
    for said in [
        "note: the service is watched (WatchdogSec=), but the program may not say that it is alive",
        "note: the service manager passes sockets, but the profile does not",
        "the service manager is not told MAINPID, which rxbox does not pass on",
        "the service manager is not told X_MINE, which rxbox does not pass on",
        "the service manager is not told FDSTORE, which needs \"fdstore\" in [service] notify",
        "the service manager is not told STOPPING, which needs \"stopping\"",
    ] {
        assert!(errors.contains(said), "{said}: {errors}");
    }
}

#[test]
fn rxbox_says_that_a_program_runs_which_may_not_say_so_itself() {
    let scratch = Scratch::in_the_open("notices-ready");
    let service = guest(&scratch, "notifier");
    let (heard, errors) = heard_of_boxed(&service, "", &[]);
    let lines: Vec<_> = heard.lines().filter(|line| *line != "nobody listens").collect();
    assert_eq!(lines, ["READY=1, main, 0 descriptors", "no greeting, ended 0"], "{errors}");
    // One that does not run is not said to.
    let rxbox = rxbox().to_str().expect("text");
    let (of_none, errors) = self::heard(&service, &[rxbox, "--profile", "untrusted", "--", "/dev/null"]);
    assert_eq!(of_none, "no greeting, ended 126\n", "{errors}");
}

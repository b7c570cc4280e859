//! Secrets reach the guest by descriptors, and nothing else of it.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use rxbox_tests::{Scratch, rxbox};
use std::process::{Command, Output};

fn rxbox_with(scratch: &Scratch, options: &[&str], line: &str) -> Output {
    let mut command = Command::new(rxbox());
    command.args(options).args(["--", "/bin/bash", "-c", line]).current_dir(scratch.path());
    command.env("KEY", "of the environment").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_secret_is_read_at_a_descriptor_and_found_nowhere_else() {
    let scratch = Scratch::in_the_open("secrets");
    scratch.file("key", "of the file\n");
    let options = ["--secret", "KEY=file:key", "--secret", "OTHER=env:KEY", "--pass-env", "KEY"];
    let line = "cat $KEY_FILE; sh -c 'cat $KEY_FILE $OTHER_FILE'; echo \" ${KEY-none} ${OTHER-none}\"; \
        echo $KEY_FILE $OTHER_FILE";
    let ran = rxbox_with(&scratch, &options, line);
    let expected =
        "of the file\nof the file\nof the environment none none\n/proc/self/fd/3 /proc/self/fd/4\n";
    assert_eq!(text(&ran.stdout), expected, "{}", text(&ran.stderr));
    assert_eq!(text(&ran.stderr), "");
    // The file itself is not there; nor is the descriptor, once it is closed; nobody changes what it holds.
    for line in [
        "cat key",
        "exec 3>&-; cat $KEY_FILE",
        "exec 3>&-; cat /proc/$PPID/fd/3",
        "echo x >&3",
        "echo >$KEY_FILE",
    ] {
        let ran = rxbox_with(&scratch, &options[..2], line);
        assert!(!ran.status.success() && ran.stdout.is_empty(), "{line}: {}", text(&ran.stdout));
    }
    assert_eq!(std::fs::read_to_string(scratch.path().join("key")).unwrap(), "of the file\n");
}

#[test]
fn one_that_is_not_there_is_said() {
    let scratch = Scratch::in_the_open("secrets");
    for (place, why) in
        [("file:nowhere", "nowhere does not exist"), ("env:NO_SUCH", "the secret KEY (env:NO_SUCH): ")]
    {
        let ran = rxbox_with(&scratch, &["--secret", &format!("KEY={place}")], "true");
        assert_eq!(ran.status.code(), Some(125));
        assert!(text(&ran.stderr).contains(why), "{}", text(&ran.stderr));
    }
}

//! `rxbox trace`: calls with what was decided about them, as strace's users ask for them.

use rxbox_tests::{Scratch, rxbox};
use std::process::{Command, Output, Stdio};

fn trace(scratch: &Scratch, words: &[&str]) -> Output {
    let mut command = Command::new(rxbox());
    command.arg("trace").args(words).current_dir(scratch.path()).stdin(Stdio::null());
    command.output().unwrap()
}

fn errors(ran: &Output) -> String {
    String::from_utf8_lossy(&ran.stderr).into_owned()
}

#[test]
fn a_call_is_shown_with_its_result_and_each_decision_with_its_rule() {
    let scratch = Scratch::new("traced");
    let words = ["-e", "openat,execve", "--quiet", "--", "cat", "/etc/passwd", "/etc/shadow"];
    let told = errors(&trace(&scratch, &words));
    let line = |path: &str| told.lines().find(|line| line.contains(path)).unwrap_or_default().to_owned();
    let shadow = line("openat(AT_FDCWD, \"/etc/shadow\", O_RDONLY");
    assert!(
        shadow.contains(" = -1 ") && shadow.contains("  [") && shadow.contains(" by untrusted.toml:"),
        "{told}"
    );
    let passwd = line("openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY");
    assert!(passwd.contains("[read /etc/passwd: allow by "), "{told}");
    let calls = told.lines().filter(|line| line.contains(") = "));
    assert!(
        calls.clone().count() > 2
            && calls.clone().all(|line| line.contains(" openat(") || line.contains(" execve("))
    );
    // What is denied alone, by a class, and by a file.
    let words = ["-e", "%file", "--denied", "--quiet", "--", "cat", "/etc/passwd", "/etc/shadow"];
    let told = errors(&trace(&scratch, &words));
    assert!(told.contains("\"/etc/shadow\"") && !told.contains("\"/etc/passwd\""), "{told}");
    let words = ["-P", "/etc/passwd", "--quiet", "--", "cat", "/etc/passwd", "/etc/hostname"];
    let told = errors(&trace(&scratch, &words));
    assert!(
        told.contains(" openat(")
            && told.contains(" read(")
            && told.contains(" close(")
            && !told.contains("\"/etc/hostname\""),
        "{told}"
    );
}

#[test]
fn other_processes_are_traced_if_that_is_asked_for() {
    let scratch = Scratch::new("traced-forks");
    let program = ["--profile", "permissive", "--", "sh", "-c", "cat /etc/passwd >/dev/null; :"];
    for (options, seen) in [(&["-e", "openat"][..], false), (&["-f", "-e", "openat"], true)] {
        let told = errors(&trace(&scratch, &[options, &program].concat()));
        assert_eq!(told.contains("\"/etc/passwd\""), seen, "{told}");
    }
}

#[test]
fn calls_are_counted_in_a_table_and_written_as_json_to_a_file_of_rxbox_s_own() {
    let scratch = Scratch::in_the_open("traced-forms");
    let words = ["-c", "--profile", "permissive", "--", "cat", "/etc/passwd", "/nowhere"];
    let told = errors(&trace(&scratch, &words));
    let row = |name: &str| -> Vec<String> {
        let row = told.lines().find(|line| line.split_whitespace().last() == Some(name));
        row.unwrap_or_else(|| panic!("{name}: {told}")).split_whitespace().map(str::to_owned).collect()
    };
    assert!(told.contains("usecs/call") && row("read")[3].parse::<u64>().unwrap() > 1, "{told}");
    assert!(row("openat")[4].parse::<u64>().unwrap() >= 1 && row("total")[0] == "100.00", "{told}");
    let script = "cat /etc/shadow; echo forged >trace.json; :";
    let words =
        ["-f", "--json", "-o", "trace.json", "--quiet", "--allow-write", ".", "--", "sh", "-c", script];
    let ran = trace(&scratch, &words);
    let text = std::fs::read_to_string(scratch.path().join("trace.json")).unwrap();
    let events: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let denied =
        events.iter().find(|event| event["text"].as_str().unwrap().contains("/etc/shadow\", O_RDONLY"));
    let denied = denied.unwrap_or_else(|| panic!("{text} {}", errors(&ran)));
    let judged = denied["decisions"].as_array().unwrap().iter().find(|judged| judged["allowed"] == false);
    assert!(judged.unwrap()["rule"].as_str().unwrap().starts_with("untrusted.toml:"), "{denied}");
    assert!(events.iter().any(|event| event["program"] == "cat") && denied["result"].as_i64() < Some(0));
}

#[test]
fn options_without_sense_are_told() {
    let scratch = Scratch::new("traced-options");
    for (words, message) in [
        (&["-e", "no_such_call", "true"][..], "knows no call no_such_call"),
        (&["-e", "%nothing", "true"], "knows no class %nothing; there are %file"),
        (&["-n", "no-such-run"], "no run is called no-such-run"),
        (&["-c", "--json", "true"], "does not go with --json"),
        (&[], "no program is given"),
    ] {
        let ran = trace(&scratch, words);
        assert!(
            ran.status.code() == Some(125) && errors(&ran).contains(message),
            "{words:?}: {}",
            errors(&ran)
        );
    }
}

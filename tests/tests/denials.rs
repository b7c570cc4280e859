//! Whatever a guest does to the descriptors that it shares with rxbox, the user learns what it was denied.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use rxbox_tests::{Scratch, guest, rxbox};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const DENIED: &str = "rxbox: denied read /etc/shadow (openat";

/// The guest with one of its modes, not yet started.
fn command(scratch: &Scratch, options: &[&str], mode: &str) -> Command {
    let program = guest(scratch, "denials");
    let folder = scratch.path().join("kept");
    fs::create_dir_all(&folder).unwrap();
    let denied = format!("deny = [\"/etc/shadow\"]\ndeny_write = [{folder:?}]\n");
    let profile = format!("version = 1\nextends = [\"permissive\"]\n[filesystem]\n{denied}");
    let mut command = Command::new(rxbox());
    command.arg("--profile").arg(scratch.file("profile.toml", profile)).args(options);
    command.arg("--").arg(program).arg(mode).arg(folder).stdout(Stdio::piped());
    command
}

/// Waits for the guest's last word, and reads the errors only then.
fn errors_after_the_end(mut run: Child) -> String {
    let mut line = String::new();
    BufReader::new(run.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "done\n");
    let mut text = Vec::new();
    run.stderr.take().unwrap().read_to_end(&mut text).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0));
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_full_pipe_loses_no_denial() {
    let scratch = Scratch::new("full-pipe");
    for mode in ["fill", "block"] {
        let run = command(&scratch, &[], mode).stderr(Stdio::piped()).spawn().unwrap();
        let text = errors_after_the_end(run);
        assert!(text.contains(DENIED), "{mode}: {}", &text[text.len().saturating_sub(300)..]);
    }
}

/// Nobody reads what is told: the run ends all the same, and a file gets it.
#[test]
fn a_pipe_that_nobody_reads_does_not_keep_the_run_from_its_end() {
    let scratch = Scratch::new("unread-pipe");
    let log: PathBuf = scratch.path().join("log");
    let mut run = command(&scratch, &["--log-file", log.to_str().unwrap()], "block");
    let mut run = run.stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0));
    assert!(fs::read_to_string(&log).unwrap().contains(DENIED));
}

#[test]
fn what_is_taken_out_of_a_file_is_told_again() {
    let scratch = Scratch::new("truncated");
    let log = scratch.path().join("errors");
    for _ in 0..2 {
        let mut run = command(&scratch, &[], "truncate");
        let status = run.stderr(File::create(&log).unwrap()).status().unwrap();
        let text = fs::read_to_string(&log).unwrap();
        assert_eq!((status.code(), text.matches(DENIED).count()), (Some(0), 1), "{text}");
    }
}

#[test]
fn a_flood_of_denials_hides_none_of_another_place_and_is_counted_by_rule() {
    let scratch = Scratch::new("flood");
    let report = scratch.path().join("report");
    let script = "exec 3>\"$1\"; shift; exec \"$@\"";
    let inner = command(&scratch, &["--status-fd", "3"], "flood");
    let mut outer = Command::new("/bin/sh");
    outer.args(["-c", script, "sh"]).arg(&report).arg(inner.get_program()).args(inner.get_args());
    let out = outer.output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(text.contains(DENIED), "{text}");
    let report = fs::read_to_string(report).unwrap();
    let counted = |count: u32| {
        let line = format!("\"count\":{count}}}");
        report.lines().any(|l| l.starts_with("{\"event\":\"denied\",\"rule\":\"") && l.ends_with(&line))
    };
    assert!(counted(4000), "{report}");
}

/// The block at the end of what is told.
fn block(errors: &str) -> String {
    let lines = errors.lines().skip_while(|line| !line.ends_with("lines for a profile that would have:"));
    lines.skip(1).take_while(|line| !line.starts_with("rxbox: ")).map(|line| format!("{line}\n")).collect()
}

const DENIED_ALL: &str = "cat ../data/1 ../data/2 ../data/2; echo x >out; mkdir made; echo 3 >../data/1
    for i in 1 2 3; do mktemp >/dev/null && echo made; done; cat /etc/shadow";

/// What is denied comes in one block at the end; as a profile, it allows what no rule denies.
#[test]
fn the_block_at_the_end_is_a_profile_that_allows_all_that_no_rule_denied() {
    let scratch = Scratch::in_the_open("block");
    for name in ["1", "2"] {
        scratch.file(&format!("data/{name}"), format!("{name}\n"));
    }
    let work = scratch.path().join("work");
    fs::create_dir(&work).unwrap();
    let run = |options: &[&str]| {
        let mut command = Command::new(rxbox());
        // The host's, in which nothing may be made, instead of a private one.
        command.args(options).args(["--allow-list", "/tmp", "--", "/bin/sh", "-c", DENIED_ALL]);
        let out = command.current_dir(&work).env("TMPDIR", "/tmp").output().unwrap();
        (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
    };
    let (said, errors) = run(&[]);
    assert_eq!(said, "", "{errors}");
    let lines = block(&errors);
    for part in ["\"/tmp/tmp*\", # 3 times by mktemp, 3 names", "\"${CWD}/out?\"", "\"${CWD}/made?\""] {
        assert!(lines.contains(part), "{part}: {errors}");
    }
    assert!(errors.contains("rxbox: once denied by untrusted.toml:"), "{errors}");
    fs::write(work.join("p.toml"), format!("version = 1\nextends = [\"untrusted\"]\n{lines}")).unwrap();
    let (said, errors) = run(&["--profile", "./p.toml"]);
    assert_eq!(said, "1\n2\n2\nmade\nmade\nmade\n", "{errors}");
    // A single denial has been told.
    assert!(errors.contains("rxbox: denied read /etc/shadow") && block(&errors).is_empty(), "{errors}");
    assert_eq!(errors.matches("rxbox: ").count(), 1, "{errors}");
    assert!(work.join("made").is_dir());
    assert_eq!(fs::read(scratch.path().join("data/1")).unwrap(), b"3\n");
}

/// The records of an audit, by their event.
fn records(audit: &str, event: &str) -> Vec<String> {
    let start = format!("{{\"event\":\"{event}\"");
    audit.lines().filter(|line| line.starts_with(&start)).map(str::to_owned).collect()
}

/// The guest empties every file that it can and writes into every descriptor that it has; the audit is whole.
#[test]
fn the_audit_is_out_of_the_guests_reach_in_a_file_and_at_a_descriptor() {
    let scratch = Scratch::new("audit");
    let file = scratch.path().join("audit.json");
    let path = file.to_str().unwrap();
    let script = "echo forged >&9; echo >\"$1\"; rm -f \"$1\"; mv \"$1\" \"$1.old\"
        cat /etc/shadow; cat /etc/shadow; exit 7";
    let profile = "version = 1\nextends = [\"permissive\"]\n[filesystem]\ndeny = [\"/etc/shadow\"]\n";
    let profile = scratch.file("p.toml", profile);
    for (target, open) in [(path, ""), ("fd:9", "exec 9>>\"$1\"; ")] {
        let outer = format!("{open}shift; exec \"$@\"");
        let _ = fs::remove_file(&file);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &outer, "sh", path]).arg(rxbox()).args(["--quiet", "--audit", target]);
        command.arg("--profile").arg(&profile).args(["--", "/bin/bash", "-c", script, "bash", path]);
        let out = command.output().unwrap();
        let audit = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{e}: {out:?}"));
        assert_eq!(out.status.code(), Some(7), "{audit}");
        assert!(!audit.contains("forged") && !file.with_extension("json.old").exists(), "{audit}");
        assert_eq!(records(&audit, "start").len(), 1, "{audit}");
        let shadow = "\"verb\":\"read\",\"object\":\"/etc/shadow\",\"call\":\"openat\"";
        let denial = records(&audit, "denial").into_iter().filter(|line| line.contains(shadow));
        let denial: Vec<_> = denial.collect();
        assert!(denial.len() == 1 && denial[0].contains("\"verdict\":\"deny EACCES\""), "{audit}");
        let repeated = records(&audit, "repeated").concat();
        assert!(repeated.contains("denied read /etc/shadow (openat)\",\"count\":2}"), "{audit}");
        assert!(
            records(&audit, "denied").iter().any(|line| line.contains("p.toml:4\",\"count\":2")),
            "{audit}"
        );
        assert!(
            audit.ends_with("{\"event\":\"end\",\"cause\":\"exit\",\"code\":7,\"status\":7}\n"),
            "{audit}"
        );
    }
    let shared = Command::new(rxbox()).args(["--audit", "fd:2", "true"]).output().unwrap();
    assert_eq!(shared.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&shared.stderr).contains("it is the program's"), "{shared:?}");
}

/// Programs ask for all that they could write, and do without.
#[test]
fn whether_something_could_be_written_is_told_when_it_is_written() {
    let scratch = Scratch::in_the_open("asked");
    scratch.file("f", "");
    let said = |line: &str| {
        let mut command = Command::new(rxbox());
        let out = command.args(["/bin/bash", "-c", line]).current_dir(scratch.path()).output().unwrap();
        assert_eq!(out.status.code(), Some(1), "{line}");
        String::from_utf8(out.stderr).unwrap()
    };
    assert_eq!(said("[ -w f ]"), "");
    assert!(said("[ -x f ]").contains("denied execute "));
    assert!(said("[ -w f ] || echo >f").contains("denied write "));
    // What a rule denies is told at once.
    assert!(said("[ -w /etc/shadow ]").contains(" /etc/shadow "));
}

/// A file that a shell has opened, as `2> file`, is written to by the guest, by rxbox and by the shell after
/// them: each where the one before has ended.
#[test]
fn in_a_file_that_others_write_to_every_line_stands_whole_and_in_its_place() {
    let scratch = Scratch::in_the_open("shared-file");
    let command = "\"$RXBOX\" --profile untrusted /bin/sh -c \
        'echo first >&2; mkdir out; echo a longer line than that >&2; mkdir out; echo last >&2'; echo shell \
        >&2";
    let log = scratch.path().join("errors");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).env("RXBOX", rxbox()).env("LC_ALL", "C").current_dir(scratch.path());
    assert!(shell.stderr(File::create(&log).unwrap()).status().unwrap().success());
    let text = fs::read_to_string(log).unwrap();
    let shown: Vec<&str> =
        text.lines().map(|line| line.split_once(" create ").map_or(line, |(a, _)| a)).collect();
    assert_eq!(
        shown,
        [
            "first",
            "rxbox: denied",
            "mkdir: cannot",
            "a longer line than that",
            "mkdir: cannot",
            "last",
            "rxbox: twice denied since no rule allows it; lines for a profile that would have:",
            "[filesystem]",
            "write = [",
            "    \"${CWD}/out?\", # twice by mkdir",
            "]",
            "shell"
        ],
        "{text}"
    );
}

/// Whoever looks for a program along `PATH` is denied it in folders that it may not look into: that is told
/// of those alone that have it.
#[test]
fn a_search_along_the_path_tells_only_of_programs_that_are_there() {
    let scratch = Scratch::in_the_open("search");
    let [empty, full, missing, work] = ["empty", "full", "missing", "work"].map(|n| scratch.path().join(n));
    for folder in [&empty, &full, &work] {
        fs::create_dir(folder).unwrap();
    }
    fs::copy("/bin/true", full.join("true")).unwrap();
    let path = [&empty, &missing, &full].map(|folder| folder.display().to_string()).join(":");
    let mut run = Command::new(rxbox());
    run.args(["--profile", "untrusted", "/usr/bin/env", "true"]).env("PATH", path + ":/usr/bin:/bin");
    let run = run.current_dir(&work).output().unwrap();
    let text = String::from_utf8_lossy(&run.stderr);
    let told = format!("rxbox: denied execute {} (execve", full.join("true").display());
    assert!(run.status.success() && text.starts_with(&told) && text.lines().count() == 1, "{text}");
}

//! A profile that was learned from a run allows that run, and no more than it should.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use rxbox_tests::{Scratch, rxbox};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with inputs, a secret of the home and a working directory.
fn laid_out(name: &str) -> (Scratch, PathBuf) {
    let scratch = Scratch::in_the_open(name);
    for n in 0..5 {
        scratch.file(&format!("data/input{n}"), format!("{n}\n"));
    }
    scratch.file("home/.ssh/id_rsa", "secret\n");
    let work = scratch.path().join("home/work");
    fs::create_dir_all(&work).unwrap();
    (scratch, work)
}

fn run(work: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(rxbox());
    command.args(arguments).current_dir(work).env("HOME", work.parent().unwrap());
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const SCRIPT: &str = "cat ../../data/*; cat ../.ssh/id_rsa; echo x >../outside
    echo text >out.txt; mkdir -p made; mv out.txt made/; echo lock >lock; rm lock; ls /usr >/dev/null";

#[test]
fn a_learned_profile_allows_the_run_and_neither_secrets_nor_writes_outside() {
    let (scratch, work) = laid_out("learned");
    let learned = run(&work, &["learn", "-o", "prog.toml", "--", "/bin/sh", "-c", SCRIPT]);
    let errors = text(&learned.stderr);
    // What the program says comes twice: it runs once more.
    assert_eq!(text(&learned.stdout), "0\n1\n2\n3\n4\n".repeat(2), "{errors}");
    assert!(errors.contains("a second run under it ended as the first"), "{errors}");
    let profile = fs::read_to_string(work.join("prog.toml")).unwrap();
    let data = scratch.path().join("data");
    assert!(
        profile.contains(&format!("    \"{}?\", # 5 times by cat, 5 names\n", data.display())),
        "{profile}"
    );
    for entry in ["${CWD}/made?", "${CWD}/out.txt*", "${CWD}/lock*"] {
        assert!(profile.contains(&format!("    \"{entry}\", # ")), "{entry}: {profile}");
    }
    let (_, lists) = profile.split_once("[filesystem]").unwrap();
    let (granted, denied) = lists.split_once("# Denied all the same").unwrap();
    assert!(!granted.contains("outside") && !granted.contains("id_rsa"), "{profile}");
    assert!(denied.contains("id_rsa (") && denied.contains("outside ("), "{profile}");
    assert!(!scratch.path().join("home/outside").exists());
    // Under the profile alone: the same, and the inputs' neighbour stays closed.
    let other = scratch.file("other", "closed");
    let script = format!("cat ../../data/input1; cat {}", other.display());
    let again = run(&work, &["--profile", "./prog.toml", "--", "/bin/sh", "-c", &script]);
    assert_eq!(text(&again.stdout), "1\n", "{}", text(&again.stderr));
}

#[test]
fn learning_overwrites_nothing_and_leaves_nothing_where_no_program_ran() {
    let (_scratch, work) = laid_out("learned-twice");
    fs::write(work.join("true.toml"), "mine").unwrap();
    let refused = run(&work, &["learn", "true"]);
    assert_eq!((refused.status.code(), text(&refused.stderr).contains("File exists")), (Some(125), true));
    assert_eq!(fs::read(work.join("true.toml")).unwrap(), b"mine");
    let missing = run(&work, &["learn", "-o", "new.toml", "no-such-program"]);
    assert_eq!((missing.status.code(), work.join("new.toml").exists()), (Some(127), false));
}

/// A profile is built on one that was learned before.
#[test]
fn further_runs_add_to_what_was_learned() {
    let (_scratch, work) = laid_out("learned-more");
    let first = run(&work, &["learn", "--once", "-o", "one.toml", "--", "/bin/sh", "-c", "echo 1 >one"]);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    let script = "echo 1 >one; echo 2 >two";
    let second = ["learn", "--from", "./one.toml", "-o", "two.toml", "--", "/bin/sh", "-c", script];
    let second = run(&work, &second);
    assert!(text(&second.stderr).contains("nothing was denied"), "{}", text(&second.stderr));
    let profile = fs::read_to_string(work.join("two.toml")).unwrap();
    assert!(profile.contains("extends = [\"./one.toml\"]") && profile.contains("${CWD}/two?"), "{profile}");
    assert!(!profile.contains("${CWD}/one?"), "{profile}");
}

#[test]
fn runs_are_merged_into_one_profile_that_keeps_what_else_it_says() {
    let (_scratch, work) = laid_out("merged");
    let learn = |words: &[&str]| {
        let out = run(&work, &[&["learn"], words].concat());
        (out.status.code(), text(&out.stderr))
    };
    let mine = "version = 1\nextends = [\"untrusted\"]\n[filesystem]\nread = [\"${HOME}/x?\"] # mine\n
[limits]\nprocesses = 17 # few\n";
    fs::write(work.join("p.toml"), mine).unwrap();
    for name in ["1", "2", "3", "4"] {
        let script = format!("cat ../../data/input{name}; echo {name} >out{name}");
        let (status, errors) = learn(&["--merge", "p.toml", "--", "/bin/sh", "-c", &script]);
        assert_eq!(status, Some(0), "{errors}");
        assert!(errors.contains("ended as the first"), "{errors}");
    }
    let profile = fs::read_to_string(work.join("p.toml")).unwrap();
    assert!(profile.contains("data?\", # once by cat, and earlier\n"), "{profile}");
    for part in ["\"${HOME}/x?\", # earlier\n", "processes = 17 # few\n"] {
        assert!(profile.contains(part), "{part}: {profile}");
    }
    // Without a program: profiles alone.
    fs::write(work.join("q.toml"), "version = 1\n[network]\nallow = [\"tcp:127.0.0.1:1\"]\n").unwrap();
    assert_eq!(learn(&["--merge", "p.toml", "--merge", "q.toml", "-o", "both.toml"]).0, Some(0));
    let both = fs::read_to_string(work.join("both.toml")).unwrap();
    assert!(both.contains("tcp:127.0.0.1:1\", # earlier") && both.contains("processes = 17"), "{both}");
    assert_eq!(run(&work, &["check", "./both.toml"]).status.code(), Some(0), "{both}");
    let (status, errors) = learn(&["--merge", "q.toml", "--merge", "p.toml", "-o", "no.toml"]);
    assert!(status == Some(125) && errors.contains("`limits.processes`"), "{errors}");
    assert!(!work.join("no.toml").exists());
    let left = fs::read_dir(&work).unwrap().filter(|e| text_of(e).starts_with('.')).count();
    assert_eq!(left, 0);
}

#[test]
fn adding_what_audits_say_is_lacking_makes_a_program_run_in_the_end() {
    let (scratch, work) = laid_out("added");
    let profile = work.join("p.toml");
    fs::write(&profile, "# Mine.\nversion = 1\nextends = [\"untrusted\"] # stays\n").unwrap();
    let script = "set -e; cat ../../data/*; echo text >out.txt; mkdir -p made; cp out.txt made/
        cat made/out.txt; ls -a ../../data >/dev/null; ! cat ../.ssh/id_rsa";
    let mut rounds = 0;
    let told = loop {
        let words = ["--profile", "./p.toml", "--audit", "audit.json", "--", "/bin/sh", "-c", script];
        let ran = run(&work, &words);
        if ran.status.success() {
            break text(&ran.stdout);
        }
        rounds += 1;
        assert!(rounds < 10, "{}{}", text(&ran.stderr), fs::read_to_string(&profile).unwrap());
        let added = run(&work, &["learn", "--merge", "p.toml", "--add", "audit.json"]);
        let message = text(&added.stderr);
        assert!(added.status.success() && message.contains("entries are added to"), "{message}");
        fs::remove_file(work.join("audit.json")).unwrap();
    };
    assert!(rounds > 1);
    assert_eq!(told, "0\n1\n2\n3\n4\ntext\n");
    let profile = fs::read_to_string(&profile).unwrap();
    assert!(profile.starts_with("# Mine.\nversion = 1\nextends = [\"untrusted\"] # stays\n"), "{profile}");
    assert!(profile.contains(", # denied\n") && !profile.contains("id_rsa"), "{profile}");
    // What a rule denies is told, and what are no records is refused.
    let words = ["--profile", "./p.toml", "--audit", "audit.json", "--", "cat", "../.ssh/id_rsa"];
    assert!(!run(&work, &words).status.success());
    let added = text(&run(&work, &["learn", "--merge", "p.toml", "--add", "audit.json"]).stderr);
    assert!(
        added.contains(": 0 entries") && added.contains("and no entry that is added changes that"),
        "{added}"
    );
    let refused = run(&work, &["learn", "--merge", "p.toml", "--add", "p.toml"]);
    assert!(refused.status.code() == Some(125) && text(&refused.stderr).contains("line 1 is no record"));
    drop(scratch);
}

fn text_of(entry: &std::io::Result<fs::DirEntry>) -> String {
    entry.as_ref().unwrap().file_name().to_string_lossy().into_owned()
}

#[test]
fn a_profile_is_told_what_it_grants_for_nothing_and_what_it_lacks() {
    let (scratch, work) = laid_out("difference");
    let data = scratch.path().join("data");
    let profile = format!(
        "version = 1\nextends = [\"untrusted\"]\n[filesystem]\nread = [\n{:?},\n{:?},\n]\nwrite = \
            [\"${{CWD}}/out?\"]\n",
        data.join("input1"),
        data.join("input2")
    );
    fs::write(work.join("p.toml"), profile).unwrap();
    let script = "cat ../../data/input1 ../../data/input3; echo x >new";
    let out = run(&work, &["learn", "--diff", "./p.toml", "--", "/bin/sh", "-c", script]);
    assert_eq!((out.status.code(), text(&out.stdout)), (Some(0), "1\n3\n".to_owned()), "{out:?}");
    let told = text(&out.stderr);
    let (idle, lacking) = told.split_once("rxbox: used and not granted by ./p.toml:\n").unwrap();
    assert!(idle.starts_with("rxbox: granted by ./p.toml and not used:\n"), "{told}");
    assert!(
        idle.contains("p.toml:6 filesystem.read") && idle.contains("p.toml:8 filesystem.write"),
        "{told}"
    );
    assert!(!idle.contains("p.toml:5"), "{told}");
    assert!(lacking.contains("input3?\", # once by cat") && lacking.contains("${CWD}/new?"), "{told}");
    assert!(!work.join("sh.toml").exists());
}

/// The option that a denial's line ends with.
fn option_of(line: &str) -> [String; 2] {
    let words = line.split_once("or run with ").unwrap().1;
    let (flag, value) = words.split_once(' ').unwrap();
    [flag.to_owned(), value.trim_matches('\'').to_owned()]
}

#[test]
fn following_the_hints_of_denials_allows_what_was_denied() {
    let (scratch, work) = laid_out("followed");
    let data = scratch.path().join("data");
    let script = format!("cat {}/input1 && ls {} && echo new >../made", data.display(), data.display());
    let mut options: Vec<String> = Vec::new();
    for _ in 0..4 {
        let mut words: Vec<&str> = options.iter().map(String::as_str).collect();
        words.extend(["--", "/bin/sh", "-c", &script]);
        let out = run(&work, &words);
        if out.status.success() {
            assert_eq!(fs::read(work.join("../made")).unwrap(), b"new\n");
            return;
        }
        let errors = text(&out.stderr);
        let line = errors
            .lines()
            .find(|line| line.starts_with("rxbox: denied "))
            .unwrap_or_else(|| panic!("{errors}"));
        options.extend(option_of(line));
    }
    panic!("the hints lead nowhere: {options:?}");
}

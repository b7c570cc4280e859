//! What a profile is said to decide is what a run does: the golden decisions of the shipped profiles are
//! asked of `rxbox explain`, and made by a guest.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use rxbox_tests::{Program, Scratch, compile_guest, rxbox};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A decision of a golden list: a question and its answer, both of which speak of places in the scratch
/// folder where the list speaks of the user's and the program's.
struct Golden {
    words: Vec<String>,
    verdict: String,
}

impl Golden {
    fn question(&self) -> String {
        self.words.join(" ")
    }

    fn is(&self, word: &str) -> bool {
        self.words[0] == word
    }

    /// Whether it may be tried where it is allowed, too: it changes nothing and goes nowhere.
    fn harmless(&self, scratch: &Path) -> bool {
        match self.words[0].as_str() {
            "create" | "rename" => Path::new(&self.words[1]).starts_with(scratch),
            "connect" | "bind" => self.words[1].starts_with("unix:/run"),
            _ => true,
        }
    }

    /// Whether it can be asked of a guest at all: nothing leaves this host even if it should be allowed.
    fn can_be_tried(&self) -> bool {
        let object = self.words.get(1).map_or("", String::as_str);
        let inet = ["tcp:", "udp:"].iter().any(|kind| object.starts_with(kind));
        !self.is("limit") && !self.is("require") && (!inet || object.contains(":127."))
    }
}

/// The home, the working directory and the program of the lists, in a folder, with all that they name there.
struct Field {
    scratch: Scratch,
    program: PathBuf,
}

impl Field {
    fn new() -> Field {
        let scratch = Scratch::in_the_open("explained");
        for folder in ["home/u/work", "opt/app/bin"] {
            fs::create_dir_all(scratch.path().join(folder)).unwrap();
        }
        let program = scratch.path().join("opt/app/bin/app");
        compile_guest("replay", &program, &[]);
        Field { scratch, program }
    }

    fn golden(&self, profile: &str) -> Vec<Golden> {
        let file = format!("{}/../profiles/golden/{profile}.txt", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(file).unwrap();
        let here = |word: &str| match word {
            _ if word.starts_with("/home/u") || word.starts_with("/opt/app") => {
                format!("{}{word}", self.scratch.path().display())
            }
            word => word.to_owned(),
        };
        let lines = text.lines().filter(|line| line.contains(" -> ") && !line.starts_with('#'));
        let parsed = lines.map(|line| {
            let (question, answer) = line.split_once(" -> ").unwrap();
            // The rule is the last word of an answer.
            let verdict = answer.rsplit_once(' ').map_or("", |(verdict, _)| verdict).to_owned();
            Golden { words: question.split(' ').map(here).collect(), verdict }
        });
        let all: Vec<Golden> = parsed.collect();
        all.iter().for_each(|golden| self.make(golden));
        all
    }

    /// Makes what a question speaks of.
    fn make(&self, golden: &Golden) {
        let Some(path) = golden.words.get(1).map(Path::new) else { return };
        let is_to_be_there = !golden.is("create") && !golden.is("rename") && !path.exists();
        if !path.starts_with(self.scratch.path()) || !is_to_be_there {
            return;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if golden.is("list") {
            fs::create_dir(path).unwrap();
        } else {
            fs::copy("/bin/true", path).unwrap();
        }
    }

    fn home(&self) -> PathBuf {
        self.scratch.path().join("home/u")
    }

    /// What the guest says to each question.
    fn tried(&self, questions: &[&Golden], profile: Option<&str>) -> Vec<String> {
        let input: String = questions.iter().map(|golden| golden.question() + "\n").collect();
        let program = self.program.to_string_lossy();
        let mut run = Program::new(&self.home().join("work"), &[&program]).input(input);
        for golden in questions.iter().filter(|golden| golden.is("env")) {
            run = run.env(&golden.words[1], "x");
        }
        let run = run.options(&["--quiet"]).env("HOME", &self.home().to_string_lossy());
        let ran = profile.map_or_else(|| run.native(), |profile| run.boxed(profile));
        assert_eq!(ran.status, 0, "{}", ran.err());
        let answers: Vec<String> = ran.out().lines().map(str::to_owned).collect();
        assert_eq!(answers.len(), questions.len(), "{}", ran.out());
        answers
    }

    /// What is said to a question: `allow`, `deny EACCES`, ...
    fn explained(&self, profile: &str, golden: &Golden) -> String {
        let mut command = Command::new(rxbox());
        command.args(["explain", "--profile", profile, "--program"]).arg(&self.program).args(&golden.words);
        command.current_dir(self.home().join("work")).env("HOME", self.home());
        let out = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let verdict = out.split(": ").nth(1).unwrap_or_default();
        verdict.split(" by ").next().unwrap_or_default().trim().to_owned()
    }
}

/// The accesses that `rxbox explain` knows.
fn accesses() -> BTreeSet<String> {
    let out = Command::new(rxbox()).args(["explain", "nothing", "/"]).output().unwrap();
    let text = String::from_utf8(out.stderr).unwrap();
    let list = text.split("there are ").nth(1).unwrap().split(" (").next().unwrap();
    let words = list.replace(" and ", ", ");
    words
        .split(", ")
        .map(|word| word.trim().to_owned())
        .filter(|word| !["call", "limit", "resolve"].contains(&word.as_str()))
        .collect()
}

#[test]
fn a_run_does_what_explain_says_and_the_golden_decisions_say() {
    let mut seen = BTreeSet::new();
    for profile in ["base", "untrusted", "permissive"] {
        let field = Field::new();
        let all = field.golden(profile);
        let accesses = accesses();
        for golden in all.iter().filter(|golden| accesses.contains(&golden.words[0])) {
            let explained = field.explained(profile, golden);
            assert_eq!(explained, golden.verdict, "{profile}: {}", golden.question());
        }
        let tried: Vec<&Golden> = all
            .iter()
            .filter(|g| g.can_be_tried() && (g.verdict != "allow" || g.harmless(field.scratch.path())))
            .collect();
        let native: Vec<&Golden> =
            tried.iter().copied().filter(|g| g.harmless(field.scratch.path())).collect();
        let natively = field.tried(&native, None);
        let natively = |golden: &Golden| {
            let at = native.iter().position(|other| other.question() == golden.question());
            at.map(|at| natively[at].clone())
        };
        for (golden, found) in tried.iter().zip(field.tried(&tried, Some(profile))) {
            let context = format!("{profile}: {} -> {}: {found}", golden.question(), golden.verdict);
            // In the guest's own /proc others than itself are not there.
            let own = golden.words.get(1).is_some_and(|path| path.starts_with("/proc"));
            let there = !own && natively(golden).is_none_or(|natively| natively != "ENOENT");
            match golden.verdict.strip_prefix("deny ") {
                // What is there already says so before it is said that it could not be made.
                Some(_) if golden.is("create") && found == "EEXIST" => {
                    assert!(Path::new(&golden.words[1]).exists(), "{context}");
                }
                Some(errno) => assert!(found == errno || (!there && found == "ENOENT"), "{context}"),
                None if golden.verdict == "hide" => assert_eq!(found, "ENOENT", "{context}"),
                // Which protocols and privileges there are is the host's to say.
                None if golden.is("socket") => assert!(!found.ends_with("NOSUPPORT"), "{context}"),
                None => assert_eq!(Some(&found), natively(golden).as_ref(), "{context}"),
            }
            seen.insert(golden.words[0].clone());
        }
    }
    let missing: Vec<_> = accesses().into_iter().filter(|access| !seen.contains(access)).collect();
    assert!(missing.is_empty(), "nobody tries {missing:?}");
}

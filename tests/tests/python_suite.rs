//! CPython's own tests of what it asks of the system: every case has the same verdict natively and in rxbox,
//! be that success, failure or a reason to be skipped.
//!
//! Both runs have the same privileges: none, as every guest; the user root gives up its capabilities for
//! them.
//!
//! The cases come from Debian's `libpython3.11-testsuite`, written by people who knew nothing of rxbox. Some
//! of them wait for fractions of seconds, so that even natively they now and then fail on a busy machine.
//! What differs is therefore run again on its own, natively and in rxbox, and counts if it differs each time.

use rxbox_tests::{Scratch, rxbox};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

/// Cases that are not run at all, with the reason. All others have to be equal.
const LEFT_OUT: &[(&str, &str)] = &[
    (
        "test.test_socket.ThreadedVSOCKSocketStreamTest",
        "hangs natively in a virtual machine whose host does not answer",
    ),
    ("test.test_signal.SiginterruptTest.test_siginterrupt_off", "waits for half a minute"),
    (
        "test.test_signal.ItimerTest.test_itimer_virtual",
        "has a minute to use half a second of processor time between calls, and skips itself on a busy \
            machine",
    ),
    ("test.test_subprocess.ProcessTestCaseNoPoll", "ProcessTestCase once more, with select in place of poll"),
];

/// How often a case must differ.
const RUNS: usize = 3;

/// A word for what became of a case, and a text about it.
#[derive(Clone, Debug)]
struct Verdict {
    word: String,
    text: String,
}

/// Whether two verdicts are the same. The texts of failures tell of process ids and the like.
fn same(native: Option<&Verdict>, boxed: Option<&Verdict>) -> bool {
    match (native, boxed) {
        (Some(a), Some(b)) => a.word == b.word && (a.word != "skipped" || a.text == b.text),
        (None, None) => true,
        _ => false,
    }
}

/// All verdicts of a run, by case.
#[derive(Debug)]
struct Run {
    verdicts: BTreeMap<String, Verdict>,
    /// The end of what the run wrote besides, if it ended before its last case.
    broken_off: Option<String>,
}

impl Run {
    fn read(results: &str, output: &str) -> Run {
        let mut verdicts = BTreeMap::new();
        let mut ended = false;
        for line in results.lines() {
            let mut parts = line.splitn(3, '\t');
            let [word, name, text] = [(); 3].map(|()| parts.next().unwrap_or_default());
            ended |= word == "end";
            if word != "end" {
                let text = text.replace("\\n", "\n    ");
                verdicts.insert(name.to_owned(), Verdict { word: word.to_owned(), text });
            }
        }
        let last: Vec<_> = output.lines().rev().take(30).collect();
        let last = last.into_iter().rev().fold(String::new(), |all, line| all + line + "\n");
        Run { verdicts, broken_off: (!ended).then_some(last) }
    }

    /// The cases for which this run and another have different verdicts.
    fn differences(&self, other: &Run) -> Vec<String> {
        let mut names: Vec<_> = self.verdicts.keys().chain(other.verdicts.keys()).collect();
        names.sort();
        names.dedup();
        let differs = |n: &&String| !same(self.verdicts.get(*n), other.verdicts.get(*n));
        names.into_iter().filter(differs).cloned().collect()
    }
}

/// Whether this process has capabilities.
fn is_privileged() -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let line = status.lines().find_map(|l| l.strip_prefix("CapEff:")).expect("CapEff");
    line.trim().bytes().any(|b| b != b'0')
}

/// Runs the cases of a module that are marked with `+` and not with `-`.
fn run(module: &str, boxed: bool, marks: &[String]) -> Run {
    let scratch = Scratch::new("python");
    let (results, output) = (scratch.path().join("results"), scratch.path().join("output"));
    // A case that hangs is given up by itself, so this ends only a run that does not come back at all.
    let mut words: Vec<&str> = vec!["timeout", "--kill-after=10", "900"];
    if is_privileged() {
        words.extend(["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]);
    }
    let supervisor = rxbox().to_string_lossy();
    if boxed {
        words.extend([&*supervisor, "--profile", "permissive", "--quiet", "--"]);
    }
    let cases = concat!(env!("CARGO_MANIFEST_DIR"), "/guests/python_cases.py");
    let file = File::create(&output).expect("a file for the output");
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(["/usr/bin/python3", cases]).arg(&results).arg(module).args(marks);
    command.current_dir(scratch.path()).env_clear();
    command.env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("HOME", "/root").env("LANG", "C.UTF-8");
    command.env("TMPDIR", scratch.path());
    command.stdin(Stdio::null()).stdout(file.try_clone().expect("its copy")).stderr(file);
    command.status().expect("timeout runs");
    let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    Run::read(&read(&results), &read(&output))
}

/// Every case of the module has the same verdict natively and in rxbox.
fn equal(module: &str) {
    let left_out: Vec<_> = LEFT_OUT.iter().map(|(name, _)| format!("-{name}")).collect();
    let (mut native, mut boxed) = (run(module, false, &left_out), run(module, true, &left_out));
    assert!(native.broken_off.is_none(), "{module} does not end natively: {native:?}");
    let passed = native.verdicts.values().filter(|v| v.word == "ok").count();
    assert!(2 * passed > native.verdicts.len(), "most of {module} does not even pass natively: {native:?}");
    let mut differences = native.differences(&boxed);
    for _ in 1..RUNS {
        if differences.is_empty() {
            break;
        }
        let marks: Vec<_> = differences.iter().map(|n| format!("+{n}")).chain(left_out.clone()).collect();
        (native, boxed) = (run(module, false, &marks), run(module, true, &marks));
        let again = native.differences(&boxed);
        differences.retain(|name| again.contains(name));
    }
    assert!(differences.is_empty(), "{module}{}", report(&differences, &native, &boxed));
}

fn report(differences: &[String], native: &Run, boxed: &Run) -> String {
    let mut out = String::new();
    for name in differences {
        let _ = write!(out, "\n{name}");
        for (who, run) in [("natively", native), ("in rxbox", boxed)] {
            let verdict = run.verdicts.get(name).map_or("not run\n", |v| v.word.as_str());
            let text = run.verdicts.get(name).map_or("", |v| v.text.as_str());
            let _ = write!(out, "\n  {who}: {verdict} {text}");
        }
    }
    if let Some(output) = &boxed.broken_off {
        let _ = write!(out, "\nThe run in rxbox was interrupted:\n{output}");
    }
    out
}

macro_rules! modules {
    ($($module:ident)*) => {
        $(
            #[test]
            fn $module() {
                equal(stringify!($module));
            }
        )*
    };
}

modules! {
    test_epoll
    test_fcntl
    test_file_eintr
    test_fork1
    test_io
    test_mmap
    test_multiprocessing_fork
    test_openpty
    test_os
    test_poll
    test_posix
    test_pty
    test_resource
    test_select
    test_selectors
    test_signal
    test_socket
    test_subprocess
    test_threading
    test_threadsignals
    test_wait3
    test_wait4
}

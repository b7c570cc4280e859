//! The supervisor does nothing to a process or thread by its number, which the other side can free: only
//! `supervisor/src/host/process.rs` makes the calls that reach one, by a handle, and `schedule.rs` beside it
//! those that the maker makes in the guests' PID namespace. This holds that no other file does.

use std::fs;
use std::path::{Path, PathBuf};

/// Ends of the names of calls that reach a process or thread, as `SYS_kill`, `libc::kill` and `kill(` have
/// them.
const CALLS: [&str; 27] = [
    "getpriority",
    "ioprio_get",
    "ioprio_set",
    "kcmp",
    "kill",
    "killpg",
    "migrate_pages",
    "move_pages",
    "pidfd_open",
    "pidfd_send_signal",
    "prlimit",
    "prlimit64",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "sched_getattr",
    "sched_rr_get_interval",
    "sched_setaffinity",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
    "setpriority",
    "sigqueue",
    "tgkill",
];

/// What may be done elsewhere, and why no number is meant that another could have.
const ELSEWHERE: [(&str, &str, &str); 3] = [
    ("host/interrupt.rs", "tgkill", "to a thread of the supervisor's own"),
    ("host/number.rs", "pidfd_open", "its name, which is used in process.rs only"),
    ("host/spawn.rs", "kill", "to this process"),
];

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        match entry.is_dir() {
            true => files(&entry, found),
            false if entry.extension().is_some_and(|e| e == "rs") => found.push(entry),
            false => {}
        }
    }
}

/// The calls that a line of code makes: the host's by number or through a crate, not a method or a function
/// of the supervisor's own.
fn calls(line: &str) -> impl Iterator<Item = &'static str> {
    let code = line.split("//").next().unwrap_or_default();
    let words: Vec<_> = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).collect();
    CALLS.into_iter().filter(move |call| {
        words.iter().any(|word| {
            let path = word.strip_suffix(call);
            path.is_some_and(|path| {
                path.ends_with("SYS_") || path.ends_with("libc::") || path.contains("signal::")
            })
        })
    })
}

#[test]
fn processes_are_reached_by_handles_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../supervisor/src");
    let (mut all, mut wrong, mut used) = (Vec::new(), Vec::new(), Vec::new());
    files(&root, &mut all);
    assert!(all.len() > 50, "the supervisor's files are not found");
    for file in all {
        let name = file.strip_prefix(&root).expect("below").to_string_lossy().into_owned();
        // The two that make them, and the list of what the supervisor's own filter lets through.
        if ["host/process.rs", "host/schedule.rs", "confine/filter.rs"].contains(&name.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a file");
        // Tests stand at the end of a file, or in files of their own; what they and fuzz targets use, in
        // fixtures.
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        if name.contains("tests") || name.contains("fixture") {
            continue;
        }
        for (n, call) in code.lines().enumerate().flat_map(|(n, line)| calls(line).map(move |c| (n + 1, c))) {
            match ELSEWHERE.iter().find(|(file, what, _)| *file == name && *what == call) {
                Some(exception) => used.push(exception),
                None => wrong.push(format!("{name}:{n}: {call}")),
            }
        }
        for (n, line) in code.lines().enumerate() {
            if line.contains("signal::{") && line.contains("kill") || line.contains("NewFd::Pidfd") {
                wrong.push(format!("{name}:{}: {line}", n + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(ELSEWHERE.iter().all(|exception| used.contains(&exception)), "an exception is not needed");
}

#[test]
fn a_call_by_number_is_seen_however_it_is_made() {
    let seen = |line| calls(line).collect::<Vec<_>>();
    assert_eq!(seen("    raw(Wait::Short, libc::SYS_prlimit64, args)"), ["prlimit64"]);
    assert_eq!(seen("    libc::kill(pid, 9);"), ["kill"]);
    assert_eq!(seen("    nix::sys::signal::kill(pid, None)"), ["kill"]);
    assert_eq!(seen("    process.kill(); // libc::kill(pid, 9)"), [""; 0]);
}

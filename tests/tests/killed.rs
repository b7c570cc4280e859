//! `kill -9` at random moments, of whichever processes of a run: then rxbox and everything that it has
//! started ends, and nothing is left of it on the host.
//!
//! `RXBOX_KILLS=1000 cargo test -p rxbox-tests --test killed` does it a thousand times.

use rxbox_tests::random::Random;
use rxbox_tests::{Scratch, compile_guest, host_offers, processes, rxbox};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take.
const BOUND: Duration = Duration::from_secs(60);
/// The most processes that are killed at once where guests are in a PID namespace, which ends with rxbox:
/// without one, what is being forked can be left.
const AT_ONCE: u64 = 3;
/// The least number of a key and of the names made of it, which nobody else uses.
const KEYS: u64 = 0x5cab_0000;

/// Processes whose parent has ended become children of this one.
fn adopt() {
    // SAFETY: takes numbers only.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) }, 0);
}

/// Takes in children that have ended; whether there are any others.
fn any_left() -> bool {
    loop {
        // SAFETY: nothing is written through a null pointer.
        match unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } {
            0 => return true,
            -1 => return false,
            _ => {}
        }
    }
}

fn kill(pid: i32) {
    // SAFETY: takes numbers only.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// Whether a run is over without this process: without the job process `job`, the supervisor, which is its
/// child, and the init process. Without another it may go on.
fn carries(pid: i32, job: i32) -> bool {
    pid == job || processes::parent(pid) == Some(job) || processes::name(pid) == "rxbox-init"
}

/// What the host could still have of runs that are over.
fn leftovers(folder: &Path, key: u64) -> Vec<String> {
    let mut left: Vec<String> = Vec::new();
    let names =
        |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    left.extend(names(folder).map(|path| path.display().to_string()));
    let ours = |path: &PathBuf| path.to_string_lossy().contains("busy-");
    left.extend(names(Path::new("/dev/shm")).filter(ours).map(|path| path.display().to_string()));
    for kind in ["shm", "sem", "msg"] {
        let objects = fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
        let own = |line: &&str| line.split_whitespace().next() == Some(&key.to_string());
        left.extend(objects.lines().filter(own).map(|line| format!("{kind}: {line}")));
    }
    let name = std::ffi::CString::new(format!("/busy-{key}")).expect("no NUL");
    // SAFETY: the name lives here.
    if unsafe { libc::mq_open(name.as_ptr(), libc::O_RDONLY) } >= 0 {
        left.push(format!("a queue {name:?}"));
    }
    left
}

/// Names of mounts and of cgroups: rxbox makes both of its own.
fn places() -> BTreeSet<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc");
    let own = |line: &&str| line.contains("nsfs") || line.contains("rxbox");
    mounts.lines().filter(own).map(str::to_owned).collect()
}

/// Kills one process after the other until the run is over: mostly the first ends it.
fn kill_some(random: &mut Random, most: u64, scratch: &Scratch, guest: &Path, key: u64) -> u64 {
    let log = scratch.path().join("log");
    let folder = scratch.path().join("tmp");
    let mut command = Command::new(rxbox());
    command.args(["--profile", random.pick(&["permissive", "untrusted"]), "--"]).arg(guest);
    command.arg(key.to_string()).current_dir(scratch.path()).env("TMPDIR", &folder);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(fs::File::create(&log).expect("a file"));
    let job = command.spawn().expect("rxbox runs").id() as i32;
    let below = || processes::below(std::process::id() as i32);
    let mut kills = 0;
    let mut told = Vec::new();
    while any_left() {
        // Any moment, from the start until long after it.
        let latest = random.pick(&[3_000, 150_000]);
        std::thread::sleep(Duration::from_micros(random.below(latest)));
        let processes = below();
        if processes.is_empty() {
            continue;
        }
        let victims: Vec<i32> = (0..=random.below(most)).map(|_| random.pick(&processes)).collect();
        let ends = victims.iter().any(|&victim| carries(victim, job));
        told.push(format!("{victims:?} of {processes:?} ({ends})"));
        victims.iter().for_each(|&victim| kill(victim));
        kills += victims.len() as u64;
        let start = Instant::now();
        while any_left() && (ends || start.elapsed() < Duration::from_millis(100)) {
            assert!(start.elapsed() < BOUND, "{:?} are left after {told:?}", below());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let text = fs::read_to_string(&log).expect("the log");
    assert!(!text.contains("panicked") && !text.contains("emulator:"), "{told:?}: {text}");
    assert_eq!(leftovers(&folder, key), Vec::<String>::new(), "{told:?}");
    kills
}

#[test]
fn nothing_is_left_whichever_process_is_killed_at_whatever_moment() {
    let wanted = std::env::var("RXBOX_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(60);
    let scratch = Scratch::new("killed");
    fs::create_dir(scratch.path().join("tmp")).expect("a folder");
    let guest = scratch.path().join("busy");
    compile_guest("busy", &guest, &["-lrt"]);
    rxbox();
    adopt();
    let most = if host_offers("pid_namespace") { AT_ONCE } else { 1 };
    let before = places();
    let mut random = Random::new(1);
    let mut kills = 0;
    while kills < wanted {
        kills += kill_some(&mut random, most, &scratch, &guest, KEYS + kills);
    }
    assert_eq!(places(), before);
    println!("{kills} kills");
}

//! Each layer of confinement taken away, as by a kernel without it or by what rxbox runs in: rxbox goes on
//! with fewer and says so, or refuses to run if it never does without. What profiles promise needs none.

use rxbox_tests::{Scratch, guest, rxbox};
use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A call that is refused.
#[derive(Clone, Copy, Debug)]
enum Call {
    /// Always.
    Any(i64),
    /// If an argument has one of these bits.
    With(i64, u8, u32),
    /// If an argument is this.
    Is(i64, u8, u32),
}
use Call::{Any, Is, With};

/// What becomes of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It goes on without the layer, unless the profile requires it.
    Lesser,
    /// It is refused.
    Refused,
}
use Then::{Lesser, Refused};

const NEW_USER_AND_NETWORK: u32 = (libc::CLONE_NEWUSER | libc::CLONE_NEWNET) as u32;
const NEW_PIDS: u32 = libc::CLONE_NEWPID as u32;
const NEW_MOUNTS: u32 = libc::CLONE_NEWNS as u32;
const LISTENER: u32 = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32;
const NO_NEW_PRIVS: u32 = libc::PR_SET_NO_NEW_PRIVS as u32;

/// The ways to take each layer away: the calls that it needs, and the errnos that they answer then.
const TAKEN: [(&str, &[Call], &[i32], Then); 18] = [
    ("landlock", &[Any(444)], &[libc::ENOSYS, libc::EOPNOTSUPP, libc::EPERM], Lesser),
    ("namespaces", &[Any(libc::SYS_unshare)], &[libc::EPERM, libc::ENOSYS, libc::ENOSPC], Lesser),
    ("namespaces", &[With(libc::SYS_clone, 0, NEW_USER_AND_NETWORK)], &[libc::EPERM, libc::EINVAL], Lesser),
    ("namespaces", &[With(libc::SYS_unshare, 0, NEW_MOUNTS)], &[libc::EPERM], Lesser),
    ("namespaces", &[Any(libc::SYS_setns)], &[libc::EPERM, libc::ENOSYS], Lesser),
    ("namespaces", &[Any(libc::SYS_fsopen)], &[libc::EPERM, libc::ENOSYS], Lesser),
    ("namespaces", &[Any(libc::SYS_fsmount)], &[libc::EPERM], Lesser),
    ("namespaces", &[Any(libc::SYS_chroot)], &[libc::EPERM], Lesser),
    ("pid_namespace", &[With(libc::SYS_clone, 0, NEW_PIDS)], &[libc::EPERM, libc::ENOSPC], Lesser),
    ("pid_namespace", &[Any(libc::SYS_setns)], &[libc::EPERM], Lesser),
    ("fork_gate", &[With(libc::SYS_seccomp, 1, LISTENER)], &[libc::EINVAL, libc::EBUSY, libc::EPERM], Lesser),
    ("cgroup", &[Any(libc::SYS_mkdir)], &[libc::EPERM, libc::EROFS], Lesser),
    ("landlock", &[Any(446)], &[libc::EPERM], Refused),
    ("seccomp", &[Any(libc::SYS_seccomp)], &[libc::ENOSYS, libc::EPERM], Refused),
    ("seccomp", &[Any(libc::SYS_seccomp), Is(libc::SYS_prctl, 0, 22)], &[libc::EINVAL], Refused),
    ("no_new_privs", &[Is(libc::SYS_prctl, 0, NO_NEW_PRIVS)], &[libc::EINVAL, libc::EPERM], Refused),
    ("capabilities", &[Any(libc::SYS_capset)], &[libc::EPERM], Refused),
    ("rlimits", &[Any(libc::SYS_prlimit64), Any(libc::SYS_setrlimit)], &[libc::EPERM], Refused),
];

/// Calls that belong to no layer, and that kernels or container engines have been seen without.
const OTHERS: [i64; 17] = [
    libc::SYS_clone3,
    libc::SYS_close_range,
    libc::SYS_copy_file_range,
    libc::SYS_execveat,
    libc::SYS_faccessat2,
    libc::SYS_futex,
    libc::SYS_getrandom,
    libc::SYS_membarrier,
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_openat2,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_rseq,
    libc::SYS_statx,
    libc::SYS_timer_create,
];

/// Runs rxbox where calls are refused.
struct Outer {
    scratch: Scratch,
    refusing: PathBuf,
}

impl Outer {
    fn new(name: &str) -> Outer {
        let scratch = Scratch::new(name);
        let refusing = guest(&scratch, "refusing");
        Outer { scratch, refusing }
    }

    /// What rxbox does with these arguments where these calls answer `errno`.
    fn rxbox(&self, calls: &[Call], errno: i32, arguments: &[&str]) -> Output {
        let words = calls.iter().map(|call| match *call {
            Any(number) => number.to_string(),
            With(number, argument, bits) => format!("{number}/{argument}/{bits}"),
            Is(number, argument, value) => format!("{number}/{argument}/={value}"),
        });
        let mut command = Command::new(&self.refusing);
        command.arg(errno.to_string()).args(words).arg("--").arg(rxbox()).args(arguments);
        command.current_dir(self.scratch.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        ended(command.process_group(0).spawn().expect("it runs"), &format!("{arguments:?} without {calls:?}"))
    }

    fn profile(&self, text: &str) -> String {
        let text = format!("version = 1\nextends = [\"untrusted\"]\n{text}\n");
        self.scratch.file("profile.toml", text).to_string_lossy().into_owned()
    }
}

/// What a program did. One that does not end is ended, with all that it has started.
fn ended(mut child: Child, what: &str) -> Output {
    let start = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if start.elapsed() > Duration::from_secs(60) {
            let group = format!("-{}", child.id());
            let _ = Command::new("/bin/kill").args(["-9", "--", &group]).status();
            panic!("{what} does not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().expect("its output")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The layers of `rxbox doctor`, each with its state and the reason.
fn doctor(output: &Output) -> Vec<(String, String, String)> {
    let lines = text(&output.stdout);
    let words = |line: &str| {
        let (layer, rest) = line.split_once(' ').expect("a layer");
        let (state, why) = rest.trim_start().split_once(' ').unwrap_or((rest.trim_start(), ""));
        (layer.to_owned(), state.to_owned(), why.trim_start().to_owned())
    };
    lines.lines().map(words).collect()
}

#[test]
fn each_layer_has_a_way_in_which_it_is_taken_away() {
    let outer = Outer::new("layers");
    let layers: BTreeSet<String> =
        doctor(&outer.rxbox(&[], 1, &["doctor"])).into_iter().map(|(layer, ..)| layer).collect();
    let taken = TAKEN.iter().map(|(layer, ..)| (*layer).to_owned()).collect();
    assert_eq!(layers, taken);
}

#[test]
fn a_layer_that_is_taken_away_is_named_by_doctor_and_by_the_run() {
    let outer = Outer::new("taken");
    let script = ["--", "/bin/sh", "-c", "echo ran >&2"];
    for (layer, calls, errnos, then) in TAKEN {
        for &errno in errnos {
            let what = format!("{layer}, errno {errno}");
            let found = doctor(&outer.rxbox(calls, errno, &["doctor"]));
            let [state, why] = found
                .iter()
                .find_map(|(name, state, why)| (name == layer).then(|| [state.as_str(), why]))
                .unwrap_or_else(|| panic!("{what}: {found:?}"));
            assert!(state == "missing" && !why.is_empty(), "{what}: {found:?}");
            let plain = ["--profile", "untrusted", "--status-fd", "1"];
            let run = outer.rxbox(calls, errno, &[&plain[..], &script].concat());
            let (told, errors) = (text(&run.stdout), text(&run.stderr));
            let required = outer.profile(&format!("[hardening]\nrequire = [\"{layer}\"]"));
            let refused = outer.rxbox(calls, errno, &[&["--profile", &*required], &script[..]].concat());
            let why = text(&refused.stderr);
            assert!(refused.status.code() == Some(125) && !why.contains("ran\n"), "{what}: {why}");
            if then == Refused {
                assert!(run.status.code() == Some(125) && errors.starts_with("rxbox: "), "{what}: {errors}");
                continue;
            }
            assert_eq!((run.status.code(), errors.as_str()), (Some(0), "ran\n"), "{what}: {told}");
            let missing = told.lines().find_map(|line| line.split_once("\"missing\":[")).expect("layers").1;
            assert!(missing.contains(&format!("\"{layer}\"")), "{what}: {told}");
            assert!(why.contains(&format!("layer {layer} is required by")), "{what}: {why}");
        }
    }
}

/// Nothing that it may not do, whatever the kernel would say. The last line tells what it got.
const ATTACKS: &str = r#"
got=''
[ "$(cat "$1/secret" 2>/dev/null)" = secret ] && got="$got read"
(echo x >"$1/written") 2>/dev/null && got="$got written"
kill -0 "$2" 2>/dev/null && got="$got signalled"
(exec 3<>"/dev/tcp/127.0.0.1/$3") 2>/dev/null && got="$got connected"
echo "got$got"
"#;

#[test]
fn what_a_profile_denies_is_denied_without_any_layer_that_may_be_missing() {
    let outer = Outer::new("promises");
    let outside = Scratch::in_the_open("outside");
    outside.file("secret", "secret");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    let own = std::process::id().to_string();
    let words = ["-c", ATTACKS, "bash", &*outside.path().to_string_lossy(), &own, &port];
    let native = Command::new("/bin/bash").args(words).output().expect("bash");
    assert_eq!(text(&native.stdout), "got read written signalled connected\n");
    fs::remove_file(outside.path().join("written")).expect("what was written");
    let lesser: Vec<_> = TAKEN.iter().filter(|row| row.3 == Lesser).collect();
    let all: Vec<Call> = lesser.iter().flat_map(|row| row.1).copied().collect();
    let one_by_one = lesser.iter().map(|row| (row.0, row.1));
    for (layer, calls) in one_by_one.chain([("all", &all[..])]) {
        let options = ["--profile", "untrusted", "--", "/bin/bash"];
        let run = outer.rxbox(calls, libc::EPERM, &[&options[..], &words].concat());
        let denials = text(&run.stderr);
        assert_eq!(text(&run.stdout), "got\n", "{layer}: {denials}");
        assert!(denials.contains("denied"), "{layer}: {denials}");
        assert!(!outside.path().join("written").exists(), "{layer}");
    }
}

/// With whatever else is refused, a run is as it always is or is refused with a reason.
#[test]
fn a_call_that_is_refused_ends_no_run_half_way() {
    let outer = Outer::new("others");
    let script = ["--profile", "untrusted", "--", "/bin/sh", "-c", "echo ran; exit 7"];
    for number in OTHERS {
        for errno in [libc::ENOSYS, libc::EPERM] {
            let run = outer.rxbox(&[Any(number)], errno, &script);
            let (out, errors) = (text(&run.stdout), text(&run.stderr));
            let what = format!("call {number}, errno {errno}: {out}{errors}");
            match run.status.code() {
                Some(7) => assert_eq!((out.as_str(), errors.as_str()), ("ran\n", ""), "{what}"),
                Some(125 | 126) => assert!(out.is_empty() && errors.starts_with("rxbox: "), "{what}"),
                _ => panic!("{what}"),
            }
            assert!(!errors.contains("panicked"), "{what}");
        }
    }
}

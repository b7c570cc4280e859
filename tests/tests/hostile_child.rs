//! A child that is not its guest's emulator any more: native code in a real child of the real `rxbox`, which
//! speaks the channel and the control socket by itself (`guests/hostile_native.c`). By design that gives it
//! nothing; each test tries one thing that it could give.

#[path = "../fuzz/forge.rs"]
mod forge;

use arbitrary::Unstructured;
use rxbox_tests::processes;
use rxbox_tests::random::Random;
use rxbox_tests::{Program, Scratch, compile_guest, guest, rxbox};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Where the native code lies in the child (`guests/hostile.c`).
const AT: &str = "0x7f000000";

/// Builds the hostile guest.
fn hostile(scratch: &Scratch) -> PathBuf {
    let at = |name: &str| scratch.path().join(name);
    let source = format!("{}/guests/hostile_native.c", env!("CARGO_MANIFEST_DIR"));
    let run = |command: &mut Command| assert!(command.status().expect("a compiler").success(), "{command:?}");
    // Code and data in one piece, at the place where it runs.
    run(Command::new("gcc")
        .args(["-O1", "-w", "-ffreestanding", "-nostdlib", "-static", "-fno-pic", "-no-pie"])
        .args(["-fno-stack-protector", "-fcf-protection=none", "-fno-asynchronous-unwind-tables"])
        .args(["-Wl,--build-id=none", "-Wl,-N", "-Wl,--no-warn-rwx-segments", &format!("-Wl,-Ttext={AT}")])
        .args(["-o".as_ref(), at("native.elf").as_os_str(), source.as_ref()]));
    run(Command::new("objcopy").args(["-O", "binary"]).args([at("native.elf"), at("native.bin")]));
    let native = format!("-DNATIVE=\"{}\"", at("native.bin").display());
    compile_guest("hostile", &at("hostile"), &[&native]);
    at("hostile")
}

/// A profile that allows much, but no more than these limits.
fn profile(scratch: &Scratch, limits: &str) -> PathBuf {
    let text = format!("version = 1\nextends = [\"permissive\"]\n[limits]\n{limits}\n");
    scratch.file("limits.toml", text)
}

/// What an attack prints.
fn attack(name: &str, limits: &str) -> String {
    let scratch = Scratch::new("hostile");
    attack_by(Command::new(rxbox()), &scratch, name, limits)
}

/// What an attack prints, with rxbox started by this command.
fn attack_by(mut command: Command, scratch: &Scratch, name: &str, limits: &str) -> String {
    command.arg("--profile").arg(profile(scratch, limits)).arg("--").arg(hostile(scratch)).arg(name);
    let output = command.stdin(Stdio::null()).output().expect("rxbox runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(output.status.code(), Some(0), "{name}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Starts rxbox where no fork gate can be had. Nothing if the host would give none anyway.
fn without_gate(scratch: &Scratch) -> Option<Command> {
    let mut command = Command::new(guest(scratch, "listener"));
    let has = Command::new(command.get_program()).arg("/bin/true").status().expect("it runs");
    command.arg(rxbox());
    has.success().then_some(command)
}

/// `native.elf` begins with the entry: the guest jumps to its first byte.
#[test]
fn native_code_runs_in_the_child() {
    assert_eq!(attack("nothing", ""), "no such attack\n");
}

#[test]
fn a_process_that_is_told_of_again_is_taken_once() {
    assert_eq!(attack("registered_again", "processes = 4"), "taken 1\n");
}

/// Whether this host lets rxbox have a fork gate.
fn has_gate() -> bool {
    let rxbox = rxbox();
    let required = "version = 1\nextends = [\"permissive\"]\n[hardening]\nrequire = [\"fork_gate\"]\n";
    let scratch = Scratch::new("gate");
    let profile = scratch.file("required.toml", required);
    let status = Command::new(rxbox).arg("--profile").arg(profile).args(["--", "/bin/true"]).status();
    status.expect("rxbox runs").success()
}

#[test]
fn a_fork_that_is_not_announced_is_not_made() {
    // Without a gate they are made, and ended.
    let made = if has_gate() { 0 } else { 40 };
    assert_eq!(attack("untold", "processes = 2"), format!("made {made}\nalive 0\n"));
}

#[test]
fn one_announcement_is_for_one_fork() {
    let made = if has_gate() { 1 } else { 3 };
    assert_eq!(attack("twice", "processes = 2"), format!("made {made}\n"));
}

#[test]
fn a_fork_that_is_said_to_have_failed_leaves_no_process() {
    assert_eq!(attack("denied", "processes = 2"), "alive 0\n");
}

#[test]
fn a_fork_that_a_process_leaves_behind_leaves_no_process() {
    assert_eq!(attack("orphaned", ""), "nobody is left\n");
}

#[test]
fn where_forks_pass_no_gate_processes_that_are_not_told_of_are_ended() {
    let scratch = Scratch::new("ungated");
    let Some(command) = without_gate(&scratch) else { return assert!(!has_gate()) };
    assert_eq!(attack_by(command, &scratch, "untold", "processes = 2"), "made 40\nalive 0\n");
    let Some(command) = without_gate(&scratch) else { panic!("there was none before") };
    assert_eq!(attack_by(command, &scratch, "orphaned", ""), "nobody is left\n");
}

#[test]
fn a_gate_that_is_required_and_cannot_be_had_refuses_the_run() {
    let scratch = Scratch::new("required");
    let Some(mut command) = without_gate(&scratch) else { return assert!(!has_gate()) };
    let required = "version = 1\nextends = [\"permissive\"]\n[hardening]\nrequire = [\"fork_gate\"]\n";
    let profile = scratch.file("required.toml", required);
    let output = command.arg("--profile").arg(profile).args(["--", "/bin/true"]).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{told}");
    assert!(told.contains("layer fork_gate is required by"), "{told}");
}

/// The kernel counts threads in a user namespace, if the user is not the host's root; else the supervisor
/// looks for them.
#[test]
fn threads_that_are_not_told_of_are_bounded_and_end_the_run_where_the_kernel_does_not_count() {
    let scratch = Scratch::new("threads");
    let limited = profile(&scratch, "processes = 4\nthreads = 8");
    let text = "version = 1\nextends = [\"permissive\"]\n[hardening]\nrequire = [\"namespaces\"]\n";
    let required = scratch.file("required.toml", text);
    let program = hostile(&scratch);
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    for own_user in [true, false] {
        let run = |argv: &[&str], profile| {
            let program = Program::new(scratch.path(), argv);
            if own_user { program.boxed(profile) } else { program.unprivileged().boxed(profile) }
        };
        let counted = !(root && own_user) && run(&["/bin/true"], &required).status == 0;
        let ran = run(&[program.to_str().expect("a name"), "threads"], &limited);
        let out = ran.out();
        if counted {
            let made = out.trim().strip_prefix("threads ").and_then(|made| made.parse::<u32>().ok());
            assert!(made.is_some_and(|n| (8..100).contains(&n)) && ran.status == 0, "{out} {}", ran.err());
        } else {
            // The end may come before it can say how many there are.
            assert!(ran.status == 159 && ran.err().contains("more threads"), "{out} {}", ran.err());
        }
    }
}

#[test]
fn requests_about_processes_in_any_order_are_answered() {
    let mut random = Random::new(1);
    for _ in 0..4 {
        let seed = random.below(1 << 40);
        let said = attack(&format!("#{seed}"), "processes = 6\nthreads = 20");
        assert_eq!(said, "steps 2000\nslow 0\n", "#{seed}");
    }
}

/// In a PID namespace of the test's own, where it decides which number comes next: the number of a guest
/// process that has ended goes to another process, which is none of the sandbox's. So guests have no PID
/// namespace of theirs, in which that could not happen.
const NUMBER_AGAIN: &str = r#"
echo 0 >/proc/sys/user/max_pid_namespaces
mkfifo in out
"$RXBOX" --profile permissive -- ./hostile ended_slot <in >out & exec 7>in 8<out
read -r word number <&8
for try in $(seq 200); do
    echo $((number - 1)) >/proc/sys/kernel/ns_last_pid
    sleep 1000 & victim=$!
    [ $victim = $number ] && break
    kill $victim
done
[ $victim = $number ] && echo "has the number"
echo >&7
read -r word served <&8; echo "$word $served"
kill -0 $victim && echo alive; kill $victim
"#;

#[test]
fn a_number_that_is_another_process_by_now_is_not_signalled() {
    let scratch = Scratch::new("number");
    hostile(&scratch);
    let namespace = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-Urpf", "--mount-proc", "sh", "-c", script]).current_dir(scratch.path());
        command.env("RXBOX", rxbox()).output().expect("unshare")
    };
    // Where no namespaces may be made, that the slot is not served is all that can be seen.
    if !namespace("echo 100 >/proc/sys/kernel/ns_last_pid").status.success() {
        return slot_is_not_served(&scratch);
    }
    let output = namespace(NUMBER_AGAIN);
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(text, "has the number\nserved 0\nalive\n", "{errors}");
}

fn slot_is_not_served(scratch: &Scratch) {
    let mut command = Command::new(rxbox());
    command.args(["--profile", "permissive", "--"]).arg(scratch.path().join("hostile")).arg("ended_slot");
    let output = command.stdin(Stdio::null()).output().expect("rxbox runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.ends_with("served 0\n"), "{text}");
}

/// Requests with the lengths of their data, in pieces with their lengths.
fn script(random: &mut Random, folder: &str, pieces: u32) -> Vec<u8> {
    let mut script = Vec::new();
    for _ in 0..pieces {
        let chance: Vec<u8> = (0..6000).map(|_| random.byte()).collect();
        let (mut input, mut piece) = (Unstructured::new(&chance), Vec::new());
        while let (false, Ok((request, data))) = (input.is_empty(), forge::request(&mut input, folder)) {
            // The native code takes no more at once.
            if piece.len() + data.len() < 190_000 {
                piece.extend((data.len() as u32).to_le_bytes());
                piece.extend(request);
                piece.extend(data);
            }
        }
        script.extend((piece.len() as u32).to_le_bytes());
        script.extend(piece);
    }
    script
}

/// Memory that a process has had at most, in bytes.
fn most_memory(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// What lies beside the folder in which the guest may write: content and mode.
fn outside(scratch: &Scratch) -> Vec<(&'static str, Vec<u8>, u32)> {
    let read = |name| {
        let path = scratch.path().join(name);
        (name, std::fs::read(&path).unwrap_or_default(), path.metadata().map_or(0, |m| m.mode()))
    };
    ["x", "new", "script", "much.toml"].map(read).to_vec()
}

/// Requests of all rows, rewritten while they are read. Whatever comes, each is answered or ends its process,
/// and none reaches anything outside of a folder.
#[test]
fn forged_requests_of_all_rows_are_answered_while_they_are_rewritten() {
    let scratch = Scratch::new("forged");
    let mut random = Random::new(2);
    let at = |name: &str| scratch.path().join(name);
    for (file, content) in
        [("room/f", "content"), ("room/d/x", "hidden"), ("x", "outside"), ("new", "outside")]
    {
        scratch.file(file, content);
    }
    std::os::unix::fs::symlink("../x", at("room/l")).expect("a link");
    let room = at("room").to_string_lossy().into_owned();
    let script = scratch.file("script", script(&mut random, &room, 60));
    let rights = format!(
        "read = [{:?}]\nwrite = [{room:?}]\nexecute = [{room:?}]\nhidden = [\"{room}/d/x?\"]",
        scratch.path()
    );
    let limits = "processes = 8\nthreads = 40\nmemory = \"400M\"\nfile_size = \"1M\"";
    let network = format!("allow = [\"unix:{room}\"]");
    let profile = format!(
        "version = 1\nextends = [\"untrusted\"]\n[filesystem]\n{rights}\n[network]\n{network}\n\
         [limits]\n{limits}\n[audit]\ndenials = \"none\"\n"
    );
    let profile = scratch.file("much.toml", profile);
    let before = outside(&scratch);
    let mut command = Command::new(rxbox());
    command.arg("--profile").arg(profile).arg("--").arg(hostile(&scratch)).arg(&script);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).current_dir(&room);
    command.stderr(std::fs::File::create(at("log")).expect("a file"));
    let mut child = command.spawn().expect("rxbox runs");
    let (start, mut most) = (Instant::now(), 0);
    while child.try_wait().expect("a child").is_none() {
        // The supervisor is the child of the process that was started.
        let supervisor = processes::below(child.id() as i32).first().copied();
        most = supervisor.map_or(most, |pid| most_memory(pid).max(most));
        if start.elapsed() > Duration::from_secs(300) {
            child.kill().expect("it is killed");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().expect("its output");
    let said = String::from_utf8_lossy(&output.stdout);
    let log = String::from_utf8_lossy(&std::fs::read(at("log")).expect("the log")).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{log}");
    assert!(said.ends_with("pieces 60\nhung 0\n"), "{said}{log}");
    assert!(!log.contains("panicked"), "{log}");
    assert_eq!(outside(&scratch), before);
    assert!(most < 300 << 20, "{most} bytes");
}

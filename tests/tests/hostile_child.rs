//! A child that is not its guest's emulator any more: native code in a real child of the real `rxbox`, which
//! speaks the channel and the control socket by itself (`guests/hostile_native.c`). By design that gives it
//! nothing; each test tries one thing that it could give.

use rxbox_tests::random::Random;
use rxbox_tests::{Program, Scratch, compile_guest, guest, rxbox};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where the native code lies in the child: in the part of the code cache that the stubs leave free.
const AT: &str = "0x70181000";

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
        let made = ran.out().trim().strip_prefix("threads ").expect("a number").parse::<u32>();
        let made = made.expect("a number");
        if counted {
            assert!((8..100).contains(&made) && ran.status == 0, "{made} {}", ran.err());
        } else {
            assert!(ran.status == 159 && ran.err().contains("more threads"), "{made} {}", ran.err());
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
/// process that has ended goes to another process, which is none of the sandbox's.
const NUMBER_AGAIN: &str = r#"
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

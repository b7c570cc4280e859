//! What a program sees of itself below `/proc` and `/dev`: `guests/proc_views.c` prints it, natively and in
//! rxbox the same. And that it is the program's, never the supervisor's or the emulator's.

use rxbox_tests::{Program, Scratch, difference, guest, guest_is_the_same, same};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[test]
fn a_program_sees_itself_as_natively() {
    let scratch = Scratch::new("views");
    let program = guest(&scratch, "proc_views").to_string_lossy().into_owned();
    for profile in ["permissive", "untrusted"] {
        let options = ["--allow-exec", &program, "--allow-write", "{D}"];
        same(profile, &options, &[&program, "an argument", "", "last"], |_| (), b"from the pipe\n");
    }
}

#[test]
fn a_program_sees_the_other_processes_of_its_sandbox_as_natively() {
    let scratch = Scratch::new("siblings");
    let program = guest(&scratch, "proc_views").to_string_lossy().into_owned();
    same("permissive", &[], &[&program, "others"], |_| (), b"");
}

#[test]
fn every_entry_is_there_as_natively() {
    guest_is_the_same("proc_entries", &["permissive"]);
}

/// To the kernel the supervisor's own directory is root's, for it hides itself.
#[test]
fn every_entry_is_there_for_an_ordinary_user() {
    let run = |boxed: bool| {
        let scratch = Scratch::new("entries");
        std::fs::copy(guest(&scratch, "proc_entries"), scratch.path().join("entries")).unwrap();
        let argv = ["/bin/sh", "-c", "exec ./entries"];
        let program = Program::new(scratch.path(), &argv).unprivileged();
        if boxed { program.boxed("permissive") } else { program.native() }
    };
    let (native, boxed) = (run(false), run(true));
    assert!(native.out().contains("/proc/self/ns/net"), "{}", native.err());
    assert!(native.out() == boxed.out(), "{}", difference(&native.stdout, &boxed.stdout));
}

/// What runs a script is its interpreter, found by any way, under the script's name.
#[test]
fn a_script_is_its_interpreter_by_the_scripts_name() {
    let show = "readlink /proc/$$/exe; cat /proc/$$/comm; tr '\\0' ' ' < /proc/$$/cmdline; echo; readlink \
        /proc/self/exe";
    let prepare = |d: &Path| {
        let script = |name: &str, line: &str| {
            std::fs::write(d.join(name), format!("#!{line}\n{show}\n")).unwrap();
            std::fs::set_permissions(d.join(name), Permissions::from_mode(0o755)).unwrap();
        };
        script("plain", "/bin/sh");
        script("with an argument", "/bin/dash -e");
        script("searched", "/usr/bin/env sh");
        script("twice", &d.join("inner").to_string_lossy());
        script("inner", "/bin/sh");
        std::os::unix::fs::symlink("plain", d.join("link")).unwrap();
    };
    let all = "for script in plain 'with an argument' searched twice link; do ./\"$script\"; done";
    same("permissive", &[], &["/bin/sh", "-c", all], prepare, b"");
    same("permissive", &[], &["{D}/twice"], prepare, b"");
}

/// Everything that can be read below `/proc/self`, with its name in front.
fn everything() -> String {
    let scratch = Scratch::new("all");
    // Away from the folder whose name says what runs here.
    let script = "cd /; unset OLDPWD; export PWD; for f in /proc/self/* /proc/thread-self/* \
        /proc/self/task/*/* \
        /proc/self/fdinfo/*; do echo \"== $f\"; if [ -L $f ]; then readlink $f; elif [ -f $f ]; then cat $f \
        2>&1; fi; done; \
        ls -l /proc/self/fd/";
    let ran = Program::new(scratch.path(), &["/bin/busybox", "sh", "-c", script])
        .env("HOST_SECRET", "not to be seen")
        .boxed("untrusted");
    assert_eq!(ran.status, 0, "{}", ran.err());
    ran.out()
}

#[test]
fn nothing_below_proc_is_about_the_supervisor_or_the_emulator() {
    let seen = everything();
    for name in ["status", "maps", "stat", "cmdline", "limits", "comm", "environ", "auxv"] {
        assert!(seen.contains(&format!("== /proc/self/{name}\n")), "{name} was not read:\n{seen}");
    }
    // The emulator's program, its memory, its confinement; the supervisor's environment.
    for foreign in ["rxbox", "emulator", "memfd:", "not to be seen", "70000000-", "Seccomp:\t2"] {
        assert!(!seen.contains(foreign), "{foreign:?} is seen:\n{seen}");
    }
}

#[test]
fn other_processes_are_not_there() {
    let scratch = Scratch::new("others");
    let script = "ls -d /proc/[0-9]* | wc -l; [ -e /proc/1 ]; echo $?; cat /proc/1/cmdline 2>/dev/null; echo \
        $?; \
        [ -e /proc/$PPID/status ]; echo $?";
    let ran = Program::new(scratch.path(), &["/bin/busybox", "sh", "-c", script]).boxed("permissive");
    // The shell itself and ls.
    let out = ran.out();
    let lines: Vec<&str> = out.lines().map(str::trim).collect();
    assert!(matches!(lines[0].parse(), Ok(1..=3)), "{lines:?}");
    assert_eq!(lines[1..], ["1", "1", "1"]);
}

/// Of the host's sockets a guest sees those that it has itself, and of its interfaces those of an empty
/// network unless the profile shows them.
#[test]
fn sockets_and_interfaces_of_others_are_not_there() {
    let scratch = Scratch::new("sockets");
    let name = scratch.path().join("of-the-host");
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let unix = std::os::unix::net::UnixListener::bind(&name).unwrap();
    let port = format!("0100007F:{:04X} ", tcp.local_addr().unwrap().port());
    let show = Program::new(
        scratch.path(),
        &["/bin/busybox", "cat", "/proc/net/tcp", "/proc/net/unix", "/proc/net/dev", "/proc/net/route"],
    );
    let natively = show.native().out();
    assert!(natively.contains(&port) && natively.contains("of-the-host"), "{natively}");
    for profile in ["permissive", "untrusted"] {
        let seen = show.boxed(profile).out();
        assert!(seen.contains("local_address") && seen.contains("RefCount"), "{seen}");
        assert!(!seen.contains(&port) && !seen.contains("of-the-host"), "{profile}:\n{seen}");
        let interfaces = seen.lines().filter(|line| line.contains(": ") && line.trim().starts_with("eth"));
        assert!(profile == "permissive" || interfaces.count() == 0, "{seen}");
    }
    drop((tcp, unix));
}

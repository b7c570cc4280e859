//! A debugger outside of the sandbox (`--gdb`): GDB shows of a program in rxbox what it shows of it natively.

use rxbox_tests::{Scratch, eventually, rxbox};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const SOURCE: &str = r#"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
struct point { int x; double y[2]; } point = {3, {1.5, 2.5}};
int total;
volatile int spins = 1;
__attribute__((noinline)) double half(double x) { return x / 2; }
__attribute__((noinline)) int add(int n) {
    total += n;
    return total;
}
void got(int signal) { total += signal; }
void *other(void *p) {
    add(*(int *)p);
    return p;
}
int main(int argc, char **argv) {
    int ten = 10;
    pthread_t thread;
    signal(SIGUSR1, got);
    if (argc > 1) {
        puts("spins");
        fflush(stdout);
        while (spins) usleep(1000);
        return 5;
    }
    for (int i = 0; i < 3; i++) add(i);
    double h = half(5.0);
    pthread_create(&thread, 0, other, &ten);
    pthread_join(thread, 0);
    raise(SIGUSR1);
    printf("total %d, %f, %d\n", total, h, point.x);
    return total & 127;
}
"#;

/// What is asked once the program stands before its first instruction. Lines that begin with `= ` are
/// compared.
const SESSION: &str = r#"
break add
continue
printf "= %d %d\n", n, total
up
printf "= in main, i is %d\n", i
down
finish
printf "= returned %d\n", $
delete
break half
continue
printf "= %f %f\n", x, $xmm0.v2_double[0]
printf "= %x %d\n", $fctrl, (long)$rsp % 16
print $eflags
print $mxcsr
print $ymm0.v8_float
print $cs
print point
set var point.x = 77
set var x = 9.0
printf "= %f\n", x
stepi
stepi
next
delete
break other
continue
printf "= thread %d, %d\n", $_thread, *(int *)p
next
printf "= total %d\n", total
delete
handle SIGUSR1 stop print pass
continue
printf "= signal %d\n", $_siginfo_or_none
next
delete
continue
"#;

fn built() -> Scratch {
    let scratch = Scratch::in_the_open("gdb");
    scratch.file("p.c", SOURCE);
    let mut gcc = Command::new("gcc");
    gcc.args(["-g", "-O0", "-pthread", "-o", "p", "p.c"]).current_dir(scratch.path());
    assert!(gcc.status().unwrap().success());
    scratch
}

fn gdb(dir: &Path, start: &str, session: &str) -> Command {
    let head = format!("set pagination off\nset confirm off\nset sysroot /\n{start}\n");
    std::fs::write(dir.join("commands"), head + session).unwrap();
    let gdb = ["-q", "-nx", "-batch", "-x", "commands", "./p"];
    let mut command = Command::new("gdb");
    command.args(gdb).current_dir(dir).stdin(Stdio::null());
    command
}

/// Starts the program for a debugger, at the socket `s`.
fn waiting(dir: &Path, profile: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new(rxbox());
    command.args(["--profile", profile, "--gdb", "./s", "--", "./p"]).args(arguments);
    command.current_dir(dir).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let listens = || std::fs::metadata(dir.join("s")).is_ok_and(|s| s.file_type().is_socket());
    eventually("the stub listens", listens);
    child
}

fn told(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter(|line| line.starts_with("= ") || line.starts_with('$')).map(String::from).collect()
}

#[test]
fn a_session_shows_and_changes_the_same_as_natively() {
    let scratch = built();
    let session = SESSION.replace("printf \"= signal %d\\n\", $_siginfo_or_none\n", "echo = stopped\\n\n");
    let native = gdb(scratch.path(), "starti", &session).output().unwrap();
    assert!(told(&native).len() >= 9, "{native:?}");
    for profile in ["permissive", "untrusted"] {
        let child = waiting(scratch.path(), profile, &[]);
        let boxed = gdb(scratch.path(), "target remote ./s", &session).output().unwrap();
        let ended = child.wait_with_output().unwrap();
        assert_eq!(told(&boxed), told(&native), "{profile}: {boxed:?}");
        let text = String::from_utf8_lossy(&native.stdout);
        let line = text.lines().find(|line| line.starts_with("total ")).unwrap();
        let out = String::from_utf8_lossy(&ended.stdout);
        assert_eq!(out.lines().next(), Some(line), "{profile}: {}", String::from_utf8_lossy(&ended.stderr));
        let exit = format!("exited with code 0{:o}]", ended.status.code().unwrap());
        assert!(text.contains(&exit), "{exit} {text}");
        assert!(!scratch.path().join("s").exists(), "{profile}");
    }
}

#[test]
fn a_debugger_interrupts_lets_go_and_kills() {
    let scratch = built();
    for (last, code) in [("set var spins = 0\ndetach\n", Some(5)), ("kill\n", None)] {
        let mut child = waiting(scratch.path(), "untrusted", &["spins"]);
        let session = format!("continue\nprintf \"= spins %d\\n\", spins\n{last}");
        let mut command = gdb(scratch.path(), "target remote ./s", &session);
        let debugger = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Once the program runs, the debugger gets the signal of a terminal's ^C.
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut String::new()).unwrap();
        let interrupt = Command::new("kill").args(["-INT", &debugger.id().to_string()]).status().unwrap();
        assert!(interrupt.success());
        let told = debugger.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&told.stdout);
        assert!(text.contains("received signal SIGINT") && text.contains("= spins 1"), "{told:?}");
        assert_eq!(child.wait().unwrap().code(), code, "{told:?}");
    }
}

/// Whoever connects and goes leaves a program that runs; one for which nobody comes ends with its limits.
#[test]
fn a_debugger_that_goes_or_never_comes_holds_nothing_up() {
    let scratch = built();
    let child = waiting(scratch.path(), "permissive", &[]);
    let mut connected = None;
    eventually("a listener", || {
        connected = UnixStream::connect(scratch.path().join("s")).ok();
        connected.is_some()
    });
    let mut debugger = connected.unwrap();
    debugger.write_all(b"$?#3f").unwrap();
    let mut answer = [0; 4];
    debugger.read_exact(&mut answer).unwrap();
    assert_eq!(&answer[..2], b"+$");
    drop(debugger);
    let ended = child.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&ended.stdout).starts_with("total "), "{ended:?}");

    let mut command = Command::new(rxbox());
    command.args(["--profile", "permissive", "--limit", "wall_time=1s", "--gdb", "./s", "--", "./p"]);
    let ended = command.current_dir(scratch.path()).output().unwrap();
    assert_ne!(ended.status.code(), Some(0));
    assert!(!scratch.path().join("s").exists());

    let mut child = waiting(scratch.path(), "untrusted", &[]);
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    assert!(!scratch.path().join("s").exists());
}

#[test]
fn only_the_user_reaches_the_socket_and_a_left_over_is_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = built();
    drop(std::os::unix::net::UnixListener::bind(scratch.path().join("s")).unwrap());
    std::fs::remove_file(scratch.path().join("s")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(scratch.path().join("s")).unwrap());
    let mut child = waiting(scratch.path(), "permissive", &[]);
    let mode = || std::fs::metadata(scratch.path().join("s")).map(|s| s.permissions().mode() & 0o777);
    eventually("the socket is the user's", || mode().is_ok_and(|mode| mode == 0o600));
    // Another run does not take it.
    let mut other = Command::new(rxbox());
    other.args(["--profile", "permissive", "--gdb", "./s", "--", "./p"]).current_dir(scratch.path());
    let other = other.output().unwrap();
    let error = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(other.status.code() == Some(125) && error.contains("--gdb: Address already in use"), "{error}");
    assert!(scratch.path().join("s").exists());
    child.kill().unwrap();
    child.wait().unwrap();
}

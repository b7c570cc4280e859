//! Semaphores, shared memory and message queues between the processes of a sandbox: the programs `guests/ipc_*.c` print what
//! each call gives, natively and in rxbox the same. And what a sandbox makes is its own.

use rxbox_tests::{Program, Scratch, guest, same};
use std::process::Command;

fn as_natively(name: &str, profiles: &[&str]) {
    let scratch = Scratch::new(name);
    let program = guest(&scratch, name).to_string_lossy().into_owned();
    for profile in profiles {
        let options = ["--quiet", "--allow-exec", &program, "--allow-write", "{D}"];
        same(profile, &options, &[&program], |_| (), b"");
    }
}

#[test]
fn system_v_objects_are_shared_and_end_as_natively() {
    as_natively("ipc_sysv", &["permissive", "untrusted"]);
}

/// What is shared by files in `/dev/shm` needs a profile that allows them.
#[test]
fn posix_queues_semaphores_and_memory_are_as_natively() {
    as_natively("ipc_queues", &["permissive"]);
}

/// Under `untrusted` there is no place for a socket with a name.
#[test]
fn sockets_tell_the_guests_at_their_ends_and_carry_descriptors() {
    as_natively("ipc_sockets", &["permissive"]);
}

/// Removes a segment of the host at the end of the test, however that ends.
struct Segment(String);

impl Drop for Segment {
    fn drop(&mut self) {
        let _ = Command::new("ipcrm").args(["-m", &self.0]).status();
    }
}

#[test]
fn objects_of_the_host_are_not_there_and_those_of_a_sandbox_nowhere_else() {
    let scratch = Scratch::new("apart");
    let made = Command::new("ipcmk").args(["-M", "4096"]).output().expect("ipcmk runs");
    let id = String::from_utf8_lossy(&made.stdout).split_whitespace().last().map(str::to_owned);
    let segment = Segment(id.expect("an identifier"));
    let segments = |out: String| out.lines().filter(|line| line.starts_with("0x")).count();
    let list = |script: &str| {
        let ran = Program::new(scratch.path(), &["/bin/sh", "-c", script]).boxed("permissive");
        assert_eq!(ran.status, 0, "{}", ran.err());
        segments(ran.out())
    };
    assert_eq!(list("ipcs -m"), 0);
    assert_eq!(list("ipcmk -M 4096 >&2; ipcs -m"), 1);
    assert_eq!(list("ipcs -m"), 0);
    let host = Command::new("ipcs").args(["-m", "-i", &segment.0]).output().expect("ipcs runs");
    assert!(String::from_utf8_lossy(&host.stdout).contains("bytes=4096"));
}

//! Semaphores, shared memory and message queues between the processes of a sandbox: the programs
//! `guests/ipc_*.c` print what each call gives, natively and in rxbox the same. And what a sandbox makes is
//! its own.

use rxbox_tests::{Program, Scratch, guest_is_the_same, same};
use std::process::Command;

#[test]
fn system_v_objects_are_shared_and_end_as_natively() {
    guest_is_the_same("ipc_sysv", &["permissive", "untrusted"]);
}

/// What is shared by files in `/dev/shm` needs a profile that allows them.
#[test]
fn posix_queues_semaphores_and_memory_are_as_natively() {
    guest_is_the_same("ipc_queues", &["permissive"]);
}

/// Under `untrusted` there is no place for a socket with a name.
/// Also once it has ended, and of a socket that nobody has connected.
#[test]
fn sockets_know_who_and_what_they_are_as_natively() {
    guest_is_the_same("ipc_peers", &["permissive"]);
}

#[test]
fn sockets_tell_the_guests_at_their_ends_and_carry_descriptors() {
    guest_is_the_same("ipc_sockets", &["permissive"]);
}

/// Pools, queues, locks, shared values and a server process of Python, which rest on named semaphores, shared
/// memory by name, signals and unix sockets.
#[test]
fn a_program_of_many_processes_shares_its_work_as_natively() {
    let script = "
import multiprocessing as mp, os
from multiprocessing import shared_memory
def square(x): return x * x
def work(name, queue, lock, value):
    memory = shared_memory.SharedMemory(name=name)
    memory.buf[0] = 77
    memory.close()
    with lock: value.value += 5
    queue.put(os.getpid())
mp.set_start_method('fork')
with mp.Pool(3) as pool: print(sum(pool.map(square, range(1000))))
memory = shared_memory.SharedMemory(create=True, size=4096)
queue, lock, value = mp.Queue(), mp.Lock(), mp.Value('i', 1)
workers = [mp.Process(target=work, args=(memory.name, queue, lock, value)) for _ in range(4)]
for w in workers: w.start()
pids = sorted(queue.get() for _ in workers)
for w in workers: w.join()
print(memory.buf[0], value.value, pids == sorted(w.pid for w in workers))
memory.close()
memory.unlink()
manager = mp.Manager()
shared = manager.dict(x=5)
print(dict(shared))
manager.shutdown()
";
    same("permissive", &[], &["/usr/bin/python3", "-c", script], |_| (), b"");
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

//! A worker against children that the guest has taken over.

use super::*;
use crate::handlers::fixture::Guest;
use crate::host::shm::Channel;
use crate::state::fd::File;
use rxbox_wire::sizes::{ABSENT, MAX_SLOTS};
use rxbox_wire::spin_policy::Cores;
use rxbox_wire::table;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// A sandbox under a profile that allows nothing, with one process.
struct Scene {
    sandbox: Arc<Sandbox>,
    process: Arc<Process>,
    _ends: Vec<std::os::fd::OwnedFd>,
}

impl Scene {
    fn new() -> Scene {
        interrupt::install().unwrap();
        let Guest { sandbox, process, ends } = Guest::under("version = 1\n");
        Scene { sandbox: Arc::new(sandbox), process, _ends: ends.into_inner().unwrap() }
    }

    /// One whose process is the test's own.
    fn of_this_process() -> Scene {
        let Scene { sandbox, mut _ends, .. } = Scene::new();
        let (process, end) = crate::handlers::fixture::this_process(&sandbox.budget);
        _ends.push(end);
        Scene { sandbox, process, _ends }
    }

    fn slot(&self) -> Slot<'_> {
        self.process.line.channel.slot(0).unwrap()
    }

    /// A worker for slot 0 that runs in the test's own thread and has been greeted.
    fn worker(&self) -> Worker<'_> {
        let slot = self.slot();
        Worker {
            sandbox: &self.sandbox,
            process: &self.process,
            number: 0,
            slot,
            tid: 7,
            input: Default::default(),
        }
    }

    /// A worker in a thread of its own, whose guest thread has not said hello.
    fn start(&self) {
        self.sandbox.enter_thread().unwrap();
        assert_eq!(self.process.threads.reserve(None, MAX_SLOTS), Ok(0));
        self.sandbox.start_worker(&self.process, 0).unwrap();
    }

    fn ask(&self, request: &Request) {
        self.slot().write_request(&request.encode());
        self.slot().guest_handoff().pass(REQUEST, &HostFutex);
    }

    /// Waits until the worker's thread has left its slot.
    fn wait_until_gone(&self) {
        eventually(|| self.process.threads.count() == 0);
    }
}

/// Waits for what must come to pass; only a failure takes as long as the bound.
fn eventually(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "did not come to pass");
        std::thread::yield_now();
    }
}

fn request(nr: u32, args: [u64; 6]) -> Request {
    Request { nr, flags: 0, args, len: [ABSENT; 6] }
}

fn nr(name: &str) -> u32 {
    table::by_name(name).unwrap().nr
}

#[test]
fn a_malformed_frame_ends_the_sandbox_and_says_why() {
    let mut data_for_a_number = request(nr("close"), [3, 0, 0, 0, 0, 0]);
    data_for_a_number.len[0] = 8;
    let mut wrong_length = request(nr("read"), [0, 0x1000, 100, 0, 0, 0]);
    wrong_length.len[1] = 99;
    for (bad, why) in [
        (request(0xffff, [0; 6]), "call number 0xffff is not in the table"),
        (data_for_a_number, "close: data given for argument fd"),
        (wrong_length, "read: argument buf has 99 bytes where the table says 100"),
        (request(nr("getpid"), [0; 6]), "call number 0x27"),
    ] {
        let scene = Scene::new();
        scene.start();
        scene.ask(&bad);
        scene.wait_until_gone();
        match scene.sandbox.ending.cause() {
            Some(End::Violation(text)) => assert!(text.contains(why), "{text}"),
            other => panic!("{why}: {other:?}"),
        }
    }
}

#[test]
fn a_forged_turn_word_ends_the_sandbox() {
    let scene = Scene::new();
    scene.start();
    scene.slot().guest_handoff().pass(0x4242, &HostFutex);
    scene.wait_until_gone();
    assert!(matches!(scene.sandbox.ending.cause(), Some(End::Violation(_))));
}

#[test]
fn each_thread_of_the_process_gets_one_slot_and_no_other_thread_gets_one() {
    let scene = Scene::of_this_process();
    assert_eq!(scene.process.threads.reserve(None, MAX_SLOTS), Ok(0));
    let mut worker = scene.worker();
    let mut ask = |tid: i32| {
        let request = request(Internal::NewThread.nr(), [tid as u64, 0, 0, 0, 0, 0]);
        scene.slot().write_request(&request.encode());
        worker.serve().unwrap().ret
    };
    let own = nix::unistd::gettid().as_raw();
    for (tid, errno) in [(1, Errno::ESRCH), (0, Errno::EINVAL), (-1, Errno::EINVAL)] {
        assert_eq!(ask(tid), -i64::from(errno as i32), "{tid}");
    }
    assert_eq!(ask(own), 1);
    assert_eq!(ask(own), -i64::from(Errno::EINVAL as i32));
    assert_eq!((scene.process.threads.ids(), scene.sandbox.thread_count()), (vec![own], 1));
    scene.process.line.channel.slot(1).unwrap().guest_handoff().pass(CLOSED, &HostFutex);
    eventually(|| (scene.process.threads.count(), scene.sandbox.thread_count()) == (1, 0));
}

#[test]
fn a_guest_thread_that_finds_cores_short_is_believed_and_all_are_told() {
    let scene = Scene::new();
    let mut worker = scene.worker();
    let mut told = || {
        scene.slot().write_request(&request(nr("getpid"), [0; 6]).encode());
        worker.serve().unwrap().flags & Reply::CONTENDED != 0
    };
    let one = scene.sandbox.processors.cores() == Cores::One;
    assert_eq!(told(), one);
    scene.slot().contended().store(1, Ordering::Relaxed);
    assert!(told());
    assert_eq!(scene.slot().contended().load(Ordering::Relaxed), 0);
    assert_ne!(scene.sandbox.processors.cores(), Cores::Free);
}

#[test]
fn a_child_without_its_filter_is_not_served() {
    let scene = Scene::new();
    scene.start();
    scene.ask(&request(Internal::Hello.nr(), [7, 0, 0, 0, 0, 0]));
    eventually(|| scene.sandbox.ending.cause().is_some());
    assert!(matches!(scene.sandbox.ending.cause(), Some(End::Broken(_))));
    scene.sandbox.remove_process(&scene.process);
    scene.wait_until_gone();
}

#[test]
fn what_is_checked_of_a_message_is_what_is_used_while_the_child_rewrites_it() {
    let scene = Scene::new();
    let slot = scene.slot();
    let good = MessageHeader { name: 16, control: 32, bytes: 8, flags: 0 }.encode();
    let bad = MessageHeader { name: 16, control: 0x0fff_0000, bytes: 8, flags: 0 }.encode();
    let mut request = request(nr("sendmsg"), [0; 6]);
    request.len[1] = 256;
    let checked = request.check().unwrap();
    let stop = AtomicBool::new(false);
    let accepted = std::thread::scope(|s| {
        s.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                slot.area().write(0, &bad);
                slot.area().write(0, &good);
            }
        });
        let mut worker = scene.worker();
        let (mut rounds, mut accepted) = (0, 0);
        // The other thread may not have run yet, or may have stopped where the message is a bad one.
        while rounds < 50_000 || accepted == 0 && rounds < 10_000_000 {
            rounds += 1;
            if worker.copy_input(&checked).is_ok() {
                let head = MessageHeader::decode_head(&worker.input[1]).unwrap();
                let [name, control, _] = head.parts();
                assert!(name.end <= worker.input[1].len() && control.end <= worker.input[1].len());
                accepted += 1;
            } else if rounds > 50_000 {
                std::thread::yield_now();
            }
        }
        stop.store(true, Ordering::Relaxed);
        accepted
    });
    assert!(accepted > 0);
}

#[test]
fn a_waiting_call_is_interrupted_when_its_thread_asks_and_can_be_made_again() {
    let scene = Scene::new();
    let (r, _w) = nix::unistd::pipe().unwrap();
    let fd = scene.process.fds.insert(File::made(r).unwrap(), false, 0).unwrap();
    let mut read = request(nr("read"), [fd as u64, 0x1000, 10, 0, 0, 0]);
    read.len[1] = 10;
    assert_eq!(scene.process.threads.reserve(None, MAX_SLOTS), Ok(0));
    std::thread::scope(|s| {
        s.spawn(|| {
            scene.process.threads.set_worker(0, nix::unistd::gettid().as_raw());
            scene.worker().run();
        });
        scene.ask(&read);
        scene.slot().interrupt().store(1, Ordering::SeqCst);
        scene.process.threads.interrupt_requested(&scene.process.line.channel);
        // The worker may not have told its thread id yet: then it sees the word itself.
        eventually(|| scene.slot().guest_handoff().turn.load(Ordering::Acquire) == REPLY);
        let reply = Reply::decode(&scene.slot().read_reply());
        assert_eq!((reply.ret, reply.flags), (-i64::from(libc::EINTR), Reply::RESTART));
        assert_eq!(scene.slot().interrupt().load(Ordering::SeqCst), 0);
        scene.slot().guest_handoff().pass(CLOSED, &HostFutex);
    });
}

#[test]
fn the_end_of_a_process_ends_its_workers_wherever_they_wait() {
    let scene = Scene::new();
    let (r, _w) = nix::unistd::pipe().unwrap();
    let fd = scene.process.fds.insert(File::made(r).unwrap(), false, 0).unwrap();
    let mut read = request(nr("read"), [fd as u64, 0x1000, 10, 0, 0, 0]);
    read.len[1] = 10;
    for waits_in_call in [false, true] {
        let scene = if waits_in_call { &scene } else { &Scene::new() };
        assert_eq!(scene.process.threads.reserve(None, MAX_SLOTS), Ok(0));
        std::thread::scope(|s| {
            s.spawn(|| {
                scene.process.threads.set_worker(0, nix::unistd::gettid().as_raw());
                scene.worker().run();
            });
            if waits_in_call {
                scene.ask(&read);
            }
            scene.sandbox.remove_process(&scene.process);
        });
        assert!(scene.process.ended());
    }
}

/// Slots are served one after the other by the same thread.
#[test]
fn a_worker_that_is_done_serves_the_next_slot() {
    let Scene { sandbox, process, _ends } = Scene::new();
    let mut threads = Vec::new();
    for _ in 0..3 {
        sandbox.enter_thread().unwrap();
        let slot = process.threads.reserve(None, MAX_SLOTS).unwrap();
        sandbox.start_worker(&process, slot).unwrap();
        let worker = loop {
            match process.threads.worker(slot) {
                Some(worker) => break worker,
                None => std::thread::yield_now(),
            }
        };
        threads.push(worker);
        process.line.channel.slot(slot).unwrap().guest_handoff().pass(CLOSED, &HostFutex);
        while sandbox.workers.idle() == 0 {
            std::thread::yield_now();
        }
    }
    assert!(threads.iter().all(|&t| t == threads[0]), "{threads:?}");
    assert_eq!((process.threads.count(), sandbox.thread_count()), (0, 0));
}

/// The memory of a process that has ended is still that of the process that forked it, which can write any
/// turn word.
#[test]
fn no_request_is_served_for_a_process_that_has_ended() {
    let scene = Scene::of_this_process();
    scene.start();
    let hello = request(Internal::Hello.nr(), [nix::unistd::gettid().as_raw() as u64, 0, 0, 0, 0, 0]);
    scene.process.end();
    let turn = scene.slot().guest_handoff().turn;
    for word in [REPLY, IDLE, REQUEST] {
        scene.slot().write_request(&hello.encode());
        turn.store(word, Ordering::SeqCst);
        crate::host::futex::wake(turn);
    }
    scene.wait_until_gone();
    assert!(scene.process.threads.ids().is_empty());
}

/// Only the first process takes the sandbox with it.
#[test]
fn a_process_that_is_taken_over_ends_alone() {
    use std::os::unix::process::ExitStatusExt;
    let scene = Scene::new();
    let mut child = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
    let handle = crate::host::process::ProcessHandle::open(child.id() as i32).unwrap();
    scene.process.begin_fork(0, Channel::new().unwrap(), false).unwrap();
    let (process, _) = scene.process.end_fork(0, Ok(handle)).unwrap();
    let scene = Scene { process: Arc::new(process), ..scene };
    scene.start();
    scene.slot().guest_handoff().pass(77, &HostFutex);
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    scene.wait_until_gone();
    assert!(scene.sandbox.ending.cause().is_none());
}

//! The second wall, tried from inside: what a supervisor that is led astray still cannot do.
//!
//! Each check runs in a process of its own, for what is given up cannot be had back. Such a process must be
//! forked from one with a single thread, so this test is its own main function and not run by the usual
//! harness.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a test")]

use caps::{CapSet, CapsHashSet};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, connect, socket};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use rxbox::confine::landlock::Enforced;
use rxbox::confine::{enclose, filter};
use rxbox::host::maker::Maker;
use rxbox::host::mqueue;
use rxbox::host::spawn;
use rxbox_policy::{Access, Capability, Reach};
use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A profile without network that grants these accesses in a folder.
fn reach(folder: &Path, accesses: &[Access]) -> Reach {
    Reach {
        trees: vec![(folder.to_owned(), accesses.to_vec())],
        connect: Some(Vec::new()),
        bind: Some(Vec::new()),
        ..Reach::default()
    }
}

/// The version of the kernel's Landlock; 0 if it has none (landlock_create_ruleset(2)).
fn landlock_version() -> i64 {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the kernel takes no memory and makes no descriptor.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0, VERSION) }.max(0)
}

fn errno(result: std::io::Result<File>) -> Option<i32> {
    result.err().and_then(|e| e.raw_os_error())
}

fn files_outside_of_the_profile_are_out_of_reach(scratch: &Path) {
    let [inside, outside] = ["inside", "outside"].map(|name| scratch.join(name));
    for folder in [&inside, &outside] {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("file"), "x").unwrap();
    }
    let enforced = enclose(&reach(&inside, &[Access::Read, Access::List]), &[], None, &[], false).unwrap();
    if landlock_version() == 0 {
        assert_eq!(enforced, Enforced::Not);
        return;
    }
    assert_ne!(enforced, Enforced::Not);
    assert_eq!(fs::read_to_string(inside.join("file")).unwrap(), "x");
    let write = |path: PathBuf| errno(OpenOptions::new().write(true).create(true).truncate(false).open(path));
    for refused in [
        write(inside.join("file")),
        write(inside.join("new")),
        errno(File::open(outside.join("file"))),
        errno(File::open("/etc/passwd")),
        errno(File::open("/etc")),
    ] {
        assert_eq!(refused, Some(libc::EACCES));
    }
}

fn what_the_profile_lets_write_can_be_written_and_renamed(scratch: &Path) {
    let folder = scratch.join("work");
    fs::create_dir_all(folder.join("sub")).unwrap();
    let all = [Access::Read, Access::List, Access::Write, Access::Create, Access::Remove];
    enclose(&reach(&folder, &all), &[], None, &[], false).unwrap();
    fs::write(folder.join("a"), "x").unwrap();
    fs::rename(folder.join("a"), folder.join("sub/b")).unwrap();
    fs::remove_file(folder.join("sub/b")).unwrap();
}

fn a_pipe_under_a_name_of_the_profile_is_no_obstacle(_: &Path) {
    let (read, _write) = nix::unistd::pipe().unwrap();
    let pipe = PathBuf::from(format!("/proc/self/fd/{}", read.as_raw_fd()));
    enclose(&reach(&pipe, &[Access::Read]), &[], None, &[], false).unwrap();
    assert!(File::open(&pipe).is_ok());
}

fn no_privilege_is_left_and_none_comes_back(scratch: &Path) {
    enclose(&reach(scratch, &[Access::Read]), &[], None, &[], false).unwrap();
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable, CapSet::Ambient] {
        assert_eq!(caps::read(None, set).unwrap(), CapsHashSet::new(), "{set:?}");
    }
    assert!(nix::sys::prctl::get_no_new_privs().unwrap());
    assert!(!nix::sys::prctl::get_dumpable().unwrap());
}

fn the_capabilities_that_the_profile_names_stay(scratch: &Path) {
    let held = caps::read(None, CapSet::Permitted).unwrap();
    let named = CapsHashSet::from([caps::Capability::CAP_CHOWN, caps::Capability::CAP_FOWNER]);
    enclose(&reach(scratch, &[Access::Read]), &[], None, &[Capability::Chown, Capability::Fowner], false)
        .unwrap();
    for set in [CapSet::Effective, CapSet::Permitted] {
        assert_eq!(caps::read(None, set).unwrap(), held.intersection(&named).copied().collect());
    }
}

fn processes_outside_cannot_be_signalled(scratch: &Path) {
    let parent = nix::unistd::getppid();
    assert_eq!(nix::sys::signal::kill(parent, None), Ok(()));
    enclose(&reach(scratch, &[Access::Read]), &[], None, &[], false).unwrap();
    // Landlock knows signals since its sixth version.
    if landlock_version() >= 6 {
        assert_eq!(nix::sys::signal::kill(parent, None), Err(Errno::EPERM));
    }
    assert_eq!(nix::sys::signal::kill(Pid::this(), None), Ok(()));
}

fn sockets_of_the_maker_are_where_nobody_is(scratch: &Path) {
    let address = SockaddrIn::new(127, 0, 0, 1, 9);
    let own = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::empty(), None).unwrap();
    assert_eq!(connect(own.as_raw_fd(), &address), Ok(()), "natively loopback is there");
    let maker = Maker::start().unwrap();
    enclose(&reach(scratch, &[Access::Read]), &[], None, &[], false).unwrap();
    let [inet, datagram, stream] = [libc::AF_INET, libc::SOCK_DGRAM, libc::SOCK_STREAM].map(|n| n as u32);
    let made = maker.socket(inet, datagram, 0).unwrap();
    let reached = connect(made.as_raw_fd(), &address);
    assert_eq!(reached, if maker.isolated() { Err(Errno::ENETUNREACH) } else { Ok(()) });
    assert!(maker.socket(inet, stream, 0).is_ok());
    assert_eq!(maker.socket(9999, datagram, 0).unwrap_err(), Errno::EAFNOSUPPORT);
    // Its user has no more rights there than outside.
    if maker.isolated() {
        assert_eq!(maker.socket(inet, libc::SOCK_RAW as u32, 1).unwrap_err(), Errno::EPERM);
    }
    maker.dismiss();
    assert_eq!(maker.socket(inet, datagram, 0).unwrap_err(), Errno::EPIPE);
}

fn queues_are_made_and_opened_behind_the_wall(scratch: &Path) {
    let maker = Maker::start().unwrap();
    enclose(&reach(scratch, &[Access::Read]), &[], None, &[], false).unwrap();
    let queue = maker.queue(None).unwrap();
    let reader = maker.open_queue(queue.as_fd(), libc::O_RDONLY | libc::O_NONBLOCK).unwrap();
    mqueue::send(queue.as_fd(), b"text", 3, None).unwrap();
    assert_eq!(mqueue::receive(reader.as_fd(), 8192, None), Ok((b"text".to_vec(), 3)));
    assert_eq!(mqueue::send(reader.as_fd(), b"text", 3, None), Err(Errno::EBADF));
    assert_eq!(mqueue::receive(reader.as_fd(), 8192, None).unwrap_err(), Errno::EAGAIN);
    maker.dismiss();
}

fn host_calls_of_no_handler_fail(scratch: &Path) {
    enclose(&reach(scratch, &[Access::Read]), &[], None, &[], false).unwrap();
    filter::restrict(filter::Kinds { sockets: false, identities: false }).unwrap();
    let program = std::ffi::CString::new("/proc/self/exe").unwrap();
    assert_eq!(nix::unistd::execv(&program, &[&program]), Err(Errno::ENOSYS));
    assert_eq!(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER), Err(Errno::ENOSYS));
    let made = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::empty(), None);
    assert_eq!(made.map(drop), Err(Errno::ENOSYS));
    // Threads and their ends are its own.
    assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7);
    let (reader, _writer) = nix::unistd::pipe().unwrap();
    assert_eq!(nix::unistd::dup(&reader).map(drop), Err(Errno::ENOSYS));
}

/// What is checked: its name, and how.
type Check = (&'static str, fn(&Path));

macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        [$((stringify!($name), $name as fn(&Path))),*]
    };
}

const CHECKS: [Check; 9] = checks![
    files_outside_of_the_profile_are_out_of_reach,
    what_the_profile_lets_write_can_be_written_and_renamed,
    a_pipe_under_a_name_of_the_profile_is_no_obstacle,
    no_privilege_is_left_and_none_comes_back,
    the_capabilities_that_the_profile_names_stay,
    processes_outside_cannot_be_signalled,
    sockets_of_the_maker_are_where_nobody_is,
    queues_are_made_and_opened_behind_the_wall,
    host_calls_of_no_handler_fail,
];

fn main() -> ExitCode {
    let mut failed = 0;
    for (name, check) in CHECKS {
        let scratch = std::env::temp_dir().join(format!("rxbox-confine-{}-{name}", std::process::id()));
        fs::create_dir_all(&scratch).unwrap();
        let child = spawn::fork(|| {
            check(&scratch);
            0
        })
        .unwrap();
        let passed = waitpid(child, None) == Ok(WaitStatus::Exited(child, 0));
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += usize::from(!passed);
        fs::remove_dir_all(&scratch).unwrap();
    }
    println!("\n{} passed, {failed} failed", CHECKS.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

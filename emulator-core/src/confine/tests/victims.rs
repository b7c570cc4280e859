//! Real processes under the filter in force: what is not listed ends them, and what the runtime does goes
//! through.

use super::*;
use crate::guest::layout::{PAGE, Span};
use crate::guest::{
    AddressSpace, HostMap, HostRequest, Limits, MapRequest, Prot, RemapRequest, Source, access,
};
use crate::host::map::HostMemory;
use crate::host::{call, control, thread};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use rxbox_wire::boot::CONTROL_FD;
use rxbox_wire::control::About;
use std::collections::HashMap;
use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

/// Exit status of a victim whose filter could not be installed, and of one that panicked.
const NOT_CONFINED: i32 = 70;
const PANICKED: i32 = 71;
/// No victim needs nearly so long: one that hangs ends by SIGALRM, which no test expects.
const WATCHDOG: u32 = 120;

/// Puts the filter in force; ends the process if it cannot be.
fn confine(log: bool) {
    if install(&Options { log }).is_err() {
        call::exit_process(NOT_CONFINED);
    }
}

/// A host call with these arguments; its result or negative errno.
fn raw(call: i64, args: [u64; 6]) -> i64 {
    // SAFETY: victims pass null pointers, pointers to what they own, or calls that the filter stops.
    unsafe { call::raw(call, args) }
}

/// Sets the default action, since other tests of this process may have set one.
fn act_by_default(signal: Signal) {
    let default = [0u64; 4];
    raw(libc::SYS_rt_sigaction, [signal as u64, default.as_ptr() as u64, 0, 8, 0, 0]);
}

/// Runs `body` in a forked process; gives how that ended. `body` confines the process when it likes.
fn victim(body: impl FnOnce() -> i32) -> WaitStatus {
    // SAFETY: the C library makes its allocator usable after fork(3); the victim takes no other lock that a
    // thread of the parent may hold, and leaves without running anything of the parent's.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => waitpid(child, None).unwrap(),
        ForkResult::Child => {
            act_by_default(Signal::SIGALRM);
            nix::unistd::alarm::set(WATCHDOG);
            let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
            call::exit_process(catch_unwind(AssertUnwindSafe(body)).unwrap_or(PANICKED))
        }
    }
}

fn ended_by(status: WaitStatus, expected: Signal) -> bool {
    matches!(status, WaitStatus::Signaled(_, signal, _) if signal == expected)
}

fn exited(status: WaitStatus, expected: i32) -> bool {
    matches!(status, WaitStatus::Exited(_, code) if code == expected)
}

/// uretprobe and uprobe. Since Linux 6.11 and 6.18 the kernel asks no filter about them: they are for
/// trampolines that the kernel itself puts into a probed process, and from anywhere else raise SIGILL or
/// fail.
const KERNELS_OWN: [i64; 2] = [335, 336];

#[test]
fn the_calls_that_the_kernel_keeps_from_filters_do_nothing() {
    for nr in KERNELS_OWN {
        let status = victim(|| {
            act_by_default(Signal::SIGILL);
            confine(false);
            i32::from(raw(nr, [0; 6]) >= 0)
        });
        let ended = ended_by(status, Signal::SIGSYS) || ended_by(status, Signal::SIGILL);
        assert!(ended || exited(status, 0), "call {nr}: {status:?}");
    }
}

#[test]
fn every_call_that_no_rule_lists_ends_a_process() {
    let listed = |nr: i64| rules().iter().any(|rule| rule.call == nr);
    for nr in (0..=512).filter(|&nr| !listed(nr) && !KERNELS_OWN.contains(&nr)) {
        // A hole is found here, before the call is made in earnest.
        assert_eq!(judge(nr, [0; 6]), KILL_PROCESS, "call {nr}");
        let status = victim(|| {
            confine(false);
            raw(nr, [0; 6]);
            0
        });
        assert!(ended_by(status, Signal::SIGSYS), "call {nr}: {status:?}");
    }
}

#[test]
fn calls_with_forbidden_arguments_end_a_process() {
    const NEW_USER: u64 = libc::CLONE_NEWUSER as u64 | libc::SIGCHLD as u64;
    let anonymous = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
    for (nr, args) in [
        (libc::SYS_mmap, [0, PAGE, 7, anonymous, u64::MAX, 0]),
        (libc::SYS_mmap, [0, PAGE, 3, anonymous | libc::MAP_HUGETLB as u64, u64::MAX, 0]),
        (libc::SYS_mprotect, [0, PAGE, 5, 0, 0, 0]),
        (libc::SYS_madvise, [0, PAGE, libc::MADV_HWPOISON as u64, 0, 0, 0]),
        (libc::SYS_clone, [NEW_USER, 0, 0, 0, 0, 0]),
        (libc::SYS_clone, [(libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD) as u64, 0, 0, 0, 0, 0]),
        (libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0, 0, 0, 0]),
        (libc::SYS_futex, [0, libc::FUTEX_FD as u64, 0, 0, 0, 0]),
        (libc::SYS_futex, [0, 14, 0, 0, 0, 0]),
        (libc::SYS_futex_waitv, [0, 1, 1, 0, 0, 0]),
        // For restartable sequences, and on one processor.
        (libc::SYS_membarrier, [1 << 7, 0, 0, 0, 0, 0]),
        (libc::SYS_membarrier, [1 << 3, 1, 0, 0, 0, 0]),
        (libc::SYS_mremap, [0, PAGE, PAGE, 8, 0, 0]),
        (libc::SYS_mlockall, [0; 6]),
        (libc::SYS_close, [CONTROL_FD as u64, 0, 0, 0, 0, 0]),
        (libc::SYS_recvmsg, [0; 6]),
        (libc::SYS_write, [1, 0, 0, 0, 0, 0]),
        (libc::SYS_clock_gettime, [!1u64 << 3 | 2, 0, 0, 0, 0, 0]),
        (libc::SYS_getpid | i64::from(X32), [0; 6]),
        (-1, [0; 6]),
    ] {
        assert_eq!(judge(nr, args), KILL_PROCESS, "call {nr:#x}");
        let status = victim(|| {
            confine(false);
            raw(nr, args);
            0
        });
        assert!(ended_by(status, Signal::SIGSYS), "call {nr:#x} {args:x?}: {status:?}");
    }
}

#[test]
fn a_32_bit_call_ends_a_process() {
    let status = victim(|| {
        act_by_default(Signal::SIGSEGV);
        confine(false);
        // SAFETY: the 32-bit getpid, which the filter stops; a kernel without 32-bit calls raises SIGSEGV
        // instead.
        unsafe {
            std::arch::asm!("int \
                0x80", inlateout("eax") 20 => _, out("r8") _, out("r9") _, out("r10") _, out("r11") _)
        };
        0
    });
    assert!(ended_by(status, Signal::SIGSYS) || ended_by(status, Signal::SIGSEGV), "{status:?}");
}

#[test]
fn named_calls_fail_with_their_errno() {
    let status = victim(|| {
        confine(false);
        let me = raw(libc::SYS_getpid, [0; 6]) as u64;
        for (nr, args, code) in [
            (libc::SYS_clone3, [0; 6], libc::ENOSYS),
            (libc::SYS_sched_getaffinity, [me, 8, 0, 0, 0, 0], libc::ENOSYS),
            (libc::SYS_openat, [0, c"/".as_ptr() as u64, 0, 0, 0, 0], libc::EPERM),
            (libc::SYS_tgkill, [me, me, libc::SIGKILL as u64, 0, 0, 0], libc::EPERM),
            (libc::SYS_madvise, [0, PAGE, libc::MADV_MERGEABLE as u64, 0, 0, 0], libc::EINVAL),
            (libc::SYS_madvise, [0, PAGE, libc::MADV_UNMERGEABLE as u64, 0, 0, 0], libc::EINVAL),
            (libc::SYS_write, [2, 0, 0, 0, 0, 0], libc::EBADF),
            (libc::SYS_write, [5, 0, 0, 0, 0, 0], libc::EBADF),
        ] {
            assert_eq!(raw(nr, args), -i64::from(code), "call {nr}");
        }
        0
    });
    assert!(exited(status, 0), "{status:?}");
}

#[test]
fn threads_start_wait_allocate_and_end() {
    let status = victim(|| {
        confine(false);
        let (to, from) = mpsc::channel();
        let joined = std::thread::Builder::new().stack_size(256 * 1024).spawn(move || {
            // Enough, in pieces small enough, that freeing shrinks this thread's heap.
            let pieces: Vec<Vec<u8>> = (0..64).map(|n| vec![n; 100 * 1024]).collect();
            to.send(pieces.iter().map(|p| usize::from(p[p.len() - 1])).sum::<usize>()).unwrap();
            drop(pieces);
            HashMap::from([(1, std::time::Instant::now())]).len()
        });
        assert_eq!(from.recv(), Ok((0..64).sum()));
        assert_eq!(joined.unwrap().join().unwrap(), 1);
        let (to, from) = mpsc::channel();
        let body = move |blocked| {
            drop::<thread::BlockedSignals>(blocked);
            to.send(thread::gettid()).unwrap();
        };
        let (tid, start) = thread::spawn(body).unwrap();
        start.send(thread::BlockedSignals::all()).unwrap();
        assert_eq!(from.recv(), Ok(tid));
        let mut large = vec![1u8; 1 << 20];
        large.resize(8 << 20, 2);
        i32::from(large[large.len() - 1] != 2)
    });
    assert!(exited(status, 0), "{status:?}");
}

#[test]
fn threads_that_were_there_before_are_confined_too() {
    let status = victim(|| {
        let (go, wait) = mpsc::channel();
        let other = std::thread::spawn(move || {
            wait.recv().unwrap();
            raw(libc::SYS_getppid, [0; 6]);
        });
        confine(false);
        go.send(()).unwrap();
        i32::from(other.join().is_err())
    });
    assert!(ended_by(status, Signal::SIGSYS), "{status:?}");
}

#[test]
fn a_forked_process_is_confined_and_its_end_is_seen() {
    let status = victim(|| {
        confine(false);
        // SAFETY: as in `victim`.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => call::exit_process(raw(libc::SYS_getppid, [0; 6]) as i32),
            ForkResult::Parent { child } => {
                i32::from(!ended_by(waitpid(child, None).unwrap(), Signal::SIGSYS))
            }
        }
    });
    assert!(exited(status, 0), "{status:?}");
}

#[test]
fn guest_memory_is_mapped_changed_moved_and_advised() {
    let at = |start, pages| Span { start, end: start + pages * PAGE };
    let (old, new) = (at(0x1_3100_0000, 2), at(0x1_3110_0000, 4));
    let status = victim(|| {
        confine(false);
        let (mut space, mut host) = (AddressSpace::new(Limits::DEFAULT, 1), HostMemory);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_POPULATE;
        let request = MapRequest::decode(old.start, old.len(), 3, flags as u64, None).unwrap();
        assert_eq!(space.map(&mut host, &request).result, Ok(old.start));
        host.store(old.start, b"kept").unwrap();
        assert_eq!(space.protect(&mut host, old.start, old.len(), 5).result, Ok(()));
        let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u64;
        let request = RemapRequest {
            addr: old.start,
            old_len: old.len(),
            new_len: new.len(),
            flags,
            new_addr: new.start,
        };
        assert_eq!(space.remap(&mut host, &request).result, Ok(new.start));
        assert_eq!(access::read_u32(new.start).map(u32::to_le_bytes), Ok(*b"kept"));
        assert_eq!(space.protect(&mut host, new.start, new.len(), 3).result, Ok(()));
        // Whatever the guest advises, its process lives.
        for advice in -1..=256 {
            let _ = space.advise(&mut host, new.start, new.len(), advice);
        }
        assert_eq!(space.unmap(&mut host, new.start, new.len()).result, Ok(()));
        0
    });
    assert!(exited(status, 0), "{status:?}");
}

#[test]
fn a_file_comes_over_the_control_socket_and_is_read_and_mapped() {
    let span = Span { start: 0x1_3120_0000, end: 0x1_3120_0000 + PAGE };
    let status = victim(|| {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::empty()).unwrap();
        // SAFETY: the number is the control socket's; what the parent had there is of no use to the victim.
        assert_eq!(unsafe { libc::dup2(theirs.as_raw_fd(), CONTROL_FD) }, CONTROL_FD);
        std::mem::forget(theirs);
        let program = File::open("/proc/self/exe").unwrap();
        let about = About { dev: 1, ino: 2, path: b"/x".to_vec() };
        let fds = [program.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&fds)];
        sendmsg::<()>(ours.as_raw_fd(), &[IoSlice::new(&about.encode())], &rights, MsgFlags::empty(), None)
            .unwrap();

        confine(false);
        let (fd, received) = control::receive().unwrap();
        assert_eq!(received, about);
        assert!(control::size(&fd).unwrap() > PAGE);
        let mut magic = [0; 4];
        assert_eq!(nix::sys::uio::pread(&fd, &mut magic, 0), Ok(4));
        let (source, noreserve) = (Source::File(fd.as_fd(), 0), false);
        let (shared, populate, locked, replace) = (false, false, false, true);
        let prot = Prot::READ;
        HostMemory
            .map(&HostRequest { span, prot, source, shared, noreserve, populate, locked, replace })
            .unwrap();
        assert_eq!(access::read_u32(span.start).map(u32::to_le_bytes), Ok(magic));
        drop(fd);
        let message = 7u32.to_le_bytes();
        assert_eq!(raw(libc::SYS_sendto, [CONTROL_FD as u64, message.as_ptr() as u64, 4, 0, 0, 0]), 4);
        i32::from(magic != *b"\x7fELF")
    });
    assert!(exited(status, 0), "{status:?}");
}

/// Makes a timer signal the calling thread at once, and waits.
fn raise_by_timer(signal: Signal) {
    let mut event = [0u32; 16];
    (event[2], event[3]) = (signal as u32, libc::SIGEV_THREAD_ID as u32);
    event[4] = thread::gettid() as u32;
    let mut timer = 0i32;
    let clock = libc::CLOCK_MONOTONIC as u64;
    assert_eq!(
        raw(libc::SYS_timer_create, [clock, event.as_ptr() as u64, &raw mut timer as u64, 0, 0, 0]),
        0
    );
    let soon = [0u64, 0, 0, 1];
    assert_eq!(raw(libc::SYS_timer_settime, [timer as u64, 0, soon.as_ptr() as u64, 0, 0, 0]), 0);
    let none = 0u64;
    raw(libc::SYS_rt_sigtimedwait, [&raw const none as u64, 0, 0, 8, 0, 0]);
}

#[test]
fn a_process_raises_a_signal_in_itself_by_a_timer() {
    let status = victim(|| {
        act_by_default(Signal::SIGTERM);
        confine(false);
        raise_by_timer(Signal::SIGTERM);
        0
    });
    assert!(ended_by(status, Signal::SIGTERM), "{status:?}");
}

#[test]
fn a_timer_signals_no_other_process() {
    let parent = Pid::this().as_raw();
    let status = victim(|| {
        confine(false);
        let mut event = [0u32; 16];
        (event[2], event[3], event[4]) = (libc::SIGTERM as u32, libc::SIGEV_THREAD_ID as u32, parent as u32);
        let mut timer = 0i32;
        let args = [libc::CLOCK_MONOTONIC as u64, event.as_ptr() as u64, &raw mut timer as u64, 0, 0, 0];
        i32::from(raw(libc::SYS_timer_create, args) != -i64::from(libc::EINVAL))
    });
    assert!(exited(status, 0), "{status:?}");
}

#[test]
fn abort_ends_the_process_by_the_fault_of_its_last_resort() {
    let status = victim(|| {
        act_by_default(Signal::SIGABRT);
        act_by_default(Signal::SIGSEGV);
        confine(false);
        std::process::abort()
    });
    assert!(ended_by(status, Signal::SIGSEGV), "{status:?}");
}

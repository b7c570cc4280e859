//! Guest signals against the host's kernel: real signals, real masks, frames in mapped guest memory. There is
//! no supervisor and no guest code; each test plays the cpu loop on a thread of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use libc::{EAGAIN, EFAULT, EINTR, EINVAL, SIGALRM, SIGSEGV, SIGTERM, SIGUSR1, SIGUSR2};
use nix::errno::Errno;
use rxbox_emulator_core::base::result::SyscallResult;
use rxbox_emulator_core::base::sigset::SigSet;
use rxbox_emulator_core::channel::Channel;
use rxbox_emulator_core::cpu_loop::granted;
use rxbox_emulator_core::guest::layout::{PAGE, Span};
use rxbox_emulator_core::guest::{AddressSpace, HostMap, HostRequest, Limits, Prot, Source, access};
use rxbox_emulator_core::host::map::HostMemory;
use rxbox_emulator_core::host::thread::{BlockedSignals, gettid};
use rxbox_emulator_core::log::Log;
use rxbox_emulator_core::process::Process;
use rxbox_emulator_core::runtime::blocks::Blocks;
use rxbox_emulator_core::runtime::cpu::NewCpu;
use rxbox_emulator_core::signal::deliver::Restart;
use rxbox_emulator_core::signal::fault::{Fault, page_fault};
use rxbox_emulator_core::signal::info::{SEGV_ACCERR, SI_KERNEL};
use rxbox_emulator_core::signal::{calls, deliver, lifecycle};
use rxbox_emulator_core::thread::Thread;
use rxbox_tests::random::Random;
use rxbox_wire::frame::Reply;
use rxbox_wire::kind::Syscall;
use rxbox_wire::table;
use std::ops::{Deref, DerefMut};
use std::os::fd::IntoRawFd;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Guest memory: arguments of calls, an alternate stack, a stack.
const DATA: u64 = 0x2000_0000;
const ALTERNATE: u64 = DATA + 0x1_0000;
const ALTERNATE_SIZE: u64 = 0x1_0000;
const STACK_TOP: u64 = DATA + 0x10_0000;
const HANDLER: u64 = 0x40_1000;
const RESTORER: u64 = 0x40_2000;
const PC: u64 = 0x40_3000;

const SA_SIGINFO: u64 = 4;
const SA_RESTORER: u64 = 0x0400_0000;
const SA_ONSTACK: u64 = 0x0800_0000;
const SA_RESTART: u64 = 0x1000_0000;
const SA_NODEFER: u64 = 0x4000_0000;
const SA_RESETHAND: u64 = 0x8000_0000;

/// Offsets in a frame.
const UCONTEXT: u64 = 8;
const SAVED_RAX: u64 = UCONTEXT + 40 + 13 * 8;
const SAVED_PC: u64 = UCONTEXT + 40 + 16 * 8;
const SAVED_XSTATE: u64 = UCONTEXT + 40 + 23 * 8;
const SAVED_MASK: u64 = UCONTEXT + 296;
const INFO: u64 = 312;

fn process() -> &'static Process {
    static PROCESS: OnceLock<&'static Process> = OnceLock::new();
    PROCESS.get_or_init(|| {
        let fd = nix::sys::memfd::memfd_create("channel", nix::sys::memfd::MFdFlags::empty()).unwrap();
        nix::unistd::ftruncate(&fd, rxbox_wire::sizes::CHANNEL_SIZE as i64).unwrap();
        let span = Span { start: DATA, end: STACK_TOP };
        let request = HostRequest {
            span,
            prot: Prot::READ_WRITE,
            source: Source::Anonymous,
            shared: false,
            noreserve: false,
            populate: false,
            locked: false,
            replace: false,
        };
        HostMemory.map(&request).unwrap();
        let space = AddressSpace::new(Limits::DEFAULT, 1);
        let channel = Channel::map(fd.into_raw_fd()).unwrap();
        Box::leak(Box::new(Process::new(space, Blocks::new(0).unwrap(), channel, Log::default())))
    })
}

/// A guest thread on the calling host thread.
struct Guest(Thread);

impl Deref for Guest {
    type Target = Thread;
    fn deref(&self) -> &Thread {
        &self.0
    }
}

impl DerefMut for Guest {
    fn deref_mut(&mut self) -> &mut Thread {
        &mut self.0
    }
}

/// Runs a test on a guest thread, one test at a time since they share the actions.
fn guest(test: impl FnOnce(&mut Guest) + Send + 'static) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let body = move || {
        std::mem::forget(BlockedSignals::all());
        let process = process();
        let cpu = NewCpu::new().adopt(process.vectors);
        let mut thread = Thread::new(process, cpu, process.channel.slot(0), gettid(), drop);
        lifecycle::start(&mut thread, SigSet::EMPTY, SigSet::EMPTY);
        thread.state().gpr[4] = STACK_TOP - 0x1000;
        thread.state().pc = PC;
        let mut guest = Guest(thread);
        test(&mut guest);
        // Whatever the test left: nothing more comes.
        std::mem::forget(BlockedSignals::all());
    };
    std::thread::spawn(body).join().unwrap();
}

impl Guest {
    fn call(&mut self, nr: i64, args: &[u64]) -> SyscallResult {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        granted::carry_out(self, table::row(nr as u32).unwrap(), &all, 0)
    }

    fn put(&self, offset: u64, words: &[u64]) -> u64 {
        for (i, &word) in words.iter().enumerate() {
            access::write_u64(DATA + offset + 8 * i as u64, word).unwrap();
        }
        DATA + offset
    }

    fn handle(&mut self, signal: i32, flags: u64, mask: SigSet) {
        let action = self.put(0, &[HANDLER, flags | SA_RESTORER, RESTORER, mask.0]);
        assert_eq!(
            self.call(libc::SYS_rt_sigaction, &[signal as u64, action, 0, 8]),
            SyscallResult::Value(0)
        );
    }

    fn block(&mut self, how: i32, set: SigSet) -> SyscallResult {
        let set = self.put(0, &[set.0]);
        self.call(libc::SYS_rt_sigprocmask, &[how as u64, set, 0, 8])
    }

    /// Sends a signal to this thread, with a value.
    fn send(&self, signal: i32, value: u64) {
        let mut info = [0u8; 128];
        info[8..12].copy_from_slice(&libc::SI_QUEUE.to_le_bytes());
        info[24..32].copy_from_slice(&value.to_le_bytes());
        // SAFETY: the kernel reads one siginfo, which lives here.
        let status = unsafe {
            libc::syscall(libc::SYS_rt_tgsigqueueinfo, libc::getpid(), gettid(), signal, info.as_mut_ptr())
        };
        assert_eq!(status, 0);
    }

    /// What the cpu loop does before it enters translated code.
    fn turn(&mut self) {
        while self.cpu.pending() {
            self.cpu.clear_pending();
            deliver::deliver(self, None);
        }
    }

    /// A word of the frame at the stack pointer.
    fn frame(&mut self, offset: u64) -> u64 {
        let at = self.state().gpr[4];
        access::read_u64(at + offset).unwrap()
    }

    /// What the handler's `ret` and the restorer do.
    fn finish(&mut self) {
        assert_eq!(self.frame(0), RESTORER);
        self.state().gpr[4] += 8;
        assert_eq!(self.call(libc::SYS_rt_sigreturn, &[]), SyscallResult::Done);
    }

    fn pending_set(&mut self) -> SigSet {
        assert_eq!(self.call(libc::SYS_rt_sigpending, &[DATA, 8]), SyscallResult::Value(0));
        SigSet(access::read_u64(DATA).unwrap())
    }
}

#[test]
fn a_handler_gets_its_arguments_and_returns_to_where_it_was_called() {
    guest(|g| {
        g.handle(SIGUSR1, SA_SIGINFO, SigSet::of(&[SIGUSR2]));
        g.state().gpr[0] = 77;
        g.state().rflags = 0x202 | 0x400 | 0x41;
        let before = g.state().gpr;
        g.send(SIGUSR1, 0x1234);
        g.turn();
        let frame = g.state().gpr[4];
        let gpr = g.state().gpr;
        assert_eq!((gpr[7], gpr[6], gpr[2], gpr[0]), (SIGUSR1 as u64, frame + INFO, frame + UCONTEXT, 0));
        assert_eq!((g.state().pc, g.state().rflags & 0x400, frame % 16), (HANDLER, 0, 8));
        assert_eq!(g.frame(INFO) as i32, SIGUSR1);
        assert_eq!((g.frame(INFO + 8) as i32, g.frame(INFO + 24)), (libc::SI_QUEUE, 0x1234));
        assert_eq!((g.frame(SAVED_RAX), g.frame(SAVED_PC), g.frame(SAVED_MASK)), (77, PC, 0));
        assert_eq!(g.signals.mask(), SigSet::of(&[SIGUSR1, SIGUSR2]));
        g.finish();
        assert_eq!((g.state().gpr, g.state().pc), (before, PC));
        assert_eq!(g.state().rflags & 0x441, 0x441);
        assert_eq!(g.signals.mask(), SigSet::EMPTY);
    });
}

#[test]
fn a_handler_starts_with_clean_extended_state_and_gives_back_the_interrupted_one() {
    guest(|g| {
        g.handle(SIGUSR1, 0, SigSet::EMPTY);
        let state = g.state();
        for (n, register) in state.vectors.iter_mut().enumerate() {
            register.fill(n as u8 + 1);
        }
        state.opmasks = [7; 8];
        state.in_use = 0xe7;
        state.mxcsr = 0x1fa0;
        g.send(SIGUSR1, 0);
        g.turn();
        let state = g.state();
        assert_eq!((state.vectors[0], state.in_use, state.mxcsr), ([0; 64], 0, 0x1f80));
        let xstate = g.frame(SAVED_XSTATE);
        assert_eq!(access::read_u32(xstate + 464).unwrap(), 0x4650_5853);
        assert_eq!(access::read_u32(xstate + 160).unwrap(), 0x0101_0101);
        // A handler may change what it interrupted.
        access::write_u32(xstate + 160, 0xdead_beef).unwrap();
        g.finish();
        let state = g.state();
        assert_eq!(state.vectors[0][..4], 0xdead_beefu32.to_le_bytes());
        assert_eq!((state.vectors[1][0], state.vectors[15][15], state.mxcsr), (2, 16, 0x1fa0));
    });
}

#[test]
fn an_interrupted_call_restarts_or_fails_as_the_manual_says() {
    // Flags of the handler, whether the call may be restarted, whether it is.
    let cases = [(0, true, false), (SA_RESTART, true, true), (SA_RESTART, false, false), (0, false, false)];
    guest(move |g| {
        for (flags, restartable, again) in cases {
            g.handle(SIGUSR1, flags, SigSet::EMPTY);
            g.state().pc = PC;
            g.send(SIGUSR1, 0);
            deliver::deliver(g, Some(Restart { nr: 42, restartable }));
            let expected = if again { (42, PC - 2) } else { (-i64::from(EINTR) as u64, PC) };
            assert_eq!((g.frame(SAVED_RAX), g.frame(SAVED_PC)), expected);
            g.finish();
        }
        for restartable in [true, false] {
            g.state().pc = PC;
            deliver::deliver(g, Some(Restart { nr: 42, restartable }));
            assert_eq!((g.state().gpr[0], g.state().pc), (42, PC - 2), "no handler ran");
        }
    });
}

#[test]
fn only_the_first_of_several_handlers_decides_about_the_restart() {
    guest(|g| {
        g.handle(SIGUSR1, SA_RESTART, SigSet::EMPTY);
        g.handle(SIGUSR2, 0, SigSet::EMPTY);
        // Both are there at once.
        let both = SigSet::of(&[SIGUSR1, SIGUSR2]);
        assert_eq!(g.block(libc::SIG_BLOCK, both), SyscallResult::Value(0));
        g.send(SIGUSR2, 0);
        g.send(SIGUSR1, 0);
        assert_eq!(g.block(libc::SIG_UNBLOCK, both), SyscallResult::Value(0));
        deliver::deliver(g, Some(Restart { nr: 7, restartable: true }));
        // The frame of the second lies upon that of the first and goes back to its handler.
        assert_eq!((g.state().gpr[7], g.frame(SAVED_PC)), (SIGUSR2 as u64, HANDLER));
        g.finish();
        assert_eq!((g.frame(SAVED_RAX), g.frame(SAVED_PC)), (7, PC - 2));
    });
}

#[test]
fn what_a_handler_blocks_waits_until_it_returns() {
    guest(|g| {
        g.handle(SIGUSR1, 0, SigSet::of(&[SIGUSR2]));
        g.handle(SIGUSR2, 0, SigSet::EMPTY);
        g.send(SIGUSR1, 0);
        g.send(SIGUSR2, 0);
        g.turn();
        assert_eq!(g.state().gpr[7], SIGUSR1 as u64);
        g.send(SIGUSR1, 0);
        assert_eq!(g.pending_set(), SigSet::of(&[SIGUSR1, SIGUSR2]), "one taken, one in the kernel");
        for next in [SIGUSR1, SIGUSR2] {
            g.finish();
            g.turn();
            assert_eq!((g.state().gpr[7], g.frame(SAVED_PC)), (next as u64, PC));
        }
        assert_eq!(g.pending_set(), SigSet::EMPTY);
    });
}

#[test]
fn no_defer_and_reset_hand_do_what_they_say() {
    guest(|g| {
        g.handle(SIGUSR1, SA_NODEFER, SigSet::EMPTY);
        g.send(SIGUSR1, 0);
        g.turn();
        assert_eq!(g.signals.mask(), SigSet::EMPTY);
        g.handle(SIGUSR1, SA_RESETHAND, SigSet::EMPTY);
        g.send(SIGUSR1, 0);
        g.turn();
        let old = DATA + 0x100;
        assert_eq!(g.call(libc::SYS_rt_sigaction, &[SIGUSR1 as u64, 0, old, 8]), SyscallResult::Value(0));
        assert_eq!(access::read_u64(old).unwrap(), 0, "the default action");
    });
}

#[test]
fn a_blocked_signal_waits_in_the_kernel_and_comes_when_it_is_unblocked() {
    guest(|g| {
        g.handle(SIGUSR1, 0, SigSet::EMPTY);
        assert_eq!(g.block(libc::SIG_BLOCK, SigSet::of(&[SIGUSR1])), SyscallResult::Value(0));
        g.send(SIGUSR1, 0);
        g.turn();
        assert_eq!((g.state().pc, g.pending_set()), (PC, SigSet::of(&[SIGUSR1])));
        assert_eq!(g.block(libc::SIG_UNBLOCK, SigSet::ALL), SyscallResult::Value(0));
        g.turn();
        assert_eq!(g.state().pc, HANDLER);
    });
}

#[test]
fn a_signal_that_came_before_it_was_blocked_is_delivered_first() {
    guest(|g| {
        g.handle(SIGUSR1, 0, SigSet::EMPTY);
        g.send(SIGUSR1, 0);
        assert_eq!(g.block(libc::SIG_BLOCK, SigSet::of(&[SIGUSR1])), SyscallResult::Done);
        assert_eq!(g.signals.mask(), SigSet::EMPTY);
        g.turn();
        let nr = libc::SYS_rt_sigprocmask as u64;
        assert_eq!((g.frame(SAVED_RAX), g.frame(SAVED_PC)), (nr, PC - 2), "the call is made again");
    });
}

#[test]
fn masks_take_what_the_kernel_takes() {
    guest(|g| {
        assert_eq!(g.block(libc::SIG_SETMASK, SigSet::ALL), SyscallResult::Value(0));
        assert_eq!(g.signals.mask(), SigSet::ALL.minus(SigSet::UNBLOCKABLE));
        assert_eq!(g.block(3, SigSet::EMPTY), SyscallResult::Value(-i64::from(EINVAL)));
        let call = |g: &mut Guest, args: &[u64]| g.call(libc::SYS_rt_sigprocmask, args);
        assert_eq!(call(g, &[0, DATA, 0, 16]), SyscallResult::Value(-i64::from(EINVAL)));
        assert_eq!(call(g, &[0, 8, 0, 8]), SyscallResult::Value(-i64::from(EFAULT)));
        assert_eq!(call(g, &[9, 0, DATA, 8]), SyscallResult::Value(0), "how does not matter without a set");
        assert_eq!(access::read_u64(DATA).unwrap(), SigSet::ALL.minus(SigSet::UNBLOCKABLE).0);
        assert_eq!(call(g, &[0, 0, 8, 8]), SyscallResult::Value(-i64::from(EFAULT)));
    });
}

#[test]
fn sigsuspend_waits_under_its_mask_and_the_frame_brings_back_the_old_one() {
    guest(|g| {
        g.handle(SIGUSR1, SA_RESTART, SigSet::EMPTY);
        g.block(libc::SIG_SETMASK, SigSet::of(&[SIGUSR1, SIGTERM]));
        g.send(SIGUSR1, 0);
        let set = g.put(0, &[SigSet::of(&[SIGALRM]).0]);
        assert_eq!(g.call(libc::SYS_rt_sigsuspend, &[set, 8]), SyscallResult::Interrupted { restart: false });
        deliver::deliver(g, Some(Restart { nr: libc::SYS_rt_sigsuspend as u64, restartable: false }));
        assert_eq!(g.frame(SAVED_MASK), SigSet::of(&[SIGUSR1, SIGTERM]).0);
        assert_eq!(g.frame(SAVED_RAX), -i64::from(EINTR) as u64);
        assert_eq!(g.signals.mask(), SigSet::of(&[SIGALRM, SIGUSR1]));
        g.finish();
        assert_eq!(g.signals.mask(), SigSet::of(&[SIGUSR1, SIGTERM]));
    });
}

fn row(name: &str) -> &'static Syscall {
    table::by_name(name).unwrap()
}

#[test]
fn a_waiting_calls_mask_lasts_until_the_call_ends_or_the_handler_is_called() {
    guest(|g| {
        g.handle(SIGUSR1, 0, SigSet::EMPTY);
        g.block(libc::SIG_SETMASK, SigSet::of(&[SIGUSR1]));
        let set = g.put(0, &[0]);
        let args = [0, 0, 0, set, 8, 0];
        let reply = |ret| Reply { ret, flags: 0, out: [0; 6] };
        let ready = calls::with_mask(g, row("ppoll"), &args, |thread| {
            assert_eq!(thread.signals.mask(), SigSet::EMPTY);
            Ok(reply(1))
        });
        assert_eq!((ready.unwrap().ret, g.signals.mask()), (1, SigSet::of(&[SIGUSR1])));
        g.send(SIGUSR1, 0);
        let broken = calls::with_mask(g, row("ppoll"), &args, |thread| {
            assert!(thread.cpu.pending(), "the signal came through with the mask");
            Ok(reply(-i64::from(EINTR)))
        });
        assert_eq!((broken.unwrap().ret, g.signals.mask()), (-i64::from(EINTR), SigSet::EMPTY));
        deliver::deliver(g, Some(Restart { nr: libc::SYS_ppoll as u64, restartable: false }));
        assert_eq!((g.state().pc, g.frame(SAVED_MASK)), (HANDLER, SigSet::of(&[SIGUSR1]).0));
        let pair = g.put(16, &[set, 4]);
        let bad = calls::with_mask(g, row("pselect6"), &[0, 0, 0, 0, 0, pair], |_| panic!("not sent"));
        assert_eq!(bad.unwrap_err(), Errno::EINVAL);
    });
}

#[test]
fn sigtimedwait_takes_signals_with_their_values_and_times_out() {
    guest(|g| {
        let set = SigSet::of(&[SIGUSR1, 40]);
        g.block(libc::SIG_SETMASK, set);
        g.send(40, 111);
        g.send(40, 222);
        g.send(SIGUSR1, 333);
        let at = g.put(0, &[set.0, 0, 0]);
        for (signal, value) in [(SIGUSR1, 333), (40, 111), (40, 222)] {
            let answer = g.call(libc::SYS_rt_sigtimedwait, &[at, DATA + 0x100, at + 8, 8]);
            assert_eq!(answer, SyscallResult::Value(signal.into()));
            assert_eq!(access::read_u64(DATA + 0x118).unwrap(), value);
        }
        let wait = |g: &mut Guest| g.call(libc::SYS_rt_sigtimedwait, &[at, 0, at + 8, 8]);
        assert_eq!(wait(g), SyscallResult::Value(-i64::from(EAGAIN)));
        g.put(8, &[0, 1_000_000]);
        assert_eq!(wait(g), SyscallResult::Value(-i64::from(EAGAIN)));
        g.put(8, &[0, 1_000_000_000]);
        assert_eq!(wait(g), SyscallResult::Value(-i64::from(EINVAL)));
        g.put(8, &[u64::MAX, 0]);
        assert_eq!(wait(g), SyscallResult::Value(-i64::from(EINVAL)));
    });
}

#[test]
fn sigtimedwait_is_ended_by_another_handler_but_not_by_work_for_the_runtime() {
    guest(|g| {
        g.handle(SIGUSR2, SA_RESTART, SigSet::EMPTY);
        g.block(libc::SIG_SETMASK, SigSet::of(&[SIGUSR1]));
        let at = g.put(0, &[SigSet::of(&[SIGUSR1]).0, 0, 1_000_000]);
        g.cpu.kick();
        let timed = g.call(libc::SYS_rt_sigtimedwait, &[at, 0, at + 8, 8]);
        assert_eq!(timed, SyscallResult::Value(-i64::from(EAGAIN)));
        g.send(SIGUSR2, 0);
        let ended = g.call(libc::SYS_rt_sigtimedwait, &[at, 0, 0, 8]);
        assert_eq!(ended, SyscallResult::Interrupted { restart: false });
        assert!(g.cpu.pending());
        g.turn();
        assert_eq!(g.state().pc, HANDLER);
    });
}

#[test]
fn the_alternate_stack_is_used_and_reported() {
    guest(|g| {
        let stack = g.put(0, &[ALTERNATE, 0, ALTERNATE_SIZE]);
        assert_eq!(g.call(libc::SYS_sigaltstack, &[stack, 0]), SyscallResult::Value(0));
        g.handle(SIGUSR1, SA_ONSTACK, SigSet::EMPTY);
        g.send(SIGUSR1, 0);
        g.turn();
        let sp = g.state().gpr[4];
        assert!((ALTERNATE..ALTERNATE + ALTERNATE_SIZE).contains(&sp));
        let old = DATA + 0x100;
        assert_eq!(g.call(libc::SYS_sigaltstack, &[0, old]), SyscallResult::Value(0));
        assert_eq!(access::read_u64(old + 8).unwrap(), 1, "SS_ONSTACK");
        let busy = g.call(libc::SYS_sigaltstack, &[stack, 0]);
        assert_eq!(busy, SyscallResult::Value(-i64::from(libc::EPERM)));
        g.finish();
        assert_eq!(g.state().gpr[4], STACK_TOP - 0x1000);
    });
}

#[test]
fn a_fault_is_delivered_with_its_cause_and_later_frames_still_show_it() {
    guest(|g| {
        g.handle(SIGSEGV, SA_SIGINFO, SigSet::EMPTY);
        g.handle(SIGUSR1, 0, SigSet::EMPTY);
        deliver::raise(g, Fault::not_allowed(0xbad0, page_fault::WRITE));
        assert_eq!(g.frame(INFO) as i32, SIGSEGV);
        assert_eq!((g.frame(INFO + 8) as i32, g.frame(INFO + 16)), (SEGV_ACCERR, 0xbad0));
        let trap = |g: &mut Guest| [19, 20, 22].map(|i| g.frame(UCONTEXT + 40 + 8 * i));
        assert_eq!(trap(g), [7, 14, 0xbad0]);
        g.finish();
        g.send(SIGUSR1, 0);
        g.turn();
        assert_eq!(trap(g), [7, 14, 0xbad0]);
    });
}

#[test]
fn a_frame_that_cannot_be_written_becomes_a_fault_on_the_alternate_stack() {
    guest(|g| {
        let stack = g.put(0, &[ALTERNATE, 0, ALTERNATE_SIZE]);
        g.call(libc::SYS_sigaltstack, &[stack, 0]);
        g.handle(SIGUSR1, 0, SigSet::EMPTY);
        g.handle(SIGSEGV, SA_ONSTACK, SigSet::EMPTY);
        g.state().gpr[4] = DATA - PAGE;
        g.send(SIGUSR1, 0);
        g.turn();
        assert_eq!(g.state().gpr[7], SIGSEGV as u64);
        assert_eq!(g.frame(INFO + 8) as i32, SI_KERNEL);
        assert_eq!(g.frame(SAVED_PC), PC);
    });
}

#[test]
fn hostile_frames_return_or_fault_but_never_leave_invalid_state() {
    guest(|g| {
        let stack = g.put(0, &[ALTERNATE, 0, ALTERNATE_SIZE]);
        g.call(libc::SYS_sigaltstack, &[stack, 0]);
        g.handle(SIGSEGV, SA_ONSTACK | SA_NODEFER, SigSet::EMPTY);
        let mut random = Random::new(1);
        let mut next = move || random.next();
        let frame = DATA + 0x2000;
        let mut faults = 0;
        for round in 0..2000 {
            for i in 0..500 {
                let word = match next() % 4 {
                    0 => 0,
                    1 => 0x002b_0000_0000_0033,
                    2 => frame + next() % 0x2000,
                    _ => next(),
                };
                access::write_u64(frame + 8 * i, word).unwrap();
            }
            if round % 2 == 0 {
                access::write_u64(frame + UCONTEXT + 40 + 18 * 8, 0x002b_0000_0000_0033).unwrap();
                access::write_u64(frame + SAVED_XSTATE, [0, frame + 0x800][round / 2 % 2]).unwrap();
            }
            // The stack that the frame asks for must leave the next round its own.
            access::write_u64(frame + UCONTEXT + 16, 0).unwrap();
            access::write_u64(frame + UCONTEXT + 24, 4).unwrap();
            // With SIGSEGV blocked a bad frame is the end, as on Linux.
            access::write_u64(frame + SAVED_MASK, next() & !SigSet::of(&[SIGSEGV]).0).unwrap();
            g.state().gpr[4] = frame + 8;
            g.state().pc = PC;
            assert_eq!(g.call(libc::SYS_rt_sigreturn, &[]), SyscallResult::Done);
            g.block(libc::SIG_SETMASK, SigSet::EMPTY);
            faults += u32::from(g.state().pc == HANDLER);
            let state = g.state();
            assert_eq!(state.rflags & (0x200 | 0x3000), 0x200, "interrupts, no IOPL");
            assert_eq!(state.mxcsr & 0xffff_0000, 0);
        }
        assert!(faults > 0 && faults < 2000, "both ways were taken: {faults}");
        g.state().gpr[4] = 0;
        g.state().pc = PC;
        g.call(libc::SYS_rt_sigreturn, &[]);
        assert_eq!(g.state().pc, HANDLER, "no memory at all");
    });
}

#[test]
fn a_timer_of_the_guest_signals_the_thread_it_names() {
    guest(|g| {
        g.block(libc::SIG_SETMASK, SigSet::of(&[41]));
        let event = g.put(0x200, &[0x77, 41 | 4 << 32, gettid() as u64, 0, 0, 0, 0, 0]);
        let id = DATA + 0x300;
        let created = g.call(libc::SYS_timer_create, &[libc::CLOCK_MONOTONIC as u64, event, id]);
        assert_eq!(created, SyscallResult::Value(0));
        let timer = u64::from(access::read_u32(id).unwrap());
        let soon = g.put(0x400, &[0, 0, 0, 1000]);
        assert_eq!(g.call(libc::SYS_timer_settime, &[timer, 0, soon, 0]), SyscallResult::Value(0));
        let set = g.put(0, &[SigSet::of(&[41]).0]);
        assert_eq!(g.call(libc::SYS_rt_sigtimedwait, &[set, DATA + 0x100, 0, 8]), SyscallResult::Value(41));
        assert_eq!(access::read_u32(DATA + 0x108).unwrap() as i32, libc::SI_TIMER);
        assert_eq!(access::read_u64(DATA + 0x118).unwrap(), 0x77);
        assert_eq!(g.call(libc::SYS_timer_delete, &[timer]), SyscallResult::Value(0));
        let gone = g.call(libc::SYS_timer_gettime, &[timer, soon]);
        assert_eq!(gone, SyscallResult::Value(-i64::from(EINVAL)));
        let untold = g.call(libc::SYS_timer_create, &[libc::CLOCK_MONOTONIC as u64, event, 8]);
        assert_eq!(untold, SyscallResult::Value(-i64::from(EFAULT)));
    });
}

#[test]
fn exec_takes_handlers_and_timers_and_leaves_what_was_ignored() {
    guest(|g| {
        g.handle(SIGUSR1, 0, SigSet::EMPTY);
        let ignore = g.put(0, &[1, 0, 0, 0]);
        g.call(libc::SYS_rt_sigaction, &[SIGUSR2 as u64, ignore, 0, 8]);
        let id = DATA + 0x300;
        let event = g.put(0x200, &[0, 1 << 32, 0, 0, 0, 0, 0, 0]);
        g.call(libc::SYS_timer_create, &[libc::CLOCK_MONOTONIC as u64, event, id]);
        lifecycle::exec(g);
        let handler = |g: &mut Guest, signal: i32| {
            g.call(libc::SYS_rt_sigaction, &[signal as u64, 0, DATA, 8]);
            access::read_u64(DATA).unwrap()
        };
        assert_eq!((handler(g, SIGUSR1), handler(g, SIGUSR2)), (0, 1));
        let timer = u64::from(access::read_u32(id).unwrap());
        assert_eq!(g.call(libc::SYS_timer_delete, &[timer]), SyscallResult::Value(-i64::from(EINVAL)));
        g.send(SIGUSR2, 0);
        assert!(!g.cpu.pending(), "the host ignores it too");
    });
}

//! Host calls that can be interrupted, without a race.
//!
//! A worker that waits in the kernel on behalf of a guest thread must come back when that thread gets a
//! signal. The guest thread sets a word in its slot and sends a message; the event loop then sends [`signal`]
//! to the worker. The word may be set just after the worker has looked at it and just before it enters the
//! kernel, where nobody would tell it again. So the look and the `syscall` instruction are one piece of
//! assembly with known bounds: if the signal arrives while the worker is between them, the signal's handler
//! moves it to the way out.
//!
//! Nothing is lost: the word is set before the signal is sent. If the signal arrives before the look, the
//! look sees the word; between look and call, the handler acts; during the call, the kernel returns EINTR, or
//! the result if there is one; after it, the call is over, and the word is still there for the next one until
//! the guest thread, which has asked for this, takes it back.
//!
//! A call that does not have to wait is never interrupted, on Linux: opening a file gives no EINTR, nor does
//! reading what is there. So a worker that finds the word set makes the call all the same, with a clock that
//! sends it the signal again and again ([`Clock`]): should the call wait, it does not wait long.

use super::SyscallResult;
use super::raw::{call, result};
use nix::errno::Errno;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::sync::atomic::AtomicU32;

/// The signal that interrupts a worker.
pub fn signal() -> c_int {
    libc::SIGRTMAX() - 1
}

static NEVER: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// The word that this thread looks at. Only [`watch`] changes it, and puts it back.
    static WORD: Cell<*const AtomicU32> = const { Cell::new(&raw const NEVER) };
}

std::arch::global_asm!(
    ".pushsection .text.rxbox_interruptible,\"ax\",@progbits",
    ".global rxbox_interruptible",
    ".type rxbox_interruptible,@function",
    "rxbox_interruptible:", // (word: rdi, nr: rsi, args: rdx)
    "push rbx",
    "mov rbx, rdi",
    "mov rax, rsi",
    "mov rcx, rdx",
    "mov rdi, [rcx]",
    "mov rsi, [rcx + 8]",
    "mov rdx, [rcx + 16]",
    "mov r10, [rcx + 24]",
    "mov r8, [rcx + 32]",
    "mov r9, [rcx + 40]",
    ".global rxbox_interruptible_look",
    "rxbox_interruptible_look:",
    "cmp dword ptr [rbx], 0",
    "jne rxbox_interruptible_broken",
    "syscall",
    ".global rxbox_interruptible_done",
    "rxbox_interruptible_done:",
    "pop rbx",
    "ret",
    ".global rxbox_interruptible_broken",
    "rxbox_interruptible_broken:",
    "mov rax, {eintr}",
    "pop rbx",
    "ret",
    ".size rxbox_interruptible, . - rxbox_interruptible",
    ".popsection",
    eintr = const -BROKEN,
);

/// What the piece of assembly returns, negated, for a call that was not made: the kernel's ERESTARTSYS, which
/// no call returns.
const BROKEN: i64 = 512;

unsafe extern "C" {
    fn rxbox_interruptible(word: *const AtomicU32, nr: i64, args: *const [u64; 6]) -> i64;
    static rxbox_interruptible_look: u8;
    static rxbox_interruptible_done: u8;
    static rxbox_interruptible_broken: u8;
}

/// Makes the host call `nr`; EINTR if it waits while this thread's word is set.
///
/// # Safety
/// As for [`super::raw::call`].
pub(super) unsafe fn interruptible(nr: i64, args: [u64; 6]) -> SyscallResult {
    // SAFETY: the word is valid as long as `watch` holds it, or static; the rest is the caller's promise.
    let ret = unsafe { rxbox_interruptible(WORD.get(), nr, &raw const args) };
    if ret != -BROKEN {
        return result(ret);
    }
    // SAFETY: the caller's promise.
    CLOCK.with(|clock| clock.run(|| unsafe { call(nr, args) }))
}

/// A clock of this thread's that sends it [`signal`] while it runs.
struct Clock(Option<i32>);

thread_local! {
    static CLOCK: Clock = Clock::new();
}

impl Clock {
    /// How long a call may take that is to be interrupted, in nanoseconds: what need not wait is done by
    /// then.
    const TICK: i64 = 100_000;

    fn new() -> Clock {
        // SAFETY: zeros are a sigevent; the call reads that and writes the number of the timer.
        unsafe {
            let mut event: libc::sigevent = std::mem::zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = signal();
            event.sigev_notify_thread_id = libc::gettid();
            let mut timer = 0i32;
            let args =
                [libc::CLOCK_MONOTONIC as u64, &raw const event as u64, &raw mut timer as u64, 0, 0, 0];
            Clock(call(libc::SYS_timer_create, args).is_ok().then_some(timer))
        }
    }

    /// Runs the clock during a call. The last tick has come when the clock is stopped, so none reaches
    /// another call.
    fn run(&self, work: impl FnOnce() -> SyscallResult) -> SyscallResult {
        if !self.set(Self::TICK) {
            return Err(Errno::EINTR);
        }
        let answer = work();
        self.set(0);
        answer
    }

    /// Makes it tick so often, or stops it.
    fn set(&self, tick: i64) -> bool {
        let Some(timer) = self.0 else { return false };
        let tick = libc::timespec { tv_sec: 0, tv_nsec: tick };
        let setting = libc::itimerspec { it_interval: tick, it_value: tick };
        // SAFETY: the kernel reads the setting.
        unsafe { call(libc::SYS_timer_settime, [timer as u64, 0, &raw const setting as u64, 0, 0, 0]) }
            .is_ok()
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let Some(timer) = self.0 else { return };
        // SAFETY: a number.
        let _ = unsafe { call(libc::SYS_timer_delete, [timer as u64, 0, 0, 0, 0, 0]) };
    }
}

/// Runs `work` with `word` as the word that interrupts this thread's calls.
pub fn watch<R>(word: &AtomicU32, work: impl FnOnce() -> R) -> R {
    struct Restore(*const AtomicU32);
    impl Drop for Restore {
        fn drop(&mut self) {
            WORD.set(self.0);
        }
    }
    let _restore = Restore(WORD.replace(word));
    work()
}

extern "C" fn handler(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel gives a handler installed with SA_SIGINFO the thread's context, which it may change.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let rip = &mut registers[libc::REG_RIP as usize];
    let labels = [
        &raw const rxbox_interruptible_look,
        &raw const rxbox_interruptible_done,
        &raw const rxbox_interruptible_broken,
    ];
    let [look, done, broken] = labels.map(|label| label as i64);
    if (look..done).contains(rip) {
        *rip = broken;
    }
}

/// Installs the handler of [`signal`]; once, before the first worker starts. Without SA_RESTART: the kernel
/// must return.
pub fn install() -> Result<(), Errno> {
    // SAFETY: a sigaction of zeros is valid; the handler has the signature that SA_SIGINFO asks for and
    // touches nothing but the interrupted context.
    let done = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(signal(), &raw const action, std::ptr::null_mut())
    };
    Errno::result(done).map(drop)
}

/// Interrupts the call that a thread of this process may be in.
pub fn kick(thread: i32) {
    // SAFETY: takes only numbers; a thread that is no more is ESRCH, which is as good.
    let _ = unsafe {
        let args = [std::process::id().into(), thread as u64, signal() as u64, 0, 0, 0];
        call(libc::SYS_tgkill, args)
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::sync::atomic::Ordering;
    use std::sync::mpsc;

    /// Reads from `fd`, which stays empty.
    fn blocked_read(fd: i32) -> SyscallResult {
        let mut byte = 0u8;
        // SAFETY: one byte to write to.
        unsafe { interruptible(libc::SYS_read, [fd as u64, &raw mut byte as u64, 1, 0, 0, 0]) }
    }

    #[test]
    fn a_set_word_breaks_off_what_waits_and_nothing_else() {
        install().unwrap();
        let (r, w) = nix::unistd::pipe().unwrap();
        let word = AtomicU32::new(1);
        for _ in 0..100 {
            assert_eq!(watch(&word, || blocked_read(r.as_raw_fd())), Err(Errno::EINTR));
            nix::unistd::write(&w, b"x").unwrap();
            assert_eq!(watch(&word, || blocked_read(r.as_raw_fd())), Ok(1));
        }
    }

    #[test]
    fn without_a_request_the_call_is_made() {
        let (r, w) = nix::unistd::pipe().unwrap();
        nix::unistd::write(&w, b"x").unwrap();
        assert_eq!(blocked_read(r.as_raw_fd()), Ok(1));
    }

    /// Whenever the request comes (before the look, between look and call, in the call), the worker comes
    /// back; were one lost, this would hang, since the pipe is never written and each worker is kicked once.
    #[test]
    fn no_request_is_lost_whenever_it_comes() {
        install().unwrap();
        let (r, _w) = nix::unistd::pipe().unwrap();
        let word = AtomicU32::new(0);
        let (started, starts) = mpsc::channel();
        let (next, wait) = mpsc::channel::<()>();
        std::thread::scope(|s| {
            let (r, word) = (r.as_raw_fd(), &word);
            s.spawn(move || {
                while wait.recv().is_ok() {
                    started.send(nix::unistd::gettid().as_raw()).unwrap();
                    assert_eq!(watch(word, || blocked_read(r)), Err(Errno::EINTR));
                    word.store(0, Ordering::SeqCst);
                    started.send(0).unwrap();
                }
            });
            for delay in 0..2000 {
                next.send(()).unwrap();
                let tid = starts.recv().unwrap();
                for _ in 0..delay {
                    std::hint::spin_loop();
                }
                word.store(1, Ordering::SeqCst);
                kick(tid);
                assert_eq!(starts.recv(), Ok(0));
            }
            drop(next);
        });
    }
}

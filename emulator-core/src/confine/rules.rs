//! The rules: each host call that the child may make, under which conditions, and what for.
//!
//! A call that nobody here makes has no rule, however harmless it is: what the supervisor performs (sleeping,
//! most clocks) or the runtime emulates (set_tid_address, pause) does not reach the host from here.

use crate::runtime::cache::{LAST_PIECE, PIECE};
use libc::*;
use rxbox_seccomp::{Action, THREAD, Test, name};
use rxbox_translate::state::{CACHE, Region};
use rxbox_wire::boot::{CONTROL_FD, LOG_FD};
use rxbox_wire::sizes::PAGE;

/// When a rule is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// In every child.
    Always,
    /// Where there is a log.
    WithLog,
    /// Where there is none.
    WithoutLog,
}

impl Only {
    /// Whether the rule is in force.
    pub fn holds(self, log: bool) -> bool {
        match self {
            Only::Always => true,
            Only::WithLog => log,
            Only::WithoutLog => !log,
        }
    }
}

/// One rule. At most one matches a given call with its arguments.
#[derive(Debug)]
pub struct Rule {
    /// The call's number.
    pub call: i64,
    /// The call's name.
    pub name: &'static str,
    /// Argument index and condition; all of them must hold.
    pub when: &'static [(u8, Test)],
    /// What the filter does.
    pub action: Action,
    /// When the rule is in force.
    pub only: Only,
    /// What the child makes the call for, and, where that is not plain, why it does no harm.
    pub why: &'static str,
}

/// Rows of the form `SYS_name [argument: test, ...] action, "why";`, with `if WithLog` and the like before
/// the reason.
macro_rules! table {
    ($($call:ident [$($arg:literal: $test:expr),*] $action:expr, $(if $only:ident,)? $why:literal;)*) => {
        &[$(Rule {
            call: $call,
            name: name(stringify!($call)),
            when: &[$(($arg, $test)),*],
            action: $action,
            only: table!(@only $($only)?),
            why: $why,
        }),*]
    };
    (@only) => { Only::Always };
    (@only $only:ident) => { Only::$only };
}

const fn fails(errno: c_int) -> Action {
    Action::Errno(errno as u16)
}

const fn int(value: c_int) -> Test {
    Test::Int(value as u32)
}

const READ_WRITE: Test = Test::Within((PROT_READ | PROT_WRITE) as u64);
const ANY_ACCESS: Test = Test::Long((PROT_READ | PROT_WRITE | PROT_EXEC) as u64);
/// Where pieces of the code cache can begin: any low page.
const PIECES: Test = Test::Masked(!(CACHE.end.next_power_of_two() - PAGE), 0);
/// Of code that is mapped from a file.
const READ_EXECUTE: Test = Test::Long((PROT_READ | PROT_EXEC) as u64);
/// Whole pages, as many as kept translations can have.
const KEPT: Test = Test::Within((2 * Region::KEPT - 1) & !(PAGE - 1));
/// Any page of what a code cache can be, before it is moved.
const KEPT_PAGES: Test = Test::Masked(!((1 << CACHE.start.trailing_zeros()) - PAGE), CACHE.start);

/// Without huge pages, which are a pool of the whole host, and without what changes a mapping's nature later.
const MAPPINGS: Test = Test::Within(
    (MAP_SHARED
        | MAP_PRIVATE
        | MAP_FIXED
        | MAP_FIXED_NOREPLACE
        | MAP_ANONYMOUS
        | MAP_NORESERVE
        | MAP_POPULATE
        | MAP_LOCKED
        | MAP_STACK) as u64,
);
/// What fork(3) of glibc asks for.
const PROCESS: Test = Test::Long((CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD) as u64);
const NULL: Test = Test::Long(0);
/// Operations of futex(2) from `first` on, with any options; `first` is a multiple of their number, which is
/// a power of two.
const fn futexes(first: c_int, number: c_int) -> Test {
    let free = FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME | (number - 1);
    Test::IntMasked(!free as u32, first as u32)
}
/// Clocks beyond the last fixed one stand for a process or a descriptor.
const FIXED_CLOCK: Test = Test::AtMost(CLOCK_TAI as u32);
/// `MADV_GUARD_INSTALL` of Linux 6.13.
const GUARD_INSTALL: c_int = 102;
/// `MADV_GUARD_REMOVE` of Linux 6.13.
const GUARD_REMOVE: c_int = 103;

/// `MEMBARRIER_CMD_GET_REGISTRATIONS` of Linux 6.3.
const REGISTRATIONS: c_int = 1 << 9;

use Action::Allow;

/// All rules.
pub fn rules() -> &'static [Rule] {
    RULES
}

const RULES: &[Rule] = table! {
    // Memory.
    SYS_mmap [2: READ_WRITE, 3: MAPPINGS] Allow, "memory and files of the guest, memory of the runtime; \
        never executable";
    SYS_mprotect [2: READ_WRITE] Allow, "protection of guest pages, guards of stacks; never executable";
    SYS_mprotect [0: PIECES, 0: Test::AtMost(LAST_PIECE as u32), 1: Test::Long(PIECE), 2: ANY_ACCESS] Allow,
        "the next piece of the code cache is opened, which lies low";
    SYS_mprotect [0: KEPT_PAGES, 1: KEPT, 2: READ_EXECUTE] Allow,
        "kept translations, which are mapped low, become executable and are written no more";
    SYS_munmap [] Allow, "gives memory back";
    SYS_mremap [3: Test::Within((MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) as u64)] Allow, "moves \
        memory; its protection goes with it";
    SYS_brk [] Allow, "the allocator's heap";
    SYS_msync [] Allow, "the guest's msync on files it may write";
    SYS_mincore [] Allow, "the guest's mincore; the kernel tells of a file's pages only to those who own or \
        may write it";
    SYS_mlock [] Allow, "the guest's mlock; RLIMIT_MEMLOCK bounds it, the capability to exceed that is gone";
    SYS_mlock2 [] Allow, "as mlock";
    SYS_munlock [] Allow, "as mlock";
    SYS_madvise [2: int(MADV_NORMAL)] Allow, "hint";
    SYS_madvise [2: int(MADV_RANDOM)] Allow, "hint";
    SYS_madvise [2: int(MADV_SEQUENTIAL)] Allow, "hint";
    SYS_madvise [2: int(MADV_WILLNEED)] Allow, "hint";
    SYS_madvise [2: int(MADV_DONTNEED)] Allow, "drops pages; the allocator and the stacks of ended threads \
        too";
    SYS_madvise [2: int(MADV_FREE)] Allow, "drops pages";
    SYS_madvise [2: int(MADV_REMOVE)] Allow, "drops pages of a file mapped shared and writable, as a store \
        of zeroes would";
    SYS_madvise [2: int(MADV_DONTFORK)] Allow, "what a child process inherits";
    SYS_madvise [2: int(MADV_DOFORK)] Allow, "what a child process inherits";
    SYS_madvise [2: int(MADV_MERGEABLE)] fails(EINVAL), "the time of a store to a merged page tells what \
        others have in memory; as without KSM";
    SYS_madvise [2: int(MADV_UNMERGEABLE)] fails(EINVAL), "as MADV_MERGEABLE";
    SYS_madvise [2: int(MADV_HUGEPAGE)] Allow, "hint";
    SYS_madvise [2: int(MADV_NOHUGEPAGE)] Allow, "hint";
    SYS_madvise [2: int(MADV_DONTDUMP)] Allow, "hint";
    SYS_madvise [2: int(MADV_DODUMP)] Allow, "hint";
    SYS_madvise [2: int(MADV_WIPEONFORK)] Allow, "what a child process inherits";
    SYS_madvise [2: int(MADV_KEEPONFORK)] Allow, "what a child process inherits";
    SYS_madvise [2: int(MADV_COLD)] Allow, "hint";
    SYS_madvise [2: int(MADV_PAGEOUT)] Allow, "hint";
    SYS_madvise [2: int(MADV_POPULATE_READ)] Allow, "faults pages in";
    SYS_madvise [2: int(MADV_POPULATE_WRITE)] Allow, "faults pages in";
    SYS_madvise [2: int(MADV_DONTNEED_LOCKED)] Allow, "drops pages";
    SYS_madvise [2: int(MADV_COLLAPSE)] Allow, "hint";
    SYS_madvise [2: int(GUARD_INSTALL)] Allow, "guard pages";
    SYS_madvise [2: int(GUARD_REMOVE)] Allow, "guard pages";

    // Threads and processes.
    SYS_clone [0: THREAD] Allow, "a guest thread";
    SYS_clone [0: PROCESS, 1: NULL, 2: NULL, 4: NULL] Allow, "a guest process, under the same filter, on the \
        stack that it has";
    SYS_getrusage [0: int(RUSAGE_CHILDREN)] Allow, "what the guest's children have used that were waited for";
    SYS_clone3 [] fails(ENOSYS), "its flags lie in memory, where no filter sees them; the C library takes \
        clone";
    SYS_set_robust_list [] Allow, "start of a thread in the C library";
    SYS_rseq [] Allow, "start of a thread in the C library, which ends the process if it fails for any but \
        the first";
    SYS_sched_getaffinity [0: int(0)] Allow, "the allocator's number of heaps";
    SYS_sched_getaffinity [0: Test::NotInt(0)] fails(ENOSYS), "the C library asks of a new thread and does \
        without; others are not told of";
    SYS_sched_yield [] Allow, "the guest's sched_yield, and waiting for threads to leave the code cache";
    SYS_futex [1: futexes(FUTEX_WAIT, 2)] Allow, "waits and wakes: the hand-over of the channel's slots, \
        locks of the runtime, futexes of the guest";
    SYS_futex [1: futexes(FUTEX_REQUEUE, 1)] Allow, "the guest's futexes";
    SYS_futex [1: futexes(FUTEX_CMP_REQUEUE, 4)] Allow, "as FUTEX_REQUEUE, to FUTEX_UNLOCK_PI";
    SYS_futex [1: futexes(FUTEX_TRYLOCK_PI, 4)] Allow, "as FUTEX_REQUEUE, to FUTEX_WAIT_REQUEUE_PI; the \
        C library waits by FUTEX_WAIT_BITSET";
    SYS_futex [1: futexes(FUTEX_CMP_REQUEUE_PI, 2)] Allow, "as FUTEX_REQUEUE, to FUTEX_LOCK_PI2";
    SYS_futex_waitv [1: Test::AtMost(128), 2: Test::Int(0)] Allow, "the guest's futex_waitv; no flags are \
        defined";
    SYS_membarrier [0: Test::AtMost(2), 1: Test::Int(0)] Allow, "the guest's barriers: query, global ones";
    SYS_membarrier [0: int(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED), 1: Test::Int(0)] Allow, "as \
        MEMBARRIER_CMD_GLOBAL";
    SYS_membarrier [0: int(MEMBARRIER_CMD_PRIVATE_EXPEDITED), 1: Test::Int(0)] Allow, "the guest's barriers \
        among its threads";
    SYS_membarrier [0: int(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED), 1: Test::Int(0)] Allow, "as \
        MEMBARRIER_CMD_PRIVATE_EXPEDITED";
    SYS_membarrier [0: int(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE), 1: Test::Int(0)] Allow, "as \
        MEMBARRIER_CMD_PRIVATE_EXPEDITED";
    SYS_membarrier [0: int(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE), 1: Test::Int(0)] Allow, "as \
        MEMBARRIER_CMD_PRIVATE_EXPEDITED";
    SYS_membarrier [0: int(REGISTRATIONS), 1: Test::Int(0)] Allow, "what is registered; as \
        MEMBARRIER_CMD_PRIVATE_EXPEDITED";
    SYS_exit [] Allow, "end of a thread";
    SYS_exit_group [] Allow, "end of the process";
    SYS_setpgid [] Allow, "groups of the guest's processes: itself and children, within a session that the \
        sandbox has for itself";
    SYS_setsid [] Allow, "sessions of the guest's processes; nothing outside depends on them";
    SYS_ioctl [1: int(TIOCSCTTY as c_int), 2: NULL] Allow, "the guest takes a terminal that it has open; one \
        of another session is not given up";
    SYS_ioctl [1: int(TIOCNOTTY as c_int)] Allow, "as TIOCSCTTY; gives it back";
    SYS_ioctl [1: int(TIOCSPGRP as c_int)] Allow, "as TIOCSCTTY; a group of the session in the foreground";
    SYS_ioctl [1: int(TIOCGPGRP as c_int)] Allow, "as TIOCSPGRP";
    SYS_ioctl [1: int(TIOCGSID as c_int)] Allow, "as TIOCSPGRP";
    SYS_prctl [0: int(PR_SET_CHILD_SUBREAPER)] Allow, "who of the guest's processes gets orphans; all stay \
        below the init process";
    SYS_prctl [0: int(PR_GET_CHILD_SUBREAPER)] Allow, "as PR_SET_CHILD_SUBREAPER";
    SYS_wait4 [] Allow, "the guest's children are this process's; it has no others";
    SYS_waitid [] Allow, "as wait4";
    SYS_getpid [] Allow, "a way into the kernel and back; raise in the C library";
    SYS_gettid [] Allow, "the thread's id for the supervisor";

    // Signals and timers: of this process only.
    SYS_rt_sigaction [] Allow, "the guest's actions mirrored";
    SYS_rt_sigprocmask [] Allow, "the guest's masks mirrored; start and end of threads";
    SYS_rt_sigreturn [] Allow, "end of the runtime's handler";
    SYS_rt_sigpending [] Allow, "the guest's sigpending";
    SYS_rt_sigtimedwait [] Allow, "the guest's sigtimedwait, sigsuspend and pause";
    SYS_sigaltstack [] Allow, "stack of the runtime's handler";
    SYS_alarm [] Allow, "the guest's alarm";
    SYS_setitimer [] Allow, "the guest's interval timers";
    SYS_getitimer [] Allow, "the guest's interval timers";
    SYS_timer_create [0: FIXED_CLOCK] Allow, "the guest's timers, and raising a signal; signals no other \
        process";
    SYS_timer_settime [] Allow, "as timer_create";
    SYS_timer_gettime [] Allow, "as timer_create";
    SYS_timer_getoverrun [] Allow, "as timer_create";
    SYS_timer_delete [] Allow, "as timer_create";
    SYS_tgkill [] fails(EPERM), "raise and abort in the C library; a process id cannot be tested";
    SYS_restart_syscall [] Allow, "the kernel resumes a futex or signal wait with a time limit after the \
        process was stopped";

    // Time and chance.
    SYS_clock_gettime [0: int(CLOCK_MONOTONIC)] Allow, "time limits, where the vDSO has no clock";
    SYS_getrandom [] Allow, "seeds of hash tables and of the allocator";

    // Descriptors.
    SYS_recvmsg [0: int(CONTROL_FD)] Allow, "descriptors from the supervisor";
    SYS_sendto [0: int(CONTROL_FD), 4: Test::Long(0), 5: Test::Int(0)] Allow, "asks the supervisor to \
        interrupt a call; carries no descriptor";
    SYS_pread64 [] Allow, "headers of a program; every descriptor here is one that the guest may read";
    SYS_fstat [] Allow, "size of a program";
    SYS_fcntl [1: int(F_GETFD)] Allow, "with debug assertions the standard library makes sure that what it \
        closes is open";
    SYS_dup2 [1: int(CONTROL_FD)] Allow, "a new process puts its own control socket in the place of its \
        parent's; no file here answers to what is sent there";
    SYS_close [0: Test::NotInt(CONTROL_FD as u32), 0: Test::NotInt(LOG_FD as u32)] Allow, "after a file is \
        mapped";
    SYS_close [0: int(LOG_FD)] Allow, if WithoutLog, "a received descriptor may have the log's number then";
    SYS_write [0: int(LOG_FD)] Allow, if WithLog, "the log of translation";
    SYS_write [0: int(LOG_FD)] fails(EBADF), if WithoutLog, "last words of the runtime, which nobody hears";
    SYS_write [0: int(STDERR_FILENO)] fails(EBADF), "message of a panic, which nobody hears";
    SYS_openat [] fails(EPERM), "the allocator looks below /proc when it shrinks a thread's heap, and does \
        without";
};

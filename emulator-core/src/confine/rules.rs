//! The allow-list: each host call that the child may make, under which conditions, and what for.
//!
//! Conditions compare what the kernel looks at: 32 bits where the call takes an `int`, all 64 where it takes a `long`.

use crate::channel::{CONTROL_FD, LOG_FD};
use libc::*;

/// A condition on one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// The low 32 bits are this.
    Int(u32),
    /// All 64 bits are this.
    Long(u64),
    /// No other bits than these are set.
    Within(u64),
    /// The low 32 bits are the process id of the process that installed the filter.
    Pid,
    /// They are not.
    OtherPid,
}

/// One rule. Rules of one call add up; within a rule all conditions must hold.
#[derive(Debug)]
pub struct Rule {
    /// The call's number.
    pub call: c_long,
    /// The call's name.
    pub name: &'static str,
    /// Conditions: argument index and test.
    pub when: &'static [(u8, Test)],
    /// What the child needs it for, and why it does no harm.
    pub why: &'static str,
    /// Only with a log.
    pub log_only: bool,
}

/// `name [argument test, …] "why";`, with `if log` behind it for what is only needed with a log.
macro_rules! rule {
    ($name:ident [$($arg:literal $test:expr),*] $why:literal $(if $log:ident)?) => {
        Rule {
            call: numbers::$name,
            name: stringify!($name),
            when: &[$(($arg, $test)),*],
            why: $why,
            log_only: !stringify!($($log)?).is_empty(),
        }
    };
}

macro_rules! rules {
    ($($name:ident [$($arg:literal $test:expr),*] $why:literal $(if $log:ident)?;)*) => {
        &[$(rule!($name [$($arg $test),*] $why $(if $log)?)),*]
    };
}

/// Call numbers by call name.
mod numbers {
    macro_rules! numbers {
        ($($name:ident $number:ident),* $(,)?) => {
            $(#[allow(non_upper_case_globals)] pub(super) const $name: i64 = libc::$number;)*
        };
    }
    numbers! {
        alarm SYS_alarm, brk SYS_brk, clock_gettime SYS_clock_gettime, clock_nanosleep SYS_clock_nanosleep,
        clone SYS_clone, clone3 SYS_clone3, close SYS_close, exit SYS_exit, exit_group SYS_exit_group, fstat SYS_fstat,
        futex SYS_futex, getitimer SYS_getitimer, getpid SYS_getpid, getrandom SYS_getrandom, gettid SYS_gettid,
        madvise SYS_madvise, mincore SYS_mincore, mlock SYS_mlock, mlock2 SYS_mlock2, mlockall SYS_mlockall,
        mmap SYS_mmap, mprotect SYS_mprotect, mremap SYS_mremap, msync SYS_msync, munlock SYS_munlock,
        munlockall SYS_munlockall, munmap SYS_munmap, nanosleep SYS_nanosleep, pause SYS_pause, prctl SYS_prctl,
        recvmsg SYS_recvmsg, restart_syscall SYS_restart_syscall, rseq SYS_rseq, rt_sigaction SYS_rt_sigaction,
        rt_sigpending SYS_rt_sigpending, rt_sigprocmask SYS_rt_sigprocmask, rt_sigreturn SYS_rt_sigreturn,
        rt_sigsuspend SYS_rt_sigsuspend, rt_sigtimedwait SYS_rt_sigtimedwait,
        sched_getaffinity SYS_sched_getaffinity, sched_yield SYS_sched_yield, sendto SYS_sendto,
        set_robust_list SYS_set_robust_list, setitimer SYS_setitimer, sigaltstack SYS_sigaltstack,
        tgkill SYS_tgkill, timer_create SYS_timer_create, timer_delete SYS_timer_delete,
        timer_getoverrun SYS_timer_getoverrun, timer_gettime SYS_timer_gettime, timer_settime SYS_timer_settime,
        wait4 SYS_wait4, waitid SYS_waitid, write SYS_write,
    }
}

const READ_WRITE: u64 = (PROT_READ | PROT_WRITE) as u64;
/// For mprotect also the directions in which a stack area grows.
const PROTECTIONS: u64 = READ_WRITE | (PROT_GROWSDOWN | PROT_GROWSUP) as u32 as u64;
const MAPPINGS: u64 = (MAP_SHARED
    | MAP_PRIVATE
    | MAP_FIXED
    | MAP_FIXED_NOREPLACE
    | MAP_ANONYMOUS
    | MAP_NORESERVE
    | MAP_POPULATE
    | MAP_LOCKED
    | MAP_STACK) as u64;
/// What pthread_create(3) of glibc asks for.
const THREAD: u64 = (CLONE_VM
    | CLONE_FS
    | CLONE_FILES
    | CLONE_SIGHAND
    | CLONE_THREAD
    | CLONE_SYSVSEM
    | CLONE_SETTLS
    | CLONE_PARENT_SETTID
    | CLONE_CHILD_CLEARTID) as u64;
/// What fork(3) of glibc asks for.
const PROCESS: u64 = (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD) as u64;
/// `MADV_GUARD_INSTALL` and `MADV_GUARD_REMOVE` of Linux 6.13.
const GUARDS: [u32; 2] = [102, 103];

const fn advice(value: c_int) -> Test {
    Test::Int(value as u32)
}

/// What is allowed. Anything else ends the process.
pub const ALLOWED: &[Rule] = rules! {
    // Memory. Nothing becomes executable: guest code runs from the code cache, mapped before the filter.
    mmap [2 Test::Within(READ_WRITE), 3 Test::Within(MAPPINGS)] "guest and runtime memory, never executable";
    mprotect [2 Test::Within(PROTECTIONS)] "protection of guest pages, never executable";
    munmap [] "gives memory back";
    mremap [] "moves guest memory; keeps its protection";
    brk [] "the runtime's heap";
    msync [] "a guest's msync";
    mincore [] "a guest's mincore";
    mlock [] "a guest's mlock, bounded by RLIMIT_MEMLOCK";
    mlock2 [] "as mlock";
    mlockall [] "as mlock";
    munlock [] "as mlock";
    munlockall [] "as mlock";
    madvise [2 advice(MADV_NORMAL)] "hint";
    madvise [2 advice(MADV_RANDOM)] "hint";
    madvise [2 advice(MADV_SEQUENTIAL)] "hint";
    madvise [2 advice(MADV_WILLNEED)] "hint";
    madvise [2 advice(MADV_DONTNEED)] "drops pages; also the runtime's thread stacks";
    madvise [2 advice(MADV_DONTNEED_LOCKED)] "drops pages";
    madvise [2 advice(MADV_FREE)] "drops pages";
    madvise [2 advice(MADV_REMOVE)] "drops pages of files mapped shared and writable, which the guest may write";
    madvise [2 advice(MADV_DONTFORK)] "inheritance of guest memory";
    madvise [2 advice(MADV_DOFORK)] "inheritance of guest memory";
    madvise [2 advice(MADV_WIPEONFORK)] "inheritance of guest memory";
    madvise [2 advice(MADV_KEEPONFORK)] "inheritance of guest memory";
    madvise [2 advice(MADV_HUGEPAGE)] "hint";
    madvise [2 advice(MADV_NOHUGEPAGE)] "hint";
    madvise [2 advice(MADV_DONTDUMP)] "hint";
    madvise [2 advice(MADV_DODUMP)] "hint";
    madvise [2 advice(MADV_COLD)] "hint";
    madvise [2 advice(MADV_PAGEOUT)] "hint";
    madvise [2 advice(MADV_COLLAPSE)] "hint";
    madvise [2 advice(MADV_UNMERGEABLE)] "hint";
    madvise [2 advice(MADV_MERGEABLE)] "answered EINVAL below";
    madvise [2 advice(MADV_POPULATE_READ)] "faults pages in";
    madvise [2 advice(MADV_POPULATE_WRITE)] "faults pages in";
    madvise [2 Test::Int(GUARDS[0])] "guard pages";
    madvise [2 Test::Int(GUARDS[1])] "guard pages";
    // Threads and processes.
    clone [0 Test::Long(THREAD)] "a guest thread";
    clone [0 Test::Long(PROCESS)] "a guest process, under the same filter";
    clone3 [] "answered ENOSYS below: its flags lie in memory, where no filter sees them";
    futex [] "waiting for the supervisor, and the guest's own futexes";
    set_robust_list [] "start of a thread in the C library";
    rseq [] "start of a thread in the C library";
    sched_getaffinity [] "the C library's bounds of a thread's stack; only reads";
    sched_yield [] "a guest's sched_yield, and spinning";
    exit [] "end of a thread";
    exit_group [] "end of the process";
    wait4 [] "a guest waits for its children, which are this process's";
    waitid [] "as wait4";
    getpid [] "tells only what the guest knows";
    gettid [] "tells only what the guest knows";
    prctl [0 Test::Int(PR_SET_NAME as u32)] "a thread's name";
    prctl [0 Test::Int(PR_SET_VMA as u32), 1 Test::Long(PR_SET_VMA_ANON_NAME as u64)] "the C library names thread stacks";
    // Signals: of this process only. Timers can only signal the process that made them.
    rt_sigaction [] "mirrors the guest's actions";
    rt_sigprocmask [] "mirrors the guest's masks";
    rt_sigreturn [] "return from the runtime's handler";
    rt_sigpending [] "a guest's sigpending";
    rt_sigsuspend [] "a guest's sigsuspend";
    rt_sigtimedwait [] "a guest's sigtimedwait";
    pause [] "a guest's pause";
    sigaltstack [] "the runtime's signal stack";
    tgkill [0 Test::Pid] "stops a thread of this process, or ends the process by a signal";
    tgkill [0 Test::OtherPid] "answered EPERM below";
    alarm [] "a guest's alarm";
    setitimer [] "a guest's interval timer";
    getitimer [] "a guest's interval timer";
    timer_create [] "a guest's timer; the kernel lets it signal only this process";
    timer_settime [] "a guest's timer";
    timer_gettime [] "a guest's timer";
    timer_getoverrun [] "a guest's timer";
    timer_delete [] "a guest's timer";
    restart_syscall [] "the kernel resumes an interrupted sleep";
    // Time and chance.
    clock_gettime [] "clocks where the vDSO has none";
    nanosleep [] "back-off of the runtime";
    clock_nanosleep [] "back-off of the runtime";
    getrandom [] "seeds of the runtime's hash tables";
    // Descriptors. None can be made here; those that come were sent by the supervisor.
    close [] "after mapping a file";
    fstat [] "size of a program to load; only reads";
    recvmsg [0 Test::Int(CONTROL_FD as u32)] "descriptors from the supervisor";
    sendto [0 Test::Int(CONTROL_FD as u32), 4 Test::Long(0), 5 Test::Long(0)] "asks the supervisor to break off a call";
    write [0 Test::Int(2)] "last words of the runtime; the descriptor is /dev/null";
    write [0 Test::Int(LOG_FD as u32)] "the log of translation" if log;
};

/// What of this fails with an errno instead.
pub const ERRNO: &[(u32, Rule)] = &[
    (
        EINVAL as u32,
        rule!(madvise [2 advice(MADV_MERGEABLE)] "the time of a write to a merged page tells what others hold"),
    ),
    (ENOSYS as u32, rule!(clone3 [] "the C library falls back to clone")),
    (
        EPERM as u32,
        rule!(tgkill [0 Test::OtherPid] "signals to others go through the supervisor; abort(3) in a forked process copes"),
    ),
];

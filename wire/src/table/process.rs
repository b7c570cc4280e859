//! Processes, threads and signals.

use super::commands::{ARCH_PRCTL, FUTEX, PRCTL, PTRACE};
use super::structs::*;
use crate::kind::Extent::*;
use crate::kind::Kind::*;
use crate::kind::Presence::*;
use crate::kind::Syscall;
use crate::kind::Timeout::*;
use crate::names::*;

const FUTEX2: &str = "the operations of futex offer the same";
/// The most bytes of a set of processors: one of 8192, for which kernels can be built.
const CPUS: u32 = 1024;
const NAMESPACES: &str = "the guest stays in the namespaces it was given";
const SHAPES: &str = "no CLONE_PARENT, no other exit signal, no namespaces; files and memory are shared by \
    threads, memory also until an execve after vfork, and both by processes that tell nobody of their end";
const UNSHARES: &str = "no namespaces; files and folder are not unshared between threads";
const EXECUTES: &str = "set-user-id bits do not count; a file that is open for writing is executed";
const CORES: &str = "no process is said to have dumped core";
const REAL_TIME: &str = "real-time classes and deadlines are EPERM";
const ATTRIBUTES: &str = "real-time classes and deadlines are EPERM; no limits of utilization";
const PRIORITIES: &str = "the class of real time is EPERM";
const LISTS: &str = "only of threads of the caller";

/// Processes and threads. The clones are granted: the child tells of beginnings with requests of its own
/// ([`super::Internal`]), and of the flags of a clone3(2), which lie in memory, by asking for a clone(2).
pub(super) const PROCESS: &[Syscall] = calls! { Process:
    24 sched_yield Grant ();
    39 getpid Emulate ();
    56 clone Grant[SHAPES] (flags: Flags(&CLONE), stack: Addr, parent_tid: Addr, child_tid: Addr, tls: Addr);
    57 fork Grant ();
    58 vfork Grant ();
    59 execve Grant[EXECUTES] (pathname: Path(Needed), argv: Strings, envp: Strings);
    60 exit Grant (status: I32);
    61 wait4 Grant[CORES] blocking restarts (pid: Pid, wstatus: Addr, options: Flags(&WAIT), rusage: Addr);
    101 ptrace Emulate (op: Command(&PTRACE));
    109 setpgid Grant (pid: Pid, pgid: Pid);
    110 getppid Emulate ();
    111 getpgrp Emulate ();
    112 setsid Grant ();
    121 getpgid Perform (pid: Pid);
    124 getsid Perform (pid: Pid);
    140 getpriority Perform (which: Choice(&PRIORITY), who: Pid);
    141 setpriority Perform (which: Choice(&PRIORITY), who: Pid, prio: I32);
    142 sched_setparam Perform[REAL_TIME] (pid: Pid, param: In(Optional, Struct(&SCHED_PARAM)));
    143 sched_getparam Perform (pid: Pid, param: Out(Optional, Struct(&SCHED_PARAM)));
    144 sched_setscheduler Perform[REAL_TIME] (pid: Pid, policy: Flags(&SCHED),
        param: In(Optional, Struct(&SCHED_PARAM)));
    145 sched_getscheduler Perform (pid: Pid);
    146 sched_get_priority_max Perform (policy: Choice(&SCHED));
    147 sched_get_priority_min Perform (policy: Choice(&SCHED));
    148 sched_rr_get_interval Perform (pid: Pid, tp: Out(Needed, Struct(&TIMESPEC)));
    154 modify_ldt Refuse[ENOSYS "segments of the guest's own are not \
        translated"] (func: I32, ptr: Addr, bytecount: U64);
    157 prctl Emulate (op: Command(&PRCTL), arg2: U64, arg3: U64, arg4: U64, arg5: U64);
    158 arch_prctl Grant (op: Command(&ARCH_PRCTL), addr: U64);
    186 gettid Emulate ();
    202 futex Grant (uaddr: Addr, futex_op: Command(&FUTEX), val: U32, timeout: Addr, uaddr2: Addr,
        val3: U32);
    203 sched_setaffinity Perform (pid: Pid, cpusetsize: U32, mask: In(Needed, Within(CPUS)));
    204 sched_getaffinity Perform (pid: Pid, cpusetsize: U32, mask: Out(Needed, Within(CPUS)));
    205 set_thread_area Refuse[ENOSYS "not offered to 64-bit programs"] (u_info: Addr);
    211 get_thread_area Refuse[ENOSYS "not offered to 64-bit programs"] (u_info: Addr);
    218 set_tid_address Grant (tidptr: Addr);
    231 exit_group Grant (status: I32);
    247 waitid Grant[CORES] blocking restarts (idtype: Choice(&WAIT_ID), id: Pid, infop: Addr,
        options: Flags(&WAIT),
        rusage: Addr);
    251 ioprio_set Perform[PRIORITIES] (which: I32, who: Pid, ioprio: I32);
    252 ioprio_get Perform (which: I32, who: Pid);
    272 unshare Emulate[UNSHARES] (flags: Flags(&CLONE));
    273 set_robust_list Grant (head: Addr, size: U64);
    274 get_robust_list Grant[LISTS] (pid: Pid, head_ptr: Addr, len_ptr: Addr);
    308 setns Refuse[EPERM NAMESPACES] (fd: Fd, nstype: Flags(&CLONE));
    309 getcpu Perform (cpu: Out(Optional, Fixed(4)), node: Out(Optional, Fixed(4)), tcache: Addr);
    312 kcmp Refuse[ENOSYS "compares objects of the \
        supervisor"] (pid1: Pid, pid2: Pid, kind: I32, idx1: U64, idx2: U64);
    314 sched_setattr Perform[ATTRIBUTES] (pid: Pid, attr: InOut(Optional, Within(4096)), flags: U32);
    315 sched_getattr Perform (pid: Pid, attr: Out(Optional, Bulk { count: size }), size: U32, flags: U32);
    317 seccomp Refuse[ENOSYS "filters over translated calls would be another policy; programs go on without"]
        (operation: U32, flags: U32, args: Addr);
    322 execveat Grant[EXECUTES] (dirfd: DirFd, pathname: Path(Needed), argv: Strings, envp: Strings,
        flags: Flags(&EXEC));
    334 rseq Refuse[ENOSYS "the kernel would restart sequences in translated code"]
        (rseq: Addr, rseq_len: U32, flags: U32, sig: U32);
    335 uretprobe Refuse[ENOSYS "for the kernel's own trampolines"] ();
    336 uprobe Refuse[ENOSYS "for the kernel's own trampolines"] ();
    434 pidfd_open Perform (pid: Pid, flags: U32);
    435 clone3 Grant[SHAPES] (cl_args: Addr, size: U64);
    438 pidfd_getfd Perform (pidfd: Fd, targetfd: I32, flags: U32);
    449 futex_waitv Grant blocking restarts
        (waiters: Addr, nr_futexes: U32, flags: U32, timeout: Local(Optional, Timeout(&TIMESPEC, Until)),
            clockid: Choice(&CLOCKS));
    454 futex_wake Refuse[ENOSYS FUTEX2] (uaddr: Addr, mask: U64, nr: I32, flags: U32);
    455 futex_wait Refuse[ENOSYS FUTEX2]
        (uaddr: Addr, val: U64, mask: U64, flags: U32, timeout: Addr, clockid: Choice(&CLOCKS));
    456 futex_requeue Refuse[ENOSYS FUTEX2] (waiters: Addr, flags: U32, nr_wake: I32, nr_requeue: I32);
};

/// Signals, and the timers that raise them: dispositions, masks and timers are the child's, so the child
/// changes them.
pub(super) const SIGNAL: &[Syscall] = calls! { Signal:
    13 rt_sigaction Grant (signum: Signal, act: Addr, oldact: Addr, sigsetsize: U64);
    14 rt_sigprocmask Grant (how: Choice(&SIGMASK), set: Addr, oldset: Addr, sigsetsize: U64);
    15 rt_sigreturn Grant ();
    34 pause Grant blocking ();
    36 getitimer Grant (which: Choice(&ITIMER), curr_value: Addr);
    37 alarm Grant (seconds: U32);
    38 setitimer Grant (which: Choice(&ITIMER), new_value: Addr, old_value: Addr);
    62 kill Perform (pid: Pid, sig: Signal);
    127 rt_sigpending Grant (set: Addr, sigsetsize: U64);
    128 rt_sigtimedwait Grant blocking never_restarts (set: Addr, info: Addr,
        timeout: Local(Optional, Timeout(&TIMESPEC, FromNow)),
        sigsetsize: U64);
    129 rt_sigqueueinfo Perform (tgid: Pid, sig: Signal, info: In(Needed, Struct(&SIGINFO)));
    130 rt_sigsuspend Grant blocking (mask: SigMask { size: sigsetsize }, sigsetsize: U64);
    131 sigaltstack Grant (ss: Addr, old_ss: Addr);
    200 tkill Perform (tid: Pid, sig: Signal);
    219 restart_syscall Refuse[EINTR "interrupted calls are restarted by the runtime itself"] ();
    222 timer_create Grant (clockid: Choice(&CLOCKS), sevp: Addr, timerid: Addr);
    223 timer_settime Grant (timerid: I32, flags: Flags(&TIMER), new_value: Addr, old_value: Addr);
    224 timer_gettime Grant (timerid: I32, curr_value: Addr);
    225 timer_getoverrun Grant (timerid: I32);
    226 timer_delete Grant (timerid: I32);
    234 tgkill Perform (tgid: Pid, tid: Pid, sig: Signal);
    297 rt_tgsigqueueinfo Perform (tgid: Pid, tid: Pid, sig: Signal, info: In(Needed, Struct(&SIGINFO)));
    424 pidfd_send_signal Perform (pidfd: Fd, sig: Signal, info: In(Optional, Struct(&SIGINFO)), flags: U32);
};

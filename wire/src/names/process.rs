//! Names around memory, processes, signals and time.

use super::names;

names! {
    /// Protection of mmap(2) and mprotect(2).
    PROT "protection" { PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC, PROT_GROWSDOWN, PROT_GROWSUP }
    /// Flags of mmap(2).
    MAP "mmap flags" field 0xf {
        MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE, MAP_FIXED_NOREPLACE, MAP_FIXED, MAP_ANONYMOUS,
        MAP_32BIT,
        MAP_GROWSDOWN, MAP_DENYWRITE, MAP_EXECUTABLE, MAP_LOCKED, MAP_NORESERVE, MAP_POPULATE, MAP_NONBLOCK,
        MAP_STACK,
        MAP_HUGETLB, MAP_SYNC,
    }
    /// Flags of mremap(2).
    MREMAP "mremap flags" { MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP }
    /// Flags of msync(2).
    MSYNC "msync flags" { MS_ASYNC, MS_INVALIDATE, MS_SYNC }
    /// Advice of madvise(2).
    MADVISE "memory advice" {
        MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, MADV_FREE, MADV_REMOVE,
        MADV_DONTFORK,
        MADV_DOFORK, MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTDUMP,
        MADV_DODUMP,
        MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_COLD, MADV_PAGEOUT, MADV_POPULATE_READ, MADV_POPULATE_WRITE,
        MADV_DONTNEED_LOCKED, MADV_COLLAPSE = 25, MADV_HWPOISON, MADV_GUARD_INSTALL = 102,
        MADV_GUARD_REMOVE = 103,
    }
    /// Flags of mlock2(2).
    MLOCK "mlock2 flags" { MLOCK_ONFAULT = 1 }
    /// Flags of mlockall(2).
    MLOCKALL "mlockall flags" { MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT }
    /// Commands of membarrier(2).
    MEMBARRIER "membarrier command" {
        MEMBARRIER_CMD_QUERY = 0, MEMBARRIER_CMD_GLOBAL = 1, MEMBARRIER_CMD_GLOBAL_EXPEDITED = 2,
        MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED = 4, MEMBARRIER_CMD_PRIVATE_EXPEDITED = 8,
        MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED = 16, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE = 32,
        MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 64, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ = 128,
        MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ = 256, MEMBARRIER_CMD_GET_REGISTRATIONS = 512,
    }
    /// Options of a futex(2) operation.
    FUTEX_OPTIONS "futex options" { FUTEX_PRIVATE_FLAG, FUTEX_CLOCK_REALTIME }
    /// Flags of clone(2); the low byte is the signal at the child's end.
    CLONE "clone flags" field 0xff {
        CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_PIDFD, CLONE_PTRACE, CLONE_VFORK, CLONE_PARENT,
        CLONE_THREAD, CLONE_NEWNS, CLONE_SYSVSEM, CLONE_SETTLS, CLONE_PARENT_SETTID, CLONE_CHILD_CLEARTID,
        CLONE_DETACHED, CLONE_UNTRACED, CLONE_CHILD_SETTID, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
        CLONE_NEWUSER,
        CLONE_NEWPID, CLONE_NEWNET, CLONE_IO, SIGCHLD,
    }
    /// Options of wait4(2) and waitid(2).
    WAIT "wait options" {
        WNOHANG, WUNTRACED, WEXITED, WCONTINUED, WNOWAIT, __WNOTHREAD, __WALL, __WCLONE,
    }
    /// Options of a tracer (ptrace(2)).
    PTRACE_OPTIONS "ptrace options" {
        PTRACE_O_TRACESYSGOOD, PTRACE_O_TRACEFORK, PTRACE_O_TRACEVFORK, PTRACE_O_TRACECLONE,
        PTRACE_O_TRACEEXEC, PTRACE_O_TRACEVFORKDONE, PTRACE_O_TRACEEXIT, PTRACE_O_TRACESECCOMP,
        PTRACE_O_EXITKILL, PTRACE_O_SUSPEND_SECCOMP,
    }
    /// Whom waitid(2) waits for.
    WAIT_ID "waitid type" { P_ALL, P_PID, P_PGID, P_PIDFD }
    /// Flags of semget(2) and msgget(2); the low nine bits are permissions.
    IPCGET "ipc flags" field 0o777 { IPC_CREAT, IPC_EXCL }
    /// Flags of shmget(2); the low nine bits are permissions.
    SHMGET "shmget flags" field 0o777 { IPC_CREAT, IPC_EXCL, SHM_HUGETLB, SHM_NORESERVE }
    /// Flags of shmat(2).
    SHMAT "shmat flags" { SHM_RDONLY, SHM_RND, SHM_REMAP, SHM_EXEC }
    /// Flags of msgop(2).
    MSGOP "message flags" { IPC_NOWAIT, MSG_NOERROR, MSG_EXCEPT = 0o20000, MSG_COPY = 0o40000 }
    /// Flags of execveat(2).
    EXEC "execveat flags" { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, AT_EXECVE_CHECK = 0x10000 }
    /// How rt_sigprocmask(2) changes the mask.
    SIGMASK "signal mask change" { SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK }
    /// Signals below the real-time ones (signal(7)).
    SIGNALS "signal" {
        SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1, SIGSEGV, SIGUSR2,
        SIGPIPE,
        SIGALRM, SIGTERM, SIGSTKFLT, SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGXCPU,
        SIGXFSZ,
        SIGVTALRM, SIGPROF, SIGWINCH, SIGIO, SIGPWR, SIGSYS,
    }
    /// Clocks (clock_gettime(2)).
    CLOCKS "clock" {
        CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID,
        CLOCK_MONOTONIC_RAW,
        CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM,
        CLOCK_BOOTTIME_ALARM,
        CLOCK_TAI,
    }
    /// Flags of clock_nanosleep(2) and timer_settime(2).
    TIMER "timer flags" { TIMER_ABSTIME }
    /// Interval timers (setitimer(2)).
    ITIMER "interval timer" { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF }
    /// Resources of getrlimit(2).
    RLIMIT "resource" {
        RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_RSS, RLIMIT_NPROC,
        RLIMIT_NOFILE,
        RLIMIT_MEMLOCK, RLIMIT_AS, RLIMIT_LOCKS, RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_NICE,
        RLIMIT_RTPRIO,
        RLIMIT_RTTIME,
    }
    /// Whose usage getrusage(2) reports.
    RUSAGE "rusage of" { RUSAGE_SELF, RUSAGE_CHILDREN = 0xffff_ffffu32, RUSAGE_THREAD }
    /// Whose priority getpriority(2) reports.
    PRIORITY "priority of" { PRIO_PROCESS, PRIO_PGRP, PRIO_USER }
    /// Scheduling policies (sched_setscheduler(2)).
    SCHED "scheduling policy" field 0xff {
        SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE, SCHED_DEADLINE, SCHED_RESET_ON_FORK,
    }
    /// Flags of getrandom(2).
    GETRANDOM "getrandom flags" { GRND_NONBLOCK, GRND_RANDOM, GRND_INSECURE }
}

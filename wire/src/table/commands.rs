//! Commands of fcntl(2), futex(2), prctl(2), arch_prctl(2) and ptrace(2).
//!
//! A row names the command, its own route and columns if it has any, and the arguments behind the command. A
//! command that no row names is refused, never passed on as opaque bytes.

use super::structs::*;
use crate::effect::Effect::*;
use crate::kind::Commands;
use crate::kind::Extent::*;
use crate::kind::Kind::*;
use crate::kind::Presence::*;
use crate::kind::Timeout::*;
use crate::names::*;

/// Commands of fcntl(2).
pub(super) static FCNTL: Commands = Commands {
    title: "fcntl command",
    mask: u32::MAX,
    options: None,
    unknown: libc::EINVAL,
    rows: command_rows! { (fd, op)
        F_DUPFD [Harmless] => (arg: I32);
        F_DUPFD_CLOEXEC [Harmless] => (arg: I32);
        F_GETFD [Harmless];
        F_SETFD [Harmless] => (arg: Flags(&FD_FLAGS));
        F_GETFL [Harmless];
        F_SETFL [Harmless] => (arg: Flags(&OPEN));
        F_GETLK [Harmless] => (arg: InOut(Needed, Struct(&FLOCK_STRUCT)));
        F_SETLK [KernelMemory] => (arg: In(Needed, Struct(&FLOCK_STRUCT)));
        F_SETLKW [KernelMemory, Block] restarts => (arg: In(Needed, Struct(&FLOCK_STRUCT)));
        F_OFD_GETLK [Harmless] => (arg: InOut(Needed, Struct(&FLOCK_STRUCT)));
        F_OFD_SETLK [KernelMemory] => (arg: In(Needed, Struct(&FLOCK_STRUCT)));
        F_OFD_SETLKW [KernelMemory, Block] restarts => (arg: In(Needed, Struct(&FLOCK_STRUCT)));
        F_GETPIPE_SZ [Harmless];
        F_SETPIPE_SZ [KernelMemory, Privilege] => (arg: I32);
        F_GET_SEALS [Harmless];
        F_ADD_SEALS [Harmless] => (arg: Flags(&SEALS));
        F_GET_RW_HINT = 1035 [Harmless] => (arg: Out(Needed, Fixed(8)));
        F_SET_RW_HINT = 1036 [Harmless] => (arg: In(Needed, Fixed(8)));
        F_GETOWN [Harmless];
        F_SETOWN [Harmless] => (arg: I32);
        F_GETOWN_EX = 16 [Harmless] => (arg: Out(Needed, Struct(&OWNER)));
        F_SETOWN_EX = 15 [Harmless] => (arg: In(Needed, Struct(&OWNER)));
        // Another signal than SIGIO would carry the supervisor's number of the descriptor.
        F_GETSIG = 11 [Harmless];
        F_SETSIG = 10 [Harmless] => (arg: Signal);
        // Leases tell of other processes' opens: there is none, and none is to be had.
        F_GETLEASE [Harmless];
        F_SETLEASE [Harmless] => (arg: I32);
        F_DUPFD_QUERY = 1027 [Harmless] => (other: Fd);
        F_NOTIFY [Harmless] => (arg: U32);
    },
};

/// Operations of futex(2). All are granted: the words lie in the guest's memory.
pub(super) static FUTEX: Commands = Commands {
    title: "futex operation",
    mask: 0x7f,
    options: Some(&FUTEX_OPTIONS),
    unknown: libc::ENOSYS,
    rows: command_rows! { (uaddr, futex_op)
        FUTEX_WAIT [Block] blocking restarts_unless_timed
            => (val: U32, timeout: Local(Optional, Timeout(&TIMESPEC, FromNow)));
        FUTEX_WAKE [Harmless] => (val: U32);
        FUTEX_FD, Refuse[ENOSYS "removed from Linux 2.6.26"];
        FUTEX_REQUEUE [Harmless] => (val: U32, val2: U32, uaddr2: Addr);
        FUTEX_CMP_REQUEUE [Harmless] => (val: U32, val2: U32, uaddr2: Addr, val3: U32);
        FUTEX_WAKE_OP [Harmless] => (val: U32, val2: U32, uaddr2: Addr, val3: U32);
        FUTEX_LOCK_PI [Block] blocking restarts => (val: U32,
            timeout: Local(Optional, Timeout(&TIMESPEC, Until)));
        FUTEX_UNLOCK_PI [Harmless];
        FUTEX_TRYLOCK_PI [Harmless];
        FUTEX_WAIT_BITSET [Block] blocking restarts_unless_timed
            => (val: U32, timeout: Local(Optional, Timeout(&TIMESPEC, Until)), uaddr2: Addr, val3: U32);
        FUTEX_WAKE_BITSET [Harmless] => (val: U32, timeout: Addr, uaddr2: Addr, val3: U32);
        FUTEX_WAIT_REQUEUE_PI [Block] blocking restarts
            => (val: U32, timeout: Local(Optional, Timeout(&TIMESPEC, Until)), uaddr2: Addr);
        FUTEX_CMP_REQUEUE_PI [Harmless] => (val: U32, val2: U32, uaddr2: Addr, val3: U32);
        FUTEX_LOCK_PI2 = 13 [Block] blocking restarts
            => (val: U32, timeout: Local(Optional, Timeout(&TIMESPEC, Until)));
    },
};

const HARDENING: &str = "the sandbox's own hardening decides";
const UNKNOWN: &str = "as on a kernel built without it";

/// Commands of prctl(2), answered from what the supervisor keeps of the process.
pub(super) static PRCTL: Commands = Commands {
    title: "prctl command",
    mask: u32::MAX,
    options: None,
    unknown: libc::EINVAL,
    rows: command_rows! { (op)
        PR_SET_PDEATHSIG [Harmless] => (sig: Signal);
        PR_GET_PDEATHSIG [Harmless] => (sig: Out(Needed, Fixed(4)));
        PR_GET_DUMPABLE [Harmless];
        PR_SET_DUMPABLE [Harmless] => (dumpable: U32);
        PR_GET_KEEPCAPS [Harmless];
        PR_SET_KEEPCAPS [Harmless] => (state: U32);
        PR_GET_TIMING [Harmless];
        PR_SET_TIMING [Harmless] => (timing: U32);
        PR_SET_NAME [Harmless] => (name: Text(Needed));
        PR_GET_NAME [Harmless] => (name: Out(Needed, Fixed(16)));
        PR_GET_SECCOMP [Harmless];
        PR_SET_SECCOMP, Refuse[EINVAL UNKNOWN] => (mode: U32);
        PR_CAPBSET_READ [Harmless] => (cap: U32);
        PR_CAPBSET_DROP [Harmless] => (cap: U32);
        PR_CAP_AMBIENT [Harmless] => (op2: U32, cap: U32, zero4: U64, zero5: U64);
        PR_GET_SECUREBITS [Harmless];
        PR_SET_SECUREBITS [Harmless] => (bits: U64);
        PR_SET_NO_NEW_PRIVS [Harmless] => (one: U64, zero3: U64, zero4: U64, zero5: U64);
        PR_GET_NO_NEW_PRIVS [Harmless] => (zero2: U64, zero3: U64, zero4: U64, zero5: U64);
        PR_SET_TIMERSLACK [Harmless] => (nanoseconds: U64);
        PR_GET_TIMERSLACK [Harmless];
        PR_SET_CHILD_SUBREAPER [Harmless], Grant => (set: U64);
        PR_GET_CHILD_SUBREAPER [Harmless], Grant => (set: Addr);
        PR_SET_PTRACER [Harmless] => (pid: U64);
        PR_SET_THP_DISABLE [Harmless] => (flag: U64, zero3: U64, zero4: U64, zero5: U64);
        PR_GET_THP_DISABLE [Harmless] => (zero2: U64, zero3: U64, zero4: U64, zero5: U64);
        PR_GET_TID_ADDRESS [Harmless], Grant => (address: Addr);
        PR_GET_TSC, Refuse[EINVAL UNKNOWN] => (mode: Addr);
        PR_SET_TSC, Refuse[EINVAL UNKNOWN] => (mode: U32);
        PR_SET_VMA = 0x5356_4d41, Refuse[EINVAL UNKNOWN] => (attribute: U64, addr: Addr, size: U64,
            name: Addr);
        PR_SET_MM, Refuse[EPERM "the layout that the kernel shows is the \
            emulator's"] => (field: U64, addr: Addr);
        PR_MCE_KILL, Refuse[EINVAL UNKNOWN] => (mode: U32);
        PR_MCE_KILL_GET, Refuse[EINVAL UNKNOWN];
        PR_TASK_PERF_EVENTS_DISABLE [Harmless];
        PR_TASK_PERF_EVENTS_ENABLE [Harmless];
        PR_GET_SPECULATION_CTRL, Refuse[ENODEV HARDENING] => (misfeature: U64);
        PR_SET_SPECULATION_CTRL, Refuse[ENODEV HARDENING] => (misfeature: U64, value: U64);
        PR_SET_IO_FLUSHER = 57, Refuse[EPERM HARDENING] => (state: U64);
        PR_GET_IO_FLUSHER = 58, Refuse[EPERM HARDENING];
        PR_SET_SYSCALL_USER_DISPATCH = 59, Refuse[EINVAL "calls are the translator's to dispatch"];
        PR_SCHED_CORE = 62, Refuse[EINVAL UNKNOWN] => (op2: U32, pid: Pid, kind: U32, cookie: Addr);
        PR_SET_MDWE = 65, Refuse[EINVAL UNKNOWN] => (bits: U64);
        PR_GET_MDWE = 66, Refuse[EINVAL UNKNOWN];
        PR_SET_MEMORY_MERGE = 67, Refuse[EINVAL UNKNOWN] => (flag: U64);
        PR_GET_MEMORY_MERGE = 68, Refuse[EINVAL UNKNOWN];
        PR_GET_AUXV = 0x4155_5856 [Harmless], Grant => (vector: Addr, size: U64, zero4: U64, zero5: U64);
    },
};

const SHADOW_STACK: &str = "shadow stacks are the translator's own";
const TILES: &str = "the translator carries no tile state";

/// Commands of arch_prctl(2): the child's registers, so the child changes them.
pub(super) static ARCH_PRCTL: Commands = Commands {
    title: "arch_prctl command",
    mask: u32::MAX,
    options: None,
    unknown: libc::EINVAL,
    rows: command_rows! { (op)
        ARCH_SET_GS = 0x1001 [Harmless] => (addr: Addr);
        ARCH_SET_FS = 0x1002 [Harmless] => (addr: Addr);
        ARCH_GET_FS = 0x1003 [Harmless] => (addr: Addr);
        ARCH_GET_GS = 0x1004 [Harmless] => (addr: Addr);
        ARCH_GET_CPUID = 0x1011 [Harmless];
        ARCH_SET_CPUID = 0x1012, Refuse[ENODEV "cpuid is answered by the translator"] => (enabled: U64);
        ARCH_GET_XCOMP_SUPP = 0x1021, Refuse[EINVAL TILES] => (addr: Addr);
        ARCH_GET_XCOMP_PERM = 0x1022, Refuse[EINVAL TILES] => (addr: Addr);
        ARCH_REQ_XCOMP_PERM = 0x1023, Refuse[EINVAL TILES] => (feature: U64);
        ARCH_MAP_VDSO_X32 = 0x2001, Refuse[EINVAL UNKNOWN] => (addr: Addr);
        ARCH_MAP_VDSO_32 = 0x2002, Refuse[EINVAL UNKNOWN] => (addr: Addr);
        ARCH_MAP_VDSO_64 = 0x2003, Refuse[EINVAL UNKNOWN] => (addr: Addr);
        ARCH_CET_STATUS = 0x3001, Refuse[EINVAL SHADOW_STACK] => (addr: Addr);
        ARCH_GET_UNTAG_MASK = 0x4001, Refuse[EINVAL UNKNOWN] => (addr: Addr);
        ARCH_ENABLE_TAGGED_ADDR = 0x4002, Refuse[ENODEV UNKNOWN] => (bits: U64);
        ARCH_GET_MAX_TAG_BITS = 0x4003, Refuse[EINVAL UNKNOWN] => (addr: Addr);
        ARCH_SHSTK_ENABLE = 0x5001, Refuse[EOPNOTSUPP SHADOW_STACK] => (features: U64);
        ARCH_SHSTK_DISABLE = 0x5002, Refuse[EOPNOTSUPP SHADOW_STACK] => (features: U64);
        ARCH_SHSTK_LOCK = 0x5003, Refuse[EOPNOTSUPP SHADOW_STACK] => (features: U64);
        ARCH_SHSTK_UNLOCK = 0x5004, Refuse[EOPNOTSUPP SHADOW_STACK] => (features: U64);
        ARCH_SHSTK_STATUS = 0x5005, Refuse[EOPNOTSUPP SHADOW_STACK] => (addr: Addr);
    },
};

const FILTERS: &str = "guests have no filters of their own";

/// Requests of ptrace(2). The vector that PTRACE_GETREGSET and PTRACE_SETREGSET point at crosses as one of
/// `count`, which the child sets.
pub(super) static PTRACE: Commands = Commands {
    title: "ptrace request",
    mask: u32::MAX,
    options: None,
    unknown: libc::EIO,
    rows: command_rows! { (op)
        PTRACE_TRACEME = 0 [Harmless];
        PTRACE_PEEKTEXT = 1 [Harmless] => (pid: Pid, addr: Addr, data: Out(Needed, Fixed(8)));
        PTRACE_PEEKDATA = 2 [Harmless] => (pid: Pid, addr: Addr, data: Out(Needed, Fixed(8)));
        PTRACE_PEEKUSER = 3 [Harmless] => (pid: Pid, addr: U64, data: Out(Needed, Fixed(8)));
        PTRACE_POKETEXT = 4 [Harmless] => (pid: Pid, addr: Addr, data: U64);
        PTRACE_POKEDATA = 5 [Harmless] => (pid: Pid, addr: Addr, data: U64);
        PTRACE_POKEUSER = 6 [Harmless] => (pid: Pid, addr: U64, data: U64);
        PTRACE_CONT = 7 [Harmless] => (pid: Pid, addr: Addr, data: U64);
        PTRACE_KILL = 8 [Harmless] => (pid: Pid);
        PTRACE_SINGLESTEP = 9 [Harmless] => (pid: Pid, addr: Addr, data: U64);
        PTRACE_GETREGS = 12 [Harmless] => (pid: Pid, addr: Addr, data: Out(Needed, Fixed(216)));
        PTRACE_SETREGS = 13 [Harmless] => (pid: Pid, addr: Addr, data: In(Needed, Fixed(216)));
        PTRACE_GETFPREGS = 14 [Harmless] => (pid: Pid, addr: Addr, data: Out(Needed, Fixed(512)));
        PTRACE_SETFPREGS = 15 [Harmless] => (pid: Pid, addr: Addr, data: In(Needed, Fixed(512)));
        PTRACE_ATTACH = 16 [Harmless] => (pid: Pid);
        PTRACE_DETACH = 17 [Harmless] => (pid: Pid, addr: Addr, data: U64);
        PTRACE_SYSCALL = 24 [Harmless] => (pid: Pid, addr: Addr, data: U64);
        PTRACE_SETOPTIONS = 0x4200 [Harmless] => (pid: Pid, addr: Addr, data: Flags(&PTRACE_OPTIONS));
        PTRACE_GETEVENTMSG = 0x4201 [Harmless] => (pid: Pid, addr: Addr, data: Out(Needed, Fixed(8)));
        PTRACE_GETSIGINFO = 0x4202 [Harmless] => (pid: Pid, addr: Addr, data: Out(Needed, Struct(&SIGINFO)));
        PTRACE_SETSIGINFO = 0x4203 [Harmless] => (pid: Pid, addr: Addr, data: In(Needed, Struct(&SIGINFO)));
        PTRACE_GETREGSET = 0x4204 [Harmless] => (pid: Pid, note: U64, data: IovecOut { count },
            count: U64);
        PTRACE_SETREGSET = 0x4205 [Harmless] => (pid: Pid, note: U64, data: IovecIn { count },
            count: U64);
        PTRACE_SEIZE = 0x4206 [Harmless] => (pid: Pid, addr: U64, data: Flags(&PTRACE_OPTIONS));
        PTRACE_INTERRUPT = 0x4207 [Harmless] => (pid: Pid);
        PTRACE_LISTEN = 0x4208 [Harmless] => (pid: Pid);
        PTRACE_PEEKSIGINFO = 0x4209, Refuse[EIO "what waits is the tracee's own"];
        PTRACE_GETSIGMASK = 0x420a [Harmless] => (pid: Pid, size: U64, data: Out(Needed, Fixed(8)));
        PTRACE_SETSIGMASK = 0x420b [Harmless] => (pid: Pid, size: U64, data: In(Needed, Fixed(8)));
        PTRACE_SECCOMP_GET_FILTER = 0x420c, Refuse[EACCES FILTERS];
        PTRACE_SECCOMP_GET_METADATA = 0x420d, Refuse[EACCES FILTERS];
        PTRACE_GET_SYSCALL_INFO = 0x420e [Harmless] => (pid: Pid, size: U64, data: Out(Needed, Within(88)));
    },
};

//! Who the process is, reads about the system, and its administration.

use super::structs::*;
use crate::kind::Extent::*;
use crate::kind::Kind::*;
use crate::kind::Presence::*;
use crate::kind::Syscall;
use crate::names::*;

const ADMINISTRATION: &str = "administration of the machine";
const OBSOLETE: &str = "obsolete: no current kernel offers it";
const OTHER_POLICY: &str = "the policy of the sandbox is the supervisor's";
const LIMITS: &str = "RLIMIT_MEMLOCK, RLIMIT_CORE and those on priorities are recorded only";

/// Identity and limits, from what the supervisor keeps of each process.
pub(super) const IDENTITY: &[Syscall] = calls! { Identity:
    97 getrlimit Emulate (resource: Choice(&RLIMIT), rlim: Out(Needed, Struct(&RLIMIT_STRUCT)));
    98 getrusage Emulate (who: Choice(&RUSAGE), usage: Out(Needed, Struct(&RUSAGE_STRUCT)));
    102 getuid Emulate ();
    104 getgid Emulate ();
    105 setuid Emulate (uid: U32);
    106 setgid Emulate (gid: U32);
    107 geteuid Emulate ();
    108 getegid Emulate ();
    113 setreuid Emulate (ruid: U32, euid: U32);
    114 setregid Emulate (rgid: U32, egid: U32);
    115 getgroups Emulate (size: I32, list: Out(Needed, Batch { count: size, size: 4 }));
    116 setgroups Emulate (size: I32, list: In(Needed, Elements { count: size, size: 4 }));
    117 setresuid Emulate (ruid: U32, euid: U32, suid: U32);
    118 getresuid Emulate (ruid: Out(Needed, Fixed(4)), euid: Out(Needed, Fixed(4)),
        suid: Out(Needed, Fixed(4)));
    119 setresgid Emulate (rgid: U32, egid: U32, sgid: U32);
    120 getresgid Emulate (rgid: Out(Needed, Fixed(4)), egid: Out(Needed, Fixed(4)),
        sgid: Out(Needed, Fixed(4)));
    122 setfsuid Emulate (fsuid: U32);
    123 setfsgid Emulate (fsgid: U32);
    125 capget Emulate (hdrp: InOut(Needed, Struct(&CAP_HEADER)), datap: Out(Optional, Struct(&CAP_DATA)));
    126 capset Emulate (hdrp: InOut(Needed, Struct(&CAP_HEADER)), datap: In(Needed, Struct(&CAP_DATA)));
    135 personality Emulate (persona: U32);
    160 setrlimit Emulate[LIMITS] (resource: Choice(&RLIMIT), rlim: In(Needed, Struct(&RLIMIT_STRUCT)));
    302 prlimit64 Emulate[LIMITS] (pid: Pid, resource: Choice(&RLIMIT),
        new_limit: In(Optional, Struct(&RLIMIT_STRUCT)),
        old_limit: Out(Optional, Struct(&RLIMIT_STRUCT)));
};

/// Reads about the system.
pub(super) const SYSTEM: &[Syscall] = calls! { System:
    63 uname Emulate (buf: Out(Needed, Struct(&UTSNAME)));
    99 sysinfo Emulate (info: Out(Needed, Struct(&SYSINFO)));
    103 syslog Refuse[EPERM "the kernel's messages are the machine's"] (op: I32, bufp: Addr, size: I32);
    156 _sysctl Refuse[ENOSYS OBSOLETE] (args: Addr);
    318 getrandom Perform blocking restarts (buf: Out(Probed, Bulk { count: size }), size: U64,
        flags: Flags(&GETRANDOM));
};

/// Administration of the machine, and other policies than the supervisor's.
pub(super) const ADMIN: &[Syscall] = calls! { Admin:
    153 vhangup Refuse[EPERM ADMINISTRATION] ();
    163 acct Refuse[EPERM ADMINISTRATION] (filename: Path(Needed));
    167 swapon Refuse[EPERM ADMINISTRATION] (path: Path(Needed), swapflags: U32);
    168 swapoff Refuse[EPERM ADMINISTRATION] (path: Path(Needed));
    169 reboot Refuse[EPERM ADMINISTRATION] (magic: U32, magic2: U32, op: U32, arg: Addr);
    170 sethostname Refuse[EPERM ADMINISTRATION] (name: Addr, size: I32);
    171 setdomainname Refuse[EPERM ADMINISTRATION] (name: Addr, size: I32);
    172 iopl Refuse[EPERM ADMINISTRATION] (level: U32);
    173 ioperm Refuse[EPERM ADMINISTRATION] (from: U64, num: U64, turn_on: I32);
    174 create_module Refuse[ENOSYS OBSOLETE] (name: Addr, size: U64);
    175 init_module Refuse[EPERM ADMINISTRATION] (module_image: Addr, size: U64, param_values: Addr);
    176 delete_module Refuse[EPERM ADMINISTRATION] (name: Text(Needed), flags: U32);
    177 get_kernel_syms Refuse[ENOSYS OBSOLETE] (table: Addr);
    178 query_module Refuse[ENOSYS OBSOLETE] (name: Addr, which: I32, buf: Addr, bufsize: U64, ret: Addr);
    179 quotactl Refuse[EPERM ADMINISTRATION] (op: U32, special: Path(Needed), id: I32, addr: Addr);
    180 nfsservctl Refuse[ENOSYS OBSOLETE] (cmd: I32, argp: Addr, resp: Addr);
    181 getpmsg Refuse[ENOSYS OBSOLETE] ();
    182 putpmsg Refuse[ENOSYS OBSOLETE] ();
    183 afs_syscall Refuse[ENOSYS OBSOLETE] ();
    184 tuxcall Refuse[ENOSYS OBSOLETE] ();
    185 security Refuse[ENOSYS OBSOLETE] ();
    236 vserver Refuse[ENOSYS OBSOLETE] ();
    246 kexec_load Refuse[EPERM ADMINISTRATION] (entry: Addr, nr_segments: U64, segments: Addr, flags: U64);
    298 perf_event_open Refuse[EPERM "counts and samples the supervisor too"]
        (attr: Addr, pid: Pid, cpu: I32, group_fd: Fd, flags: U64);
    313 finit_module Refuse[EPERM ADMINISTRATION] (fd: Fd, param_values: Text(Needed), flags: U32);
    320 kexec_file_load Refuse[EPERM ADMINISTRATION]
        (kernel_fd: Fd, initrd_fd: Fd, cmdline_len: U64, cmdline: Addr, flags: U64);
    321 bpf Refuse[EPERM "programs in the kernel"] (cmd: I32, attr: Addr, size: U32);
    443 quotactl_fd Refuse[EPERM ADMINISTRATION] (fd: Fd, op: U32, id: I32, addr: Addr);
    444 landlock_create_ruleset Refuse[ENOSYS OTHER_POLICY] (attr: Addr, size: U64, flags: U32);
    445 landlock_add_rule Refuse[ENOSYS OTHER_POLICY] (ruleset_fd: Fd, rule_type: I32, rule_attr: Addr,
        flags: U32);
    446 landlock_restrict_self Refuse[ENOSYS OTHER_POLICY] (ruleset_fd: Fd, flags: U32);
    459 lsm_get_self_attr Refuse[ENOSYS OTHER_POLICY] (attr: U32, ctx: Addr, size: Addr, flags: U32);
    460 lsm_set_self_attr Refuse[ENOSYS OTHER_POLICY] (attr: U32, ctx: Addr, size: U32, flags: U32);
    461 lsm_list_modules Refuse[ENOSYS OTHER_POLICY] (ids: Addr, size: Addr, flags: U32);
};

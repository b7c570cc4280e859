//! Calls on the address space. The child carries them out; addresses are its own business.

use crate::kind::Extent::*;
use crate::kind::Kind::*;
use crate::kind::Presence::*;
use crate::kind::Syscall;
use crate::names::*;

const NUMA: &str = "no choice of memory nodes; programs take it for a machine without them";
const PKEYS: &str = "protection keys are not virtualised";
const OTHERS: &str = "reaches into another process's memory";
const HUGE: &str = "MAP_HUGETLB is ENOMEM";
const ADVICE: &str = "MADV_MERGEABLE merges nothing; MADV_HWPOISON and MADV_SOFT_OFFLINE are EPERM";
const LOCKS: &str = "locks nothing";
const SEQUENCES: &str = "no commands for restartable sequences";
const OWN: &str = "only of the caller itself and of what it traces";

pub(super) const ROWS: &[Syscall] = calls! { Memory:
    9 mmap Grant[HUGE] (addr: Addr, length: U64, prot: Flags(&PROT), flags: Flags(&MAP), fd: MapFd { flags },
        offset: U64);
    10 mprotect Grant (addr: Addr, size: U64, prot: Flags(&PROT));
    11 munmap Grant (addr: Addr, length: U64);
    12 brk Grant (addr: Addr);
    25 mremap Grant (old_address: Addr, old_size: U64, new_size: U64, flags: Flags(&MREMAP),
        new_address: Addr);
    26 msync Grant (addr: Addr, length: U64, flags: Flags(&MSYNC));
    27 mincore Grant (addr: Addr, length: U64, vec: Addr);
    28 madvise Grant[ADVICE] (addr: Addr, size: U64, advice: Choice(&MADVISE));
    149 mlock Grant (addr: Addr, size: U64);
    150 munlock Grant (addr: Addr, size: U64);
    151 mlockall Grant[LOCKS] (flags: Flags(&MLOCKALL));
    152 munlockall Grant ();
    216 remap_file_pages Refuse[ENOSYS "obsolete"] (addr: Addr, size: U64, prot: U32, pgoff: U64, flags: U32);
    237 mbind Refuse[ENOSYS NUMA] (addr: Addr, len: U64, mode: U32, nodemask: Addr, maxnode: U64, flags: U32);
    238 set_mempolicy Refuse[ENOSYS NUMA] (mode: I32, nodemask: Addr, maxnode: U64);
    239 get_mempolicy Refuse[ENOSYS NUMA] (mode: Addr, nodemask: Addr, maxnode: U64, addr: Addr, flags: U64);
    256 migrate_pages Refuse[ENOSYS NUMA] (pid: Pid, maxnode: U64, old_nodes: Addr, new_nodes: Addr);
    279 move_pages Refuse[ENOSYS NUMA] (pid: Pid, count: U64, pages: Addr, nodes: Addr, status: Addr,
        flags: I32);
    310 process_vm_readv Perform[OWN] (pid: Pid, local_iov: IovecOut { count: liovcnt }, liovcnt: U64,
        remote_iov: In(Optional, Elements { count: riovcnt, size: 16 }), riovcnt: U64, flags: U64);
    311 process_vm_writev Perform[OWN] (pid: Pid, local_iov: IovecIn { count: liovcnt }, liovcnt: U64,
        remote_iov: In(Optional, Elements { count: riovcnt, size: 16 }), riovcnt: U64, flags: U64);
    323 userfaultfd Refuse[EPERM "stops the supervisor in the middle of an access"] (flags: Flags(&OPEN));
    324 membarrier Grant[SEQUENCES] (cmd: Choice(&MEMBARRIER), flags: U32, cpu_id: I32);
    325 mlock2 Grant (addr: Addr, size: U64, flags: Flags(&MLOCK));
    329 pkey_mprotect Refuse[EINVAL PKEYS] (addr: Addr, size: U64, prot: Flags(&PROT), pkey: I32);
    330 pkey_alloc Refuse[ENOSPC PKEYS] (flags: U32, access_rights: U32);
    331 pkey_free Refuse[EINVAL PKEYS] (pkey: I32);
    440 process_madvise Refuse[EPERM OTHERS] (pidfd: Fd, iovec: Addr, vlen: U64, advice: Choice(&MADVISE),
        flags: U32);
    447 memfd_secret Refuse[ENOSYS "hides memory from the supervisor"] (flags: U32);
    448 process_mrelease Refuse[EPERM OTHERS] (pidfd: Fd, flags: U32);
    450 set_mempolicy_home_node Refuse[ENOSYS NUMA] (start: Addr, len: U64, home_node: U64, flags: U64);
    453 map_shadow_stack Refuse[EOPNOTSUPP "shadow stacks are the translator's \
        own"] (addr: Addr, size: U64, flags: U32);
    462 mseal Refuse[ENOSYS "sealing is not virtualised; loaders go on \
        without"] (addr: Addr, size: U64, flags: U64);
};

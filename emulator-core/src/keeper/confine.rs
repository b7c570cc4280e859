//! What a keeper may do: read and write files of the cache's folder and what it was handed, with bounded
//! memory and time.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use libc::*;
use nix::sys::resource::{Resource, setrlimit};
use rxbox_seccomp::{Action, Rule, Test};
use std::os::fd::OwnedFd;

/// The newest version of Landlock's interface whose rights are taken away.
const NEWEST: ABI = ABI::V6;
/// Bytes of address space, with the code cache's region.
const MEMORY: u64 = 4 << 30;
/// Seconds of processor time.
const TIME: u64 = 60;

const NOT_EXECUTABLE: Test = Test::Within((PROT_READ | PROT_WRITE) as u64);

/// Host calls by what they are for.
const CALLS: &[(i64, &[(u8, Test)])] = &[
    // Files of the folder, and those that came with the parcel.
    (SYS_openat, &[]),
    (SYS_read, &[]),
    (SYS_pread64, &[]),
    (SYS_write, &[]),
    (SYS_lseek, &[]),
    (SYS_close, &[]),
    (SYS_fstat, &[]),
    (SYS_newfstatat, &[]),
    (SYS_statx, &[]),
    (SYS_getdents64, &[]),
    (SYS_renameat, &[]),
    (SYS_unlinkat, &[]),
    (SYS_fcntl, &[]),
    (SYS_flock, &[]),
    // The parcel.
    (SYS_recvmsg, &[]),
    // Memory, in which nothing is executed.
    (SYS_mmap, &[(2, NOT_EXECUTABLE)]),
    (SYS_mprotect, &[(2, NOT_EXECUTABLE)]),
    (SYS_munmap, &[]),
    (SYS_mremap, &[]),
    (SYS_madvise, &[]),
    (SYS_brk, &[]),
    // The runtime of the language, and the end.
    (SYS_clock_gettime, &[]),
    (SYS_getrandom, &[]),
    (SYS_futex, &[]),
    (SYS_sigaltstack, &[]),
    (SYS_rt_sigaction, &[]),
    (SYS_rt_sigprocmask, &[]),
    (SYS_exit, &[]),
    (SYS_exit_group, &[]),
];

/// Takes everything else away from this process, which has one thread.
///
/// # Errors
/// What the kernel must not refuse is refused: nothing may be read.
pub(super) fn enclose(folder: &OwnedFd) -> Result<(), Box<dyn std::error::Error>> {
    setrlimit(Resource::RLIMIT_AS, MEMORY, MEMORY)?;
    setrlimit(Resource::RLIMIT_CPU, TIME, TIME)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    let files = AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::MakeReg
        | AccessFs::RemoveFile
        | AccessFs::Truncate;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rule(PathBeneath::new(folder, files))?
        .restrict_self()?;
    let rules = CALLS.iter().map(|&(call, when)| Rule { call, when, action: Action::Allow });
    rxbox_seccomp::compile(rules, Action::KillProcess)?.restrict_process()?;
    Ok(())
}

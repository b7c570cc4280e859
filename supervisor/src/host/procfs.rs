//! The host's `/proc`. The supervisor reaches its own descriptors by their names there, and learns from it
//! about the processes of the guest. Where none is mounted, in a bare chroot, or one of another PID
//! namespace, in which numbers are those of other processes, rxbox mounts one where nobody but its own
//! processes sees it.

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};

/// Sees to it that there is a `/proc`, of the PID namespace of this process.
///
/// # Errors
/// There is none, and this user may not mount one.
pub fn provide() -> Result<(), Errno> {
    if is_own().is_ok() {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWNS)?;
    // What the host mounts later is still seen, and nothing that is mounted here is seen there.
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SLAVE, NONE)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, NONE)
}

/// Whether `/proc` is that of the PID namespace of this process.
///
/// # Errors
/// ENOENT if it is not.
pub fn is_own() -> Result<(), Errno> {
    let there = statfs("/proc").is_ok_and(|found| found.filesystem_type() == PROC_SUPER_MAGIC);
    let told = std::fs::read_link("/proc/self").ok().filter(|_| there);
    let own = told.is_some_and(|told| told.as_os_str() == std::process::id().to_string().as_str());
    if own { Ok(()) } else { Err(Errno::ENOENT) }
}

const NONE: Option<&str> = None;

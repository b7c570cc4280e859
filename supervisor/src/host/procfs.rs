//! The host's `/proc`. The supervisor reaches its own descriptors by their names there, and learns from it
//! about the processes of the guest. Where none is mounted, in a bare chroot, or one of another PID
//! namespace, in which numbers are those of other processes, rxbox mounts one where nobody but its own
//! processes sees it.

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};
use std::ffi::CStr;

/// Sees to it that there is a `/proc`, of the PID namespace of this process.
///
/// # Errors
/// There is none, and this user may not mount one.
pub fn provide() -> Result<(), Errno> {
    let there = statfs("/proc").is_ok_and(|found| found.filesystem_type() == PROC_SUPER_MAGIC);
    let own = || {
        let told = std::fs::read_link("/proc/self").ok();
        told.is_some_and(|told| told.as_os_str() == std::process::id().to_string().as_str())
    };
    if there && own() {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWNS)?;
    // What the host mounts later is still seen, and nothing that is mounted here is seen there.
    mount(c"none", c"/", None, libc::MS_REC | libc::MS_SLAVE)?;
    mount(c"proc", c"/proc", Some(c"proc"), libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC)
}

/// mount(2) without data.
fn mount(what: &CStr, place: &CStr, kind: Option<&CStr>, flags: u64) -> Result<(), Errno> {
    let kind = kind.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: the texts end with NUL and live longer than the call; no data are given.
    Errno::result(unsafe { libc::mount(what.as_ptr(), place.as_ptr(), kind, flags, std::ptr::null()) })
        .map(drop)
}

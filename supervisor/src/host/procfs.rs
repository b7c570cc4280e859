//! The host's `/proc`. The supervisor reaches its own descriptors by their names there, and learns from it
//! about the processes of the guest. Where none is mounted, in a bare chroot, rxbox mounts one where nobody
//! but its own processes sees it.

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};
use std::ffi::CStr;

/// Sees to it that there is a `/proc`.
///
/// # Errors
/// There is none, and this user may not mount one.
pub fn provide() -> Result<(), Errno> {
    if statfs("/proc").is_ok_and(|found| found.filesystem_type() == PROC_SUPER_MAGIC) {
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

//! Becoming another user, for good.

use nix::errno::Errno;
use nix::unistd::{User, initgroups, setresgid, setresuid};
use std::ffi::{CString, OsStr};

/// Makes this process, which must have one thread and be root's, one of `user`: with that user's groups,
/// without capabilities, and with the variables that su(1) sets. The working directory and what is open stay.
///
/// # Errors
/// As initgroups(3) and setresuid(2); EBUSY if this process has more than one thread.
pub fn assume(user: &User) -> Result<(), Errno> {
    let threads = std::fs::read_dir("/proc/self/task").map_err(|_| Errno::ENOSYS)?;
    if threads.count() != 1 {
        return Err(Errno::EBUSY);
    }
    let name = CString::new(user.name.as_bytes()).map_err(|_| Errno::EINVAL)?;
    initgroups(&name, user.gid)?;
    setresgid(user.gid, user.gid, user.gid)?;
    setresuid(user.uid, user.uid, user.uid)?;
    // The bits of prctl(2) for programs that know of capabilities may have kept some.
    for set in
        [caps::CapSet::Ambient, caps::CapSet::Effective, caps::CapSet::Permitted, caps::CapSet::Inheritable]
    {
        caps::clear(None, set).map_err(|_| Errno::EPERM)?;
    }
    // The kernel has made the files in /proc/self root's.
    nix::sys::prctl::set_dumpable(true)?;
    let name = OsStr::new(&user.name);
    for (variable, value) in
        [("HOME", user.dir.as_os_str()), ("SHELL", user.shell.as_os_str()), ("USER", name), ("LOGNAME", name)]
    {
        // SAFETY: there is only this thread, so nobody reads the environment meanwhile.
        unsafe { std::env::set_var(variable, value) };
    }
    Ok(())
}

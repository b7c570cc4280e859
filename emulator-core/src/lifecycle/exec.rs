//! execve(2) and execveat(2): the supervisor decides which file, the child loads it in its own place.

use super::de_thread;
use crate::base::result::SyscallResult;
use crate::guest::access;
use crate::guest::read::strings;
use crate::loader::{Executable, Resolved, resolve_scripts};
use crate::process::exec_state::PreparedExec;
use crate::thread::{Thread, request};
use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW};
use nix::errno::Errno;

/// Longest path with its NUL.
const PATH_MAX: usize = 4096;

/// Carries out an approved call.
pub fn exec(thread: &mut Thread, nr: u32, args: &[u64; 6]) -> SyscallResult {
    match prepare(thread, nr, args) {
        Ok(prepared) => de_thread::replace(thread, prepared),
        Err(e) => e.into(),
    }
}

/// Everything that can fail while the old program is still there.
fn prepare(thread: &mut Thread, nr: u32, args: &[u64; 6]) -> Result<PreparedExec, Errno> {
    let (called, argv, envp, flags) = if i64::from(nr) == libc::SYS_execve {
        (access::copy_str(args[0], PATH_MAX)?, args[1], args[2], 0)
    } else {
        let (path, flags) = (access::copy_str(args[1], PATH_MAX)?, args[4] as i32);
        // The file of a descriptor has no name that could be a link.
        let flags_of_name = if path.is_empty() { 0 } else { flags & AT_SYMLINK_NOFOLLOW };
        (path_at(args[0] as i32, path, flags)?, args[2], args[3], flags_of_name)
    };
    let (mut argv, envp) = (strings(argv)?, strings(envp)?);
    if argv.is_empty() {
        // Linux gives a program at least an empty name (since 5.18).
        argv.push(Vec::new());
    }
    let open = |path: &[u8]| request::open_exec(thread, path, 0);
    let file = request::open_exec(thread, &called, flags)?;
    let Resolved { file, path, argv } = resolve_scripts(file, &called, argv, open).map_err(|e| e.errno())?;
    let executable = Executable::check(file, open).map_err(|e| e.errno())?;
    Ok(PreparedExec { called, path, executable, argv, envp })
}

/// The path of execveat(2) as one: below a descriptor, or that descriptor's file itself.
fn path_at(dirfd: i32, path: Vec<u8>, flags: i32) -> Result<Vec<u8>, Errno> {
    if path.is_empty() && flags & AT_EMPTY_PATH == 0 {
        return Err(Errno::ENOENT);
    }
    if flags & !(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0 {
        return Err(Errno::EINVAL);
    }
    if path.first() == Some(&b'/') || dirfd == AT_FDCWD && !path.is_empty() {
        return Ok(path);
    }
    match path.is_empty() {
        _ if dirfd < 0 && dirfd != AT_FDCWD => Err(Errno::EBADF),
        true if dirfd == AT_FDCWD => Ok(b".".to_vec()),
        true => Ok(format!("/dev/fd/{dirfd}").into_bytes()),
        false => Ok([format!("/dev/fd/{dirfd}/").as_bytes(), &path].concat()),
    }
}

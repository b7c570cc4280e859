//! Opening programs.

use super::named::find;
use crate::caller::Caller;
use crate::host::name::{access, reopen};
use crate::path::{Lookup, Target};
use crate::state::fd::Kind;
use crate::state::names::Object;
use crate::state::names::{label_of, name_of};
use nix::errno::Errno;
use nix::sys::stat::fstat;
use rxbox_policy::Access;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

/// Opens a program or an interpreter to be run, as execve(2) would ([`program`]).
///
/// # Errors
/// As for [`program`]; ETXTBSY for a file that a process of the sandbox has open for writing.
pub fn open_exec(
    caller: &Caller<'_>,
    dirfd: i32,
    path: &CStr,
    flags: i32,
) -> Result<(OwnedFd, Vec<u8>), Errno> {
    let (fd, path) = program(caller, dirfd, path, flags)?;
    if caller.sandbox.processes.writes(&fstat(&fd)?) { Err(Errno::ETXTBSY) } else { Ok((fd, path)) }
}

/// Opens a program or an interpreter: a regular file that the policy lets run
/// and the caller has the permission for. Returns a descriptor to read it from and its absolute resolved
/// name. `flags` are those of execveat(2). EACCES for anything that cannot be run.
pub fn program(
    caller: &Caller<'_>,
    dirfd: i32,
    path: &CStr,
    flags: i32,
) -> Result<(OwnedFd, Vec<u8>), Errno> {
    super::named::known(flags, libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW)?;
    let found = find(caller, dirfd, path, Lookup::at(flags).to(Access::Execute))?;
    let (object, path) = match found.target {
        Target::Host(object) => (object, found.path),
        Target::Open(file) if file.kind != Kind::View => {
            let fd = reopen(file.host.as_fd(), libc::O_PATH)?;
            let stat = fstat(&fd)?;
            // A program in memory is judged by what the kernel calls it, which only a rule for everything
            // covers. One that is deleted has lost the name by which it could be judged.
            let path = match name_of(fd.as_fd()) {
                Err(_) if file.kind == Kind::Memory => label_of(fd.as_fd())?,
                path => path.map_err(|_| Errno::EACCES)?,
            };
            (Object { fd, stat }, path)
        }
        Target::Open(_) | Target::View(_) => return Err(Errno::EACCES),
    };
    if object.is_link() {
        return Err(Errno::ELOOP);
    }
    caller.check(if object.is_dir() { Access::Metadata } else { Access::Execute }, &path)?;
    if object.kind() != libc::S_IFREG {
        return Err(Errno::EACCES);
    }
    access(object.as_fd(), libc::X_OK, libc::AT_EACCESS)?;
    Ok((reopen(object.as_fd(), libc::O_RDONLY)?, path))
}

//! Making what is like a file of an upper directory, by a name that nobody has yet.
//!
//! Other processes may have rights in the directory in which it is made, so what has been made is held, and
//! owner, mode and times are given to that and never to a name.

use super::compare::{kind, read};
use crate::host::name::{get_attribute, list_attributes, reopen_name, set_attribute};
use crate::host::transfer::{Buffer, getrandom};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, UtimensatFlags, fchmod, fstat, futimens, mknodat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown, fchownat, geteuid, symlinkat};
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

/// The bits of a mode that are never given to a file.
const SET_ID: u32 = libc::S_ISUID | libc::S_ISGID;
/// Bytes of the names of all attributes of a file, or of one value.
const MOST_ATTRIBUTES: usize = 64 << 10;
/// What the name of a file begins with that is not there yet.
const UNFINISHED: &str = ".rxbox-";

/// A name in a directory.
type Spot<'a> = (BorrowedFd<'a>, &'a OsStr);

/// A regular file with all that belongs to it.
pub(super) fn file((from, name): Spot<'_>, (to, new): Spot<'_>, above: &FileStat) -> Result<(), Errno> {
    let host = |e: std::io::Error| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO));
    let mut from = read(from, name)?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut to = File::from(openat(to, new, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
    std::io::copy(&mut from, &mut to).map_err(host)?;
    if geteuid().is_root() {
        fchown(&to, Some(Uid::from_raw(above.st_uid)), Some(Gid::from_raw(above.st_gid)))?;
    }
    attributes(from.as_fd(), to.as_fd())?;
    fchmod(&to, Mode::from_bits_truncate(above.st_mode & !SET_ID))?;
    let (atime, mtime) = times(above);
    futimens(&to, &atime, &mtime)
}

/// A symbolic link, which is not followed, or a FIFO.
pub(super) fn link_or_fifo(
    (from, name): Spot<'_>,
    (to, new): Spot<'_>,
    above: &FileStat,
) -> Result<(), Errno> {
    if kind(above) == libc::S_IFLNK {
        symlinkat(readlinkat(from, name)?.as_os_str(), to, new)?;
    } else {
        mknodat(to, new, SFlag::S_IFIFO, Mode::from_bits_truncate(above.st_mode), 0)?;
    }
    let held = openat(to, new, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
    // Another that has taken the place of what was made.
    if kind(&fstat(&held)?) != kind(above) {
        return Err(Errno::EBUSY);
    }
    let (held, (atime, mtime)) = (reopen_name(held.as_fd()), times(above));
    if geteuid().is_root() {
        let (user, group) = (Uid::from_raw(above.st_uid), Gid::from_raw(above.st_gid));
        fchownat(AT_FDCWD, held.absolute(), Some(user), Some(group), AtFlags::empty())?;
    }
    // The name leads to what is held, and no further.
    utimensat(AT_FDCWD, held.absolute(), &atime, &mtime, UtimensatFlags::FollowSymlink)
}

/// Copies the attributes that the user gives files (xattr(7)). Capabilities of programs are none of them, nor
/// what overlayfs notes.
pub(super) fn attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let list = match list_attributes(from, MOST_ATTRIBUTES) {
        Ok((_, list)) => list,
        Err(Errno::EOPNOTSUPP) => return Ok(()),
        Err(e) => return Err(e),
    };
    let of_user = |name: &&[u8]| name.starts_with(b"user.") && !name.starts_with(b"user.overlay.");
    for name in list.split(|byte| *byte == 0).filter(of_user) {
        let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        let (_, value) = get_attribute(from, &name, MOST_ATTRIBUTES)?;
        set_attribute(to, &name, &value, 0)?;
    }
    Ok(())
}

fn times(above: &FileStat) -> (TimeSpec, TimeSpec) {
    let at = TimeSpec::new;
    (at(above.st_atime, above.st_atime_nsec), at(above.st_mtime, above.st_mtime_nsec))
}

/// A name that nobody has.
pub(super) fn unfinished() -> Result<OsString, Errno> {
    let mut random = [0; 8];
    getrandom(Buffer::from_slice(&mut random), 0)?;
    Ok(format!("{UNFINISHED}{:016x}", u64::from_le_bytes(random)).into())
}

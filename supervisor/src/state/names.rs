//! Objects of the host's file systems that are held by a descriptor, and their names.

use super::mounts;
use crate::host::name::kernel_label;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{FileStat, Mode, fstat};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

/// An object of the host's file systems.
#[derive(Debug)]
pub struct Object {
    /// Holds the object (`O_PATH`).
    pub fd: OwnedFd,
    /// Its status when it was found.
    pub stat: FileStat,
}

impl Object {
    /// An object that has just been opened, with its status.
    pub fn of(fd: OwnedFd) -> Result<Object, Errno> {
        let stat = fstat(fd.as_fd())?;
        Ok(Object { fd, stat })
    }
    /// The type bits of its mode (`S_IFDIR`, ...).
    pub fn kind(&self) -> u32 {
        self.stat.st_mode & libc::S_IFMT
    }
    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind() == libc::S_IFDIR
    }
    /// Whether it is a symbolic link.
    pub fn is_link(&self) -> bool {
        self.kind() == libc::S_IFLNK
    }
}

impl AsFd for Object {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A directory with the name it had when it was resolved.
#[derive(Debug)]
pub struct Dir {
    /// Holds the directory (`O_PATH`). For a directory of the guest's `/proc` the host's `/proc`.
    pub fd: OwnedFd,
    /// Absolute name. Below `/proc` it names an entry of [`crate::view`].
    pub path: Box<[u8]>,
}

impl Dir {
    /// Whether it is a directory of the guest's `/proc`.
    pub fn in_view(&self) -> bool {
        in_proc(&self.path)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether `path` is `/proc` or below it.
pub fn in_proc(path: &[u8]) -> bool {
    path.strip_prefix(b"/proc").is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// The root directory.
pub fn root() -> Result<BorrowedFd<'static>, Errno> {
    static ROOT: OnceLock<Result<OwnedFd, Errno>> = OnceLock::new();
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    match ROOT.get_or_init(|| open(c"/", flags, Mode::empty())) {
        Ok(fd) => Ok(fd.as_fd()),
        Err(e) => Err(*e),
    }
}

/// `dir` and the name `leaf` in it as one path.
pub fn join(dir: &[u8], leaf: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(dir.len() + 1 + leaf.len());
    path.extend_from_slice(dir);
    if path.last() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(leaf);
    path
}

/// What the object is called now, whatever it is (`pipe:[7]`, `/tmp/x (deleted)`): by the guest, in whose
/// names there may be private places ([`mounts::guest_name`]).
pub fn label_of(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    kernel_label(fd).map(|label| mounts::guest_name(fd, label))
}

/// The absolute name under which the guest has the object now; ENOENT if it has none: deleted, unmounted, a
/// pipe. What a private place covers is not named absolutely: no rule allows it.
///
/// The kernel marks a deleted name with a suffix that a file's own name can also end in. Taken for a name, it
/// would slip past a rule for the name without it, so such a name only counts if it leads back to the very
/// object.
pub fn name_of(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let label = kernel_label(fd)?;
    if label.first() != Some(&b'/') {
        return Err(Errno::ENOENT);
    }
    if label.ends_with(b" (deleted)") && !mounts::leads_to(fd, &label)? {
        return Err(Errno::ENOENT);
    }
    Ok(mounts::guest_name(fd, label))
}

/// Whether two statuses are of one object.
pub fn same(a: &FileStat, b: &FileStat) -> bool {
    (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
}

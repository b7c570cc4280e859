//! Where the folders of private places lie, and what is in them at first.
//!
//! Best is a tmpfs that is mounted nowhere ([`tmpfs`]): only this run reaches it, and it is gone with the
//! last of the run's processes, however they end. What is in it takes memory, and is limited and counted as
//! that. Where the host lets this user mount nothing it is a directory below the one for temporary files,
//! which nobody else may enter. The job process removes that at the end of the run ([`sweep`]). Should it be
//! killed with all the others, the next run that needs a directory does: a run that is there holds a lock on
//! its own.

use crate::host::name::reopen_name;
use crate::host::tmpfs;
use crate::host::transfer::{Buffer, getrandom};
use crate::state::mounts::Table;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, Flock, FlockArg, OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmod, fchmodat, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use rxbox_policy::{Mounts, Policy, Source};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// The directory of the folders on their own file system. Names that begin so are looked at twice.
const ON_TMPFS: &str = ".rxbox";
/// What the names of directories for temporary files of runs begin with.
const PREFIX: &str = "rxbox-private-";
/// As what directories are opened.
const DIRECTORY: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
/// As what they are held.
const HOLD: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
const ONLY_OWN: Mode = Mode::S_IRWXU;

/// Why there are no folders.
#[derive(Debug, thiserror::Error)]
pub enum FoldersError {
    /// The host fails.
    #[error("cannot make what {place} is to be in the sandbox: {}", errno.desc())]
    Folder {
        /// The private place.
        place: String,
        /// Why.
        errno: Errno,
    },
    /// Nothing can be mounted, and no directory can be written.
    #[error("there is no place for private files: this user may mount none, and write none of {}", list(.0))]
    NoPlace(Vec<PathBuf>),
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    paths.join(", ")
}

/// Makes the folders of a policy and puts the mount table in force; before a directory is made that does not
/// go by itself, `announce` is called. This process must have one thread.
///
/// # Errors
/// The host fails.
pub fn make(policy: &Policy, announce: impl FnOnce() -> Result<(), Errno>) -> Result<(), FoldersError> {
    let mounts = policy.mounts();
    if mounts.is_empty() {
        return Ok(());
    }
    let of = |place: &Path| {
        let place = place.display().to_string();
        move |errno| FoldersError::Folder { place, errno }
    };
    let first = mounts.points().next().map(|(path, _)| path).unwrap_or(Path::new("/"));
    let base = base(policy, announce).map_err(of(first))?;
    let (base, own_file_system) = base.ok_or_else(|| FoldersError::NoPlace(places().into()))?;
    for (path, source) in mounts.points() {
        if let Source::Private(number) = source {
            folder(base.as_fd(), number, path).map_err(of(path))?;
        }
    }
    for (path, _) in mounts.points() {
        mount_point(base.as_fd(), mounts, path).map_err(of(path))?;
    }
    Table::new(mounts, base, own_file_system).map_err(of(first))?.install();
    Ok(())
}

/// The directory for the folders, and whether it is on a file system of its own; nothing if there is no place
/// for one.
fn base(
    policy: &Policy,
    announce: impl FnOnce() -> Result<(), Errno>,
) -> Result<Option<(OwnedFd, bool)>, Errno> {
    // The files of several users have no place in a user namespace with one.
    match tmpfs::detached(policy.limits().memory, !policy.changes_identity()) {
        Ok(mount) => {
            mkdirat(&mount, ON_TMPFS, ONLY_OWN)?;
            Ok(Some((openat(&mount, ON_TMPFS, DIRECTORY, Mode::empty())?, true)))
        }
        Err(_) => {
            announce()?;
            sweep();
            Ok(places().iter().find_map(|place| temporary(place).ok()).map(|folder| (folder, false)))
        }
    }
}

/// A new directory, locked for as long as this process lives.
fn temporary(place: &Path) -> Result<OwnedFd, Errno> {
    let place = openat(AT_FDCWD, place, DIRECTORY, Mode::empty())?;
    loop {
        let mut random = [0; 8];
        getrandom(Buffer::from_slice(&mut random), 0)?;
        let name = format!("{PREFIX}{:016x}", u64::from_le_bytes(random));
        match mkdirat(&place, name.as_str(), ONLY_OWN) {
            Err(Errno::EEXIST) => continue,
            made => made?,
        }
        let lock = lock(openat(&place, name.as_str(), DIRECTORY, Mode::empty())?)?;
        // Another run may have taken it for one that was left, before it was locked.
        if fstat(&*lock)?.st_nlink > 0 {
            let folder = openat(&*lock, ".", DIRECTORY, Mode::empty())?;
            // The lock is held to the end of the process.
            std::mem::forget(lock);
            return Ok(folder);
        }
    }
}

fn lock(directory: OwnedFd) -> Result<Flock<OwnedFd>, Errno> {
    Flock::lock(directory, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| e)
}

/// Where they may lie, best first. Images for containers may have no `/tmp`; their engine makes `/dev/shm`.
fn places() -> [PathBuf; 3] {
    [std::env::temp_dir(), "/var/tmp".into(), "/dev/shm".into()]
}

/// The folder of a private place, as open as the directory that is there.
fn folder(base: BorrowedFd<'_>, number: usize, path: &Path) -> Result<(), Errno> {
    let name = number.to_string();
    mkdirat(base, name.as_str(), ONLY_OWN)?;
    let mode = fstatat(AT_FDCWD, path, AtFlags::empty())?.st_mode;
    let folder = openat(base, name.as_str(), DIRECTORY, Mode::empty())?;
    fchmod(&folder, Mode::from_bits_truncate(mode) | ONLY_OWN)
}

/// In the folder around a mount point: something of its name, so that it is listed, if it is there.
fn mount_point(base: BorrowedFd<'_>, mounts: &Mounts, path: &Path) -> Result<(), Errno> {
    let Some((parent, leaf)) = path.parent().zip(path.file_name()) else { return Ok(()) };
    let Source::Private(number) = mounts.of(parent.as_os_str().as_bytes()) else { return Ok(()) };
    let around = mounts.points().find(|(_, source)| *source == Source::Private(number));
    let names = around.and_then(|(place, _)| parent.strip_prefix(place).ok()).unwrap_or(Path::new(""));
    let mut directory = openat(base, number.to_string().as_str(), DIRECTORY, Mode::empty())?;
    for name in names.components() {
        let Component::Normal(name) = name else { continue };
        directory = subdirectory(directory.as_fd(), name)?;
    }
    let Ok(there) = fstatat(AT_FDCWD, path, AtFlags::AT_SYMLINK_NOFOLLOW) else { return Ok(()) };
    if there.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits() {
        return subdirectory(directory.as_fd(), leaf).map(drop);
    }
    let flags = OFlag::O_CREAT | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(&directory, leaf, flags, Mode::S_IRUSR | Mode::S_IWUSR).map(drop)
}

fn subdirectory(directory: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    match mkdirat(directory, name, Mode::from_bits_truncate(0o755)) {
        Ok(()) | Err(Errno::EEXIST) => openat(directory, name, DIRECTORY, Mode::empty()),
        Err(e) => Err(e),
    }
}

/// Removes the directories of this user's runs that are over. What cannot be removed stays.
pub fn sweep() {
    places().iter().for_each(|place| sweep_place(place));
}

fn sweep_place(place: &Path) {
    let Ok(place) = openat(AT_FDCWD, place, DIRECTORY, Mode::empty()) else { return };
    for name in names(place.as_fd()).into_iter().filter(|name| name.as_bytes().starts_with(PREFIX.as_bytes()))
    {
        let Ok(directory) = openat(&place, name.as_os_str(), DIRECTORY, Mode::empty()) else { continue };
        let own = fstat(&directory).is_ok_and(|status| status.st_uid == geteuid().as_raw());
        if own && let Ok(left) = lock(directory) {
            empty(left.as_fd());
            let _ = unlinkat(&place, name.as_os_str(), UnlinkatFlags::RemoveDir);
        }
    }
}

/// Takes everything out of a directory, however deep it is: a directory in it is first emptied into it.
fn empty(directory: BorrowedFd<'_>) {
    let mut next = 0u64;
    loop {
        let mut progress = false;
        for name in names(directory) {
            if unlinkat(directory, name.as_os_str(), UnlinkatFlags::NoRemoveDir).is_ok()
                || unlinkat(directory, name.as_os_str(), UnlinkatFlags::RemoveDir).is_ok()
            {
                progress = true;
                continue;
            }
            progress |= flatten(directory, &name, &mut next);
        }
        if !progress {
            return;
        }
    }
}

/// Moves what is in the directory `name` of a directory up into that; whether anything was.
fn flatten(directory: BorrowedFd<'_>, name: &OsStr, next: &mut u64) -> bool {
    open_up(directory, name);
    let Ok(inner) = openat(directory, name, DIRECTORY, Mode::empty()) else { return false };
    let mut moved = false;
    for name in names(inner.as_fd()) {
        if unlinkat(&inner, name.as_os_str(), UnlinkatFlags::NoRemoveDir).is_ok() {
            moved = true;
            continue;
        }
        // A name that is taken is passed over.
        *next += 1;
        let aside = format!("{next}");
        // One that may not be written cannot be moved: its `..` changes.
        open_up(inner.as_fd(), &name);
        moved |=
            renameat2(&inner, name.as_os_str(), directory, aside.as_str(), RenameFlags::RENAME_NOREPLACE)
                .is_ok();
    }
    moved
}

/// Lets a directory, which is no link, be listed and changed, whatever the guest has made of its mode.
fn open_up(directory: BorrowedFd<'_>, name: &OsStr) {
    let held = openat(directory, name, HOLD, Mode::empty());
    let _ = held.and_then(|held| {
        let name = reopen_name(held.as_fd());
        fchmodat(AT_FDCWD, name.absolute(), ONLY_OWN, FchmodatFlags::FollowSymlink)
    });
}

/// The names in a directory.
fn names(directory: BorrowedFd<'_>) -> Vec<OsString> {
    let path = reopen_name(directory);
    let path = Path::new(OsStr::from_bytes(path.absolute().to_bytes()));
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).collect()
}

//! Where the folders of private places lie, and what is in them at first.
//!
//! Best is a tmpfs that is mounted nowhere ([`tmpfs`]): only this run reaches it, and it is gone with the
//! last of the run's processes, however they end. What is in it takes memory, and is limited and counted as
//! that. Where the host lets this user mount nothing it is a directory below the one for temporary files,
//! which nobody else may enter. The job process removes that at the end of the run ([`sweep`]). Should it be
//! killed with all the others, the next run that needs a directory does: a run that is there holds a lock on
//! its own.
//!
//! Overlays are in the same tmpfs, with what changes in them in a folder that is kept ([`store`]). They need
//! a file system of their own: where the host lets this user mount none, there are none.

use crate::changes::store::{self, Kept, StoreError};
use crate::host::overlay::{self, Overlay, OverlayError, Step};
use crate::host::removal::{empty, names};
use crate::host::tmpfs;
use crate::host::transfer::{Buffer, getrandom};
use crate::state::mounts::Table;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, Flock, FlockArg, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use rxbox_policy::{Mounts, Policy, Source};
use std::ffi::OsStr;
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
const ONLY_OWN: Mode = Mode::S_IRWXU;

/// Why there are no folders.
#[derive(Debug, thiserror::Error)]
pub enum FoldersError {
    /// A folder cannot be made.
    #[error("cannot make what {place} is to be in the sandbox: {}", errno.desc())]
    Folder {
        /// The private place.
        place: String,
        /// Why not.
        errno: Errno,
    },
    /// Nothing can be mounted, and no directory can be written.
    #[error("there is no place for private files: this user may mount none, and write none of {}", list(.0))]
    NoPlace(Vec<PathBuf>),
    /// The changes of the run cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An overlay cannot be mounted.
    #[error("cannot overlay {place}: {why}: {}", errno.desc())]
    Overlay {
        /// The overlaid place.
        place: String,
        /// What is the matter, and what to do.
        why: String,
        /// The kernel's answer.
        errno: Errno,
    },
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    paths.join(", ")
}

/// What is to be announced before it is made, for whoever is to remove it at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// A directory for private places.
    Folders,
    /// A folder for changes.
    Changes,
}

/// Makes the folders of a policy and puts the mount table in force; before something is made that does not go
/// by itself, it is announced. If there are overlays it gives what is kept of `run`. This process must have
/// one thread.
///
/// # Errors
/// The host fails, or lets this user mount no overlays.
pub fn make(
    policy: &Policy,
    run: store::Run<'_>,
    announce: impl Fn(Left) -> Result<(), Errno>,
) -> Result<Option<Kept>, FoldersError> {
    let mounts = policy.mounts();
    if mounts.is_empty() {
        return Ok(None);
    }
    let of = |place: &Path| {
        let place = place.display().to_string();
        move |errno| FoldersError::Folder { place, errno }
    };
    let first = mounts.points().next().map(|(path, _)| path).unwrap_or(Path::new("/"));
    let (base, own_file_system, kept) = if mounts.overlays().next().is_some() {
        announce(Left::Changes).map_err(of(first))?;
        let (base, kept) = overlaid(policy, run)?;
        (base, true, Some(kept))
    } else {
        let base = base(policy, announce).map_err(of(first))?;
        let (base, own_file_system) = base.ok_or_else(|| FoldersError::NoPlace(places().into()))?;
        (base, own_file_system, None)
    };
    for (path, source) in mounts.points() {
        if let Source::Private(number) = source {
            folder(base.as_fd(), number, path).map_err(of(path))?;
        }
    }
    for (path, _) in mounts.points() {
        mount_point(base.as_fd(), mounts, path).map_err(of(path))?;
    }
    Table::new(mounts, base, own_file_system).map_err(of(first))?.install();
    Ok(kept)
}

/// The directory for the folders, with the overlays mounted in it, and what is kept of the run.
fn overlaid(policy: &Policy, run: store::Run<'_>) -> Result<(OwnedFd, Kept), FoldersError> {
    let places: Vec<_> = policy.mounts().overlays().collect();
    let kept = Kept::begin(run, &places)?;
    let overlay = |(at, (place, number)): (usize, &(&Path, usize))| {
        let (upper, work) = kept.directories(*number);
        let identity = kept.identity(at);
        Overlay { name: number.to_string(), lower: place.to_path_buf(), identity, upper, work }
    };
    let overlays: Vec<_> = places.iter().enumerate().map(overlay).collect();
    let tree = overlay::detached(policy.limits().memory, ON_TMPFS, &overlays, &kept.path);
    let tree = tree.map_err(|error| refused(&places, &kept, error))?;
    let failed = |errno| refused(&places, &kept, OverlayError { step: Step::Tree, errno });
    let base = openat(&tree, ON_TMPFS, DIRECTORY, Mode::empty()).map_err(failed)?;
    Ok((base, kept))
}

/// What to tell of an overlay that there cannot be.
fn refused(places: &[(&Path, usize)], kept: &Kept, error: OverlayError) -> FoldersError {
    let place = match error.step {
        Step::Open(at) | Step::Mount(at) => places.get(usize::from(at)),
        Step::Namespaces | Step::Tree => places.first(),
    };
    let why = match error.step {
        Step::Namespaces | Step::Tree => {
            "this host lets the user mount nothing; `rxbox doctor` says how to get \
             user namespaces"
                .to_owned()
        }
        Step::Open(_) => "the directory is not the one that it was, or cannot be opened".to_owned(),
        Step::Mount(_) => format!(
            "the kernel mounts no overlay of it with changes in {}; these must be on a file system that can \
             hold them (not an overlay, vfat or NFS), which XDG_STATE_HOME can name",
            kept.path.display()
        ),
    };
    let place = place.map_or(Path::new("/"), |(place, _)| *place).display().to_string();
    FoldersError::Overlay { place, why, errno: error.errno }
}

/// The directory for the folders, and whether it is on a file system of its own; nothing if there is no place
/// for one.
fn base(
    policy: &Policy,
    announce: impl Fn(Left) -> Result<(), Errno>,
) -> Result<Option<(OwnedFd, bool)>, Errno> {
    // The files of several users have no place in a user namespace with one.
    match tmpfs::detached(policy.limits().memory, !policy.changes_identity()) {
        Ok(mount) => {
            mkdirat(&mount, ON_TMPFS, ONLY_OWN)?;
            Ok(Some((openat(&mount, ON_TMPFS, DIRECTORY, Mode::empty())?, true)))
        }
        Err(_) => {
            announce(Left::Folders)?;
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

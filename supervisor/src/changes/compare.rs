//! What a run has changed: its upper directories against the host's.
//!
//! In an upper directory of overlayfs (Documentation/filesystems/overlayfs.rst) a directory is the host's
//! with what is in it changed, or one of its own if it is marked as *opaque*; a character device with the
//! number 0 is a *whiteout*, which stands for what was removed; everything else is whole. Directories are
//! opened one after the other by their way from the root of the place, so that nothing grows with their
//! depth.

use super::store::{Changes, Place, Record};
use crate::host::lookup::find;
use crate::host::name::{get_attribute, reopen};
use crate::host::removal::names;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, ResolveFlag, readlinkat};
use nix::sys::stat::{FileStat, fstat, fstatat};
use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Changes that are looked at, at most.
pub const MOST: usize = 200_000;
/// The mark of an opaque directory.
pub(super) const OPAQUE: &CStr = c"user.overlay.opaque";
/// The mark of what was the host's once.
const ORIGIN: &CStr = c"user.overlay.origin";

/// A change.
#[derive(Clone, Debug)]
pub struct Change {
    /// The place, by its number in the record.
    pub place: usize,
    /// The way from the place, empty for the place itself.
    pub way: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// What the upper directory has there; of a whiteout nothing.
    pub upper: Option<FileStat>,
    /// What the host has there.
    pub lower: Option<FileStat>,
    /// Whether the host's has changed since the run began, or is gone.
    pub conflict: bool,
}

/// What a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There was nothing.
    Created,
    /// A file or link has other contents.
    Changed,
    /// Something of another kind is there.
    Replaced,
    /// Only mode, owner or times are others.
    Attributes,
    /// Nothing is there any more.
    Removed,
    /// A directory that cannot be looked into, or lies too deep.
    Closed,
}

/// The type bits of a mode.
pub fn kind(status: &FileStat) -> u32 {
    status.st_mode & libc::S_IFMT
}

/// Whether it is a whiteout.
pub(super) fn is_whiteout(status: &FileStat) -> bool {
    kind(status) == libc::S_IFCHR && status.st_rdev == 0
}

/// What a run has changed, in the order of names.
#[derive(Debug)]
pub struct Comparison {
    /// The changes.
    pub changes: Vec<Change>,
    /// Whether there are more than [`MOST`].
    pub cut: bool,
    /// The upper directory and the host's of each place, if it is still the one that it was.
    pub roots: Vec<(OwnedFd, Option<OwnedFd>)>,
}

/// Compares.
///
/// # Errors
/// The kept files cannot be read.
pub fn compare(kept: &Changes) -> Result<Comparison, String> {
    let mut found = Comparison { changes: Vec::new(), cut: false, roots: Vec::new() };
    for (number, place) in kept.record.places.iter().enumerate() {
        let failed = |e: Errno| format!("{}: {}", Path::new(&place.path).display(), e.desc());
        let upper = kept.upper(place).map_err(failed)?;
        let lower = host_directory(place);
        let walk = Walk { record: &kept.record, place: number, upper: &upper, lower: lower.as_ref() };
        walk.place_itself(place, &mut found).map_err(failed)?;
        let mut open = vec![PathBuf::new()];
        while let Some(way) = open.pop() {
            walk.directory(&way, &mut open, &mut found);
        }
        found.roots.push((upper, lower));
    }
    let by_name = |change: &Change| (change.place, change.way.clone());
    found.changes.sort_by_cached_key(by_name);
    Ok(found)
}

/// The directory of the host's that was overlaid, reached through no link; nothing if another is there now.
fn host_directory(place: &Place) -> Option<OwnedFd> {
    let path = CString::new(place.path.as_bytes()).ok()?;
    let held = find(AT_FDCWD, &path, false, ResolveFlag::RESOLVE_NO_SYMLINKS).ok()?;
    let status = fstat(&held).ok()?;
    (kind(&status) == libc::S_IFDIR && (status.st_dev, status.st_ino) == place.identity).then_some(held)
}

/// Bytes of a way, at most: it can be longer than what the kernel takes at once.
const LONGEST: usize = 64 << 10;
/// Names that are looked up at once, so that they are short enough.
const AT_ONCE: usize = 15;

/// A directory that is reached from another without leaving it and through no link.
pub(super) fn below(root: BorrowedFd<'_>, way: &Path) -> Result<OwnedFd, Errno> {
    let kept = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    let names: Vec<&OsStr> = way.iter().collect();
    if way.as_os_str().len() > LONGEST {
        return Err(Errno::ENAMETOOLONG);
    }
    let mut held = find(root, c".", false, kept)?;
    for part in names.chunks(AT_ONCE) {
        let part: PathBuf = part.iter().collect();
        let name = CString::new(part.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
        held = find(held.as_fd(), &name, false, kept)?;
    }
    if kind(&fstat(&held)?) == libc::S_IFDIR { Ok(held) } else { Err(Errno::ENOTDIR) }
}

/// The status of a name in a directory; nothing if it is not there.
pub(super) fn status(directory: BorrowedFd<'_>, name: &OsStr) -> Option<FileStat> {
    fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()
}

/// A regular file, to read.
pub(super) fn read(directory: BorrowedFd<'_>, name: &OsStr) -> Result<File, Errno> {
    let name = CString::new(name.as_bytes()).map_err(|_| Errno::EINVAL)?;
    let held = find(directory, &name, false, ResolveFlag::RESOLVE_NO_SYMLINKS)?;
    if kind(&fstat(&held)?) != libc::S_IFREG {
        return Err(Errno::EINVAL);
    }
    reopen(held.as_fd(), libc::O_RDONLY).map(File::from)
}

/// Whether it is marked so.
pub(super) fn marked(directory: BorrowedFd<'_>, name: &OsStr, mark: &CStr) -> bool {
    let Ok(name) = CString::new(name.as_bytes()) else { return false };
    let held = find(directory, &name, false, ResolveFlag::RESOLVE_NO_SYMLINKS);
    held.is_ok_and(|held| {
        let link = fstat(&held).is_ok_and(|status| kind(&status) == libc::S_IFLNK);
        !link && get_attribute(held.as_fd(), mark, 0).is_ok()
    })
}

/// One place.
struct Walk<'a> {
    record: &'a Record,
    place: usize,
    upper: &'a OwnedFd,
    lower: Option<&'a OwnedFd>,
}

impl Walk<'_> {
    /// Mode and owner of the place's own directory.
    fn place_itself(&self, place: &Place, found: &mut Comparison) -> Result<(), Errno> {
        let now = fstat(self.upper)?;
        let at_first = (place.mode.0 | 0o700) & 0o7777;
        let lower = self.lower.map(fstat).transpose()?;
        let there = lower.is_some_and(|lower| lower.st_mode == now.st_mode);
        if now.st_mode & 0o7777 != at_first && !there {
            let conflict = lower.is_none_or(|lower| lower.st_mode != place.mode.0);
            self.add(found, PathBuf::new(), Kind::Attributes, (Some(now), lower), conflict);
        }
        Ok(())
    }

    fn add(
        &self,
        found: &mut Comparison,
        way: PathBuf,
        kind: Kind,
        (upper, lower): (Option<FileStat>, Option<FileStat>),
        conflict: bool,
    ) {
        if found.changes.len() < MOST {
            found.changes.push(Change { place: self.place, way, kind, upper, lower, conflict });
        } else {
            found.cut = true;
        }
    }

    /// Looks at what is in a directory of the upper, and notes the directories in it.
    fn directory(&self, way: &Path, open: &mut Vec<PathBuf>, found: &mut Comparison) {
        let upper = below(self.upper.as_fd(), way).and_then(|held| reopen(held.as_fd(), libc::O_RDONLY));
        let Ok(upper) = upper else {
            return self.add(found, way.to_owned(), Kind::Closed, (None, None), false);
        };
        let lower = self.lower.and_then(|root| below(root.as_fd(), way).ok());
        let mut listed = names(upper.as_fd());
        listed.sort_unstable();
        let opaque = get_attribute(upper.as_fd(), OPAQUE, 0).is_ok();
        if let Some(lower) = lower.as_ref().filter(|_| opaque && !way.as_os_str().is_empty()) {
            let gone = names(lower.as_fd()).into_iter().filter(|name| listed.binary_search(name).is_err());
            for name in gone {
                let there = status(lower.as_fd(), &name);
                let later =
                    |there: &FileStat| self.is_later(there) || self.changed_within(&way.join(&name), there);
                let conflict = there.is_none_or(|there| later(&there));
                self.add(found, way.join(&name), Kind::Removed, (None, there), conflict);
            }
        }
        for name in listed {
            self.entry(way, (&upper, lower.as_ref(), opaque), &name, open, found);
        }
    }

    /// Looks at one name.
    fn entry(
        &self,
        way: &Path,
        (upper, lower, opaque): (&OwnedFd, Option<&OwnedFd>, bool),
        name: &OsString,
        open: &mut Vec<PathBuf>,
        found: &mut Comparison,
    ) {
        let Some(above) = status(upper.as_fd(), name) else { return };
        let there = lower.and_then(|lower| status(lower.as_fd(), name));
        let way = way.join(name);
        let later = there.is_some_and(|there| self.is_later(&there));
        if is_whiteout(&above) {
            if let Some(there) = there {
                let later = later || self.changed_within(&way, &there);
                self.add(found, way, Kind::Removed, (None, Some(there)), later);
            }
            return;
        }
        let is_dir = kind(&above) == libc::S_IFDIR;
        // A directory that shows the host's is never moved, and so must still be there.
        let gone = is_dir && there.is_none() && !opaque && marked(upper.as_fd(), name, ORIGIN);
        match there {
            None => self.add(found, way.clone(), Kind::Created, (Some(above), None), gone),
            Some(there) if kind(&there) != kind(&above) => {
                let later = later || self.changed_within(&way, &there);
                self.add(found, way.clone(), Kind::Replaced, (Some(above), Some(there)), later);
            }
            Some(there) => {
                let (upper, lower) = (upper.as_fd(), lower.map_or(upper.as_fd(), AsFd::as_fd));
                if !same_contents((upper, &above), (lower, &there), name) {
                    self.add(found, way.clone(), Kind::Changed, (Some(above), Some(there)), later);
                } else if !self.same_attributes(&above, &there) {
                    let conflict = later && !is_dir;
                    self.add(found, way.clone(), Kind::Attributes, (Some(above), Some(there)), conflict);
                }
            }
        }
        if is_dir && found.changes.len() < MOST {
            open.push(way);
        }
    }

    fn same_attributes(&self, above: &FileStat, there: &FileStat) -> bool {
        let times = kind(above) == libc::S_IFDIR
            || (above.st_mtime, above.st_mtime_nsec) == (there.st_mtime, there.st_mtime_nsec);
        let owners =
            !nix::unistd::geteuid().is_root() || (above.st_uid, above.st_gid) == (there.st_uid, there.st_gid);
        above.st_mode == there.st_mode && times && owners
    }

    /// Whether the host's has changed since the run began.
    fn is_later(&self, there: &FileStat) -> bool {
        (there.st_ctime, there.st_ctime_nsec) > self.record.since
    }

    /// The same of what is in a directory of the host's.
    fn changed_within(&self, way: &Path, there: &FileStat) -> bool {
        let Some(root) = self.lower.filter(|_| kind(there) == libc::S_IFDIR) else { return false };
        let (mut open, mut seen) = (vec![way.to_owned()], 0);
        while let Some(way) = open.pop() {
            let Ok(directory) = below(root.as_fd(), &way) else { return true };
            for name in names(directory.as_fd()) {
                seen += 1;
                let Some(there) = status(directory.as_fd(), &name) else { continue };
                if self.is_later(&there) || seen > MOST {
                    return true;
                }
                if kind(&there) == libc::S_IFDIR {
                    open.push(way.join(name));
                }
            }
        }
        false
    }
}

/// Whether two names of the same kind have the same contents.
fn same_contents(
    (upper, above): (BorrowedFd<'_>, &FileStat),
    (lower, there): (BorrowedFd<'_>, &FileStat),
    name: &OsStr,
) -> bool {
    match kind(above) {
        libc::S_IFLNK => readlinkat(upper, name).ok() == readlinkat(lower, name).ok(),
        libc::S_IFREG => {
            let opened = || Some((read(upper, name).ok()?, read(lower, name).ok()?));
            above.st_size == there.st_size && opened().is_some_and(|(a, b)| same_bytes(a, b))
        }
        _ => true,
    }
}

fn same_bytes(mut a: File, mut b: File) -> bool {
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let Ok(n) = a.read(&mut left) else { return false };
        if n == 0 {
            return b.read(&mut right).is_ok_and(|n| n == 0);
        }
        if b.read_exact(&mut right[..n]).is_err() || left[..n] != right[..n] {
            return false;
        }
    }
}

impl Change {
    /// Its name on the host.
    pub fn path(&self, record: &Record) -> Vec<u8> {
        let place = record.places.get(self.place).map(|place| Path::new(&place.path));
        let path = place.map_or_else(|| self.way.clone(), |place| place.join(&self.way));
        let mut path = path.into_os_string().into_vec();
        if path.len() > 1 && path.ends_with(b"/") {
            path.pop();
        }
        path
    }

    /// Its directory in the place and its name there; none of the place itself.
    pub(super) fn split(&self) -> Option<(&Path, &OsStr)> {
        Some((self.way.parent()?, self.way.file_name()?))
    }
}

//! Doing on the host what a run has done in its overlays.
//!
//! Each change is made in a directory that is held, reached from the place without leaving it and through no
//! link, and by the name in that alone. A file or link is made beside its name and renamed there, so whoever
//! looks finds the old one or the new one whole. Nothing is done if one of the changes that are meant is in
//! conflict with what the host did since; and right before each, the host must have there what it had when it
//! was compared.
//!
//! What is applied goes from the kept files, so that what is left there is what is left to apply. Directories
//! get their mode last: it may be one that keeps everybody out.

use super::compare::{Change, Comparison, Kind, OPAQUE, below, compare, kind, marked, status};
use super::like;
use super::store::Changes;
use crate::host::name::{remove_attribute, reopen_name};
use crate::host::removal::{empty, names};
use crate::report::escape::shown;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, renameat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmodat, fstat, mkdirat, mknodat};
use nix::unistd::{Gid, LinkatFlags, Uid, UnlinkatFlags, fchownat, geteuid, linkat, unlinkat};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What has been done.
#[derive(Debug, Default)]
pub struct Applied {
    /// How many changes.
    pub count: usize,
    /// What was left out, and why.
    pub left: Vec<String>,
}

/// Why nothing was done, or what could not be.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The kept files cannot be read.
    #[error("{0}")]
    Kept(String),
    /// There is no change at a name.
    #[error("{0}: the run has changed nothing there")]
    Nothing(String),
    /// The host has changed the same.
    #[error(
        "nothing is applied, since the host's files have changed since the run began:\n{0}\
             `--force` applies all the same; to leave them out, name what to apply"
    )]
    Conflict(String),
    /// A change that the run was not allowed to make.
    #[error("{0}: the profile of the run did not let it change this")]
    NotAllowed(String),
    /// The host fails.
    #[error("{0}: {why}; what is not applied is still kept", why = .1.desc())]
    Host(String, Errno),
}

/// Applies the changes at and below these absolute names, or all of them; with `force` also those that are in
/// conflict with what the host did since.
///
/// # Errors
/// See there; but for [`ApplyError::Host`] nothing has been done.
pub fn apply(kept: &Changes, paths: &[PathBuf], force: bool) -> Result<Applied, ApplyError> {
    uncover(kept).map_err(ApplyError::Kept)?;
    let compared = compare(kept).map_err(ApplyError::Kept)?;
    let meant = |change: &&Change| {
        let name = change.path(&kept.record);
        paths.is_empty() || paths.iter().any(|path| Path::new(OsStr::from_bytes(&name)).starts_with(path))
    };
    let chosen: Vec<&Change> = compared.changes.iter().filter(meant).collect();
    for path in paths {
        let at =
            |change: &&Change| Path::new(OsStr::from_bytes(&change.path(&kept.record))).starts_with(path);
        if !chosen.iter().any(at) {
            return Err(ApplyError::Nothing(shown(path.as_os_str().as_bytes())));
        }
    }
    let told = |change: &Change| shown(&change.path(&kept.record));
    let allowed = |change: &Change| {
        let name = change.path(&kept.record);
        let name = Path::new(OsStr::from_bytes(&name));
        kept.record.writable.iter().any(|tree| name.starts_with(tree))
    };
    if let Some(change) = chosen.iter().find(|change| !allowed(change)) {
        return Err(ApplyError::NotAllowed(told(change)));
    }
    let conflicts = chosen.iter().filter(|change| change.conflict && !force);
    let conflicts: String = conflicts.map(|change| format!("  {}\n", told(change))).collect();
    if !conflicts.is_empty() {
        return Err(ApplyError::Conflict(conflicts));
    }
    let (links, modes, opened) = (HashMap::new(), Vec::new(), Vec::new());
    let mut work = Work { compared: &compared, links, modes, opened, force };
    let mut done = Applied::default();
    for change in &chosen {
        match work.one(change) {
            Ok(None) => done.count += 1,
            Ok(Some(why)) => done.left.push(format!("{}: {why}", told(change))),
            Err(e) => return Err(ApplyError::Host(told(change), e)),
        }
    }
    work.finish().map_err(|(way, e)| ApplyError::Host(shown(way.as_os_str().as_bytes()), e))?;
    Ok(done)
}

/// Says by whiteouts what opaque directories say by their mark, so that some of what is in them can be
/// applied and the rest is left as it was.
fn uncover(kept: &Changes) -> Result<(), String> {
    let compared = compare(kept)?;
    let mut of_opaque = Vec::new();
    for change in compared.changes.iter().filter(|change| change.kind == Kind::Removed) {
        let Some((upper, name)) = held(&compared, change) else { continue };
        if status(upper.as_fd(), name).is_none() {
            let mode = Mode::S_IRUSR | Mode::S_IWUSR;
            let made = mknodat(&upper, name, SFlag::S_IFCHR, mode, 0);
            made.map_err(|e| format!("{}: {}", shown(&change.path(&kept.record)), e.desc()))?;
            of_opaque.push(upper);
        }
    }
    of_opaque.iter().for_each(|upper| _ = remove_attribute(upper.as_fd(), OPAQUE));
    Ok(())
}

/// The upper directory in which a change is, and its name there.
fn held<'c>(compared: &Comparison, change: &'c Change) -> Option<(OwnedFd, &'c OsStr)> {
    let (directory, name) = change.split()?;
    let (upper, _) = compared.roots.get(change.place)?;
    Some((below(upper.as_fd(), directory).ok()?, name))
}

/// The changes being made.
struct Work<'a> {
    compared: &'a Comparison,
    /// Where the files have been put that have several names in the upper directory, by device and number.
    links: HashMap<(u64, u64), (usize, PathBuf)>,
    /// Directories that get their mode last.
    modes: Vec<(usize, PathBuf, FileStat)>,
    /// Directories of the upper that could not be written, with their modes.
    opened: Vec<(usize, PathBuf, u32)>,
    force: bool,
}

/// A name on the host, and its like in the upper directory.
struct Spot<'a> {
    lower: OwnedFd,
    upper: OwnedFd,
    name: &'a OsStr,
}

impl Work<'_> {
    fn roots(&self, place: usize) -> Result<(BorrowedFd<'_>, BorrowedFd<'_>), Errno> {
        let (upper, lower) = self.compared.roots.get(place).ok_or(Errno::ENOENT)?;
        Ok((upper.as_fd(), lower.as_ref().ok_or(Errno::ESTALE)?.as_fd()))
    }

    /// Makes one change; why it is left out, if it is.
    fn one(&mut self, change: &Change) -> Result<Option<&'static str>, Errno> {
        if change.kind == Kind::Closed {
            return Ok(Some("it cannot be looked into"));
        }
        let Some((directory, name)) = change.split() else {
            self.modes.extend(change.upper.map(|upper| (change.place, PathBuf::new(), upper)));
            return Ok(None);
        };
        self.way_to(change.place, directory)?;
        let (upper, lower) = self.roots(change.place)?;
        let spot = Spot { lower: below(lower, directory)?, upper: below(upper, directory)?, name };
        let now = status(spot.lower.as_fd(), name);
        let seen = |status: Option<FileStat>| {
            status.map(|s| (s.st_dev, s.st_ino, s.st_ctime, s.st_ctime_nsec, s.st_mode))
        };
        // Directories change by what is made in them here.
        let merged = |status: Option<FileStat>| status.is_some_and(|s| kind(&s) == libc::S_IFDIR);
        if !self.force && seen(now) != seen(change.lower) && !(merged(now) && change.kind != Kind::Removed) {
            return Err(Errno::EBUSY);
        }
        let Some(above) = change.upper else {
            remove(&spot)?;
            self.drop_kept(&spot, (change.place, directory))?;
            return Ok(None);
        };
        match kind(&above) {
            libc::S_IFDIR => {
                if now.is_some_and(|now| kind(&now) != libc::S_IFDIR) {
                    remove(&spot)?;
                }
                self.make_directory(&spot, (change.place, &change.way))?;
                self.modes.push((change.place, change.way.clone(), above));
                return Ok(None);
            }
            libc::S_IFSOCK => return Ok(Some("a socket is not applied")),
            libc::S_IFCHR | libc::S_IFBLK => return Ok(Some("a device is not applied")),
            _ => {}
        }
        let temporary = self.make(&spot, &above)?;
        let placed = self.place(&spot, &temporary, now.as_ref());
        if placed.is_err() {
            let _ = unlinkat(&spot.lower, temporary.as_os_str(), UnlinkatFlags::NoRemoveDir);
        }
        placed?;
        if above.st_nlink > 1 {
            self.links.insert((above.st_dev, above.st_ino), (change.place, change.way.clone()));
        }
        self.drop_kept(&spot, (change.place, directory))?;
        Ok(None)
    }

    /// What is applied is kept no longer.
    fn drop_kept(&mut self, spot: &Spot<'_>, at: (usize, &Path)) -> Result<(), Errno> {
        let upper = spot.upper.as_fd();
        self.opening(upper, at, || unlinkat(upper, spot.name, UnlinkatFlags::NoRemoveDir))
    }

    /// Makes a directory, if it is not there. What is not in it any more is removed by name from now on.
    fn make_directory(&mut self, spot: &Spot<'_>, at: (usize, &Path)) -> Result<(), Errno> {
        match mkdirat(&spot.lower, spot.name, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(e) => return Err(e),
        }
        if marked(spot.upper.as_fd(), spot.name, OPAQUE) {
            let kept = below(spot.upper.as_fd(), Path::new(spot.name))?;
            self.opening(kept.as_fd(), at, || remove_attribute(kept.as_fd(), OPAQUE))?;
        }
        Ok(())
    }

    /// Changes something in a directory of the upper, which the run may have left so that nobody can.
    fn opening(
        &mut self,
        directory: BorrowedFd<'_>,
        (place, way): (usize, &Path),
        act: impl Fn() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        match act() {
            Err(Errno::EACCES) => {
                let mode = fstat(directory)?.st_mode;
                self.opened.push((place, way.to_owned(), mode));
                change_mode(directory, mode | 0o700)?;
                act()
            }
            done => done,
        }
    }

    /// Makes the directories that the run has made on the way to one, if they are not there: something in
    /// them alone is applied.
    fn way_to(&mut self, place: usize, directory: &Path) -> Result<(), Errno> {
        let mut ways: Vec<&Path> = directory.ancestors().filter(|way| !way.as_os_str().is_empty()).collect();
        ways.reverse();
        for way in ways {
            let (upper, lower) = self.roots(place)?;
            let (Some(parent), Some(name)) = (way.parent(), way.file_name()) else { continue };
            let spot = Spot { lower: below(lower, parent)?, upper: below(upper, parent)?, name };
            if status(spot.lower.as_fd(), name).is_none() {
                let above = status(spot.upper.as_fd(), name).ok_or(Errno::ENOENT)?;
                self.make_directory(&spot, (place, way))?;
                self.modes.push((place, way.to_owned(), above));
            }
        }
        Ok(())
    }

    /// Makes a file that is like the one in the upper directory, by another name.
    fn make(&self, spot: &Spot<'_>, above: &FileStat) -> Result<OsString, Errno> {
        let again = self.links.get(&(above.st_dev, above.st_ino)).filter(|_| above.st_nlink > 1);
        loop {
            let name = like::unfinished()?;
            let (directory, temporary) = (spot.lower.as_fd(), name.as_os_str());
            let from = (spot.upper.as_fd(), spot.name);
            let made = match (again, kind(above)) {
                (Some((place, way)), _) => {
                    let (_, root) = self.roots(*place)?;
                    let (Some(parent), Some(leaf)) = (way.parent(), way.file_name()) else {
                        return Err(Errno::ENOENT);
                    };
                    linkat(&below(root, parent)?, leaf, directory, temporary, LinkatFlags::empty())
                }
                (None, libc::S_IFREG) => like::file(from, (directory, temporary), above),
                (None, _) => like::link_or_fifo(from, (directory, temporary), above),
            };
            match made {
                Err(Errno::EEXIST) => continue,
                Err(e) => {
                    let _ = unlinkat(directory, temporary, UnlinkatFlags::NoRemoveDir);
                    return Err(e);
                }
                Ok(()) => return Ok(name),
            }
        }
    }

    /// Gives it its name.
    fn place(&self, spot: &Spot<'_>, temporary: &OsStr, now: Option<&FileStat>) -> Result<(), Errno> {
        if now.is_some_and(|now| kind(now) == libc::S_IFDIR) {
            remove(spot)?;
        }
        renameat(&spot.lower, temporary, &spot.lower, spot.name)
    }

    /// Gives the directories their modes, and lets those of the upper go in which nothing is left.
    fn finish(self) -> Result<(), (PathBuf, Errno)> {
        for (place, way, above) in self.modes.iter().rev() {
            let done = self.roots(*place).and_then(|(upper, lower)| {
                let directory = below(lower, way)?;
                if geteuid().is_root() {
                    let (user, group) = (Uid::from_raw(above.st_uid), Gid::from_raw(above.st_gid));
                    let name = reopen_name(directory.as_fd());
                    fchownat(AT_FDCWD, name.absolute(), Some(user), Some(group), AtFlags::empty())?;
                }
                like::attributes(below(upper, way)?.as_fd(), directory.as_fd())?;
                change_mode(directory.as_fd(), above.st_mode & !libc::S_ISUID)
            });
            done.map_err(|e| (way.clone(), e))?;
        }
        let mut ways: Vec<_> = self.modes.iter().map(|(place, way, _)| (*place, way.clone())).collect();
        let parents =
            self.compared.changes.iter().filter_map(|change| Some((change.place, change.split()?.0)));
        ways.extend(parents.flat_map(|(place, way)| way.ancestors().map(move |way| (place, way.to_owned()))));
        ways.sort_unstable();
        ways.dedup();
        for (place, way) in ways.iter().rev() {
            self.forget(*place, way);
        }
        for (place, way, mode) in &self.opened {
            let left = self.roots(*place).and_then(|(upper, _)| below(upper, way));
            // One that is gone needs no mode.
            let _ = left.and_then(|left| change_mode(left.as_fd(), *mode));
        }
        Ok(())
    }

    /// Removes a directory of the upper that says nothing any more.
    fn forget(&self, place: usize, way: &Path) {
        let (Some(parent), Some(name)) = (way.parent(), way.file_name()) else { return };
        let Ok((upper, _)) = self.roots(place) else { return };
        let Ok(parent) = below(upper, parent) else { return };
        if below(parent.as_fd(), Path::new(name)).is_ok_and(|directory| names(directory.as_fd()).is_empty()) {
            let _ = unlinkat(&parent, name, UnlinkatFlags::RemoveDir);
        }
    }
}

fn change_mode(held: BorrowedFd<'_>, mode: u32) -> Result<(), Errno> {
    let mode = Mode::from_bits_truncate(mode);
    fchmodat(AT_FDCWD, reopen_name(held).absolute(), mode, FchmodatFlags::FollowSymlink)
}

/// Removes what the host has there.
fn remove(spot: &Spot<'_>) -> Result<(), Errno> {
    match unlinkat(&spot.lower, spot.name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::EISDIR | Errno::EPERM) => {
            empty(below(spot.lower.as_fd(), Path::new(spot.name))?.as_fd());
            unlinkat(&spot.lower, spot.name, UnlinkatFlags::RemoveDir)
        }
        Err(Errno::ENOENT) => Ok(()),
        done => done,
    }
}

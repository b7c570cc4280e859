//! Kept translations, on the supervisor's side: which code of which files a run has mapped, what of it is
//! kept already, and what the run suggests to keep.
//!
//! A child says where it has mapped code of a file that it was given, and gets the kept translation of that
//! code, whose seal was checked and whose origin is this very file: by its stamp, or by its contents. It also
//! says at which points it had to translate. That is anybody's word, so it is bounded, and only handed on, at
//! the end of the run, to a [keeper](rxbox_wire::kept::ROLE), which translates from the files.

pub mod contents;
pub mod folder;

use crate::host::parcel;
use crate::host::sealed;
use folder::Folder;
use nix::errno::Errno;
use rxbox_wire::kept::secret::contents;
use rxbox_wire::kept::suggestion::{self, Suggestion, points_of};
use rxbox_wire::kept::{Header, Mapping, Point, Stamp};
use rxbox_wire::sizes::PAGE;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Files that a run tells of, at most.
const MOST_FILES: usize = 256;
/// Mappings of them: as many as go into one parcel.
const MOST: usize = 250;
/// Points of all mappings.
const MOST_POINTS: usize = 1 << 21;
/// Longest code whose contents are compared.
const LONGEST: u64 = 256 << 20;

/// The kept translations that a run uses, and what it suggests.
#[derive(Debug)]
pub struct Translations {
    folder: Folder,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    files: Vec<Arc<Offered>>,
    mappings: Vec<Mapped>,
    points: usize,
}

/// A program file that a child was given to map or execute.
#[derive(Debug)]
struct Offered {
    file: File,
    path: Vec<u8>,
    stamp: Stamp,
}

/// Code that a child has mapped.
#[derive(Debug)]
struct Mapped {
    file: Arc<Offered>,
    mapping: Mapping,
    /// What is kept of it, as it was when it was first asked for.
    kept: Option<Arc<File>>,
    points: Vec<Point>,
}

impl Translations {
    /// With the files of this folder.
    pub fn new(folder: Folder) -> Translations {
        Translations { folder, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// A child is given a file whose code it may map.
    pub fn offer(&self, file: BorrowedFd<'_>, path: &[u8]) {
        let offered = || -> io::Result<Offered> {
            let file = File::from(file.try_clone_to_owned()?);
            let stamp = stamp(&file)?;
            Ok(Offered { file, path: path.to_vec(), stamp })
        };
        let mut known = self.known();
        if known.files.len() < MOST_FILES
            && let Ok(offered) = offered()
            && !known.files.iter().any(|other| other.stamp == offered.stamp && other.path == offered.path)
        {
            known.files.push(Arc::new(offered));
        }
    }

    /// A child has mapped code of the file with this device and inode: the mapping's number, and the kept
    /// translation of it if there is one.
    ///
    /// # Errors
    /// ENOENT for a file that no child was given; ENOSPC if there are enough.
    pub fn code(&self, (dev, ino): (u64, u64), mapping: Mapping) -> Result<(u32, Option<Arc<File>>), Errno> {
        let file = {
            let known = self.known();
            let of_file = |offered: &&Arc<Offered>| (offered.stamp.dev, offered.stamp.ino) == (dev, ino);
            let file = known.files.iter().rfind(of_file).cloned().ok_or(Errno::ENOENT)?;
            if let Some(found) = known.find(&file, &mapping) {
                return Ok(found);
            }
            file
        };
        // It may take a while, and nobody waits for the lock meanwhile.
        let kept = self.kept(&file, &mapping).map(Arc::new);
        let mut known = self.known();
        if let Some(found) = known.find(&file, &mapping) {
            return Ok(found);
        }
        if known.mappings.len() == MOST {
            return Err(Errno::ENOSPC);
        }
        known.mappings.push(Mapped { file, mapping, kept: kept.clone(), points: Vec::new() });
        Ok((known.mappings.len() as u32 - 1, kept))
    }

    /// What is kept of this mapping of a file.
    fn kept(&self, offered: &Offered, mapping: &Mapping) -> Option<File> {
        let name = self.folder.secret().name(&offered.path, offered.stamp.size, mapping);
        let (file, header) = self.folder.find(&name)?;
        (header.mapping == *mapping && is_of(&header, offered)).then_some(file)
    }

    /// Takes what a child has translated: numbers of mappings, each with how many points follow.
    pub fn suggest(&self, mut bytes: &[u8]) {
        let mut known = self.known();
        while let Some((head, rest)) = bytes.split_first_chunk::<8>() {
            let [number, count] = [0, 4].map(|at| u32::from_le_bytes(std::array::from_fn(|i| head[at + i])));
            let Some((points, rest)) = rest.split_at_checked(count as usize * 4) else { return };
            bytes = rest;
            let room = MOST_POINTS.saturating_sub(known.points);
            let Some(mapped) = known.mappings.get_mut(number as usize) else { continue };
            let before = mapped.points.len();
            mapped.points.extend(points_of(points).take(room));
            known.points += known.mappings[number as usize].points.len() - before;
        }
    }

    /// Hands on what was suggested.
    ///
    /// # Errors
    /// As memfd_create(2), write(2) and sendmsg(2).
    pub fn hand_on(&self, to: BorrowedFd<'_>) -> Result<(), Errno> {
        let known = self.known();
        let suggested: Vec<_> = known.mappings.iter().filter(|mapped| !mapped.points.is_empty()).collect();
        if suggested.is_empty() {
            return Ok(());
        }
        let list: Vec<_> = suggested
            .iter()
            .map(|mapped| Suggestion {
                path: mapped.file.path.clone(),
                mapping: mapped.mapping,
                points: mapped.points.clone(),
            })
            .collect();
        let text: OwnedFd = sealed::unsealed(c"suggestions")?;
        sealed::append(&text, &suggestion::encode(&list))?;
        nix::unistd::lseek(&text, 0, nix::unistd::Whence::SeekSet)?;
        let files = suggested.iter().map(|mapped| mapped.file.file.as_fd());
        let all: Vec<_> = [text.as_fd()].into_iter().chain(files).collect();
        parcel::send_all(to, &[0], &all)
    }
}

impl Known {
    fn find(&self, file: &Arc<Offered>, mapping: &Mapping) -> Option<(u32, Option<Arc<File>>)> {
        let same = |mapped: &Mapped| Arc::ptr_eq(&mapped.file, file) && mapped.mapping == *mapping;
        let at = self.mappings.iter().position(same)?;
        Some((at as u32, self.mappings[at].kept.clone()))
    }
}

/// Whether a kept translation was made from this file, as it is now.
fn is_of(header: &Header, offered: &Offered) -> bool {
    let Ok(now) = stamp(&offered.file) else { return false };
    if header.stamp == now {
        return true;
    }
    let Mapping { len, offset, .. } = header.mapping;
    if len > LONGEST || now.size != header.stamp.size {
        return false;
    }
    let mut code = vec![0; len as usize];
    let end = now.size.saturating_sub(offset).min(len) as usize;
    // What lies beyond the end of the file, in its last page, is zero.
    len.is_multiple_of(PAGE)
        && offered.file.read_exact_at(&mut code[..end], offset).is_ok()
        && contents(&code) == header.contents
}

fn stamp(file: &File) -> io::Result<Stamp> {
    let data = file.metadata()?;
    if !data.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let time = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    Ok(Stamp {
        dev: data.dev(),
        ino: data.ino(),
        size: data.len(),
        modified: time(data.mtime(), data.mtime_nsec()),
        changed: time(data.ctime(), data.ctime_nsec()),
    })
}

//! The files of the cache.
//!
//! A file is written under a name that nobody looks for and renamed when it is whole, so whoever opens one by
//! its name has the old file or the new one. Nothing is followed and nothing is looked for outside.

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use rxbox_wire::kept::secret::{EXTENSION, SECRET, Secret, is_sealed};
use rxbox_wire::kept::{HEAD, Header, SECRET_FILE};
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::fd::AsFd;

/// Most bytes of the whole cache; beyond, what was not used for the longest time goes.
const MOST: u64 = 1 << 30;
/// Most bytes of one file.
const LARGEST: u64 = 512 << 20;
/// Name of a file that is not whole.
const UNFINISHED: &str = "unfinished";

/// The cache's folder, in which one keeper works.
#[derive(Debug)]
pub(super) struct Folder<'a> {
    at: &'a File,
    pub(super) secret: Secret,
}

impl<'a> Folder<'a> {
    /// The folder behind this descriptor.
    ///
    /// # Errors
    /// It has no secret.
    pub(super) fn open(at: &'a File) -> io::Result<Folder<'a>> {
        let mut secret = [0; SECRET];
        open(at, SECRET_FILE, OFlag::O_RDONLY)?.read_exact(&mut secret)?;
        Ok(Folder { at, secret: Secret::new(secret) })
    }

    /// The whole file with this name, if it has the user's seal.
    pub(super) fn read(&self, name: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        open(self.at, name, OFlag::O_RDONLY).ok()?.take(LARGEST).read_to_end(&mut bytes).ok()?;
        is_sealed(&self.secret, &bytes).then_some(bytes)
    }

    /// Puts a file in its place.
    ///
    /// # Errors
    /// As open(2), write(2), rename(2).
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let _ = unlinkat(self.at, UNFINISHED, UnlinkatFlags::NoRemoveDir);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let written = open(self.at, UNFINISHED, flags).and_then(|mut file| file.write_all(bytes));
        let renamed = written.and_then(|()| Ok(renameat(self.at, UNFINISHED, self.at, name)?));
        if renamed.is_err() {
            let _ = unlinkat(self.at, UNFINISHED, UnlinkatFlags::NoRemoveDir);
        }
        renamed
    }

    /// The places in memory that files take, but for the one with this name; ascending.
    pub(super) fn places(&self, but: &str) -> Vec<Range<u64>> {
        let mut places = Vec::new();
        for (name, _) in self.files().unwrap_or_default().iter().filter(|(name, _)| name != but) {
            let mut page = [0; HEAD];
            let read = open(self.at, name, OFlag::O_RDONLY).and_then(|mut file| file.read_exact(&mut page));
            places.extend(read.ok().and_then(|()| Header::decode(&page)).map(|header| header.place()));
        }
        places.sort_unstable_by_key(|place| place.start);
        places
    }

    /// Removes what was not used for the longest time, until the rest is as small as it has to be.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(super) fn evict(&self) -> io::Result<()> {
        let mut files = self.files()?;
        files.sort_unstable_by_key(|(_, stat)| stat.st_atime.max(stat.st_mtime));
        let mut total: u64 = files.iter().map(|(_, stat)| stat.st_size as u64).sum();
        for (name, stat) in files {
            if total <= MOST {
                break;
            }
            unlinkat(self.at, name.as_str(), UnlinkatFlags::NoRemoveDir)?;
            total -= stat.st_size as u64;
        }
        Ok(())
    }

    /// The kept translations.
    fn files(&self) -> io::Result<Vec<(String, FileStat)>> {
        let mut dir = Dir::openat(
            self.at,
            ".",
            OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )?;
        let names =
            dir.iter().flatten().filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
        let names: Vec<String> = names.filter(|name| name.ends_with(EXTENSION)).collect();
        let stat = |name: &String| fstatat(self.at, name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW);
        Ok(names.into_iter().filter_map(|name| stat(&name).ok().map(|stat| (name, stat))).collect())
    }
}

fn open(at: impl AsFd, name: &str, flags: OFlag) -> io::Result<File> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file =
        openat(at, name, flags, Mode::S_IRUSR | Mode::S_IWUSR).map_err(|e: Errno| io::Error::from(e))?;
    Ok(File::from(file))
}

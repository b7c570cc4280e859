//! What is kept, for people.

use super::folder::{self, Folder};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use rxbox_wire::kept::Tables;
use rxbox_wire::kept::secret::EXTENSION;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, OwnedFd};

/// A kept translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path of the program file, as it was when it was mapped.
    pub path: Vec<u8>,
    /// Bytes of the file that keeps it.
    pub size: u64,
    /// Bytes of host code.
    pub code: u64,
    /// How many places of the program's code it can be entered at.
    pub entries: usize,
}

/// What is kept and whole, by path; and how many files are neither.
///
/// # Errors
/// The folder cannot be read.
pub fn list(folder: &Folder) -> Result<(Vec<Entry>, usize), Errno> {
    let (mut all, mut broken) = (Vec::new(), 0);
    for name in names(folder)? {
        match entry(folder, &name) {
            Some(entry) => all.push(entry),
            None => broken += 1,
        }
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((all, broken))
}

fn entry(folder: &Folder, name: &str) -> Option<Entry> {
    let (mut file, header) = folder.find(name)?;
    let mut bytes = Vec::new();
    file.rewind().ok()?;
    file.read_to_end(&mut bytes).ok()?;
    let tables = Tables::of(&header, &bytes);
    let [hot, cold, _] = &header.parts;
    Some(Entry {
        path: tables.name.to_vec(),
        size: bytes.len() as u64,
        code: hot.len + cold.len,
        entries: tables.entries.len(),
    })
}

/// Removes all that is kept; how many files that were. Runs that use them go on.
///
/// # Errors
/// The folder cannot be read or written.
pub fn purge(folder: &Folder) -> Result<usize, Errno> {
    // Nobody writes a file meanwhile.
    let own: OwnedFd = folder::reopened(folder)?;
    let _lock = Flock::lock(own, FlockArg::LockExclusive).map_err(|(_, e)| e)?;
    let names = names(folder)?;
    for name in &names {
        unlinkat(folder.as_fd(), name.as_str(), UnlinkatFlags::NoRemoveDir)?;
    }
    Ok(names.len())
}

fn names(folder: &Folder) -> Result<Vec<String>, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut dir = Dir::openat(folder.as_fd(), ".", flags, Mode::empty())?;
    let names = dir.iter().flatten().filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
    Ok(names.filter(|name| name.ends_with(EXTENSION)).collect())
}

//! What loading needs to know of the host's files, asked through a trait: this crate does no I/O.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::pattern::path::components;
use crate::pattern::variables::os;

/// The host's files, as far as loading a profile looks at them.
pub trait Files {
    /// The whole text of a file.
    ///
    /// # Errors
    /// What the host says, and `InvalidData` if it is no UTF-8.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// Whether a name exists, be it a dangling symbolic link (lstat(2) succeeds).
    fn exists(&self, path: &Path) -> bool;

    /// The target of a symbolic link as it is written (readlink(2)); `None` if the name is no symbolic link.
    fn read_link(&self, path: &Path) -> Option<PathBuf>;

    /// The kind of file system that a directory lies in, if names in it have more than one spelling (upper
    /// and lower case, short names).
    fn spells_freely(&self, directory: &Path) -> Option<&'static str>;

    /// The names of the directories and symbolic links in a directory; none if it cannot be listed.
    fn directories_and_links(&self, directory: &Path) -> Vec<OsString>;

    /// The folders in which [`Files::lookup_profile`] looks.
    fn profile_folders(&self) -> Vec<PathBuf>;

    /// A profile by its bare name, from folders that only root or the user can write; never from the working
    /// directory. Gives the file and its text.
    fn lookup_profile(&self, name: &str) -> Option<(PathBuf, String)>;
}

/// What is known already of links and directories, so that each is looked at once: the entries of a profile
/// have most of their ways in common.
pub(crate) struct Remembered<'a> {
    files: &'a dyn Files,
    links: RefCell<HashMap<PathBuf, Option<PathBuf>>>,
    listings: RefCell<HashMap<PathBuf, Vec<OsString>>>,
}

impl<'a> Remembered<'a> {
    pub(crate) fn new(files: &'a dyn Files) -> Self {
        Self { files, links: RefCell::default(), listings: RefCell::default() }
    }
}

impl Files for Remembered<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.files.read(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.exists(path)
    }

    fn read_link(&self, path: &Path) -> Option<PathBuf> {
        if let Some(known) = self.links.borrow().get(path) {
            return known.clone();
        }
        let link = self.files.read_link(path);
        self.links.borrow_mut().insert(path.into(), link.clone());
        link
    }

    fn directories_and_links(&self, directory: &Path) -> Vec<OsString> {
        if let Some(known) = self.listings.borrow().get(directory) {
            return known.clone();
        }
        let listing = self.files.directories_and_links(directory);
        self.listings.borrow_mut().insert(directory.into(), listing.clone());
        listing
    }

    fn spells_freely(&self, directory: &Path) -> Option<&'static str> {
        self.files.spells_freely(directory)
    }

    fn profile_folders(&self) -> Vec<PathBuf> {
        self.files.profile_folders()
    }

    fn lookup_profile(&self, name: &str) -> Option<(PathBuf, String)> {
        self.files.lookup_profile(name)
    }
}

/// Where an absolute path leads, and the links on the way, each by the resolved name of its own; `None` if
/// they do not end. Links below `/proc` are not followed: they speak about whoever asks.
pub fn followed(path: &Path, files: &dyn Files) -> Option<(PathBuf, Vec<PathBuf>)> {
    let links = RefCell::new(Vec::new());
    let note = |link: &Path| {
        links.borrow_mut().push(link.to_path_buf());
        true
    };
    let names = resolve(components(path.as_os_str().as_encoded_bytes()), files, &note)?;
    Some((path_of(names.iter().map(Vec::as_slice)), links.into_inner()))
}

/// As many links as the kernel follows in one path (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// The absolute path of names.
pub(crate) fn path_of<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> PathBuf {
    let mut path = PathBuf::from("/");
    path.extend(names.into_iter().map(os));
    path
}

/// The names with every symbolic link on the way followed that `follow` (given the link's own resolved path)
/// agrees to; `None` if the links do not end.
///
/// Links below `/proc` are never followed: they speak about whoever asks, and the supervisor's answer would
/// be about the supervisor.
pub(crate) fn resolve<'a>(
    names: impl Iterator<Item = &'a [u8]>,
    files: &dyn Files,
    follow: &dyn Fn(&Path) -> bool,
) -> Option<Vec<Vec<u8>>> {
    let mut pending: VecDeque<Vec<u8>> = names.map(<[u8]>::to_vec).collect();
    let mut done: Vec<Vec<u8>> = Vec::new();
    let mut links = 0;
    while let Some(name) = pending.pop_front() {
        match &name[..] {
            b"." => continue,
            b".." => {
                done.pop();
                continue;
            }
            _ => done.push(name),
        }
        if done[0] == b"proc" {
            continue;
        }
        let path = path_of(done.iter().map(Vec::as_slice));
        let Some(target) = files.read_link(&path).filter(|_| follow(&path)) else { continue };
        links += 1;
        if links > MAX_LINKS {
            return None;
        }
        done.pop();
        let target = target.as_os_str().as_encoded_bytes();
        if target.starts_with(b"/") {
            done.clear();
        }
        for name in components(target).collect::<Vec<_>>().into_iter().rev() {
            pending.push_front(name.to_vec());
        }
    }
    Some(done)
}

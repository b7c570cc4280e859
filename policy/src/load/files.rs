//! What loading needs to know of the host's files, asked through a trait: this crate does no I/O.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
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

    /// What a name is, not followed (readlink(2)).
    fn named(&self, path: &Path) -> Named;

    /// The kind of file system that a directory lies in, if names in it have more than one spelling (upper
    /// and lower case, short names).
    fn spells_freely(&self, directory: &Path) -> Option<&'static str>;

    /// The names of the directories and symbolic links in a directory; none if it cannot be listed.
    fn directories_and_links(&self, directory: &Path) -> Vec<OsString>;

    /// The names on which something is mounted, of what is mounted last on each.
    fn mount_points(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// The folders in which [`Files::lookup_profile`] looks.
    fn profile_folders(&self) -> Vec<PathBuf>;

    /// A profile by its bare name, from folders that only root or the user can write; never from the working
    /// directory. Gives the file and its text.
    fn lookup_profile(&self, name: &str) -> Option<(PathBuf, String)>;
}

/// What a name is, as far as a way leads through it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// There is nothing, and so nothing below it either.
    Missing,
    /// A symbolic link, with its text.
    Link(PathBuf),
    /// Something else, or what the host does not tell.
    Other,
}

/// What is known already of names and directories, so that each is looked at once: the entries of a profile
/// have most of their ways in common. By their bytes: to compare and to hash a [`Path`] is slow.
pub(crate) struct Remembered<'a> {
    files: &'a dyn Files,
    names: RefCell<HashMap<OsString, Named>>,
    listings: RefCell<HashMap<OsString, Vec<OsString>>>,
    spellings: RefCell<HashMap<OsString, Option<&'static str>>>,
}

impl<'a> Remembered<'a> {
    pub(crate) fn new(files: &'a dyn Files) -> Self {
        Self { files, names: RefCell::default(), listings: RefCell::default(), spellings: RefCell::default() }
    }
}

impl Files for Remembered<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.files.read(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.exists(path)
    }

    fn named(&self, path: &Path) -> Named {
        remembered(&self.names, path, || self.files.named(path))
    }

    fn directories_and_links(&self, directory: &Path) -> Vec<OsString> {
        remembered(&self.listings, directory, || self.files.directories_and_links(directory))
    }

    fn spells_freely(&self, directory: &Path) -> Option<&'static str> {
        remembered(&self.spellings, directory, || self.files.spells_freely(directory))
    }

    fn mount_points(&self) -> Vec<PathBuf> {
        self.files.mount_points()
    }

    fn profile_folders(&self) -> Vec<PathBuf> {
        self.files.profile_folders()
    }

    fn lookup_profile(&self, name: &str) -> Option<(PathBuf, String)> {
        self.files.lookup_profile(name)
    }
}

fn remembered<T: Clone>(known: &RefCell<HashMap<OsString, T>>, path: &Path, ask: impl FnOnce() -> T) -> T {
    if let Some(known) = known.borrow().get(path.as_os_str()) {
        return known.clone();
    }
    let answer = ask();
    known.borrow_mut().insert(path.into(), answer.clone());
    answer
}

/// Where an absolute path leads, and the links on the way, each by the resolved name of its own; `None` if
/// they do not end. Links below `/proc` are not followed: they speak about whoever asks.
pub fn followed(path: &Path, files: &dyn Files) -> Option<(PathBuf, Vec<PathBuf>)> {
    let links = RefCell::new(Vec::new());
    let note = |link: &Path| {
        links.borrow_mut().push(link.to_path_buf());
        true
    };
    let path = resolve(components(path.as_os_str().as_encoded_bytes()), files, &note)?;
    Some((path, links.into_inner()))
}

/// Few paths of profiles are longer.
const USUAL_LENGTH: usize = 64;

/// As many links as the kernel follows in one path (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// The absolute path of names.
pub(crate) fn path_of<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> PathBuf {
    let mut path = Vec::with_capacity(USUAL_LENGTH);
    for name in names {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    OsString::from_vec(path).into()
}

/// The absolute path of names, with every symbolic link on the way followed that `follow` (given the link's
/// own resolved path) agrees to; `None` if the links do not end.
///
/// Links below `/proc` are never followed: they speak about whoever asks, and the supervisor's answer would
/// be about the supervisor.
pub(crate) fn resolve<'a>(
    names: impl Iterator<Item = &'a [u8]>,
    files: &dyn Files,
    follow: &dyn Fn(&Path) -> bool,
) -> Option<PathBuf> {
    let mut pending: VecDeque<Cow<'a, [u8]>> = names.map(Cow::Borrowed).collect();
    // The root is empty here; else each name comes behind its slash.
    let mut done: Vec<u8> = Vec::with_capacity(USUAL_LENGTH);
    // How long `done` was when it became the name of nothing.
    let mut missing = usize::MAX;
    let mut links = 0;
    while let Some(name) = pending.pop_front() {
        let before = done.len();
        match &name[..] {
            b"." => continue,
            b".." => {
                done.truncate(done.iter().rposition(|byte| *byte == b'/').unwrap_or(0));
                continue;
            }
            name => {
                done.push(b'/');
                done.extend_from_slice(name);
            }
        }
        if before >= missing || done == b"/proc" || done.starts_with(b"/proc/") {
            continue;
        }
        missing = usize::MAX;
        let path = Path::new(os(&done));
        let target = match files.named(path) {
            Named::Link(target) if follow(path) => target,
            Named::Missing => {
                missing = done.len();
                continue;
            }
            Named::Link(_) | Named::Other => continue,
        };
        links += 1;
        if links > MAX_LINKS {
            return None;
        }
        let target = target.as_os_str().as_encoded_bytes();
        done.truncate(if target.starts_with(b"/") { 0 } else { before });
        for name in components(target).collect::<Vec<_>>().into_iter().rev() {
            pending.push_front(Cow::Owned(name.to_vec()));
        }
    }
    if done.is_empty() {
        done.push(b'/');
    }
    Some(OsString::from_vec(done).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host with one link, one name that is missing, and a record of what was asked.
    #[derive(Default)]
    struct Asked(RefCell<Vec<String>>);

    impl Files for Asked {
        fn read(&self, _: &Path) -> io::Result<String> {
            Err(io::ErrorKind::NotFound.into())
        }
        fn exists(&self, _: &Path) -> bool {
            false
        }
        fn named(&self, path: &Path) -> Named {
            let path = path.display().to_string();
            self.0.borrow_mut().push(path.clone());
            match &path[..] {
                "/a/missing" => Named::Missing,
                "/link" => Named::Link("/a/./b/".into()),
                _ => Named::Other,
            }
        }
        fn spells_freely(&self, _: &Path) -> Option<&'static str> {
            None
        }
        fn directories_and_links(&self, _: &Path) -> Vec<OsString> {
            Vec::new()
        }
        fn profile_folders(&self) -> Vec<PathBuf> {
            Vec::new()
        }
        fn lookup_profile(&self, _: &str) -> Option<(PathBuf, String)> {
            None
        }
    }

    #[test]
    fn nothing_is_asked_below_what_is_missing_and_nothing_twice() {
        let host = Asked::default();
        let files = Remembered::new(&host);
        let resolved = |path: &str| resolve(components(path.as_bytes()), &files, &|_| true).unwrap();
        for (path, expected) in [
            ("/a/missing/x/y", "/a/missing/x/y"),
            ("/a/missing/x/../../c", "/a/c"),
            ("/a/missing/../../link/d", "/a/b/d"),
            ("/link/..", "/a"),
            ("/link/../../..", "/"),
            ("/proc/self/fd", "/proc/self/fd"),
        ] {
            assert_eq!(resolved(path), Path::new(expected), "{path}");
        }
        let asked = host.0.into_inner();
        assert_eq!(asked, ["/a", "/a/missing", "/a/c", "/link", "/a/b", "/a/b/d"]);
    }
}

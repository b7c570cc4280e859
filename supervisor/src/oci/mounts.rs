//! The mounts of config.json, made below the container's root.
//!
//! The root is somebody else's: a link in it leads anywhere. So places are looked up inside of it
//! (`RESOLVE_IN_ROOT`, openat2(2)), and what is mounted is attached to what was found.
//!
//! Mounts that show files of the host let no device files be opened, unless one is mounted itself, or
//! config.json asks for it: whoever brings files brings no way to a device.

use crate::host::mount::{self, Attributes};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};
use oci_spec::runtime::Mount;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// What is to be at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
}

/// What the options of a mount say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Options {
    attributes: Attributes,
    /// For all mounts below as well.
    recursive: Attributes,
    bind: bool,
    tree: bool,
    propagation: Option<(u64, bool)>,
    /// What the file system is told.
    settings: Vec<(String, Option<String>)>,
    /// What is left out.
    left: Vec<String>,
}

const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
/// The bits that say how access times are kept (mount_setattr(2)).
const ATIME: u64 = libc::MOUNT_ATTR__ATIME;

/// Words that set or clear one attribute: what they set, what they clear.
const WORDS: &[(&str, u64, u64)] = &[
    ("ro", RDONLY, 0),
    ("rw", 0, RDONLY),
    ("nosuid", libc::MOUNT_ATTR_NOSUID, 0),
    ("suid", 0, libc::MOUNT_ATTR_NOSUID),
    ("nodev", NODEV, 0),
    ("dev", 0, NODEV),
    ("noexec", libc::MOUNT_ATTR_NOEXEC, 0),
    ("exec", 0, libc::MOUNT_ATTR_NOEXEC),
    ("nodiratime", libc::MOUNT_ATTR_NODIRATIME, 0),
    ("diratime", 0, libc::MOUNT_ATTR_NODIRATIME),
    ("relatime", libc::MOUNT_ATTR_RELATIME, ATIME),
    ("noatime", libc::MOUNT_ATTR_NOATIME, ATIME),
    ("strictatime", libc::MOUNT_ATTR_STRICTATIME, ATIME),
    ("nostrictatime", libc::MOUNT_ATTR_RELATIME, ATIME),
    ("atime", libc::MOUNT_ATTR_RELATIME, ATIME),
    ("norelatime", libc::MOUNT_ATTR_STRICTATIME, ATIME),
    ("nosymfollow", libc::MOUNT_ATTR_NOSYMFOLLOW, 0),
    ("symfollow", 0, libc::MOUNT_ATTR_NOSYMFOLLOW),
];

/// Words for propagation (mount(2)).
const PROPAGATION: &[(&str, u64)] = &[
    ("private", libc::MS_PRIVATE),
    ("shared", libc::MS_SHARED),
    ("slave", libc::MS_SLAVE),
    ("unbindable", libc::MS_UNBINDABLE),
];

/// The words of options that are known.
pub(super) fn words() -> Vec<String> {
    let plain = WORDS.iter().map(|row| row.0).chain(PROPAGATION.iter().map(|row| row.0));
    plain
        .flat_map(|word| [word.to_owned(), format!("r{word}")])
        .chain(["bind".into(), "rbind".into()])
        .collect()
}

impl Options {
    fn of(words: &[String]) -> Result<Options, String> {
        let mut options = Options::default();
        let apply = |attributes: &mut Attributes, (set, clear): (u64, u64)| {
            attributes.set = attributes.set & !clear | set;
            attributes.clear = attributes.clear & !set | clear;
        };
        for word in words {
            let found = |word: &str| WORDS.iter().find(|row| row.0 == word).map(|row| (row.1, row.2));
            let spread = |word: &str| PROPAGATION.iter().find(|row| row.0 == word).map(|row| row.1);
            let of_tree = word.strip_prefix('r').unwrap_or("");
            if let Some(bits) = found(word) {
                apply(&mut options.attributes, bits);
            } else if let Some(bits) = found(of_tree) {
                apply(&mut options.attributes, bits);
                apply(&mut options.recursive, bits);
            } else if let Some(how) = spread(word) {
                options.propagation = Some((how, false));
            } else if let Some(how) = spread(of_tree) {
                options.propagation = Some((how, true));
            } else {
                match &**word {
                    "bind" => options.bind = true,
                    "rbind" => (options.bind, options.tree) = (true, true),
                    "defaults" | "async" | "nomand" | "noiversion" | "loud" => {}
                    // What is below is not copied to it: nothing that restricts.
                    "tmpcopyup" => options.left.push(word.clone()),
                    "idmap" | "ridmap" => return Err(format!("the option {word} is not offered")),
                    _ => options.settings.push(match word.split_once('=') {
                        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                        None => (word.clone(), None),
                    }),
                }
            }
        }
        Ok(options)
    }
}

/// Makes a mount; what of it was left out.
///
/// # Errors
/// What cannot be done.
pub(super) fn make(root: BorrowedFd<'_>, mount: &Mount) -> Result<Vec<String>, String> {
    let place = mount.destination();
    let failed = |what: &str| {
        let what = format!("cannot mount {}: {what}", place.display());
        move |e: Errno| format!("{what}: {}", e.desc())
    };
    let options = Options::of(mount.options().as_deref().unwrap_or_default());
    let options = options.map_err(|e| format!("mounts: {}: {e}", place.display()))?;
    let kind = mount.typ().as_deref().unwrap_or("none");
    let source = mount.source().clone().unwrap_or_else(|| PathBuf::from("none"));
    let made = if options.bind || kind == "bind" {
        let from = open(&source, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty());
        let from = from.map_err(failed(&source.display().to_string()))?;
        let sort = SFlag::from_bits_truncate(fstat(&from).map_err(failed("source"))?.st_mode & libc::S_IFMT);
        let tree = mount::copy(from.as_fd(), options.tree).map_err(failed("source"))?;
        let mut attributes = options.attributes;
        if sort != SFlag::S_IFCHR && sort != SFlag::S_IFBLK && attributes.clear & NODEV == 0 {
            attributes.set |= NODEV;
        }
        mount::change(tree.as_fd(), attributes, false).map_err(failed("attributes"))?;
        if options.recursive != Attributes::default() {
            mount::change(tree.as_fd(), options.recursive, true).map_err(failed("attributes"))?;
        }
        (tree, if sort == SFlag::S_IFDIR { Kind::Directory } else { Kind::File })
    } else {
        let text = |text: &str| CString::new(text).map_err(|_| failed("a NUL byte")(Errno::EINVAL));
        let mut settings = Vec::new();
        for (key, value) in &options.settings {
            settings.push((text(key)?, value.as_deref().map(text).transpose()?));
        }
        let settings: Vec<_> = settings.iter().map(|(k, v)| (k.as_c_str(), v.as_deref())).collect();
        let source =
            CString::new(source.as_os_str().as_bytes()).map_err(|_| failed("source")(Errno::EINVAL))?;
        let made = mount::make(&text(kind)?, &source, &settings, options.attributes.set);
        (made.map_err(failed(kind))?, Kind::Directory)
    };
    let (made, sort) = made;
    if let Some((propagation, tree)) = options.propagation {
        let attributes = Attributes { propagation, ..Attributes::default() };
        mount::change(made.as_fd(), attributes, tree).map_err(failed("propagation"))?;
    }
    let at = place_for(root, place, sort).map_err(failed("its place"))?;
    mount::attach(made.as_fd(), at.as_fd()).map_err(failed("its place"))?;
    let left = options.left.iter();
    Ok(left.map(|word| format!("mounts: {}: {word} has no effect", place.display())).collect())
}

/// The names of a path, which is looked up from the root whatever it begins with.
fn names(path: &Path) -> impl Iterator<Item = &std::ffi::OsStr> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some("..".as_ref()),
        _ => None,
    })
}

/// What is at a path inside of the root; the kernel's own files are reached by no link.
///
/// # Errors
/// As openat2(2).
pub(super) fn find(root: BorrowedFd<'_>, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    let of_kernel = ["proc", "sys"].iter().any(|name| names(path).next() == Some(name.as_ref()));
    let links = if of_kernel { ResolveFlag::RESOLVE_NO_SYMLINKS } else { ResolveFlag::RESOLVE_NO_MAGICLINKS };
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_IN_ROOT | links);
    let path: PathBuf = names(path).collect();
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { &path };
    loop {
        // Something else moved in the tree at that moment.
        match openat2(root, path, how) {
            Err(Errno::EAGAIN) => {}
            found => return found,
        }
    }
}

/// What is at a path inside of the root, made if it is not there.
///
/// # Errors
/// As openat2(2), mkdir(2), open(2).
pub(super) fn place_for(root: BorrowedFd<'_>, path: &Path, kind: Kind) -> Result<OwnedFd, Errno> {
    let all: Vec<_> = names(path).collect();
    let mut way = PathBuf::new();
    for (n, name) in all.iter().enumerate() {
        let above = find(root, &way, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        way.push(name);
        match find(root, &way, OFlag::O_PATH) {
            Err(Errno::ENOENT) if kind == Kind::File && n + 1 == all.len() => {
                let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
                openat(&above, *name, flags, Mode::from_bits_truncate(0o644)).map(drop)?;
            }
            Err(Errno::ENOENT) => mkdirat(&above, *name, Mode::from_bits_truncate(0o755))?,
            found => drop(found?),
        }
    }
    find(root, &way, OFlag::O_PATH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> Options {
        Options::of(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_last_word_counts_and_what_is_not_the_mounts_is_the_file_systems() {
        let made = options(&["nosuid", "ro", "rw", "mode=755", "size=64k", "newinstance"]);
        assert_eq!(made.attributes.set, libc::MOUNT_ATTR_NOSUID);
        assert_eq!(made.attributes.clear, RDONLY);
        assert_eq!(made.settings.len(), 3);
        let bound = options(&["rbind", "rprivate", "rro"]);
        assert!(bound.bind && bound.tree && bound.recursive.set == RDONLY);
        assert_eq!(bound.propagation, Some((libc::MS_PRIVATE, true)));
        assert!(Options::of(&["idmap".to_owned()]).is_err());
    }

    #[test]
    fn links_in_the_root_do_not_lead_out_of_it() {
        let folder = std::env::temp_dir().join(format!("rxbox-oci-places-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("a")).unwrap();
        std::os::unix::fs::symlink("/a", folder.join("link")).unwrap();
        std::os::unix::fs::symlink("../../../..", folder.join("up")).unwrap();
        std::os::unix::fs::symlink("/a", folder.join("proc")).unwrap();
        let root = open(&folder, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).unwrap();
        place_for(root.as_fd(), Path::new("/link/b/c"), Kind::Directory).unwrap();
        place_for(root.as_fd(), Path::new("/up/d"), Kind::File).unwrap();
        assert!(folder.join("a/b/c").is_dir() && folder.join("d").is_file());
        assert_eq!(place_for(root.as_fd(), Path::new("/proc"), Kind::Directory).err(), Some(Errno::ELOOP));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

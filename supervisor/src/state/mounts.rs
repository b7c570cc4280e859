//! The guest's mount table: in which folder of the run's own a name lies, or that it is the host's.
//!
//! A private place ([`rxbox_policy::Mounts`]) is a folder that the supervisor holds by descriptor and the
//! guest knows by the name of the place. So names are translated, where they enter and where they leave:
//! * a look-up of a name starts at the folder ([`start`]) or, for the host's files, at the host's root;
//! * `..` of a mount point's own directory leads to the directory that its name lies in ([`is_point`]), since
//!   the kernel's would lead to where the folder, or what the host has there, really is;
//! * what the kernel calls an object in a folder becomes the guest's name for it ([`guest_name`]). An object
//!   of the host's whose name a private place covers has no name for the guest: what stands for one is
//!   relative, so no rule speaks of it. It can be reached by a descriptor only.
//!
//! An overlay ([`crate::host::overlay`]) is a folder in all of this, but for what the guest starts with: what
//! is named there by the host is looked up in it anew ([`in_place_of`]).
//!
//! The table is the process's, as its root directory is: a supervisor serves one run. It is set before the
//! first name is looked up for a guest and never changes.

use crate::host::lookup::find;
use crate::host::name::{fstatfs, kernel_label, statx};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, ResolveFlag, openat};
use nix::sys::stat::{Mode, fstat, fstatat};
use rxbox_policy::{Mounts, Source};
use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

/// What stands before the name of what the guest has no name for, as getcwd(2) has it.
pub const UNREACHABLE: &[u8] = b"(unreachable)";

/// Bytes that the kernel keeps for a file on tmpfs beside its contents, about.
const BYTES_OF_INODE: u64 = 1024;

/// The table.
#[derive(Debug)]
pub struct Table {
    mounts: Mounts,
    /// The directory in which the folders lie.
    base: OwnedFd,
    /// What the kernel calls it, with a slash at the end.
    label: Vec<u8>,
    /// The mounts in which the folders are.
    mount_ids: Vec<u64>,
    /// The folders of the private places and the overlays, by number.
    folders: Vec<Folder>,
    /// Whether they are a file system of their own.
    own_file_system: bool,
}

#[derive(Debug)]
struct Folder {
    fd: OwnedFd,
    /// The guest's name for it.
    name: Vec<u8>,
    overlay: bool,
}

/// A folder of the run's own, for who looks at them from outside of the guest's names.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The guest's name for it.
    pub name: &'static [u8],
    /// What holds it.
    pub folder: BorrowedFd<'static>,
    /// Whether it is an overlay, and not a private place.
    pub overlay: bool,
    /// Whether it is a file system of its own.
    pub own_file_system: bool,
}

static TABLE: OnceLock<Table> = OnceLock::new();

impl Table {
    /// A table for these mount points, whose folders lie in `base` by their numbers.
    ///
    /// # Errors
    /// There is one that is not there.
    pub fn new(mounts: &Mounts, base: OwnedFd, own_file_system: bool) -> Result<Table, Errno> {
        let mut folders = Vec::new();
        for (path, source) in mounts.points() {
            if let Source::Private(number) | Source::Overlay(number) = source {
                let name = path.as_os_str().as_bytes().to_vec();
                let fd = openat(&base, number.to_string().as_str(), HOLD, Mode::empty())?;
                folders.push(Folder { fd, name, overlay: matches!(source, Source::Overlay(_)) });
            }
        }
        let overlays = folders.iter().filter(|folder| folder.overlay).map(|folder| folder.fd.as_fd());
        let mount_ids = overlays.chain([base.as_fd()]).map(mount_id).collect::<Result<_, _>>()?;
        let mut label = kernel_label(base.as_fd())?;
        label.push(b'/');
        Ok(Table { mounts: mounts.clone(), base, label, mount_ids, folders, own_file_system })
    }

    /// Puts it in force.
    pub fn install(self) {
        // There is none yet.
        let _ = TABLE.set(self);
    }

    /// Where the look-up of a guest's name starts, and the name from there.
    fn entry(&self, name: &[u8], slash: bool) -> Result<(BorrowedFd<'_>, CString), Errno> {
        let (start, mut rest) = match self.mounts.of(name) {
            Source::Host => (AT_FDCWD, name.to_vec()),
            Source::Private(number) | Source::Overlay(number) => {
                let folder = self.folders.get(number).ok_or(Errno::ENOENT)?;
                let rest = name.get(folder.name.len() + 1..).filter(|rest| !rest.is_empty());
                (folder.fd.as_fd(), rest.unwrap_or(b".").to_vec())
            }
        };
        if slash {
            rest.push(b'/');
        }
        Ok((start, CString::new(rest).map_err(|_| Errno::EINVAL)?))
    }

    /// The rest of a kernel's name for something in a folder, with the folder.
    fn inside<'a>(&self, fd: BorrowedFd<'_>, label: &'a [u8]) -> Option<(Option<&Folder>, &'a [u8])> {
        let rest = label.strip_prefix(self.label.as_slice())?;
        // The host could have a directory of that name.
        if !self.mount_ids.contains(&mount_id(fd).ok()?) {
            return None;
        }
        let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
        let number = std::str::from_utf8(&rest[..end]).ok().and_then(|text| text.parse::<usize>().ok());
        Some((number.and_then(|number| self.folders.get(number)), &rest[end..]))
    }

    fn guest_name(&self, fd: BorrowedFd<'_>, label: Vec<u8>) -> Vec<u8> {
        match self.inside(fd, &label) {
            Some((Some(folder), rest)) => [&folder.name, rest].concat(),
            None if self.mounts.of(&label) == Source::Host => label,
            _ => [UNREACHABLE, &label].concat(),
        }
    }
}

/// As what directories are held.
const HOLD: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC).union(OFlag::O_NOFOLLOW);

/// Where the kernel is to start looking `path` up, which is given from the directory `base` of the name `at`
/// and comes to the name `there`, without links and dots; and the path from there. EXDEV if that is another
/// mount, for `RESOLVE_NO_XDEV`.
pub fn start<'a>(
    (base, at): (BorrowedFd<'a>, &[u8]),
    path: &'a CStr,
    there: &[u8],
    restrict: ResolveFlag,
) -> Result<(BorrowedFd<'a>, Cow<'a, CStr>), Errno> {
    match TABLE.get() {
        Some(table) if table.mounts.of(at) != table.mounts.of(there) => {
            if restrict.contains(ResolveFlag::RESOLVE_NO_XDEV) {
                return Err(Errno::EXDEV);
            }
            let bytes = path.to_bytes();
            let slash = bytes.ends_with(b"/") || bytes.ends_with(b"/.");
            table.entry(there, slash).map(|(start, rest)| (start, Cow::Owned(rest)))
        }
        _ => Ok((base, Cow::Borrowed(path))),
    }
}

/// Whether another mount begins at a name.
pub fn is_point(name: &[u8]) -> bool {
    TABLE.get().is_some_and(|table| table.mounts.at(name).is_some())
}

/// The directory in which the name of a mount point really lies, if the host's files begin there.
pub fn real_parent(name: &[u8]) -> Option<OwnedFd> {
    TABLE.get().filter(|table| table.mounts.at(name) == Some(Source::Host))?;
    // No link that somebody has put there since is followed: it would lead elsewhere.
    let parent = Path::new(OsStr::from_bytes(name)).parent()?;
    let parent = CString::new(parent.as_os_str().as_bytes()).ok()?;
    find(AT_FDCWD, &parent, true, ResolveFlag::empty()).ok()
}

/// What the guest calls an object that the kernel calls so.
pub fn guest_name(fd: BorrowedFd<'_>, label: Vec<u8>) -> Vec<u8> {
    match TABLE.get() {
        Some(table) if label.first() == Some(&b'/') => table.guest_name(fd, label),
        _ => label,
    }
}

/// Whether a kernel's name leads to the very object.
pub fn leads_to(fd: BorrowedFd<'_>, label: &[u8]) -> Result<bool, Errno> {
    let inside = TABLE.get().filter(|table| table.inside(fd, label).is_some());
    let there = match inside {
        Some(table) => fstatat(&table.base, &label[table.label.len()..], AtFlags::AT_SYMLINK_NOFOLLOW)?,
        None => fstatat(AT_FDCWD, label, AtFlags::AT_SYMLINK_NOFOLLOW)?,
    };
    let own = fstat(fd)?;
    Ok((there.st_dev, there.st_ino) == (own.st_dev, own.st_ino))
}

/// What the guest finds in place of something of the host's that has this name, held anew: the folder for the
/// directory of a private place, and whatever lies in an overlay.
pub fn in_place_of(label: &[u8]) -> Option<OwnedFd> {
    let table = TABLE.get()?;
    if let Source::Overlay(_) = table.mounts.of(label) {
        let (start, rest) = table.entry(label, false).ok()?;
        return find(start, &rest, true, ResolveFlag::empty()).ok();
    }
    let folder = table.folders.iter().find(|folder| folder.name == label)?;
    openat(&folder.fd, c".", HOLD, Mode::empty()).ok()
}

/// Whether the files of a name are not simply the host's.
pub fn is_private(name: &[u8]) -> bool {
    TABLE.get().is_some_and(|table| table.mounts.of(name) != Source::Host)
}

/// The folders by number.
pub fn places() -> impl Iterator<Item = Place> {
    let place = |table: &Table, folder: &'static Folder| Place {
        name: &folder.name,
        folder: folder.fd.as_fd(),
        overlay: folder.overlay,
        own_file_system: table.own_file_system,
    };
    TABLE
        .get()
        .into_iter()
        .flat_map(move |table| table.folders.iter().map(move |folder| place(table, folder)))
}

/// Whether a name is of an overlay.
pub fn is_overlaid(name: &[u8]) -> bool {
    TABLE.get().is_some_and(|table| matches!(table.mounts.of(name), Source::Overlay(_)))
}

fn mount_id(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    statx(fd, 0, libc::STATX_MNT_ID).map(|status| status.stx_mnt_id)
}

/// Bytes of memory that the kernel has for the folders.
pub fn memory() -> u64 {
    let table = TABLE.get().filter(|table| table.own_file_system);
    let of = |status: libc::statfs| {
        let blocks = status.f_blocks.saturating_sub(status.f_bfree);
        let files = status.f_files.saturating_sub(status.f_ffree);
        blocks * status.f_bsize.unsigned_abs() + files * BYTES_OF_INODE
    };
    table.and_then(|table| fstatfs(table.base.as_fd()).ok()).map_or(0, of)
}

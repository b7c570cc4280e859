//! Finding what a name leads to through no symbolic link, to look at and for nothing else (`O_PATH`).
//!
//! openat2(2) does that in one call. It may be missing: before Linux 5.6, and where a filter around rxbox
//! refuses it because its flags lie in memory, where no filter sees them. systemd does so for
//! `RestrictSUIDSGID=` and what implies it, `DynamicUser=` among others. Then each component is opened by a
//! call of its own, below the one before, which nobody can replace meanwhile.

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{FileStat, Mode, fstat};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

const LOOK: OFlag = OFlag::O_PATH.union(OFlag::O_CLOEXEC);

/// Opens `name` below `base`, through no link. The last component may be one if `follow` is not set: then it
/// is what is opened. `restrict` are further restrictions of openat2(2).
///
/// # Errors
/// As openat2(2) with `RESOLVE_NO_SYMLINKS`. Where that is missing, `ENOSYS` for restrictions that only it
/// can keep.
pub fn find(
    base: BorrowedFd<'_>,
    name: &CStr,
    follow: bool,
    restrict: ResolveFlag,
) -> Result<OwnedFd, Errno> {
    static MISSING: AtomicBool = AtomicBool::new(false);
    if !MISSING.load(Ordering::Relaxed) {
        let nofollow = if follow { OFlag::empty() } else { OFlag::O_NOFOLLOW };
        let how = OpenHow::new().flags(LOOK | nofollow).resolve(restrict | ResolveFlag::RESOLVE_NO_SYMLINKS);
        match openat2(base, name, how) {
            // Looking is never refused so by the kernel itself.
            Err(Errno::ENOSYS | Errno::EPERM) => MISSING.store(true, Ordering::Relaxed),
            found => return found,
        }
    }
    by_components(base, name.to_bytes(), follow, restrict)
}

fn by_components(
    base: BorrowedFd<'_>,
    name: &[u8],
    follow: bool,
    restrict: ResolveFlag,
) -> Result<OwnedFd, Errno> {
    let mut components = name.split(|&b| b == b'/').filter(|c| !c.is_empty()).peekable();
    let inside = !name.starts_with(b"/") && components.clone().all(|c| c != b"..");
    let kept = ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let kept = if inside { kept | ResolveFlag::RESOLVE_BENEATH } else { kept };
    match name.len() {
        _ if !kept.contains(restrict) => return Err(Errno::ENOSYS),
        0 => return Err(Errno::ENOENT),
        length if length >= libc::PATH_MAX as usize => return Err(Errno::ENAMETOOLONG),
        _ => {}
    }
    let start = if name.starts_with(b"/") { c"/" } else { c"." };
    let mut found = openat(base, start, LOOK, Mode::empty())?;
    while let Some(component) = components.next() {
        let component = CString::new(component).map_err(|_| Errno::EINVAL)?;
        found = openat(found.as_fd(), component.as_c_str(), LOOK | OFlag::O_NOFOLLOW, Mode::empty())?;
        let last = components.peek().is_none() && !name.ends_with(b"/");
        match kind(&fstat(&found)?) {
            libc::S_IFLNK if follow || !last => return Err(Errno::ELOOP),
            libc::S_IFDIR | libc::S_IFLNK => {}
            _ if last => {}
            _ => return Err(Errno::ENOTDIR),
        }
    }
    Ok(found)
}

fn kind(stat: &FileStat) -> u32 {
    stat.st_mode & libc::S_IFMT
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_way_by_components_leads_where_one_call_leads() {
        let folder = scratch();
        std::fs::create_dir_all(folder.join("a/b")).unwrap();
        std::fs::write(folder.join("a/file"), "").unwrap();
        for (to, link) in [("a", "to-dir"), ("a/file", "to-file"), ("nowhere", "dangling"), (".", "a/self")] {
            symlink(to, folder.join(link)).unwrap();
        }
        let base = std::fs::File::open(&folder).unwrap();
        let long = "a/".repeat(3000);
        let names = [
            "",
            ".",
            "..",
            "/",
            "//",
            "a",
            "a/",
            "a/b",
            "a//b/",
            "a/./b",
            "a/../a/b",
            "a/file",
            "a/file/",
            "a/file/b",
            "a/none",
            "none/b",
            "to-dir",
            "to-dir/",
            "to-dir/b",
            "to-file",
            "to-file/",
            "dangling",
            "dangling/",
            "a/self",
            "a/self/b",
            "a/b/..",
            "/usr",
            "/none",
            long.as_str(),
            &"n".repeat(256),
        ];
        for name in names {
            for follow in [false, true] {
                for restrict in [ResolveFlag::empty(), ResolveFlag::RESOLVE_BENEATH] {
                    let id = |found: Result<OwnedFd, Errno>| {
                        found.map(|fd| fstat(&fd).map(|stat| (stat.st_dev, stat.st_ino)))
                    };
                    let c = CString::new(name).unwrap();
                    let own = id(by_components(base.as_fd(), name.as_bytes(), follow, restrict));
                    let kernel = id(find(base.as_fd(), &c, follow, restrict));
                    if own != Err(Errno::ENOSYS) {
                        assert_eq!(own, kernel, "{name:?} {follow} {restrict:?}");
                    }
                    assert!(own != Err(Errno::ENOSYS) || !restrict.is_empty(), "{name:?}");
                }
            }
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    fn scratch() -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("rxbox-lookup-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        folder
    }
}

//! The host's files, as the policy asks for them.
//!
//! A profile's bare name is looked up in folders that only root or the user can write, never in the working
//! directory: a guest's project directory must not be able to bring its own profile.

use crate::host::name;
use nix::unistd::geteuid;
use rxbox_policy::{Files, Named};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Folders of profiles, in the order of search.
#[derive(Clone, Debug)]
pub struct HostFiles {
    folders: Vec<PathBuf>,
}

// Numbers of file systems (statfs(2), linux/magic.h and the file systems' own sources).
const MSDOS: i64 = 0x4d44;
const EXFAT: i64 = 0x2011_bab0;
const NTFS: i64 = 0x5346_544e;
const NTFS3: i64 = 0x7366_746e;
const CIFS: i64 = 0xff53_4d42;
const SMB2: i64 = 0xfe53_4d42;
const HFS: i64 = 0x4244;
const HFSPLUS: i64 = 0x482b;
const EXT4: i64 = 0xef53;
const F2FS: i64 = 0xf2f5_2010;
const BCACHEFS: i64 = 0xca45_1a4e;
const TMPFS: i64 = 0x0102_1994;

/// A profile larger than this is none.
const PROFILE_MAX: u64 = 1 << 20;

impl Default for HostFiles {
    /// The user's own folder, then the system's.
    fn default() -> Self {
        let own = std::env::var_os("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::home_dir().map(|home| home.join(".config")))
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join("rxbox"));
        HostFiles {
            folders: own
                .into_iter()
                .chain(["/etc/rxbox".into(), "/usr/share/rxbox/profiles".into()])
                .collect(),
        }
    }
}

/// Where a path leads, and the links on the way ([`rxbox_policy::followed`]).
///
/// # Errors
/// There is no working directory; the links do not end.
pub fn followed(path: &Path) -> io::Result<(PathBuf, Vec<PathBuf>)> {
    let absolute = std::env::current_dir()?.join(path);
    let ends = rxbox_policy::followed(&absolute, &HostFiles::default());
    ends.ok_or_else(|| io::Error::from_raw_os_error(libc::ELOOP))
}

/// Whether only root or the user can change what is there.
fn trusted(path: &Path) -> bool {
    const OTHERS_WRITE: u32 = 0o022;
    path.metadata().is_ok_and(|m| [0, geteuid().as_raw()].contains(&m.uid()) && m.mode() & OTHERS_WRITE == 0)
}

impl Files for HostFiles {
    fn read(&self, path: &Path) -> io::Result<String> {
        let meta = std::fs::metadata(path)?;
        let wrong = match () {
            () if meta.is_dir() => Some("it is a folder, not a profile"),
            () if !meta.is_file() => Some("it is no regular file; write the profile into one first"),
            () if meta.len() > PROFILE_MAX => Some("it is larger than 1 MiB, too large for a profile"),
            () => None,
        };
        if let Some(wrong) = wrong {
            return Err(io::Error::other(wrong));
        }
        std::fs::read_to_string(path)
    }

    fn exists(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }

    fn named(&self, path: &Path) -> Named {
        match std::fs::read_link(path) {
            Ok(target) => Named::Link(target),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Named::Missing
            }
            Err(_) => Named::Other,
        }
    }

    fn directories_and_links(&self, directory: &Path) -> Vec<OsString> {
        let leads_on = |entry: &std::fs::DirEntry| {
            // What some file systems do not tell may be either.
            entry.file_type().map_or(true, |kind| kind.is_dir() || kind.is_symlink())
        };
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries.filter(leads_on).map(|entry| entry.file_name()).collect()
    }

    fn spells_freely(&self, directory: &Path) -> Option<&'static str> {
        let folds = || File::open(directory).is_ok_and(|directory| name::folds_case(directory.as_fd()));
        match nix::sys::statfs::statfs(directory).ok()?.filesystem_type().0 {
            MSDOS => Some("vfat"),
            EXFAT => Some("exfat"),
            NTFS | NTFS3 => Some("ntfs"),
            CIFS | SMB2 => Some("cifs"),
            HFS | HFSPLUS => Some("hfs"),
            EXT4 | F2FS | BCACHEFS | TMPFS if folds() => Some("casefold"),
            _ => None,
        }
    }

    fn mount_points(&self) -> Vec<PathBuf> {
        let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
        // proc_pid_mountinfo(5): the fifth word, in which white space and backslashes are octal.
        let points = table.split(|&byte| byte == b'\n').filter_map(|line| line.split(|&b| b == b' ').nth(4));
        points.map(|point| PathBuf::from(OsString::from_vec(name::without_escapes(point)))).collect()
    }

    fn profile_folders(&self) -> Vec<PathBuf> {
        self.folders.clone()
    }

    fn lookup_profile(&self, name: &str) -> Option<(PathBuf, String)> {
        if name.contains('/') {
            return None;
        }
        self.folders.iter().filter(|folder| trusted(folder)).find_map(|folder| {
            let path = folder.join(format!("{name}.toml"));
            let text = self.read(&path).ok().filter(|_| trusted(&path))?;
            Some((path, text))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_usual_file_systems_spell_names_in_one_way() {
        let files = HostFiles::default();
        for directory in ["/", "/usr", "/proc", "/dev"] {
            assert_eq!(files.spells_freely(Path::new(directory)), None, "{directory}");
        }
        assert_eq!(files.spells_freely(Path::new("/etc/passwd/x")), None);
    }

    #[test]
    fn profiles_come_only_from_folders_that_others_cannot_write() {
        let folder = std::env::temp_dir().join(format!("rxbox-files-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("p.toml"), "version = 1").unwrap();
        let files = HostFiles { folders: vec![folder.clone()] };
        let mode =
            |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        mode(&folder, 0o755);
        mode(&folder.join("p.toml"), 0o644);
        assert!(files.lookup_profile("p").is_some());
        assert!(files.lookup_profile("../p").is_none());
        assert!(files.lookup_profile("q").is_none());
        mode(&folder, 0o777);
        assert!(files.lookup_profile("p").is_none());
        mode(&folder, 0o755);
        mode(&folder.join("p.toml"), 0o666);
        assert!(files.lookup_profile("p").is_none());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

//! The folder of kept translations: `rxbox/translations` in the user's place for caches.
//!
//! It is the user's alone (mode 0700), has the user's secret, and guests of every policy are kept out of it
//! (`rxbox_policy::Variables::unseen`). What is in it has a seal that only who has the secret can make, so
//! whoever else could write there gets nothing executed. A folder that cannot be written, such as one that
//! was filled when an image was built, is read.

use crate::host::transfer::{Buffer, getrandom};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{UnlinkatFlags, geteuid, linkat, unlinkat};
use rxbox_wire::kept::secret::{SECRET, Secret};
use rxbox_wire::kept::{HEAD, Header, SEAL, SECRET_FILE};
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 18;

/// Where the folder of this user is. Root's is where the system keeps such things if its environment names
/// no place, which may be that of another user.
pub fn path() -> PathBuf {
    named_place().unwrap_or_else(usual_place).join("rxbox/translations")
}

/// The place for caches that the environment names.
fn named_place() -> Option<PathBuf> {
    std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute())
}

fn usual_place() -> PathBuf {
    match geteuid().is_root() {
        true => PathBuf::from("/var/cache"),
        false => std::env::home_dir().unwrap_or_default().join(".cache"),
    }
}

/// The folder, open.
#[derive(Debug)]
pub struct Folder {
    at: OwnedFd,
    secret: Secret,
}

impl Folder {
    /// Opens the folder of this user, and makes it if it is not there. Whose home has no place for caches, as
    /// that of a service's user, has none, unless the environment names one.
    ///
    /// # Errors
    /// It cannot be made, is another user's, or others may enter it.
    pub fn open() -> io::Result<Folder> {
        let path = path();
        if named_place().is_some() || usual_place().is_dir() {
            // What is wrong with it shows when it is opened.
            let _ = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        }
        Folder::at(&path)
    }

    fn at(path: &Path) -> io::Result<Folder> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let at = openat(AT_FDCWD, path, flags, Mode::empty())?;
        let status = fstat(&at)?;
        if status.st_uid != geteuid().as_raw() || status.st_mode & 0o077 != 0 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let secret = secret(at.as_fd())?;
        Ok(Folder { at, secret })
    }

    /// The user's secret.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The file with this name and its header, if it is whole and has the user's seal.
    pub fn find(&self, name: &str) -> Option<(File, Header)> {
        let mut file = open(self.at.as_fd(), name, OFlag::O_RDONLY).ok()?;
        let mut chunk = vec![0; CHUNK];
        let mut sealer = self.secret.sealer();
        file.read_exact(chunk.get_mut(..HEAD)?).ok()?;
        let (header, seal) =
            (Header::decode(chunk.get(..HEAD)?)?, <[u8; 32]>::try_from(chunk.get(SEAL)?).ok()?);
        sealer.update(chunk.get(SEAL.end..HEAD)?);
        loop {
            match file.read(&mut chunk).ok()? {
                0 => break,
                n => sealer.update(chunk.get(..n)?),
            }
        }
        let whole = file.metadata().ok()?.len() == header.file_len();
        (whole && sealer.is(&seal)).then_some((file, header))
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.at.as_fd()
    }
}

/// The folder, opened once more.
///
/// # Errors
/// As openat(2).
pub fn reopened(folder: &Folder) -> Result<OwnedFd, Errno> {
    openat(folder.as_fd(), ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

/// The secret that lies in the folder; made now if there is none. It gets its name when it is whole, and only
/// if nobody was faster.
fn secret(at: BorrowedFd<'_>) -> io::Result<Secret> {
    match open(at, SECRET_FILE, OFlag::O_RDONLY) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let mut bytes = [0; SECRET];
            getrandom(Buffer::from_slice(&mut bytes), 0)?;
            let draft = format!("{SECRET_FILE}.{}", std::process::id());
            open(at, &draft, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL)?.write_all(&bytes)?;
            let linked = linkat(at, draft.as_str(), at, SECRET_FILE, AtFlags::empty());
            unlinkat(at, draft.as_str(), UnlinkatFlags::NoRemoveDir)?;
            match linked {
                Ok(()) | Err(Errno::EEXIST) => read_secret(open(at, SECRET_FILE, OFlag::O_RDONLY)?),
                Err(e) => Err(e.into()),
            }
        }
        opened => read_secret(opened?),
    }
}

fn read_secret(mut file: File) -> io::Result<Secret> {
    let mut bytes = [0; SECRET];
    file.read_exact(&mut bytes)?;
    Ok(Secret::new(bytes))
}

fn open(at: BorrowedFd<'_>, name: &str, flags: OFlag) -> io::Result<File> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    Ok(File::from(openat(at, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?))
}

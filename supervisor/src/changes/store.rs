//! Where changes are kept: a directory of the user's with a folder for each run.
//!
//! * A folder has for each overlay the upper directory and the one that the kernel works in, and a record of
//!   the run. Its name is that of the run, or one made of the program's.
//! * A supervisor holds a lock on its folder for as long as it lives: what has no lock is over, however it
//!   ended.
//! * The directory has mode 0700, and guests of every policy are kept out of it
//!   (`rxbox_policy::Variables::unseen`).
//! * There are [`MOST`] at the most. One in which nothing has changed goes by itself ([`sweep`]).

use crate::host::removal::{empty, names};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, futimens, mkdirat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, geteuid, unlinkat};
use serde::{Deserialize, Serialize};
use std::ffi::{CStr, OsStr, OsString};
use std::fs::DirBuilder;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Runs whose changes are kept.
pub const MOST: usize = 32;
/// The file of the record in a folder.
const RECORD: &str = "run.json";
/// As what directories are opened.
pub(super) const DIRECTORY: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Why changes cannot be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory or a folder in it cannot be used.
    #[error("{}: {why}", path.display())]
    Unusable {
        /// Which one.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Changes of a run of this name are kept already.
    #[error("changes of a run called {0} are kept already: `rxbox changes apply` or `discard` them first")]
    Taken(String),
    /// There are enough.
    #[error("the changes of {MOST} runs are kept: `rxbox changes` lists them; apply or discard some first")]
    Full,
    /// There are none.
    #[error("no changes are kept")]
    None,
    /// There are none of this name.
    #[error("no changes of a run called {0} are kept; `rxbox changes` lists those that are")]
    Unknown(String),
    /// The run is not over.
    #[error("the run {0} is not over")]
    Running(String),
}

/// What is known of a run whose changes are kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The program, escaped.
    pub program: String,
    /// The profile's name, escaped.
    pub profile: String,
    /// When it began, in milliseconds of the time of day.
    pub began: u64,
    /// The time of the file system at which it began: seconds and nanoseconds. What on the host has changed
    /// later, the run has not seen for certain.
    pub since: (i64, i64),
    /// The overlaid places, by number.
    pub places: Vec<Place>,
    /// Below which names the run could change something.
    pub writable: Vec<OsString>,
}

/// An overlaid place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Place {
    /// The directory of the host's.
    pub path: OsString,
    /// Device and number of that.
    pub identity: (u64, u64),
    /// Its folder.
    pub number: usize,
    /// Its mode, user and group when the run began.
    pub mode: (u32, u32, u32),
}

/// The directory for this user's. Root's is where the system keeps such things if its environment names none,
/// which may be that of another user.
pub fn directory() -> PathBuf {
    let named = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let usual = || match geteuid().is_root() {
        true => PathBuf::from("/var/lib"),
        false => std::env::home_dir().unwrap_or_default().join(".local/state"),
    };
    named.unwrap_or_else(usual).join("rxbox/changes")
}

fn unusable(path: &Path, why: impl ToString) -> StoreError {
    StoreError::Unusable { path: path.to_owned(), why: why.to_string() }
}

/// Opens the directory; nothing if it is not there.
fn open(path: &Path) -> Result<Option<OwnedFd>, StoreError> {
    let directory = match openat(AT_FDCWD, path, DIRECTORY, Mode::empty()) {
        Err(Errno::ENOENT) => return Ok(None),
        opened => opened.map_err(|e| unusable(path, e.desc()))?,
    };
    let status = fstat(&directory).map_err(|e| unusable(path, e.desc()))?;
    if status.st_uid != geteuid().as_raw() {
        return Err(unusable(path, "it is another user's"));
    }
    if status.st_mode & 0o077 != 0 {
        return Err(unusable(path, "other users may enter it; its mode has to be 0700"));
    }
    Ok(Some(directory))
}

/// A run that is about to begin, for which changes are kept.
#[derive(Debug)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
    /// Device and number of each place, in their order.
    identities: Vec<(u64, u64)>,
    /// The upper directories, each with the mode, user and group that it had.
    uppers: Vec<(OwnedFd, (u32, u32, u32))>,
    /// Held until the supervisor ends.
    _lock: Flock<OwnedFd>,
}

/// Whose changes are to be kept.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The name that the user gave it.
    pub name: Option<&'a str>,
    /// The path of the program.
    pub program: &'a [u8],
    /// The profile's name.
    pub profile: &'a [u8],
    /// When it begins, in milliseconds of the time of day.
    pub began: u64,
    /// Below which names it can change something.
    pub writable: &'a [PathBuf],
}

impl Kept {
    /// Makes the folder with what the overlays of these places need.
    ///
    /// # Errors
    /// The name is taken, too many are kept, or the host fails.
    pub fn begin(run: Run<'_>, places: &[(&Path, usize)]) -> Result<Kept, StoreError> {
        let path = directory();
        let failed = |e: Errno| unusable(&path, e.desc());
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|e| unusable(&path, e))?;
        let store = open(&path)?.ok_or_else(|| failed(Errno::ENOENT))?;
        let others = names(store.as_fd()).len();
        if others >= MOST {
            return Err(StoreError::Full);
        }
        let (name, lock) = folder(store.as_fd(), &run, &path)?;
        let path = path.join(&name);
        let failed = |e: Errno| unusable(&path, e.desc());
        let file = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = openat(&*lock, RECORD, file, Mode::S_IRUSR | Mode::S_IWUSR).map_err(failed)?;
        let clock = fstat(&file).map_err(failed)?;
        let mut record = Record {
            program: crate::report::escape::shown(run.program),
            profile: crate::report::escape::shown(run.profile),
            began: run.began,
            since: (clock.st_ctime, clock.st_ctime_nsec),
            places: Vec::new(),
            writable: run.writable.iter().map(|path| path.clone().into_os_string()).collect(),
        };
        let mut uppers = Vec::new();
        for (place, number) in places {
            let (upper, lower) =
                upper(lock.as_fd(), place, *number).map_err(|e| unusable(place, e.desc()))?;
            record.places.push(Place {
                path: place.as_os_str().to_owned(),
                identity: (lower.st_dev, lower.st_ino),
                number: *number,
                mode: owner(&lower),
            });
            let now = fstat(&upper).map_err(failed)?;
            uppers.push((upper, owner(&now)));
        }
        let identities = record.places.iter().map(|place| place.identity).collect();
        // Words and numbers can always be written into memory.
        let text = serde_json::to_vec(&record).unwrap_or_default();
        std::fs::File::from(file).write_all(&text).map_err(|e| unusable(&path, e))?;
        Ok(Kept { name, path, identities, uppers, _lock: lock })
    }

    /// The upper directory of a number, and the one that the kernel works in.
    pub fn directories(&self, number: usize) -> (PathBuf, PathBuf) {
        let folder = self.path.join(number.to_string());
        (folder.join("upper"), folder.join("work"))
    }

    /// Device and number of a place, by its position among those it began with.
    pub fn identity(&self, at: usize) -> (u64, u64) {
        self.identities.get(at).copied().unwrap_or_default()
    }

    /// Whether anything has changed. It opens nothing: the supervisor may not any more.
    pub fn has_changes(&self) -> bool {
        let dots = |name: &CStr| matches!(name.to_bytes(), b"." | b"..");
        let filled = |upper: &OwnedFd| {
            let copy = upper.try_clone().ok().and_then(|copy| Dir::from_fd(copy).ok());
            copy.is_none_or(|mut listing| {
                listing.iter().any(|entry| entry.map_or(true, |entry| !dots(entry.file_name())))
            })
        };
        let changed = |(upper, before): &(OwnedFd, (u32, u32, u32))| {
            filled(upper) || fstat(upper).map_or(true, |now| owner(&now) != *before)
        };
        self.uppers.iter().any(changed)
    }
}

/// Mode, user and group.
fn owner(status: &FileStat) -> (u32, u32, u32) {
    (status.st_mode, status.st_uid, status.st_gid)
}

/// A new folder, which nobody takes for one that is left.
fn folder(store: BorrowedFd<'_>, run: &Run<'_>, path: &Path) -> Result<(String, Flock<OwnedFd>), StoreError> {
    let failed = |e: Errno| unusable(path, e.desc());
    let program = run.program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let plain = |byte: &&u8| byte.is_ascii_alphanumeric();
    let stem: String = program.iter().take_while(plain).take(32).map(|byte| char::from(*byte)).collect();
    let stem = if stem.is_empty() { "run".to_owned() } else { stem };
    let mut numbered = (1..).map(|n: u32| format!("{stem}-{n}"));
    loop {
        let name = run.name.map(str::to_owned).or_else(|| numbered.next()).unwrap_or_default();
        match mkdirat(store, name.as_str(), Mode::S_IRWXU) {
            Err(Errno::EEXIST) if run.name.is_some() => return Err(StoreError::Taken(name)),
            Err(Errno::EEXIST) => continue,
            made => made.map_err(failed)?,
        }
        let folder = openat(store, name.as_str(), DIRECTORY, Mode::empty()).map_err(failed)?;
        // A sweep may take it for one that was left, before it is locked.
        let Ok(lock) = Flock::lock(folder, FlockArg::LockExclusiveNonblock) else { continue };
        if fstat(&*lock).map_err(failed)?.st_nlink > 0 {
            return Ok((name, lock));
        }
    }
}

/// An upper directory as open as the place, as far as this user can make one; and the status of the place.
fn upper(folder: BorrowedFd<'_>, place: &Path, number: usize) -> Result<(OwnedFd, FileStat), Errno> {
    let of = number.to_string();
    mkdirat(folder, of.as_str(), Mode::S_IRWXU)?;
    let of = openat(folder, of.as_str(), DIRECTORY, Mode::empty())?;
    mkdirat(&of, "work", Mode::S_IRWXU)?;
    mkdirat(&of, "upper", Mode::S_IRWXU)?;
    let upper = openat(&of, "upper", DIRECTORY, Mode::empty())?;
    let lower =
        openat(AT_FDCWD, place, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let status = fstat(&lower)?;
    // It stays this user's where it cannot be given to the other.
    let _ = fchown(&upper, Some(Uid::from_raw(status.st_uid)), Some(Gid::from_raw(status.st_gid)));
    fchmod(&upper, Mode::from_bits_truncate(status.st_mode) | Mode::S_IRWXU)?;
    let time = |seconds, nanos| TimeSpec::new(seconds, nanos);
    let (atime, mtime) =
        (time(status.st_atime, status.st_atime_nsec), time(status.st_mtime, status.st_mtime_nsec));
    futimens(&upper, &atime, &mtime)?;
    Ok((upper, status))
}

/// A run that is over, or not, whose changes are kept.
#[derive(Debug)]
pub struct Changes {
    /// Its name.
    pub name: String,
    /// What is known of it.
    pub record: Record,
    /// Its folder, with the lock if it is over.
    folder: Result<Flock<OwnedFd>, OwnedFd>,
}

impl Changes {
    /// Whether the run goes on.
    pub fn running(&self) -> bool {
        self.folder.is_err()
    }

    /// Its folder.
    fn folder(&self) -> BorrowedFd<'_> {
        match &self.folder {
            Ok(lock) => lock.as_fd(),
            Err(folder) => folder.as_fd(),
        }
    }

    /// The upper directory of a place.
    ///
    /// # Errors
    /// As open(2).
    pub fn upper(&self, place: &Place) -> Result<OwnedFd, Errno> {
        let folder = openat(self.folder(), place.number.to_string().as_str(), DIRECTORY, Mode::empty())?;
        openat(&folder, "upper", DIRECTORY, Mode::empty())
    }

    /// Gives them up.
    ///
    /// # Errors
    /// The run goes on; the host fails.
    pub fn discard(self) -> Result<(), StoreError> {
        let path = directory();
        if self.running() {
            return Err(StoreError::Running(self.name));
        }
        let store = open(&path)?.ok_or(StoreError::None)?;
        empty(self.folder());
        unlinkat(&store, self.name.as_str(), UnlinkatFlags::RemoveDir)
            .map_err(|e| unusable(&path.join(&self.name), e.desc()))
    }
}

/// All that are kept, by name, and why some cannot be read.
///
/// # Errors
/// The directory cannot be used.
pub fn all() -> Result<(Vec<Changes>, Vec<StoreError>), StoreError> {
    let path = directory();
    let Some(store) = open(&path)? else { return Ok((Vec::new(), Vec::new())) };
    let (mut found, mut broken) = (Vec::new(), Vec::new());
    let mut names = names(store.as_fd());
    names.sort_unstable();
    for name in names {
        match read(store.as_fd(), &name) {
            Ok(changes) => found.push(changes),
            Err(why) => broken.push(unusable(&path.join(name), why)),
        }
    }
    Ok((found, broken))
}

/// The one of this name, or else the one of the run that began last.
///
/// # Errors
/// There is none; the directory cannot be used.
pub fn find(name: Option<&str>) -> Result<Changes, StoreError> {
    let (mut found, _) = all()?;
    match name {
        Some(name) => {
            let at = found.iter().position(|changes| changes.name == name);
            at.map(|at| found.swap_remove(at)).ok_or_else(|| StoreError::Unknown(name.to_owned()))
        }
        None => found.into_iter().max_by_key(|changes| changes.record.began).ok_or(StoreError::None),
    }
}

fn read(store: BorrowedFd<'_>, name: &OsStr) -> Result<Changes, String> {
    let host = |e: Errno| e.desc().to_owned();
    let folder = openat(store, name, DIRECTORY, Mode::empty()).map_err(host)?;
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = openat(&folder, RECORD, flags, Mode::empty()).map_err(host)?;
    let record = serde_json::from_reader(std::io::BufReader::new(std::fs::File::from(file)));
    let record = record.map_err(|e| format!("its record: {e}"))?;
    let folder = Flock::lock(folder, FlockArg::LockExclusiveNonblock).map_err(|(folder, _)| folder);
    Ok(Changes { name: name.to_string_lossy().into_owned(), record, folder })
}

/// Removes what is kept of runs that are over and have changed nothing, and what a run has left that was
/// killed before it began.
pub fn sweep() {
    let Ok(Some(store)) = open(&directory()) else { return };
    for name in names(store.as_fd()) {
        let Ok(folder) = openat(&store, name.as_os_str(), DIRECTORY, Mode::empty()) else { continue };
        let Ok(lock) = Flock::lock(folder, FlockArg::LockExclusiveNonblock) else { continue };
        let unchanged = match read_unlocked(lock.as_fd()) {
            Some(record) => record.places.iter().all(|place| is_unchanged(lock.as_fd(), place)),
            None => true,
        };
        if unchanged {
            empty(lock.as_fd());
            let _ = unlinkat(&store, name.as_os_str(), UnlinkatFlags::RemoveDir);
        }
    }
}

fn read_unlocked(folder: BorrowedFd<'_>) -> Option<Record> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = openat(folder, RECORD, flags, Mode::empty()).ok()?;
    serde_json::from_reader(std::io::BufReader::new(std::fs::File::from(file))).ok()
}

fn is_unchanged(folder: BorrowedFd<'_>, place: &Place) -> bool {
    let opened = openat(folder, place.number.to_string().as_str(), DIRECTORY, Mode::empty())
        .and_then(|of| openat(&of, "upper", DIRECTORY, Mode::empty()));
    match opened {
        Ok(upper) => {
            let same = fstat(&upper).is_ok_and(|now| now.st_mode & 0o777 == place.mode.0 & 0o777 | 0o700);
            same && names(upper.as_fd()).is_empty()
        }
        Err(Errno::ENOENT) => true,
        Err(_) => false,
    }
}

//! Where runs are found by name: a directory with one socket for each.
//!
//! * **Who is alive.** A supervisor listens on its socket for as long as it lives, and the kernel refuses
//!   whoever connects to one on which nobody listens (ECONNREFUSED, connect(2)). No number of a process is
//!   kept, which could be another's by now.
//! * **Who comes first.** Names are made and removed under a lock of the directory, so that nobody takes a
//!   name for one that was left behind which has just been taken again.
//! * **Who gets in.** The directory is the user's, with mode 0700, or it is not used. Guests of the same user
//!   are kept out by every policy ([`directory`] is among `rxbox_policy::Variables::unseen`).

use super::Name;
use crate::host::name::reopen_name;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, OFlag, openat};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, setsockopt, socket, sockopt,
};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Who connected and has not been let in yet, at most.
const WAITING: i32 = 16;
/// How often the lock of the directory is tried, and how long apart.
const TRIES: (u32, Duration) = (200, Duration::from_millis(10));
/// Milliseconds that whoever connects waits for the supervisor.
const PATIENCE: i64 = 3000;

/// Why a run cannot be found, or found by its name later.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The directory cannot be used.
    #[error("{}: {why}", directory.display())]
    Directory {
        /// Which one.
        directory: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// Another run has the name.
    #[error("a run is called {name} already, which `rxbox ps` shows; {free} is free")]
    Taken {
        /// The name.
        name: Name,
        /// One that no run has.
        free: String,
    },
    /// The host fails.
    #[error("{name}: {}", errno.desc())]
    Name {
        /// The name of the run.
        name: Name,
        /// Why.
        errno: Errno,
    },
}

/// The directory for this user's runs. Those of root are where the system keeps such things, since its
/// environment may be that of another user; others' in what the session gives them, or, where there is no
/// session, in one for temporary files.
pub fn directory() -> PathBuf {
    let user = geteuid();
    if user.is_root() {
        return "/run/rxbox".into();
    }
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let usual = || Some(PathBuf::from(format!("/run/user/{user}"))).filter(|path| path.is_dir());
    match session.or_else(usual) {
        Some(session) => session.join("rxbox"),
        None => format!("/tmp/rxbox-{user}").into(),
    }
}

/// The directory, open.
#[derive(Debug)]
pub struct Registry(OwnedFd);

impl Registry {
    /// Opens the directory, and makes it if it is not there.
    ///
    /// # Errors
    /// It cannot be made, or others could enter it.
    pub fn open() -> Result<Registry, RegistryError> {
        Registry::at(&directory())
    }

    fn at(path: &Path) -> Result<Registry, RegistryError> {
        let failed = |why| RegistryError::Directory { directory: path.to_owned(), why };
        match mkdirat(AT_FDCWD, path, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(e) => return Err(failed(e.desc())),
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let directory = openat(AT_FDCWD, path, flags, Mode::empty()).map_err(|e| failed(e.desc()))?;
        let status = fstat(&directory).map_err(|e| failed(e.desc()))?;
        if status.st_uid != geteuid().as_raw() {
            return Err(failed("it is another user's"));
        }
        if status.st_mode & 0o077 != 0 {
            return Err(failed("other users may enter it; its mode has to be 0700"));
        }
        Ok(Registry(directory))
    }

    /// Takes a name: a socket, on which this process listens from now on, that neither waits nor is
    /// inherited.
    ///
    /// # Errors
    /// Another run has it; the host fails.
    pub fn claim(&self, name: &Name) -> Result<OwnedFd, RegistryError> {
        let failed = |errno| RegistryError::Name { name: name.clone(), errno };
        let _alone = self.lock().map_err(failed)?;
        let listener = new_socket(SockFlag::SOCK_NONBLOCK).map_err(failed)?;
        let address = self.address(name.as_str()).map_err(failed)?;
        let bound = match bind(listener.as_raw_fd(), &address) {
            Err(Errno::EADDRINUSE) if self.is_left(name.as_str()) => {
                self.remove(name.as_str());
                bind(listener.as_raw_fd(), &address)
            }
            bound => bound,
        };
        match bound {
            Err(Errno::EADDRINUSE) => {
                let taken = self.entries();
                let others = (2..).map(|n| format!("{name}-{n}"));
                let free = others.into_iter().find(|other| !taken.contains(other)).unwrap_or_default();
                return Err(RegistryError::Taken { name: name.clone(), free });
            }
            bound => bound.map_err(failed)?,
        }
        Backlog::new(WAITING).and_then(|most| listen(&listener, most)).map_err(failed)?;
        Ok(listener)
    }

    /// A connection to the run of this name, which waits for messages a while; nothing if there is none.
    ///
    /// # Errors
    /// It takes none, or the host fails.
    pub fn connect(&self, name: &str) -> Result<Option<OwnedFd>, Errno> {
        let line = new_socket(SockFlag::empty())?;
        let patience = TimeVal::milliseconds(PATIENCE);
        setsockopt(&line, sockopt::SendTimeout, &patience)?;
        setsockopt(&line, sockopt::ReceiveTimeout, &patience)?;
        match connect(line.as_raw_fd(), &self.address(name)?) {
            Ok(()) => Ok(Some(line)),
            Err(Errno::ECONNREFUSED | Errno::ENOENT) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The names of runs, in order. What runs have left that were killed is removed.
    ///
    /// # Errors
    /// The directory cannot be locked.
    pub fn names(&self) -> Result<Vec<Name>, Errno> {
        self.sweep()?;
        let mut names: Vec<Name> = self.entries().iter().filter_map(|name| name.parse().ok()).collect();
        names.sort();
        Ok(names)
    }

    /// Removes what runs have left that are over.
    fn sweep(&self) -> Result<(), Errno> {
        let _alone = self.lock()?;
        self.entries().iter().filter(|name| self.is_left(name)).for_each(|name| self.remove(name));
        Ok(())
    }

    /// Whether nobody listens on the socket of this name. The lock is held.
    fn is_left(&self, name: &str) -> bool {
        let probe = || connect(new_socket(SockFlag::SOCK_NONBLOCK)?.as_raw_fd(), &self.address(name)?);
        probe() == Err(Errno::ECONNREFUSED)
    }

    fn remove(&self, name: &str) {
        let _ = unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir);
    }

    /// What lies in the directory.
    fn entries(&self) -> Vec<String> {
        let path = reopen_name(self.0.as_fd());
        let entries = std::fs::read_dir(OsStr::from_bytes(path.absolute().to_bytes()));
        let entries = entries.into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// The address of a name, by the open directory: however long the way there is, it has room.
    fn address(&self, name: &str) -> Result<UnixAddr, Errno> {
        let mut path = reopen_name(self.0.as_fd()).absolute().to_bytes().to_vec();
        path.push(b'/');
        path.extend_from_slice(name.as_bytes());
        UnixAddr::new(path.as_slice())
    }

    /// Those who change the directory wait for each other, for as long as none of them can need.
    fn lock(&self) -> Result<Flock<OwnedFd>, Errno> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let (most, apart) = TRIES;
        for _ in 0..most {
            let own = openat(self.0.as_fd(), ".", flags, Mode::empty())?;
            match Flock::lock(own, FlockArg::LockExclusiveNonblock) {
                Err((_, Errno::EAGAIN)) => std::thread::sleep(apart),
                locked => return locked.map_err(|(_, e)| e),
            }
        }
        Err(Errno::EBUSY)
    }
}

/// Removes what this user's runs have left that are over; what cannot be removed stays.
pub fn sweep() {
    if let Ok(registry) = Registry::open() {
        let _ = registry.sweep();
    }
}

fn new_socket(flags: SockFlag) -> Result<OwnedFd, Errno> {
    socket(AddressFamily::Unix, SockType::SeqPacket, flags | SockFlag::SOCK_CLOEXEC, None)
}

/// The process and the user at the other end of a connection, as they were when it was made.
///
/// # Errors
/// As getsockopt(2).
pub fn peer(line: BorrowedFd<'_>) -> Result<(i32, u32), Errno> {
    let peer = nix::sys::socket::getsockopt(&line, sockopt::PeerCredentials)?;
    Ok((peer.pid(), peer.uid()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(what: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("rxbox-registry-{what}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_is_one_runs_for_as_long_as_that_listens() {
        let scratch = Scratch::new("names");
        let registry = Registry::at(&scratch.0).unwrap();
        let listener = registry.claim(&name("web")).unwrap();
        let error = registry.claim(&name("web")).unwrap_err().to_string();
        assert_eq!(error, "a run is called web already, which `rxbox ps` shows; web-2 is free");
        assert!(registry.connect("web").unwrap().is_some() && registry.connect("other").unwrap().is_none());
        assert_eq!(registry.names().unwrap(), [name("web")]);
        drop(listener);
        // What is left is no run's, and gives its name away.
        assert!(scratch.0.join("web").exists() && registry.connect("web").unwrap().is_none());
        let again = registry.claim(&name("web")).unwrap();
        drop(again);
        assert!(registry.names().unwrap().is_empty() && !scratch.0.join("web").exists());
    }

    #[test]
    fn of_many_who_want_a_name_that_was_left_behind_one_gets_it() {
        let scratch = Scratch::new("race");
        drop(Registry::at(&scratch.0).unwrap().claim(&name("x")).unwrap());
        let claim = || Registry::at(&scratch.0).unwrap().claim(&name("x")).ok();
        let got: Vec<_> = std::thread::scope(|s| {
            let threads: Vec<_> = (0..8).map(|_| s.spawn(claim)).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(got.len(), 1);
    }

    #[test]
    fn a_directory_that_others_may_enter_or_that_is_a_link_is_not_used() {
        let scratch = Scratch::new("mode");
        std::fs::create_dir(&scratch.0).unwrap();
        std::fs::set_permissions(&scratch.0, PermissionsExt::from_mode(0o755)).unwrap();
        assert!(Registry::at(&scratch.0).unwrap_err().to_string().contains("0700"));
        let link = scratch.0.join("link");
        std::fs::set_permissions(&scratch.0, PermissionsExt::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink(&scratch.0, &link).unwrap();
        assert!(Registry::at(&link).is_err() && Registry::at(&scratch.0).is_ok());
    }
}

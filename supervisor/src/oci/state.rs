//! What is known of containers: a directory for each below `--root`, with a file that is replaced as a whole,
//! and the socket on which its supervisor is asked.
//!
//! A container's process is known by its number and its time of start, which no later process of that number
//! has. Whatever acts on it holds it by a descriptor first.

use crate::host::name::reopen_name;
use crate::host::process::ProcessHandle;
use crate::host::stat::Stat;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket};
use nix::sys::stat::Mode;
use nix::unistd::geteuid;
use oci_spec::runtime::Hook;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The version of the specification.
pub(super) const VERSION: &str = "1.0.2";
const FILE: &str = "state.json";
const SOCKET: &str = "control";
/// The field of `/proc/PID/stat` with the time of start.
const STARTED: usize = 22;

/// How far a container has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Creating,
    Created,
    Running,
    Paused,
    Stopped,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        }
    }
}

/// What is kept of a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) id: String,
    /// Its process: rxbox's job process.
    pub(super) pid: i32,
    /// When that was started, in ticks since the host was.
    started: u64,
    status: Status,
    pub(super) bundle: PathBuf,
    pub(super) rootfs: PathBuf,
    pub(super) annotations: HashMap<String, String>,
    /// When it was made: RFC 3339.
    pub(super) created: String,
    /// The user who made it.
    pub(super) owner: u32,
    /// Its cgroups.
    pub(super) cgroups: Vec<PathBuf>,
    pub(super) poststart: Option<Vec<Hook>>,
    pub(super) poststop: Option<Vec<Hook>>,
    /// The first process, as config.json has it: what others that are started in it begin with.
    pub(super) process: Value,
}

/// A container's directory.
#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
    id: String,
}

/// Where containers are kept if nothing else is said.
pub(super) fn default_root() -> PathBuf {
    let own = std::env::var_os("XDG_RUNTIME_DIR").filter(|_| !geteuid().is_root());
    own.map_or_else(|| "/run".into(), PathBuf::from).join("rxbox-oci")
}

impl Home {
    /// The directory of a container of this name.
    ///
    /// # Errors
    /// The name is none.
    pub(super) fn of(root: &Path, id: &str) -> Result<Home, String> {
        let good = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
        if id.is_empty() || id.starts_with('.') || id.len() > 1024 || !id.chars().all(good) {
            return Err(format!("{id:?} is no name of a container"));
        }
        Ok(Home { path: root.join(id), id: id.to_owned() })
    }

    /// Makes it.
    ///
    /// # Errors
    /// There is a container of this name; the host fails.
    pub(super) fn make(&self) -> Result<(), String> {
        let failed = |e: std::io::Error| format!("{}: {e}", self.path.display());
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700);
        if let Some(root) = self.path.parent() {
            builder.recursive(true).create(root).map_err(failed)?;
        }
        match builder.recursive(false).create(&self.path) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(format!("container with id exists: {}", self.id))
            }
            made => made.map_err(failed),
        }
    }

    /// Removes it.
    pub(super) fn remove(&self) -> Result<(), String> {
        fs::remove_dir_all(&self.path).map_err(|e| format!("{}: {e}", self.path.display()))
    }

    /// The socket of the supervisor, on which this process listens from now on.
    ///
    /// # Errors
    /// As bind(2), listen(2).
    pub(super) fn listen(&self) -> Result<OwnedFd, Errno> {
        let listener = new_socket(SockFlag::SOCK_NONBLOCK)?;
        self.with_address(|address| bind(listener.as_raw_fd(), address))?;
        listen(&listener, Backlog::new(16)?)?;
        Ok(listener)
    }

    /// A connection to the supervisor.
    ///
    /// # Errors
    /// As connect(2).
    pub(super) fn connect(&self) -> Result<OwnedFd, Errno> {
        let line = new_socket(SockFlag::empty())?;
        self.with_address(|address| connect(line.as_raw_fd(), address))?;
        Ok(line)
    }

    /// The address of the socket by the open directory: there is room for that, however long the way there.
    fn with_address(&self, act: impl FnOnce(&UnixAddr) -> Result<(), Errno>) -> Result<(), Errno> {
        let directory = open(&self.path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
        let mut path = reopen_name(directory.as_fd()).absolute().to_bytes().to_vec();
        path.extend([b"/", SOCKET.as_bytes()].concat());
        act(&UnixAddr::new(path.as_slice())?)
    }

    /// What is kept.
    ///
    /// # Errors
    /// There is no such container.
    pub(super) fn read(&self) -> Result<State, String> {
        let text = fs::read(self.path.join(FILE)).map_err(|e| match e.kind() {
            // The words by which engines know that it is gone.
            std::io::ErrorKind::NotFound => format!("container {} does not exist", self.id),
            _ => format!("{}: {e}", self.path.display()),
        })?;
        serde_json::from_slice(&text).map_err(|e| format!("{}: {e}", self.path.join(FILE).display()))
    }

    /// Keeps it in place of what was kept.
    ///
    /// # Errors
    /// The host fails.
    pub(super) fn write(&self, state: &State) -> Result<(), String> {
        let failed = |e: std::io::Error| format!("{}: {e}", self.path.display());
        let text = serde_json::to_vec(state).map_err(|e| e.to_string())?;
        let new = self.path.join(format!("{FILE}.{}", std::process::id()));
        fs::write(&new, text).and_then(|()| fs::rename(&new, self.path.join(FILE))).map_err(failed)
    }
}

fn new_socket(flags: SockFlag) -> Result<OwnedFd, Errno> {
    socket(AddressFamily::Unix, SockType::SeqPacket, flags | SockFlag::SOCK_CLOEXEC, None)
}

/// The names of containers, in order.
pub(super) fn names(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter(|entry| entry.path().join(FILE).metadata().is_ok_and(|m| m.uid() == geteuid().as_raw()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

impl State {
    /// Of a container whose process has just been started.
    pub(super) fn new(id: &str, bundle: &super::bundle::Bundle, pid: i32) -> State {
        let hooks = bundle.spec.hooks().as_ref();
        State {
            id: id.to_owned(),
            pid,
            started: started(pid).unwrap_or(0),
            status: Status::Creating,
            bundle: bundle.path.clone(),
            rootfs: bundle.rootfs.clone(),
            annotations: bundle.spec.annotations().clone().unwrap_or_default(),
            created: now(),
            owner: geteuid().as_raw(),
            cgroups: Vec::new(),
            poststart: hooks.and_then(|hooks| hooks.poststart().clone()),
            poststop: hooks.and_then(|hooks| hooks.poststop().clone()),
            process: bundle.spec.process().as_ref().map_or(Value::Null, |process| json!(process)),
        }
    }

    /// The same, further on.
    pub(super) fn at(self, status: Status) -> State {
        State { status, ..self }
    }

    /// How far it has come by now.
    pub(super) fn status(&self) -> Status {
        if self.process().is_none() {
            return Status::Stopped;
        }
        if super::cgroup::is_frozen(&self.cgroups) { Status::Paused } else { self.status }
    }

    /// Its process, if that is there and has not ended.
    pub(super) fn process(&self) -> Option<ProcessHandle> {
        let process = ProcessHandle::open(self.pid).ok()?;
        let same = process.look(|pid| Ok(started(pid) == Some(self.started) && self.started != 0));
        (same == Ok(true) && !process.has_ended()).then_some(process)
    }

    /// What engines and hooks are told.
    pub(super) fn told(&self) -> Value {
        let status = self.status();
        let pid = if status == Status::Stopped { 0 } else { self.pid };
        json!({
            "ociVersion": VERSION,
            "id": self.id,
            "pid": pid,
            "status": status.name(),
            "bundle": self.bundle,
            "rootfs": self.rootfs,
            "created": self.created,
            "annotations": self.annotations,
            "owner": if self.owner == 0 { "root".to_owned() } else { self.owner.to_string() },
        })
    }
}

fn started(pid: i32) -> Option<u64> {
    Some(Stat::of_process(pid)?.field(STARTED))
}

/// The time of day: RFC 3339, in UTC.
fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    rfc3339(since.as_secs(), since.subsec_nanos())
}

/// The date of a day by Howard Hinnant's `civil_from_days`.
pub(super) fn rfc3339(seconds: u64, nanos: u32) -> String {
    let (days, rest) = (seconds / 86400, seconds % 86400);
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(rfc3339(0, 5), "1970-01-01T00:00:00.000000005Z");
        assert_eq!(rfc3339(951_826_332, 0), "2000-02-29T12:12:12.000000000Z");
        assert_eq!(rfc3339(4_102_444_799, 0), "2099-12-31T23:59:59.000000000Z");
    }

    #[test]
    fn names_lead_nowhere_else() {
        for id in ["", ".", "..", "a/b", "../x", "a b"] {
            assert!(Home::of(Path::new("/run/x"), id).is_err(), "{id}");
        }
        assert!(Home::of(Path::new("/run/x"), "a_B+9-.c").is_ok());
    }
}

//! A guest for tests: a process under a policy, in a scratch directory, without an emulator child.

#![cfg_attr(fuzzing, allow(dead_code, reason = "the fuzz targets need a part of it"))]
#![allow(clippy::unwrap_used, reason = "a test ends by a panic")]

use crate::caller::Caller;
use crate::host::credentials::own;
use crate::host::process::ProcessHandle;
use crate::host::shm::Channel;
use crate::report::trace::Trace;
use crate::sandbox::Sandbox;
use crate::state::budget::Budget;
use crate::state::fd::FdTable;
use crate::state::names::Dir;
use crate::state::place::Place;
use crate::state::process::{ExeRecord, Fork, Line, Process, Rlimit, State};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use rxbox_policy::{Files, Named, Policy, Variables};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A scratch directory, gone when dropped.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Scratch {
        Scratch::at(&std::env::temp_dir())
    }
    pub(crate) fn at(place: &Path) -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rxbox-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = place.canonicalize().unwrap().join(name);
        std::fs::create_dir(&path).unwrap();
        Scratch(path)
    }
    pub(crate) fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What a test leaves unreadable stays behind in the temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One profile in memory over the host's files.
struct Profile(String);

impl Files for Profile {
    fn read(&self, _: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn exists(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }
    fn named(&self, path: &Path) -> Named {
        path.read_link().map_or(Named::Other, Named::Link)
    }
    fn directories_and_links(&self, directory: &Path) -> Vec<OsString> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name()).collect()
    }
    fn spells_freely(&self, _: &Path) -> Option<&'static str> {
        None
    }
    fn profile_folders(&self) -> Vec<PathBuf> {
        Vec::new()
    }
    fn lookup_profile(&self, name: &str) -> Option<(PathBuf, String)> {
        (name == "test").then(|| ("/test.toml".into(), self.0.clone()))
    }
}

/// A guest process that runs `true` in the scratch directory.
pub(crate) struct Guest {
    pub(crate) sandbox: Sandbox,
    pub(crate) process: Arc<Process>,
}

/// A sandbox that tells nobody anything.
pub(crate) fn sandbox(policy: Policy, budget: &Arc<Budget>) -> Sandbox {
    let serve = crate::worker::serve;
    Sandbox::new(Arc::new(policy), Vec::new(), Trace::default(), Vec::new(), budget.clone(), serve).unwrap()
}

impl Guest {
    /// A guest under this `[filesystem]` section, in which `@` stands for the scratch directory.
    pub(crate) fn under(scratch: &Scratch, filesystem: &str) -> Guest {
        let section = filesystem.replace('@', scratch.text());
        let text = format!("version = 1\n[filesystem]\n{section}\n[audit]\ndenials = \"none\"\n");
        let policy =
            Policy::load("test", &Profile(text), &Variables::default()).map_err(|e| e.to_string()).unwrap();
        let budget = Budget::new(1 << 16);
        let sandbox = sandbox(policy, &budget);
        let state = State {
            place: Place::new(
                Arc::new(Dir { fd: hold(&scratch.0), path: scratch.0.as_os_str().as_bytes().into() }),
                0o022,
            ),
            credentials: Arc::new(own().unwrap().without_capabilities()),
            exe: Arc::new(ExeRecord {
                fd: hold(Path::new("/bin/true")),
                path: Path::new("/bin/true").canonicalize().unwrap().as_os_str().as_bytes().into(),
                arguments: vec![b"true".to_vec(), b"-x".to_vec()],
                environment: vec![b"GUEST=1".to_vec()],
            }),
            limits: [Rlimit { soft: 1024, hard: 4096 }; 16],
        };
        let pid = std::process::id() as i32;
        let fds = FdTable::new(1024, budget);
        let start = Fork::first(Line::new(Channel::new().unwrap()).unwrap().0, fds, state);
        let process = Arc::new(Process::new(1, ProcessHandle::open(pid).unwrap(), start));
        sandbox.add_process(process.clone()).unwrap();
        Guest { sandbox, process }
    }

    /// A guest that may do everything.
    pub(crate) fn free(scratch: &Scratch) -> Guest {
        Guest::under(scratch, "write = [\"/\"]\nexecute = [\"/\"]")
    }

    pub(crate) fn caller(&self) -> Caller<'_> {
        Caller { sandbox: &self.sandbox, process: &self.process, tid: self.process.pid, call: "test" }
    }
}

fn hold(path: &Path) -> OwnedFd {
    open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).unwrap()
}

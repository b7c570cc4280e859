//! Handlers called as a worker calls them: a request is packed and checked as on the channel, and what a
//! guest would find in its memory afterwards is looked at.

#![cfg_attr(fuzzing, allow(dead_code, reason = "the fuzz targets need a part of it"))]
#![allow(clippy::unwrap_used, reason = "a test ends by a panic")]

use super::ALL;
use super::effect::judge_command;
use crate::context::{Call, Handler};
use crate::files::HostFiles;
use crate::host::SyscallResult;
use crate::host::credentials::own;
use crate::host::number::{NewFd, new_fd};
use crate::host::process::ProcessHandle;
use crate::host::shm::{Area, Channel};
use crate::sandbox::Sandbox;
use crate::state::budget::Budget;
use crate::state::fd::{FdTable, File};
use crate::state::process::{ExeRecord, Fork, LIMITS, Line, Process, Rlimit, State};
use rxbox_policy::{Files, Named, Policy, Variables};
use rxbox_wire::frame::{self, Checked, Reply, Request};
use rxbox_wire::sizes::{ABSENT, DATA_SIZE};
use rxbox_wire::table::{by_name, kinds};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

/// A guest process in a sandbox of its own.
pub(crate) struct Guest {
    pub(crate) sandbox: Sandbox,
    pub(crate) process: Arc<Process>,
    /// The child's ends of the control sockets, that of the first process first.
    pub(crate) ends: Mutex<Vec<OwnedFd>>,
}

/// What one call did.
#[derive(Debug, PartialEq)]
pub(crate) struct Done {
    pub(crate) answer: SyscallResult,
    pub(crate) out: [Vec<u8>; 6],
    pub(crate) flags: u32,
}

/// An argument.
pub(crate) enum A<'a> {
    /// A number.
    N(i64),
    /// Memory with this content.
    M(&'a [u8]),
    /// Memory of this size.
    Room(usize),
    /// A null pointer.
    Null,
}

/// A host's files with one profile more.
struct OneProfile<'a>(&'a str);

impl Files for OneProfile<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        if path == Path::new("/test.toml") { Ok(self.0.to_owned()) } else { HostFiles::default().read(path) }
    }
    fn exists(&self, path: &Path) -> bool {
        HostFiles::default().exists(path)
    }
    fn named(&self, path: &Path) -> Named {
        HostFiles::default().named(path)
    }
    fn directories_and_links(&self, directory: &Path) -> Vec<std::ffi::OsString> {
        HostFiles::default().directories_and_links(directory)
    }
    fn spells_freely(&self, _: &Path) -> Option<&'static str> {
        None
    }
    fn profile_folders(&self) -> Vec<PathBuf> {
        Vec::new()
    }
    fn lookup_profile(&self, name: &str) -> Option<(PathBuf, String)> {
        HostFiles::default().lookup_profile(name)
    }
}

/// A process id that no process of the host has.
pub(crate) const NOBODY: i32 = i32::MAX - 1;

/// Stands for a process that has ended.
pub(crate) fn ended() -> OwnedFd {
    static ENDED: OnceLock<OwnedFd> = OnceLock::new();
    let ended = ENDED.get_or_init(|| {
        let mut child = Command::new("/bin/true").spawn().unwrap();
        let pidfd = new_fd(NewFd::Pidfd, [child.id().into(), 0, 0]).unwrap();
        child.wait().unwrap();
        pidfd
    });
    ended.try_clone().unwrap()
}

/// Stands for a process that goes on: this one.
pub(crate) fn living() -> OwnedFd {
    new_fd(NewFd::Pidfd, [std::process::id().into(), 0, 0]).unwrap()
}

/// A profile that allows everything.
const FREE: &str = "version = 1\nextends = [\"permissive\"]\n";

pub(crate) fn null() -> OwnedFd {
    std::fs::File::open("/dev/null").unwrap().into()
}

/// A process with this id, whose parent is `ppid`.
fn process(pid: i32, ppid: i32, pidfd: OwnedFd, budget: &Arc<Budget>) -> (Arc<Process>, OwnedFd) {
    let exe = ExeRecord {
        fd: null(),
        path: (*b"/bin/guest").into(),
        arguments: Vec::new(),
        environment: Vec::new(),
    };
    let limits = [Rlimit { soft: u64::MAX, hard: u64::MAX }; LIMITS];
    let state = State::host(exe, own().unwrap().without_capabilities(), 0o022, limits).unwrap();
    let fds = FdTable::new(64, budget.clone());
    let (line, end) = Line::new(Channel::new().unwrap()).unwrap();
    (Arc::new(Process::new(ppid, ProcessHandle::of_parts(pid, pidfd), Fork::first(line, fds, state))), end)
}

/// The test's own process as one of a sandbox, and the child's end of its control socket.
pub(crate) fn this_process(budget: &Arc<Budget>) -> (Arc<Process>, OwnedFd) {
    process(std::process::id() as i32, 1, living(), budget)
}

impl Guest {
    /// Under a profile with this text.
    pub(crate) fn under(profile: &str) -> Guest {
        Guest::with(profile, ended())
    }

    /// Under a profile that allows everything, and taken for alive.
    pub(crate) fn living() -> Guest {
        Guest::with(FREE, living())
    }

    fn with(profile: &str, pidfd: OwnedFd) -> Guest {
        let policy = Policy::load("/test.toml", &OneProfile(profile), &Variables::default()).unwrap();
        let budget = Budget::new(10_000);
        let sandbox = crate::path::fixture::sandbox(policy, &budget);
        let (process, end) = process(NOBODY, 1, pidfd, &budget);
        sandbox.add_process(process.clone()).unwrap();
        Guest { sandbox, process, ends: Mutex::new(vec![end]) }
    }

    /// Under a profile that allows everything.
    pub(crate) fn free() -> Guest {
        Guest::under(FREE)
    }

    /// One more process in the same sandbox.
    pub(crate) fn add(&self, pid: i32, pidfd: OwnedFd) -> Arc<Process> {
        let (process, end) = process(pid, self.process.pid, pidfd, &self.sandbox.budget);
        self.ends.lock().unwrap().push(end);
        self.sandbox.add_process(process.clone()).unwrap();
        process
    }

    /// Gives the guest a file.
    pub(crate) fn give(&self, host: impl Into<OwnedFd>) -> i64 {
        self.process.fds.insert(File::made(host.into()).unwrap(), false, 0).unwrap().into()
    }

    /// A call of the guest's only process.
    pub(crate) fn call(&self, name: &str, args: &[A<'_>]) -> Done {
        self.call_as(&self.process, name, args)
    }

    /// Its answer alone.
    pub(crate) fn ask(&self, name: &str, args: &[A<'_>]) -> SyscallResult {
        self.call(name, args).answer
    }

    /// A call of one of its processes.
    pub(crate) fn call_as(&self, process: &Arc<Process>, name: &str, args: &[A<'_>]) -> Done {
        self.call_with(process, 0, name, args)
    }

    /// A call whose data are the beginning of a longer transfer.
    pub(crate) fn part(&self, name: &str, args: &[A<'_>]) -> Done {
        self.call_with(&self.process, Request::PART, name, args)
    }

    fn call_with(&self, process: &Arc<Process>, flags: u32, name: &str, args: &[A<'_>]) -> Done {
        const ADDRESS: u64 = 0x10_0000;
        let row = by_name(name).unwrap();
        let mut request = Request { nr: row.nr, flags, args: [0; 6], len: [ABSENT; 6] };
        for (i, arg) in args.iter().enumerate() {
            (request.args[i], request.len[i]) = match arg {
                A::N(n) => (*n as u64, ABSENT),
                A::M(m) => (ADDRESS, m.len() as u32),
                A::Room(n) => (ADDRESS, *n as u32),
                A::Null => (0, ABSENT),
            };
        }
        // As an honest child tells of null pointers, of arguments that are left out here among them.
        let (kinds, _) = kinds(row, &request.args);
        for (i, len) in request.len.iter_mut().enumerate() {
            if request.args[i] == 0 && *len == ABSENT {
                *len = frame::null(&kinds, i, &request.args).unwrap_or(0);
            }
        }
        let checked = request.check().unwrap();
        let mut memory = vec![0u8; DATA_SIZE];
        for (arg, place) in args.iter().zip(checked.place) {
            if let A::M(m) = arg {
                memory[place.range()].copy_from_slice(m);
            }
        }
        let input = std::array::from_fn(|i| memory[checked.place[i].range()].to_vec());
        let (answer, reply) = self.serve(process, request, checked, input, &mut memory);
        let filled = |i: usize| &memory[checked.place[i].start..][..reply.out[i] as usize];
        Done { answer, out: std::array::from_fn(|i| filled(i).to_vec()), flags: reply.flags }
    }

    fn serve(
        &self,
        process: &Arc<Process>,
        request: Request,
        checked: Checked,
        input: [Vec<u8>; 6],
        memory: &mut [u8],
    ) -> (SyscallResult, Reply) {
        let mut call = Call {
            sandbox: &self.sandbox,
            process,
            tid: process.pid,
            slot: 0,
            request,
            checked,
            input,
            reply: Reply { ret: 0, flags: 0, out: [0; 6] },
            area: Area::from_slice(memory),
        };
        let answer = match judge_command(&mut call) {
            Ok(()) => handler(checked.call.name)(&mut call),
            Err(denied) => Err(denied),
        };
        (answer, call.reply)
    }
}

fn handler(name: &str) -> Handler {
    ALL.iter().copied().flatten().find(|(n, _)| *n == name).map(|(_, h)| *h).unwrap()
}

/// The number in the first four bytes.
pub(crate) fn number(bytes: &[u8]) -> i64 {
    i32::from_le_bytes(bytes[..4].try_into().unwrap()).into()
}

/// The `n`th 64-bit word.
pub(crate) fn word(bytes: &[u8], n: usize) -> u64 {
    u64::from_le_bytes(bytes[8 * n..8 * n + 8].try_into().unwrap())
}

/// 64-bit words as memory.
pub(crate) fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

//! Processes that are started in a container beside its first one.
//!
//! Whoever asks for one has a connection to the monitor, which stands for it: signals that come there are for
//! it, it is killed if the connection ends, and its end is told there. Starting one looks at files of the
//! container's and waits for the init process, so a thread of its own does it; what the init process says
//! comes through the event loop. One is started at a time.

use crate::confine::descriptors;
use crate::host::credentials::{Capabilities, Credentials, Ids};
use crate::host::fork_gate::ForkGate;
use crate::launch::inherited::Inherited;
use crate::launch::init::{Init, Orders, StartError};
use crate::launch::manager::Told;
use crate::launch::program::{self, Program};
use crate::launch::{Guest, launch_further};
use crate::monitor::message::{Further, Reply, tell};
use crate::report::outcome::Outcome;
use crate::sandbox::Sandbox;
use crate::sandbox::forks::Forks;
use crate::state::process::Process;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::socket::MsgFlags;
use nix::sys::stat::Mode;
use rxbox_wire::log::LogItems;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the init process says of a child that it was to start.
type Started = Result<(i32, Option<ForkGate>), StartError>;

/// What is known of them.
#[derive(Debug, Default)]
struct Known {
    /// For whom one is being started.
    starting: Option<i32>,
    /// For whom each runs, by its number on the host.
    running: HashMap<i32, i32>,
    /// The processes, once they are known, by the one for whom they run.
    processes: HashMap<i32, Arc<Process>>,
    /// Those for whom one was started and who have gone.
    gone: HashSet<i32>,
}

/// The processes that are started in a container beside its first one.
#[derive(Debug)]
pub struct Executions {
    known: Arc<Mutex<Known>>,
    line: Arc<Mutex<(Orders, Receiver<Started>)>>,
    answers: Sender<Started>,
    inherited: Arc<Inherited>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Executions {
    /// Of a run whose first process inherited this.
    ///
    /// # Errors
    /// There are no more descriptors.
    pub(super) fn new(init: &Init, inherited: Arc<Inherited>) -> Result<Executions, Errno> {
        let (answers, received) = channel();
        let line = Arc::new(Mutex::new((init.orders()?, received)));
        Ok(Executions { known: Arc::default(), line, answers, inherited })
    }

    /// The init process has answered. Whoever waits for that has asked.
    pub(super) fn started(&self, started: Started) {
        let mut known = lock(&self.known);
        if let (Some(client), Ok((child, _))) = (known.starting.take(), &started) {
            known.running.insert(*child, client);
        }
        drop(known);
        let _ = self.answers.send(started);
    }

    /// A process has ended: for whom it ran.
    pub(super) fn ended(&self, child: i32) -> Option<i32> {
        let mut known = lock(&self.known);
        let client = known.running.remove(&child)?;
        known.processes.remove(&client);
        Some(client)
    }

    /// The process that runs for somebody.
    pub(super) fn process_of(&self, client: i32) -> Option<Arc<Process>> {
        lock(&self.known).processes.get(&client).cloned()
    }

    /// Somebody has gone, and what runs for them ends.
    pub(super) fn client_gone(&self, client: i32) {
        let mut known = lock(&self.known);
        if let Some(process) = known.processes.get(&client) {
            process.kill();
        }
        if known.starting == Some(client) || known.running.values().any(|of| *of == client) {
            known.gone.insert(client);
        }
    }

    /// Starts one for somebody, who hears of it.
    pub(super) fn begin(
        &self,
        sandbox: &Arc<Sandbox>,
        (client, reply_to): (i32, OwnedFd),
        asked: Box<Further>,
        streams: Vec<OwnedFd>,
    ) {
        let (known, line, inherited) = (self.known.clone(), self.line.clone(), self.inherited.clone());
        let sandbox = sandbox.clone();
        let work = move || {
            let start = |channel: std::os::fd::BorrowedFd<'_>, control: std::os::fd::BorrowedFd<'_>| {
                let failed = |e: Errno| Outcome::Failed(format!("the init process: {}", e.desc()));
                let line = lock(&line);
                lock(&known).starting = Some(client);
                line.0.start(channel, control, streams.get(3).map(AsFd::as_fd)).map_err(failed)?;
                let started = line.1.recv().map_err(|_| failed(Errno::EPIPE))?;
                let (child, gate) = started.map_err(|e| Outcome::Failed(e.to_string()))?;
                if let Some(gate) = gate {
                    keep_gate(&sandbox, gate).map_err(|e| Outcome::Failed(e.to_string()))?;
                }
                Ok(child)
            };
            let reply = match execute(&sandbox, &asked, &streams, &inherited, start) {
                Ok(process) => {
                    let mut known = lock(&known);
                    if known.gone.remove(&client) {
                        process.kill();
                    }
                    if known.running.values().any(|of| *of == client) {
                        known.processes.insert(client, process);
                    }
                    Reply::Done
                }
                Err(outcome) => Reply::Refused { why: outcome.message().unwrap_or_default() },
            };
            // One that is gone needs no answer.
            let _ = tell(reply_to.as_fd(), &reply, MsgFlags::MSG_DONTWAIT);
        };
        // Without a thread the one who asks hears nothing, until the run ends.
        let _ = std::thread::Builder::new().name("exec".to_owned()).spawn(work);
    }
}

/// Lets forks through in a thread of its own: they wait for that alone.
pub(super) fn keep_gate(sandbox: &Arc<Sandbox>, gate: ForkGate) -> std::io::Result<()> {
    let (sandbox, pids) = (sandbox.clone(), sandbox.pids());
    let keep = move || {
        // An error is the kernel's word that no more come.
        while let Ok(asking) = gate.next() {
            if let Some(asking) = asking {
                gate.answer(&asking, Forks::may_pass(&sandbox.processes, &pids, asking.thread));
            }
        }
    };
    std::thread::Builder::new().name("forks".to_owned()).spawn(keep).map(drop)
}

fn execute(
    sandbox: &Arc<Sandbox>,
    asked: &Further,
    streams: &[OwnedFd],
    inherited: &Inherited,
    start: impl FnOnce(std::os::fd::BorrowedFd<'_>, std::os::fd::BorrowedFd<'_>) -> Result<i32, Outcome>,
) -> Result<Arc<Process>, Outcome> {
    const SEARCH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let variables = asked.environment.iter().filter_map(|variable| variable.split_once('='));
    let variables = variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let join = |(name, value): (OsString, OsString)| [name.as_bytes(), b"=", value.as_bytes()].concat();
    let envp: Vec<Vec<u8>> = sandbox.policy.environment(variables).into_iter().map(join).collect();
    let search = envp.iter().find_map(|variable| variable.strip_prefix(b"PATH=")).unwrap_or(SEARCH);
    let name = asked.words.first().map_or(&[][..], |word| word.as_bytes());
    let program = found(name, search, &asked.cwd)?;
    program::permitted(&sandbox.policy, &program)?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let cwd = open(asked.cwd.as_str(), flags, Mode::empty());
    let cwd =
        cwd.map_err(|e| Outcome::Failed(format!("the working directory {}: {}", asked.cwd, e.desc())))?;
    let [has, inheritable, bounding, ambient] = asked.capabilities;
    let capabilities = Capabilities {
        effective: has,
        permitted: has,
        inheritable,
        bounding,
        ambient,
        ..Capabilities::default()
    };
    let [user, group] = asked.user.map(Ids::all);
    let guest = Guest {
        places: None,
        program,
        argv: asked.words.iter().map(|word| word.clone().into_bytes()).collect(),
        envp,
        told: Told::default(),
        log: LogItems::default(),
        log_file: None,
        credentials: Some(Credentials { user, group, groups: asked.groups.clone(), capabilities }),
        root: None,
        descriptors: descriptors::streams(streams).map_err(Outcome::Failed)?,
    };
    launch_further(sandbox, guest, (inherited, asked.umask, &asked.limits), cwd, start)
}

/// The program, by its name or by its path from the working directory.
fn found(name: &[u8], search: &[u8], cwd: &str) -> Result<Program, Outcome> {
    if name.contains(&b'/') && !name.starts_with(b"/") {
        return program::find(&[cwd.as_bytes(), b"/", name].concat(), search);
    }
    program::find(name, search)
}

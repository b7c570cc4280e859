//! A whole run, from the command line to the exit status.

pub mod contained;
pub mod courier;
pub mod event_loop;
pub mod execution;
pub mod gdb;
mod hosts;
pub mod job;
mod keeper;
mod kept;
pub mod learn;
mod monitor;
mod own_files;
mod records;
mod study;
pub mod usage;

use crate::changes::store::Kept;
use crate::cli::identity;
use crate::cli::profile::variables;
use crate::cli::{AuditTarget, Reports, Run as Options};
use crate::confine;
use crate::confine::descriptors::Given;
use crate::confine::landlock::Enforced;
use crate::host::cgroup::{Bounds, Cgroup};
use crate::host::descendants::end_all_below;
use crate::host::interrupt;
use crate::host::maker::Maker;
use crate::host::start;
use crate::launch::inherited::{Inherited, set_own_limits};
use crate::launch::manager::Manager;
use crate::launch::program::{self, Program};
use crate::launch::{self, Guest, Launched, secrets};
use crate::monitor::Name;
use crate::report::audit::Listener;
use crate::report::outcome::Outcome;
use crate::report::record::{self, Record};
use crate::report::stream::{PATIENCE, Stream};
use crate::report::trace::{Filter, Form, Printer, Trace};
use crate::report::{escape, tell};
use crate::sandbox::Sandbox;
use crate::sandbox::layers::{self, SupervisorLayers};
use crate::state::notices::Notices;
use crate::translations::Translations;
use crate::translations::folder::Folder;
use crate::worker::{dispatch, serve};
use contained::{Contained, Progress};
use event_loop::EventLoop;
use execution::{Executions, keep_gate};
use job::Job;
use monitor::Monitor;
use nix::errno::Errno;
use rxbox_policy::{Layer, Limits, Policy, ReadProfile, Variables};
use rxbox_wire::log::LogItems;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;
use study::Begun;

/// Runs the program; the exit status of rxbox.
pub fn run(options: Options, given: Given) -> i32 {
    run_in(options, given, None)
}

/// Runs the program of a container, in this process, which is the container's; the exit status.
pub fn contain(options: Options, given: Given, contained: Contained) -> i32 {
    run_in(options, given, Some(contained))
}

fn run_in(options: Options, mut given: Given, contained: Option<Contained>) -> i32 {
    let begun = Inherited::record(options.stack_size).map_err(|e| e.to_string());
    let begun =
        begun.and_then(|inherited| Ok((Arc::new(inherited), Streams::open(&options.reports, &mut given)?)));
    let (inherited, streams) = match begun {
        Ok(begun) => begun,
        Err(e) => {
            tell(&format!("rxbox: {e}"));
            return Outcome::Failed(String::new()).code();
        }
    };
    let read = match &contained {
        Some(contained) => Ok(Some(contained.profile.clone())),
        None => identity::assume(&options.profile),
    };
    let read = match read {
        Ok(read) => read,
        Err(e) => return streams.conclude(&Outcome::Failed(e), &[]),
    };
    // A container's variables are not the host's word.
    let told = |name: &str| contained.is_none().then(|| std::env::var_os(name)).flatten();
    let manager = Manager::told(std::process::id(), told);
    let listens = manager.socket.clone();
    // What ends this process from here on has to remove the debugger's socket.
    start::block_exactly(start::all_signals());
    let gdb = match options.gdb.as_ref().map(gdb::Listener::bind).transpose() {
        Ok(gdb) => gdb,
        Err(e) => return streams.conclude(&failed("--gdb", e), &[]),
    };
    let gdb_file = gdb.as_ref().and_then(gdb::Listener::file).map(Path::to_path_buf);
    let (quiet, waits_for_keeper) = (options.reports.quiet, options.waits_for_keeper);
    let supervise = move |job: &Job| {
        let contained = contained.as_ref();
        let (outcome, denials) = match prepare(options, read, &streams, given, (job, &manager, contained)) {
            Ok(Prepared { sandbox, guest, study, monitor, kept }) => {
                if let Some(contained) = contained {
                    contained.tell(&Progress::Ready { warnings: Vec::new() });
                    if let Err(outcome) = contained.wait_for_start(job) {
                        return streams.conclude(&outcome, &[]);
                    }
                }
                let parts = (job, gdb, contained);
                let outcome = run_guest(&sandbox, guest, parts, &inherited, monitor.as_ref());
                let outcome = outcome.unwrap_or_else(|outcome| outcome);
                let deadline = Instant::now() + PATIENCE;
                let tell = |line: &str| _ = streams.stderr.deliver(line, deadline);
                kept.filter(Kept::has_changes)
                    .filter(|_| !quiet)
                    .iter()
                    .for_each(|kept| tell(&kept::told(kept)));
                let written = study.map_or(Ok(()), |study| study.finish(&sandbox.audit, tell));
                (written.err().unwrap_or(outcome), sandbox.audit.denials())
            }
            Err(outcome) => {
                if let Some(contained) = contained {
                    let why = outcome.message().unwrap_or_default();
                    contained.tell(&Progress::Failed { why });
                    return outcome.code();
                }
                (outcome, Vec::new())
            }
        };
        streams.conclude(&outcome, &denials)
    };
    // Somebody may have removed it, and it does not matter much.
    let at_end = |suggestions| {
        gdb_file.into_iter().for_each(|file| _ = std::fs::remove_file(file));
        keeper::start(suggestions, waits_for_keeper);
    };
    job::stand_for(listens.as_deref(), supervise, at_end).unwrap_or_else(|e| {
        tell(&format!("rxbox: the job process: {}; this may run in another rxbox", e.desc()));
        Outcome::Failed(String::new()).code()
    })
}

/// Where the supervisor tells what becomes of the run.
struct Streams {
    stderr: Arc<Stream>,
    /// `--status-fd`.
    status: Option<Arc<Stream>>,
    /// `--audit`; a file is opened once the policy is known.
    audit: OnceLock<Arc<Stream>>,
}

impl Streams {
    /// Opens them before any guest can reach what they lead to.
    fn open(reports: &Reports, given: &mut Given) -> Result<Streams, String> {
        let stderr = Stream::of(io::stderr().as_fd()).map_err(|e| format!("standard error: {e}"))?;
        let to_number = |given: &Given, n| {
            given.get(n).ok_or(io::ErrorKind::NotFound.into()).and_then(Stream::of).map(Arc::new)
        };
        let status = reports.status_fd.map(|n| to_number(given, n)).transpose();
        let status = status.map_err(|e| format!("--status-fd: {e}"))?;
        let audit = OnceLock::new();
        if let Some(AuditTarget::Descriptor(number)) = reports.audit {
            let stream = to_number(given, number).map_err(|e| format!("--audit fd:{number}: {e}"))?;
            given.keep_back(number).map_err(|e| format!("--audit: {e}"))?;
            let _ = audit.set(stream);
        }
        if let Some(AuditTarget::Journal) = reports.audit {
            let stream = Stream::to_journal().map_err(|e| format!("--audit journald: {}", e.desc()))?;
            let _ = audit.set(Arc::new(stream));
        }
        Ok(Streams { stderr: Arc::new(stderr), status, audit })
    }

    /// Where records of the run as a whole go.
    fn of_records(&self) -> Vec<Arc<Stream>> {
        self.status.iter().chain(self.audit.get()).cloned().collect()
    }

    /// Where denials are told.
    fn of_audit(&self, reports: &Reports, policy: &Policy) -> Result<Vec<Listener>, Outcome> {
        let open = |path| own_files::open_log(path, policy).and_then(|log| Stream::of(log.as_fd()));
        let mut listeners = Vec::new();
        if !reports.quiet {
            let file = reports.log_file.as_deref().map(open).transpose().map_err(|e| failed("the log", e))?;
            listeners.push(Listener::Lines(self.stderr.clone()));
            listeners.extend(file.map(|file| Listener::Lines(Arc::new(file))));
        }
        if let Some(AuditTarget::File(path)) = &reports.audit {
            let _ = self.audit.set(Arc::new(open(path).map_err(|e| failed("the audit", e))?));
        }
        listeners.extend(self.audit.get().cloned().map(Listener::Records));
        Ok(listeners)
    }

    /// Tells how the run has ended and what was denied, by rule; the exit status.
    fn conclude(&self, outcome: &Outcome, denials: &[(String, u64)]) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        if let Some(text) = outcome.message() {
            self.stderr.deliver(&format!("rxbox: {text}"), deadline);
        }
        for stream in self.of_records() {
            let denied = denials.iter().map(|(rule, count)| Record::Denied { rule, count: *count }.line());
            // A reader that is gone or takes nothing wants no report.
            let _ = denied.chain([outcome.json()]).all(|line| stream.deliver(&line, deadline));
        }
        if let Outcome::Signaled(signal) = outcome {
            job::die_by(*signal);
        }
        outcome.code()
    }
}

fn failed(what: &str, e: impl std::fmt::Display) -> Outcome {
    Outcome::Failed(format!("{what}: {e}"))
}

/// What is there before the run.
struct Prepared {
    sandbox: Arc<Sandbox>,
    guest: Guest,
    /// What is learned from it.
    study: Option<Begun>,
    /// Where it is asked, if it has a name.
    monitor: Option<Monitor>,
    /// What is kept of what it changes, if it has overlays.
    kept: Option<Kept>,
}

/// Everything before the run; an error is also an outcome, of a run that never started its guest.
fn prepare(
    options: Options,
    read: Option<ReadProfile>,
    streams: &Streams,
    given: Given,
    (job, manager, contained): (&Job, &Manager, Option<&Contained>),
) -> Result<Prepared, Outcome> {
    // What it makes first takes as long as what comes here.
    let maker = Maker::start().map_err(|e| failed("the supervisor", e.desc()))?;
    if let Some(contained) = contained {
        // It looks for its own number there.
        let _ = maker.namespaces();
        contained.enter()?;
    }
    let (policy, mut program) = policy_and_program(&options, read, contained)?;
    if contained.is_none() {
        identity::confirm(&policy).map_err(Outcome::Failed)?;
    } else if policy.user().is_some() {
        return Err(Outcome::Failed("[identity] user: a container's user is the engine's to say".to_owned()));
    }
    program::permitted(&policy, &program)?;
    let missing = layers::never_there(&policy);
    if !missing.is_empty() {
        return Err(Outcome::Failed(missing.join("\n")));
    }
    let monitor = match contained {
        Some(contained) => Some(monitor_of(contained, &program)?),
        None => options.name.as_ref().map(|name| take_name(name, &options, &program, job)).transpose()?,
    };
    let kept = kept::make_folders(&policy, &options, &mut program, job)?;
    let budget = set_own_limits(policy.limits()).map_err(|e| failed("resource limits", e.desc()))?;
    if !options.reports.quiet {
        let notes = policy.notes().iter().map(String::as_str).chain(identity::note(&policy));
        notes.for_each(|note| tell(&format!("rxbox: note: {note}")));
    }
    let resolver = hosts::resolver(&policy, options.study.is_some());
    let resolver = resolver.map_err(|e| failed("names of hosts need the loopback interface", e))?;
    let (guest_log, trace) = logs(&options, &policy)?;
    let study = options.study.as_ref();
    let variables = || variables_for(&options, &program, contained);
    let study = study.map(|study| Begun::begin(study, &options.words, &variables()));
    let (study, lesson) = study.transpose()?.unzip();
    let audit = streams.of_audit(&options.reports, &policy)?;
    if let Some(audit) = streams.audit.get() {
        let (program, profile) = (escape::shown(&program.path), options.profile.name().as_bytes());
        let (rxbox, profile) = (env!("CARGO_PKG_VERSION"), escape::shown(profile));
        let (program, profile) = (&*program, &*profile);
        let start = Record::Start { version: record::VERSION, rxbox, time: record::now(), program, profile };
        audit.deliver(&start.line(), Instant::now() + PATIENCE);
    }
    let mut wanted = policy.inheritance().clone();
    if wanted.listen {
        wanted.named.extend(manager.descriptors());
    }
    let (mut descriptors, left) = given.passed(&wanted).map_err(|e| Outcome::Failed(e.to_string()))?;
    drop(given);
    let notices = job.notices().map_err(|e| failed("the supervisor", e.desc()))?;
    let notices = notices.map(|outbox| Notices::new(policy.notices(), outbox, manager.main)).transpose();
    let notices = notices.map_err(|e| failed("a socket for [service] notify", e.desc()))?;
    let heard = notices.as_ref().is_some_and(Notices::are_heard);
    let told = manager.tell(heard, policy.notices(), &descriptors.iter().map(|(n, _)| *n).collect());
    if !options.reports.quiet {
        let notes = left.iter().map(ToString::to_string).chain(told.notes.iter().cloned());
        notes.for_each(|note| tell(&format!("rxbox: note: {note}")));
    }
    let secrets = secrets::pass(&policy, &mut descriptors).map_err(Outcome::Failed)?;
    let translations = translations(&options, contained);
    let environment = launch::environment(&policy).into_iter().chain(told.variables.iter().cloned());
    let guest = Guest {
        envp: environment.chain(secrets).collect(),
        told,
        program,
        log: options.reports.log().and(LogItems::OF_CHILD),
        log_file: guest_log,
        credentials: contained.map(|contained| contained.credentials.clone()),
        root: contained
            .map(|contained| contained.outer.try_clone())
            .transpose()
            .map_err(|e| failed("the root", e))?,
        descriptors,
        places: translations.as_ref().map(|translations| translations.folder().secret().places()),
        argv: options.argv().into_iter().map(OsString::into_vec).collect(),
    };
    let sandbox = Sandbox::new(policy, audit, trace, streams.of_records(), budget, serve)
        .map_err(|e| failed("the supervisor", e.desc()))?;
    // They are the first.
    resolver.into_iter().for_each(|resolver| _ = sandbox.resolver.set(resolver));
    let _ = sandbox.maker.set(maker);
    notices.into_iter().for_each(|notices| _ = sandbox.notices.set(notices));
    translations.into_iter().for_each(|translations| _ = sandbox.translations.set(translations));
    lesson.into_iter().for_each(|lesson| sandbox.audit.teach(lesson));
    let sandbox = Arc::new(sandbox);
    // Files that guests leave open are closed by the end of this process, which does not wait for what they
    // still have to deliver.
    std::mem::forget(sandbox.clone());
    Ok(Prepared { sandbox, guest, study, monitor, kept })
}

/// The kept translations that the run uses. Without a folder for them there are none; and what a container
/// has in its files is another's business than the user's whose rxbox it is.
fn translations(options: &Options, contained: Option<&Contained>) -> Option<Translations> {
    let wanted = !options.no_cache && contained.is_none();
    wanted.then(Folder::open).and_then(Result::ok).map(Translations::new)
}

/// Has the run found by this name.
fn take_name(name: &Name, options: &Options, program: &Program, job: &Job) -> Result<Monitor, Outcome> {
    job.remove_name_at_end().map_err(|e| failed("the job process", e.desc()))?;
    let (profile, program) = (escape::shown(options.profile.name().as_bytes()), escape::shown(&program.path));
    Monitor::begin(name, profile, program).map_err(|e| failed("--name", e))
}

/// Has the run of a container found by whoever makes it.
fn monitor_of(contained: &Contained, program: &Program) -> Result<Monitor, Outcome> {
    let listener = contained.listener.try_clone().map_err(|e| failed("the container's socket", e))?;
    let (name, profile) = (contained.id.clone(), "config.json".to_owned());
    Ok(Monitor::of_container(listener, name, profile, escape::shown(&program.path)))
}

fn run_guest(
    sandbox: &Arc<Sandbox>,
    guest: Guest,
    (job, gdb, contained): (&Job, Option<gdb::Listener>, Option<&Contained>),
    inherited: &Arc<Inherited>,
    monitor: Option<&Monitor>,
) -> Result<Outcome, Outcome> {
    let host = |e: Errno| failed("the supervisor", e.desc());
    if gdb.is_some() {
        sandbox.tracees.watch_from_outside().map_err(host)?;
    }
    dispatch::prepare();
    interrupt::install().map_err(host)?;
    // Before there are other threads, which inherit this.
    start::unblock(interrupt::signal());
    let cgroup = enter_cgroup(sandbox, job)?;
    give_rights_up(sandbox, cgroup, contained.map_or(&[], |contained| &contained.own))?;
    let Launched { init, first: main, gate } = launch::launch(sandbox, guest, inherited)?;
    if let Some(gate) = gate {
        keep_gate(sandbox, gate).map_err(|e| failed("the supervisor", e))?;
    }
    let debugger = gdb.map(|gdb| gdb::serve(gdb, sandbox, &main)).transpose();
    let debugger = debugger.map_err(|e| failed("the supervisor", e))?;
    hosts::serve(sandbox).map_err(|e| failed("the supervisor", e))?;
    let relay = relay_notices(sandbox).map_err(|e| failed("the supervisor", e))?;
    let executions = contained.map(|_| Executions::new(&init, inherited.clone())).transpose();
    let executions = executions.map_err(host)?;
    let outcome = EventLoop::new(sandbox, &main, &init, job, monitor, executions.as_ref()).run();
    // Both end at the same time.
    sandbox.maker.get().inspect(|maker| maker.dismiss());
    init.finish();
    // The maker, and what an init process that was killed has left.
    end_all_below().map_err(host)?;
    // It tells the debugger of the end, and has nothing more to wait for.
    sandbox.tracees.end_outside();
    debugger.into_iter().for_each(|debugger| _ = debugger.join());
    if let Some(translations) = sandbox.translations.get() {
        // What is lost is suggested again.
        let _ = translations.hand_on(job.suggestions());
    }
    job.wait_until_running().map_err(host)?;
    if let (Some(relay), Some(notices)) = (relay, sandbox.notices.get()) {
        notices.end();
        // It cannot fail, and ends soon.
        let _ = relay.join();
    }
    sandbox.trace.finish();
    sandbox.audit.add(hosts::traffic(sandbox));
    sandbox.audit.finish(Instant::now() + PATIENCE);
    outcome.map_err(host)
}

/// Passes on what guests tell the service manager, in a thread of its own: it waits for room there.
fn relay_notices(sandbox: &Arc<Sandbox>) -> io::Result<Option<JoinHandle<()>>> {
    if !sandbox.notices.get().is_some_and(Notices::are_heard) {
        return Ok(None);
    }
    let sandbox = sandbox.clone();
    let relay = move || {
        sandbox.notices.get().inspect(|notices| notices.relay(|note| sandbox.audit.note(note)));
    };
    std::thread::Builder::new().name("notices".to_owned()).spawn(relay).map(Some)
}

/// Enters a cgroup of the run's own, if the profile requires one: the kernel takes several milliseconds to
/// move a process, too many for runs that nobody has asked for it. Whether there is one.
fn enter_cgroup(sandbox: &Sandbox, job: &Job) -> Result<bool, Outcome> {
    if !sandbox.policy.required_layers().any(|(layer, _)| layer == Layer::Cgroup) {
        return Ok(false);
    }
    job.remove_cgroup_at_end().map_err(|e| failed("the job process", e.desc()))?;
    let children: Vec<_> = sandbox.maker.get().map(Maker::number).into_iter().collect();
    let entered = Cgroup::enter(&cgroup_bounds(sandbox.policy.limits()), &children);
    // It is the first.
    Ok(entered.is_ok_and(|cgroup| sandbox.cgroup.set(cgroup).is_ok()))
}

/// What the kernel is to hold the run to. Each guest thread has a worker; and there is rxbox itself.
fn cgroup_bounds(limits: &Limits) -> Bounds {
    const OWN_TASKS: u64 = 32;
    const OWN_MEMORY: u64 = 32 << 20;
    Bounds {
        memory: limits.memory.map(|most| most.saturating_add(OWN_MEMORY)),
        tasks: limits.threads.map(|most| most.saturating_mul(2).saturating_add(OWN_TASKS)),
    }
}

/// Puts the second wall in force. This process must have one thread.
fn give_rights_up(sandbox: &Sandbox, cgroup: bool, own: &[OwnedFd]) -> Result<(), Outcome> {
    let reach = hosts::reach(sandbox);
    let (kept, identities) = (sandbox.policy.capabilities(), sandbox.policy.changes_identity());
    let cache = sandbox.translations.get().map(|translations| translations.folder().as_fd());
    let landlock =
        confine::enclose(&reach, own, cache, kept, identities).map_err(|e| failed("the supervisor", e))?;
    let network = sandbox.maker.get().is_some_and(Maker::isolated);
    let landlock = landlock != Enforced::Not;
    sandbox.layers.supervisor(SupervisorLayers { landlock, network, cgroup });
    Ok(())
}

/// Finds the program in the guest's `PATH`, which the policy makes, which may speak of the program: so first
/// with the host's, and once more if the guest's finds another.
fn policy_and_program(
    options: &Options,
    read: Option<ReadProfile>,
    contained: Option<&Contained>,
) -> Result<(Arc<Policy>, Program), Outcome> {
    const FALLBACK: &[u8] = b"/usr/local/bin:/usr/bin:/bin";
    let name = options.words.first().map_or(&[][..], |word| word.as_bytes());
    let search = std::env::var_os("PATH");
    let first = program::find(name, search.as_deref().map_or(FALLBACK, OsStr::as_bytes))?;
    let read = read.unwrap_or_else(|| options.profile.read());
    let load_for = |read, program| load_for(options, read, program, contained);
    let policy = load_for(read.clone(), &first)?;
    let envp = launch::environment(&policy);
    let search = envp.iter().find_map(|v| v.strip_prefix(b"PATH=")).unwrap_or(FALLBACK);
    let second = program::find(name, search)?;
    let policy = if second.path == first.path { policy } else { load_for(read, &second)? };
    Ok((Arc::new(policy), second))
}

fn load_for(
    options: &Options,
    read: ReadProfile,
    program: &Program,
    contained: Option<&Contained>,
) -> Result<Policy, Outcome> {
    let variables = variables_for(options, program, contained);
    options.profile.load(Some(read), &variables).map_err(|e| Outcome::Failed(e.to_string()))
}

/// What profiles' variables stand for in this run.
fn variables_for(options: &Options, program: &Program, contained: Option<&Contained>) -> Variables {
    let path = Path::new(OsStr::from_bytes(&program.path));
    let mut variables =
        contained.map_or_else(|| variables(Some(path)), |contained| contained.variables(path));
    let cwd = variables.cwd.clone().unwrap_or_default();
    let invoked = cwd.join(OsStr::from_bytes(&program.invoked));
    variables.invoked = Some(invoked.components().collect());
    let studied = options.study.iter().filter_map(|study| study.output.clone());
    let written = studied.chain(options.trace.iter().filter_map(|tracing| tracing.output.clone()));
    variables.own = own_files::of(&options.reports).into_iter().chain(written).collect();
    variables.own.iter_mut().for_each(|path| *path = cwd.join(&path));
    variables
}

/// The log for the child, if it is to log anything, and who of the user's reads the system calls.
fn logs(options: &Options, policy: &Policy) -> Result<(Option<File>, Trace), Outcome> {
    let open = |path: Option<&Path>| -> Result<File, Outcome> {
        match path {
            Some(path) => own_files::open_log(path, policy),
            None => io::stderr().as_fd().try_clone_to_owned().map(File::from),
        }
        .map_err(|e| failed("the log", e))
    };
    let log = options.reports.log_file.as_deref();
    let wants = |side: LogItems| !options.reports.log().and(side).is_empty();
    let guest = if wants(LogItems::OF_CHILD) { Some(open(log)?) } else { None };
    let trace = Trace::default();
    if wants(LogItems::OF_SUPERVISOR) {
        trace.print(Filter::everything(), Printer::new(Form::Lines, open(log)?));
    }
    if let Some(tracing) = &options.trace {
        let out = open(tracing.output.as_deref())?;
        trace.print(tracing.filter.clone(), Printer::new(tracing.form, out));
    }
    Ok((guest, trace))
}

//! A whole run, from the command line to the exit status.

pub mod event_loop;
pub mod job;
pub mod usage;

use crate::cli::Run as Options;
use crate::cli::profile::variables;
use crate::confine;
use crate::confine::descriptors::Foreign;
use crate::confine::landlock::Enforced;
use crate::host::interrupt;
use crate::host::maker::Maker;
use crate::launch::inherited::{Inherited, set_own_limits};
use crate::launch::program::{self, Program};
use crate::launch::{self, Guest};
use crate::report::outcome::Outcome;
use crate::report::tell;
use crate::report::trace::Trace;
use crate::sandbox::Sandbox;
use crate::sandbox::layers::{self, SupervisorLayers};
use crate::worker::{dispatch, serve};
use event_loop::EventLoop;
use job::Job;
use nix::errno::Errno;
use rxbox_policy::Policy;
use rxbox_wire::log::LogItems;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

/// Runs the program; the exit status of rxbox.
pub fn run(options: Options) -> i32 {
    let foreign = Foreign::note();
    let standing = job::stand_for(|job, inherited| supervise(options, foreign, job, &inherited));
    standing.unwrap_or_else(|e| {
        tell(&format!("rxbox: the job process: {}", e.desc()));
        Outcome::Failed(String::new()).code()
    })
}

/// What the supervisor does; its exit status.
fn supervise(options: Options, foreign: Foreign, job: &Job, inherited: &Inherited) -> i32 {
    let mut report = match options.reports.status_fd.map(open_report).transpose() {
        Ok(report) => report,
        Err(e) => {
            tell(&format!("rxbox: --status-fd: {e}"));
            return Outcome::Failed(String::new()).code();
        }
    };
    let outcome = try_run(options, foreign, job, inherited).unwrap_or_else(|outcome| outcome);
    if let Some(text) = outcome.message() {
        tell(&format!("rxbox: {text}"));
    }
    if let Some(report) = &mut report {
        // A reader that is gone wants no report.
        let _ = writeln!(report, "{}", outcome.json());
    }
    if let Outcome::Signaled(signal) = outcome {
        job::die_by(signal);
    }
    outcome.code()
}

/// The descriptor that the user gave, opened again so that it is rxbox's own.
fn open_report(number: i32) -> std::io::Result<File> {
    OpenOptions::new().append(true).open(format!("/proc/self/fd/{number}"))
}

fn failed(what: &str, e: impl std::fmt::Display) -> Outcome {
    Outcome::Failed(format!("{what}: {e}"))
}

/// Everything; an error is also an outcome, of a run that never started its guest.
fn try_run(options: Options, foreign: Foreign, job: &Job, inherited: &Inherited) -> Result<Outcome, Outcome> {
    let (policy, program) = policy_and_program(&options)?;
    program::permitted(&policy, &program)?;
    let missing = layers::never_there(&policy);
    if !missing.is_empty() {
        return Err(Outcome::Failed(missing.join("\n")));
    }
    let budget = set_own_limits(policy.limits()).map_err(|e| failed("resource limits", e.desc()))?;
    let (guest_log, trace) = logs(&options)?;
    foreign.close();
    let guest = Guest {
        envp: launch::environment(&policy),
        program,
        log: options.reports.log().and(LogItems::OF_CHILD),
        log_file: guest_log,
        argv: options.words.into_iter().map(OsString::into_vec).collect(),
    };
    let sandbox = Sandbox::new(policy, options.reports.quiet, trace, budget, serve)
        .map_err(|e| failed("the supervisor", e.desc()))?;
    run_guest(&Arc::new(sandbox), guest, job, inherited)
}

fn run_guest(
    sandbox: &Arc<Sandbox>,
    guest: Guest,
    job: &Job,
    inherited: &Inherited,
) -> Result<Outcome, Outcome> {
    let host = |e: Errno| failed("the supervisor", e.desc());
    dispatch::prepare();
    interrupt::install().map_err(host)?;
    give_rights_up(sandbox)?;
    let (init, main) = launch::launch(sandbox, guest, inherited)?;
    let outcome = EventLoop { sandbox, main: &main, init: &init, job }.run();
    init.finish();
    if let Some(maker) = sandbox.maker.get() {
        maker.finish();
    }
    job.wait_until_running().map_err(host)?;
    sandbox.audit.finish();
    outcome.map_err(host)
}

/// Puts the second wall in force. This process must have one thread.
fn give_rights_up(sandbox: &Sandbox) -> Result<(), Outcome> {
    let reach = sandbox.policy.reach();
    let maker = Maker::start().map_err(|e| failed("the supervisor", e.desc()))?;
    let network = maker.isolated();
    // It is the first.
    let _ = sandbox.maker.set(maker);
    let landlock =
        confine::enclose(reach, sandbox.policy.capabilities()).map_err(|e| failed("the supervisor", e))?;
    sandbox.layers.supervisor(SupervisorLayers { landlock: landlock != Enforced::Not, network });
    Ok(())
}

/// Finds the program in the guest's `PATH`, which the policy makes, which may speak of the program: so first
/// with the host's, and once more if the guest's finds another.
fn policy_and_program(options: &Options) -> Result<(Arc<Policy>, Program), Outcome> {
    const FALLBACK: &[u8] = b"/usr/local/bin:/usr/bin:/bin";
    let name = options.words.first().map_or(&[][..], |word| word.as_bytes());
    let search = std::env::var_os("PATH");
    let first = program::find(name, search.as_deref().map_or(FALLBACK, OsStr::as_bytes))?;
    let policy = load_for(options, &first)?;
    let envp = launch::environment(&policy);
    let search = envp.iter().find_map(|v| v.strip_prefix(b"PATH=")).unwrap_or(FALLBACK);
    let second = program::find(name, search)?;
    let policy = if second.path == first.path { policy } else { load_for(options, &second)? };
    Ok((Arc::new(policy), second))
}

fn load_for(options: &Options, program: &Program) -> Result<Policy, Outcome> {
    let path = Path::new(OsStr::from_bytes(&program.path));
    options.profile.load(&variables(Some(path))).map_err(|e| Outcome::Failed(e.to_string()))
}

/// The log for the child, if it is to log anything, and that for system calls.
fn logs(options: &Options) -> Result<(Option<File>, Option<Trace>), Outcome> {
    let open = || -> Result<File, Outcome> {
        match &options.reports.log_file {
            Some(path) => OpenOptions::new().append(true).create(true).mode(0o600).open(path),
            None => std::io::stderr().as_fd().try_clone_to_owned().map(File::from),
        }
        .map_err(|e| failed("the log", e))
    };
    let wants = |side: LogItems| !options.reports.log().and(side).is_empty();
    let guest = if wants(LogItems::OF_CHILD) { Some(open()?) } else { None };
    let trace = if wants(LogItems::OF_SUPERVISOR) { Some(Trace::new(open()?)) } else { None };
    Ok((guest, trace))
}

//! The command line.
//!
//! Every option is declared once: as a field of [`Run`], [`Profile`] or a command, or, where it adds to the
//! profile, as a row of [`rxbox_policy::OVERRIDE_OPTIONS`]. The parser, the help, the manual page and the
//! completions of shells ([`generate`]) all come from that declaration. The first paragraph of its comment is
//! the line of help; the manual shows the whole comment.
//!
//! Options end at the program, as those of qemu-user and env(1) do: what stands behind it is the program's
//! own, whatever it looks like. A command's name counts only as the first word, so `rxbox -- check` runs a
//! program.

mod cache;
mod changes;
pub mod commands;
pub mod doctor;
mod error;
pub mod generate;
pub mod identity;
mod learn;
pub mod oci;
pub mod profile;
mod qemu;
mod questions;
mod reports;
mod run;
pub mod runs;
pub mod systemd;
mod trace;

pub use cache::{CacheCommand, cache};
pub use changes::{ChangesCommand, changes};
pub use error::UsageError;
pub use learn::{Learn, Learning, Study};
pub use profile::Profile;
pub use questions::{Explain, Show};
pub use reports::{AuditTarget, Reports, Tracing};
pub use run::{GdbAddress, Run};
pub use systemd::Systemd;
pub use trace::Trace;

use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, Parser, Subcommand, ValueHint};
use std::ffi::{OsStr, OsString};

/// The forms of a command line.
const USAGE: &str = "\
rxbox [OPTION]... [--] PROGRAM [ARGUMENT]...
       rxbox COMMAND ...";

const LONG_ABOUT: &str = "\
rxbox runs an unmodified x86-64 Linux program. No instruction of the program runs untranslated, and every \
system call that it makes is checked by a supervisor against a policy before the supervisor carries it out. \
What the policy does not allow fails with an error, and one line on standard error says what was denied, by \
which rule, and how to allow it.";

/// The order of the help.
const HELP: &str = "{about}.\n\n{usage-heading} {usage}\n\n{all-args}{after-help}\n";

const AFTER_HELP: &str = "\
Examples:
  rxbox ./prog --its-own-option               under the profile `untrusted`
  rxbox --profile permissive ./prog           everything of the user's, still through the supervisor
  rxbox --allow-write out -- ./build.sh       what a denial's message says, as an option
  rxbox --log syscall --log-file log ./prog   every system call, as strace prints them
  rxbox explain read /etc/passwd              whether it is allowed, and by which rule

Exit status: the program's own; 128+N if signal N ended it; 124 time limit; 125 rxbox failed;
126 the program cannot be run; 127 not found; 137 memory limit; 159 killed by policy.";

/// A whole command line.
#[derive(Debug, Parser)]
#[command(name = "rxbox", version, override_usage = USAGE, help_template = HELP, after_help = AFTER_HELP)]
#[command(long_about = LONG_ABOUT)]
#[command(about = "Run an untrusted program through a binary translator under a policy")]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(args_override_self = true, disable_help_subcommand = true, disable_help_flag = true)]
struct Line {
    /// Print help
    #[arg(short, long, global = true, action = ArgAction::HelpShort)]
    help: Option<bool>,
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

/// What the user wants.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run a program.
    #[command(skip)]
    Run(Box<Run>),
    /// Print a decision of a profile and the rule that takes it
    Explain(Box<Explain>),
    /// Run a program and write a profile that allows what it did
    ///
    /// The program reads and runs what its user can but for what --from hides or denies, writes below the
    /// working directory, and has no network. What it did beyond --from becomes a profile that extends it:
    /// with the least that each path needs, variables for the working directory and the home, wildcards for
    /// names that were chosen by chance, and directories where many of their files were used. Read it before
    /// you trust it. Then the program runs once more under the profile, and what that denies is told.
    Learn(Box<Learn>),
    /// Look for errors in profiles, and warn of what opens the sandbox
    ///
    /// Warned of are places where what is written can be run, sockets of daemons, secrets of the home, what
    /// runs later outside of the sandbox, and entries that a denial leaves nothing of. A warning is no error.
    Check {
        /// Profiles by name or, with a slash, by path
        #[arg(value_name = "PROFILE", required = true, value_hint = ValueHint::FilePath)]
        profiles: Vec<String>,
    },
    /// Print what profile B allows that A does not, and the reverse
    ///
    /// Each line is a rule, what it allows beyond the other profile, and an example. The exit status is 1 if
    /// the profiles differ.
    Diff {
        /// A profile by name or, with a slash, by path
        #[arg(value_name = "A", value_hint = ValueHint::FilePath)]
        old: String,
        /// The one to compare it with
        #[arg(value_name = "B", value_hint = ValueHint::FilePath)]
        new: String,
    },
    /// Print a profile as one, with all that it extends, and where each entry is written
    Show(Box<Show>),
    /// Print the table of system calls, or one row of it
    Syscalls {
        /// The name of a system call
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// Print what is offered of each: all, a part (what is missing), or nothing (why)
        #[arg(long, conflicts_with = "name")]
        coverage: bool,
    },
    /// Print the JSON Schema of profiles, by which editors complete and check them
    Schema,
    /// Print which layers of confinement this host offers, why one is missing, and how to get it
    Doctor {
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a drop-in that puts a service of systemd's into rxbox
    ///
    /// Each command of ExecStart= is run in rxbox under the profile; docs/systemd.md says what else changes.
    Systemd(Systemd),
    /// Show the calls of a program, with what the policy decides, or those of a run that has a name
    ///
    /// Each line is a call with its result, as strace prints it, and behind it each decision with its rule.
    /// Options are those of strace where it has them. A run that is followed by its name is never held up:
    /// what there is no room for is counted.
    Trace(Box<Trace>),
    /// Show, apply or discard what runs with --try or --overlay have changed
    Changes(ChangesCommand),
    /// Show, fill or empty the cache of translations
    Cache(CacheCommand),
    /// List the runs that have a name
    ///
    /// For each of the user's runs that was started with --name: its process, profile and program, when it
    /// began, what it uses, and how often something was denied so far.
    Ps {
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Send a signal to runs that have a name
    ///
    /// It goes on to the program, as one that is sent to rxbox does.
    Kill(runs::Kill),
    /// Run containers for engines such as containerd, Docker and podman
    ///
    /// The command line is runc's, and config.json that of the Open Container Initiative; docs/oci.md says
    /// what is offered. Called as rxbox-runc, rxbox does this without the word `oci`.
    Oci(Box<oci::Oci>),
    /// Print the completions of a shell
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// Print this text.
    #[command(skip)]
    Help(String),
    /// Print the version.
    #[command(skip)]
    Version,
}

/// A command line that runs a program, and no other: to declare all commands takes longer than to read one.
/// What it does not accept [`Line`] reads.
#[derive(Debug, Parser)]
#[command(name = "rxbox", args_override_self = true, disable_help_flag = true)]
struct PlainRun {
    #[command(flatten)]
    run: Run,
}

/// The names of commands.
const COMMANDS: [&str; 17] = [
    "explain",
    "learn",
    "check",
    "diff",
    "show",
    "syscalls",
    "schema",
    "doctor",
    "systemd",
    "trace",
    "changes",
    "cache",
    "ps",
    "kill",
    "oci",
    "completions",
    "man",
];

/// The run that the words ask for, if they name no command.
fn plain_run(words: &[OsString]) -> Option<Run> {
    let names_command = |word: &OsString| COMMANDS.iter().any(|name| word == name);
    if words.iter().any(names_command) {
        return None;
    }
    PlainRun::try_parse_from(words).ok().map(|line| line.run)
}

/// The declaration, for what is generated from it.
fn command() -> clap::Command {
    Line::command()
}

/// Reads the arguments of a program that is called by this name: as QEMU's users write them, if that or the
/// first of them is a name of QEMU's; as container engines do, if that is [`oci::RUNC`].
///
/// # Errors
/// What makes no sense.
pub fn parse_as(own_name: Option<&OsStr>, arguments: Vec<OsString>) -> Result<Command, UsageError> {
    parse(oci::rewritten(own_name, qemu::rewritten(own_name, arguments, command)?))
}

/// Reads the arguments behind rxbox's own name.
///
/// # Errors
/// What makes no sense.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut words: Vec<OsString> = std::iter::once("rxbox".into()).chain(arguments).collect();
    if words.len() == 1 {
        words.push("--help".into());
    }
    if let Some(run) = plain_run(&words) {
        let command = Command::Run(Box::new(run));
        return command.profiles_given().map(|()| command);
    }
    match Line::try_parse_from(words) {
        Ok(line) => Ok(line.command.unwrap_or_else(|| Command::Run(Box::new(line.run)))),
        Err(e) => match e.kind() {
            ErrorKind::DisplayHelp => Ok(Command::Help(e.to_string())),
            ErrorKind::DisplayVersion => Ok(Command::Version),
            _ => Err(UsageError::new(&e, &command())),
        },
    }
    .and_then(|command| command.profiles_given().map(|()| command))
}

impl Command {
    /// Whether no more than one profile is given: which one would count could only be guessed.
    fn profiles_given(&self) -> Result<(), UsageError> {
        let profile = match self {
            Command::Run(run) => &run.profile,
            Command::Explain(asked) => &asked.profile,
            Command::Trace(trace) => &trace.profile,
            _ => return Ok(()),
        };
        match &profile.names[..] {
            [_] => Ok(()),
            names => {
                let list = names.iter().map(|name| format!("\"{}\"", name.escape_debug()));
                let list = list.collect::<Vec<_>>().join(", ");
                let count = names.len();
                Err(UsageError::of(&format!(
                    "--profile is given {count} times; a profile with extends = [{list}] builds on all of \
                        them"
                )))
            }
        }
    }
}

/// Whether the program was started to be an emulator child.
pub fn is_emulator(own_name: Option<&OsStr>) -> bool {
    own_name.is_some_and(|name| name == rxbox_wire::boot::ROLE)
}

#[cfg(test)]
mod tests;

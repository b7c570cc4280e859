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

pub mod commands;
pub mod doctor;
mod error;
pub mod generate;
pub mod identity;
pub mod profile;

pub use error::UsageError;
pub use profile::Profile;

use clap::builder::{OsStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueHint};
use commands::questions;
use rxbox_wire::log::{LogItem, LogItems};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

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

/// How to run a program.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Run {
    /// The program and its arguments
    #[arg(value_name = "PROGRAM", required = true, num_args = 1.., trailing_var_arg = true)]
    #[arg(value_hint = ValueHint::CommandWithArguments)]
    pub words: Vec<OsString>,
    /// Give the program NAME as its argument 0 instead of PROGRAM
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub argv0: Option<OsString>,
    /// Under what policy.
    #[command(flatten)]
    pub profile: Profile,
    /// What the user gets to see.
    #[command(flatten)]
    pub reports: Reports,
    /// What profile it is to write.
    #[arg(skip)]
    pub study: Option<Study>,
}

/// What is to be learned from a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Study {
    /// The profile beyond which it is learned.
    pub base: String,
    /// What is written.
    pub result: Learning,
    /// The file, absolute, which must not be there yet; else the user is told.
    pub output: Option<PathBuf>,
}

/// What comes of a study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Learning {
    /// A profile that extends the base.
    Profile,
    /// The first of these texts of profiles, with what the others allow.
    Merged(Vec<String>),
    /// What the base grants and is not used, and the reverse.
    Difference,
}

/// How to learn a profile.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Learn {
    /// The program and its arguments; with --merge there may be none
    #[arg(value_name = "PROGRAM", required_unless_present = "merge", num_args = 1..)]
    #[arg(trailing_var_arg = true, value_hint = ValueHint::CommandWithArguments)]
    pub words: Vec<OsString>,
    /// Write the profile to FILE, which must not be there yet, instead of PROGRAM.toml
    #[arg(short, long, value_name = "FILE", allow_hyphen_values = true, value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Profile to build on, by name or, with a slash, by path
    #[arg(long, value_name = "P", default_value = "untrusted", allow_hyphen_values = true)]
    #[arg(value_hint = ValueHint::FilePath)]
    pub from: String,
    /// Add to the profile in FILE what it did beyond it, in its place unless --output is given; several FILEs
    /// become one
    #[arg(long, value_name = "FILE", allow_hyphen_values = true, value_hint = ValueHint::FilePath)]
    #[arg(conflicts_with = "from")]
    pub merge: Vec<PathBuf>,
    /// Write no profile, but tell what profile P grants that was not used, and what was used that it does not
    /// grant
    #[arg(long, value_name = "P", allow_hyphen_values = true, value_hint = ValueHint::FilePath)]
    #[arg(conflicts_with_all = ["from", "merge"])]
    pub diff: Option<String>,
    /// Do not run the program once more under the profile
    #[arg(long)]
    pub once: bool,
    /// What it may do besides while it is learned from; what of that it uses becomes part of the profile.
    #[command(flatten)]
    pub added: profile::Added,
    /// What the user gets to see.
    #[command(flatten)]
    pub reports: Reports,
}

impl Run {
    /// The program's arguments, its own name among them.
    pub fn argv(self) -> Vec<OsString> {
        let mut words = self.words;
        if let (Some(first), Some(name)) = (words.first_mut(), self.argv0) {
            *first = name;
        }
        words
    }
}

/// What a run reports, and where.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(next_help_heading = "Reports")]
pub struct Reports {
    /// Log ITEMS, which commas separate
    #[arg(long = "log", value_name = "ITEMS", value_delimiter = ',', value_parser = log_item())]
    #[arg(allow_hyphen_values = true)]
    pub items: Vec<LogItem>,
    /// Append the log to FILE instead of standard error, and denials as well
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub log_file: Option<PathBuf>,
    /// Write the outcome as a line of JSON to descriptor N
    ///
    /// It is an object with "event", which is "end", "cause", "code" (the exit status of rxbox) and, where
    /// they apply, "status", "signal" and "message". An exit status alone does not tell whether the program
    /// chose it. Before it comes, for each rule that denied something, one with "event", which is "denied",
    /// "rule" and "count". docs/audit.md describes the records.
    #[arg(long, value_name = "N", value_parser = descriptor, allow_hyphen_values = true)]
    pub status_fd: Option<i32>,
    /// Write records of what was denied, as lines of JSON, to FILE or to descriptor N (fd:N)
    ///
    /// The program can neither fill nor change what is written there: a file is one of rxbox's own, and a
    /// descriptor is not passed on. docs/audit.md describes the records.
    #[arg(long, value_name = "FILE|fd:N", allow_hyphen_values = true, value_hint = ValueHint::FilePath)]
    #[arg(value_parser = OsStringValueParser::new().map(AuditTarget::from))]
    pub audit: Option<AuditTarget>,
    /// Do not tell what was denied
    #[arg(long, short)]
    pub quiet: bool,
}

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTarget {
    /// To the end of a file.
    File(PathBuf),
    /// To a descriptor.
    Descriptor(i32),
}

impl From<OsString> for AuditTarget {
    fn from(text: OsString) -> AuditTarget {
        let number = text.to_str().and_then(|text| text.strip_prefix("fd:")).and_then(|n| n.parse().ok());
        match number.filter(|number| *number >= 0) {
            Some(number) => AuditTarget::Descriptor(number),
            None => AuditTarget::File(text.into()),
        }
    }
}

impl Reports {
    /// What to log.
    pub fn log(&self) -> LogItems {
        self.items.iter().copied().collect()
    }
}

/// A question about a profile.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Explain {
    /// The program that the profile's variables speak of; else rxbox itself
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub program: Option<PathBuf>,
    /// Print also each rule that speaks of the path, from the root down
    #[arg(long)]
    pub why: bool,
    /// An access to a path, or whether an address, a system call or an environment variable is allowed; or a
    /// limit
    #[arg(value_name = "QUESTION", value_parser = PossibleValuesParser::new(questions()))]
    pub question: String,
    /// A path, an address (tcp:192.0.2.1:443) or the name of a system call, a variable or a limit
    #[arg(value_name = "OBJECT", value_hint = ValueHint::AnyPath)]
    pub object: OsString,
    /// The profile.
    #[command(flatten)]
    pub profile: Profile,
}

/// A profile to show.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Show {
    /// Print the kernel's filters around supervisor and child, too
    #[arg(long)]
    pub filters: bool,
    /// The profile by name or, with a slash, by path
    #[arg(value_name = "PROFILE", value_hint = ValueHint::FilePath)]
    pub name: String,
    /// What options add.
    #[command(flatten)]
    pub added: profile::Added,
}

impl Show {
    /// The profile with what options add.
    pub fn profile(&self) -> Profile {
        Profile { names: vec![self.name.clone()], added: self.added.clone() }
    }
}

/// The declaration, for what is generated from it.
fn command() -> clap::Command {
    Line::command()
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

fn log_item() -> impl TypedValueParser<Value = LogItem> {
    let values = LogItem::ALL.map(|item| PossibleValue::new(item.name()).help(item.about()));
    PossibleValuesParser::new(values)
        .try_map(|name| LogItem::ALL.into_iter().find(|item| item.name() == name).ok_or("is no item"))
}

fn descriptor(text: &str) -> Result<i32, &'static str> {
    text.parse().ok().filter(|number| *number >= 0).ok_or("wants a number")
}

/// Whether the program was started to be an emulator child.
pub fn is_emulator(own_name: Option<&OsStr>) -> bool {
    own_name.is_some_and(|name| name == rxbox_wire::boot::ROLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rxbox_policy::{OVERRIDE_OPTIONS, OverrideOption, Overrides};

    fn parsed(line: &str) -> Result<Command, UsageError> {
        parse(line.split_ascii_whitespace().map(OsString::from))
    }

    fn run(line: &str) -> Run {
        match parsed(line) {
            Ok(Command::Run(run)) => *run,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_declarations_hold_together() {
        command().debug_assert();
    }

    #[test]
    fn options_end_at_the_program_whose_own_options_are_its_own() {
        let r = run("--quiet --profile p ./prog --quiet -x");
        assert_eq!((r.reports.quiet, r.profile.name()), (true, "p"));
        assert_eq!(r.words, ["./prog", "--quiet", "-x"]);
        assert_eq!(run("-- --odd").words, ["--odd"]);
        assert_eq!(run("-- check").words, ["check"]);
        assert_eq!(run("true").profile.name(), "untrusted");
        assert_eq!(run("true --help -- --quiet").words, ["true", "--help", "--", "--quiet"]);
        assert_eq!(run("-- true -- -V").words, ["true", "--", "-V"]);
        assert_eq!(run("--quiet check untrusted").words, ["check", "untrusted"]);
        assert_eq!(run("- x").words, ["-", "x"]);
    }

    #[test]
    fn a_value_may_look_like_an_option_and_the_last_one_counts() {
        let r = run("--profile -p --log-file --quiet --log-file -- --quiet prog");
        assert_eq!((r.profile.name(), r.reports.quiet), ("-p", true));
        assert_eq!(r.reports.log_file, Some("--".into()));
    }

    #[test]
    fn every_option_of_the_help_is_read() {
        let r = run("--allow-read /a --allow-read=/b --allow-write /c --allow-exec /d --deny-path /e \
             --allow-net tcp:*:80 --allow-bind tcp:*:81 --pass-env L* --env K=V=W --limit memory=1M \
             --user games --time-limit 5 --log syscall,op --log-file /f --status-fd 3 prog");
        let given = [
            ("--allow-read", "/a"),
            ("--allow-read", "/b"),
            ("--allow-write", "/c"),
            ("--allow-exec", "/d"),
            ("--deny-path", "/e"),
            ("--allow-net", "tcp:*:80"),
            ("--allow-bind", "tcp:*:81"),
            ("--pass-env", "L*"),
            ("--env", "K=V=W"),
            ("--limit", "memory=1M"),
            ("--user", "games"),
            ("--time-limit", "5"),
        ];
        let option =
            |(flag, value): (&str, &str)| OverrideOption::by_flag(flag).unwrap().with(value).unwrap();
        assert_eq!(r.profile.added.0, Overrides::from_iter(given.map(option)));
        assert_eq!(r.reports.log(), LogItems::from_iter([LogItem::Syscall, LogItem::Op]));
        assert_eq!((r.reports.log_file, r.reports.status_fd), (Some("/f".into()), Some(3)));
        let Ok(Command::Help(help)) = parsed("--help") else { panic!() };
        for option in help.split_ascii_whitespace().filter(|w| w.starts_with("--") && w.len() > 2) {
            let name = option.trim_end_matches(',');
            let known =
                |line: &str| !parsed(line).is_err_and(|e| e.to_string().starts_with("unknown option"));
            assert!(name == "--its-own-option" || known(&format!("{name} 1=1 x")), "{name}");
        }
        for option in &OVERRIDE_OPTIONS {
            assert!(help.contains(&format!("{} <{}>", option.flag, option.value)), "{}", option.flag);
        }
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (line, message) in [
            ("--profil p prog", "unknown option --profil; did you mean `--profile`?"),
            ("--profile", "--profile wants a value"),
            ("--quiet", "no program is given"),
            ("--", "no program is given"),
            ("--log nothing x", "--log cannot be \"nothing\"; there are in_asm, op"),
            ("--log op,syscal x", "--log cannot be \"syscal\""),
            ("--status-fd -1 x", "--status-fd wants a number"),
            ("--time-limit 5s x", "--time-limit wants a number of seconds"),
            ("--env K x", "--env wants NAME=VALUE"),
            ("--quiet=1 x", "--quiet takes no value"),
            ("explain read", "no object is given"),
            ("explain", "no question and no object is given"),
            ("explain raed /x", "QUESTION cannot be \"raed\"; there are read, write"),
            ("explain read /x y", "y is one argument too many"),
            ("check", "no profile is given"),
            ("--program /x y", "--program is for explain only"),
            (
                "--profile p --profile=q x",
                "--profile is given 2 times; a profile with extends = [\"p\", \"q\"]",
            ),
            ("learn --diff p --merge q x", "--diff does not go with --merge"),
            ("syscalls a b", "b is one argument too many"),
            ("completions csh", "SHELL cannot be \"csh\"; there are bash"),
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.starts_with(message), "{line}: {error}");
            assert!(error.ends_with(" (see rxbox --help)") && !error.contains('\n'), "{line}: {error}");
        }
    }

    #[test]
    fn the_other_commands_are_read() {
        assert!(matches!(parsed(""), Ok(Command::Help(_))));
        assert!(matches!(parsed("--quiet --help prog"), Ok(Command::Help(_))));
        assert!(matches!(parsed("explain -h"), Ok(Command::Help(help)) if help.contains("--program")));
        assert_eq!(parsed("-V"), Ok(Command::Version));
        assert_eq!(parsed("syscalls"), Ok(Command::Syscalls { name: None, coverage: false }));
        assert_eq!(
            parsed("syscalls read"),
            Ok(Command::Syscalls { name: Some("read".to_owned()), coverage: false })
        );
        let profiles = vec!["a".to_owned(), "./b".to_owned()];
        assert_eq!(parsed("check a ./b"), Ok(Command::Check { profiles }));
        let Ok(Command::Explain(asked)) =
            parsed("explain --profile p --program=/bin/y --allow-read /z read /x")
        else {
            panic!()
        };
        assert_eq!((asked.profile.name(), asked.program), ("p", Some("/bin/y".into())));
        assert_eq!((asked.question.as_str(), asked.object.to_str()), ("read", Some("/x")));
        assert_ne!(asked.profile.added, profile::Added::default());
    }
}

//! The command line.

use rxbox_policy::{Limit, Overrides};
use rxbox_wire::log::{LogItem, LogItems};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// What the user wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run a program.
    Run(Box<Run>),
    /// Print the table of system calls, or one row of it.
    Syscalls(Option<String>),
    /// Print a decision of a profile and the rule that takes it.
    Explain {
        /// The profile with its overrides.
        profile: Box<Profile>,
        /// The program that the profile's variables speak of.
        program: Option<PathBuf>,
        /// What is asked: an access, `connect`, `bind` or `call`.
        question: String,
        /// About what.
        object: OsString,
    },
    /// Look for errors in profiles.
    Check(Vec<String>),
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}

/// A profile with what the command line adds to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Name or path.
    pub name: String,
    /// The additions.
    pub overrides: Overrides,
}

/// How to run a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Under what policy.
    pub profile: Profile,
    /// What to log.
    pub log: LogItems,
    /// Where to log; standard error by default.
    pub log_file: Option<PathBuf>,
    /// Descriptor for the report of the outcome.
    pub status_fd: Option<i32>,
    /// Tell nothing but errors.
    pub quiet: bool,
    /// The program and its arguments; never empty.
    pub words: Vec<Vec<u8>>,
}

/// The profile of a run that names none.
pub const DEFAULT_PROFILE: &str = "untrusted";

/// The command line makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} (see rxbox --help)")]
pub struct UsageError(String);

/// The text of `--help`.
pub const HELP: &str = "\
Runs an untrusted program through a binary translator under a policy.

Usage: rxbox [OPTION]... [--] PROGRAM [ARGUMENT]...
       rxbox explain [--profile P] [--program FILE] [OPTION]... QUESTION OBJECT
       rxbox check PROFILE...
       rxbox syscalls [NAME]

Policy:
  --profile P          profile by name or, with a slash, by path (default: untrusted)
  --allow-read PATH    let the program read PATH and everything below it
  --allow-write PATH   ... read, create, change and remove
  --allow-exec PATH    ... read and run
  --deny-path PATH     deny every access to PATH and everything below it
  --allow-net ENTRY    let it connect, for example to tcp:192.0.2.1:443
  --allow-bind ENTRY   let it bind, for example to tcp:127.0.0.1:8080
  --pass-env NAME      pass an environment variable on (wildcards allowed)
  --env NAME=VALUE     set an environment variable
  --limit NAME=VALUE   set a limit, for example memory=512M
  --time-limit SECONDS end the program after this time

Reports:
  --log ITEMS          log in_asm,op,op_opt,out_asm,exec,syscall,page
  --log-file FILE      append the log to FILE instead of standard error
  --status-fd N        write the outcome as a line of JSON to descriptor N
  --quiet              do not tell what was denied

  --help, --version

Questions, about a program that is FILE or else rxbox itself: read, write, create,
remove, execute, list, metadata with a path; connect, bind with an address (tcp:192.0.2.1:443); call with the name
of a system call.

Exit status: the program's own; 128+N if signal N ended it; 124 time limit; 125 rxbox failed;
126 the program cannot be run; 127 not found; 137 memory limit; 159 killed by policy.
";

/// Reads the arguments behind the program's own name.
///
/// # Errors
/// What makes no sense.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut words: Vec<OsString> = arguments.into_iter().collect();
    words.reverse();
    let mut options = Options { rest: words, ..Options::default() };
    match options.rest.last().and_then(|w| w.to_str()) {
        None if options.rest.is_empty() => return Ok(Command::Help),
        Some("syscalls") => {
            options.rest.pop();
            return options.at_most_one("syscalls").map(Command::Syscalls);
        }
        Some("check") => {
            options.rest.pop();
            return options.check();
        }
        Some("explain") => {
            options.rest.pop();
            return options.explain();
        }
        _ => {}
    }
    options.read()?;
    match options.told {
        Some(Told::Help) => return Ok(Command::Help),
        Some(Told::Version) => return Ok(Command::Version),
        None => {}
    }
    let words: Vec<Vec<u8>> = options.rest.drain(..).rev().map(OsString::into_vec).collect();
    if words.is_empty() {
        return Err(UsageError("no program is given".to_owned()));
    }
    if options.program.is_some() {
        return Err(UsageError("--program is for explain only".to_owned()));
    }
    let Options { profile, overrides, log, log_file, status_fd, quiet, .. } = options;
    let profile = Profile { name: profile.unwrap_or_else(|| DEFAULT_PROFILE.to_owned()), overrides };
    let log = log.into_iter().collect();
    Ok(Command::Run(Box::new(Run { profile, log, log_file, status_fd, quiet, words })))
}

#[derive(Clone, Copy, Debug)]
enum Told {
    Help,
    Version,
}

/// What has been read of the options, and the words that are left, the next one last.
#[derive(Debug, Default)]
struct Options {
    profile: Option<String>,
    overrides: Overrides,
    log: Vec<LogItem>,
    log_file: Option<PathBuf>,
    program: Option<PathBuf>,
    status_fd: Option<i32>,
    quiet: bool,
    told: Option<Told>,
    rest: Vec<OsString>,
}

impl Options {
    /// Reads options up to the first word that is none, or behind `--`.
    fn read(&mut self) -> Result<(), UsageError> {
        while let Some(word) = self.rest.pop_if(|w| w.as_bytes().starts_with(b"-") && w.len() > 1) {
            if word == "--" {
                return Ok(());
            }
            let text =
                word.to_str().ok_or_else(|| UsageError(format!("unknown option {}", word.display())))?;
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (text, None),
            };
            self.option(name, value)?;
        }
        Ok(())
    }

    fn option(&mut self, name: &str, value: Option<&str>) -> Result<(), UsageError> {
        match name {
            "--help" | "-h" => self.told = Some(Told::Help),
            "--version" | "-V" => self.told = Some(Told::Version),
            "--quiet" | "-q" => self.quiet = true,
            "--profile" => self.profile = Some(self.text(name, value)?),
            "--program" => self.program = Some(self.value(name, value)?.into()),
            "--log-file" => self.log_file = Some(self.value(name, value)?.into()),
            "--log" => {
                let list = self.text(name, value)?;
                self.log.extend(log_items(&list)?);
            }
            "--status-fd" => {
                let number = self.text(name, value)?.parse().ok().filter(|n| *n >= 0);
                self.status_fd =
                    Some(number.ok_or_else(|| UsageError("--status-fd wants a number".to_owned()))?);
            }
            "--time-limit" => {
                let seconds = self.text(name, value)?;
                if !seconds.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(UsageError("--time-limit wants a number of seconds".to_owned()));
                }
                self.overrides.limits.push((Limit::WallTime.name().to_owned(), format!("{seconds}s")));
            }
            "--limit" | "--env" => {
                let text = self.text(name, value)?;
                let (key, value) =
                    text.split_once('=').ok_or_else(|| UsageError(format!("{name} wants NAME=VALUE")))?;
                let list =
                    if name == "--env" { &mut self.overrides.set_env } else { &mut self.overrides.limits };
                list.push((key.to_owned(), value.to_owned()));
            }
            _ => {
                // An unknown option is told before a value is missed.
                self.list(name)?;
                let text = self.text(name, value)?;
                self.list(name)?.push(text);
            }
        }
        Ok(())
    }

    /// The list that an option adds to.
    fn list(&mut self, name: &str) -> Result<&mut Vec<String>, UsageError> {
        let o = &mut self.overrides;
        Ok(match name {
            "--allow-read" => &mut o.allow_read,
            "--allow-write" => &mut o.allow_write,
            "--allow-exec" => &mut o.allow_exec,
            "--deny-path" => &mut o.deny_path,
            "--allow-net" => &mut o.allow_net,
            "--allow-bind" => &mut o.allow_bind,
            "--pass-env" => &mut o.pass_env,
            _ => return Err(UsageError(format!("unknown option {name}"))),
        })
    }

    fn value(&mut self, name: &str, value: Option<&str>) -> Result<OsString, UsageError> {
        match value {
            Some(value) => Ok(value.into()),
            None => self.rest.pop().ok_or_else(|| UsageError(format!("{name} wants a value"))),
        }
    }

    fn text(&mut self, name: &str, value: Option<&str>) -> Result<String, UsageError> {
        let value = self.value(name, value)?;
        value.into_string().map_err(|_| UsageError(format!("the value of {name} is not UTF-8")))
    }

    fn at_most_one(&mut self, command: &str) -> Result<Option<String>, UsageError> {
        let word = self.rest.pop().map(|w| w.to_string_lossy().into_owned());
        match self.rest.pop() {
            None => Ok(word),
            Some(_) => Err(UsageError(format!("{command} takes one argument at most"))),
        }
    }

    fn check(&mut self) -> Result<Command, UsageError> {
        let names: Vec<_> = self.rest.drain(..).rev().map(|w| w.to_string_lossy().into_owned()).collect();
        if names.is_empty() {
            Err(UsageError("check wants a profile".to_owned()))
        } else {
            Ok(Command::Check(names))
        }
    }

    fn explain(mut self) -> Result<Command, UsageError> {
        self.read()?;
        let wants = || UsageError("explain wants a question and an object".to_owned());
        let question = self.rest.pop().ok_or_else(wants)?.to_string_lossy().into_owned();
        let object = self.rest.pop().ok_or_else(wants)?;
        if !self.rest.is_empty() {
            return Err(wants());
        }
        let name = self.profile.unwrap_or_else(|| DEFAULT_PROFILE.to_owned());
        let profile = Box::new(Profile { name, overrides: self.overrides });
        Ok(Command::Explain { profile, program: self.program, question, object })
    }
}

/// The items of a list of what to log.
fn log_items(list: &str) -> Result<Vec<LogItem>, UsageError> {
    let item = |name: &str| {
        let known = || LogItem::ALL.map(LogItem::name).join(", ");
        let found = LogItem::ALL.into_iter().find(|item| item.name() == name);
        found.ok_or_else(|| UsageError(format!("cannot log {name:?}; there are {}", known())))
    };
    list.split(',').map(item).collect()
}

/// Whether the program was started to be an emulator child.
pub fn is_emulator(own_name: Option<&OsStr>) -> bool {
    own_name.is_some_and(|name| name == rxbox_wire::boot::ROLE)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn options_end_at_the_program_whose_own_options_are_its_own() {
        let r = run("--quiet --profile p ./prog --quiet -x");
        assert_eq!((r.quiet, r.profile.name.as_str()), (true, "p"));
        assert_eq!(r.words, [&b"./prog"[..], b"--quiet", b"-x"]);
        assert_eq!(run("-- --odd").words, [b"--odd"]);
        assert_eq!(run("-- check").words, [b"check"]);
        assert_eq!(run("true").profile.name, DEFAULT_PROFILE);
    }

    #[test]
    fn every_option_of_the_help_is_read() {
        let r = run(
            "--allow-read /a --allow-read=/b --allow-write /c --allow-exec /d --deny-path /e --allow-net tcp:*:80 \
             --allow-bind tcp:*:81 --pass-env L* --env K=V=W --limit memory=1M --time-limit 5 --log syscall,op \
             --log-file /f --status-fd 3 prog",
        );
        let o = &r.profile.overrides;
        assert_eq!(o.allow_read, ["/a", "/b"]);
        assert_eq!((&o.allow_write[0][..], &o.allow_exec[0][..], &o.deny_path[0][..]), ("/c", "/d", "/e"));
        assert_eq!(
            (&o.allow_net[0][..], &o.allow_bind[0][..], &o.pass_env[0][..]),
            ("tcp:*:80", "tcp:*:81", "L*")
        );
        assert_eq!(o.set_env, [("K".to_owned(), "V=W".to_owned())]);
        assert_eq!(o.limits.len(), 2);
        assert_eq!(o.limits[1], ("wall_time".to_owned(), "5s".to_owned()));
        assert_eq!(r.log, LogItems::from_iter([LogItem::Syscall, LogItem::Op]));
        assert_eq!((r.log_file, r.status_fd), (Some("/f".into()), Some(3)));
        for option in HELP.split_ascii_whitespace().filter(|w| w.starts_with("--") && w.len() > 2) {
            let name = option.trim_end_matches(',');
            let known =
                !matches!(parsed(&format!("{name} 1=1 x")), Err(e) if e.0.starts_with("unknown option"));
            assert!(known, "{name}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (line, message) in [
            ("--profil p prog", "unknown option --profil"),
            ("--profile", "--profile wants a value"),
            ("--quiet", "no program is given"),
            ("--", "no program is given"),
            ("--log nothing x", "cannot log \"nothing\""),
            ("--status-fd -1 x", "--status-fd wants a number"),
            ("--time-limit 5s x", "--time-limit wants a number of seconds"),
            ("--env K x", "--env wants NAME=VALUE"),
            ("explain read", "explain wants a question and an object"),
            ("check", "check wants a profile"),
            ("--program /x y", "--program is for explain only"),
            ("syscalls a b", "syscalls takes one argument at most"),
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.starts_with(message), "{line}: {error}");
        }
    }

    #[test]
    fn the_other_commands_are_read() {
        assert_eq!(parsed(""), Ok(Command::Help));
        assert_eq!(parsed("--help"), Ok(Command::Help));
        assert_eq!(parsed("-V"), Ok(Command::Version));
        assert_eq!(parsed("syscalls"), Ok(Command::Syscalls(None)));
        assert_eq!(parsed("syscalls read"), Ok(Command::Syscalls(Some("read".to_owned()))));
        assert_eq!(parsed("check a ./b"), Ok(Command::Check(vec!["a".to_owned(), "./b".to_owned()])));
        let Ok(Command::Explain { profile, program, question, object }) =
            parsed("explain --profile p --program=/bin/y read /x")
        else {
            panic!()
        };
        assert_eq!((profile.name.as_str(), program), ("p", Some("/bin/y".into())));
        assert_eq!((question.as_str(), object.to_str()), ("read", Some("/x")));
    }
}

//! The command line as users of QEMU's user mode write it: `rxbox qemu-x86_64 …`, or called by that name.
//!
//! QEMU's options, and the environment variables of the same meaning (`QEMU_STRACE` for `-strace`), become
//! rxbox's own, in the order in which QEMU takes them: first the environment, then the command line. As in
//! QEMU `--x` is the same as `-x`, and PROGRAM is a path, which is not searched for; an option of rxbox's
//! that QEMU does not have can stand among the others. The program may then do what its user may, as under
//! QEMU: the profile is `permissive` if none is given. An option that rxbox has no counterpart of is an error
//! that says so, never ignored.

use super::UsageError;
use rxbox_wire::log::LogItem;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// The names by which QEMU's users call it.
const NAMES: [&str; 2] = ["qemu-x86_64", "qemu-x86_64-static"];

/// An option of QEMU's.
struct QemuOption {
    name: &'static str,
    /// The environment variable of the same meaning.
    variable: Option<&'static str>,
    takes: Takes,
}

/// What an option does to the line.
enum Takes {
    Nothing(fn(&mut Line) -> Result<(), String>),
    Value(fn(&mut Line, &[u8]) -> Result<(), String>),
}

use Takes::{Nothing, Value};

const fn option(name: &'static str, variable: &'static str, takes: Takes) -> QemuOption {
    QemuOption { name, variable: Some(variable), takes }
}

/// Those that mean something here, in the order of QEMU's manual.
static OPTIONS: [QemuOption; 14] = [
    QemuOption { name: "h", variable: None, takes: Nothing(|line| line.answer("--help")) },
    QemuOption { name: "help", variable: None, takes: Nothing(|line| line.answer("--help")) },
    option("version", "QEMU_VERSION", Nothing(|line| line.answer("--version"))),
    option("g", "QEMU_GDB", Value(|line, port| line.word("--gdb", port))),
    option(
        "L",
        "QEMU_LD_PREFIX",
        Value(|_, prefix| match prefix {
            b"/" => Ok(()),
            _ => Err("the program sees the host's own files: there is no other prefix than /".to_owned()),
        }),
    ),
    option("s", "QEMU_STACK_SIZE", Value(|line, size| line.word("--stack-size", size))),
    option(
        "cpu",
        "QEMU_CPU",
        Value(|_, model| match model {
            b"max" => Ok(()),
            _ => Err("there is no other model than max".to_owned()),
        }),
    ),
    option("E", "QEMU_SET_ENV", Value(Line::set)),
    option("U", "QEMU_UNSET_ENV", Value(Line::unset)),
    option("0", "QEMU_ARGV0", Value(|line, name| line.argv0(name))),
    option("d", "QEMU_LOG", Value(Line::log)),
    option("D", "QEMU_LOG_FILENAME", Value(|line, file| line.word("--log-file", file))),
    option("strace", "QEMU_STRACE", Nothing(|line| line.log(b"strace"))),
    option(
        "one-insn-per-tb",
        "QEMU_ONE_INSN_PER_TB",
        Nothing(|_| Err("rxbox translates whole blocks".to_owned())),
    ),
];

/// The command line of rxbox's that it becomes.
#[derive(Default)]
struct Line {
    words: Vec<OsString>,
    /// The last word about each variable: its value, or that it is not passed on.
    variables: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    has_profile: bool,
    has_argv0: bool,
}

impl Line {
    fn word(&mut self, option: &str, value: &[u8]) -> Result<(), String> {
        self.words.push(joined(&[option.as_bytes(), b"=", value]));
        Ok(())
    }

    /// Nothing is run but this is printed.
    fn answer(&mut self, option: &str) -> Result<(), String> {
        self.words.insert(0, option.into());
        Ok(())
    }

    fn argv0(&mut self, name: &[u8]) -> Result<(), String> {
        self.has_argv0 = true;
        self.word("--argv0", name)
    }

    /// `NAME=VALUE,…`
    fn set(&mut self, list: &[u8]) -> Result<(), String> {
        for entry in list.split(|byte| *byte == b',') {
            let equals = entry.iter().position(|byte| *byte == b'=').filter(|at| *at > 0);
            let (name, value) = entry.split_at(equals.ok_or("wants NAME=VALUE")?);
            self.variables.insert(name.to_vec(), Some(value[1..].to_vec()));
        }
        Ok(())
    }

    /// `NAME,…`
    fn unset(&mut self, list: &[u8]) -> Result<(), String> {
        for name in list.split(|byte| *byte == b',') {
            if name.is_empty() || name.contains(&b'=') {
                return Err("wants NAME".to_owned());
            }
            self.variables.insert(name.to_vec(), None);
        }
        Ok(())
    }

    /// Items of the log, by QEMU's names, of which most are rxbox's.
    fn log(&mut self, items: &[u8]) -> Result<(), String> {
        for item in items.split(|byte| *byte == b',') {
            let same = LogItem::ALL.into_iter().find(|same| same.name().as_bytes() == item);
            let item = match item {
                b"strace" => LogItem::Syscall,
                // So that `exec` sees each block, which it does here without.
                b"nochain" => continue,
                _ => same.ok_or_else(|| {
                    let names = LogItem::ALL.map(LogItem::name).join(", ");
                    let item = String::from_utf8_lossy(item);
                    format!("cannot be {item:?}; there are strace, nochain, {names}")
                })?,
            };
            self.word("--log", item.name().as_bytes())?;
        }
        Ok(())
    }

    /// The whole line for this program with its arguments.
    fn finish(mut self, program: &[OsString]) -> Vec<OsString> {
        let mut program = program.to_vec();
        // A name without a slash is one of the working directory.
        if let Some(path) = program.first_mut().filter(|path| !path.as_bytes().contains(&b'/')) {
            if !self.has_argv0 {
                self.words.push(joined(&[b"--argv0=", path.as_bytes()]));
            }
            *path = joined(&[b"./", path.as_bytes()]);
        }
        let variables = self.variables.iter().map(|(name, value)| match value {
            Some(value) => joined(&[b"--env=", name, b"=", value]),
            None => joined(&[b"--unset-env=", name]),
        });
        let profile = (!self.has_profile).then(|| "--profile=permissive".into());
        let options = profile.into_iter().chain(self.words).chain(variables);
        options.chain(["--".into()]).chain(program).collect()
    }
}

fn joined(parts: &[&[u8]]) -> OsString {
    OsString::from_vec(parts.concat())
}

/// The arguments behind rxbox's `own_name` as a line for `command`: rewritten if that or the first of them is
/// a name of QEMU's, else as they are.
///
/// # Errors
/// An option that neither has, or that asks for what rxbox does not have.
pub(super) fn rewritten(
    own_name: Option<&OsStr>,
    arguments: Vec<OsString>,
    command: impl FnOnce() -> clap::Command,
) -> Result<Vec<OsString>, UsageError> {
    let is_qemu = |word: &OsStr| NAMES.iter().any(|name| word == *name);
    let called = own_name.and_then(|path| Path::new(path).file_name()).is_some_and(is_qemu);
    if called {
        translated(&arguments, |name| std::env::var_os(name), &command())
    } else if let Some((_, rest)) = arguments.split_first().filter(|(first, _)| is_qemu(first)) {
        translated(rest, |name| std::env::var_os(name), &command())
    } else {
        Ok(arguments)
    }
}

fn translated(
    arguments: &[OsString],
    variable: impl Fn(&str) -> Option<OsString>,
    command: &clap::Command,
) -> Result<Vec<OsString>, UsageError> {
    let mut line = Line::default();
    for option in &OPTIONS {
        let Some((name, value)) = option.variable.and_then(|name| Some((name, variable(name)?))) else {
            continue;
        };
        let taken = match option.takes {
            Nothing(take) => take(&mut line),
            Value(take) => take(&mut line, value.as_bytes()),
        };
        taken.map_err(|why| UsageError::of(&format!("{name}: {why}")))?;
    }
    let mut rest = arguments.iter();
    while let Some(word) = rest.as_slice().first() {
        let text = word.to_string_lossy();
        let Some(name) = text.strip_prefix('-').filter(|name| !name.is_empty()) else { break };
        rest.next();
        if name == "-" {
            break;
        }
        let name = name.strip_prefix('-').unwrap_or(name);
        let Some(option) = OPTIONS.iter().find(|option| option.name == name) else {
            line.own(word, &text, &mut rest, command)?;
            continue;
        };
        let taken = match option.takes {
            Nothing(take) => take(&mut line),
            Value(take) => match rest.next() {
                Some(value) => take(&mut line, value.as_bytes()),
                None => return Err(UsageError::of(&format!("-{name} wants a value"))),
            },
        };
        taken.map_err(|why| UsageError::of(&format!("-{name}: {why}")))?;
    }
    Ok(line.finish(rest.as_slice()))
}

impl Line {
    /// An option of rxbox's own, which is `text`, with its value.
    fn own<'w>(
        &mut self,
        word: &OsStr,
        text: &str,
        rest: &mut impl Iterator<Item = &'w OsString>,
        command: &clap::Command,
    ) -> Result<(), UsageError> {
        let long = text.strip_prefix("--").map(|name| name.split('=').next().unwrap_or(name));
        let known = command.get_arguments().find(|option| long.is_some() && option.get_long() == long);
        let Some(known) = known else {
            let names = OPTIONS.each_ref().map(|option| format!("-{}", option.name));
            let near = rxbox_policy::did_you_mean(text, names.iter().map(String::as_str));
            let near = near.map(|near| format!("; {near}")).unwrap_or_default();
            return Err(UsageError::of(&format!("unknown option {text}{near}")));
        };
        self.has_profile |= long == Some("profile");
        self.has_argv0 |= long == Some("argv0");
        self.words.push(word.to_owned());
        let apart = known.get_action().takes_values() && !text.contains('=');
        if apart {
            self.words.extend(rest.next().cloned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str, variables: &[(&str, &str)]) -> Result<String, String> {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, v)| v.into());
        let words = translated(&arguments, variable, &super::super::command());
        words.map(|words| words.join(OsStr::new(" ")).into_string().unwrap()).map_err(|e| e.to_string())
    }

    #[test]
    fn what_qemu_s_users_write_becomes_a_line_of_rxbox_s() {
        for (line, expected) in [
            ("/prog -x", "--profile=permissive -- /prog -x"),
            ("-E A=1,B=2=3 -U C /p", "--profile=permissive --env=A=1 --env=B=2=3 --unset-env=C -- /p"),
            ("-E A=1 -U A /p", "--profile=permissive --unset-env=A -- /p"),
            (
                "-0 name -L / -s 8M -g 1234 /p",
                "--profile=permissive --argv0=name --stack-size=8M --gdb=1234 -- /p",
            ),
            ("-cpu max -strace /p", "--profile=permissive --log=syscall -- /p"),
            (
                "-d in_asm,strace,nochain -D log /p",
                "--profile=permissive --log=in_asm --log=syscall --log-file=log -- /p",
            ),
            ("--strace -- -odd", "--profile=permissive --log=syscall --argv0=-odd -- ./-odd"),
            ("prog", "--profile=permissive --argv0=prog -- ./prog"),
            ("-0 name prog", "--profile=permissive --argv0=name -- ./prog"),
            ("--profile untrusted --quiet /p", "--profile untrusted --quiet -- /p"),
            ("--profile=p /p --quiet", "--profile=p -- /p --quiet"),
            ("--version prog", "--profile=permissive --version --argv0=prog -- ./prog"),
        ] {
            assert_eq!(words(line, &[]).as_deref(), Ok(expected), "{line}");
        }
        let variables = [("QEMU_STRACE", ""), ("QEMU_SET_ENV", "A=1,B=2"), ("QEMU_UNSET_ENV", "B")];
        assert_eq!(
            words("-E A=3 /p", &variables).unwrap(),
            "--profile=permissive --log=syscall --env=A=3 --unset-env=B -- /p"
        );
    }

    #[test]
    fn what_rxbox_does_not_have_is_said() {
        for (line, message) in [
            ("-L /opt/root prog", "-L: the program sees the host's own files"),
            ("-cpu Haswell prog", "-cpu: there is no other model than max"),
            ("-d cpu prog", "-d: cannot be \"cpu\"; there are strace, nochain, in_asm"),
            ("-E A prog", "-E: wants NAME=VALUE"),
            ("-U A=1 prog", "-U: wants NAME"),
            ("-strac prog", "unknown option -strac; did you mean `-strace`?"),
            ("-profile p prog", "unknown option -profile"),
            ("-E", "-E wants a value"),
        ] {
            let error = words(line, &[]).unwrap_err();
            assert!(error.starts_with(message), "{line}: {error}");
        }
        let model = words("prog", &[("QEMU_CPU", "Haswell")]).unwrap_err();
        assert!(model.starts_with("QEMU_CPU: there is no other model"), "{model}");
    }

    #[test]
    fn only_the_name_itself_is_meant() {
        let of = |own: &str, first: &str| {
            let words = rewritten(Some(own.as_ref()), vec![first.into(), "x".into()], super::super::command);
            words.unwrap().join(OsStr::new(" ")).into_string().unwrap()
        };
        assert_eq!(of("/usr/bin/qemu-x86_64-static", "./a"), "--profile=permissive -- ./a x");
        assert_eq!(of("rxbox", "qemu-x86_64"), "--profile=permissive --argv0=x -- ./x");
        for program in ["/usr/bin/qemu-x86_64", "qemu-aarch64", "--"] {
            assert_eq!(of("rxbox", program), format!("{program} x"));
        }
    }
}

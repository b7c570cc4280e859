//! `rxbox systemd`: a drop-in that puts an existing service into rxbox, made from the text of its unit
//! (systemd.unit(5), systemd.service(5)).
//!
//! Only what has to change does: each command of `ExecStart` becomes rxbox with that command. The text of the
//! command stays as it is written, with its quotes, specifiers and variables. What else the unit does by the
//! number of a process (a PID file, a reload by another process of the program's) cannot work, since the
//! program has process ids of its own; there systemd's own means take its place.

use clap::{Args, ValueHint};
use std::fmt::Write as _;

/// What is to be done with a unit.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Systemd {
    /// What to print: a drop-in that puts the service into rxbox
    #[arg(value_name = "ACTION", value_parser = ["wrap"])]
    pub action: String,
    /// The profile by name or, with a slash, by absolute path
    #[arg(long, value_name = "P", default_value = "untrusted", allow_hyphen_values = true)]
    #[arg(value_hint = ValueHint::FilePath)]
    pub profile: String,
    /// The name of the unit, or with a slash its file; what `systemctl cat` prints may be in it
    #[arg(value_name = "UNIT", value_hint = ValueHint::FilePath)]
    pub unit: String,
}

/// Prefixes of a command: how it is run, and what of its end counts (systemd.service(5)).
const PREFIXES: [char; 6] = ['-', '@', ':', '+', '!', '|'];
/// Settings that take away what rxbox confines by, each with the value that gives it back.
const IN_THE_WAY: [(&str, &str); 4] = [
    ("MemoryDenyWriteExecute", "no"),
    ("RestrictNamespaces", "no"),
    ("SystemCallFilter", ""),
    ("SystemCallArchitectures", ""),
];

/// The drop-in for a unit, whose text systemctl(1) or its file gives.
///
/// # Errors
/// There is no such unit; it starts nothing.
pub fn wrap(asked: &Systemd) -> Result<String, String> {
    let text = if asked.unit.contains('/') {
        std::fs::read_to_string(&asked.unit).map_err(|e| format!("{}: {e}", asked.unit))?
    } else {
        let command = ["--no-pager", "cat", "--", &asked.unit];
        let cat = std::process::Command::new("systemctl").args(command).output();
        let cat = cat.map_err(|e| format!("systemctl: {e}; a path with a slash names the unit's file"))?;
        if !cat.status.success() {
            return Err(format!("systemctl: {}", String::from_utf8_lossy(&cat.stderr).trim_end()));
        }
        String::from_utf8_lossy(&cat.stdout).into_owned()
    };
    let rxbox = std::env::current_exe().map_err(|e| format!("/proc/self/exe: {e}"))?;
    drop_in(asked, &rxbox.to_string_lossy(), &text)
}

/// The drop-in for a unit of this name and text.
///
/// # Errors
/// There is nothing that it starts.
fn drop_in(asked: &Systemd, rxbox: &str, text: &str) -> Result<String, String> {
    let settings = settings(text);
    let starts = values(&settings, "ExecStart");
    let commands: Vec<&str> = starts.iter().flat_map(|line| commands(line)).collect();
    let programs: Vec<Exec<'_>> = commands.iter().filter_map(|command| Exec::read(command)).collect();
    if programs.is_empty() {
        return Err(format!("{} starts nothing: it has no ExecStart=", asked.unit));
    }
    let name = asked.unit.rsplit('/').next().unwrap_or_default();
    let mut out = format!(
        "# {name} in rxbox. To be put into {name}.d/rxbox.conf, or by `systemctl edit {name}`.\n\
         # Made by `rxbox systemd wrap --profile {} {}`.\n\n[Service]\n",
        asked.profile, asked.unit
    );
    out += &kind(&settings);
    out += "ExecStart=\n";
    for program in &programs {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "ExecStart={}", program.wrapped(rxbox, &asked.profile));
    }
    out += &others(&settings, &programs);
    let there = IN_THE_WAY.into_iter().filter(|(key, _)| !values(&settings, key).is_empty());
    let given_back: String = there.map(|(key, value)| format!("{key}={value}\n")).collect();
    if !given_back.is_empty() {
        out += "# rxbox translates code, and confines by filters and namespaces of its own.\n";
        out += &given_back;
    }
    if !values(&settings, "NoExecPaths").is_empty() {
        let _ = writeln!(
            out,
            "# rxbox is a program that the service may execute, too.\nExecPaths={}",
            quoted(rxbox, false)
        );
    }
    out += "# rxbox passes what ends it on to the program, and ends with it.\n\
            KillMode=mixed\n\
            # rxbox itself failed, or there is no such program: starting it again does not help.\n\
            RestartPreventExitStatus=125 126 127\n";
    Ok(out)
}

/// What becomes of the unit's type.
fn kind(settings: &[(String, String)]) -> String {
    let pid_file = if values(settings, "PIDFile").is_empty() { "" } else { "PIDFile=\n" };
    match values(settings, "Type").last().copied().unwrap_or_default() {
        // Not `notify`: the profile may let the program say that it is ready, and this one never does.
        "forking" => format!(
            "# The program must not go into the background, where rxbox would end: tell it so below or in\n\
             # its configuration (nginx -g 'daemon off;').\nType=exec\n{pid_file}"
        ),
        "notify" | "notify-reload" => format!(
            "# What the program may tell systemd, the profile says: [service] notify = [\"ready\", \
                …].\n{pid_file}"
        ),
        _ => pid_file.to_owned(),
    }
}

/// Commands that would look for the program's process by its number.
fn others(settings: &[(String, String)], programs: &[Exec<'_>]) -> String {
    let mut out = String::new();
    for key in ["ExecReload", "ExecStop"] {
        let lines = values(settings, key);
        let instead = match (key, lines.iter().find_map(|line| signal(line))) {
            ("ExecReload", _) => "ExecReload=/bin/kill -HUP $MAINPID\n".to_owned(),
            // What stops the program gracefully must go on to do so.
            (_, Some(signal)) => format!("KillSignal=SIG{signal}\n"),
            (_, None) => String::new(),
        };
        let by_number = |line: &&str| {
            let of_program = Exec::read(line).is_some_and(|e| programs.iter().any(|p| p.path == e.path));
            !line.contains("MAINPID") && (of_program || line.to_ascii_lowercase().contains("pid"))
        };
        if lines.iter().any(by_number) {
            let _ = writeln!(
                out,
                "# It would look for a process by a number that means something in the sandbox only:"
            );
            lines.iter().for_each(|line| _ = writeln!(out, "# {key}={line}"));
            let _ = write!(out, "{key}=\n{instead}");
        }
    }
    out
}

/// The signal that a command names, as in `start-stop-daemon --retry QUIT/5`.
fn signal(line: &str) -> Option<&'static str> {
    const SIGNALS: [&str; 7] = ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH"];
    let mut words = line.split(|c: char| !c.is_ascii_alphanumeric());
    words.find_map(|word| SIGNALS.into_iter().find(|name| word.strip_prefix("SIG").unwrap_or(word) == *name))
}

/// The settings of `[Service]`, in their order, continued lines as one.
fn settings(text: &str) -> Vec<(String, String)> {
    let (mut found, mut section, mut line) = (Vec::new(), String::new(), String::new());
    for part in text.lines().map(str::trim) {
        // Among continued lines, too.
        if part.starts_with(['#', ';']) {
            continue;
        }
        if let Some(part) = part.strip_suffix('\\') {
            line += part.trim_end();
            line.push(' ');
            continue;
        }
        line += part;
        let whole = std::mem::take(&mut line);
        if let Some(name) = whole.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
        } else if let Some((key, value)) = whole.split_once('=').filter(|_| section == "Service") {
            found.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    found
}

/// The values of a setting; an empty one takes back those before it.
fn values<'s>(settings: &'s [(String, String)], key: &str) -> Vec<&'s str> {
    let of_key = settings.iter().filter(|(name, _)| name == key).map(|(_, value)| &**value);
    let mut values: Vec<&str> = Vec::new();
    of_key.for_each(|value| if value.is_empty() { values.clear() } else { values.push(value) });
    values
}

/// The commands of a line, which a word `;` separates.
fn commands(line: &str) -> Vec<&str> {
    let (mut found, mut rest, mut start) = (Vec::new(), line, 0);
    loop {
        let (word, after) = word(rest);
        let at = line.len() - rest.len();
        if word == ";" || word.is_empty() {
            found.push(line[start..at].trim());
            start = line.len() - after.len();
        }
        if word.is_empty() {
            found.retain(|command| !command.is_empty());
            return found;
        }
        rest = after;
    }
}

/// The first word as it is written, with its quotes, and what stands behind it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let (mut quote, mut escaped) = (None, false);
    let end = text.char_indices().find(|&(_, c)| {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() => quote = Some(c),
            _ => {}
        }
        c.is_whitespace() && quote.is_none()
    });
    let (word, rest) = text.split_at(end.map_or(text.len(), |(at, _)| at));
    (word, rest.trim_start())
}

/// A command of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Exec<'t> {
    prefixes: &'t str,
    path: &'t str,
    /// `argv[0]`, if it is another.
    name: Option<&'t str>,
    arguments: &'t str,
}

impl<'t> Exec<'t> {
    fn read(command: &'t str) -> Option<Exec<'t>> {
        let bare = command.trim_start_matches(PREFIXES);
        let prefixes = &command[..command.len() - bare.len()];
        let (path, rest) = word(bare);
        let (name, arguments) = match prefixes.contains('@') {
            true => Some(word(rest)).map(|(name, rest)| (Some(name), rest))?,
            false => (None, rest),
        };
        (!path.is_empty()).then_some(Exec { prefixes, path, name, arguments })
    }

    fn wrapped(&self, rxbox: &str, profile: &str) -> String {
        let prefixes = self.prefixes.replace('@', "");
        // Behind a colon variables are not replaced, so there is nothing to keep from that.
        let quoted = |text: &str| quoted(text, !prefixes.contains(':'));
        let name = self.name.map(|name| format!(" --argv0 {name}")).unwrap_or_default();
        let words = [quoted(rxbox), format!("--profile {}{name} --", quoted(profile))];
        let words = words.iter().map(String::as_str).chain([self.path, self.arguments]);
        prefixes + &words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// A text as a word of a command.
fn quoted(text: &str, variables: bool) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    let escaped = text.replace('%', "%%").replace('\\', "\\\\").replace('"', "\\\"");
    let escaped = if variables { escaped.replace('$', "$$") } else { escaped };
    if !text.is_empty() && text.chars().all(plain) { escaped } else { format!("\"{escaped}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn wrapped(line: &str) -> Vec<String> {
        let text = format!("[Service]\nExecStart={line}\n");
        let asked = Systemd { action: "wrap".into(), profile: "p".into(), unit: "x.service".into() };
        let out = drop_in(&asked, "/usr/bin/rxbox", &text).unwrap();
        let starts =
            out.lines().filter_map(|line| line.strip_prefix("ExecStart=/usr/bin/rxbox --profile p "));
        starts.map(str::to_owned).collect()
    }

    #[test]
    fn a_command_stays_as_it_is_written() {
        assert_eq!(
            wrapped("/bin/a -x \"b  c\" 'd;e' %i $VAR ${V} \\; f"),
            ["-- /bin/a -x \"b  c\" 'd;e' %i $VAR ${V} \\; f"]
        );
        assert_eq!(wrapped("\"/opt/my prog/run\"  --x"), ["-- \"/opt/my prog/run\" --x"]);
        assert_eq!(wrapped("/bin/a 1 ; /bin/b ';' 2 ;"), ["-- /bin/a 1", "-- /bin/b ';' 2"]);
        assert_eq!(wrapped("@/bin/a name -x"), ["--argv0 name -- /bin/a -x"]);
    }

    #[test]
    fn prefixes_stay_but_for_the_name() {
        let of = |command: &'static str| Exec::read(command).unwrap().wrapped("/r", "a b$%\"");
        assert_eq!(of("-+/bin/a x"), "-+/r --profile \"a b$$%%\\\"\" -- /bin/a x");
        assert_eq!(of("!!@:/bin/a 'n m'"), "!!:/r --profile \"a b$%%\\\"\" --argv0 'n m' -- /bin/a");
        assert_eq!((Exec::read("-"), Exec::read("")), (None, None));
    }

    #[test]
    fn what_starts_nothing_is_an_error() {
        let asked = Systemd { action: "wrap".into(), profile: "p".into(), unit: "x.service".into() };
        for text in [
            "",
            "[Service]\nExecStart=/a\nExecStart=\n",
            "[Unit]\nExecStart=/a\n",
            "[Service]\n#ExecStart=/a",
        ] {
            assert!(drop_in(&asked, "/r", text).is_err(), "{text}");
        }
    }

    #[test]
    fn units_of_distributions_become_what_was_reviewed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systemd");
        let mut seen = 0;
        for unit in std::fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path()) {
            if unit.extension().is_none_or(|extension| extension != "service") {
                continue;
            }
            let name = unit.file_name().unwrap().to_str().unwrap().to_owned();
            let asked = Systemd { action: "wrap".into(), profile: "/etc/rxbox/p.toml".into(), unit: name };
            let made = drop_in(&asked, "/usr/bin/rxbox", &std::fs::read_to_string(&unit).unwrap()).unwrap();
            let file = unit.with_extension("conf");
            if std::env::var_os("RXBOX_BLESS").is_some_and(|v| v == "1") {
                std::fs::write(&file, &made).unwrap();
            }
            assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), made, "{}", unit.display());
            seen += 1;
        }
        assert!(seen >= 3);
    }
}

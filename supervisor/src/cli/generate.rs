//! What is generated from the declarations of the command line: the manual page and the completions of
//! shells. `packaging/` holds the files, and a test holds them equal to these.

use super::{AFTER_HELP, command};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io;

/// What the manual says beyond the options.
const SECTIONS: [(&str, &str); 4] = [
    (
        "EXIT STATUS",
        "The program's own; if a signal ended it rxbox ends by the same signal, which a shell shows as \
         128+n; 124 time limit; 125 rxbox itself failed; 126 the program cannot be run; 127 it was not \
         found; 137 \
         memory limit; 159 killed by the policy. A program can use the same numbers: --status-fd tells which \
         it was.",
    ),
    (
        "SIGNALS AND JOB CONTROL",
        "A signal that is sent to rxbox goes on to the program, and the keys of the terminal reach the \
         processes in its foreground: a shell in rxbox has job control of its own. When the program stops \
         rxbox stops as well, and a shell that continues rxbox continues the program's process group.",
    ),
    ("FILES", "Profiles are described in docs/policy.md."),
    ("SEE ALSO", "seccomp(2), bwrap(1)"),
];

/// The completions of a shell.
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "rxbox", &mut script);
    script
}

/// The manual page.
pub fn manual() -> Vec<u8> {
    let mut page = Vec::new();
    // Writing to memory cannot fail.
    let _ = write_manual(&mut page);
    page
}

fn write_manual(page: &mut Vec<u8>) -> io::Result<()> {
    let mut command = command();
    command.build();
    // A date that is empty would be left out, and the source take its place.
    let manual = Man::new(command.clone()).title("RXBOX").date(" ").manual("User commands");
    manual.render_title(page)?;
    manual.render_name_section(page)?;
    manual.render_synopsis_section(page)?;
    manual.render_description_section(page)?;
    manual.render_options_section(page)?;
    let mut rest = Roff::new();
    commands(&mut rest, &mut command);
    examples(&mut rest);
    for (heading, text) in SECTIONS {
        rest.control("SH", [heading]).text([roman(text)]);
    }
    rest.to_writer(page)
}

/// Each command with what it takes beyond the options of a run.
fn commands(roff: &mut Roff, root: &mut clap::Command) {
    roff.control("SH", ["COMMANDS"]);
    let of_root: Vec<_> = root.get_arguments().map(|a| a.get_id().clone()).collect();
    for command in root.get_subcommands_mut() {
        let usage = command.render_usage().to_string();
        roff.control("TP", []).text([bold(usage.trim_start_matches("Usage: "))]);
        roff.text([roman(command.get_about().map(ToString::to_string).unwrap_or_default())]);
        for argument in command.get_arguments().filter(|a| !of_root.contains(a.get_id())) {
            let values: Vec<_> =
                argument.get_possible_values().iter().map(|v| v.get_name().to_owned()).collect();
            let values = if values.is_empty() { String::new() } else { format!(": {}", values.join(", ")) };
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            roff.control("RS", []).control("TP", []).text([bold(argument.to_string())]);
            roff.text([roman(help + &values)]).control("RE", []);
        }
    }
}

/// The examples of the help: lines of a command and what it does, two spaces and more apart.
fn examples(roff: &mut Roff) {
    roff.control("SH", ["EXAMPLES"]);
    for line in AFTER_HELP.lines().skip(1).take_while(|line| !line.is_empty()) {
        if let Some((command, what)) = line.trim().split_once("  ") {
            roff.control("TP", []).text([bold(command)]).text([roman(what.trim())]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap_complete::Generator;
    use std::path::{Path, PathBuf};

    #[test]
    fn packaging_holds_what_is_generated() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging");
        let mut files: Vec<(PathBuf, Vec<u8>)> = vec![(folder.join("man/rxbox.1"), manual())];
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            files.push((folder.join("completions").join(shell.file_name("rxbox")), completions(shell)));
        }
        for (path, text) in files {
            if std::env::var_os("RXBOX_BLESS").is_some_and(|v| v == "1") {
                std::fs::write(&path, &text).unwrap();
            }
            let held = std::fs::read(&path).unwrap_or_default();
            assert!(held == text, "{} differs; RXBOX_BLESS=1 writes it", path.display());
        }
    }

    #[test]
    fn the_manual_speaks_of_every_option_command_and_item_of_the_log() {
        let page = String::from_utf8(manual()).unwrap().replace('\\', "");
        let mut root = command();
        root.build();
        for command in std::iter::once(&root).chain(root.get_subcommands()) {
            assert!(page.contains(command.get_name()));
            for argument in command.get_arguments() {
                if let Some(name) = argument.get_long() {
                    assert!(page.contains(&format!("--{name}")), "{name}");
                }
                for value in argument.get_possible_values() {
                    assert!(page.contains(value.get_name()), "{}", value.get_name());
                }
            }
        }
        assert!(page.contains("Adds to [filesystem] write of the profile"), "{page}");
    }
}

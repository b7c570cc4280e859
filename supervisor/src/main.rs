//! The `rxbox` program: the supervisor, or with another name of its own the emulator child.

#![forbid(unsafe_code)]

use rxbox::cli::profile::variables;
use rxbox::cli::{self, Command, commands, doctor, generate};
use rxbox::run;
use rxbox::sandbox::layers;
use std::process::ExitCode;

/// Exit status of rxbox's own errors.
const OWN_ERROR: u8 = 125;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    if cli::is_emulator(arguments.next().as_deref()) {
        rxbox_emulator_core::child_main();
    }
    match cli::parse(arguments) {
        Ok(command) => carry_out(command),
        Err(e) => fail(&e.to_string()),
    }
}

fn carry_out(command: Command) -> ExitCode {
    match command {
        Command::Run(options) => std::process::exit(run::run(*options)),
        Command::Help(text) => print(text, true),
        Command::Version => {
            print(format!("rxbox {}\nlayers: {}\n", env!("CARGO_PKG_VERSION"), layers::names()), true)
        }
        Command::Check { profiles } => {
            let (text, well) = commands::check(&profiles);
            print(text, well)
        }
        Command::Doctor { json } => match doctor::examine() {
            Ok(found) => print(if json { doctor::json(&found) } else { doctor::table(&found) }, true),
            Err(e) => fail(&format!("doctor: {}", e.desc())),
        },
        Command::Completions { shell } => print(generate::completions(shell), true),
        Command::Schema => print(rxbox_policy::schema_json(), true),
        Command::Man => print(generate::manual(), true),
        Command::Syscalls { name } => match commands::syscalls(name.as_deref()) {
            Ok(text) => print(text, true),
            Err(e) => fail(&e),
        },
        Command::Explain(asked) => {
            let policy = match asked.profile.load(&variables(asked.program.as_deref())) {
                Ok(policy) => policy,
                Err(e) => return fail(&e.to_string()),
            };
            match commands::explain(&policy, &asked.question, &asked.object) {
                Ok((text, allowed)) => print(format!("{text}\n"), allowed),
                Err(e) => fail(&e),
            }
        }
    }
}

/// Prints and ends with 0, or 1 for a negative answer. A reader that has seen enough is no error.
fn print(text: impl AsRef<[u8]>, positive: bool) -> ExitCode {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_ref());
    if positive { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn fail(text: &str) -> ExitCode {
    rxbox::report::tell(&format!("rxbox: {text}"));
    ExitCode::from(OWN_ERROR)
}

//! The `rxbox` program: the supervisor, or with another name of its own the emulator child.

#![forbid(unsafe_code)]

use rxbox::cli::{self, Command};
use rxbox::sandbox::layers;
use rxbox::{commands, run};
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
        Command::Help => print(cli::HELP, true),
        Command::Version => {
            print(&format!("rxbox {}\nlayers: {}\n", env!("CARGO_PKG_VERSION"), layers::names()), true)
        }
        Command::Check(names) => {
            let (text, well) = commands::check(&names);
            print(&text, well)
        }
        Command::Syscalls(name) => match commands::syscalls(name.as_deref()) {
            Ok(text) => print(&text, true),
            Err(e) => fail(&e),
        },
        Command::Explain { profile, program, question, object } => {
            let policy = match commands::load(&profile, &commands::variables(program.as_deref())) {
                Ok(policy) => policy,
                Err(e) => return fail(&e.to_string()),
            };
            match commands::explain(&policy, &question, &object) {
                Ok((text, allowed)) => print(&format!("{text}\n"), allowed),
                Err(e) => fail(&e),
            }
        }
    }
}

/// Prints and ends with 0, or 1 for a negative answer. A reader that has seen enough is no error.
fn print(text: &str, positive: bool) -> ExitCode {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
    if positive { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn fail(text: &str) -> ExitCode {
    rxbox::report::tell(&format!("rxbox: {text}"));
    ExitCode::from(OWN_ERROR)
}

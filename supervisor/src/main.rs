//! The `rxbox` program: the supervisor, or with another name of its own the emulator child.

#![cfg_attr(not(test), no_main)]
#![deny(unsafe_code)]

#[cfg(not(test))]
#[expect(unsafe_code, reason = "the name of the function that the C library calls")]
mod entry;

use rxbox::cli::profile::variables;
use rxbox::cli::{self, Command, commands, doctor, generate, identity, runs, systemd};
use rxbox::confine::descriptors::Given;
use rxbox::host::procfs;
use rxbox::oci;
use rxbox::run;
use rxbox::sandbox::layers;

/// Exit status of rxbox's own errors.
const OWN_ERROR: i32 = 125;

/// The whole program; its exit status.
#[cfg_attr(test, expect(dead_code, reason = "tests begin elsewhere"))]
fn program() -> i32 {
    let mut arguments = std::env::args_os();
    let name = arguments.next();
    if cli::is_emulator(name.as_deref()) {
        rxbox_emulator_core::child_main();
    }
    if name.as_deref().is_some_and(|name| name == rxbox_wire::kept::ROLE) {
        rxbox_emulator_core::keeper_main();
    }
    let command = match cli::parse_as(name.as_deref(), arguments.collect()) {
        Ok(command) => command,
        Err(e) => return fail(&e.to_string()),
    };
    if let (Command::Run(_) | Command::Learn(_) | Command::Trace(_), Err(e)) = (&command, procfs::provide()) {
        return fail(&format!(
            "there is no /proc of this PID namespace, and none can be mounted: {}",
            e.desc()
        ));
    }
    // Before anything is opened.
    let given = match Given::note() {
        Ok(given) => given,
        Err(e) => return fail(&format!("descriptors: {}", e.desc())),
    };
    carry_out(command, given)
}

fn carry_out(command: Command, given: Given) -> i32 {
    match command {
        Command::Run(options) => run::run(*options, given),
        Command::Learn(options) => run::learn::learn(*options, given),
        Command::Trace(trace) => match trace.tracing() {
            Err(e) => fail(&format!("trace: {e}")),
            Ok(tracing) => match trace.follow.clone() {
                None => run::run(trace.run(tracing), given),
                Some(name) => match runs::follow(&name, tracing) {
                    Ok(()) => 0,
                    Err(e) => fail(&e),
                },
            },
        },
        Command::Help(text) => print(text, true),
        Command::Version => {
            print(format!("rxbox {}\nlayers: {}\n", env!("CARGO_PKG_VERSION"), layers::names()), true)
        }
        Command::Check { profiles } => {
            let (text, well) = commands::check(&profiles);
            print(text, well)
        }
        Command::Diff { old, new } => match commands::diff(&old, &new) {
            Ok((text, agree)) => print(text, agree),
            Err(e) => fail(&e),
        },
        Command::Show(asked) => match commands::show(&asked.profile(), asked.filters) {
            Ok(text) => print(text, true),
            Err(e) => fail(&e),
        },
        Command::Doctor { json } => match doctor::examine() {
            Ok(found) => print(if json { doctor::json(&found) } else { doctor::table(&found) }, true),
            Err(e) => fail(&format!("doctor: {}", e.desc())),
        },
        Command::Systemd(asked) => match systemd::wrap(&asked) {
            Ok(text) => print(text, true),
            Err(e) => fail(&e),
        },
        Command::Changes(command) => match cli::changes(&command) {
            Ok((text, well)) => print(text, well),
            Err(e) => fail(&e),
        },
        Command::Cache(command) => match command.run() {
            Some(options) => run::run(options, given),
            None => match cli::cache(&command) {
                Ok(text) => print(text, true),
                Err(e) => fail(&e),
            },
        },
        Command::Ps { json } => match runs::list(json) {
            Ok((text, silent)) => {
                silent.iter().for_each(|why| rxbox::report::tell(&format!("rxbox: {why}")));
                print(text, silent.is_empty())
            }
            Err(e) => fail(&e),
        },
        Command::Kill(kill) => match runs::kill(&kill) {
            Ok(()) => 0,
            Err(e) => fail(&e),
        },
        Command::Oci(asked) => oci::main(&asked, given),
        Command::Completions { shell } => print(generate::completions(shell), true),
        Command::Schema => print(rxbox_policy::schema_json(), true),
        Command::Man => print(generate::manual(), true),
        Command::Syscalls { coverage: true, .. } => print(rxbox_wire::text::coverage::page(), true),
        Command::Syscalls { name, .. } => match commands::syscalls(name.as_deref()) {
            Ok(text) => print(text, true),
            Err(e) => fail(&e),
        },
        Command::Explain(asked) => {
            let policy = match identity::assume(&asked.profile).and_then(|read| {
                let variables = variables(asked.program.as_deref());
                let policy = asked.profile.load(read, &variables).map_err(|e| e.to_string())?;
                identity::confirm(&policy).map(|()| policy)
            }) {
                Ok(policy) => policy,
                Err(e) => return fail(&e),
            };
            match commands::explain(&policy, &asked.question, &asked.object, asked.why) {
                Ok((text, allowed)) => print(format!("{text}\n"), allowed),
                Err(e) => fail(&e),
            }
        }
    }
}

/// Prints and ends with 0, or 1 for a negative answer. A reader that has seen enough is no error.
fn print(text: impl AsRef<[u8]>, positive: bool) -> i32 {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_ref());
    i32::from(!positive)
}

fn fail(text: &str) -> i32 {
    rxbox::report::tell(&format!("rxbox: {text}"));
    OWN_ERROR
}

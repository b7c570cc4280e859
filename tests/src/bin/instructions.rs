//! Differential fuzzing of instructions ([`rxbox_tests::instructions::fuzz`]).
//!
//! ```text
//! instructions fuzz [--seed SEED] [--minutes MINUTES]
//! ```

use rxbox_tests::instructions::fuzz;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "usage: instructions fuzz [--seed SEED] [--minutes MINUTES]";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((seed, minutes)) = asked(&words) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let report = fuzz::run(seed, Duration::from_secs(60 * minutes));
    for found in &report.found {
        println!("{found}");
    }
    println!("seed {seed}: {} cases, {} differ", report.cases, report.found.len());
    ExitCode::from(u8::from(!report.found.is_empty()))
}

/// Seed and minutes, if the command line asks for what there is.
fn asked(words: &[String]) -> Option<(u64, u64)> {
    let (command, options) = words.split_first()?;
    let (mut seed, mut minutes) = (1, 1);
    for option in options.chunks(2) {
        let [name, value] = option else { return None };
        match name.as_str() {
            "--seed" => seed = value.parse().ok()?,
            "--minutes" => minutes = value.parse().ok()?,
            _ => return None,
        }
    }
    (command == "fuzz").then_some((seed, minutes))
}

//! Commands for runs that have a name.

use super::Tracing;
use crate::monitor::Name;
use crate::monitor::client::{self, all, ask};
use crate::monitor::message::{Request, Status};
use crate::report::record;
use crate::report::trace::Printer;
use clap::Args;
use rxbox_wire::names::SIGNALS;
use std::fs::File;
use std::os::fd::AsFd;

/// A signal, and who gets it.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Kill {
    /// The signal, by name (HUP, SIGHUP) or number
    #[arg(long, short, value_name = "S", default_value = "TERM", value_parser = signal)]
    pub signal: i32,
    /// The names of runs
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<Name>,
}

/// `rxbox kill`. Each run gets the signal, if it can.
///
/// # Errors
/// Why some have not got it, in a line each.
pub fn kill(kill: &Kill) -> Result<(), String> {
    let request = Request::Signal { number: kill.signal };
    let asked = kill.names.iter().map(|name| ask(name, &request));
    let failed: Vec<String> = asked.filter_map(|asked| asked.err().map(|e| e.to_string())).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\nrxbox: ")) }
}

/// `rxbox trace --name`: writes the calls of a run until that is over.
///
/// # Errors
/// The run is not there, or the file cannot be written.
pub fn follow(name: &Name, tracing: Tracing) -> Result<(), String> {
    let out = match &tracing.output {
        Some(path) => File::options().append(true).create(true).open(path),
        None => std::io::stderr().as_fd().try_clone_to_owned().map(File::from),
    };
    let printer = Printer::new(tracing.form, out.map_err(|e| format!("the trace: {e}"))?);
    client::follow(name, tracing.filter, &printer).map_err(|e| e.to_string())
}

/// `rxbox ps`: a table or JSON, and why runs are missing there.
///
/// # Errors
/// Runs cannot be found.
pub fn list(json: bool) -> Result<(String, Vec<String>), String> {
    let (mut runs, mut silent) = (Vec::new(), Vec::new());
    for run in all().map_err(|e| e.to_string())? {
        match run {
            Ok(status) => runs.push(status),
            Err(e) => silent.push(e.to_string()),
        }
    }
    // Words and numbers can always be written into memory.
    let text =
        if json { serde_json::to_string_pretty(&runs).unwrap_or_default() + "\n" } else { table(&runs) };
    Ok((text, silent))
}

fn table(runs: &[Status]) -> String {
    let now = record::now();
    let head = ["NAME", "PID", "PROFILE", "SINCE", "PROCESSES", "CPU", "MEMORY", "DENIALS", "PROGRAM"]
        .map(String::from);
    let row = |run: &Status| {
        [
            run.name.clone(),
            run.pid.to_string(),
            run.profile.clone(),
            format!("{} ago", span(now.saturating_sub(run.since) / 1000)),
            run.processes.to_string(),
            format!("{:.1}s", run.cpu),
            format!("{:.1}M", run.memory as f64 / f64::from(1 << 20)),
            run.denials.to_string(),
            run.program.clone(),
        ]
    };
    let rows: Vec<_> = std::iter::once(head).chain(runs.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let line = |row: &[String; 9]| {
        let cells = row.iter().enumerate().map(|(n, cell)| format!("{cell:<width$}", width = width(n)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// So many seconds in the two largest units.
fn span(seconds: u64) -> String {
    match (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (0, hours, minutes, _) => format!("{hours}h{minutes:02}m"),
        (days, hours, ..) => format!("{days}d{hours:02}h"),
    }
}

fn signal(text: &str) -> Result<i32, String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let by_name = SIGNALS.names.iter().find(|(_, known)| known.strip_prefix("SIG") == Some(name));
    let number = by_name.map(|(number, _)| *number).or_else(|| text.parse().ok());
    let number = number.filter(|number| (1..=64).contains(number));
    number
        .and_then(|number| i32::try_from(number).ok())
        .ok_or_else(|| "wants a signal, as TERM or 15".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [("TERM", 15), ("SIGTERM", 15), ("sigusr1", 10), ("9", 9), ("64", 64)] {
            assert_eq!(signal(text), Ok(number), "{text}");
        }
        for text in ["", "0", "65", "-1", "SIGNAL", "SIG9"] {
            assert!(signal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_table_has_a_column_as_wide_as_its_widest_cell() {
        let status = |name: &str, memory| Status {
            name: name.to_owned(),
            pid: 7,
            supervisor: 8,
            profile: "untrusted".to_owned(),
            program: "/bin/sleep".to_owned(),
            since: record::now(),
            processes: 1,
            cpu: 0.25,
            memory,
            denials: 3,
        };
        let text = table(&[status("a", 1 << 20), status("longer-name", 3 << 30)]);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("NAME         PID  PROFILE    SINCE"), "{text}");
        assert!(lines[1].starts_with("a            7    untrusted  0s ago"), "{text}");
        assert!(lines[2].ends_with("0.2s  3072.0M  3        /bin/sleep"), "{text}");
    }

    #[test]
    fn spans_are_in_the_two_largest_units() {
        let spans = [0, 59, 61, 3661, 90_000].map(span);
        assert_eq!(spans, ["0s", "59s", "1m01s", "1h01m", "1d01h"]);
    }
}

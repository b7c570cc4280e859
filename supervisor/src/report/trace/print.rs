//! How events are written for the user: in lines, in JSON, or counted in a table.

use super::event::{Event, Told};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

/// In which form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Lines in the style of strace(1).
    #[default]
    Lines,
    /// Lines of JSON.
    Json,
    /// A table at the end.
    Table,
}

/// Writes events. A file that is full or gone does not disturb the guest.
#[derive(Debug)]
pub struct Printer {
    form: Form,
    /// A line is one `write`; the lock keeps the lines of a file that several processes append to whole.
    out: Mutex<File>,
    counts: Mutex<BTreeMap<String, Count>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    calls: u64,
    errors: u64,
    denied: u64,
    micros: u64,
}

impl Printer {
    /// Writes in this form to `out`.
    pub fn new(form: Form, out: File) -> Printer {
        Printer { form, out: Mutex::new(out), counts: Mutex::default() }
    }

    /// Writes an event, or counts it.
    pub fn print(&self, event: &Event) {
        match self.form {
            Form::Lines => self.write(&event.line()),
            Form::Json => self.write(&serde_json::to_string(event).unwrap_or_default()),
            Form::Table => {
                let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
                let count = counts.entry(event.call.clone()).or_default();
                count.calls += 1;
                count.errors += u64::from(event.result.is_some_and(|result| (-4095..0).contains(&result)));
                count.denied += u64::from(event.is_denied());
                count.micros += event.micros;
            }
        }
    }

    /// Says that events are missing.
    pub fn lost(&self, lost: u64) {
        match self.form {
            Form::Json => self.write(&serde_json::to_string(&Told::Lost { lost }).unwrap_or_default()),
            Form::Lines | Form::Table => {
                self.write(&format!("rxbox: {lost} calls are not shown, since they were too many"))
            }
        }
    }

    /// Writes the table, if that is the form.
    pub fn finish(&self) {
        if self.form == Form::Table {
            let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            self.write(&table(&counts));
        }
    }

    fn write(&self, text: &str) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = out.write_all(format!("{text}\n").as_bytes());
    }
}

/// As strace -c(1) writes it, those that took longest first, with what was denied.
fn table(counts: &BTreeMap<String, Count>) -> String {
    let sum = |of: fn(&Count) -> u64| counts.values().map(of).sum::<u64>();
    let all = Count {
        calls: sum(|count| count.calls),
        errors: sum(|count| count.errors),
        denied: sum(|count| count.denied),
        micros: sum(|count| count.micros),
    };
    let line = |name: &str, count: &Count| {
        let share = 100.0 * count.micros as f64 / all.micros.max(1) as f64;
        let (seconds, each) = (count.micros as f64 / 1e6, count.micros / count.calls.max(1));
        let Count { calls, errors, denied, .. } = count;
        format!("{share:>6.2} {seconds:>11.6} {each:>11} {calls:>9} {errors:>9} {denied:>9} {name}")
    };
    let mut rows: Vec<_> = counts.iter().collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(count.micros));
    let head = format!(
        "{:>6} {:>11} {:>11} {:>9} {:>9} {:>9} {}",
        "% time", "seconds", "usecs/call", "calls", "errors", "denied", "syscall"
    );
    let rows = rows.into_iter().map(|(name, count)| line(name, count));
    let lines: Vec<_> = std::iter::once(head).chain(rows).chain([line("total", &all)]).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::{denial, event};
    use super::*;
    use std::io::Read as _;

    fn printed(form: Form, events: &[Event]) -> String {
        let (read, write) = nix::unistd::pipe().unwrap();
        let printer = Printer::new(form, write.into());
        events.iter().for_each(|event| printer.print(event));
        printer.lost(4);
        printer.finish();
        drop(printer);
        let mut text = String::new();
        File::from(read).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn events_are_lines_json_or_counted() {
        let denied = Event { result: Some(-13), decisions: vec![denial()], ..event() };
        let events = [event(), denied, Event { call: "write".to_owned(), micros: 90, ..event() }];
        let lines = printed(Form::Lines, &events);
        assert!(
            lines.starts_with("3 read(0, \"\", 1) = 0\n3 read") && lines.contains("rxbox: 4 calls"),
            "{lines}"
        );
        let json = printed(Form::Json, &events);
        assert_eq!(serde_json::from_str::<Event>(json.lines().next().unwrap()).unwrap(), event());
        assert_eq!(json.lines().last(), Some("{\"lost\":4}"));
        let table = printed(Form::Table, &events);
        let rows: Vec<Vec<&str>> =
            table.lines().skip(2).map(|row| row.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["90.00", "0.000090", "90", "1", "0", "0", "write"]);
        assert_eq!(rows[1], ["10.00", "0.000010", "5", "2", "1", "1", "read"]);
        assert_eq!(rows[2], ["100.00", "0.000100", "33", "3", "1", "1", "total"]);
    }
}

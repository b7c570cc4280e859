//! The options of what a run reports.

use crate::report::trace::{Filter, Form};
use clap::builder::{OsStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use rxbox_wire::log::{LogItem, LogItems};
use std::ffi::OsString;
use std::path::PathBuf;

/// What a run reports, and where.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(next_help_heading = "Reports")]
pub struct Reports {
    /// Log ITEMS, which commas separate
    #[arg(long = "log", value_name = "ITEMS", value_delimiter = ',', value_parser = log_item())]
    #[arg(allow_hyphen_values = true)]
    pub items: Vec<LogItem>,
    /// Append the log to FILE instead of standard error, and denials as well
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub log_file: Option<PathBuf>,
    /// Write the outcome as a line of JSON to descriptor N
    ///
    /// It is an object with "event", which is "end", "cause", "code" (the exit status of rxbox) and, where
    /// they apply, "status", "signal" and "message". An exit status alone does not tell whether the program
    /// chose it. Before it comes, for each rule that denied something, one with "event", which is "denied",
    /// "rule" and "count". docs/audit.md describes the records.
    #[arg(long, value_name = "N", value_parser = descriptor, allow_hyphen_values = true)]
    pub status_fd: Option<i32>,
    /// Write records of what was denied, as lines of JSON, to FILE or to descriptor N (fd:N), or to systemd's
    /// journal
    ///
    /// The program can neither fill nor change what is written there: a file is one of rxbox's own, and a
    /// descriptor is not passed on. In the journal each key of a record is a field. docs/audit.md describes
    /// the records.
    #[arg(long, value_name = "FILE|fd:N|journald", allow_hyphen_values = true)]
    #[arg(value_hint = ValueHint::FilePath)]
    #[arg(value_parser = OsStringValueParser::new().map(AuditTarget::from))]
    pub audit: Option<AuditTarget>,
    /// Do not tell what was denied
    #[arg(long, short)]
    pub quiet: bool,
}

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTarget {
    /// To the end of a file.
    File(PathBuf),
    /// To a descriptor.
    Descriptor(i32),
    /// To systemd's journal.
    Journal,
}

impl From<OsString> for AuditTarget {
    fn from(text: OsString) -> AuditTarget {
        if text == "journald" {
            return AuditTarget::Journal;
        }
        let number = text.to_str().and_then(|text| text.strip_prefix("fd:")).and_then(|n| n.parse().ok());
        match number.filter(|number| *number >= 0) {
            Some(number) => AuditTarget::Descriptor(number),
            None => AuditTarget::File(text.into()),
        }
    }
}

/// How a run is traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracing {
    /// What is shown.
    pub filter: Filter,
    /// In which form.
    pub form: Form,
    /// Where, if not on standard error.
    pub output: Option<PathBuf>,
}

impl Reports {
    /// What to log.
    pub fn log(&self) -> LogItems {
        self.items.iter().copied().collect()
    }
}

fn log_item() -> impl TypedValueParser<Value = LogItem> {
    let values = LogItem::ALL.map(|item| PossibleValue::new(item.name()).help(item.about()));
    PossibleValuesParser::new(values)
        .try_map(|name| LogItem::ALL.into_iter().find(|item| item.name() == name).ok_or("is no item"))
}

fn descriptor(text: &str) -> Result<i32, &'static str> {
    text.parse().ok().filter(|number| *number >= 0).ok_or("wants a number")
}

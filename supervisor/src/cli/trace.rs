//! The options of tracing a program's calls.

use super::reports::Tracing;
use super::{Profile, Reports, Run};
use crate::monitor::Name;
use crate::report::trace::filter::calls;
use crate::report::trace::{Filter, Form};
use clap::{Args, ValueHint};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

/// Which calls are traced, and how.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Trace {
    /// The program and its arguments
    #[arg(value_name = "PROGRAM", required_unless_present = "follow", num_args = 1..)]
    #[arg(trailing_var_arg = true, value_hint = ValueHint::CommandWithArguments)]
    pub words: Vec<OsString>,
    /// Follow the run of this name instead of running a program
    #[arg(id = "follow", long = "name", short = 'n', value_name = "NAME", conflicts_with = "words")]
    pub follow: Option<Name>,
    /// Only these calls: names and classes (%file, %desc, %process, %network, %signal, %memory, %ipc) that
    /// commas separate; with ! before them all others
    #[arg(short = 'e', long = "trace", value_name = "SET", value_parser = set, allow_hyphen_values = true)]
    pub sets: Vec<Calls>,
    /// Only calls about the file PATH, or about something below it
    #[arg(short = 'P', long = "trace-path", value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// Only calls of the process that the program knows as N
    #[arg(short = 'p', long, value_name = "N")]
    pub pid: Vec<i32>,
    /// Only calls of which something was denied
    #[arg(long)]
    pub denied: bool,
    /// Calls of all processes, not of the first one only
    #[arg(short, long)]
    pub follow_forks: bool,
    /// Print a table at the end: how often each call was made, failed, was denied, and how long it took
    #[arg(short = 'c', long, conflicts_with = "json")]
    pub summary_only: bool,
    /// Print lines of JSON, which docs/runs.md describes
    #[arg(long)]
    pub json: bool,
    /// Append it to FILE instead of standard error
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Under what policy.
    #[command(flatten)]
    pub profile: Profile,
    /// What else the user gets to see.
    #[command(flatten)]
    pub reports: Reports,
}

/// Calls by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls(BTreeSet<u32>);

fn set(text: &str) -> Result<Calls, String> {
    calls(text).map(Calls)
}

impl Trace {
    /// How it is traced.
    ///
    /// # Errors
    /// There is no working directory.
    pub fn tracing(&self) -> std::io::Result<Tracing> {
        let calls = self.sets.iter().flat_map(|Calls(set)| set).copied().collect();
        let path = |path: &PathBuf| std::path::absolute(path).map(|path| path.to_string_lossy().into_owned());
        let filter = Filter {
            calls: (!self.sets.is_empty()).then_some(calls),
            paths: self.paths.iter().map(path).collect::<Result<_, _>>()?,
            pids: self.pid.clone(),
            denied: self.denied,
            all: self.follow_forks,
        };
        let form = match (self.summary_only, self.json) {
            (true, _) => Form::Table,
            (false, true) => Form::Json,
            (false, false) => Form::Lines,
        };
        Ok(Tracing { filter, form, output: self.output.clone() })
    }

    /// The run that is traced.
    pub fn run(self, tracing: Tracing) -> Run {
        Run {
            no_cache: false,
            waits_for_keeper: false,
            words: self.words,
            argv0: None,
            stack_size: None,
            gdb: None,
            name: None,
            profile: self.profile,
            reports: self.reports,
            study: None,
            trace: Some(tracing),
        }
    }
}

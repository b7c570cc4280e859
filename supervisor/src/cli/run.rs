//! The options of a run.

use super::{Profile, Reports, Study, Tracing};
use crate::monitor::Name;
use clap::{Args, ValueHint};
use std::ffi::OsString;
use std::path::PathBuf;

/// How to run a program.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Run {
    /// The program and its arguments
    #[arg(value_name = "PROGRAM", required = true, num_args = 1.., trailing_var_arg = true)]
    #[arg(value_hint = ValueHint::CommandWithArguments)]
    pub words: Vec<OsString>,
    /// Give the program NAME as its argument 0 instead of PROGRAM
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub argv0: Option<OsString>,
    /// Let the stack of the program grow to SIZE bytes (K, M and G are powers of 1024)
    #[arg(long, value_name = "SIZE", value_parser = size, allow_hyphen_values = true)]
    pub stack_size: Option<u64>,
    /// Give the run a name, by which `rxbox ps` and `rxbox kill` find it
    ///
    /// It has letters, digits, `.`, `_` and `-`. No other run of the user's has it at the same time. A run
    /// without a name is not listed.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub name: Option<Name>,
    /// Neither use translations that are kept on disk nor keep any
    #[arg(long)]
    pub no_cache: bool,
    /// Begin once a debugger has connected (GDB's target remote) at ADDRESS: PORT or HOST:PORT, or the path
    /// of a unix socket
    #[arg(long, value_name = "ADDRESS", value_parser = GdbAddress::of)]
    pub gdb: Option<GdbAddress>,
    /// Under what policy.
    #[command(flatten)]
    pub profile: Profile,
    /// What the user gets to see.
    #[command(flatten)]
    pub reports: Reports,
    /// Whether rxbox ends only when what is to be kept of its translations is.
    #[arg(skip)]
    pub waits_for_keeper: bool,
    /// What profile it is to write.
    #[arg(skip)]
    pub study: Option<Study>,
    /// How its calls are traced.
    #[arg(skip)]
    pub trace: Option<Tracing>,
}

impl Run {
    /// The program's arguments, its own name among them.
    pub fn argv(self) -> Vec<OsString> {
        let mut words = self.words;
        if let (Some(first), Some(name)) = (words.first_mut(), self.argv0) {
            *first = name;
        }
        words
    }
}

/// Where a debugger is to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GdbAddress {
    /// `HOST:PORT`.
    Tcp(String),
    /// A unix socket.
    Unix(PathBuf),
}

impl GdbAddress {
    fn of(text: &str) -> Result<GdbAddress, &'static str> {
        const WANTS: &str = "wants PORT, HOST:PORT or a path with a slash in it";
        if text.contains('/') {
            return Ok(GdbAddress::Unix(text.into()));
        }
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let port: u16 = port.parse().map_err(|_| WANTS)?;
        let host = if host.is_empty() { "127.0.0.1" } else { host };
        Ok(GdbAddress::Tcp(format!("{host}:{port}")))
    }
}

fn size(text: &str) -> Result<u64, &'static str> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" => 0,
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        _ => return Err("wants a number of bytes"),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << unit));
    bytes.filter(|bytes| *bytes > 0).ok_or("wants a number of bytes")
}

//! The options of a run.

use super::{Profile, Reports, Study, Tracing};
use crate::monitor::Name;
use clap::{Args, ValueHint};
use std::ffi::OsString;

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
    /// Under what policy.
    #[command(flatten)]
    pub profile: Profile,
    /// What the user gets to see.
    #[command(flatten)]
    pub reports: Reports,
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

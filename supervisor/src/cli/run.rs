//! The options of a run.

use super::{Profile, Reports, Study};
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
    /// Under what policy.
    #[command(flatten)]
    pub profile: Profile,
    /// What the user gets to see.
    #[command(flatten)]
    pub reports: Reports,
    /// What profile it is to write.
    #[arg(skip)]
    pub study: Option<Study>,
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

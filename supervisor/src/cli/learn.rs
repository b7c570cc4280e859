//! The options of learning a profile from a run.

use super::{Reports, profile};
use clap::{Args, ValueHint};
use std::ffi::OsString;
use std::path::PathBuf;

/// How to learn a profile.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Learn {
    /// The program and its arguments; with --merge there may be none
    #[arg(value_name = "PROGRAM", required_unless_present = "merge", num_args = 1..)]
    #[arg(trailing_var_arg = true, value_hint = ValueHint::CommandWithArguments)]
    pub words: Vec<OsString>,
    /// Write the profile to FILE, which must not be there yet, instead of PROGRAM.toml
    #[arg(short, long, value_name = "FILE", allow_hyphen_values = true, value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Profile to build on, by name or, with a slash, by path
    #[arg(long, value_name = "P", default_value = "untrusted", allow_hyphen_values = true)]
    #[arg(value_hint = ValueHint::FilePath)]
    pub from: String,
    /// Add to the profile in FILE what it did beyond it, in its place unless --output is given; several FILEs
    /// become one
    #[arg(long, value_name = "FILE", allow_hyphen_values = true, value_hint = ValueHint::FilePath)]
    #[arg(conflicts_with = "from")]
    pub merge: Vec<PathBuf>,
    /// Run nothing, but add to the profile of --merge what the records in FILE, which --audit has written,
    /// say that no rule allowed
    #[arg(long, value_name = "FILE", allow_hyphen_values = true, value_hint = ValueHint::FilePath)]
    #[arg(requires = "merge", conflicts_with = "words")]
    pub add: Vec<PathBuf>,
    /// Write no profile, but tell what profile P grants that was not used, and what was used that it does not
    /// grant
    #[arg(long, value_name = "P", allow_hyphen_values = true, value_hint = ValueHint::FilePath)]
    #[arg(conflicts_with_all = ["from", "merge"])]
    pub diff: Option<String>,
    /// Do not run the program once more under the profile
    #[arg(long)]
    pub once: bool,
    /// What it may do besides while it is learned from; what of that it uses becomes part of the profile.
    #[command(flatten)]
    pub added: profile::Added,
    /// What the user gets to see.
    #[command(flatten)]
    pub reports: Reports,
}

/// What is to be learned from a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Study {
    /// The profile beyond which it is learned.
    pub base: String,
    /// What is written.
    pub result: Learning,
    /// The file, absolute, which must not be there yet; else the user is told.
    pub output: Option<PathBuf>,
}

/// What comes of a study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Learning {
    /// A profile that extends the base.
    Profile,
    /// The first of these texts of profiles, with what the others allow.
    Merged(Vec<String>),
    /// What the base grants and is not used, and the reverse.
    Difference,
}

//! The options of questions about a profile.

use super::commands::questions;
use super::{Profile, profile};
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueHint};
use std::ffi::OsString;
use std::path::PathBuf;

/// A question about a profile.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Explain {
    /// The program that the profile's variables speak of; else rxbox itself
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub program: Option<PathBuf>,
    /// Print also each rule that speaks of the path, from the root down
    #[arg(long)]
    pub why: bool,
    /// An access to a path, or whether an address, the name of a host, a system call or an environment
    /// variable is allowed; or a limit
    #[arg(value_name = "QUESTION", value_parser = PossibleValuesParser::new(questions()))]
    pub question: String,
    /// A path, an address (tcp:192.0.2.1:443, tcp:example.org:443) or the name of a host, a system call, a
    /// variable or a limit
    #[arg(value_name = "OBJECT", value_hint = ValueHint::AnyPath)]
    pub object: OsString,
    /// The profile.
    #[command(flatten)]
    pub profile: Profile,
}

/// A profile to show.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Show {
    /// Print the kernel's filters around supervisor and child, too
    #[arg(long)]
    pub filters: bool,
    /// The profile by name or, with a slash, by path
    #[arg(value_name = "PROFILE", value_hint = ValueHint::FilePath)]
    pub name: String,
    /// What options add.
    #[command(flatten)]
    pub added: profile::Added,
}

impl Show {
    /// The profile with what options add.
    pub fn profile(&self) -> Profile {
        Profile { names: vec![self.name.clone()], added: self.added.clone(), tries: false }
    }
}

//! What the commands have in common.

use super::log::Log;
use std::path::PathBuf;

/// What each command is told.
#[derive(Debug)]
pub(super) struct Context {
    /// Where containers are kept.
    pub(super) root: PathBuf,
    /// Whether paths of cgroups are SLICE:PREFIX:NAME.
    pub(super) systemd: bool,
    /// What the engine gets to read.
    pub(super) log: Log,
}

/// Why a program does not run, in the words by which engines tell that it is not there.
pub(super) fn in_words_of_engines(why: String) -> String {
    match why.strip_suffix(": command not found") {
        Some(name) => format!("exec: \"{name}\": executable file not found in $PATH"),
        None => why,
    }
}

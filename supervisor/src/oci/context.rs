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

/// Why a program does not run, in the words by which engines tell that it is missing, or cannot be executed.
pub(super) fn in_words_of_engines(why: String) -> String {
    /// As the kernel's errors are called here and in Go.
    const ERRORS: [(&str, &str); 3] = [
        ("No such file or directory", "no such file or directory"),
        ("Permission denied", "permission denied"),
        ("Not a directory", "not a directory"),
    ];
    if let Some(name) = why.strip_suffix(": command not found") {
        return format!("exec: \"{name}\": executable file not found in $PATH");
    }
    let said = ERRORS.iter().find_map(|(here, go)| Some(format!("{}{go}", why.strip_suffix(here)?)));
    said.unwrap_or(why)
}

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

//! Commands for kept translations.

use super::Run;
use crate::report::escape::shown;
use crate::translations::contents::{list, purge};
use crate::translations::folder::{self, Folder};
use clap::{Args, Subcommand};

/// What to do with kept translations.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct CacheCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
enum What {
    /// Print where they lie, of which files they are, and how much they take
    Stat,
    /// Run a program, and wait until the translations of what it executed are kept
    ///
    /// For images of containers and machines of CI: what comes after finds them. Files that have changed
    /// within the last two seconds are not taken.
    Warm(Box<Run>),
    /// Remove all of them
    Purge,
}

impl CacheCommand {
    /// The run of `warm`, if it is that.
    pub fn run(&self) -> Option<Run> {
        match &self.what {
            What::Warm(run) => Some(Run { waits_for_keeper: true, ..(**run).clone() }),
            _ => None,
        }
    }
}

/// `rxbox cache`: the text.
///
/// # Errors
/// There is no folder for them, or it cannot be read or written.
pub fn cache(command: &CacheCommand) -> Result<String, String> {
    let path = folder::path();
    let failed = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let folder = Folder::open().map_err(|e| failed(&e))?;
    if command.what == What::Purge {
        let removed = purge(&folder).map_err(|e| failed(&e.desc()))?;
        return Ok(format!("{removed} removed from {}\n", path.display()));
    }
    let (all, broken) = list(&folder).map_err(|e| failed(&e.desc()))?;
    let mut text = format!("{:>10} {:>10} {:>8}  file\n", "on disk", "code", "entries");
    for entry in &all {
        let (size, code) = (kib(entry.size), kib(entry.code));
        text += &format!("{size:>10} {code:>10} {:>8}  {}\n", entry.entries, shown(&entry.path));
    }
    let total = kib(all.iter().map(|entry| entry.size).sum());
    text += &format!("{} of {} files, {total} in {}\n", all.len(), all.len() + broken, path.display());
    Ok(text)
}

fn kib(bytes: u64) -> String {
    format!("{} KiB", bytes.div_ceil(1024))
}

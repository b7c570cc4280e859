//! Commands for what runs have changed in overlays.

use crate::changes::compare::compare;
use crate::changes::store::{self, Changes};
use crate::changes::{apply, show};
use crate::monitor::Name;
use crate::report::record;
use clap::{Args, Subcommand, ValueHint};
use std::path::{Component, Path, PathBuf};

/// What to do with changes; without a word they are listed.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ChangesCommand {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
enum What {
    /// List the runs whose changes are kept
    List,
    /// Print what a run has changed, and what is different in text files
    Show {
        /// The name of the run; else the last one
        #[arg(value_name = "NAME")]
        name: Option<Name>,
    },
    /// Make the changes on the host, or those at and below PATH
    ///
    /// Each file appears whole. Nothing is done if one of the changes is of what the host has changed as well
    /// since the run began. What is applied is kept no longer.
    Apply {
        /// The name of the run; else the last one
        #[arg(long, value_name = "NAME")]
        name: Option<Name>,
        /// Apply also what the host has changed since
        #[arg(long)]
        force: bool,
        /// Files and directories
        #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
        paths: Vec<PathBuf>,
    },
    /// Give the changes of a run up
    Discard {
        /// The name of the run; else the last one
        #[arg(value_name = "NAME")]
        name: Option<Name>,
    },
}

/// `rxbox changes`: the text, and whether all went well.
///
/// # Errors
/// There are no such changes, or they cannot be read, applied or removed.
pub fn changes(command: &ChangesCommand) -> Result<(String, bool), String> {
    let find = |name: &Option<Name>| store::find(name.as_ref().map(Name::as_str)).map_err(|e| e.to_string());
    match command.what.as_ref().unwrap_or(&What::List) {
        What::List => list(),
        What::Show { name } => {
            let kept = find(name)?;
            Ok((head(&kept) + &show::show(&kept, &compare(&kept)?), true))
        }
        What::Discard { name } => {
            let kept = find(name)?;
            let name = kept.name.clone();
            kept.discard().map_err(|e| e.to_string())?;
            Ok((format!("the changes of {name} are discarded\n"), true))
        }
        What::Apply { name, force, paths } => apply_to_host(find(name)?, paths, *force),
    }
}

fn apply_to_host(kept: Changes, paths: &[PathBuf], force: bool) -> Result<(String, bool), String> {
    if kept.running() {
        return Err(store::StoreError::Running(kept.name).to_string());
    }
    let cwd = std::env::current_dir().map_err(|e| format!("the working directory: {e}"))?;
    let paths: Vec<_> = paths.iter().map(|path| absolute(&cwd, path)).collect();
    let done = apply::apply(&kept, &paths, force).map_err(|e| e.to_string())?;
    let name = kept.name.clone();
    let mut text = format!("{} of the changes of {name} applied\n", done.count);
    done.left.iter().for_each(|left| text += &format!("not applied: {left}\n"));
    if compare(&kept)?.changes.is_empty() {
        kept.discard().map_err(|e| e.to_string())?;
    } else {
        text += &format!("the rest is kept: `rxbox changes show {name}`\n");
    }
    Ok((text, done.left.is_empty()))
}

/// A path from the working directory, without dots.
fn absolute(cwd: &Path, path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in cwd.join(path).components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            component => plain.push(component),
        }
    }
    plain
}

fn head(kept: &Changes) -> String {
    let running = if kept.running() { ", which is not over" } else { "" };
    format!("{}: {} under {}{running}\n", kept.name, kept.record.program, kept.record.profile)
}

fn list() -> Result<(String, bool), String> {
    let (found, broken) = store::all().map_err(|e| e.to_string())?;
    let now = record::now();
    let mut text = String::new();
    for kept in &found {
        let minutes = now.saturating_sub(kept.record.began) / 60_000;
        let age = match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
            (0, 0, minutes) => format!("{minutes}m"),
            (0, hours, minutes) => format!("{hours}h{minutes:02}m"),
            (days, hours, _) => format!("{days}d{hours:02}h"),
        };
        let places = kept
            .record
            .places
            .iter()
            .map(|place| crate::report::escape::shown(place.path.as_encoded_bytes()));
        let places = places.collect::<Vec<_>>().join(", ");
        let state = if kept.running() { "running" } else { "over" };
        text += &format!("{}  {state}, {age} ago  {} in {places}\n", kept.name, kept.record.program);
    }
    broken.iter().for_each(|why| text += &format!("{why}\n"));
    if found.is_empty() && broken.is_empty() {
        text += "no changes are kept\n";
    }
    Ok((text, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_from_the_working_directory() {
        for (path, plain) in
            [("x", "/w/x"), ("./a/../b/", "/w/b"), ("/etc/../x", "/x"), ("..", "/"), (".", "/w")]
        {
            assert_eq!(absolute(Path::new("/w"), Path::new(path)), Path::new(plain), "{path}");
        }
    }
}

//! What is kept of a run that has overlays.

use super::job::Job;
use crate::changes::store::{self, Kept};
use crate::cli::Run as Options;
use crate::launch::folders::{self, Left};
use crate::launch::program::Program;
use crate::monitor::Name;
use crate::report::outcome::Outcome;
use crate::report::record;
use crate::state::mounts;
use rxbox_policy::{Access, Policy};

/// What is told at the end, if something has changed.
pub(super) fn told(kept: &Kept) -> String {
    let name = &kept.name;
    format!("rxbox: what it changed is kept: `rxbox changes show {name}`, then `apply` or `discard`")
}

/// Makes the places of the run's own, and what is kept of what changes in overlays.
pub(super) fn make_folders(
    policy: &Policy,
    options: &Options,
    program: &mut Program,
    job: &Job,
) -> Result<Option<Kept>, Outcome> {
    let changes = |accesses: &[Access]| {
        let change = [Access::Write, Access::Attributes, Access::Create, Access::Remove];
        accesses.iter().any(|access| change.contains(access))
    };
    let trees = policy.reach().trees.iter().filter(|(_, accesses)| changes(accesses));
    let writable: Vec<_> = trees.map(|(tree, _)| tree.clone()).collect();
    let run = store::Run {
        name: options.name.as_ref().map(Name::as_str),
        program: &program.path,
        profile: options.profile.name().as_bytes(),
        began: record::now(),
        writable: &writable,
    };
    let announce = |left| match left {
        Left::Folders => job.remove_folders_at_end(),
        Left::Changes => job.remove_changes_at_end(),
    };
    let kept = folders::make(policy, run, announce).map_err(|e| Outcome::Failed(e.to_string()))?;
    // Its name is one of the overlay's now.
    if let Some(file) = mounts::in_place_of(&program.path) {
        program.fd = file;
    }
    Ok(kept)
}

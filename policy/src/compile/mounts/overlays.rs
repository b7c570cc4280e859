//! Where overlays lie.

use std::path::{Path, PathBuf};

use crate::compile::links::{Entries, Granted, names_of, plain};
use crate::decision::Access;
use crate::load::files::{Files, path_of};
use crate::report::ledger::{Context, RuleId};
use crate::rules::mounts::{Mounts, Source};
use crate::rules::tree::{Outcome, Tree};

/// Overlays of one run, at most: each is a mount.
const MOST: usize = 64;

/// Enters the overlays, the outer before the inner.
pub(super) fn mount(
    context: &mut Context,
    (entries, tries): (&mut Entries, bool),
    mounts: &mut Mounts,
    files: &dyn Files,
) {
    let mut places: Vec<(PathBuf, RuleId)> = Vec::new();
    for place in &entries.overlaid {
        let same = |other: &&Granted| other.elements == place.elements;
        // Of the same layer is an error already.
        if entries.private.iter().filter(same).all(|other| other.layer <= place.layer) {
            places.push((path_of(plain(&place.elements)), place.rule));
        }
    }
    if tries {
        for place in entries.granted.iter().filter(|place| place.changes) {
            match to_try(place, mounts, files) {
                Ok(directory) => places.extend(directory.map(|directory| (directory, place.rule))),
                Err((why, help)) => context.error_at(place.rule, why, Some(help)),
            }
        }
    }
    places.sort_by_key(|(path, _)| path.as_os_str().len());
    let mounted = if places.is_empty() { Vec::new() } else { files.mount_points() };
    for (path, rule) in places {
        if mounts.at(bytes(&path)).is_none() && !matches!(mounts.of(bytes(&path)), Source::Overlay(_)) {
            overlay(&mut entries.tree, mounts, (&path, rule));
        }
        for point in mounted.iter().filter(|point| point.starts_with(&path) && **point != path) {
            below(context, &mut entries.tree, mounts, (point, rule), files);
        }
    }
    if let Some((_, number)) = mounts.overlays().nth(MOST) {
        let rule = mounts.rule_of(number);
        let message = format!("there would be more than {MOST} overlays, with what is mounted in them");
        context.error_at(rule, message, Some("name smaller directories".to_owned()));
    }
}

/// Puts one over a directory.
fn overlay(tree: &mut Tree, mounts: &mut Mounts, (path, rule): (&Path, RuleId)) {
    tree.mount_overlay(&names_of(path), rule);
    mounts.add_overlay(path.to_owned(), rule);
}

/// What is mounted in a place, if the guest sees anything of it. A file cannot be overlaid: it is shown if
/// nothing there may change.
fn below(
    context: &mut Context,
    tree: &mut Tree,
    mounts: &mut Mounts,
    (point, rule): (&Path, RuleId),
    files: &dyn Files,
) {
    let name = bytes(point);
    let allows = |tree: &Tree, access| matches!(tree.decide(name, access), Outcome::Allow(_));
    if !matches!(mounts.of(name), Source::Overlay(_)) || !allows(tree, Access::Metadata) {
        return;
    }
    if files.exists(&point.join(".")) {
        overlay(tree, mounts, (point, rule));
    } else if [Access::Write, Access::Attributes].into_iter().any(|access| allows(tree, access)) {
        let message =
            format!("{} is a file that is mounted by itself and cannot be overlaid", point.display());
        let help = format!("deny_write = [\"{}\"] keeps it as it is", point.display());
        context.error_at(rule, message, Some(help));
    } else {
        tree.mount_host(&names_of(point));
        mounts.add_host(point.to_owned());
    }
}

/// The directory to overlay for a place that may be written; none if it is the run's own anyway, or one of
/// devices and of what the kernel shows as files, which act as ever. An error is why it could only be written
/// as ever, which must not be, and what to do.
fn to_try(place: &Granted, mounts: &Mounts, files: &dyn Files) -> Result<Option<PathBuf>, (String, String)> {
    let path = path_of(plain(&place.elements));
    if ["/dev", "/proc"].iter().any(|kernel| path.starts_with(kernel)) && !path.starts_with("/dev/shm") {
        return Ok(None);
    }
    let directory = path.ancestors().find(|above| files.exists(&above.join(".")));
    let directory = directory.unwrap_or(Path::new("/"));
    if matches!(mounts.of(bytes(directory)), Source::Private(_)) {
        // What a plain entry names there is the host's.
        let of_host =
            place.elements.len() == plain(&place.elements).count() && mounts.at(bytes(&path)).is_none();
        return match of_host && directory != path {
            true => {
                let why = format!("{} cannot be overlaid by itself", path.display());
                Err((why, "name the directory it is in".to_owned()))
            }
            false => Ok(Some(path).filter(|_| of_host)),
        };
    }
    if directory == Path::new("/") || directory.starts_with("/sys") {
        let why = format!("this cannot be tried: {} cannot be overlaid", directory.display());
        let help = "let it write in directories, as by --allow-write DIRECTORY".to_owned();
        return Err((why, help));
    }
    Ok(Some(directory.to_owned()))
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

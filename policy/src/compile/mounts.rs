//! Places of the run's own, what of the host's files is shown in them, and overlays.
//!
//! An entry that allows something shows the host's files at its name, in whatever private place that lies: a
//! profile that names `/tmp/input` means the host's. Of a private place and such an entry for the very same
//! name the one that was read later counts, so that what a profile extends can be taken back. A pattern shows
//! nothing, since names that it does not match would have to be another folder's.
//!
//! An overlay is of one file system. What is mounted below its place is overlaid by itself, since the kernel
//! would leave it out and show what lies beneath.

mod overlays;

use std::path::{Path, PathBuf};

use super::links::{Entries, names_of, plain};
use crate::load::files::{Files, path_of};
use crate::pattern::path::Pattern;
use crate::report::ledger::Context;
use crate::rules::mounts::Mounts;
use crate::rules::tree::Effect;

/// Makes the mount points and enters them into the tree; if this run `tries`, every place that may be written
/// is overlaid. What is in `always` is shown whatever the entries say. Also gives what the user may want to
/// know.
pub(super) fn mount(
    context: &mut Context,
    (entries, tries): (&mut Entries, bool),
    always: impl IntoIterator<Item = PathBuf>,
    files: &dyn Files,
) -> (Mounts, Vec<String>) {
    let mut mounts = Mounts::default();
    private_places(context, entries, &mut mounts);
    overlays::mount(context, (entries, tries), &mut mounts, files);
    let mut notes = Vec::new();
    let Entries { tree, granted, .. } = entries;
    for place in granted.iter() {
        let path = path_of(plain(&place.elements));
        if plain(&place.elements).count() == place.elements.len() {
            if mounts.show(path) {
                tree.mount_host(&place.elements);
            }
        } else if let covering = mounts.rule(bytes(&path))
            && mounts.is_private(bytes(&path))
        {
            let (rule, covering) = (context.shown(place.rule), context.shown(covering));
            notes.push(format!(
                "{rule} shows nothing of the host's, since {covering} makes that private: name without \
                 wildcards what is to be shown"
            ));
        }
    }
    for path in always {
        let elements = names_of(&path);
        let rule = context.own("what runs", &path);
        if mounts.show(path) {
            tree.mount_host(&elements);
            tree.keep(&elements, rule);
        }
    }
    (mounts, notes)
}

/// Enters the private places that no entry for the same name takes back.
fn private_places(context: &mut Context, entries: &mut Entries, mounts: &mut Mounts) {
    let Entries { tree, granted, private, .. } = entries;
    for place in private.iter() {
        let rivals = || granted.iter().filter(|other| !other.link && other.elements == place.elements);
        if let Some(rival) = rivals().find(|other| other.layer == place.layer) {
            let message = format!("it is also named by {}", context.shown(rival.rule));
            context.error_at(place.rule, message, Some("keep one of the two".to_owned()));
        }
        let path = path_of(plain(&place.elements));
        if rivals().all(|other| other.layer <= place.layer) && mounts.at(bytes(&path)).is_none() {
            tree.insert(&place.elements, Effect::Private, place.rule);
            mounts.add_private(path, place.rule);
        }
    }
}

/// Why nothing else can be mounted at a name, and what to write instead; `word` says what it was to be.
pub(super) fn refused(pattern: &Pattern, files: &dyn Files, word: &str) -> Option<(String, Option<String>)> {
    let path = path_of(pattern.prefix());
    if !pattern.plain() {
        let (what, help) = match word {
            "private" => ("a private place", "name the directory in whose place the folder is to be"),
            _ => ("an overlaid place", "name the directory in which all of them are"),
        };
        return Some((format!("{what} has no wildcards"), Some(help.to_owned())));
    }
    let of_kernel = ["/proc", "/sys", "/dev"]
        .iter()
        .filter(|_| word != "private")
        .any(|kernel| path.starts_with(kernel) && !path.starts_with("/dev/shm"));
    if path == Path::new("/") || path.starts_with("/proc") || of_kernel {
        return Some((format!("{} cannot be {word}", path.display()), None));
    }
    let is_file = files.exists(&path) && !files.exists(&path.join("."));
    is_file.then(|| (format!("{} is no directory", path.display()), Some("name the one it is in".to_owned())))
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

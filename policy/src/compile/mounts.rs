//! Places of the run's own, and what of the host's files is shown in them.
//!
//! An entry that allows something shows the host's files at its name, in whatever private place that lies: a
//! profile that names `/tmp/input` means the host's. Of a private place and such an entry for the very same
//! name the one that was read later counts, so that what a profile extends can be taken back. A pattern shows
//! nothing, since names that it does not match would have to be another folder's.

use std::path::{Path, PathBuf};

use super::links::Entries;
use crate::load::files::{Files, path_of};
use crate::pattern::path::{Element, Pattern};
use crate::report::ledger::Context;
use crate::rules::mounts::Mounts;
use crate::rules::tree::Effect;

/// Makes the mount points and enters them into the tree. What is in `always` is shown whatever the entries
/// say. Also gives what the user may want to know.
pub(super) fn mount(
    context: &mut Context,
    entries: &mut Entries,
    always: impl IntoIterator<Item = PathBuf>,
) -> (Mounts, Vec<String>) {
    let mut mounts = Mounts::default();
    let Entries { tree, granted, private } = entries;
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
    let mut notes = Vec::new();
    for place in granted.iter() {
        let path = path_of(plain(&place.elements));
        if plain(&place.elements).count() == place.elements.len() {
            if mounts.show(path) {
                tree.mount_host(&place.elements);
            }
        } else if let covering = mounts.rule(bytes(&path))
            && !covering.is_none()
        {
            let (rule, covering) = (context.shown(place.rule), context.shown(covering));
            notes.push(format!(
                "{rule} shows nothing of the host's, since {covering} makes that private: name without \
                 wildcards what is to be shown"
            ));
        }
    }
    for path in always {
        let elements: Vec<_> =
            crate::pattern::path::components(bytes(&path)).map(|name| Element::Name(name.into())).collect();
        let rule = context.own("what runs", &path);
        if mounts.show(path) {
            tree.mount_host(&elements);
            tree.keep(&elements, rule);
        }
    }
    (mounts, notes)
}

/// What a private place cannot be, and what to write instead.
pub(super) fn refused(pattern: &Pattern, files: &dyn Files) -> Option<(String, Option<String>)> {
    let path = path_of(pattern.prefix());
    if !pattern.plain() {
        let help = "name the directory in whose place the folder is to be".to_owned();
        return Some(("a private place has no wildcards".to_owned(), Some(help)));
    }
    if path == Path::new("/") || path.starts_with("/proc") {
        return Some((format!("{} cannot be private", path.display()), None));
    }
    let is_file = files.exists(&path) && !files.exists(&path.join("."));
    is_file.then(|| (format!("{} is no directory", path.display()), Some("name the one it is in".to_owned())))
}

/// The names of a pattern before its first wildcard.
fn plain(elements: &[Element]) -> impl Iterator<Item = &[u8]> {
    elements.iter().map_while(|e| if let Element::Name(name) = e { Some(&**name) } else { None })
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

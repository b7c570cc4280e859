//! Paths as entries of a profile.

use super::used::Use;
use crate::pattern::entry::{Done, Entry, TEMPORARY, below};
use crate::pattern::variables::Variables;
use crate::rules::grant::Grant;
use std::collections::{BTreeMap, BTreeSet};

/// So many names of a directory are many.
const MANY: usize = 4;
/// Directories of a home that hold what belongs to many programs.
const OF_MANY: [&str; 6] = [".config", ".cache", ".local", ".local/share", ".local/state", ".local/bin"];
/// Directories of the system that hold what belongs to many programs.
const SHARED: [&str; 9] = [
    "/etc/ssl",
    "/home",
    "/run/user",
    "/usr/local",
    "/usr/share",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/spool",
];

/// Entries with their uses.
pub(crate) type Entries = BTreeMap<Entry, Use>;
/// Entries that nobody gets unasked, with the list that would have granted what was done.
pub(crate) type Withheld = BTreeMap<(Grant, Entry), Use>;

impl Entry {
    /// Whether it is a place of everybody, or all of a user's.
    fn is_everybodys(&self) -> bool {
        let path = format!("/{}", self.components.join("/"));
        match self.root {
            "" => ["/", "/home", "/root"].contains(&path.as_str()) || TEMPORARY.contains(&path.as_str()),
            root => root == "${HOME}" && self.components.is_empty(),
        }
    }

    /// Whether it is no more than one program's or one project's: only then an entry may be the directory.
    fn may_be_whole(&self) -> bool {
        let path = self.components.join("/");
        match self.root {
            "${CWD}" => true,
            "${HOME}" => !path.is_empty() && !OF_MANY.contains(&path.as_str()),
            _ => {
                let path = format!("/{path}");
                let home = self.components.first().is_some_and(|first| first == "home");
                let deep = self.components.len() > if home { 2 } else { 1 };
                deep && !SHARED.contains(&path.as_str()) && !TEMPORARY.contains(&path.as_str())
            }
        }
    }

    /// Whether what is written there runs later, outside of the sandbox.
    pub(crate) fn takes_effect(&self) -> bool {
        const OF_HOME: [&str; 10] = [
            ".bashrc",
            ".bash_profile",
            ".profile",
            ".zshrc",
            ".zshenv",
            ".config/autostart",
            ".config/systemd",
            ".config/fish",
            ".local/bin",
            ".gitconfig",
        ];
        let path = self.components.join("/");
        let hooks = self.components.windows(2).any(|pair| pair == [".git", "hooks"]);
        let at_home = self.root == "${HOME}"
            && OF_HOME.iter().any(|name| below(path.as_bytes(), name.as_bytes()).is_some());
        let of_system = self.root.is_empty()
            && ["etc", "usr", "boot", "lib", "bin"]
                .iter()
                .any(|top| self.components.first().is_some_and(|first| first == top));
        hooks || at_home || of_system
    }
}

/// The entries that allow all of this and what earlier ones do, and those that are withheld: they would grant
/// a place of everybody.
pub(crate) fn entries<'a>(
    used: impl Iterator<Item = (Grant, &'a [u8], Done, &'a Use)>,
    earlier: &BTreeMap<Grant, Entries>,
    variables: &Variables,
) -> (BTreeMap<Grant, Entries>, Withheld) {
    let mut all = earlier.clone();
    let mut withheld = Withheld::new();
    for (grant, path, done, by) in used {
        let entry = Entry::of(path, done, variables);
        if entry.is_everybodys() {
            join(&mut withheld, (grant, entry), by);
        } else {
            join(all.entry(grant).or_default(), entry, by);
        }
    }
    let mut all: BTreeMap<Grant, Entries> =
        all.into_iter().map(|(grant, entries)| (grant, outermost(directories(entries)))).collect();
    for grant in Grant::ALL {
        for stronger in Grant::ALL.into_iter().filter(|other| *other != grant && other.covers(grant)) {
            let Some(above) = all.get(&stronger).cloned() else { continue };
            if let Some(mine) = all.get_mut(&grant) {
                mine.retain(|entry, _| !entry.and_above().any(|above_it| above.contains_key(&above_it)));
            }
        }
    }
    all.retain(|_, entries| !entries.is_empty());
    (all, withheld)
}

fn join<K: Ord>(entries: &mut BTreeMap<K, Use>, entry: K, by: &Use) {
    match entries.get_mut(&entry) {
        Some(known) => known.join(by),
        None => _ = entries.insert(entry, by.clone()),
    }
}

/// Puts directories in the place of many of their names, from the deepest up.
fn directories(mut entries: Entries) -> Entries {
    let deepest = entries.keys().map(|entry| entry.components.len()).max().unwrap_or(0);
    for depth in (0..deepest).rev() {
        let mut names: BTreeMap<Entry, BTreeSet<String>> = BTreeMap::new();
        for entry in entries.keys() {
            if let Some(name) = entry.components.get(depth) {
                names.entry(entry.above(depth)).or_default().insert(name.clone());
            }
        }
        names.retain(|directory, names| names.len() >= MANY && directory.may_be_whole());
        let mut gathered = Entries::new();
        for (entry, by) in entries {
            let directory = entry.above(depth);
            join(&mut gathered, if names.contains_key(&directory) { directory } else { entry }, &by);
        }
        entries = gathered;
    }
    entries
}

/// Leaves out what lies below another entry. What lies below one comes right behind it.
fn outermost(entries: Entries) -> Entries {
    let mut kept = Entries::new();
    for (entry, by) in entries {
        let above = kept.keys().next_back().filter(|last| entry.is_below(last)).cloned();
        join(&mut kept, above.unwrap_or(entry), &by);
    }
    kept
}

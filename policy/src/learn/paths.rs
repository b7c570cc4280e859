//! Paths as entries of a profile.

use super::used::{Key, Use};
use crate::pattern::variables::{Variables, literal};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;

/// So many names of a directory are many.
const MANY: usize = 4;
/// Digits and letters of a hexadecimal number that nobody has chosen.
const HASH: usize = 16;
/// Where everybody's temporary files are.
const TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
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

/// A path in the terms of a profile: components of a pattern behind what they are relative to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// `${CWD}`, `${HOME}` or nothing.
    root: &'static str,
    components: Vec<String>,
}

/// What was done with a path that decides how its entry is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    /// It was made.
    pub(crate) made: bool,
    /// It was taken away.
    pub(crate) removed: bool,
}

/// Entries with their uses.
pub(crate) type Entries = BTreeMap<Entry, Use>;

impl Entry {
    /// The path in the terms of a profile. What was made in a place for everybody's temporary files has
    /// another name the next time. What was taken away gets a wildcard: a name that an entry spells out
    /// stays.
    fn of(path: &[u8], done: Done, variables: &Variables) -> Entry {
        let temporary = TEMPORARY.iter().copied().find(|folder| below(path, folder.as_bytes()).is_some());
        let value = |of: &Option<std::path::PathBuf>| of.as_ref().map(|p| p.as_os_str().as_bytes().to_vec());
        let roots = [("${CWD}", value(&variables.cwd)), ("${HOME}", value(&variables.home))];
        let (root, rest) = roots
            .into_iter()
            .filter(|(name, _)| variables.too_much(name).is_none())
            .find_map(|(name, value)| Some((name, below(path, &value.filter(|v| v.len() > 1)?)?)))
            .unwrap_or(("", path));
        let names = rest.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        let mut components: Vec<String> = names.map(component).collect();
        if let Some(folder) = temporary.filter(|_| done.made && root.is_empty()) {
            let depth = folder.matches('/').count();
            components.truncate(depth + 1);
            if let Some(name) = components.get_mut(depth) {
                *name = kept(name) + "*";
            }
        }
        if let Some(name) = components.last_mut().filter(|name| done.removed && !name.ends_with('*')) {
            name.push('*');
        }
        Entry { root, components }
    }

    /// Whether it is a place of everybody, or all of a user's.
    fn is_everybodys(&self) -> bool {
        let path = format!("/{}", self.components.join("/"));
        match self.root {
            "" => ["/", "/home", "/root"].contains(&path.as_str()) || TEMPORARY.contains(&path.as_str()),
            root => root == "${HOME}" && self.components.is_empty(),
        }
    }

    /// The directory above that has so many components.
    fn above(&self, depth: usize) -> Entry {
        let components = self.components.iter().take(depth).cloned().collect();
        Entry { root: self.root, components }
    }

    /// It and all that it lies in.
    fn and_above(&self) -> impl Iterator<Item = Entry> {
        (0..=self.components.len()).map(|depth| self.above(depth))
    }

    /// Whether a part of it is a wildcard: one that is meant literally does not end like that.
    fn is_wild(&self) -> bool {
        self.components.iter().any(|name| name.ends_with('*'))
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

    fn is_below(&self, other: &Entry) -> bool {
        self.root == other.root && self.components.starts_with(&other.components)
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

    /// As a profile has it.
    pub(crate) fn text(&self) -> String {
        let path = self.components.iter().map(|name| format!("/{name}")).collect::<String>();
        let path = if path.is_empty() && self.root.is_empty() { "/" } else { &path };
        format!("{}{path}{}", self.root, if self.is_wild() { "" } else { "?" })
    }
}

/// What is left of a path below a directory.
fn below<'a>(path: &'a [u8], directory: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(directory)?;
    (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
}

/// A name as a part of a pattern; one that is a number that nobody has chosen becomes a wildcard.
fn component(name: &[u8]) -> String {
    let hash = name.iter().all(u8::is_ascii_hexdigit) && name.iter().any(u8::is_ascii_digit);
    if hash && name.len() >= HASH {
        return "*".to_owned();
    }
    literal(name)
}

/// The part of a temporary file's name that was chosen: the letters that it begins with, but not more than a
/// word's.
fn kept(name: &str) -> String {
    let letters = name.chars().take_while(|c| c.is_ascii_lowercase() || *c == '.').count();
    let word = name
        .find(['-', '_'])
        .filter(|end| name[..*end].chars().all(|c| c.is_ascii_alphanumeric() || c == '.'));
    match word {
        Some(end) => name[..=end].to_owned(),
        None => name.chars().take(letters.min(3)).collect(),
    }
}

/// The entries that allow all of this, and those that are withheld: they would show everybody's names.
pub(crate) fn entries<'a>(
    used: impl Iterator<Item = (Key, &'a [u8], Done, &'a Use)>,
    variables: &Variables,
) -> (BTreeMap<Key, Entries>, Entries) {
    let mut all: BTreeMap<Key, Entries> = BTreeMap::new();
    let mut withheld = Entries::new();
    for (key, path, done, by) in used {
        let entry = Entry::of(path, done, variables);
        let kept = key != Key::List || !entry.is_everybodys();
        join(if kept { all.entry(key).or_default() } else { &mut withheld }, entry, by);
    }
    let mut all: BTreeMap<Key, Entries> =
        all.into_iter().map(|(key, entries)| (key, outermost(directories(entries)))).collect();
    for key in Key::ALL {
        for stronger in Key::ALL.into_iter().filter(|stronger| *stronger != key && stronger.covers(key)) {
            let Some(above) = all.get(&stronger).cloned() else { continue };
            if let Some(mine) = all.get_mut(&key) {
                mine.retain(|entry, _| !entry.and_above().any(|above_it| above.contains_key(&above_it)));
            }
        }
    }
    all.retain(|_, entries| !entries.is_empty());
    (all, withheld)
}

fn join(entries: &mut Entries, entry: Entry, by: &Use) {
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

//! A path as an entry of a profile: relative to the working directory or the home where it lies there, and
//! with wildcards for names that were chosen by chance.

use crate::pattern::variables::{Variables, literal};
use std::os::unix::ffi::OsStrExt;

/// Digits and letters of a hexadecimal number that nobody has chosen.
const HASH: usize = 16;
/// Where everybody's temporary files are.
pub(crate) const TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// A path in the terms of a profile: components of a pattern behind what they are relative to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// `${CWD}`, `${HOME}` or nothing.
    pub(crate) root: &'static str,
    pub(crate) components: Vec<String>,
}

/// What was done with a path that decides how its entry is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    /// It was made.
    pub(crate) made: bool,
    /// It was taken away.
    pub(crate) removed: bool,
}

impl Entry {
    /// The path in the terms of a profile. What was made in a place for everybody's temporary files has
    /// another name the next time. What was taken away gets a wildcard: a name that an entry spells out
    /// stays.
    pub(crate) fn of(path: &[u8], done: Done, variables: &Variables) -> Entry {
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

    /// An entry as it stands in a profile, with its mark.
    pub(crate) fn parsed(text: &str) -> Entry {
        let text = text.strip_suffix('?').unwrap_or(text);
        let rooted = ["${CWD}", "${HOME}"].into_iter().find_map(|root| {
            let rest = text.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
            Some((root, rest))
        });
        let (root, rest) = rooted.unwrap_or(("", text));
        let names = rest.split('/').filter(|name| !name.is_empty());
        Entry { root, components: names.map(str::to_owned).collect() }
    }

    /// Whether it is a name in a place for everybody's temporary files of which only a part was chosen.
    pub(crate) fn is_temporary(&self) -> bool {
        self.root.is_empty()
            && self.components.last().is_some_and(|name| name.ends_with('*'))
            && TEMPORARY.iter().any(|folder| below(self.text().as_bytes(), folder.as_bytes()).is_some())
    }

    /// The directory above that has so many components.
    pub(crate) fn above(&self, depth: usize) -> Entry {
        let components = self.components.iter().take(depth).cloned().collect();
        Entry { root: self.root, components }
    }

    /// It and all that it lies in.
    pub(crate) fn and_above(&self) -> impl Iterator<Item = Entry> {
        (0..=self.components.len()).map(|depth| self.above(depth))
    }

    /// Whether a part of it is a wildcard: one that is meant literally does not end like that.
    pub(crate) fn is_wild(&self) -> bool {
        self.components.iter().any(|name| name.ends_with('*'))
    }

    pub(crate) fn is_below(&self, other: &Entry) -> bool {
        self.root == other.root && self.components.starts_with(&other.components)
    }

    /// As a profile has it.
    pub(crate) fn text(&self) -> String {
        let path = self.components.iter().map(|name| format!("/{name}")).collect::<String>();
        let path = if path.is_empty() && self.root.is_empty() { "/" } else { &path };
        format!("{}{path}{}", self.root, if self.is_wild() { "" } else { "?" })
    }
}

/// What is left of a path below a directory.
pub(crate) fn below<'a>(path: &'a [u8], directory: &[u8]) -> Option<&'a [u8]> {
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

//! A profile that grows: what further runs did is added to the lists of one that is there already.
//!
//! Its lists are taken in as entries, so that names of several runs become directories as those of one run
//! do, and written anew, each entry with its remark. All else in the profile stays as it is written. Another
//! profile can be taken in as well if it says nothing beyond such lists.

use super::Learned;
use super::text::Text;
use super::used::Use;
use crate::hint::{BIND, CONNECT, FAMILIES};
use crate::pattern::entry::Entry;
use crate::pattern::variables::{Variables, toml_string};
use crate::rules::grant::Grant;
use toml_edit::{Array, DocumentMut, Item, Table, Value};

/// Lists beside those of paths that a profile is learned with.
const OTHERS: [&str; 3] = [CONNECT, BIND, FAMILIES];

/// Why a profile cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// It is not even TOML.
    #[error("{0}")]
    Syntax(String),
    /// A list is something else, or has something else in it than strings.
    #[error("`{0}` is no list of strings")]
    NoList(String),
    /// It says what no list can.
    #[error("it has `{0}`, which cannot be merged; extend that profile instead, or name it first")]
    Beyond(String),
}

impl Learned {
    /// Takes in what a profile's own lists allow.
    ///
    /// # Errors
    /// It is not understood. With `wholly` also: it says more than that, but for `extends`.
    pub fn recall(&mut self, profile: &str, wholly: bool) -> Result<(), MergeError> {
        let document = parsed(profile)?;
        if let Some(key) = beyond(&document).filter(|_| wholly) {
            return Err(MergeError::Beyond(key));
        }
        for grant in Grant::ALL {
            for (text, remark) in entries(&document, grant.key())? {
                let by = Use::earlier(toml_string(&text), remark);
                self.earlier.entry(grant).or_default().insert(Entry::parsed(&text), by);
            }
        }
        for list in OTHERS {
            for (text, remark) in entries(&document, list)? {
                let entry = toml_string(&text);
                let by = Use::earlier(entry.clone(), remark);
                self.others.entry((list, entry)).or_default().join(&by);
            }
        }
        Ok(())
    }

    /// Takes in an entry of a list, both as [`Learned::lacking`] gives them, that was denied in a run.
    /// Whether the list is one that a profile is learned with.
    ///
    /// # Errors
    /// It is no entry.
    pub fn lacks(&mut self, list: &str, entry: &str) -> Result<bool, MergeError> {
        if !Grant::ALL.map(Grant::key).iter().chain(&OTHERS).any(|known| *known == list) {
            return Ok(false);
        }
        let read = parsed(&format!("entry = {entry}"))?;
        let wrong = || MergeError::NoList(list.to_owned());
        let text = read.get("entry").filter(|_| read.len() == 1).and_then(Item::as_str).ok_or_else(wrong)?;
        let (section, key) = place(list);
        let text = toml_string(text);
        self.recall(&format!("[{section}]\n{key} = [\n{text}, # denied\n]\n"), true).map(|()| true)
    }

    /// The profile with lists that allow what has been learned and recalled.
    ///
    /// # Errors
    /// It is not understood.
    pub fn merged(&self, profile: &str, variables: &Variables) -> Result<String, MergeError> {
        let mut document = parsed(profile)?;
        let (paths, withheld) = self.entries(variables);
        let text = Text { paths: &paths, withheld: &withheld, others: &self.others, lost: self.lost };
        let lists = text.by_list();
        for list in Grant::ALL.map(Grant::key).iter().chain(&OTHERS) {
            let (section, key) = place(list);
            let lines = lists.iter().find(|(name, _)| name == list).map(|(_, lines)| lines);
            match (lines, document.get_mut(section).and_then(Item::as_table_like_mut)) {
                (Some(lines), _) => {
                    let array = array(lines)?;
                    let table = document.entry(section).or_insert_with(|| Item::Table(Table::new()));
                    let table = table.as_table_like_mut();
                    let table = table.ok_or_else(|| MergeError::NoList(section.to_owned()))?;
                    match table.get_mut(key) {
                        Some(there) => *there = Item::Value(Value::Array(array)),
                        None => _ = table.insert(key, Item::Value(Value::Array(array))),
                    }
                }
                (None, Some(table)) => _ = table.remove(key),
                (None, None) => {}
            }
        }
        Ok(document.to_string())
    }
}

fn parsed(profile: &str) -> Result<DocumentMut, MergeError> {
    profile.parse().map_err(|e: toml_edit::TomlError| MergeError::Syntax(e.to_string()))
}

/// Section and key of a list.
fn place(list: &str) -> (&str, &str) {
    let (section, key) = list.split_once(' ').unwrap_or((list, ""));
    (section.trim_matches(['[', ']']), key)
}

/// A key of a profile that no such list is.
fn beyond(document: &DocumentMut) -> Option<String> {
    const HEAD: [&str; 3] = ["version", "description", "extends"];
    let lists: Vec<_> = Grant::ALL.map(Grant::key).into_iter().chain(OTHERS).map(place).collect();
    document.iter().filter(|(key, _)| !HEAD.contains(key)).find_map(|(section, item)| {
        let keys = item.as_table_like().map(|table| table.iter().map(|(key, _)| key).collect::<Vec<_>>());
        let Some(keys) = keys else { return Some(section.to_owned()) };
        let other = keys.into_iter().find(|key| !lists.contains(&(section, key)));
        other.map(|key| format!("{section}.{key}"))
    })
}

/// The entries of a list, each with the remark behind it: what stands behind an entry's comma belongs to the
/// next one, or to the end of the list.
fn entries(document: &DocumentMut, list: &str) -> Result<Vec<(String, String)>, MergeError> {
    let (section, key) = place(list);
    let Some(item) = document.get(section).and_then(|section| section.get(key)) else {
        return Ok(Vec::new());
    };
    let wrong = || MergeError::NoList(format!("{section}.{key}"));
    let array = item.as_array().ok_or_else(wrong)?;
    let before: Vec<&str> = array.iter().map(prefix).collect();
    let behind = before.into_iter().skip(1).chain([array.trailing().as_str().unwrap_or_default()]);
    let read = |(value, behind): (&Value, &str)| {
        let remark = behind.lines().next().and_then(|line| line.trim().strip_prefix('#'));
        Ok((value.as_str().ok_or_else(wrong)?.to_owned(), remark.unwrap_or_default().trim().to_owned()))
    };
    array.iter().zip(behind).map(read).collect()
}

fn prefix(value: &Value) -> &str {
    value.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default()
}

/// The lines of a list as the list.
fn array(lines: &str) -> Result<Array, MergeError> {
    let document = parsed(&format!("list = [\n{lines}]\n"))?;
    let array = document.get("list").and_then(Item::as_array).cloned();
    array.ok_or_else(|| MergeError::NoList("list".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Access;
    use crate::hint::DeniedWhat;

    const PROFILE: &str = r#"# Mine.
version = 1
extends = ["untrusted"]

[filesystem]
# Inputs.
read = [
    "/srv/a/1?", # once by cat
    "/srv/a/2?",
    "${HOME}/x", # mine
]
deny = ["/srv/a/secret?"] # stays

[limits]
memory = "1G"
"#;

    fn learned(paths: &[(Access, &str)]) -> Learned {
        let mut learned = Learned::default();
        paths.iter().for_each(|(access, path)| {
            learned.note(&DeniedWhat::Path(*access, path.as_bytes()), b"prog");
        });
        learned
    }

    fn merged(mut learned: Learned, others: &[&str]) -> String {
        let variables = Variables { home: Some("/home/u".into()), ..Variables::default() };
        learned.recall(PROFILE, false).unwrap();
        others.iter().for_each(|other| learned.recall(other, true).unwrap());
        learned.merged(PROFILE, &variables).unwrap()
    }

    #[test]
    fn a_profile_keeps_what_it_says_and_its_lists_grow() {
        let text = merged(learned(&[(Access::Read, "/opt/x"), (Access::Create, "/home/u/out")]), &[]);
        assert_eq!(
            text,
            r#"# Mine.
version = 1
extends = ["untrusted"]

[filesystem]
# Inputs.
read = [
    "/opt/x?", # once by prog
    "/srv/a/1?", # once by cat
    "/srv/a/2?", # earlier
    "${HOME}/x", # mine
]
deny = ["/srv/a/secret?"] # stays
write = [
    "${HOME}/out?", # once by prog
]

[limits]
memory = "1G"
"#
        );
        let mut again = Learned::default();
        again.recall(&text, false).unwrap();
        assert_eq!(again.merged(&text, &Variables::default()).unwrap(), text);
    }

    #[test]
    fn names_of_several_runs_become_their_directory() {
        let other = "version = 1\n[filesystem]\nread = [\"/srv/a/4?\"]\n[network]\nallow = [\"tcp:*:80\"]\n";
        let text = merged(learned(&[(Access::Read, "/srv/a/3")]), &[other]);
        assert!(text.contains("    \"/srv/a?\", # once by prog, and earlier\n"), "{text}");
        assert!(text.contains("[network]\nallow = [\n    \"tcp:*:80\", # earlier\n]"), "{text}");
    }

    #[test]
    fn what_was_denied_is_added_to_its_list() {
        let mut denied = Learned::default();
        assert_eq!(denied.lacks("[filesystem] read", "\"/opt/x?\"").ok(), Some(true));
        assert_eq!(denied.lacks("[network] allow", "\"tcp:*:80\"").ok(), Some(true));
        assert_eq!(denied.lacks("[environment] pass", "\"X\"").ok(), Some(false));
        for wrong in ["1", "[]", "\"a\"\nb = 1", ""] {
            assert!(denied.lacks("[filesystem] read", wrong).is_err(), "{wrong}");
        }
        let text = merged(denied, &[]);
        assert!(
            text.contains("read = [\n    \"/opt/x?\", # denied\n    \"/srv/a/1?\", # once by cat\n"),
            "{text}"
        );
        assert!(
            text.contains("# Inputs.\n") && text.contains("allow = [\n    \"tcp:*:80\", # denied\n]"),
            "{text}"
        );
    }

    #[test]
    fn what_no_list_says_is_not_merged() {
        let beyond = |text: &str| Learned::default().recall(text, true).map_err(|e| e.to_string());
        let error = beyond("version = 1\n[limits]\nmemory = 1").unwrap_err();
        assert!(error.starts_with("it has `limits.memory`"), "{error}");
        assert!(beyond("version = 1\n[filesystem]\nread = [1]").unwrap_err().contains("filesystem.read"));
        assert!(beyond("[").is_err());
    }
}

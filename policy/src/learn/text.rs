//! The written form of a profile that was learned.

use super::paths::Entries;
use super::used::{Key, Use};
use crate::pattern::variables::{Variables, toml_string};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Programs that are named behind an entry.
const NAMED: usize = 3;

/// What a profile is written with.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The profile that it extends, by name or path.
    pub base: &'a str,
    /// What was run, for the description.
    pub command: &'a str,
    /// Where it was run.
    pub variables: &'a Variables,
    /// What was denied all the same: lines without control characters.
    pub denied: &'a [String],
}

/// What is written.
#[derive(Debug)]
pub(super) struct Text<'a> {
    pub(super) paths: &'a BTreeMap<Key, Entries>,
    /// Directories that were listed or looked at, which no entry allows.
    pub(super) withheld: &'a Entries,
    pub(super) addresses: &'a BTreeMap<(&'static str, String), Use>,
    pub(super) lost: u64,
}

impl Text<'_> {
    /// The profile. Writing to a string cannot fail.
    pub(super) fn profile(&self, terms: &Terms<'_>) -> String {
        let base = toml_string(terms.base);
        let mut out = format!(
            "# Written by `rxbox learn`: what this run did beyond {base}.\n\
             # Behind each entry stands who used it how often.\nversion = 1\n"
        );
        let _ = writeln!(out, "description = {}", toml_string(&format!("Learned from {}", terms.command)));
        let _ = writeln!(out, "extends = [{base}]");
        self.filesystem(&mut out);
        self.network(&mut out);
        self.remarks(&mut out, terms.denied);
        out
    }

    fn filesystem(&self, out: &mut String) {
        if !self.paths.is_empty() {
            out.push_str("\n[filesystem]\n");
        }
        let runs = self.paths.get(&Key::Execute);
        for (key, entries) in self.paths {
            let _ = writeln!(out, "{} = [", key.name());
            for (entry, by) in entries {
                let changes = matches!(key, Key::Write | Key::Modify);
                if changes && entry.takes_effect() {
                    out.push_str("    # Takes effect outside of the sandbox:\n");
                } else if changes && runs.is_some_and(|runs| runs.contains_key(entry)) {
                    out.push_str("    # Written and run:\n");
                }
                let _ = writeln!(out, "    {}, # {}", toml_string(&entry.text()), told(by));
            }
            out.push_str("]\n");
        }
    }

    fn network(&self, out: &mut String) {
        if !self.addresses.is_empty() {
            out.push_str("\n[network]\n");
        }
        for key in ["allow", "bind", "families"] {
            let mut entries = self.addresses.iter().filter(|((list, _), _)| *list == key).peekable();
            if entries.peek().is_some() {
                let _ = writeln!(out, "{key} = [");
                entries.for_each(|((_, entry), by)| _ = writeln!(out, "    {entry}, # {}", told(by)));
                out.push_str("]\n");
            }
        }
    }

    fn remarks(&self, out: &mut String, denied: &[String]) {
        if !self.withheld.is_empty() {
            out.push_str("\n# Looked at, and not allowed: everybody's names are there.\n");
            self.withheld.iter().for_each(|(entry, by)| {
                let _ = writeln!(out, "#   list {} {}", toml_string(&entry.text()), told(by));
            });
        }
        if !denied.is_empty() {
            out.push_str("\n# Denied all the same, and not allowed by this profile:\n");
            denied.iter().for_each(|line| _ = writeln!(out, "#   {line}"));
        }
        if self.lost > 0 {
            let _ = writeln!(out, "\n# {} further uses are not taken in: they were too many.", self.lost);
        }
    }
}

/// Who used it how often.
fn told(by: &Use) -> String {
    let times = match by.times {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        times => format!("{times} times"),
    };
    let mut programs: Vec<&str> = by.programs.iter().map(String::as_str).take(NAMED).collect();
    if by.programs.len() > NAMED {
        programs.push("others");
    }
    let names = if by.things > 1 { format!(", {} names", by.things) } else { String::new() };
    format!("{times} by {}{names}", programs.join(", "))
}

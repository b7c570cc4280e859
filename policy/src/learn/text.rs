//! The written form of a profile that was learned.

use super::paths::{Entries, Withheld};
use super::used::Use;
use crate::pattern::entry::Entry;
use crate::pattern::variables::{Variables, toml_string};
use crate::rules::grant::Grant;
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
    pub(super) paths: &'a BTreeMap<Grant, Entries>,
    /// Places of everybody, which no entry allows.
    pub(super) withheld: &'a Withheld,
    /// Entries of other lists, by the list as it is named: `[network] allow`.
    pub(super) others: &'a BTreeMap<(&'static str, String), Use>,
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
        self.lists(&mut out);
        self.remarks(&mut out, terms.denied);
        out
    }

    /// The lists with their entries, as a part of a profile that begins with an empty line.
    pub(super) fn lists(&self, out: &mut String) {
        let mut section = "";
        for (list, lines) in self.by_list() {
            let (of, key) = list.split_once(' ').unwrap_or((list, ""));
            if of != section {
                let _ = writeln!(out, "\n{of}");
                section = of;
            }
            let _ = writeln!(out, "{key} = [\n{lines}]");
        }
    }

    /// The lines of each list, those of one section behind each other.
    pub(super) fn by_list(&self) -> Vec<(&'static str, String)> {
        let mut lists: Vec<(&'static str, String)> = Vec::new();
        for (grant, entries) in self.paths {
            let lines = entries.iter().map(|(entry, by)| self.path_lines(*grant, entry, by));
            lists.push((grant.key(), lines.collect()));
        }
        for ((list, entry), by) in self.others {
            let line = format!("    {entry}, # {}\n", told(by));
            match lists.last_mut().filter(|(last, _)| last == list) {
                Some((_, lines)) => lines.push_str(&line),
                None => lists.push((list, line)),
            }
        }
        lists
    }

    fn path_lines(&self, grant: Grant, entry: &Entry, by: &Use) -> String {
        let changes = matches!(grant, Grant::Write | Grant::Modify);
        let runs = self.paths.get(&Grant::Execute).is_some_and(|runs| runs.contains_key(entry));
        let remark = match changes {
            true if entry.takes_effect() => "    # Takes effect outside of the sandbox:\n",
            true if runs => "    # Written and run:\n",
            _ => "",
        };
        let entry = by.written().map_or_else(|| toml_string(&entry.text()), str::to_owned);
        format!("{remark}    {entry}, # {}\n", told(by))
    }

    /// What no entry allows, and why.
    pub(super) fn remarks(&self, out: &mut String, denied: &[String]) {
        if !self.withheld.is_empty() {
            out.push_str("\n# Looked at, and not allowed: everybody's names are there.\n");
            self.withheld.iter().for_each(|((grant, entry), by)| {
                let key = grant.key().rsplit(' ').next().unwrap_or_default();
                let _ = writeln!(out, "#   {key} {} {}", toml_string(&entry.text()), told(by));
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
    match (by.times, by.remark()) {
        (0, Some("")) => return "earlier".to_owned(),
        (0, Some(remark)) => return remark.to_owned(),
        _ => {}
    }
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
    let earlier = if by.remark().is_some() { ", and earlier" } else { "" };
    format!("{times} by {}{names}{earlier}", programs.join(", "))
}

//! A policy as one profile: every list with the entries of all layers, of single values the ones that count,
//! each with the place where it is written.

use crate::decision::Rule;
use crate::load::overrides::OverrideOption;
use crate::pattern::variables::toml_string;
use crate::policy::Policy;
use crate::profile::schema::schema;
use crate::report::ledger::OWN;
use std::fmt::Write as _;

/// A key with its values and where they are written.
type Key = (String, Vec<(String, String)>);

impl Policy {
    /// The profile. Writing to a string cannot fail.
    pub fn shown(&self) -> String {
        let mut out = String::from("version = 1\n");
        if let Some(description) = self.description() {
            let _ = writeln!(out, "description = {}", toml_string(description));
        }
        let (mut keys, remarks) = self.keys();
        for (section, properties) in sections() {
            let of_section = |key: &str| key.split_once('.').is_some_and(|(name, _)| name == section);
            let mut open = false;
            for (name, is_list) in properties {
                let key = format!("{section}.{name}");
                let Some((_, values)) = keys.iter().find(|(known, _)| *known == key) else { continue };
                if !std::mem::replace(&mut open, true) {
                    let _ = writeln!(out, "\n[{section}]");
                }
                match (is_list, values.last()) {
                    (false, Some((value, origin))) => _ = writeln!(out, "{name} = {value} # {origin}"),
                    (true, Some(_)) => {
                        let _ = writeln!(out, "{name} = [");
                        values.iter().for_each(|(value, origin)| {
                            let _ = writeln!(out, "    {value}, # {origin}");
                        });
                        out.push_str("]\n");
                    }
                    (_, None) => {}
                }
                keys.retain(|(known, _)| *known != key);
            }
            // Rules of calls and variables that are set: as they are written.
            for (key, values) in keys.iter().filter(|(key, _)| of_section(key)) {
                values.iter().for_each(|(value, origin)| _ = writeln!(out, "# {key} {value} ({origin})"));
            }
        }
        for remark in remarks.iter().chain(self.notes()) {
            let _ = writeln!(out, "# {remark}");
        }
        out
    }

    /// The keys that are given, and what no key says.
    fn keys(&self) -> (Vec<Key>, Vec<String>) {
        let (mut keys, mut remarks): (Vec<Key>, Vec<String>) = (Vec::new(), Vec::new());
        for rule in self.ledger.rules().filter(|rule| rule.file != OWN) {
            let (key, value) = rule.text.split_once(' ').unwrap_or((rule.text, ""));
            let Some((key, value)) = self.of_option(key, value, rule) else {
                remarks.push(format!("{} {value}", rule.file));
                continue;
            };
            let given = (value, rule.to_string());
            match keys.iter_mut().find(|(known, _)| *known == key) {
                Some((_, values)) => values.push(given),
                None => keys.push((key, vec![given])),
            }
        }
        (keys, remarks)
    }

    /// Key and value of a rule; none of an option whose value is no entry of a list.
    fn of_option(&self, key: &str, value: &str, rule: Rule<'_>) -> Option<(String, String)> {
        let Some(option) = OverrideOption::by_flag(rule.file) else {
            return Some((key.to_owned(), value.to_owned()));
        };
        let (section, name) = option.adds_to.split_once(' ')?;
        let section = section.trim_matches(['[', ']']);
        let value = if section == "filesystem" { self.variables().absolute(value) } else { value.to_owned() };
        let list = sections().into_iter().find(|(known, _)| known == section)?.1;
        let is_list = list.iter().any(|(known, is_list)| known == name && *is_list);
        is_list.then(|| (format!("{section}.{name}"), toml_string(&value)))
    }
}

/// The sections of a profile with their keys, and which of these are lists of words.
fn sections() -> Vec<(String, Vec<(String, bool)>)> {
    let schema = schema();
    let root = schema.as_value();
    let resolved = |value: &serde_json::Value| -> Option<Vec<(String, bool)>> {
        let name = value["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"));
        let section = name.map_or(value, |name| &root["$defs"][name]);
        let properties = section["properties"].as_object()?;
        let of_words = |key: &serde_json::Value| {
            key["type"] == "array" && key["items"]["$ref"].as_str() != Some("#/$defs/SyscallRule")
        };
        Some(properties.iter().map(|(name, key)| (name.clone(), of_words(key))).collect())
    };
    let all = root["properties"].as_object().into_iter().flatten();
    all.filter_map(|(name, value)| Some((name.clone(), resolved(value)?))).collect()
}

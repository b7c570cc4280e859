//! What the records of an audit ([`crate::report::record`]) say that a profile lacks.

use crate::report::escape::shown;
use rxbox_policy::learn::Learned;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The records that count here; others are passed over.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Read {
    Lacking {
        list: String,
        entry: String,
    },
    Denied {
        rule: String,
        count: u64,
    },
    #[serde(other)]
    Other,
}

/// Takes what no rule allowed from records of any number of runs: how many entries that are, and what the
/// user has to know of the rest.
///
/// # Errors
/// They are no such records, or none is there.
pub(super) fn take(text: &str, into: &mut Learned) -> Result<(usize, Vec<String>), String> {
    let (mut entries, mut rules) = (BTreeSet::new(), BTreeMap::<String, u64>::new());
    for (n, line) in text.lines().enumerate() {
        let record = serde_json::from_str(line);
        match record.map_err(|e| format!("line {} is no record of an audit: {e}", n + 1))? {
            Read::Lacking { list, entry } => _ = entries.insert((list, entry)),
            Read::Denied { rule, count } if rule != "default" => *rules.entry(rule).or_default() += count,
            Read::Denied { .. } | Read::Other => {}
        }
    }
    let (mut added, mut remarks) = (0, Vec::new());
    for (list, entry) in &entries {
        if into.lacks(list, entry).map_err(|e| e.to_string())? {
            added += 1;
        } else {
            remarks.push(format!("{} {} is for you to add", shown(list.as_bytes()), shown(entry.as_bytes())));
        }
    }
    let denied = rules.iter().map(|(rule, count)| {
        format!("{} denied {count} times, and no entry that is added changes that", shown(rule.as_bytes()))
    });
    remarks.extend(denied);
    Ok((added, remarks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_rule_allowed_is_taken_and_the_rest_is_told() {
        let text = r#"{"event":"start","version":1}
{"event":"lacking","list":"[filesystem] read","entry":"\"/opt/x?\""}
{"event":"lacking","list":"[filesystem] read","entry":"\"/opt/x?\""}
{"event":"lacking","list":"[environment] pass","entry":"\"X\""}
{"event":"denied","rule":"default","count":3}
{"event":"denied","rule":"untrusted.toml:112","count":2}
{"event":"end","cause":"exit","code":0}"#;
        let (added, remarks) = take(text, &mut Learned::default()).unwrap();
        assert_eq!(added, 1);
        assert!(
            remarks[0].ends_with("is for you to add")
                && remarks[1].starts_with("untrusted.toml:112 denied 2 times")
        );
        let error = take("{\"event\":\"end\"}\nrxbox: denied", &mut Learned::default()).unwrap_err();
        assert!(error.starts_with("line 2 is no record"), "{error}");
    }
}

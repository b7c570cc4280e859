//! The tables of keys in `docs/policy.md` are made from the declaration of the keys: each stands behind a
//! line `<!-- keys: SECTION -->`. `RXBOX_BLESS=1` writes them.

use std::fmt::Write;
use std::{env, fs};

use serde_json::Value;

use super::schema::schema;

const MANUAL: &str = include_str!("../../../docs/policy.md");

/// The section that is the whole profile.
const TOP: &str = "profile";

/// Each section that holds keys, in the order of declaration, with its schema.
pub(super) fn sections() -> Vec<(String, Value)> {
    let root = schema().to_value();
    let mut sections = vec![(TOP.to_owned(), root.clone())];
    for (name, value) in root["properties"].as_object().unwrap() {
        let section = resolved(&root, value);
        if !section["properties"].is_null() {
            sections.push((name.clone(), section.clone()));
        }
    }
    let rule = root["$defs"]["SyscallRule"].clone();
    sections.push(("syscalls.rules".to_owned(), rule));
    sections
}

/// The keys of a section.
pub(super) fn keys(section: &Value) -> Vec<&str> {
    section["properties"].as_object().unwrap().keys().map(String::as_str).collect()
}

fn resolved<'a>(root: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        Some(name) => &root["$defs"][name],
        None => value,
    }
}

/// How values of a key are written.
fn form(root: &Value, value: &Value) -> String {
    let value = resolved(root, value);
    let words = value["oneOf"]
        .as_array()
        .map(|words| words.iter().map(|w| format!("`{}`", w["const"])).collect::<Vec<_>>().join(", "));
    match value["type"].as_str() {
        _ if let Some(words) = words => words,
        _ if !value["const"].is_null() => format!("`{}`", value["const"]),
        _ if let Some(title) = value["title"].as_str() => title.to_owned(),
        Some("array") => format!("list: {}", form(root, &value["items"])),
        Some("object") => "table".to_owned(),
        Some(other) => other.to_owned(),
        None => panic!("{value}"),
    }
}

/// The table of a section's keys.
fn table(root: &Value, section: &Value) -> String {
    let mut table = "| key | value | meaning |\n| --- | --- | --- |\n".to_owned();
    let required = |key: &str| section["required"].as_array().is_some_and(|r| r.contains(&key.into()));
    for (key, value) in section["properties"].as_object().unwrap() {
        let meaning = value["description"].as_str().unwrap().replace('\n', " ").replace('|', "\\|");
        let required = if required(key) { " Required." } else { "" };
        writeln!(table, "| `{key}` | {} | {meaning}{required} |", form(root, value)).unwrap();
    }
    table
}

#[test]
fn the_manual_s_tables_of_keys_are_those_of_the_declaration() {
    let root = schema().to_value();
    let mut made = MANUAL.to_owned();
    for (name, section) in sections() {
        let marker = format!("<!-- keys: {name} -->\n");
        let start = made.find(&marker).unwrap_or_else(|| panic!("no {marker}")) + marker.len();
        let length: usize =
            made[start..].split_inclusive('\n').take_while(|l| l.starts_with('|')).map(str::len).sum();
        made.replace_range(start..start + length, &table(&root, &section));
    }
    if env::var_os("RXBOX_BLESS").is_some_and(|v| v == "1") {
        fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/policy.md"), made).unwrap();
        return;
    }
    assert!(made == MANUAL, "docs/policy.md differs (RXBOX_BLESS=1 writes it):\n{made}");
}

#[test]
fn every_key_is_in_the_manual() {
    for (name, section) in sections() {
        assert!(
            MANUAL.contains(&format!("[{name}]")) || [TOP, "syscalls.rules"].contains(&&name[..]),
            "{name}"
        );
        for key in keys(&section) {
            assert!(MANUAL.contains(&format!("`{key}`")), "{name}.{key}");
        }
    }
}

#[test]
fn the_schema_offers_the_words_of_the_table_of_system_calls() {
    let schema = super::schema::schema_json();
    for word in ["\"openat\"", "\"EACCES\"", "\"netlink\"", "\"landlock\"", "\"additionalProperties\": false"]
    {
        assert!(schema.contains(word), "{word}");
    }
}

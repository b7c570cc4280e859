//! The shape of a profile: reads a TOML document into a draft and says precisely what does not fit.
//!
//! The document is walked by hand rather than deserialised, for two reasons: every error is reported at once, not just the
//! first, and every value keeps the place where it was written.

mod calls;
mod sections;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::profile::draft::Draft;
use crate::report::ledger::{Context, Item, RuleId, SourceId, Span};
use crate::report::suggest;

type Key<'i> = Spanned<std::borrow::Cow<'i, str>>;
type Value<'i> = Spanned<DeValue<'i>>;

const TOP: &[&str] = &[
    "version",
    "description",
    "extends",
    "filesystem",
    "network",
    "environment",
    "limits",
    "syscalls",
    "hardening",
    "audit",
];

/// Reads one document.
pub(crate) struct Reader<'c> {
    pub(crate) context: &'c mut Context,
    pub(crate) draft: &'c mut Draft,
    pub(crate) source: SourceId,
}

/// Reads what the document extends. It is asked for first, so that what is extended is read before the document itself.
pub(crate) fn extends(
    context: &mut Context,
    draft: &mut Draft,
    source: SourceId,
    table: &DeTable<'_>,
) -> Vec<Item<String>> {
    let mut reader = Reader { context, draft, source };
    let value = table.iter().find(|(key, _)| key.get_ref() == "extends").map(|(_, value)| value);
    value.map_or_else(Vec::new, |value| reader.strings("extends", value))
}

impl Reader<'_> {
    /// Reads everything but `extends`.
    pub(crate) fn document(&mut self, table: &DeTable<'_>) {
        if !table.keys().any(|k| k.get_ref() == "version") {
            let help = Some("add `version = 1`".to_owned());
            self.context.error(self.span(0..0), "the profile does not say `version`", help);
        }
        for (key, value) in in_order(table) {
            match key.get_ref().as_ref() {
                "version" => self.version(value),
                "description" => self.draft.description = self.string(value),
                "extends" => {}
                "filesystem" => self.section(value, Self::filesystem),
                "network" => self.section(value, Self::network),
                "environment" => self.section(value, Self::environment),
                "limits" => self.section(value, Self::limits),
                "syscalls" => self.section(value, Self::syscalls),
                "hardening" => self.section(value, Self::hardening),
                "audit" => self.section(value, Self::audit),
                _ => self.unknown_key(key, "at the top of a profile", TOP),
            }
        }
    }

    fn version(&mut self, value: &Value<'_>) {
        match value.get_ref() {
            DeValue::Integer(n) if integer(n) == Some(1) => {}
            DeValue::Integer(_) => {
                let help = Some("this program reads `version = 1`".to_owned());
                self.error(value, "unknown version of the profile language", help);
            }
            _ => self.wrong_type(value, "an integer"),
        }
    }

    fn section(&mut self, value: &Value<'_>, mut read: impl FnMut(&mut Self, &Key<'_>, &Value<'_>)) {
        let Some(table) = self.table(value) else { return };
        for (key, value) in in_order(table) {
            read(self, key, value);
        }
    }

    fn span(&self, range: std::ops::Range<usize>) -> Span {
        Span { source: self.source, range }
    }

    fn error<T>(&mut self, at: &Spanned<T>, message: impl Into<String>, help: Option<String>) {
        self.context.error(self.span(at.span()), message, help);
    }

    fn rule<T>(&mut self, key: &str, at: &Spanned<T>) -> RuleId {
        self.context.rule(key, self.span(at.span()))
    }

    fn unknown_key(&mut self, key: &Key<'_>, place: &str, known: &[&str]) {
        let help = suggest::did_you_mean(key.get_ref(), known.iter().copied())
            .or_else(|| Some(format!("the keys are {}", known.join(", "))));
        self.error(key, format!("unknown key `{}` {place}", key.get_ref()), help);
    }

    fn unknown_word(&mut self, at: &Value<'_>, what: &str, word: &str, known: &[&str]) {
        let help = suggest::did_you_mean(word, known.iter().copied()).or_else(|| match known.len() {
            0 => None,
            1..=24 => Some(format!("known are {}", known.join(", "))),
            _ => None,
        });
        self.error(at, format!("unknown {what} `{word}`"), help);
    }

    fn wrong_type(&mut self, value: &Value<'_>, expected: &str) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.error(value, format!("expected {expected}, found {found}"), None);
    }

    fn table<'a, 'i>(&mut self, value: &'a Value<'i>) -> Option<&'a DeTable<'i>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => {
                self.wrong_type(value, "a table");
                None
            }
        }
    }

    fn array<'a, 'i>(&mut self, value: &'a Value<'i>, of: &str) -> &'a [Value<'i>] {
        match value.get_ref() {
            DeValue::Array(items) => items,
            _ => {
                self.wrong_type(value, &format!("an array of {of}"));
                &[]
            }
        }
    }

    fn string(&mut self, value: &Value<'_>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.clone().into_owned()),
            _ => {
                self.wrong_type(value, "a string");
                None
            }
        }
    }

    /// The strings of an array, each with the rule that it becomes.
    fn strings(&mut self, key: &str, value: &Value<'_>) -> Vec<Item<String>> {
        let values = self.array(value, "strings");
        let item = |v| Some(Item { value: self.string(v)?, rule: self.rule(key, v) });
        values.iter().filter_map(item).collect()
    }

    /// One of a few words.
    fn word<T: Copy>(
        &mut self,
        value: &Value<'_>,
        what: &str,
        all: &[T],
        name: fn(T) -> &'static str,
    ) -> Option<T> {
        let word = self.string(value)?;
        let found = all.iter().copied().find(|t| name(*t) == word);
        if found.is_none() {
            let names: Vec<&str> = all.iter().map(|t| name(*t)).collect();
            self.unknown_word(value, what, &word, &names);
        }
        found
    }
}

/// The entries of a table in the order of writing.
fn in_order<'a, 'i>(table: &'a DeTable<'i>) -> Vec<(&'a Key<'i>, &'a Value<'i>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// The value of an integer, if 128 bits hold it.
fn integer(number: &toml::de::DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::limits::Limit;

    const MANUAL: &str = include_str!("../../../../docs/policy.md");

    fn sections() -> [(&'static str, Vec<&'static str>); 8] {
        [
            ("", TOP.to_vec()),
            ("filesystem", sections::FILESYSTEM.to_vec()),
            ("network", sections::NETWORK.to_vec()),
            ("environment", sections::ENVIRONMENT.to_vec()),
            ("limits", Limit::ALL.map(Limit::name).to_vec()),
            ("syscalls", calls::SYSCALLS.to_vec()),
            ("hardening", sections::HARDENING.to_vec()),
            ("audit", sections::AUDIT.to_vec()),
        ]
    }

    fn errors(text: &str) -> Vec<String> {
        let mut context = Context::default();
        let source = context.profile("t.toml".into(), text.into());
        let table = DeTable::parse(text).unwrap();
        let mut draft = Draft::default();
        Reader { context: &mut context, draft: &mut draft, source }.document(table.get_ref());
        context.finish().err().map_or_else(Vec::new, |e| e.0.into_iter().map(|d| d.message).collect())
    }

    #[test]
    fn every_key_that_errors_suggest_is_known_and_checks_its_type() {
        for (section, keys) in sections() {
            for key in keys.into_iter().filter(|k| !matches!(*k, "version" | "extends")) {
                let header = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
                let found = errors(&format!("version = 1\n{header}{key} = 2000-01-01"));
                assert_eq!(found.len(), 1, "{section}.{key}");
                assert!(
                    found[0].starts_with("expected ") && found[0].ends_with("found a date"),
                    "{}",
                    found[0]
                );
            }
        }
    }

    #[test]
    fn every_key_is_in_the_manual() {
        for (section, keys) in sections() {
            assert!(MANUAL.contains(&format!("[{section}]")) || section.is_empty(), "{section}");
            for key in keys.iter().chain(calls::RULE) {
                assert!(MANUAL.contains(&format!("`{key}`")), "{section}.{key}");
            }
        }
    }
}

//! The sections of a profile but `[syscalls]`.

use toml::de::DeValue;

use super::{Key, Reader, Value, in_order, integer};
use crate::profile::draft::{EnvList, NetList, PathList};
use crate::profile::errno;
use crate::profile::hardening::{Denials, Layer};
use crate::profile::limits::Limit;
use crate::profile::vocabulary;
use crate::report::ledger::Item;
use crate::rules::environment;

pub(super) const FILESYSTEM: &[&str] =
    &["read", "modify", "write", "execute", "hidden", "deny", "deny_write", "deny_execute", "denied_error"];
pub(super) const NETWORK: &[&str] = &["allow", "deny", "bind", "families"];
pub(super) const ENVIRONMENT: &[&str] = &["pass", "set", "deny"];
pub(super) const HARDENING: &[&str] = &["require"];
pub(super) const AUDIT: &[&str] = &["denials"];

/// What a denied path may answer.
const DENIED_ERRORS: [i32; 3] = [errno::EACCES, errno::EPERM, errno::ENOENT];

impl Reader<'_> {
    pub(super) fn filesystem(&mut self, key: &Key<'_>, value: &Value<'_>) {
        let list = match key.get_ref().as_ref() {
            "read" => PathList::Read,
            "modify" => PathList::Modify,
            "write" => PathList::Write,
            "execute" => PathList::Execute,
            "hidden" => PathList::Hidden,
            "deny" => PathList::Deny,
            "deny_write" => PathList::DenyWrite,
            "deny_execute" => PathList::DenyExecute,
            "denied_error" => {
                let name = |n| errno::name(n).unwrap_or_default();
                let number = self.word(value, "error", &DENIED_ERRORS, name);
                self.draft.denied_error = number.or(self.draft.denied_error);
                return;
            }
            _ => return self.unknown_key(key, "in [filesystem]", FILESYSTEM),
        };
        let items = self.strings(&format!("filesystem.{}", key.get_ref()), value);
        self.draft.paths.extend(items.into_iter().map(|i| (list, i)));
    }

    pub(super) fn network(&mut self, key: &Key<'_>, value: &Value<'_>) {
        let list = match key.get_ref().as_ref() {
            "allow" => NetList::Allow,
            "deny" => NetList::Deny,
            "bind" => NetList::Bind,
            "families" => return self.families(value),
            _ => return self.unknown_key(key, "in [network]", NETWORK),
        };
        let items = self.strings(&format!("network.{}", key.get_ref()), value);
        self.draft.network.extend(items.into_iter().map(|i| (list, i)));
    }

    fn families(&mut self, value: &Value<'_>) {
        for value in self.array(value, "strings") {
            let Some(name) = self.string(value) else { continue };
            match vocabulary::family(&name) {
                Some(number) => {
                    let rule = self.rule("network.families", value);
                    self.draft.families.push(Item { value: number, rule });
                }
                None => {
                    let known = vocabulary::families();
                    let known: Vec<&str> = known.iter().map(String::as_str).collect();
                    self.unknown_word(value, "address family", &name, &known);
                }
            }
        }
    }

    pub(super) fn environment(&mut self, key: &Key<'_>, value: &Value<'_>) {
        let list = match key.get_ref().as_ref() {
            "pass" => EnvList::Pass,
            "deny" => EnvList::Deny,
            "set" => return self.set(value),
            _ => return self.unknown_key(key, "in [environment]", ENVIRONMENT),
        };
        let items = self.strings(&format!("environment.{}", key.get_ref()), value);
        self.draft.environment.extend(items.into_iter().map(|i| (list, i)));
    }

    fn set(&mut self, value: &Value<'_>) {
        let Some(table) = self.table(value) else { return };
        for (key, value) in in_order(table) {
            let name = key.get_ref();
            if let Err(error) = environment::check_name(name) {
                self.error(key, error.to_string(), None);
            }
            let Some(text) = self.string(value) else { continue };
            let rule = self.rule(&format!("environment.set.{name}"), value);
            self.draft.set.insert(name.clone().into_owned(), Item { value: text, rule });
        }
    }

    pub(super) fn limits(&mut self, key: &Key<'_>, value: &Value<'_>) {
        let Some(limit) = Limit::by_name(key.get_ref()) else {
            return self.unknown_key(key, "in [limits]", &Limit::ALL.map(Limit::name));
        };
        let parsed = match value.get_ref() {
            DeValue::String(text) => limit.parse(text),
            DeValue::Integer(number) => limit.number(integer(number).unwrap_or(i128::MAX)),
            _ => return self.wrong_type(value, limit.form()),
        };
        match parsed {
            Ok(number) => {
                let rule = self.rule(&format!("limits.{}", limit.name()), value);
                self.draft.limits.push((limit, Item { value: number, rule }));
            }
            Err(error) => self.error(value, error.to_string(), None),
        }
    }

    pub(super) fn hardening(&mut self, key: &Key<'_>, value: &Value<'_>) {
        if key.get_ref() != "require" {
            return self.unknown_key(key, "in [hardening]", HARDENING);
        }
        for value in self.array(value, "strings") {
            if let Some(layer) = self.word(value, "layer", &Layer::ALL, Layer::name) {
                let rule = self.rule("hardening.require", value);
                self.draft.layers.push(Item { value: layer, rule });
            }
        }
    }

    pub(super) fn audit(&mut self, key: &Key<'_>, value: &Value<'_>) {
        if key.get_ref() != "denials" {
            return self.unknown_key(key, "in [audit]", AUDIT);
        }
        let denials = self.word(value, "place", &Denials::ALL, Denials::name);
        self.draft.denials = denials.or(self.draft.denials);
    }
}

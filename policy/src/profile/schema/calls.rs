//! The section `[syscalls]`.

use rxbox_wire::kind::{Kind, Syscall};
use toml::de::{DeTable, DeValue};

use super::{Key, Reader, Value, in_order, integer};
use crate::profile::errno;
use crate::profile::vocabulary;
use crate::report::ledger::Item;
use crate::report::suggest;
use crate::rules::calls::{Action, CallRule, Comparison, Test};

pub(super) const SYSCALLS: &[&str] = &["default", "allow", "deny", "log", "kill", "rules"];
pub(super) const RULE: &[&str] = &["call", "arg", "equals", "one_of", "none_of", "mask", "action", "errno"];
const ACTIONS: [Action; 4] = [Action::Allow, Action::Errno(errno::EPERM), Action::Log, Action::Kill];

fn action_name(action: Action) -> &'static str {
    match action {
        Action::Allow => "allow",
        Action::Errno(_) => "errno",
        Action::Log => "log",
        Action::Kill => "kill",
    }
}

/// The entries of one table of `rules`.
#[derive(Default)]
struct Fields<'a, 'i> {
    entries: Vec<(&'a Key<'i>, &'a Value<'i>)>,
}

impl<'a, 'i> Fields<'a, 'i> {
    fn get(&self, name: &str) -> Option<&'a Value<'i>> {
        self.entries.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| *value)
    }
}

/// The argument that a rule compares.
struct Argument {
    index: usize,
    kind: Kind,
    significant: u64,
}

impl Reader<'_> {
    pub(super) fn syscalls(&mut self, key: &Key<'_>, value: &Value<'_>) {
        let action = match key.get_ref().as_ref() {
            "allow" => Action::Allow,
            "deny" => Action::Errno(errno::EPERM),
            "log" => Action::Log,
            "kill" => Action::Kill,
            "default" => {
                if let Some(action) = self.word(value, "action", &ACTIONS, action_name) {
                    let rule = self.rule("syscalls.default", value);
                    self.draft.default_call = Some(Item { value: action, rule });
                }
                return;
            }
            "rules" => {
                for value in self.array(value, "tables") {
                    self.call_rule(value);
                }
                return;
            }
            _ => return self.unknown_key(key, "in [syscalls]", SYSCALLS),
        };
        let name = format!("syscalls.{}", key.get_ref());
        for value in self.array(value, "strings") {
            if let Some(call) = self.call(value) {
                let rule = self.rule(&name, value);
                let value = CallRule { call: call.nr, comparison: None, action };
                self.draft.calls.push(Item { value, rule });
            }
        }
    }

    fn call(&mut self, value: &Value<'_>) -> Option<&'static Syscall> {
        let name = self.string(value)?;
        let call = vocabulary::call(&name);
        if call.is_none() {
            self.unknown_word(value, "system call", &name, &vocabulary::calls().collect::<Vec<_>>());
        }
        call
    }

    fn call_rule(&mut self, value: &Value<'_>) {
        let Some(table) = self.table(value) else { return };
        let Some(fields) = self.fields(value, table) else { return };
        let Some(at) = fields.get("call") else { return };
        let call = self.call(at);
        let action = fields.get("action").and_then(|v| self.word(v, "action", &ACTIONS, action_name));
        let errno = fields.get("errno").and_then(|v| Some((v, self.errno(v)?)));
        let action = match (action, errno) {
            (Some(Action::Errno(_)), Some((_, number))) => Some(Action::Errno(number)),
            (Some(_), Some((at, _))) => {
                self.error(at, "`errno` without `action = \"errno\"`", None);
                None
            }
            (action, _) => action,
        };
        let Some(call) = call else { return };
        let comparison = match fields.get("arg") {
            Some(arg) => match self.comparison(call, arg, &fields) {
                Some(comparison) => Some(comparison),
                None => return,
            },
            None => {
                let stray = ["equals", "one_of", "none_of", "mask"].iter().find_map(|n| fields.get(n));
                if let Some(at) = stray {
                    return self.error(at, "a comparison without `arg`", None);
                }
                None
            }
        };
        if let Some(action) = action {
            // The span of a `[[syscalls.rules]]` is its header only; then the call stands for the rule.
            let inline = value.span().contains(&at.span().start);
            let rule = self.rule("syscalls.rules", if inline { value } else { at });
            self.draft.calls.push(Item { value: CallRule { call: call.nr, comparison, action }, rule });
        }
    }

    /// The entries of a rule, if those that it needs are there.
    fn fields<'a, 'i>(&mut self, value: &Value<'i>, table: &'a DeTable<'i>) -> Option<Fields<'a, 'i>> {
        let (known, unknown): (Vec<_>, Vec<_>) =
            in_order(table).into_iter().partition(|(key, _)| RULE.contains(&key.get_ref().as_ref()));
        for (key, _) in unknown {
            self.unknown_key(key, "in a rule of [syscalls]", RULE);
        }
        let fields = Fields { entries: known };
        for name in ["call", "action"] {
            if fields.get(name).is_none() {
                self.error(value, format!("a rule of [syscalls] needs `{name}`"), None);
                return None;
            }
        }
        Some(fields)
    }

    fn errno(&mut self, value: &Value<'_>) -> Option<i32> {
        let name = self.string(value)?;
        let number = errno::number(&name);
        if number.is_none() {
            let help = suggest::did_you_mean(&name, errno::all());
            self.error(value, format!("unknown errno `{name}`"), help);
        }
        number
    }

    fn comparison(
        &mut self,
        call: &'static Syscall,
        arg: &Value<'_>,
        fields: &Fields<'_, '_>,
    ) -> Option<Comparison> {
        let argument = self.argument(call, arg)?;
        let mask = match fields.get("mask") {
            Some(value) => Some(self.number(&argument, value)?),
            None => None,
        };
        let given: Vec<_> =
            ["equals", "one_of", "none_of"].iter().filter_map(|n| Some((*n, fields.get(n)?))).collect();
        let test = match (given[..].first(), mask) {
            (_, _) if given.len() > 1 => {
                self.error(given[1].1, "one of `equals`, `one_of`, `none_of` is enough", None);
                return None;
            }
            (Some(("equals", value)), _) => Test::OneOf(vec![self.number(&argument, value)?]),
            (Some(("one_of", value)), _) => Test::OneOf(self.numbers(&argument, value)?),
            (Some((_, value)), _) => Test::NoneOf(self.numbers(&argument, value)?),
            (None, Some(_)) => Test::AnyBit,
            (None, None) => {
                let help = "add `equals`, `one_of`, `none_of` or `mask`".to_owned();
                self.error(arg, "a rule with `arg` but no comparison", Some(help));
                return None;
            }
        };
        let mask = mask.unwrap_or(u64::MAX) & argument.significant;
        if let (Test::OneOf(values) | Test::NoneOf(values), Some((_, at))) = (&test, given.first())
            && values.iter().any(|v| v & !mask != 0)
        {
            self.error(at, "a value with bits outside `mask` never matches", None);
            return None;
        }
        Some(Comparison { argument: argument.index, mask, test })
    }

    fn argument(&mut self, call: &'static Syscall, value: &Value<'_>) -> Option<Argument> {
        let name = self.string(value)?;
        let Some((index, kind)) = vocabulary::argument(call, &name) else {
            let known: Vec<&str> = call.args.iter().map(|a| a.name).collect();
            self.unknown_word(value, &format!("argument of {}", call.name), &name, &known);
            return None;
        };
        // A rule compares what the kernel looks at.
        let Some(significant) = kind.significant() else {
            let help = "the value of a pointer says nothing; paths and addresses have their own sections";
            self.error(value, format!("`{name}` of {} is a pointer", call.name), Some(help.to_owned()));
            return None;
        };
        Some(Argument { index, kind, significant })
    }

    fn numbers(&mut self, argument: &Argument, value: &Value<'_>) -> Option<Vec<u64>> {
        let values = self.array(value, "values");
        if values.is_empty() {
            if matches!(value.get_ref(), DeValue::Array(_)) {
                self.error(value, "an empty list of values", None);
            }
            return None;
        }
        values.iter().map(|v| self.number(argument, v)).collect()
    }

    /// A value of an argument: a number, or names such as `O_WRONLY|O_CREAT`.
    fn number(&mut self, argument: &Argument, value: &Value<'_>) -> Option<u64> {
        match value.get_ref() {
            DeValue::Integer(number) => {
                let number = integer(number).and_then(|n| fit(n, argument.significant));
                if number.is_none() {
                    self.error(value, "the value does not fit the argument", None);
                }
                number
            }
            DeValue::String(names) => {
                let known = vocabulary::values(argument.kind);
                let mut sum = 0;
                for name in names.split('|').map(str::trim) {
                    let Some((number, _)) = known.iter().find(|(_, n)| *n == name) else {
                        let known: Vec<&str> = known.iter().map(|(_, n)| *n).collect();
                        self.unknown_word(value, "value", name, &known);
                        return None;
                    };
                    sum |= number;
                }
                Some(sum & argument.significant)
            }
            _ => {
                self.wrong_type(value, "an integer or a name");
                None
            }
        }
    }
}

/// A number as the argument's bits, if they hold it signed or unsigned.
fn fit(number: i128, significant: u64) -> Option<u64> {
    let most = i128::from(significant);
    let least = -(most / 2) - 1;
    (least..=most).contains(&number).then_some(number as u64 & significant)
}

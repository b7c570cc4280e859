//! The section `[syscalls]`: what the names in its rules mean, by the table of system calls.

use rxbox_wire::kind::{Kind, Syscall};

use crate::profile::keys::{Profile, SyscallRule, Syscalls, in_order, last};
use crate::profile::value::NonEmpty;
use crate::profile::words::{ActionWord, ArgumentName, ArgumentValue, CallName, ErrnoName};
use crate::report::ledger::{Context, Item, RuleId};
use crate::report::suggest;
use crate::rules::calls::{Action, CallRule, Calls, Comparison, Test};
use crate::{errno, vocabulary};

/// The argument that a rule compares.
struct Argument {
    index: usize,
    kind: Kind,
    significant: u64,
}

/// Compiles the rules of all layers.
pub(super) fn calls(context: &mut Context, layers: &[Profile]) -> Calls {
    let mut rules = Vec::new();
    for layer in layers {
        let mut found: Vec<(RuleId, Item<CallRule>)> = lists(context, &layer.syscalls);
        let tables = layer.syscalls.rules.iter();
        found.extend(tables.filter_map(|item| Some((item.rule, rule(context, item)?))));
        found.sort_by_key(|(written, _)| *written);
        rules.extend(found.into_iter().map(|(_, rule)| rule));
    }
    let default = last(layers, |layer| &layer.syscalls.default);
    let default = default.map_or(Item { value: Action::Allow, rule: RuleId::NONE }, |item| Item {
        value: action(item.value, errno::EPERM),
        rule: item.rule,
    });
    let idle = rules.iter().find(|rule| rule.value.action == Action::Allow);
    if let (Some(idle), Action::Allow) = (idle, default.value) {
        let help =
            "every call that no rule denies is allowed anyway; set `default = \"errno\"` to deny the others";
        let message = "allowing a call has no effect with `default = \"allow\"`";
        context.error_at(idle.rule, message, Some(help.to_owned()));
    }
    Calls::new(rules, default)
}

fn action(word: ActionWord, errno: i32) -> Action {
    match word {
        ActionWord::Allow => Action::Allow,
        ActionWord::Errno => Action::Errno(errno),
        ActionWord::Log => Action::Log,
        ActionWord::Kill => Action::Kill,
    }
}

/// The rules of the lists of names.
fn lists(context: &mut Context, syscalls: &Syscalls) -> Vec<(RuleId, Item<CallRule>)> {
    let lists = [
        (Action::Allow, &syscalls.allow),
        (Action::Errno(errno::EPERM), &syscalls.deny),
        (Action::Log, &syscalls.log),
        (Action::Kill, &syscalls.kill),
    ];
    let rule = |(action, name): (_, &Item<_>)| {
        let value = CallRule { call: call(context, name)?.nr, comparison: None, action };
        Some((name.rule, Item { value, rule: name.rule }))
    };
    in_order(lists).into_iter().filter_map(rule).collect()
}

/// A rule that is a table of its own.
fn rule(context: &mut Context, item: &Item<SyscallRule>) -> Option<Item<CallRule>> {
    let rule = &item.value;
    let call_name = rule.call.get();
    let call = call_name.and_then(|name| call(context, name));
    let errno = rule.errno.get();
    let errno = errno.and_then(|name| Some((name.rule, number_of_error(context, name)?)));
    let action = rule.action.get().and_then(|word| match (word.value, errno) {
        (ActionWord::Errno, Some((_, number))) => Some(Action::Errno(number)),
        (_, Some((at, _))) => {
            context.error_at(at, "`errno` without `action = \"errno\"`", None);
            None
        }
        (word, None) => Some(action(word, errno::EPERM)),
    });
    let call = call?;
    let comparison = comparison(context, call, rule)?;
    let rule = place(context, item.rule, call_name?.rule);
    Some(Item { value: CallRule { call: call.nr, comparison, action: action? }, rule })
}

/// Where a rule is said to be written: the span of a `[[syscalls.rules]]` is its header only; then its call
/// stands for it.
fn place(context: &mut Context, table: RuleId, call: RuleId) -> RuleId {
    match (context.span(table), context.span(call)) {
        (Some(table), Some(call)) if !table.range.contains(&call.range.start) => {
            context.rule("syscalls.rules", call)
        }
        _ => table,
    }
}

fn call(context: &mut Context, name: &Item<CallName>) -> Option<&'static Syscall> {
    let call = vocabulary::call(&name.value.0);
    if call.is_none() {
        unknown(context, name.rule, "system call", &name.value.0, &vocabulary::calls().collect::<Vec<_>>());
    }
    call
}

fn number_of_error(context: &mut Context, name: &Item<ErrnoName>) -> Option<i32> {
    let number = errno::number(&name.value.0);
    if number.is_none() {
        unknown(context, name.rule, "errno", &name.value.0, &errno::all().collect::<Vec<_>>());
    }
    number
}

/// Reports a word that is none of those known.
pub(super) fn unknown(context: &mut Context, at: RuleId, what: &str, word: &str, known: &[&str]) {
    context.error_at(at, format!("unknown {what} `{word}`"), suggest::known_words(word, known));
}

/// One of `equals`, `one_of` and `none_of`.
struct Given<'a> {
    rule: RuleId,
    values: Vec<&'a Item<ArgumentValue>>,
    test: fn(Vec<u64>) -> Test,
}

impl<'a> Given<'a> {
    fn several(list: &'a Item<NonEmpty<ArgumentValue>>, test: fn(Vec<u64>) -> Test) -> Self {
        Self { rule: list.rule, values: list.value.iter().collect(), test }
    }
}

impl SyscallRule {
    fn given(&self) -> Vec<Given<'_>> {
        let equals = self.equals.get();
        let equals = equals.map(|item| Given { rule: item.rule, values: vec![item], test: Test::OneOf });
        let one_of = self.one_of.get().map(|list| Given::several(list, Test::OneOf));
        let none_of = self.none_of.get().map(|list| Given::several(list, Test::NoneOf));
        [equals, one_of, none_of].into_iter().flatten().collect()
    }

    /// Whether a part of the comparison is wrong.
    fn comparison_is_wrong(&self) -> bool {
        let lists = [&self.one_of, &self.none_of];
        self.arg.is_wrong()
            || [&self.equals, &self.mask].iter().any(|entry| entry.is_wrong())
            || lists.iter().any(|entry| entry.is_wrong())
    }
}

/// The comparison of a rule, which may have none; nothing if it is wrong.
fn comparison(
    context: &mut Context,
    call: &'static Syscall,
    rule: &SyscallRule,
) -> Option<Option<Comparison>> {
    if rule.comparison_is_wrong() {
        return None;
    }
    let (given, mask) = (rule.given(), rule.mask.get());
    let Some(arg) = rule.arg.get() else {
        let Some(stray) = given.first().map(|g| g.rule).or(mask.map(|m| m.rule)) else { return Some(None) };
        context.error_at(stray, "a comparison without `arg`", None);
        return None;
    };
    let argument = argument(context, call, arg)?;
    let mask = match mask {
        Some(mask) => Some(number(context, &argument, mask)?),
        None => None,
    };
    let test = match (&given[..], mask) {
        ([_, second, ..], _) => {
            context.error_at(second.rule, "one of `equals`, `one_of`, `none_of` is enough", None);
            return None;
        }
        ([one], _) => {
            let numbers = one.values.iter().map(|value| number(context, &argument, value));
            (one.test)(numbers.collect::<Option<_>>()?)
        }
        ([], Some(_)) => Test::AnyBit,
        ([], None) => {
            let help = "add `equals`, `one_of`, `none_of` or `mask`".to_owned();
            context.error_at(arg.rule, "a rule with `arg` but no comparison", Some(help));
            return None;
        }
    };
    let mask = mask.unwrap_or(u64::MAX) & argument.significant;
    if let (Test::OneOf(values) | Test::NoneOf(values), Some(one)) = (&test, given.first())
        && values.iter().any(|v| v & !mask != 0)
    {
        context.error_at(one.rule, "a value with bits outside `mask` never matches", None);
        return None;
    }
    Some(Some(Comparison { argument: argument.index, mask, test }))
}

fn argument(context: &mut Context, call: &'static Syscall, name: &Item<ArgumentName>) -> Option<Argument> {
    let word = &name.value.0;
    let Some((index, kind)) = vocabulary::argument(call, word) else {
        let known: Vec<&str> = call.args.iter().map(|a| a.name).collect();
        unknown(context, name.rule, &format!("argument of {}", call.name), word, &known);
        return None;
    };
    // A rule compares what the kernel looks at.
    let Some(significant) = kind.significant() else {
        let help = "the value of a pointer says nothing; paths and addresses have their own sections";
        context.error_at(name.rule, format!("`{word}` of {} is a pointer", call.name), Some(help.to_owned()));
        return None;
    };
    Some(Argument { index, kind, significant })
}

/// The value of an argument.
fn number(context: &mut Context, argument: &Argument, value: &Item<ArgumentValue>) -> Option<u64> {
    match &value.value {
        ArgumentValue::Number(number) => {
            let number = fit(*number, argument.significant);
            if number.is_none() {
                context.error_at(value.rule, "the value does not fit the argument", None);
            }
            number
        }
        ArgumentValue::Names(names) => {
            let known = vocabulary::values(argument.kind);
            let mut sum = 0;
            for name in names.split('|').map(str::trim) {
                let Some((number, _)) = known.iter().find(|(_, n)| *n == name) else {
                    let known: Vec<&str> = known.iter().map(|(_, n)| *n).collect();
                    unknown(context, value.rule, "value", name, &known);
                    return None;
                };
                sum |= number;
            }
            Some(sum & argument.significant)
        }
    }
}

/// A number as the argument's bits, if they hold it signed or unsigned.
fn fit(number: i128, significant: u64) -> Option<u64> {
    let most = i128::from(significant);
    let least = -(most / 2) - 1;
    (least..=most).contains(&number).then_some(number as u64 & significant)
}

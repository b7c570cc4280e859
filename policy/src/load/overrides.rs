//! What the command line adds to a profile: one more layer, with the options as its rules.

use crate::pattern::variables::Variables;
use crate::profile::keys::Profile;
use crate::profile::limits::{Limit, LimitKeys};
use crate::profile::words::{AddressText, PathText, VariableName, VariablePattern};
use crate::report::ledger::{Context, Item, RuleId, Span};
use crate::report::suggest;

/// The options, in the language of profiles. A path may also be relative: to `${CWD}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--allow-read`: path patterns.
    pub allow_read: Vec<String>,
    /// `--allow-write`: path patterns.
    pub allow_write: Vec<String>,
    /// `--allow-exec`: path patterns.
    pub allow_exec: Vec<String>,
    /// `--deny-path`: path patterns.
    pub deny_path: Vec<String>,
    /// `--allow-net`: entries of `[network] allow`.
    pub allow_net: Vec<String>,
    /// `--allow-bind`: entries of `[network] bind`.
    pub allow_bind: Vec<String>,
    /// `--pass-env`: patterns of variables' names.
    pub pass_env: Vec<String>,
    /// `--env`: variables with their values, which are taken literally.
    pub set_env: Vec<(String, String)>,
    /// `--limit`: keys of `[limits]` with their values.
    pub limits: Vec<(String, String)>,
}

impl Overrides {
    /// The options as the topmost layer.
    pub(crate) fn layer(&self, context: &mut Context, variables: &Variables) -> Profile {
        let mut layer = Profile::default();
        let files = &mut layer.filesystem;
        for (option, list, texts) in [
            ("--allow-read", &mut files.read, &self.allow_read),
            ("--allow-write", &mut files.write, &self.allow_write),
            ("--allow-exec", &mut files.execute, &self.allow_exec),
            ("--deny-path", &mut files.deny, &self.deny_path),
        ] {
            list.extend(entries(context, option, texts, |text| PathText(variables.absolute(text))));
        }
        let network = &mut layer.network;
        for (option, list, texts) in [
            ("--allow-net", &mut network.allow, &self.allow_net),
            ("--allow-bind", &mut network.bind, &self.allow_bind),
        ] {
            list.extend(entries(context, option, texts, |text| AddressText(text.to_owned())));
        }
        let passed = entries(context, "--pass-env", &self.pass_env, |text| VariablePattern(text.to_owned()));
        layer.environment.pass.extend(passed);
        for (name, value) in &self.set_env {
            let rule = rule(context, "--env", name);
            match VariableName::try_from(name.clone()) {
                Ok(name) => {
                    let value = Item { value: value.replace("${", "$${"), rule };
                    layer.environment.set.extend([(Item { value: name, rule }, value)]);
                }
                Err(error) => context.error_at(rule, error.to_string(), None),
            }
        }
        for (name, value) in &self.limits {
            limit(context, &mut layer.limits, name, value);
        }
        layer
    }
}

fn rule(context: &mut Context, option: &str, text: &str) -> RuleId {
    let span = context.option(option, text);
    context.rule(option, span)
}

/// An option's texts as the entries of a list.
fn entries<T>(
    context: &mut Context,
    option: &str,
    texts: &[String],
    entry: impl Fn(&str) -> T,
) -> impl Iterator<Item = Item<T>> {
    texts.iter().map(move |text| Item { value: entry(text), rule: rule(context, option, text) })
}

fn limit(context: &mut Context, limits: &mut LimitKeys, name: &str, value: &str) {
    let span = context.option("--limit", &format!("{name}={value}"));
    let at = |range| Span { range, ..span.clone() };
    let Some(limit) = Limit::by_name(name) else {
        let known = Limit::ALL.map(Limit::name);
        let help =
            suggest::did_you_mean(name, known).or_else(|| Some(format!("known are {}", known.join(", "))));
        return context.error(at(0..name.len()), format!("unknown limit `{name}`"), help);
    };
    match limit.parse(value) {
        Ok(number) => {
            let rule = context.rule("--limit", span);
            limits.give(limit, Item { value: number, rule });
        }
        Err(error) => {
            let range = name.len() + 1..name.len() + 1 + value.len();
            context.error(at(range), error.to_string(), None);
        }
    }
}

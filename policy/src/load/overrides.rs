//! What the command line adds to a profile: one more layer, with the options as its rules.

use crate::pattern::variables::Variables;
use crate::profile::draft::{Draft, EnvList, NetList, PathList};
use crate::profile::limits::Limit;
use crate::report::ledger::{Context, Item, Span};
use crate::report::suggest;
use crate::rules::environment::check_name;

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
    pub(crate) fn apply(&self, context: &mut Context, draft: &mut Draft, variables: &Variables) {
        for (option, list, texts) in [
            ("--allow-read", PathList::Read, &self.allow_read),
            ("--allow-write", PathList::Write, &self.allow_write),
            ("--allow-exec", PathList::Execute, &self.allow_exec),
            ("--deny-path", PathList::Deny, &self.deny_path),
        ] {
            for text in texts {
                let mut item = entry(context, option, text);
                item.value = variables.absolute(text);
                draft.paths.push((list, item));
            }
        }
        for (option, list, texts) in [
            ("--allow-net", NetList::Allow, &self.allow_net),
            ("--allow-bind", NetList::Bind, &self.allow_bind),
        ] {
            draft.network.extend(texts.iter().map(|t| (list, entry(context, option, t))));
        }
        let passed = self.pass_env.iter().map(|t| (EnvList::Pass, entry(context, "--pass-env", t)));
        draft.environment.extend(passed);
        for (name, value) in &self.set_env {
            let mut item = entry(context, "--env", name);
            if let Err(error) = check_name(name) {
                context.error_at(item.rule, error.to_string(), None);
            }
            item.value = value.replace("${", "$${");
            draft.set.insert(name.clone(), item);
        }
        for (name, value) in &self.limits {
            limit(context, draft, name, value);
        }
    }
}

fn entry(context: &mut Context, option: &str, text: &str) -> Item<String> {
    let span = context.option(option, text);
    Item { value: text.to_owned(), rule: context.rule(option, span) }
}

fn limit(context: &mut Context, draft: &mut Draft, name: &str, value: &str) {
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
            draft.limits.push((limit, Item { value: number, rule }));
        }
        Err(error) => {
            let range = name.len() + 1..name.len() + 1 + value.len();
            context.error(at(range), error.to_string(), None);
        }
    }
}

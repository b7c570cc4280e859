//! What the command line adds to a profile: one more layer, with the options as its rules.
//!
//! [`OVERRIDE_OPTIONS`] declares these options: the parser of the command line, its help, the manual page,
//! the layer that is read from them, and the hints of denials come from the same row.

use crate::pattern::variables::Variables;
use crate::profile::keys::Profile;
use crate::profile::limits::{Limit, LimitKeys};
use crate::profile::value::{Entry, List};
use crate::profile::words::{
    AddressText, DescriptorText, PathText, SecretText, UserName, VariableName, VariablePattern,
};
use crate::report::ledger::{Context, Item, RuleId, Span};
use crate::report::suggest;
use std::ops::Range;

/// An option of the command line that adds to the profile.
#[derive(Debug)]
pub struct OverrideOption {
    /// The option, with its dashes.
    pub flag: &'static str,
    /// What its value is called.
    pub value: &'static str,
    /// The key that it adds to, as a profile would say it.
    pub adds_to: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    target: Target,
}

/// Where the value goes: a list of the layer, or a key that the value names.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// A path pattern; it may also be relative: to `${CWD}`.
    Path(fn(&mut Profile) -> &mut List<PathText>),
    Address(fn(&mut Profile) -> &mut List<AddressText>),
    Variables(fn(&mut Profile) -> &mut List<VariablePattern>),
    Descriptors(fn(&mut Profile) -> &mut List<DescriptorText>),
    /// A variable with its value, which is taken literally.
    Variable,
    /// The name of a secret with its place, whose path may be relative.
    Secret,
    /// The name of a user.
    User,
    /// A key of `[limits]` with its value.
    Limit,
    /// The value of one limit in seconds.
    Seconds(Limit),
}

/// Every option that adds to the profile, in the order of the help.
pub static OVERRIDE_OPTIONS: [OverrideOption; 19] = [
    OverrideOption {
        flag: "--allow-read",
        value: "PATH",
        adds_to: "[filesystem] read",
        help: "Let the program read PATH and everything below it",
        target: Target::Path(|layer| &mut layer.filesystem.read),
    },
    OverrideOption {
        flag: "--allow-list",
        value: "PATH",
        adds_to: "[filesystem] list",
        help: "Let it list directories there and see what there is, but read nothing",
        target: Target::Path(|layer| &mut layer.filesystem.list),
    },
    OverrideOption {
        flag: "--allow-modify",
        value: "PATH",
        adds_to: "[filesystem] modify",
        help: "Let it read and change files that are there",
        target: Target::Path(|layer| &mut layer.filesystem.modify),
    },
    OverrideOption {
        flag: "--allow-write",
        value: "PATH",
        adds_to: "[filesystem] write",
        help: "Let it read, create, change and remove there",
        target: Target::Path(|layer| &mut layer.filesystem.write),
    },
    OverrideOption {
        flag: "--allow-exec",
        value: "PATH",
        adds_to: "[filesystem] execute",
        help: "Let it read and run what lies there",
        target: Target::Path(|layer| &mut layer.filesystem.execute),
    },
    OverrideOption {
        flag: "--private",
        value: "PATH",
        adds_to: "[filesystem] private",
        help: "Give it a folder of its own in place of PATH, empty at first and gone at the end",
        target: Target::Path(|layer| &mut layer.filesystem.private),
    },
    OverrideOption {
        flag: "--overlay",
        value: "PATH",
        adds_to: "[filesystem] overlay",
        help: "Let it write in the directory PATH, and keep what it changes apart until it is applied",
        target: Target::Path(|layer| &mut layer.filesystem.overlay),
    },
    OverrideOption {
        flag: "--deny-path",
        value: "PATH",
        adds_to: "[filesystem] deny",
        help: "Deny every access there, whatever else allows it",
        target: Target::Path(|layer| &mut layer.filesystem.deny),
    },
    OverrideOption {
        flag: "--hide",
        value: "PATH",
        adds_to: "[filesystem] hidden",
        help: "Make PATH look missing",
        target: Target::Path(|layer| &mut layer.filesystem.hidden),
    },
    OverrideOption {
        flag: "--allow-net",
        value: "ENTRY",
        adds_to: "[network] allow",
        help: "Let it connect, for example to tcp:example.org:443 or tcp:192.0.2.1:443",
        target: Target::Address(|layer| &mut layer.network.allow),
    },
    OverrideOption {
        flag: "--allow-bind",
        value: "ENTRY",
        adds_to: "[network] bind",
        help: "Let it bind, for example to tcp:127.0.0.1:8080",
        target: Target::Address(|layer| &mut layer.network.bind),
    },
    OverrideOption {
        flag: "--pass-env",
        value: "NAME",
        adds_to: "[environment] pass",
        help: "Pass an environment variable on; wildcards are allowed",
        target: Target::Variables(|layer| &mut layer.environment.pass),
    },
    OverrideOption {
        flag: "--env",
        value: "NAME=VALUE",
        adds_to: "[environment] set",
        help: "Set an environment variable",
        target: Target::Variable,
    },
    OverrideOption {
        flag: "--secret",
        value: "NAME=PLACE",
        adds_to: "[environment] secrets",
        help: "Give it a secret, file:PATH or env:NAME, by a descriptor that NAME_FILE names",
        target: Target::Secret,
    },
    OverrideOption {
        flag: "--unset-env",
        value: "NAME",
        adds_to: "[environment] deny",
        help: "Keep an environment variable from it; wildcards are allowed",
        target: Target::Variables(|layer| &mut layer.environment.deny),
    },
    OverrideOption {
        flag: "--user",
        value: "NAME",
        adds_to: "[identity] user",
        help: "Run everything, rxbox included, as this user; for root",
        target: Target::User,
    },
    OverrideOption {
        flag: "--pass-fd",
        value: "N",
        adds_to: "[descriptors] pass",
        help: "Let it inherit the open descriptor N",
        target: Target::Descriptors(|layer| &mut layer.descriptors.pass),
    },
    OverrideOption {
        flag: "--limit",
        value: "NAME=VALUE",
        adds_to: "[limits]",
        help: "Set a limit, for example memory=512M",
        target: Target::Limit,
    },
    OverrideOption {
        flag: "--time-limit",
        value: "SECONDS",
        adds_to: "[limits] wall_time",
        help: "End the program after this time",
        target: Target::Seconds(Limit::WallTime),
    },
];

/// A value does not have the form that its option wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wants {0}")]
pub struct WrongForm(&'static str);

impl OverrideOption {
    /// The option by its name with the dashes.
    pub fn by_flag(flag: &str) -> Option<&'static OverrideOption> {
        OVERRIDE_OPTIONS.iter().find(|option| option.flag == flag)
    }

    /// The option with a value.
    ///
    /// # Errors The value does not have the form that the option wants. What it says is looked at when the
    /// profile is loaded.
    pub fn with(&'static self, value: &str) -> Result<Override, WrongForm> {
        let (fits, form) = match self.target {
            Target::Variable | Target::Limit => (value.contains('='), "NAME=VALUE"),
            Target::Secret => (value.contains('='), "NAME=PLACE"),
            Target::Seconds(_) => {
                (!value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()), "a number of seconds")
            }
            Target::Path(_)
            | Target::Address(_)
            | Target::Variables(_)
            | Target::Descriptors(_)
            | Target::User => (true, "text"),
        };
        if fits { Ok(Override { option: self, value: value.to_owned() }) } else { Err(WrongForm(form)) }
    }
}

/// An option with its value.
#[derive(Clone, Debug)]
pub struct Override {
    option: &'static OverrideOption,
    value: String,
}

impl PartialEq for Override {
    fn eq(&self, other: &Self) -> bool {
        (self.option.flag, &self.value) == (other.option.flag, &other.value)
    }
}

impl Eq for Override {}

/// What the command line adds, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    given: Vec<Override>,
    /// Whether every place that may be written is overlaid.
    tries: bool,
}

impl FromIterator<Override> for Overrides {
    fn from_iter<I: IntoIterator<Item = Override>>(list: I) -> Overrides {
        Overrides { given: list.into_iter().collect(), tries: false }
    }
}

impl Overrides {
    /// These, and behind them others.
    pub fn with(mut self, others: &Overrides) -> Overrides {
        self.given.extend(others.given.iter().cloned());
        self.tries |= others.tries;
        self
    }

    /// These, and every place that the profile lets the guest write is overlaid.
    pub fn trying(mut self) -> Overrides {
        self.tries = true;
        self
    }

    /// Whether every place that may be written is overlaid.
    pub(crate) fn tries(&self) -> bool {
        self.tries
    }

    /// Whether a user is named.
    pub fn name_user(&self) -> bool {
        self.given.iter().any(|given| matches!(given.option.target, Target::User))
    }

    /// The options as the topmost layer.
    pub(crate) fn layer(&self, context: &mut Context, variables: &Variables) -> Profile {
        let mut layer = Profile::default();
        for Override { option, value } in &self.given {
            let flag = option.flag;
            match option.target {
                Target::Path(list) => {
                    let path = PathText(variables.absolute(value));
                    list(&mut layer).extend([Item { value: path, rule: rule(context, flag, value) }]);
                }
                Target::Address(list) => {
                    let address = AddressText(value.clone());
                    list(&mut layer).extend([Item { value: address, rule: rule(context, flag, value) }]);
                }
                Target::Variables(list) => {
                    let pattern = VariablePattern(value.clone());
                    list(&mut layer).extend([Item { value: pattern, rule: rule(context, flag, value) }]);
                }
                Target::User => {
                    let user = Item { value: UserName(value.clone()), rule: rule(context, flag, value) };
                    layer.identity.user = Entry::Given(user);
                }
                Target::Descriptors(list) => {
                    let number = DescriptorText(value.clone());
                    list(&mut layer).extend([Item { value: number, rule: rule(context, flag, value) }]);
                }
                Target::Variable => variable(context, &mut layer, flag, value),
                Target::Secret => secret(context, &mut layer, variables, (flag, value)),
                Target::Limit => named_limit(context, &mut layer.limits, flag, value),
                Target::Seconds(which) => {
                    let span = context.option(flag, value);
                    let range = span.range.clone();
                    limit(context, &mut layer.limits, which, &format!("{value}s"), (flag, span, range));
                }
            }
        }
        layer
    }
}

fn rule(context: &mut Context, flag: &str, text: &str) -> RuleId {
    let span = context.option(flag, text);
    context.rule(flag, span)
}

/// The two sides of `NAME=VALUE`, which has been checked.
fn pair(text: &str) -> (&str, &str) {
    text.split_once('=').unwrap_or((text, ""))
}

/// The rule of a variable shows its name only: the value may be a secret.
fn variable(context: &mut Context, layer: &mut Profile, flag: &str, text: &str) {
    let (name, value) = pair(text);
    let rule = rule(context, flag, name);
    match VariableName::try_from(name.to_owned()) {
        Ok(name) => {
            let value = Item { value: value.replace("${", "$${"), rule };
            layer.environment.set.extend([(Item { value: name, rule }, value)]);
        }
        Err(error) => context.error_at(rule, error.to_string(), None),
    }
}

fn secret(context: &mut Context, layer: &mut Profile, variables: &Variables, (flag, text): (&str, &str)) {
    let (name, place) = pair(text);
    let rule = rule(context, flag, text);
    let place = match place.strip_prefix("file:") {
        Some(path) => format!("file:{}", variables.absolute(path)),
        None => place.to_owned(),
    };
    match VariableName::try_from(name.to_owned()) {
        Ok(name) => {
            let place = Item { value: SecretText(place), rule };
            layer.environment.secrets.extend([(Item { value: name, rule }, place)]);
        }
        Err(error) => context.error_at(rule, error.to_string(), None),
    }
}

fn named_limit(context: &mut Context, limits: &mut LimitKeys, flag: &str, text: &str) {
    let span = context.option(flag, text);
    let (name, value) = pair(text);
    match Limit::by_name(name) {
        Some(which) => limit(context, limits, which, value, (flag, span, name.len() + 1..text.len())),
        None => {
            let known = Limit::ALL.map(Limit::name);
            let help = suggest::did_you_mean(name, known)
                .or_else(|| Some(format!("known are {}", known.join(", "))));
            let at = Span { range: 0..name.len(), ..span };
            context.error(at, format!("unknown limit `{name}`"), help);
        }
    }
}

/// Sets a limit. The value stands at a range of the option's text.
fn limit(
    context: &mut Context,
    limits: &mut LimitKeys,
    which: Limit,
    value: &str,
    (flag, span, range): (&str, Span, Range<usize>),
) {
    match which.parse(value) {
        Ok(number) => {
            let rule = context.rule(flag, span);
            limits.give(which, Item { value: number, rule });
        }
        Err(error) => context.error(Span { range, ..span }, error.to_string(), None),
    }
}

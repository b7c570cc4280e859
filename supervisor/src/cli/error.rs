//! Errors of the command line, in one line as all messages of rxbox are.

use clap::error::{ContextKind, ErrorKind};
use std::error::Error as _;

/// The command line makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} (see rxbox --help)")]
pub struct UsageError(String);

impl UsageError {
    /// One that is said like this.
    pub(super) fn of(text: &str) -> UsageError {
        UsageError(text.to_owned())
    }

    /// What clap found wrong with a line for `command`.
    pub(super) fn new(error: &clap::Error, command: &clap::Command) -> UsageError {
        let context = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
        let argument = context(ContextKind::InvalidArg);
        let option = argument.split(' ').next().unwrap_or_default().trim_matches(['<', '>', '.']);
        let value = context(ContextKind::InvalidValue);
        let mut text = match error.kind() {
            ErrorKind::UnknownArgument => match of_command(option, command) {
                Some(name) => return UsageError(format!("{option} is for {name} only")),
                None if option.starts_with('-') => format!("unknown option {option}"),
                None => format!("{option} is one argument too many"),
            },
            ErrorKind::InvalidValue if value.is_empty() => format!("{option} wants a value"),
            ErrorKind::InvalidValue => {
                format!("{option} cannot be {value:?}; there are {}", context(ContextKind::ValidValue))
            }
            ErrorKind::ValueValidation => {
                format!("{option} {}", error.source().map(ToString::to_string).unwrap_or_default())
            }
            ErrorKind::TooManyValues => format!("{option} takes no value"),
            ErrorKind::MissingRequiredArgument => {
                let missing =
                    argument.split(", ").map(|name| name.trim_matches(['<', '>', '.']).to_lowercase());
                format!("no {} is given", missing.collect::<Vec<_>>().join(" and no "))
            }
            ErrorKind::ArgumentConflict => {
                let prior = context(ContextKind::PriorArg);
                format!("{option} does not go with {}", prior.split(' ').next().unwrap_or_default())
            }
            ErrorKind::InvalidUtf8 => "an argument is not UTF-8".to_owned(),
            kind => kind.to_string(),
        };
        for kind in [ContextKind::SuggestedArg, ContextKind::SuggestedValue] {
            if let Some(near) = error.get(kind) {
                text += &format!("; did you mean `{near}`?");
            }
        }
        UsageError(text)
    }
}

/// The subcommand that has an option which `command` itself has not.
fn of_command<'c>(option: &str, command: &'c clap::Command) -> Option<&'c str> {
    let name = option.strip_prefix("--")?;
    let has = |c: &clap::Command| c.get_arguments().any(|a| a.get_long() == Some(name));
    command.get_subcommands().find(|c| has(c)).map(clap::Command::get_name)
}

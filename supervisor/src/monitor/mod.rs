//! Runs with a name: how others of the same user find one, and what they say to each other.
//!
//! A run that was given a name (`--name`) listens on a socket of that name ([`registry`]). Whoever connects
//! sends a request and gets a reply ([`message`]): `rxbox ps` asks for the [`message::Status`], `rxbox kill`
//! has a signal passed on, `rxbox trace --name` is sent the calls. A run without a name leaves nothing
//! behind, and costs nothing.
//!
//! The supervisor answers in its event loop (`run::monitor`), so nothing here waits there: a message is sent
//! whole or not at all.

pub mod client;
pub mod message;
pub mod registry;

use std::fmt;
use std::str::FromStr;

/// Bytes of a name, at most.
const LONGEST: usize = 64;

/// The name of a run: letters, digits, `.`, `_` and `-`, the first of them a letter or a digit. So it is the
/// name of a file, never an option, and can be shown as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Name, &'static str> {
        let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if begins && text.len() <= LONGEST && text.chars().all(inside) {
            Ok(Name(text.to_owned()))
        } else {
            Err("wants letters, digits, `.`, `_` and `-`, 64 at most, and a letter or a digit first")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_of_a_file_and_no_option() {
        for name in ["a", "web-1", "3.x_y", &"n".repeat(64)] {
            assert_eq!(name.parse::<Name>().map(|name| name.to_string()).as_deref(), Ok(name));
        }
        for name in ["", ".", "..", "-f", "_", "a/b", "a b", "\u{e4}", "a\n", &"n".repeat(65)] {
            assert!(name.parse::<Name>().is_err(), "{name:?}");
        }
    }
}

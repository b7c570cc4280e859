//! A call as an event, and its line in the style of strace(1).

use serde::{Deserialize, Serialize};
use std::fmt::{self, Write as _};

/// A call that has been answered. What a guest chose is escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it was answered: milliseconds since 1970.
    pub time: u64,
    /// The guest process, as it calls itself.
    pub pid: i32,
    /// The thread of it.
    pub tid: i32,
    /// The process's name.
    pub program: String,
    /// The name of the call.
    pub call: String,
    /// The call with its arguments and what they point at.
    pub text: String,
    /// Its value, or the negative number of its error; nothing of a granted call, whose result only the child
    /// knows.
    pub result: Option<i64>,
    /// The result in words.
    pub answer: String,
    /// How long it took the supervisor, waiting included: microseconds.
    pub micros: u64,
    /// What the policy decided about it, in this order; nothing if it was not asked.
    pub decisions: Vec<Judged>,
    /// Files that it is about.
    #[serde(skip)]
    pub paths: Vec<Vec<u8>>,
}

/// A decision of the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// What was asked for.
    pub verb: String,
    /// A path, an address, a call.
    pub object: String,
    /// Whether it was allowed.
    pub allowed: bool,
    /// The answer: `allow`, `deny EACCES`, `hide`, `kill`.
    pub verdict: String,
    /// The rule, as `rxbox explain` names it; `default` if none spoke.
    pub rule: String,
}

/// What somebody who follows a run is sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Told {
    /// A call.
    Event(Event),
    /// Calls that there was no room for.
    Lost {
        /// How many.
        lost: u64,
    },
}

impl Event {
    /// Whether the policy denied some of it.
    pub fn is_denied(&self) -> bool {
        self.decisions.iter().any(|judged| !judged.allowed)
    }

    /// As a line.
    pub fn line(&self) -> String {
        let mut line = format!("{} {} = {}", self.tid, self.text, self.answer);
        for (n, judged) in self.decisions.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(line, "{}{judged}", if n == 0 { "  [" } else { "; " });
        }
        if !self.decisions.is_empty() {
            line.push(']');
        }
        line
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {} by {}", self.verb, self.object, self.verdict, self.rule)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn event() -> Event {
        Event {
            time: 1,
            pid: 2,
            tid: 3,
            program: "cat".to_owned(),
            call: "read".to_owned(),
            text: "read(0, \"\", 1)".to_owned(),
            result: Some(0),
            answer: "0".to_owned(),
            micros: 5,
            decisions: Vec::new(),
            paths: Vec::new(),
        }
    }

    pub(in super::super) fn denial() -> Judged {
        Judged {
            verb: "read".to_owned(),
            object: "/x".to_owned(),
            allowed: false,
            verdict: "deny EACCES".to_owned(),
            rule: "p.toml:3".to_owned(),
        }
    }

    #[test]
    fn a_line_has_the_call_its_result_and_what_was_decided() {
        assert_eq!(event().line(), "3 read(0, \"\", 1) = 0");
        let decisions = vec![denial(), Judged { verb: "list".to_owned(), ..denial() }];
        let line = Event { decisions, ..event() }.line();
        let decided = "  [read /x: deny EACCES by p.toml:3; list /x: deny EACCES by p.toml:3]";
        assert_eq!(line, format!("3 read(0, \"\", 1) = 0{decided}"));
    }

    #[test]
    fn the_manual_knows_every_key() {
        const MANUAL: &str = include_str!("../../../../docs/runs.md");
        let decisions = vec![denial()];
        let event = serde_json::to_value(Event { decisions, ..event() }).unwrap();
        let judged = event["decisions"][0].as_object().unwrap();
        for key in event.as_object().unwrap().keys().chain(judged.keys()) {
            assert!(MANUAL.contains(&format!("`{key}`")), "{key}");
        }
    }
}

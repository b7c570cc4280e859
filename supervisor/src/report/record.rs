//! What `--status-fd` and `--audit` write: lines of JSON, one record each, whose `event` says what it is.
//! `docs/audit.md` describes them. A reader skips events and keys that it does not know: new ones may come
//! without a new version, none goes or changes its meaning.

use serde::Serialize;
use std::time::{SystemTime, UNIX_EPOCH};

/// The version of the records of an audit.
pub const VERSION: u32 = 1;

/// A record.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Record<'a> {
    /// The first of an audit.
    Start {
        /// [`VERSION`].
        version: u32,
        /// The version of rxbox.
        rxbox: &'a str,
        /// Milliseconds since 1970.
        time: u64,
        /// The program's file.
        program: &'a str,
        /// The profile, as it was named.
        profile: &'a str,
    },
    /// The layers that are in force before the first guest instruction.
    Layers {
        /// Those that are.
        in_force: Vec<&'static str>,
        /// Those that are not.
        missing: Vec<&'static str>,
    },
    /// Something was denied for the first time.
    Denial(Event<'a>),
    /// Something was allowed that the profile wants a record of, for the first time.
    Logged(Event<'a>),
    /// Something was found wrong with a guest process.
    Note {
        /// What.
        text: &'a str,
    },
    /// What came up more than once.
    Repeated {
        /// As a denial says it, with its call: `read /etc/shadow (openat)`.
        what: &'a str,
        /// How often, in all.
        count: u64,
    },
    /// Denials about which there is no record, since there were too many different ones.
    Lost {
        /// How many.
        count: u64,
    },
    /// An entry of a profile that would have allowed what no rule allowed.
    Lacking {
        /// The list that it belongs to: `[filesystem] read`.
        list: &'a str,
        /// The entry as it stands in the list.
        entry: &'a str,
    },
    /// What TCP connections to one destination have carried.
    Traffic {
        /// The destination, as an entry of a profile names it.
        to: &'a str,
        /// Connections.
        connections: u64,
        /// Bytes that were sent.
        sent: u64,
        /// Bytes that came.
        received: u64,
    },
    /// What one rule has denied.
    Denied {
        /// The rule, as a denial names it.
        rule: &'a str,
        /// How often.
        count: u64,
    },
    /// The run is over. What does not apply to its end is left out.
    End {
        /// Why.
        cause: Cause,
        /// The exit status of rxbox.
        code: i32,
        /// The program's own exit status.
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<i32>,
        /// The signal that ended the program.
        #[serde(skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        /// What the user is told.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
}

/// A decision of the policy about what a guest process asked for.
#[derive(Debug, Serialize)]
pub struct Event<'a> {
    /// Milliseconds since 1970.
    pub time: u64,
    /// What was asked for: the name of an access, or another verb.
    pub verb: &'a str,
    /// A path, an address, a call. Bytes that are no text are written `\\xNN`.
    pub object: String,
    /// The second name, of a rename.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The system call.
    pub call: &'a str,
    /// The guest process.
    pub pid: i32,
    /// Its name.
    pub program: String,
    /// What was answered: `allow`, `deny EACCES`, `hide`, `kill`.
    pub verdict: String,
    /// The rule, as `rxbox explain` names it; `default` if none spoke.
    pub rule: String,
    /// What it says.
    pub text: String,
    /// How to allow it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

/// Why a run ended. The exit status does not tell: a program can end with the same numbers.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The program ended.
    Exit,
    /// A signal ended it.
    Signal,
    /// The policy did.
    Policy,
    /// What no honest child does.
    Violation,
    /// A limit of `[limits]`.
    TimeLimit,
    /// A limit of `[limits]`.
    CpuLimit,
    /// A limit of `[limits]`.
    MemoryLimit,
    /// A limit of `[limits]`.
    OutputLimit,
    /// The program cannot be run.
    NotRunnable,
    /// There is none.
    NotFound,
    /// rxbox itself failed.
    Error,
}

impl Record<'_> {
    /// As a line. Words and numbers can always be written into memory.
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANUAL: &str = include_str!("../../../docs/audit.md");

    fn all() -> Vec<Record<'static>> {
        let event = || Event {
            time: 1,
            verb: "rename",
            object: "/a".to_owned(),
            to: Some("/b".to_owned()),
            call: "rename",
            pid: 7,
            program: "mv".to_owned(),
            verdict: "deny EACCES".to_owned(),
            rule: "default".to_owned(),
            text: "default".to_owned(),
            hint: "add it".to_owned(),
        };
        let end = |cause| Record::End {
            cause,
            code: 1,
            status: Some(1),
            signal: Some(9),
            message: Some(String::new()),
        };
        use Cause::*;
        let causes = [
            Exit,
            Signal,
            Policy,
            Violation,
            TimeLimit,
            CpuLimit,
            MemoryLimit,
            OutputLimit,
            NotRunnable,
            NotFound,
            Error,
        ];
        let mut all = vec![
            Record::Start { version: VERSION, rxbox: "", time: 1, program: "", profile: "" },
            Record::Layers { in_force: vec![], missing: vec![] },
            Record::Denial(event()),
            Record::Logged(event()),
            Record::Note { text: "" },
            Record::Repeated { what: "", count: 2 },
            Record::Traffic { to: "", connections: 1, sent: 2, received: 3 },
            Record::Lost { count: 1 },
            Record::Lacking { list: "", entry: "" },
            Record::Denied { rule: "", count: 1 },
        ];
        all.extend(causes.map(end));
        all
    }

    #[test]
    fn the_manual_knows_every_event_key_and_cause() {
        assert!(MANUAL.contains(&format!("version {VERSION}")));
        for record in all() {
            let record = serde_json::to_value(&record).unwrap();
            for (key, value) in record.as_object().unwrap() {
                assert!(MANUAL.contains(&format!("`{key}`")), "{key}");
                if ["event", "cause"].contains(&key.as_str()) {
                    assert!(MANUAL.contains(&format!("`{}`", value.as_str().unwrap())), "{value}");
                }
            }
        }
    }
}

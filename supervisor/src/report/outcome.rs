//! How a run ended, and what status and report come of it.

use super::ending::End;
use super::record::{Cause, Record};

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The program ended with this status.
    Exited(i32),
    /// The program was ended by this signal.
    Signaled(i32),
    /// The supervisor ended it.
    Ended(End),
    /// The program was found but may not or cannot be run.
    NotRunnable(String),
    /// The program was not found.
    NotFound(String),
    /// rxbox itself failed, before the guest ran.
    Failed(String),
}

/// The signal by which the kernel ends a process that makes a call outside its filter.
const FILTER: i32 = libc::SIGSYS;

impl Outcome {
    /// The exit status of rxbox.
    pub fn code(&self) -> i32 {
        match self {
            Outcome::Exited(status) => status & 0xff,
            Outcome::Ended(End::Policy(_) | End::Violation(_) | End::OutputLimit) => 159,
            Outcome::Ended(End::TimeLimit) => 124,
            Outcome::Ended(End::MemoryLimit) => 137,
            Outcome::Ended(End::CpuLimit) => 128 + libc::SIGXCPU,
            Outcome::Signaled(FILTER) => 159,
            Outcome::Signaled(signal) => 128 + signal,
            Outcome::Failed(_) | Outcome::Ended(End::Broken(_)) => 125,
            Outcome::NotRunnable(_) => 126,
            Outcome::NotFound(_) => 127,
        }
    }

    fn cause(&self) -> Cause {
        match self {
            Outcome::Exited(_) => Cause::Exit,
            Outcome::Signaled(FILTER) | Outcome::Ended(End::Violation(_)) => Cause::Violation,
            Outcome::Signaled(_) => Cause::Signal,
            Outcome::Ended(End::Policy(_)) => Cause::Policy,
            Outcome::Ended(End::TimeLimit) => Cause::TimeLimit,
            Outcome::Ended(End::CpuLimit) => Cause::CpuLimit,
            Outcome::Ended(End::MemoryLimit) => Cause::MemoryLimit,
            Outcome::Ended(End::OutputLimit) => Cause::OutputLimit,
            Outcome::Failed(_) | Outcome::Ended(End::Broken(_)) => Cause::Error,
            Outcome::NotRunnable(_) => Cause::NotRunnable,
            Outcome::NotFound(_) => Cause::NotFound,
        }
    }

    /// What to tell the user; nothing for a guest that ended by itself.
    pub fn message(&self) -> Option<String> {
        Some(match self {
            Outcome::Exited(_) => return None,
            Outcome::Signaled(FILTER) => {
                "killed: the emulator made a host call outside its filter".to_owned()
            }
            Outcome::Signaled(_) => return None,
            Outcome::Ended(End::Policy(what)) => format!("killed by policy: {what}"),
            Outcome::Ended(End::Violation(what)) => format!("protocol violation, killed: {what}"),
            Outcome::Ended(End::TimeLimit) => "killed: the time limit is reached".to_owned(),
            Outcome::Ended(End::CpuLimit) => "killed: the limit of processor time is reached".to_owned(),
            Outcome::Ended(End::MemoryLimit) => "killed: the memory limit is reached".to_owned(),
            Outcome::Ended(End::OutputLimit) => "killed: the limit of output is reached".to_owned(),
            Outcome::Ended(End::Broken(what))
            | Outcome::Failed(what)
            | Outcome::NotRunnable(what)
            | Outcome::NotFound(what) => what.clone(),
        })
    }

    /// The last record of a run.
    pub fn json(&self) -> String {
        let record = Record::End {
            cause: self.cause(),
            code: self.code(),
            status: matches!(self, Outcome::Exited(_)).then(|| self.code()),
            signal: if let Outcome::Signaled(signal) = self { Some(*signal) } else { None },
            message: self.message(),
        };
        record.line()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_the_manual() {
        for (outcome, code) in [
            (Outcome::Exited(0), 0),
            (Outcome::Exited(7), 7),
            (Outcome::Exited(-1), 255),
            (Outcome::Exited(256), 0),
            (Outcome::Signaled(libc::SIGSEGV), 139),
            (Outcome::Signaled(libc::SIGKILL), 137),
            (Outcome::Signaled(libc::SIGSYS), 159),
            (Outcome::Ended(End::Policy(String::new())), 159),
            (Outcome::Ended(End::Violation(String::new())), 159),
            (Outcome::Ended(End::TimeLimit), 124),
            (Outcome::Ended(End::MemoryLimit), 137),
            (Outcome::Ended(End::Broken(String::new())), 125),
            (Outcome::Failed(String::new()), 125),
            (Outcome::NotRunnable(String::new()), 126),
            (Outcome::NotFound(String::new()), 127),
        ] {
            assert_eq!(outcome.code(), code, "{outcome:?}");
        }
    }

    #[test]
    fn equal_statuses_are_told_apart_in_the_report() {
        assert_eq!(Outcome::Exited(124).json(), r#"{"event":"end","cause":"exit","code":124,"status":124}"#);
        assert_eq!(
            Outcome::Ended(End::TimeLimit).json(),
            r#"{"event":"end","cause":"time-limit","code":124,"message":"killed: the time limit is reached"}"#
        );
        assert_eq!(Outcome::Signaled(9).json(), r#"{"event":"end","cause":"signal","code":137,"signal":9}"#);
    }

    #[test]
    fn text_in_the_report_is_escaped() {
        let json = Outcome::NotFound("no \"a\\b\"\n".to_owned()).json();
        assert!(json.contains(r#""no \"a\\b\"\n""#), "{json}");
    }
}

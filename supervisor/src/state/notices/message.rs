//! What of a notice to the service manager is let through (sd_notify(3)).
//!
//! A notice is written by a hostile guest and read by a process that manages the host. So it is not passed
//! on but written anew: the keys of a closed list whose kind the profile lets through, each once and with a
//! value of its form.

use crate::report::escape::{Escaped, shown};
use Form::{Exactly, Name, Number, Text, Trigger};
use rxbox_policy::Notice;

/// Bytes of a notice (`PIPE_BUF`, as systemd bounds it).
pub const MOST: usize = 4096;
/// Bytes of a `STATUS`.
const STATUS_MOST: usize = 1024;
/// Bytes of a name (`FDNAME_MAX` of systemd).
const NAME_MOST: usize = 255;
/// The largest error number of Linux (`MAX_ERRNO`).
const ERRNO_MOST: u64 = 4095;

/// What a value can be.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// This one.
    Exactly(&'static str),
    /// `1`, or `trigger`: the watchdog is to act.
    Trigger,
    /// A decimal number up to this.
    Number(u64),
    /// Printable ASCII without a colon.
    Name,
    /// A line for people.
    Text,
}

/// Every key that can be let through. `MAINPID` and what else says which processes there are is none of them:
/// to the manager the process is rxbox.
const KEYS: [(&str, Notice, Form); 15] = [
    ("READY", Notice::Ready, Exactly("1")),
    ("RELOADING", Notice::Reloading, Exactly("1")),
    ("MONOTONIC_USEC", Notice::Reloading, Number(u64::MAX)),
    ("STOPPING", Notice::Stopping, Exactly("1")),
    ("STATUS", Notice::Status, Text),
    ("ERRNO", Notice::Errno, Number(ERRNO_MOST)),
    ("BUSERROR", Notice::Errno, Name),
    ("EXIT_STATUS", Notice::Errno, Number(255)),
    ("WATCHDOG", Notice::Watchdog, Trigger),
    ("EXTEND_TIMEOUT_USEC", Notice::Timeouts, Number(u64::MAX)),
    ("WATCHDOG_USEC", Notice::Timeouts, Number(u64::MAX)),
    ("FDSTORE", Notice::Fdstore, Exactly("1")),
    ("FDSTOREREMOVE", Notice::Fdstore, Exactly("1")),
    ("FDNAME", Notice::Fdstore, Name),
    ("FDPOLL", Notice::Fdstore, Exactly("0")),
];

/// What comes of a notice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// What is told the manager; empty for nothing.
    pub text: String,
    /// Whether the descriptors that came along go with it.
    pub descriptors: bool,
    /// Why something of it is not told.
    pub refused: Vec<String>,
}

/// Judges a notice that came with so many descriptors.
pub fn judged(notice: &[u8], descriptors: usize, allowed: &[Notice]) -> Passed {
    const BARRIER: &str = "BARRIER=1";
    let mut passed = Passed::default();
    let mut said: Vec<&str> = Vec::new();
    for line in notice.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
        // The manager closes what comes with it once it has read all that came before (sd_notify_barrier(3)).
        if line == BARRIER.as_bytes() && descriptors == 1 {
            let (text, descriptors) = (BARRIER.to_owned(), true);
            return Passed { text, descriptors, ..Passed::default() };
        }
        let at = line.iter().position(|&b| b == b'=').unwrap_or(line.len());
        let (key, value) = (&line[..at], line.get(at + 1..).unwrap_or_default());
        let why = match KEYS.iter().find(|(known, ..)| known.as_bytes() == key) {
            None => "which rxbox does not pass on".to_owned(),
            Some((_, kind, _)) if !allowed.contains(kind) => {
                format!("which needs \"{}\" in [service] notify", kind.name())
            }
            Some((name, ..)) if said.contains(name) => "a second time".to_owned(),
            Some((name, _, form)) => match form.written(value) {
                None => "with such a value".to_owned(),
                Some(value) => {
                    said.push(name);
                    passed.text += &format!("{name}={value}\n");
                    continue;
                }
            },
        };
        let key = Escaped(&key[..key.len().min(64)]);
        passed.refused.push(format!("the service manager is not told {key}, {why}"));
    }
    passed.descriptors = said.contains(&"FDSTORE");
    passed
}

impl Form {
    /// The value as it is told, if it has this form.
    fn written(self, value: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(value).ok();
        match self {
            Exactly(word) => text.filter(|text| *text == word).map(str::to_owned),
            Trigger => text.filter(|text| ["1", "trigger"].contains(text)).map(str::to_owned),
            Number(most) => {
                let digits = text.filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
                digits.parse().ok().filter(|number: &u64| *number <= most).map(|number| number.to_string())
            }
            Name => text
                .filter(|text| (1..=NAME_MOST).contains(&text.len()))
                .filter(|text| text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b':'))
                .map(str::to_owned),
            Text => {
                let text = shown(value);
                let end = (0..=STATUS_MOST.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
                Some(text[..end.unwrap_or(0)].to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(notice: &[u8], allowed: &[Notice]) -> String {
        judged(notice, 0, allowed).text
    }

    #[test]
    fn only_keys_that_the_profile_lists_are_told_and_only_with_values_of_their_form() {
        let all = Notice::ALL;
        assert_eq!(told(b"READY=1\nSTATUS=up", &all), "READY=1\nSTATUS=up\n");
        assert_eq!(told(b"READY=1\nSTATUS=up", &[Notice::Status]), "STATUS=up\n");
        assert_eq!(told(b"READY=1", &[]), "");
        for refused in [
            &b"READY=0"[..],
            b"MAINPID=1",
            b"NOTIFYACCESS=all",
            b"X_MINE=1",
            b"ready=1",
            b"READY",
            b"READY=1 ",
            b"ERRNO=4096",
            b"ERRNO=-1",
            b"ERRNO=+1",
            b"WATCHDOG_USEC=18446744073709551616",
            b"FDNAME=a:b",
            b"FDNAME=",
            b"WATCHDOG=2",
            b"BARRIER=1",
            b"=1",
        ] {
            let passed = judged(refused, 0, &all);
            assert_eq!((&*passed.text, passed.refused.len()), ("", 1), "{refused:?}");
        }
        let reload = b"RELOADING=1\nMONOTONIC_USEC=123";
        assert_eq!(told(reload, &[Notice::Reloading]), "RELOADING=1\nMONOTONIC_USEC=123\n");
    }

    #[test]
    fn a_status_is_a_short_line_without_controls() {
        let all = Notice::ALL;
        assert_eq!(told(b"STATUS=a\x1b[2J\xff\nSTATUS=b", &all), "STATUS=a\\x1b[2J\\xff\n");
        assert!(told(&[b"STATUS=", "ä".repeat(2000).as_bytes()].concat(), &all).len() <= STATUS_MOST + 8);
    }

    #[test]
    fn descriptors_go_only_with_what_stores_them_and_with_a_barrier() {
        let all = Notice::ALL;
        let with = |notice: &[u8], n, allowed: &[Notice]| judged(notice, n, allowed).descriptors;
        assert!(with(b"FDSTORE=1\nFDNAME=listener", 2, &all));
        assert!(!with(b"FDSTORE=1", 2, &[Notice::Ready]) && !with(b"READY=1", 1, &all));
        assert!(with(b"BARRIER=1", 1, &[]) && !with(b"BARRIER=1", 2, &all));
    }
}

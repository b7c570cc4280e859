//! Records as entries of systemd's journal (`--audit journald`), by its own protocol: a datagram of fields to
//! journald's socket (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>).
//!
//! Every key of a record is a field `RXBOX_` with its name; what each means `docs/audit.md` says. So nothing
//! of a record is lost here, and no field is named twice.

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use serde_json::{Map, Value};
use std::os::fd::{AsRawFd, OwnedFd};

/// Where journald listens.
const SOCKET: &str = "/run/systemd/journal/socket";

// Priorities (syslog(3)).
const ERROR: u8 = 3;
const WARNING: u8 = 4;
const INFORMATION: u8 = 6;

/// A socket that is connected to journald.
///
/// # Errors
/// It is not there.
pub(super) fn connected() -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let journal = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    connect(journal.as_raw_fd(), &UnixAddr::new(SOCKET)?).map(|()| journal)
}

/// The entry for a record, which is a line of JSON.
pub(super) fn entry(record: &str) -> Vec<u8> {
    let record: Map<String, Value> = serde_json::from_str(record).unwrap_or_default();
    let mut entry = Vec::new();
    field(&mut entry, "MESSAGE", &message(&record));
    field(&mut entry, "PRIORITY", &priority(&record).to_string());
    field(&mut entry, "SYSLOG_IDENTIFIER", "rxbox");
    for (key, value) in &record {
        field(&mut entry, &format!("RXBOX_{}", key.to_ascii_uppercase()), &text(value));
    }
    let object = word(&record, "object");
    if object.starts_with('/') {
        field(&mut entry, "RXBOX_PATH", &object);
    }
    entry
}

/// One field; a value of several lines has its length before it.
fn field(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(words) => words.iter().map(text).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

fn word(record: &Map<String, Value>, key: &str) -> String {
    record.get(key).map(text).unwrap_or_default()
}

fn priority(record: &Map<String, Value>) -> u8 {
    const FAILURES: [&str; 3] = ["violation", "policy", "error"];
    match &*word(record, "event") {
        "denial" if word(record, "verdict") == "kill" => ERROR,
        "end" if FAILURES.contains(&&*word(record, "cause")) => ERROR,
        "denial" | "note" | "lost" => WARNING,
        _ => INFORMATION,
    }
}

/// What people read.
fn message(record: &Map<String, Value>) -> String {
    let word = |key: &str| word(record, key);
    let event = word("event");
    match &*event {
        "denial" | "logged" => {
            let done = if event == "denial" { "denied" } else { "logged" };
            let to = record.get("to").map(|to| format!(" to {}", text(to))).unwrap_or_default();
            let hint = record.get("hint").map(|hint| format!("; {}", text(hint))).unwrap_or_default();
            let (verb, object, call) = (word("verb"), word("object"), word("call"));
            let who = format!("({call}, pid {} {})", word("pid"), word("program"));
            format!("{done} {verb} {object}{to} {who} by {}{hint}", word("rule"))
        }
        "note" => word("text"),
        _ => {
            let told = record.iter().filter(|(key, _)| *key != "event");
            let told: Vec<String> = told.map(|(key, value)| format!("{key} {}", text(value))).collect();
            format!("{event}: {}", told.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::record::{Cause, Event, Record};

    fn shown(record: &Record<'_>) -> String {
        String::from_utf8(entry(&record.line())).unwrap()
    }

    #[test]
    fn every_key_of_a_denial_is_a_field() {
        let denial = Record::Denial(Event {
            time: 5,
            verb: "read",
            object: "/etc/shadow".to_owned(),
            to: None,
            call: "openat",
            pid: 7,
            program: "cat".to_owned(),
            verdict: "deny EACCES".to_owned(),
            rule: "untrusted.toml:14".to_owned(),
            text: "filesystem.deny".to_owned(),
            hint: "narrow it".to_owned(),
        });
        let said = shown(&denial);
        for line in [
            "MESSAGE=denied read /etc/shadow (openat, pid 7 cat) by untrusted.toml:14; narrow it",
            "PRIORITY=4",
            "SYSLOG_IDENTIFIER=rxbox",
            "RXBOX_EVENT=denial",
            "RXBOX_RULE=untrusted.toml:14",
            "RXBOX_PATH=/etc/shadow",
            "RXBOX_CALL=openat",
            "RXBOX_PID=7",
            "RXBOX_VERDICT=deny EACCES",
        ] {
            assert!(said.lines().any(|said| said == line), "{line}: {said}");
        }
        assert_eq!(said.lines().count(), 3 + 11 + 1);
    }

    #[test]
    fn a_value_of_several_lines_makes_no_field_of_its_own() {
        let message = Some("one\nPRIORITY=0".to_owned());
        let end = Record::End { cause: Cause::Error, code: 125, status: None, signal: None, message };
        let said = entry(&end.line());
        let of_message = b"RXBOX_MESSAGE\n\x0e\0\0\0\0\0\0\0one\nPRIORITY=0\n";
        assert!(said.windows(of_message.len()).any(|part| part == of_message), "{said:?}");
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("\nPRIORITY=3\n") && said.starts_with("MESSAGE\n"), "{said}");
        let layers = shown(&Record::Layers { in_force: vec!["a", "b"], missing: vec![] });
        assert!(layers.contains("RXBOX_IN_FORCE=a b\nRXBOX_MISSING=\n"), "{layers}");
    }
}

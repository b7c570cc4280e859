//! Changes as text: a line for each, and for a text file what is different.
//!
//! Names and contents are the guest's. Every byte that is not printable is escaped.

use super::compare::{Change, Comparison, Kind, below, kind, read};
use super::store::Changes;
use crate::report::escape::{Escaped, shown};
use nix::fcntl::readlinkat;
use nix::sys::stat::FileStat;
use similar::{Algorithm, ChangeTag, TextDiff};
use std::fmt::Write as _;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

/// Files larger than this are not compared line by line.
const LARGEST_TEXT: i64 = 256 << 10;
/// Lines that are shown of the difference of one file, at most.
const MOST_LINES: usize = 500;
/// Lines around what is different.
const CONTEXT: usize = 3;

/// All of it.
pub fn show(kept: &Changes, compared: &Comparison) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    for change in &compared.changes {
        let path = change.path(&kept.record);
        let _ = writeln!(out, "{}", line(compared, change, &path));
        if change.kind == Kind::Changed
            && let Some(diff) = diff(compared, change)
        {
            out.push_str(&diff);
        }
    }
    if compared.cut {
        let _ = writeln!(out, "… and more, which are not listed");
    }
    if compared.changes.is_empty() {
        out.push_str("nothing has changed\n");
    }
    out
}

fn line(compared: &Comparison, change: &Change, path: &[u8]) -> String {
    let (word, now) = match change.kind {
        Kind::Created => ("created", change.upper),
        Kind::Changed => ("changed", change.upper),
        Kind::Replaced => ("replaced", change.upper),
        Kind::Attributes => ("mode", change.upper),
        Kind::Removed => ("removed", change.lower),
        Kind::Closed => ("closed", None),
    };
    let is_dir = now.is_some_and(|now| kind(&now) == libc::S_IFDIR);
    let slash = if is_dir && path != b"/" { "/" } else { "" };
    let mut text = format!("{word:<8} {}{slash}", Escaped(path));
    if let Some(more) = details(compared, change) {
        let _ = write!(text, "  {more}");
    }
    if change.conflict {
        text.push_str("  (the host's has changed since)");
    }
    text
}

/// What a line says behind the name.
fn details(compared: &Comparison, change: &Change) -> Option<String> {
    let mode = |status: &FileStat| format!("{:04o}", status.st_mode & 0o7777);
    match (change.kind, &change.upper, &change.lower) {
        (Kind::Closed, ..) => Some("(cannot be looked into)".to_owned()),
        (Kind::Removed, ..) | (_, None, _) => None,
        (Kind::Attributes, Some(now), Some(before)) => {
            let mut told = Vec::new();
            if now.st_mode != before.st_mode {
                told.push(format!("{} -> {}", mode(before), mode(now)));
            }
            if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid) {
                let owner = |of: &FileStat| format!("{}:{}", of.st_uid, of.st_gid);
                told.push(format!("owner {} -> {}", owner(before), owner(now)));
            }
            Some(if told.is_empty() { "(times only)".to_owned() } else { told.join(", ") })
        }
        (_, Some(now), before) => match kind(now) {
            libc::S_IFLNK => Some(format!("-> {}", shown(&target(compared, change)?))),
            libc::S_IFREG => {
                let size = format!("{} bytes", now.st_size);
                let other = before.filter(|before| before.st_mode != now.st_mode);
                let modes = other.map(|before| format!(", {} -> {}", mode(&before), mode(now)));
                let set_id = now.st_mode & (libc::S_ISUID | libc::S_ISGID) != 0;
                let set_id = if set_id { ", set-id bits are not applied" } else { "" };
                let modes = modes.filter(|_| change.kind == Kind::Changed).unwrap_or_default();
                let runs = change.kind != Kind::Changed && now.st_mode & 0o111 != 0;
                let runs = if runs { ", executable" } else { "" };
                Some(format!("{size}{modes}{runs}{set_id}"))
            }
            libc::S_IFDIR => None,
            libc::S_IFIFO => Some("(a FIFO)".to_owned()),
            libc::S_IFSOCK => Some("(a socket, which is not applied)".to_owned()),
            _ => Some("(a device, which is not applied)".to_owned()),
        },
    }
}

fn target(compared: &Comparison, change: &Change) -> Option<Vec<u8>> {
    let (directory, name) = change.split()?;
    let directory = below(compared.roots.get(change.place)?.0.as_fd(), directory).ok()?;
    Some(readlinkat(&directory, name).ok()?.as_bytes().to_vec())
}

/// The difference of two texts, as diff -u shows it; nothing if one of them is none, or too large.
fn diff(compared: &Comparison, change: &Change) -> Option<String> {
    let (upper, lower) = compared.roots.get(change.place)?;
    let new = text(upper.as_fd(), change, &change.upper?)?;
    let old = text(lower.as_ref()?.as_fd(), change, &change.lower?)?;
    let diff = TextDiff::configure().algorithm(Algorithm::Patience).diff_lines(&old, &new);
    let (mut out, mut lines) = (String::new(), 0);
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        let _ = writeln!(out, "    {}", hunk.header());
        for change in hunk.iter_changes() {
            lines += 1;
            if lines > MOST_LINES {
                out.push_str("    … and more lines\n");
                return Some(out);
            }
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            let end = if change.missing_newline() { " (no newline)" } else { "" };
            let _ = writeln!(out, "    {sign}{}{end}", printable(change.value().trim_end_matches('\n')));
        }
    }
    Some(out)
}

/// A line with its tabs, and everything else that a terminal could obey escaped.
fn printable(line: &str) -> String {
    line.split('\t').map(|part| shown(part.as_bytes()).replace("\\\\", "\\")).collect::<Vec<_>>().join("\t")
}

fn text(root: BorrowedFd<'_>, change: &Change, status: &FileStat) -> Option<String> {
    if kind(status) != libc::S_IFREG || status.st_size > LARGEST_TEXT {
        return None;
    }
    let (directory, name) = change.split()?;
    let file = read(below(root, directory).ok()?.as_fd(), name).ok()?;
    let mut bytes = Vec::new();
    file.take(LARGEST_TEXT.unsigned_abs() + 1).read_to_end(&mut bytes).ok()?;
    let binary = bytes.contains(&0) || bytes.len() as u64 > LARGEST_TEXT.unsigned_abs();
    if binary { None } else { String::from_utf8(bytes).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_its_tabs_and_nothing_that_a_terminal_obeys() {
        assert_eq!(
            printable("\tall:\tx\\y \u{1b}[2J\u{202e}\r"),
            "\tall:\tx\\y \\x1b[2J\\xe2\\x80\\xae\\x0d"
        );
    }
}

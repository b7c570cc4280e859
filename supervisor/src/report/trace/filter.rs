//! Which calls somebody wants to see.

use super::event::Event;
use rxbox_wire::kind::{Class, Kind, Syscall};
use rxbox_wire::table;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What is wanted; each condition has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Calls by number; nothing for all.
    pub calls: Option<BTreeSet<u32>>,
    /// Files by absolute name, with all below them; nothing for any.
    pub paths: Vec<String>,
    /// Guest processes; nothing for any.
    pub pids: Vec<i32>,
    /// Only what was denied.
    pub denied: bool,
    /// All processes, not the first one only.
    pub all: bool,
}

impl Filter {
    /// All calls of all processes.
    pub fn everything() -> Filter {
        Filter { all: true, ..Filter::default() }
    }

    /// Whether this call can be wanted at all.
    pub fn wants_call(&self, number: u32) -> bool {
        self.calls.as_ref().is_none_or(|calls| calls.contains(&number))
    }

    /// Whether an event is wanted; `first` is whether it is of the first process.
    pub fn wants(&self, number: u32, first: bool, event: &Event) -> bool {
        let of_process =
            if self.pids.is_empty() { self.all || first } else { self.pids.contains(&event.pid) };
        let below = |file: &[u8], path: &str| {
            let rest = file.strip_prefix(path.trim_end_matches('/').as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        let judged = event.decisions.iter().map(|judged| judged.object.as_bytes());
        let mut files = event.paths.iter().map(Vec::as_slice).chain(judged);
        let of_path =
            self.paths.is_empty() || files.any(|file| self.paths.iter().any(|path| below(file, path)));
        self.wants_call(number) && of_process && of_path && (!self.denied || event.is_denied())
    }
}

/// Reads what strace(1) calls a trace set: names of calls and classes (`%file`) that commas separate, all
/// others with a `!` before them.
///
/// # Errors
/// What is no call or class.
pub fn calls(text: &str) -> Result<BTreeSet<u32>, String> {
    let text = text.strip_prefix("trace=").unwrap_or(text);
    let (text, others) = text.strip_prefix('!').map_or((text, false), |rest| (rest, true));
    let mut named = BTreeSet::new();
    for word in text.split(',') {
        let class = word.strip_prefix('%');
        let found: Vec<u32> = match class {
            _ if word == "all" => table::SYSCALLS.iter().map(|row| row.nr).collect(),
            _ if word == "none" => continue,
            Some(class) => {
                let of = CLASSES.iter().find(|(name, _)| *name == class);
                let (_, of) = of.ok_or_else(|| {
                    let known = CLASSES.map(|(name, _)| format!("%{name}")).join(", ");
                    format!("knows no class %{class}; there are {known}")
                })?;
                table::SYSCALLS.iter().filter(|row| of(row)).map(|row| row.nr).collect()
            }
            None => vec![table::by_name(word).ok_or_else(|| format!("knows no call {word}"))?.nr],
        };
        named.extend(found);
    }
    if others {
        return Ok(table::SYSCALLS.iter().map(|row| row.nr).filter(|nr| !named.contains(nr)).collect());
    }
    Ok(named)
}

type Of = fn(&Syscall) -> bool;

/// The classes, as strace(1) calls them.
const CLASSES: [(&str, Of); 8] = [
    ("file", |row| row.args.iter().any(|arg| matches!(arg.kind, Kind::Path(_)))),
    ("desc", |row| {
        row.args.iter().any(|arg| matches!(arg.kind, Kind::Fd | Kind::DirFd | Kind::MapFd { .. }))
    }),
    ("process", |row| row.class == Class::Process),
    ("network", |row| row.class == Class::Network),
    ("net", |row| row.class == Class::Network),
    ("signal", |row| row.class == Class::Signal),
    ("memory", |row| row.class == Class::Memory),
    ("ipc", |row| row.class == Class::Ipc),
];

#[cfg(test)]
mod tests {
    use super::super::event::tests::{denial, event};
    use super::*;

    #[test]
    fn trace_sets_are_read_as_strace_reads_them() {
        let nr = |name: &str| table::by_name(name).unwrap().nr;
        assert_eq!(calls("open,trace"), Err("knows no call trace".to_owned()));
        assert_eq!(calls("trace=open,connect"), Ok([nr("open"), nr("connect")].into()));
        let (files, others) = (calls("%file").unwrap(), calls("!%file,read").unwrap());
        assert!(
            files.contains(&nr("openat")) && files.contains(&nr("execve")) && !files.contains(&nr("read"))
        );
        assert!(
            !others.contains(&nr("openat")) && !others.contains(&nr("read")) && others.contains(&nr("write"))
        );
        assert!(calls("%net").unwrap().contains(&nr("connect")) && calls("none").unwrap().is_empty());
        assert!(calls("%nothing").unwrap_err().contains("there are %file"));
    }

    #[test]
    fn each_condition_has_to_hold() {
        let event = Event { decisions: vec![denial()], paths: vec![b"/a/b/c".to_vec()], ..event() };
        let wants = |filter: Filter, first| filter.wants(0, first, &event);
        let all = Filter::everything;
        assert!(wants(Filter::default(), true) && !wants(Filter::default(), false) && wants(all(), false));
        let paths = |path: &str| Filter { paths: vec![path.to_owned()], ..all() };
        for (path, wanted) in
            [("/a/b", true), ("/a/b/c", true), ("/a/b/", true), ("/", true), ("/a/bc", false), ("/x", true)]
        {
            assert_eq!(wants(paths(path), true), wanted, "{path}");
        }
        assert!(wants(Filter { pids: vec![2], ..Filter::default() }, false));
        assert!(!wants(Filter { pids: vec![9], ..all() }, true));
        let denied = Filter { denied: true, ..all() };
        assert!(
            wants(denied.clone(), true)
                && !denied.wants(0, true, &Event { decisions: vec![], ..event.clone() })
        );
        assert!(!wants(Filter { calls: Some([5].into()), ..all() }, true));
    }
}

//! What is offered of each system call, as a page of documentation.

use crate::kind::{Commands, Kind, Route, Syscall};
use crate::names;
use crate::table;
use std::fmt::Write;

/// How much of a call or command is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// All of it.
    Full,
    /// Less than the kernel offers.
    Part,
    /// Nothing.
    Refused,
}

impl Coverage {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Coverage::Full => "whole",
            Coverage::Part => "in part",
            Coverage::Refused => "refused",
        }
    }

    /// Of a call: one is whole if it lacks nothing and all commands that there are can be made.
    pub fn of(call: &Syscall) -> Coverage {
        let refuses = || commands(call).any(|commands| refused(commands).next().is_some());
        match call.route {
            Route::Refuse { .. } => Coverage::Refused,
            _ if call.lacks.is_empty() && !refuses() => Coverage::Full,
            _ => Coverage::Part,
        }
    }
}

/// The tables of a multiplexer's commands.
fn commands(call: &Syscall) -> impl Iterator<Item = &'static Commands> {
    call.args.iter().filter_map(|arg| match arg.kind {
        Kind::Command(commands) | Kind::Level(commands) => Some(commands),
        _ => None,
    })
}

/// Commands that are refused, each with its answer and why.
fn refused(commands: &'static Commands) -> impl Iterator<Item = (&'static str, i32, &'static str)> {
    commands.rows.iter().filter_map(|command| match command.route {
        Some(Route::Refuse { errno, why }) => Some((command.name, errno, why)),
        _ => None,
    })
}

/// The page: a line for each call of the table, and for each command that is refused.
pub fn page() -> String {
    let count = |wanted| table::SYSCALLS.iter().filter(|call| Coverage::of(call) == wanted).count();
    let [full, part, none] = [Coverage::Full, Coverage::Part, Coverage::Refused].map(count);
    let mut text = format!(
        "# System calls

What rxbox offers of each system call of Linux on x86-64, from its own table; `rxbox syscalls --coverage`
prints this page. Of {} calls {full} are offered whole, {part} in part, and {none} are refused. What a profile
allows is another question.

",
        table::SYSCALLS.len()
    );
    text += "| call | offered | what is missing, or why |\n| --- | --- | --- |\n";
    for call in table::SYSCALLS {
        let what = match call.route {
            Route::Refuse { errno, why } => answer(errno, why),
            _ => notes(call),
        };
        let _ = writeln!(text, "| {} | {} | {what} |", call.name, Coverage::of(call).name());
        for (name, errno, why) in commands(call).flat_map(refused) {
            let _ = writeln!(text, "| {} {name} | refused | {} |", call.name, answer(errno, why));
        }
    }
    text
}

/// What there is to say of a call that is offered.
fn notes(call: &Syscall) -> String {
    let listed = commands(call).map(|commands| {
        let offered = commands.rows.len() - refused(commands).count();
        format!("{offered} of the {}s; others answer {}", commands.title, errno(commands.unknown))
    });
    let lacks = Some(call.lacks.to_owned()).filter(|lacks| !lacks.is_empty());
    listed.chain(lacks).collect::<Vec<_>>().join("; ")
}

fn answer(number: i32, why: &str) -> String {
    format!("{}: {why}", errno(number))
}

fn errno(number: i32) -> &'static str {
    names::errno(number).map_or("an error", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_on_the_page_once() {
        let page = page();
        for call in table::SYSCALLS {
            let row = format!("| {} | {} |", call.name, Coverage::of(call).name());
            assert_eq!(page.matches(&row).count(), 1, "{row}");
        }
    }

    #[test]
    fn the_documentation_holds_the_page() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/system-calls.md");
        let page = page();
        if std::env::var_os("RXBOX_BLESS").is_some_and(|v| v == "1") {
            std::fs::write(path, &page).unwrap();
        }
        let held = std::fs::read_to_string(path).unwrap_or_default();
        assert!(held == page, "docs/system-calls.md differs (RXBOX_BLESS=1 writes it)");
    }
}

//! The row form of the table, and the merging of its parts.

use crate::kind::{Command, Syscall};

/// Arguments `name: Kind`. Within a kind, the name of another argument stands for its index, as in
/// `Out(Bulk { count })`: an index cannot be mistaken and a misspelt one does not build. `(lead, …)` are
/// arguments that take up an index but belong to another row.
macro_rules! args {
    ($(($($lead:ident),*))?) => { &[] };
    ($(($($lead:ident),*))? $($arg:ident: $kind:expr),+) => {{
        #[allow(non_camel_case_types, dead_code)]
        enum At { $($($lead,)*)? $($arg),+ }
        $(#[allow(non_upper_case_globals, dead_code)] const $arg: u8 = At::$arg as u8;)+
        const ARGS: &[crate::kind::Arg] =
            &[$(crate::kind::Arg { name: crate::table::row::plain(stringify!($arg)), kind: $kind }),+];
        ARGS
    }};
}

/// A route, with the errno and the reason of a refusal, or with what a call lacks that is offered in part.
macro_rules! route {
    (Refuse [$errno:ident $why:expr]) => {
        crate::kind::Route::Refuse { errno: libc::$errno, why: $why }
    };
    ($route:ident $([$lacks:expr])?) => {
        crate::kind::Route::$route
    };
}

/// What a call lacks; nothing if it is offered whole, or not at all.
macro_rules! lacks {
    (Refuse [$errno:ident $why:expr]) => {
        ""
    };
    ($route:ident) => {
        ""
    };
    ($route:ident [$lacks:expr]) => {
        $lacks
    };
}

/// Rows of calls of one class.
macro_rules! calls {
    ($class:ident: $(
        $nr:literal $name:ident $route:ident $([$($note:tt)+])? $($word:ident)*
        ($($arg:ident: $kind:expr),* $(,)?);
    )*) => {
        &[$(call!($nr, $class: $name $route $([$($note)+])? $($word)* ($($arg: $kind),*))),*]
    };
}

/// The row of one call.
macro_rules! call {
    ($nr:expr, $class:ident: $name:ident $route:ident $([$($note:tt)+])? $($word:ident)*
        ($($arg:ident: $kind:expr),* $(,)?)
    ) => {
        crate::table::columns::derived(columns!($($word)* => crate::kind::Syscall {
            nr: $nr,
            name: stringify!($name),
            args: args!($($arg: $kind),*),
            route: route!($route $([$($note)+])?),
            lacks: lacks!($route $([$($note)+])?),
            class: crate::kind::Class::$class,
            wait: crate::kind::Wait::Never,
            restart: crate::kind::Restart::Never,
            timed: false,
            travel: crate::kind::Bulk::AtOnce,
        }))
    };
}

/// A row with the columns that words stand for.
macro_rules! columns {
    (=> $row:expr) => {
        $row
    };
    ($($word:ident)+ => $row:expr) => {{
        let mut row = $row;
        $(column!(row $word);)+
        row
    }};
}

/// One word.
macro_rules! column {
    ($row:ident blocking) => {
        $row.wait = crate::kind::Wait::Blocking
    };
    ($row:ident polling) => {
        $row.wait = crate::kind::Wait::Polling
    };
    ($row:ident restarts) => {
        $row.restart = crate::kind::Restart::Flagged
    };
    ($row:ident never_restarts) => {
        $row.restart = crate::kind::Restart::NeverAtAll
    };
    ($row:ident restarts_unless_timed) => {
        $row.restart = crate::kind::Restart::FlaggedUnlessTimed
    };
}

/// A table of a multiplexer's commands, the row form being that of calls with the effects in brackets behind
/// the name. The value of a command comes from
/// `libc` unless it is spelled out; the arguments of the call up to the command are listed in parentheses.
macro_rules! command_rows {
    ($lead:tt $(
        $name:ident $(= $value:literal)? $([$($effect:expr),+])? $($word:ident)*
        $(, $route:ident $([$errno:ident $why:expr])?)?
        $(=> ($($arg:ident: $kind:expr),* $(,)?))?;
    )*) => {{
        const ROWS: &[crate::kind::Command] = &[$(columns!($($word)* => crate::kind::Command {
            value: crate::names::value!($name $(= $value)?),
            name: stringify!($name),
            args: args!($lead $($($arg: $kind),*)?),
            effects: &[$($($effect),+)?],
            route: command_route!($($route $([$errno $why])?)?),
            wait: crate::kind::Wait::Never,
            restart: crate::kind::Restart::Never,
        })),*];
        const SORTED: [crate::kind::Command; ROWS.len()] = crate::table::row::sorted(ROWS);
        const _: () = crate::table::check::commands(&SORTED);
        &SORTED
    }};
}

/// The route of a command, if it has one of its own.
macro_rules! command_route {
    () => {
        None
    };
    ($($route:tt)+) => {
        Some(route!($($route)+))
    };
}

/// The name of an argument without the mark of a raw identifier: `type` is written `r#type`.
pub(super) const fn plain(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

/// Merges ascending parts into one ascending array.
pub(super) const fn merge<const N: usize>(parts: &[&[Syscall]]) -> [Syscall; N] {
    let mut merged = [parts[0][0]; N];
    let mut i = 0;
    let mut part = 0;
    while part < parts.len() {
        let mut row = 0;
        while row < parts[part].len() {
            // Insertion from the back: the rows of earlier parts that are behind this one move up.
            let mut at = i;
            while at > 0 && merged[at - 1].nr > parts[part][row].nr {
                merged[at] = merged[at - 1];
                at -= 1;
            }
            merged[at] = parts[part][row];
            i += 1;
            row += 1;
        }
        part += 1;
    }
    merged
}

/// The commands ascending by value.
pub(super) const fn sorted<const N: usize>(rows: &[Command]) -> [Command; N] {
    let mut sorted = [rows[0]; N];
    let mut i = 0;
    while i < N {
        let mut at = i;
        while at > 0 && sorted[at - 1].value > rows[i].value {
            sorted[at] = sorted[at - 1];
            at -= 1;
        }
        sorted[at] = rows[i];
        i += 1;
    }
    sorted
}

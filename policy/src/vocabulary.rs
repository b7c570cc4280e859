//! The words of system calls: names of calls, of their arguments and of the values that those take, all from
//! the one table of system calls.

use rxbox_wire::kind::{Kind, Syscall};
use rxbox_wire::{names, table};

/// The call of a name.
pub(crate) fn call(name: &str) -> Option<&'static Syscall> {
    table::by_name(name)
}

/// Every call's name.
pub(crate) fn calls() -> impl Iterator<Item = &'static str> {
    table::names()
}

/// Every call.
pub(crate) fn rows() -> &'static [Syscall] {
    table::SYSCALLS
}

/// The name of a call, or its number if the table has none.
pub(crate) fn call_name(number: u32) -> String {
    table::row(number).map_or_else(|| number.to_string(), |c| c.name.to_owned())
}

/// The position and kind of a call's argument.
pub(crate) fn argument(call: &Syscall, name: &str) -> Option<(usize, Kind)> {
    call.args.iter().enumerate().find(|(_, a)| a.name == name).map(|(at, a)| (at, a.kind))
}

/// The names that values of this kind have.
pub(crate) fn values(kind: Kind) -> Vec<(u64, &'static str)> {
    match kind {
        Kind::Flags(names) | Kind::Choice(names) => names.names.to_vec(),
        Kind::Command(commands) => commands.rows.iter().map(|c| (c.value, c.name)).collect(),
        _ => Vec::new(),
    }
}

/// Families whose sockets need no listing in `[network] families`, for what they reach is judged address by
/// address.
const ALWAYS: [&str; 4] = ["unspec", "unix", "inet", "inet6"];

/// An address family's name in profiles: that of address_families(7), without its `AF_`, in small letters.
fn family_word(name: &str) -> Option<String> {
    let word = name.strip_prefix("AF_")?.to_lowercase();
    (!ALWAYS.contains(&word.as_str())).then_some(word)
}

/// The number of an address family that can be listed.
pub(crate) fn family(word: &str) -> Option<i32> {
    let known = names::DOMAINS.names.iter().find(|(_, name)| family_word(name).as_deref() == Some(word));
    known.and_then(|(number, _)| i32::try_from(*number).ok())
}

/// The word for an address family that can be listed.
pub(crate) fn family_name(number: i32) -> Option<String> {
    names::DOMAINS.name(u64::try_from(number).ok()?).and_then(family_word)
}

/// The words for all address families that can be listed.
pub(crate) fn families() -> Vec<String> {
    names::DOMAINS.names.iter().filter_map(|(_, name)| family_word(name)).collect()
}

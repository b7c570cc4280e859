//! The table of system calls.
//!
//! Every call is one row, written once, in the file of its class:
//!
//! ```text
//! 0 read Perform blocking (fd: Fd, buf: Out(Bulk { count }), count: U64);
//! ```
//!
//! is call number 0, carried out by the supervisor, which may block for long; its second argument is memory
//! that the call writes, of as many bytes as the argument `count` says. A route `Refuse[ENOSYS "reason"]`
//! names the errno and why. Argument names are those of the manual pages. Rows of multiplexers' commands have
//! the same form (`commands.rs`).
//!
//! The merged table is checked when it is compiled (`check.rs`): a row out of order, a count that is no
//! integer, a length that no pointer holds or a command without effects does not build.

#[macro_use]
mod row;
mod check;
mod columns;
mod commands;
mod control;
mod descriptor;
mod filesystem;
mod internal;
mod ioctl;
mod ipc;
mod memory;
mod network;
mod options;
mod process;
mod structs;
mod system;
mod time;

pub use control::{CONTROL, control};
pub use internal::Internal;

use crate::kind::{Arg, Command, Kind, Syscall};
use crate::sizes;

/// The rows, class by class, each part ascending by number.
const PARTS: &[&[Syscall]] = &[
    descriptor::ROWS,
    filesystem::ROWS,
    memory::ROWS,
    process::PROCESS,
    process::SIGNAL,
    network::ROWS,
    time::ROWS,
    system::IDENTITY,
    ipc::ROWS,
    system::SYSTEM,
    system::ADMIN,
];

/// How many calls there are.
const COUNT: usize = {
    let (mut n, mut part) = (0, 0);
    while part < PARTS.len() {
        n += PARTS[part].len();
        part += 1;
    }
    n
};

/// Every x86-64 call, ascending by number.
pub static SYSCALLS: &[Syscall] = &MERGED;
static MERGED: [Syscall; COUNT] = row::merge(PARTS);

/// The requests of the child's runtime ([`Internal`]).
pub static INTERNAL: &[Syscall] = internal::ROWS;

const _: () = check::table(&MERGED);
const _: () = check::table(internal::ROWS);

/// One more than the highest call number.
const NUMBERS: usize = MERGED[COUNT - 1].nr as usize + 1;
/// No row has this number.
const NONE: u16 = u16::MAX;

/// The position in [`SYSCALLS`] of each number.
static INDEX: [u16; NUMBERS] = {
    let mut index = [NONE; NUMBERS];
    let mut i = 0;
    while i < COUNT {
        index[MERGED[i].nr as usize] = i as u16;
        i += 1;
    }
    index
};

/// The row of a call number.
pub fn row(nr: u32) -> Option<&'static Syscall> {
    if nr >= sizes::INTERNAL {
        return INTERNAL.get((nr - sizes::INTERNAL) as usize);
    }
    SYSCALLS.get(usize::from(*INDEX.get(nr as usize)?))
}

/// The row of a call name.
pub fn by_name(name: &str) -> Option<&'static Syscall> {
    SYSCALLS.iter().find(|s| s.name == name)
}

/// All names in the order of the numbers.
pub fn names() -> impl Iterator<Item = &'static str> {
    SYSCALLS.iter().map(|s| s.name)
}

/// What is behind the arguments that a row lists.
const UNUSED: Arg = Arg { name: "unused", kind: Kind::Unused };

/// The six kinds in force for these registers, and the command's row if the call is a multiplexer that knows
/// it. The arguments behind an unknown command are unused: nothing of them crosses.
pub fn kinds(call: &'static Syscall, args: &[u64; 6]) -> ([Arg; 6], Option<&'static Command>) {
    let mut kinds = [UNUSED; 6];
    let (own, behind, command) = columns::parts(call, args);
    kinds[..own.len()].copy_from_slice(own);
    kinds[own.len()..own.len() + behind.len()].copy_from_slice(behind);
    (kinds, command)
}

/// Every command table with the call that it belongs to, for listings.
pub fn multiplexers() -> impl Iterator<Item = (&'static Syscall, &'static crate::kind::Commands)> {
    SYSCALLS.iter().filter_map(|s| {
        s.args.iter().find_map(|a| match a.kind {
            Kind::Command(c) | Kind::Level(c) => Some((s, c)),
            _ => None,
        })
    })
}

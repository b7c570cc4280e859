//! What the compiler checks of the table.

use crate::kind::{Arg, Command, Extent, Kind, Route, Struct, Syscall};

/// Ascending numbers, at most six arguments, sound references between them, and only performed calls block the worker.
pub(super) const fn table(rows: &[Syscall]) {
    let mut i = 0;
    while i < rows.len() {
        assert!(i == 0 || rows[i - 1].nr < rows[i].nr, "rows must ascend by number");
        assert!(
            !rows[i].blocking || matches!(rows[i].route, Route::Perform),
            "only a performed call blocks the worker"
        );
        let args = rows[i].args;
        arguments(args, &[]);
        i += 1;
    }
}

/// Ascending values without a double.
pub(super) const fn commands(rows: &[Command]) {
    let mut i = 1;
    while i < rows.len() {
        assert!(rows[i - 1].value < rows[i].value, "a command is there twice");
        i += 1;
    }
}

/// Every argument of a row (behind the `lead` ones) refers to integers and length pointers of the same row only.
const fn arguments(args: &[Arg], lead: &[Arg]) {
    assert!(lead.len() + args.len() <= 6, "a call has at most six arguments");
    let mut i = 0;
    while i < args.len() {
        match args[i].kind {
            Kind::In(e) | Kind::Out(e) | Kind::InOut(e) => extent(args, lead, e),
            Kind::IovecIn { count } | Kind::IovecOut { count } | Kind::Address { len: count } => {
                counts(at(args, lead, count))
            }
            Kind::Command(c) => behind(c.rows, args, i + 1),
            Kind::Level(c) => {
                assert!(
                    matches!(args[i + 1].kind, Kind::OptionName),
                    "a level is followed by the option's name"
                );
                behind(c.rows, args, i + 2);
            }
            _ => {}
        }
        i += 1;
    }
}

/// The rows of a multiplexer replace the arguments from `from` on.
const fn behind(rows: &[Command], args: &[Arg], from: usize) {
    let (lead, _) = args.split_at(from);
    let mut i = 0;
    while i < rows.len() {
        arguments(rows[i].args, lead);
        i += 1;
    }
}

const fn extent(args: &[Arg], lead: &[Arg], e: Extent) {
    match e {
        Extent::Elements { count, size } | Extent::Batch { count, size } => {
            assert!(size > 0, "an element has bytes");
            counts(at(args, lead, count));
        }
        Extent::Array { count, of } => {
            counts(at(args, lead, count));
            fields(of);
        }
        Extent::Within(size) => assert!(size as usize <= crate::channel::BULK_MAX, "the data cross at once"),
        Extent::Bulk { count } | Extent::Bits { count } | Extent::Message { count } => {
            counts(at(args, lead, count))
        }
        Extent::Behind { pointer, .. } => {
            assert!(
                matches!(at(args, lead, pointer), Kind::InOut(Extent::Fixed(4))),
                "a length behind a pointer is an in-out argument of four bytes"
            );
        }
        Extent::Fixed(size) => assert!(size > 0 && size <= 4096, "a structure fits a page"),
        Extent::Struct(s) => fields(s),
    }
}

const fn fields(s: &Struct) {
    let mut i = 0;
    while i < s.fields.len() {
        assert!(s.fields[i].at + s.fields[i].scalar.size() <= s.size, "a member lies in its structure");
        i += 1;
    }
}

const fn at(args: &[Arg], lead: &[Arg], index: u8) -> Kind {
    let i = index as usize;
    if i < lead.len() { lead[i].kind } else { args[i - lead.len()].kind }
}

const fn counts(kind: Kind) {
    assert!(matches!(kind, Kind::I32 | Kind::U32 | Kind::I64 | Kind::U64), "a count is an integer");
}

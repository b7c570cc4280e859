//! What the compiler checks of the table.
#![expect(clippy::panic, reason = "a row that breaks a rule does not compile")]

use crate::effect;
use crate::kind::{
    Arg, Bulk, Command, Extent, Kind, Presence, Restart, Route, Struct, Syscall, Timeout, Wait,
};

/// Ascending numbers, at most six arguments, sound references between them, and columns that go together.
pub(super) const fn table(rows: &[Syscall]) {
    let mut i = 0;
    while i < rows.len() {
        assert!(i == 0 || rows[i - 1].nr < rows[i].nr, "rows must ascend by number");
        let Syscall { args, route, wait, restart, .. } = rows[i];
        let columns = Columns { route, wait, restart };
        columns.check(args);
        arguments(args, &[], columns);
        travel(&rows[i]);
        i += 1;
    }
}

/// Bulk data travel in one way, as the route lets them.
const fn travel(row: &Syscall) {
    let (mut ways, mut offsets, mut i) = (0, 0, 0);
    while i < row.args.len() {
        match row.args[i].kind {
            Kind::In(_, Extent::Transfer { .. } | Extent::Payload { .. })
            | Kind::Out(_, Extent::Transfer { .. } | Extent::Payload { .. })
            | Kind::IovecIn { .. }
            | Kind::IovecOut { .. }
            | Kind::MsgIn
            | Kind::MapFd { .. }
            | Kind::Segment => ways += 1,
            Kind::InOut(_, Extent::Transfer { .. } | Extent::Payload { .. }) => {
                panic!("a transfer has one direction")
            }
            Kind::Offset => offsets += 1,
            _ => {}
        }
        i += 1;
    }
    assert!(ways <= 1, "bulk data travel in one way");
    match row.travel {
        Bulk::AtOnce => assert!(offsets == 0, "an offset belongs to a transfer in pieces"),
        Bulk::Pieces(_) | Bulk::Message => {
            assert!(offsets <= 1 && matches!(row.route, Route::Perform), "a transfer is performed");
            assert!(
                matches!(row.args[0].kind, Kind::Fd),
                "a transfer is on the descriptor of the first argument"
            );
        }
        Bulk::Map { unless } => {
            assert!(offsets == 0 && matches!(row.route, Route::Grant), "only the child maps");
            if let Some(flags) = unless {
                assert!(matches!(at(row.args, &[], flags), Kind::Flags(_)), "MAP_ANONYMOUS is one of flags");
            }
        }
    }
}

/// The columns in force for a call or one of its commands.
#[derive(Clone, Copy)]
struct Columns {
    route: Route,
    wait: Wait,
    restart: Restart,
}

impl Columns {
    /// Those of a command of a call with these.
    const fn of(self, command: &Command) -> Columns {
        Columns {
            route: match command.route {
                Some(route) => route,
                None => self.route,
            },
            wait: if matches!(command.wait, Wait::Never) { self.wait } else { command.wait },
            restart: if matches!(command.restart, Restart::Never) { self.restart } else { command.restart },
        }
    }

    /// A call waits where it is carried out, and what a signal cannot interrupt is not made again.
    const fn check(self, args: &[Arg]) {
        let waits = !matches!(self.wait, Wait::Never);
        let offered = !matches!(self.route, Route::Refuse { .. });
        assert!(!waits || !matches!(self.route, Route::Emulate), "only a call that is carried out waits");
        assert!(waits || matches!(self.restart, Restart::Never), "only a call that waits is made again");
        let (mut timed, mut i) = (false, 0);
        while i < args.len() {
            timed |= args[i].kind.timeout().is_some();
            if offered {
                self.time(args[i].kind);
            }
            i += 1;
        }
        assert!(
            timed || !matches!(self.restart, Restart::FlaggedUnlessTimed),
            "a restart that depends on the time limit needs one"
        );
    }

    /// Times and masks of a wait are declared as such, belong to one, and are put into force by whoever
    /// carries it out.
    const fn time(self, kind: Kind) {
        let waits = !matches!(self.wait, Wait::Never);
        let granted = matches!(self.route, Route::Grant);
        assert!(waits || kind.timeout().is_none(), "only a call that waits has a time limit");
        match kind {
            Kind::In(_, Extent::Struct(s)) | Kind::InOut(_, Extent::Struct(s)) if waits => {
                assert!(!is_time(s), "a time that a waiting call reads is a time limit")
            }
            Kind::InOut(_, Extent::Timeout(s, form)) => {
                assert!(
                    is_time(s) && matches!(form, Timeout::CountedDown),
                    "what is written back is what is left"
                )
            }
            Kind::In(_, Extent::Timeout(s, form)) | Kind::Local(_, Extent::Timeout(s, form)) => {
                assert!(matches!(s.name.as_bytes(), b"timespec"), "the child reads a timespec");
                assert!(!matches!(form, Timeout::CountedDown), "what is left is written back");
            }
            Kind::Out(_, Extent::Timeout(..)) => panic!("a time limit is read"),
            Kind::SigMask { .. } | Kind::SigMaskPair => assert!(
                matches!(self.wait, Wait::Polling) || waits && granted,
                "a mask is put in place around a wait for descriptors, or by the call itself"
            ),
            _ => {}
        }
        assert!(granted || !matches!(kind, Kind::Local(..)), "only the child reads what does not cross");
    }
}

/// Whether a structure is a time of the clocks.
const fn is_time(s: &Struct) -> bool {
    matches!(s.name.as_bytes(), b"timespec" | b"timeval")
}

/// Ascending values without a double.
pub(super) const fn commands(rows: &[Command]) {
    let mut i = 1;
    while i < rows.len() {
        assert!(rows[i - 1].value < rows[i].value, "a command is there twice");
        i += 1;
    }
}

/// Ascending values without a double, each with effects.
pub(super) const fn messages(rows: &[Command]) {
    commands(rows);
    let mut i = 0;
    while i < rows.len() {
        effects(&rows[i], Route::Perform);
        i += 1;
    }
}

/// Every argument of a row (behind the `lead` ones) refers to integers and length pointers of the same row
/// only.
const fn arguments(args: &[Arg], lead: &[Arg], columns: Columns) {
    assert!(lead.len() + args.len() <= 6, "a call has at most six arguments");
    let mut i = 0;
    while i < args.len() {
        presence(args, lead, args[i].kind);
        match args[i].kind {
            Kind::In(_, e) | Kind::Out(_, e) | Kind::InOut(_, e) | Kind::Local(_, e) => extent(args, lead, e),
            Kind::IovecIn { count }
            | Kind::IovecOut { count }
            | Kind::Address { len: count, .. }
            | Kind::SigMask { size: count } => counts(at(args, lead, count)),
            Kind::Command(c) => behind(c.rows, args, i + 1, columns),
            Kind::Level(c) => {
                assert!(
                    matches!(args[i + 1].kind, Kind::OptionName),
                    "a level is followed by the option's name"
                );
                behind(c.rows, args, i + 2, columns);
            }
            _ => {}
        }
        i += 1;
    }
}

/// What a null pointer means fits what the pointer is for.
const fn presence(args: &[Arg], lead: &[Arg], kind: Kind) {
    match kind.presence() {
        Some(Presence::Probed) => {
            assert!(matches!(kind, Kind::Out(..)), "what is looked up before can be written")
        }
        Some(Presence::With { other }) => assert!(
            matches!(at(args, lead, other).presence(), Some(Presence::Optional)),
            "a pointer that belongs to another is of no use without it"
        ),
        _ => {}
    }
    if let Kind::In(_, Extent::Records { .. }) | Kind::InOut(_, Extent::Records { .. }) = kind {
        panic!("records are written");
    }
}

/// The rows of a multiplexer replace the arguments from `from` on.
const fn behind(rows: &[Command], args: &[Arg], from: usize, columns: Columns) {
    let (lead, _) = args.split_at(from);
    let mut i = 0;
    while i < rows.len() {
        let columns = columns.of(&rows[i]);
        columns.check(rows[i].args);
        arguments(rows[i].args, lead, columns);
        effects(&rows[i], columns.route);
        assert!(
            matches!(lead[0].kind, Kind::Fd) || !effect::asks(rows[i].effects),
            "the policy is asked about effects on open files"
        );
        i += 1;
    }
}

/// A command that is offered declares its effects, that it waits among them.
const fn effects(row: &Command, route: Route) {
    if matches!(route, Route::Refuse { .. }) {
        assert!(row.effects.is_empty(), "what is refused has no effects");
    } else {
        assert!(effect::declared(row.effects), "a command declares its effects, or that it is harmless");
    }
    assert!(
        matches!(row.wait, Wait::Never) || effect::blocks(row.effects),
        "a command that waits declares that it blocks"
    );
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
        Extent::Within(size) => assert!(size as usize <= crate::sizes::BULK_MAX, "the data cross at once"),
        Extent::Bulk { count }
        | Extent::Transfer { count }
        | Extent::Records { count }
        | Extent::Payload { count }
        | Extent::Bits { count }
        | Extent::Message { count } => counts(at(args, lead, count)),
        Extent::Behind { pointer, .. } => {
            assert!(
                matches!(at(args, lead, pointer), Kind::InOut(_, Extent::Fixed(4))),
                "a length behind a pointer is an in-out argument of four bytes"
            );
        }
        Extent::Fixed(size) => assert!(size > 0 && size <= 4096, "a structure fits a page"),
        Extent::Struct(s) => fields(s),
        Extent::Timeout(s, form) => {
            fields(s);
            if let Timeout::OnClock { clock, flags } = form {
                assert!(matches!(at(args, lead, clock), Kind::Choice(_)), "a clock is named by a choice");
                assert!(matches!(at(args, lead, flags), Kind::Flags(_)), "TIMER_ABSTIME is one of flags");
            }
        }
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

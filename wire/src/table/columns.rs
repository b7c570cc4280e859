//! What the columns of a row say of a call with given registers. What a command's row says goes before what
//! its call's row does.

use crate::kind::{Arg, Bulk, Command, Extent, Kind, Pieces, Restart, Route, Syscall, Timeout, Wait};

/// The row with the columns that its kinds stand for.
pub(super) const fn derived(mut row: Syscall) -> Syscall {
    row.timed = timed(row.args);
    row.travel = travel(row.args);
    row
}

/// Whether one of the arguments, or one of some command, limits the time.
const fn timed(args: &[Arg]) -> bool {
    let mut i = 0;
    while i < args.len() {
        if args[i].kind.timeout().is_some() {
            return true;
        }
        if let Kind::Command(c) | Kind::Level(c) = args[i].kind {
            let mut command = 0;
            while command < c.rows.len() {
                if timed(c.rows[command].args) {
                    return true;
                }
                command += 1;
            }
        }
        i += 1;
    }
    false
}

/// How bulk data of these kinds travel.
const fn travel(args: &[Arg]) -> Bulk {
    let (mut pieces, mut offset, mut address) = (None, None, None);
    let mut i = 0;
    while i < args.len() {
        let at = i as u8;
        match args[i].kind {
            Kind::In(_, Extent::Transfer { count }) => pieces = Some((at, count, true, false, true)),
            Kind::Out(_, Extent::Transfer { count }) => pieces = Some((at, count, false, false, false)),
            Kind::In(_, Extent::Payload { count }) => pieces = Some((at, count, true, false, false)),
            Kind::Out(_, Extent::Payload { count }) => pieces = Some((at, count, false, false, false)),
            Kind::IovecIn { count } => pieces = Some((at, count, true, true, true)),
            Kind::IovecOut { count } => pieces = Some((at, count, false, true, false)),
            Kind::Offset => offset = Some(at),
            Kind::Address { len, .. } => address = Some((at, len)),
            Kind::Out(_, Extent::Behind { pointer, .. }) => address = Some((at, pointer)),
            Kind::MsgIn => return Bulk::Message,
            Kind::MapFd { flags } => return Bulk::Map { unless: Some(flags) },
            Kind::Segment => return Bulk::Map { unless: None },
            _ => {}
        }
        i += 1;
    }
    // What is not on a descriptor crosses at once, as much of it as fits.
    match pieces {
        _ if args.is_empty() || !matches!(args[0].kind, Kind::Fd) => Bulk::AtOnce,
        None => Bulk::AtOnce,
        Some((buffer, count, write, vectored, persistent)) => {
            Bulk::Pieces(Pieces { buffer, count, write, vectored, offset, address, persistent })
        }
    }
}

impl Syscall {
    /// The arguments in force for these registers, by index.
    fn arguments(&self, args: &[u64; 6]) -> impl Iterator<Item = (usize, &'static Arg)> {
        let (own, behind, _) = parts(self, args);
        own.iter().chain(behind).enumerate()
    }

    /// Whether the worker may wait for long before it answers.
    pub fn blocks_worker(&self) -> bool {
        self.wait != Wait::Never && self.route == Route::Perform
    }

    /// Whether a call with these registers waits.
    pub fn waits(&self, args: &[u64; 6]) -> Wait {
        let (.., command) = parts(self, args);
        command.map(|c| c.wait).filter(|&own| own != Wait::Never).unwrap_or(self.wait)
    }

    /// Whether a call with these registers that a signal has interrupted is made again after a handler that
    /// was installed with SA_RESTART.
    pub fn restarts(&self, args: &[u64; 6]) -> bool {
        let (.., command) = parts(self, args);
        let own = command.map(|c| c.restart).filter(|&own| own != Restart::Never);
        match own.unwrap_or(self.restart) {
            Restart::Never | Restart::NeverAtAll => false,
            Restart::Flagged => true,
            Restart::FlaggedUnlessTimed => self.time_limit(args).is_none_or(|(at, ..)| args[at] == 0),
        }
    }

    /// Whether a call fails once its process was stopped and goes on, even if no handler runs.
    pub fn fails_when_continued(&self) -> bool {
        self.restart == Restart::NeverAtAll
    }

    /// The argument that limits the time of a call with these registers: its index, its kind and its form.
    pub fn time_limit(&self, args: &[u64; 6]) -> Option<(usize, Kind, Timeout)> {
        if !self.timed {
            return None;
        }
        self.arguments(args).find_map(|(at, arg)| Some((at, arg.kind, arg.kind.timeout()?)))
    }

    /// How the bulk data of a call with these registers travel.
    pub fn bulk(&self, args: &[u64; 6]) -> Bulk {
        let given = |at: u8| args[usize::from(at)] != 0;
        match self.travel {
            Bulk::Pieces(Pieces { address: Some((at, len)), .. }) if given(at) || given(len) => Bulk::AtOnce,
            Bulk::Map { unless: Some(flags) }
                if args[usize::from(flags)] & libc::MAP_ANONYMOUS as u64 != 0 =>
            {
                Bulk::AtOnce
            }
            travel => travel,
        }
    }

    /// The argument that gives a signal mask for the time of the wait: its index and its kind.
    pub fn signal_mask(&self, args: &[u64; 6]) -> Option<(usize, Kind)> {
        let mask = |kind| matches!(kind, Kind::SigMask { .. } | Kind::SigMaskPair);
        self.arguments(args).find(|(_, arg)| mask(arg.kind)).map(|(at, arg)| (at, arg.kind))
    }
}

/// The arguments in force for these registers: those of the call's own row, those of a command's row behind
/// them, and that row if the call is a multiplexer that knows the command.
pub(super) fn parts(
    call: &Syscall,
    args: &[u64; 6],
) -> (&'static [Arg], &'static [Arg], Option<&'static Command>) {
    let command = call.args.iter().enumerate().find_map(|(i, a)| match a.kind {
        Kind::Command(c) => Some((i + 1, c.find(args[i]))),
        Kind::Level(c) => Some((i + 2, c.find_pair(args[i], args[i + 1]))),
        _ => None,
    });
    match command {
        None => (call.args, &[], None),
        Some((behind, command)) => (&call.args[..behind], command.map_or(&[], |c| c.args), command),
    }
}

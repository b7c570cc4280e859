//! Arguments that are values.

use super::arena::Arena;
use super::descriptors::{Descriptors, FIRST};
use crate::random::Random;
use rxbox_wire::kind::{Arg, Kind, Names};
use std::process;

/// What registers are drawn from.
#[derive(Debug)]
pub struct Sources<'a> {
    /// Chance.
    pub random: &'a mut Random,
    /// Memory.
    pub arena: &'a Arena,
    /// Descriptors.
    pub descriptors: &'a Descriptors,
    /// Whether the argument that is drawn may be one that no program passes on purpose. Of a call with
    /// several of them the kernel tells of one, whichever it comes to first.
    pub wrong: bool,
}

/// One argument.
#[derive(Clone, Debug, Default)]
pub struct Argument {
    /// The register.
    pub register: u64,
    /// How it is shown.
    pub text: String,
}

impl Argument {
    pub(super) fn of(register: u64) -> Argument {
        let text = match register as i64 {
            small @ -4096..=65536 => small.to_string(),
            _ => format!("{register:#x}"),
        };
        Argument { register, text }
    }
}

const INTEGERS: [u64; 12] = [0, 0, 0, 1, 1, 2, 3, 4, 8, 16, 64, 4096];
const EXTREMES: [u64; 10] = [
    7,
    100,
    4095,
    65536,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
    u64::MAX - 4095,
];
const COUNTS: [u64; 16] = [0, 1, 2, 3, 4, 8, 10, 16, 24, 64, 100, 512, 4095, 4096, 5000, 8192];
/// Without the bits by which a program gets its owner's rights: no guest's file has them.
const MODES: [u64; 8] = [0, 0o644, 0o600, 0o755, 0o777, 0o1777, 0o100_644, 0o170_000];
/// What is set in arguments of these names whatever was drawn: so that nothing waits, and
/// that only descriptors of the sequence are closed.
const SET: &[(&str, &str, u64)] = &[
    ("flock", "op", libc::LOCK_NB as u64),
    ("open", "flags", libc::O_NONBLOCK as u64),
    ("openat", "flags", libc::O_NONBLOCK as u64),
    ("pipe2", "flags", libc::O_NONBLOCK as u64),
    ("eventfd2", "flags", libc::EFD_NONBLOCK as u64),
    ("timerfd_create", "flags", libc::TFD_NONBLOCK as u64),
    ("signalfd4", "flags", libc::SFD_NONBLOCK as u64),
    ("inotify_init1", "flags", libc::IN_NONBLOCK as u64),
    ("accept4", "flags", libc::SOCK_NONBLOCK as u64),
    ("socket", "type", libc::SOCK_NONBLOCK as u64),
    ("socketpair", "type", libc::SOCK_NONBLOCK as u64),
    ("close_range", "first", FIRST as u64),
];
/// What is taken from arguments of these names: huge pages are the machine's, and what is opened sends no
/// signals.
const TAKEN: &[(&str, &str, u64)] = &[
    ("memfd_create", "flags", libc::MFD_HUGETLB as u64),
    ("open", "flags", libc::O_ASYNC as u64),
    ("openat", "flags", libc::O_ASYNC as u64),
];
/// Names of lengths of mappings.
const LENGTHS: &[&str] = &["length", "len", "size", "old_size", "new_size"];

impl Sources<'_> {
    /// An argument that is a value of this kind; `counts` says that another one's size depends on it.
    pub fn value(&mut self, call: &str, arg: &Arg, counts: bool) -> Argument {
        let mut register = match arg.kind {
            Kind::Fd | Kind::DirFd | Kind::MapFd { .. } => return self.descriptor(arg.kind),
            Kind::Pid if self.wrong => self.random.pick(&[u64::MAX, 0x7fff_ffff, 0xffff_8000]),
            Kind::Pid if self.random.one_in(2) => 0,
            Kind::Pid => {
                return Argument { register: u64::from(process::id()), text: "self".to_owned() };
            }
            Kind::Signal if self.wrong => self.random.pick(&[65, u64::MAX]),
            Kind::Signal => self.random.pick(&[0, 1, 10, 64]),
            Kind::Mode => self.random.pick(&MODES),
            Kind::Flags(names) => self.flags(names),
            Kind::Choice(names) => self.choice(names),
            Kind::Millis => self.random.pick(&[0, 1]),
            Kind::Addr => return self.address(),
            Kind::Unused => 0,
            _ if counts => self.count(),
            _ if LENGTHS.contains(&arg.name) && self.wrong => u64::MAX,
            _ if LENGTHS.contains(&arg.name) => self.random.pick(&[0, 1, 4096, 4097, 8192, 65536]),
            _ => self.integer(),
        };
        for (_, _, bits) in SET.iter().filter(|(name, of, _)| *name == call && *of == arg.name) {
            register |= bits;
        }
        for (_, _, bits) in TAKEN.iter().filter(|(name, of, _)| *name == call && *of == arg.name) {
            register &= !bits;
        }
        Argument::of(register)
    }

    fn count(&mut self) -> u64 {
        if self.wrong { self.integer() } else { self.random.pick(&COUNTS) }
    }

    fn integer(&mut self) -> u64 {
        if self.wrong { self.random.pick(&EXTREMES) } else { self.random.pick(&INTEGERS) }
    }

    fn descriptor(&mut self, kind: Kind) -> Argument {
        if self.wrong {
            return Argument::of(self.random.pick(&[u64::MAX, 99, 9999, 1 << 31, 0xffff_ff00]));
        }
        if kind == Kind::DirFd && !self.random.one_in(3) {
            return Argument { register: libc::AT_FDCWD as u64, text: "AT_FDCWD".to_owned() };
        }
        let all = self.descriptors.all();
        Argument::of(self.random.pick(&all) as u64)
    }

    /// Some of the named bits, and now and then others.
    fn flags(&mut self, names: &Names) -> u64 {
        let mut flags = 0;
        for _ in 0..self.random.pick(&[0, 0, 1, 1, 1, 2, 2, 3]) {
            flags |= names.names[self.random.index(names.names.len())].0;
        }
        match self.random.below(8) {
            0 if self.wrong => u64::from(u32::MAX),
            _ if self.wrong => flags | 1 << self.random.below(32),
            _ => flags,
        }
    }

    fn choice(&mut self, names: &Names) -> u64 {
        match self.wrong {
            true => self.integer(),
            false => names.names[self.random.index(names.names.len())].0,
        }
    }

    /// An address that the kernel does not look at, or one of the playground.
    fn address(&mut self) -> Argument {
        match self.random.below(3) {
            0 if self.wrong => Argument { register: 0, text: "NULL".to_owned() },
            1 if self.wrong => Argument::of(0xffff_8000_0000_0000),
            _ => {
                let (page, odd) = (self.random.below(16), u64::from(self.wrong));
                Argument { register: self.arena.playground(page) + odd, text: format!("page{page}+{odd}") }
            }
        }
    }
}

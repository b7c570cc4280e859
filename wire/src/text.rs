//! One call as a line of text, in the style of strace(1): `--log syscall` and the audit print it.
//!
//! What is printed comes from hostile programs and goes to terminals and logs: every byte that is not
//! printable ASCII is escaped, and everything of variable length but paths is cut, so that a line is bounded.

pub mod coverage;
mod value;

pub use value::{quote, quote_cut};

use crate::kind::{Arg, Class, Commands, Extent, Kind, Names, Syscall};
use crate::names;
use crate::table;
use std::fmt::{Result, Write};
use value::SHOWN;

/// Writes `name(argument, …)`. `data` are the contents of pointer arguments as far as they are at hand; of
/// the others the address is shown. Errors come from `out` only.
pub fn write_call(
    out: &mut impl Write,
    call: &'static Syscall,
    args: &[u64; 6],
    data: &[Option<&[u8]>; 6],
) -> Result {
    write!(out, "{}(", call.name)?;
    let (kinds, _) = table::kinds(call, args);
    let shown = kinds.iter().position(|a| a.kind == Kind::Unused).unwrap_or(kinds.len());
    for (i, content) in data.iter().enumerate().take(shown) {
        if unread_mode(&kinds, i, args) {
            break;
        }
        if i > 0 {
            out.write_str(", ")?;
        }
        argument(out, &kinds, i, args, *content)?;
    }
    out.write_char(')')
}

/// Writes the result: `3`, `0x7f0000000000`, `-1 ENOENT (No such file or directory)`. `ret` is a value or a
/// negative errno.
pub fn write_result(out: &mut impl Write, call: &Syscall, ret: i64) -> Result {
    let errno = i32::try_from(ret).ok().filter(|&r| r < 0).and_then(|r| names::errno(r.wrapping_neg()));
    match errno {
        Some((name, text)) => write!(out, "-1 {name} ({text})"),
        None if call.class == Class::Memory && !(0..4096).contains(&ret) => write!(out, "{ret:#x}"),
        None => write!(out, "{ret}"),
    }
}

/// The mode behind open flags is read only if a file may come into being.
fn unread_mode(kinds: &[Arg; 6], i: usize, args: &[u64; 6]) -> bool {
    const CREATES: u64 = (libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY)) as u64;
    i > 0
        && kinds[i].kind == Kind::Mode
        && matches!(kinds[i - 1].kind, Kind::Flags(f) if std::ptr::eq(f, &names::OPEN))
        && args[i - 1] & CREATES == 0
}

fn argument(
    out: &mut impl Write,
    kinds: &[Arg; 6],
    i: usize,
    args: &[u64; 6],
    data: Option<&[u8]>,
) -> Result {
    let register = args[i];
    match kinds[i].kind {
        Kind::I32 | Kind::Fd | Kind::MapFd { .. } | Kind::Segment | Kind::Pid | Kind::Millis => {
            write!(out, "{}", register as i32)
        }
        Kind::DirFd if register as i32 == libc::AT_FDCWD => out.write_str("AT_FDCWD"),
        Kind::DirFd => write!(out, "{}", register as i32),
        Kind::U32 => write!(out, "{}", register as u32),
        Kind::I64 | Kind::Offset => write!(out, "{}", register as i64),
        Kind::U64 => write!(out, "{register}"),
        Kind::Mode => write!(out, "0{:o}", register as u32),
        Kind::Signal => signal(out, register as i32),
        Kind::Flags(names) => flags(out, names, register),
        Kind::Choice(names) => choice(out, names, u64::from(register as u32)),
        Kind::Command(commands) => command(out, commands, register),
        Kind::Level(_) => choice(out, &names::LEVELS, u64::from(register as u32)),
        Kind::OptionName => option(out, kinds, i, args),
        Kind::Unused => Ok(()),
        _ => match data {
            Some(data) => contents(out, kinds, i, args, data),
            None if register == 0 => out.write_str("NULL"),
            None => write!(out, "{register:#x}"),
        },
    }
}

/// What a pointer argument points at.
fn contents(out: &mut impl Write, kinds: &[Arg; 6], i: usize, args: &[u64; 6], data: &[u8]) -> Result {
    match kinds[i].kind {
        Kind::Path(_) | Kind::Text(_) => quote(out, data.strip_suffix(&[0]).unwrap_or(data)),
        Kind::Strings => value::strings(out, data),
        Kind::Address { .. } => value::address(out, data),
        Kind::MsgIn | Kind::MsgOut => value::message(out, data),
        Kind::In(_, e) | Kind::Out(_, e) | Kind::InOut(_, e) => match e {
            Extent::Struct(s) | Extent::Timeout(s, _) => value::structure(out, s, data),
            Extent::Array { of, .. } => value::array(out, of, data),
            Extent::Fixed(4 | 8) => value::number(out, data),
            _ => quote_cut(out, data, SHOWN),
        },
        Kind::IovecIn { .. } | Kind::IovecOut { .. } => quote_cut(out, data, SHOWN),
        _ => write!(out, "{:#x}", args[i]),
    }
}

fn signal(out: &mut impl Write, number: i32) -> Result {
    const FIRST_REAL_TIME: i32 = 32;
    match names::SIGNALS.name(number as u64) {
        Some(name) => out.write_str(name),
        None if (FIRST_REAL_TIME..=64).contains(&number) => write!(out, "SIGRT_{}", number - FIRST_REAL_TIME),
        None => write!(out, "{number}"),
    }
}

/// The names of the bits, joined by `|`: the field first, then bits by name, then the rest as a number.
fn flags(out: &mut impl Write, names: &Names, register: u64) -> Result {
    let mut rest = u64::from(register as u32);
    let mut joined = Joined { out, first: true };
    if let Some(name) = names.name(rest & names.field).filter(|_| names.field != 0) {
        joined.part(format_args!("{name}"))?;
        rest &= !names.field;
    }
    for &(value, name) in names.names {
        let of_field = names.field != 0 && value & !names.field == 0;
        if value != 0 && !of_field && rest & value == value {
            joined.part(format_args!("{name}"))?;
            rest &= !value;
        }
    }
    match names.name(0) {
        _ if rest != 0 => joined.part(format_args!("{rest:#x}")),
        Some(zero) if joined.first => joined.part(format_args!("{zero}")),
        None if joined.first => joined.part(format_args!("0")),
        _ => Ok(()),
    }
}

/// Parts with `|` between them.
struct Joined<'a, W: Write> {
    out: &'a mut W,
    first: bool,
}

impl<W: Write> Joined<'_, W> {
    fn part(&mut self, text: std::fmt::Arguments<'_>) -> Result {
        if !std::mem::take(&mut self.first) {
            self.out.write_char('|')?;
        }
        self.out.write_fmt(text)
    }
}

fn choice(out: &mut impl Write, names: &Names, value: u64) -> Result {
    match names.name(value) {
        Some(name) => out.write_str(name),
        None => write!(out, "{value:#x}"),
    }
}

fn command(out: &mut impl Write, commands: &Commands, register: u64) -> Result {
    match commands.find(register) {
        Some(c) => out.write_str(c.name)?,
        None => write!(out, "{:#x}", register as u32 & commands.mask)?,
    }
    let rest = register as u32 & !commands.mask;
    match commands.options {
        Some(names) if rest != 0 => {
            out.write_char('|')?;
            flags(out, names, rest.into())
        }
        _ => Ok(()),
    }
}

/// The name of a socket option depends on the level before it.
fn option(out: &mut impl Write, kinds: &[Arg; 6], i: usize, args: &[u64; 6]) -> Result {
    let found = match kinds[..i].last().map(|a| a.kind) {
        Some(Kind::Level(commands)) => commands.find_pair(args[i - 1], args[i]),
        _ => None,
    };
    match found {
        Some(c) => out.write_str(c.name),
        None => write!(out, "{}", args[i] as u32),
    }
}

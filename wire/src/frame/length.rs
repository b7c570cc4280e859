//! What the table says about the lengths of arguments' data, for both sides: the child marshals by these
//! rules, the supervisor holds the frame against them.

use super::message::MessageHeader;
use super::violation::Violation;
use crate::kind::{Arg, Extent, Kind, Presence};
use crate::sizes::{
    ABSENT, ADDRESS_MAX, BULK_MAX, DATA_SIZE, FAULT, LIST_HEAD, LIST_MAX, MESSAGE_MAX, STRING_MAX,
    STRINGS_MAX,
};

/// Most descriptors of a select(2) set.
const SELECT_MAX: u64 = 65536;

/// What the table says about the length of an argument's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// This many bytes.
    Exactly(u64),
    /// At most this many; the data decide.
    AtMost(u64),
    /// More than crosses: in place of the length goes this errno ([`crate::sizes::WRONG`]).
    TooMany {
        /// What the kernel answers for a count beyond its own limits.
        errno: i32,
    },
}

/// The value of counting argument `at`, as wide as its kind: the kernel ignores the high half of a 32-bit
/// count, and a negative count stands for no bytes at all (the handler then answers as the kernel does).
pub fn count(kinds: &[Arg; 6], at: u8, args: &[u64; 6]) -> u64 {
    let value = args[at as usize];
    match kinds[at as usize].kind {
        Kind::U64 => value,
        Kind::I64 => (value as i64).max(0) as u64,
        Kind::I32 => (value as i32).max(0) as u64,
        _ => u64::from(value as u32),
    }
}

/// The length rule of argument `at` in a call with these kinds and registers; `None` if it takes no data.
pub fn length(kinds: &[Arg; 6], at: usize, args: &[u64; 6]) -> Option<Length> {
    let count = |i: u8| count(kinds, i, args);
    Some(match kinds[at].kind {
        Kind::Path(_) | Kind::Text(_) => Length::AtMost(STRING_MAX.into()),
        Kind::Strings => Length::AtMost(STRINGS_MAX.into()),
        Kind::Address { len, .. } if count(len) > ADDRESS_MAX.into() => {
            Length::TooMany { errno: libc::EINVAL }
        }
        Kind::Address { len, .. } => Length::Exactly(count(len)),
        Kind::In(_, e) | Kind::Out(_, e) | Kind::InOut(_, e) => match e {
            Extent::Fixed(n) => Length::Exactly(n.into()),
            Extent::Struct(s) | Extent::Timeout(s, _) => Length::Exactly(s.size.into()),
            Extent::Bulk { count: c }
            | Extent::Records { count: c }
            | Extent::Transfer { count: c }
            | Extent::Payload { count: c } => exactly(count(c), 1),
            Extent::Elements { count: c, size } | Extent::Batch { count: c, size } => exactly(count(c), size),
            Extent::Array { count: c, of } => exactly(count(c), of.size),
            Extent::Within(n) => Length::AtMost(n.into()),
            Extent::Message { count: c } => Length::Exactly(8 + count(c).min(MESSAGE_MAX)),
            Extent::Behind { cap, .. } => Length::AtMost(cap.into()),
            Extent::Bits { count: c } => Length::Exactly(count(c).min(SELECT_MAX).div_ceil(64) * 8),
        },
        Kind::IovecIn { .. } | Kind::IovecOut { .. } => Length::AtMost(BULK_MAX as u64),
        Kind::MsgIn | Kind::MsgOut => Length::AtMost(DATA_SIZE as u64),
        Kind::InterfaceList => Length::AtMost((LIST_HEAD + LIST_MAX) as u64),
        _ => return None,
    })
}

/// What crosses in place of a length for a null pointer as argument `at`; `None` if the pointer is not looked
/// at, since no bytes are to be read or written.
pub fn null(kinds: &[Arg; 6], at: usize, args: &[u64; 6]) -> Option<u32> {
    match kinds[at].kind.presence() {
        None | Some(Presence::Optional) => Some(ABSENT),
        Some(Presence::With { other }) if args[usize::from(other)] == 0 => Some(ABSENT),
        Some(_) if has_nothing(kinds, at, args) => None,
        Some(_) => Some(FAULT),
    }
}

/// Whether the row says that nothing is to be read or written.
fn has_nothing(kinds: &[Arg; 6], at: usize, args: &[u64; 6]) -> bool {
    match kinds[at].kind {
        Kind::IovecIn { count: c } | Kind::IovecOut { count: c } => count(kinds, c, args) == 0,
        _ => length(kinds, at, args) == Some(Length::Exactly(0)),
    }
}

fn exactly(count: u64, size: u32) -> Length {
    match count.saturating_mul(size.into()) {
        bytes if bytes <= BULK_MAX as u64 => Length::Exactly(bytes),
        _ => Length::TooMany { errno: if size == 1 { libc::E2BIG } else { libc::EINVAL } },
    }
}

/// Cuts a call that may do less than asked to what crosses at once: the child puts the result in the request.
pub fn cut(kinds: &[Arg; 6], args: &[u64; 6]) -> [u64; 6] {
    let mut cut = *args;
    for arg in kinds {
        let (c, size) = match arg.kind {
            Kind::In(_, e) | Kind::Out(_, e) | Kind::InOut(_, e) => match e {
                Extent::Bulk { count }
                | Extent::Records { count }
                | Extent::Transfer { count }
                | Extent::Payload { count } => (count, 1),
                Extent::Batch { count, size } => (count, u64::from(size)),
                _ => continue,
            },
            _ => continue,
        };
        let most = BULK_MAX as u64 / size;
        if count(kinds, c, args) > most {
            cut[c as usize] = most;
        }
    }
    cut
}

/// Checks the copied data of one argument: strings end in their only NUL. `data` is the worker's own copy.
pub fn check_data(call: &'static str, arg: &Arg, data: &[u8]) -> Result<(), Violation> {
    match arg.kind {
        Kind::Path(_) | Kind::Text(_) => match data.split_last() {
            Some((0, rest)) if !rest.contains(&0) => Ok(()),
            _ => Err(Violation::String { call, arg: arg.name }),
        },
        Kind::Strings => match data.last() {
            None | Some(0) => Ok(()),
            _ => Err(Violation::Malformed { call, arg: arg.name }),
        },
        Kind::MsgIn | Kind::MsgOut => {
            MessageHeader::decode(data).map(|_| ()).ok_or(Violation::Malformed { call, arg: arg.name })
        }
        _ => Ok(()),
    }
}

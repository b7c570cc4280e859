//! Requests as a hostile child forges them: of any row, with registers and data as programs and attackers
//! fill them, mostly packed as an honest child does it, for nothing is looked at of a frame that does not
//! fit.
//!
//! A part of those who need it, not a crate: the fuzz target of frames and the test of a real child.

use arbitrary::{Result, Unstructured};
use rxbox_wire::frame::{self, Length, MessageHeader, Request};
use rxbox_wire::kind::{Kind, Presence, Syscall};
use rxbox_wire::sizes::{ABSENT, FAULT, STRING_MAX};
use rxbox_wire::table;

/// Registers as programs and attackers fill them.
const EDGES: [u64; 16] = [
    0,
    1,
    2,
    3,
    4,
    8,
    64,
    4096,
    u64::MAX,
    i32::MAX as u64,
    i32::MIN as u32 as u64,
    u32::MAX as u64,
    i64::MIN as u64,
    i64::MAX as u64,
    1 << 32,
    libc::AT_FDCWD as u64,
];
/// Names, in which `@` is a folder that a guest may write.
const NAMES: [&str; 20] = [
    "@",
    "@/",
    "@/f",
    "@/d",
    "@/d/x",
    "@/l",
    "@/l/",
    "@/s",
    "@/new",
    "@/../x",
    "@/d/../f",
    "",
    "f",
    ".",
    "/",
    "/proc/self/fd/3",
    "/proc/self/maps",
    "/proc/1/root",
    "/dev/null",
    "/etc/shadow",
];
/// Calls whose lengths are kept small, for they would take the host's memory in fact.
const KEPT_SMALL: [&str; 6] = ["fallocate", "sendfile", "copy_file_range", "splice", "tee", "readahead"];

/// A request and what lies in the data area: mostly as an honest child packs it.
pub(crate) fn request(input: &mut Unstructured<'_>, folder: &str) -> Result<([u8; Request::SIZE], Vec<u8>)> {
    let count = table::SYSCALLS.len() + table::INTERNAL.len();
    let i = input.choose_index(count)?;
    let row = table::SYSCALLS.get(i).unwrap_or_else(|| &table::INTERNAL[i - table::SYSCALLS.len()]);
    let mut args = [0; 6];
    for arg in &mut args {
        *arg = if input.ratio(1u8, 4u8)? { input.arbitrary()? } else { *input.choose(&EDGES)? };
    }
    choose_commands(input, row, &mut args)?;
    let (kinds, _) = table::kinds(row, &args);
    let (mut len, mut parts) = ([ABSENT; 6], [const { Vec::new() }; 6]);
    for i in 0..6 {
        let most = match frame::length(&kinds, i, &args) {
            Some(Length::Exactly(n)) => n.min(8192),
            Some(Length::AtMost(n)) => input.int_in_range(0..=n.min(300))?,
            Some(Length::TooMany { .. }) if kinds[i].kind.presence() != Some(Presence::Optional) => {
                len[i] = FAULT;
                continue;
            }
            Some(Length::TooMany { .. }) | None => continue,
        };
        if input.ratio(1u8, 16u8)? {
            len[i] = FAULT;
            continue;
        }
        let optional = matches!(kinds[i].kind.presence(), Some(Presence::Optional));
        if optional && input.ratio(1u8, 8u8)? {
            continue;
        }
        parts[i] = content(input, &kinds[i].kind, most as usize, folder)?;
        len[i] = parts[i].len() as u32;
    }
    let mut data = Vec::new();
    for (place, part) in frame::place(&len).unwrap_or_default().iter().zip(&parts) {
        data.resize(data.len().max(place.start), 0);
        data.extend_from_slice(part);
    }
    let mut bytes = Request { nr: row.nr, flags: u32::from(input.ratio(1u8, 16u8)?), args, len }.encode();
    if input.ratio(1u8, 8u8)? {
        bytes[input.choose_index(Request::SIZE)?] = input.arbitrary()?;
    }
    Ok((kept_small(&bytes), data))
}

/// The same request, but that the host can carry it out.
fn kept_small(bytes: &[u8; Request::SIZE]) -> [u8; Request::SIZE] {
    let mut request = Request::decode(bytes);
    if table::row(request.nr).is_some_and(|row| KEPT_SMALL.contains(&row.name)) {
        request.args[1..].iter_mut().for_each(|arg| *arg &= 0xffff);
    }
    request.encode()
}

/// Most commands are ones that there are.
fn choose_commands(input: &mut Unstructured<'_>, row: &Syscall, args: &mut [u64; 6]) -> Result<()> {
    for (i, arg) in row.args.iter().enumerate() {
        if input.ratio(1u8, 8u8)? {
            continue;
        }
        match arg.kind {
            Kind::Command(commands) => args[i] = input.choose(commands.rows)?.value,
            Kind::Level(commands) => {
                let pair = input.choose(commands.rows)?.value;
                (args[i], args[i + 1]) = (pair >> 32, pair & 0xffff_ffff);
            }
            Kind::Fd | Kind::DirFd => args[i] = input.int_in_range(0..=12)?,
            _ => {}
        }
    }
    Ok(())
}

/// The data of an argument.
fn content(input: &mut Unstructured<'_>, kind: &Kind, len: usize, folder: &str) -> Result<Vec<u8>> {
    let mut bytes = match kind {
        Kind::Path(_) | Kind::Text(_) if input.ratio(3u8, 4u8)? => {
            let name = input.choose(&NAMES)?.replace('@', folder) + "\0";
            return Ok(name.into_bytes());
        }
        Kind::Path(_) | Kind::Text(_) => {
            let mut text = input.bytes(len.min(input.len()).min(STRING_MAX as usize - 1))?.to_vec();
            text.retain(|&byte| byte != 0);
            text.push(0);
            return Ok(text);
        }
        Kind::Address { .. } if len > 2 && input.ratio(3u8, 4u8)? => {
            let name = input.choose(&NAMES)?.replace('@', folder);
            let family = *input.choose(&[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK])?;
            [&(family as u16).to_le_bytes(), name.as_bytes()].concat()
        }
        Kind::MsgIn | Kind::MsgOut => {
            let [name, control, bytes] = [input.int_in_range(0..=130)?, input.int_in_range(0..=64)?, 40];
            let header = MessageHeader { name, control, bytes, flags: 0 };
            let rest = input.bytes(input.len().min((name + control + bytes) as usize))?;
            [&header.encode()[..], rest].concat()
        }
        _ => input.bytes(len.min(input.len()))?.to_vec(),
    };
    bytes.resize(len, 0);
    Ok(bytes)
}

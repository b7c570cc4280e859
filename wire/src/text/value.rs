//! Contents of memory as text: strings, structures, addresses, messages.

use crate::frame::MessageHeader;
use crate::kind::{Scalar, Struct};
use crate::names;
use crate::sizes::ABSENT;
use std::fmt::{Result, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Bytes of a buffer that are shown.
pub(super) const SHOWN: usize = 32;

/// Strings of an array, and elements of an array of structures, that are shown.
const MANY: usize = 16;

/// The bytes in quotes, all but printable ASCII escaped.
pub fn quote(out: &mut impl Write, bytes: &[u8]) -> Result {
    out.write_char('"')?;
    write!(out, "{}", bytes.escape_ascii())?;
    out.write_char('"')
}

/// The same of the first `most` bytes, with dots behind if there are more.
pub fn quote_cut(out: &mut impl Write, bytes: &[u8], most: usize) -> Result {
    quote(out, &bytes[..bytes.len().min(most)])?;
    if bytes.len() > most { out.write_str("...") } else { Ok(()) }
}

/// NUL-terminated strings, one after the other.
pub(super) fn strings(out: &mut impl Write, data: &[u8]) -> Result {
    let strings = data.strip_suffix(&[0]).unwrap_or(data).split(|&b| b == 0);
    list(out, strings.take(if data.is_empty() { 0 } else { usize::MAX }), |out, s| {
        quote_cut(out, s, 4 * SHOWN)
    })
}

/// Structures one after the other.
pub(super) fn array(out: &mut impl Write, of: &Struct, data: &[u8]) -> Result {
    list(out, data.chunks(of.size.max(1) as usize), |out, element| structure(out, of, element))
}

/// `[a, b, …]` of at most [`MANY`] elements.
fn list<W: Write, T>(
    out: &mut W,
    elements: impl Iterator<Item = T>,
    mut each: impl FnMut(&mut W, T) -> Result,
) -> Result {
    out.write_char('[')?;
    for (n, element) in elements.enumerate() {
        if n > 0 {
            out.write_str(", ")?;
        }
        if n == MANY {
            out.write_str("...")?;
            break;
        }
        each(out, element)?;
    }
    out.write_char(']')
}

/// `{member=value, …}`; members beyond the end of the data are left out.
pub(super) fn structure(out: &mut impl Write, of: &Struct, data: &[u8]) -> Result {
    if of.fields.is_empty() {
        return quote_cut(out, data, SHOWN);
    }
    out.write_char('{')?;
    for (n, field) in of.fields.iter().enumerate() {
        let Some(bytes) = data.get(field.at as usize..(field.at + field.scalar.size()) as usize) else {
            break;
        };
        let separator = if n > 0 { ", " } else { "" };
        write!(out, "{separator}{}=", field.name)?;
        scalar(out, field.scalar, little(bytes))?;
    }
    out.write_char('}')
}

fn scalar(out: &mut impl Write, scalar: Scalar, value: u64) -> Result {
    match scalar {
        Scalar::S16 => write!(out, "{}", value as i16),
        Scalar::S32 => write!(out, "{}", value as i32),
        Scalar::S64 => write!(out, "{}", value as i64),
        Scalar::U16 | Scalar::U32 | Scalar::U64 => write!(out, "{value}"),
        Scalar::X16 | Scalar::X32 | Scalar::X64 => write!(out, "{value:#x}"),
        Scalar::O32 => write!(out, "0{value:o}"),
    }
}

/// A number behind a pointer, signed.
pub(super) fn number(out: &mut impl Write, data: &[u8]) -> Result {
    match data.len() {
        4 => write!(out, "[{}]", little(data) as i32),
        _ => write!(out, "[{}]", little(data) as i64),
    }
}

/// At most eight bytes, least significant first.
fn little(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |value, &b| value << 8 | u64::from(b))
}

/// A socket address.
pub(super) fn address(out: &mut impl Write, data: &[u8]) -> Result {
    let Some((&[a, b], rest)) = data.split_first_chunk() else {
        return quote(out, data);
    };
    let family = u16::from_le_bytes([a, b]);
    match names::DOMAINS.name(family.into()) {
        Some(name) => write!(out, "{{sa_family={name}")?,
        None => write!(out, "{{sa_family={family:#x}")?,
    }
    match (i32::from(family), rest) {
        (libc::AF_UNIX, rest) => unix(out, rest)?,
        (libc::AF_INET, &[p, q, a, b, c, d, ..]) => {
            let (port, host) = (u16::from_be_bytes([p, q]), Ipv4Addr::new(a, b, c, d));
            write!(out, ", sin_port=htons({port}), sin_addr={host}")?;
        }
        (libc::AF_INET6, &[p, q, _, _, _, _, ref host @ ..]) if host.len() >= 16 => {
            let host: [u8; 16] = std::array::from_fn(|i| host[i]);
            let port = u16::from_be_bytes([p, q]);
            write!(out, ", sin6_port=htons({port}), sin6_addr={}", Ipv6Addr::from(host))?;
        }
        (_, rest) => {
            out.write_str(", sa_data=")?;
            quote_cut(out, rest, SHOWN)?;
        }
    }
    out.write_char('}')
}

/// A path, an abstract name (shown with `@`), or nothing (unix(7)).
fn unix(out: &mut impl Write, rest: &[u8]) -> Result {
    match rest {
        [] => Ok(()),
        [0, name @ ..] => {
            out.write_str(", sun_path=@")?;
            quote(out, name)
        }
        path => {
            out.write_str(", sun_path=")?;
            quote(out, path.split(|&b| b == 0).next().unwrap_or_default())
        }
    }
}

/// A message: its address, the size of its control data, its bytes.
pub(super) fn message(out: &mut impl Write, data: &[u8]) -> Result {
    let Some(header) = MessageHeader::decode(data) else {
        return quote_cut(out, data, SHOWN);
    };
    let [name, _, bytes] = header.parts();
    out.write_str("{msg_name=")?;
    match header.name {
        ABSENT | 0 => out.write_str("NULL")?,
        _ => address(out, &data[name])?,
    }
    out.write_str(", msg_iov=")?;
    quote_cut(out, &data[bytes], SHOWN)?;
    if header.control != ABSENT {
        write!(out, ", msg_controllen={}", header.control)?;
    }
    out.write_char('}')
}

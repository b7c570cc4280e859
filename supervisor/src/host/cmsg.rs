//! The layout of control data (cmsg(3)): pieces, each with a header of length, level and type.

use nix::errno::Errno;
use std::ops::Range;

/// Bytes of a `cmsghdr`.
pub const HEADER: usize = 16;
/// Descriptors, as level and type.
pub const RIGHTS: (i32, i32) = (libc::SOL_SOCKET, libc::SCM_RIGHTS);
/// Process, user and group of the sender.
pub const CREDENTIALS: (i32, i32) = (libc::SOL_SOCKET, libc::SCM_CREDENTIALS);

/// One piece of control data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where its data lie.
    pub data: Range<usize>,
    /// Level and type.
    pub kind: (i32, i32),
}

/// The pieces as the kernel walks them (CMSG_NXTHDR); EINVAL where a length is wrong.
pub fn pieces(control: &[u8]) -> Result<Vec<Piece>, Errno> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(header) = control.get(at..at + HEADER) {
        let len = u64::from_le_bytes(std::array::from_fn(|i| header[i])) as usize;
        if len < HEADER || len > control.len() - at {
            return Err(Errno::EINVAL);
        }
        found.push(Piece { data: at + HEADER..at + len, kind: (i32_at(header, 8), i32_at(header, 12)) });
        at += len.next_multiple_of(8);
    }
    Ok(found)
}

/// A number in control data.
pub fn i32_at(b: &[u8], at: usize) -> i32 {
    i32::from_le_bytes(std::array::from_fn(|i| b[at + i]))
}

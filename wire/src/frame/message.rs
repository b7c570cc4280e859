//! How a message (sendmsg(2), recvmsg(2)) crosses.

use super::words::u32_at;
use crate::sizes::{ABSENT, ALIGN};
use std::ops::Range;

/// The head of a message's data (sendmsg(2), recvmsg(2)); behind it lie name, control data and bytes, each
/// rounded up to [`ALIGN`]. For a message to receive the lengths are capacities; the reply's header says what
/// was filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageHeader {
    /// Bytes of the address, or [`ABSENT`].
    pub name: u32,
    /// Bytes of control data, or [`ABSENT`].
    pub control: u32,
    /// Bytes of the gathered vectors.
    pub bytes: u32,
    /// `msg_flags` (in a reply).
    pub flags: u32,
}

impl MessageHeader {
    /// Bytes on the wire.
    pub const SIZE: usize = 16;

    /// The bytes.
    pub fn encode(&self) -> [u8; 16] {
        let mut b = [0; 16];
        for (i, n) in [self.name, self.control, self.bytes, self.flags].into_iter().enumerate() {
            b[4 * i..4 * i + 4].copy_from_slice(&n.to_le_bytes());
        }
        b
    }

    /// From the start of a message's data, if the parts lie within it.
    pub fn decode(data: &[u8]) -> Option<MessageHeader> {
        Self::decode_head(data).filter(|h| h.parts().iter().all(|p| p.end <= data.len()))
    }

    /// From its own bytes alone (a reply's, whose lengths may exceed the capacities).
    pub fn decode_head(data: &[u8]) -> Option<MessageHeader> {
        let b = data.get(..Self::SIZE)?;
        Some(MessageHeader {
            name: u32_at(b, 0),
            control: u32_at(b, 4),
            bytes: u32_at(b, 8),
            flags: u32_at(b, 12),
        })
    }

    /// Where name, control data and bytes lie in the message's data.
    pub fn parts(&self) -> [Range<usize>; 3] {
        let mut at = Self::SIZE;
        [self.name, self.control, self.bytes].map(|n| {
            let n = if n == ABSENT { 0 } else { n as usize };
            let r = at..at.saturating_add(n);
            at = r.end.checked_next_multiple_of(ALIGN).unwrap_or(usize::MAX);
            r
        })
    }
}

//! `msghdr` of sendmsg(2) and recvmsg(2) in guest memory, and its form on the channel ([`MessageHeader`]).

use super::vectors::{gather, scatter};
use crate::channel::Slot;
use crate::guest::access;
use crate::guest::read::{Vectors, vectors};
use crate::process::Process;
use nix::errno::Errno;
use rxbox_wire::frame::{MessageHeader, Request};
use rxbox_wire::sizes::ABSENT;
use std::ops::Range;

/// Bytes of a `msghdr`.
const HEADER: usize = 56;
/// Longest socket address (`struct sockaddr_storage`).
const NAME_MAX: u64 = 128;
/// More control data than any message carries (net.core.optmem_max's default).
const CONTROL_MAX: u64 = 20480;

/// The guest's `msghdr`, read once.
#[derive(Clone, Debug)]
struct Guest {
    addr: u64,
    name: (u64, u64),
    control: (u64, u64),
    vectors: Vectors,
}

impl Guest {
    fn read(addr: u64) -> Result<Guest, Errno> {
        let mut b = [0; HEADER];
        access::copy_in(&mut b, addr)?;
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| b[at + i]));
        let name_len = word(8) & 0xffff_ffff;
        if name_len > i32::MAX as u64 {
            return Err(Errno::EINVAL);
        }
        Ok(Guest {
            addr,
            name: (word(0), name_len),
            control: (word(32), word(40)),
            vectors: vectors(word(16), word(24))
                .map_err(|e| if e == Errno::EINVAL { Errno::EMSGSIZE } else { e })?,
        })
    }

    fn bytes(&self) -> u64 {
        self.vectors.iter().map(|v| v.1).sum()
    }

    /// The flags of a request with this header.
    fn flags(&self, header: &MessageHeader) -> u32 {
        if u64::from(header.bytes) < self.bytes() { Request::PART } else { 0 }
    }

    /// The header that a message of these parts has in `room` bytes: the transferred bytes are cut to what is
    /// left.
    fn header(&self, name: u64, control: u64, room: usize) -> MessageHeader {
        let part = |addr: u64, len: u64| if addr == 0 { ABSENT } else { len as u32 };
        let mut h = MessageHeader {
            name: part(self.name.0, name),
            control: part(self.control.0, control),
            bytes: 0,
            flags: 0,
        };
        let used = h.parts()[2].start;
        h.bytes = self.bytes().min(room.saturating_sub(used) as u64) as u32;
        h
    }
}

/// The vectors of the `msghdr` at a guest address.
pub fn vectors_at(addr: u64) -> Result<Vectors, Errno> {
    Guest::read(addr).map(|guest| guest.vectors)
}

/// A message to send.
#[derive(Clone, Debug)]
pub struct Send {
    guest: Guest,
    header: MessageHeader,
}

impl Send {
    /// Reads the header at a guest address, for a place with `room` bytes.
    pub fn read(addr: u64, room: usize) -> Result<Send, Errno> {
        let guest = Guest::read(addr)?;
        if guest.control.0 != 0 && guest.control.1 > CONTROL_MAX {
            return Err(Errno::ENOBUFS);
        }
        let header = guest.header(guest.name.1.min(NAME_MAX), guest.control.1, room);
        Ok(Send { guest, header })
    }

    /// Bytes on the channel.
    pub fn size(&self) -> usize {
        self.header.parts()[2].end
    }

    /// The request's flags: [`Request::PART`] if not all bytes fit.
    pub fn flags(&self) -> u32 {
        self.guest.flags(&self.header)
    }

    /// Writes header and parts at `start`.
    pub fn write(&self, slot: &Slot, start: usize) -> Result<(), Errno> {
        let [name, control, bytes] = self.header.parts();
        let one = |addr: u64, len: usize| vec![(addr, len as u64)];
        slot.write(start, &self.header.encode());
        gather(slot, start + name.start, name.len(), &one(self.guest.name.0, name.len()))?;
        gather(slot, start + control.start, control.len(), &one(self.guest.control.0, control.len()))?;
        gather(slot, start + bytes.start, bytes.len(), &self.guest.vectors)
    }
}

/// A message to receive into.
#[derive(Clone, Debug)]
pub struct Receive {
    guest: Guest,
    header: MessageHeader,
}

impl Receive {
    /// Reads the header at a guest address, for a place with `room` bytes.
    pub fn read(addr: u64, room: usize) -> Result<Receive, Errno> {
        let guest = Guest::read(addr)?;
        let header = guest.header(guest.name.1.min(NAME_MAX), guest.control.1.min(CONTROL_MAX), room);
        Ok(Receive { guest, header })
    }

    /// Bytes on the channel.
    pub fn size(&self) -> usize {
        self.header.parts()[2].end
    }

    /// As [`Send::flags`].
    pub fn flags(&self) -> u32 {
        self.guest.flags(&self.header)
    }

    /// Writes the header with the capacities at `start`.
    pub fn write(&self, slot: &Slot, start: usize) {
        slot.write(start, &self.header.encode());
    }

    /// Copies a filled message back: the parts lie where the capacities put them, the header in front says
    /// how much of each was filled (of the name: its whole length, which may exceed what was given).
    pub fn fill(&self, process: &Process, slot: &Slot, start: usize) -> Result<(), Errno> {
        let Some(filled) = MessageHeader::decode_head(&slot.read(start, MessageHeader::SIZE)) else {
            return Ok(());
        };
        let [name, control, bytes] = self.header.parts();
        let cut =
            |len: u32, part: &Range<usize>| if len == ABSENT { 0 } else { part.len().min(len as usize) };
        let one = |addr: u64, len: usize| vec![(addr, len as u64)];
        let (name_len, control_len) = (cut(filled.name, &name), cut(filled.control, &control));
        scatter(process, slot, start + name.start, name_len, &one(self.guest.name.0, name_len))?;
        scatter(process, slot, start + control.start, control_len, &one(self.guest.control.0, control_len))?;
        scatter(process, slot, start + bytes.start, cut(filled.bytes, &bytes), &self.guest.vectors)?;
        let name_len = if filled.name == ABSENT { 0 } else { filled.name };
        process.copy_out(self.guest.addr + 8, &name_len.to_le_bytes())?;
        process.copy_out(self.guest.addr + 40, &(control_len as u64).to_le_bytes())?;
        process.copy_out(self.guest.addr + 48, &filled.flags.to_le_bytes())?;
        Ok(())
    }
}

//! `ifconf` (netdevice(7)) in guest memory, by which ioctl(2) gives a list of interfaces.

use crate::channel::Slot;
use crate::guest::access;
use crate::process::Process;
use nix::errno::Errno;
use rxbox_wire::sizes::{LIST_HEAD, LIST_MAX};

/// The guest's `ifconf`, read once.
#[derive(Clone, Debug)]
pub struct List {
    addr: u64,
    /// Where the list goes; null if only its length is asked for.
    buffer: u64,
    room: usize,
}

impl List {
    /// Reads it at a guest address.
    pub fn read(addr: u64) -> Result<List, Errno> {
        let len = access::read_u32(addr)? as i32;
        let buffer = access::read_u64(addr + 8)?;
        let room = usize::try_from(len).map_err(|_| Errno::EINVAL)?.min(LIST_MAX);
        Ok(List { addr, buffer, room: if buffer == 0 { 0 } else { room } })
    }

    /// Bytes on the channel.
    pub fn size(&self) -> usize {
        LIST_HEAD + self.room
    }

    /// Copies the list that lies at `start` back, as much as there is room for, and its length.
    pub fn fill(&self, process: &Process, slot: &Slot, start: usize) -> Result<(), Errno> {
        let len = slot.read(start, 4).first_chunk().map_or(0, |len| u32::from_le_bytes(*len));
        if self.buffer == 0 {
            return process.copy_out(self.addr, &len.to_le_bytes());
        }
        let told = self.room.min(len as usize);
        process.copy_from_slot(slot, start + LIST_HEAD, self.buffer, told)?;
        process.copy_out(self.addr, &(told as u32).to_le_bytes())
    }
}

//! Carrying a system call's arguments across the channel, as the table says.
//!
//! Nothing here knows single calls. Guest memory is read and written only through [`crate::guest::access`],
//! so a bad pointer is noticed. That, and whatever else is wrong with what an argument stands for, is told to
//! the supervisor, which gives the error where the kernel would: not before it has looked at what the kernel
//! looks at first.

use super::vectors::{gather, gather_some, scatter};
use super::{interfaces, msghdr};
use crate::channel::Slot;
use crate::guest::access;
use crate::guest::read::{Vectors, is_beyond, strings, vectors};
use crate::process::Process;
use crate::thread::Thread;
use crate::thread::request::{self, View};
use crate::thread::restart_block::Remaining;
use nix::errno::Errno;
use rxbox_wire::frame::{self, Length, Reply, Request};
use rxbox_wire::kind::{Arg, Extent, Kind, Presence, Syscall};
use rxbox_wire::sizes::{ABSENT, ALIGN, BULK_MAX, DATA_SIZE, FAULT, STRING_MAX, STRINGS_MAX, WRONG, wrong};

/// What an argument's data are on the guest's side.
#[derive(Clone, Debug)]
enum Side {
    /// Not memory, or a null pointer.
    None,
    /// Bytes at an address that the reply may fill.
    Out(u64),
    /// Vectors that the reply may fill.
    Scatter(Vectors),
    /// A message that the reply may fill.
    Message(msghdr::Receive),
    /// A list of interfaces that the reply may fill.
    Interfaces(interfaces::List),
}

/// One request in the making: lengths so far, and where the next data go.
struct Packer<'a> {
    slot: &'a Slot,
    process: &'a Process,
    len: [u32; 6],
    flags: u32,
    at: usize,
    view: Option<View>,
}

impl Packer<'_> {
    /// Places `len` bytes for argument `i`; returns where they begin.
    fn place(&mut self, i: usize, len: u64) -> Result<usize, Errno> {
        let start = self.at;
        if len > DATA_SIZE as u64 || start + len as usize > DATA_SIZE {
            return Err(Errno::EINVAL);
        }
        self.len[i] = len as u32;
        self.at = (start + len as usize).next_multiple_of(ALIGN);
        Ok(start)
    }

    fn room(&self) -> usize {
        DATA_SIZE.saturating_sub(self.at)
    }

    /// Copies guest memory into the data area.
    fn copy_in(&mut self, i: usize, addr: u64, len: u64) -> Result<(), Errno> {
        let start = self.place(i, len)?;
        Ok(self.slot.copy_from_guest(start, addr, len as usize)?)
    }

    /// Copies as much of guest memory as there is, at most `most` bytes.
    fn copy_some(&mut self, i: usize, addr: u64, most: u64) -> Result<(), Errno> {
        let vectors = vec![(addr, most)];
        let n = gather_some(self.slot, self.at, most as usize, &vectors)?;
        self.place(i, n as u64).map(drop)
    }

    fn path(&mut self, i: usize, addr: u64) -> Result<(), Errno> {
        let path = access::copy_str(addr, STRING_MAX as usize)?;
        self.view = self.view.or(View::named(&path));
        self.terminated(i, &path)
    }

    /// A name; one that exceeds every limit on names is cut, and refused where the limit is known.
    fn text(&mut self, i: usize, addr: u64) -> Result<(), Errno> {
        match access::copy_str(addr, STRING_MAX as usize) {
            Ok(text) => self.terminated(i, &text),
            Err(Errno::ENAMETOOLONG) => {
                let mut text = vec![0; STRING_MAX as usize - 1];
                access::copy_in(&mut text, addr)?;
                self.terminated(i, &text)
            }
            Err(e) => Err(e),
        }
    }

    fn terminated(&mut self, i: usize, text: &[u8]) -> Result<(), Errno> {
        let start = self.place(i, text.len() as u64 + 1)?;
        self.slot.write(start, text);
        self.slot.write(start + text.len(), &[0]);
        Ok(())
    }

    /// Copies what the vectors show, at most as much as one transfer moves.
    fn gather(&mut self, i: usize, vectors: &Vectors) -> Result<(), Errno> {
        let total = vectors.iter().map(|v| v.1).sum::<u64>().min(BULK_MAX as u64) as usize;
        let start = self.place(i, total as u64)?;
        gather(self.slot, start, total, vectors)
    }

    /// As many whole strings as the supervisor is shown.
    fn strings(&mut self, i: usize, addr: u64) -> Result<(), Errno> {
        let mut all = Vec::new();
        for text in strings(addr)? {
            if all.len() + text.len() + 1 > STRINGS_MAX as usize {
                break;
            }
            all.extend(text);
            all.push(0);
        }
        let start = self.place(i, all.len() as u64)?;
        self.slot.write(start, &all);
        Ok(())
    }
}

/// Sends one call and copies back what it gives.
pub fn exchange(thread: &Thread, call: &'static Syscall, args: &[u64; 6]) -> Result<Reply, Errno> {
    let (slot, process) = (&thread.slot, thread.process);
    let (kinds, _) = rxbox_wire::table::kinds(call, args);
    let wanted = *args;
    let mut args = frame::cut(&kinds, args);
    let mut packed = pack_all(thread, &kinds, &mut args)?;
    if let Some(view) = packed.view {
        // The request for the view uses the data area too.
        request::view(thread, view);
        packed = pack_all(thread, &kinds, &mut args)?;
    }
    let Packed { len, mut flags, sides, .. } = packed;
    if is_part_of_payload(&kinds, &wanted, &args) {
        flags |= Request::PART;
    }
    let mut reply = slot.call(&thread.cpu, &Request { nr: call.nr, flags, args, len });
    if reply.ret == -i64::from(libc::EINVAL) && is_short_of_records(&kinds, &wanted, &args) {
        reply.ret = -i64::from(libc::EFAULT);
    }
    let places = frame::place(&len).unwrap_or_default();
    // As in the kernel the length of what is given is told first, and what follows a fault is not given.
    for lengths in [true, false] {
        for (i, side) in sides.iter().enumerate() {
            let n = (reply.out[i] as usize).min(places[i].len);
            if n == 0 || is_length(&kinds, i) != lengths {
                continue;
            }
            let unpacked = unpack(process, slot, side, places[i].start, n);
            // A time that is counted down may lie in read-only memory (select(2)).
            if !matches!(kinds[i].kind, Kind::InOut(_, Extent::Timeout(..))) {
                unpacked?;
            }
        }
    }
    Ok(reply)
}

/// Whether argument `i` points at the length of what another one points at.
fn is_length(kinds: &[Arg; 6], i: usize) -> bool {
    kinds.iter().any(|arg| match arg.kind {
        Kind::Out(_, Extent::Behind { pointer, .. }) => usize::from(pointer) == i,
        _ => false,
    })
}

/// All arguments in their places.
struct Packed {
    len: [u32; 6],
    flags: u32,
    sides: [Side; 6],
    /// A path speaks of a file below `/proc/self` that only the child can write.
    view: Option<View>,
}

/// Packs what the registers point at, but for the time that remains, which comes from the runtime.
fn pack_all(thread: &Thread, kinds: &[Arg; 6], args: &mut [u64; 6]) -> Result<Packed, Errno> {
    let (slot, process) = (&thread.slot, thread.process);
    let mut packer = Packer { slot, process, len: [ABSENT; 6], flags: 0, at: 0, view: None };
    let mut sides: [Side; 6] = [const { Side::None }; 6];
    for (i, side) in sides.iter_mut().enumerate() {
        let is_here = |r: &Remaining| r.at == i && matches!(kinds[i].kind, Kind::In(..));
        if let Some(remaining) = thread.remaining.filter(is_here) {
            let bytes = remaining.bytes();
            let start = packer.place(i, bytes.len() as u64)?;
            slot.write(start, &bytes);
            continue;
        }
        let before = packer.at;
        match pack(&mut packer, i, kinds, args) {
            Ok(packed) => *side = packed,
            Err(e) if WRONG.contains(&(e as i32)) => {
                (packer.len[i], packer.at) = (wrong(e as i32), before);
                packer.flags |= if is_beyond(args[i], 1) { Request::BEYOND } else { 0 };
            }
            Err(e) => return Err(e),
        }
    }
    Ok(Packed { len: packer.len, flags: packer.flags, sides, view: packer.view })
}

fn pack(p: &mut Packer<'_>, i: usize, kinds: &[Arg; 6], args: &mut [u64; 6]) -> Result<Side, Errno> {
    let mut addr = args[i];
    if let Some(Presence::With { other }) = kinds[i].kind.presence()
        && args[usize::from(other)] == 0
    {
        // Not looked at.
        addr = 0;
    }
    // Of vectors the kernel looks at their number first.
    let counted = matches!(kinds[i].kind, Kind::IovecIn { .. } | Kind::IovecOut { .. });
    if addr == 0
        && !counted
        && let Some(mut len) = frame::null(kinds, i, args)
    {
        // What is beyond the call's limits is refused for that, and where there are no bytes there is no
        // pointer to follow.
        if len == FAULT && bytes(kinds, i, args)? == 0 {
            len = 0;
            p.place(i, 0)?;
        }
        p.len[i] = len;
        return Ok(Side::None);
    }
    match kinds[i].kind {
        Kind::Path(_) => p.path(i, addr)?,
        Kind::Text(_) => p.text(i, addr)?,
        Kind::Strings => p.strings(i, addr)?,
        Kind::In(_, Extent::Within(most)) => p.copy_some(i, addr, most.into())?,
        Kind::InOut(_, Extent::Within(most)) => {
            p.copy_some(i, addr, most.into())?;
            return Ok(Side::Out(addr));
        }
        Kind::In(..) | Kind::Address { .. } => p.copy_in(i, addr, bytes(kinds, i, args)?)?,
        Kind::InOut(..) => {
            p.copy_in(i, addr, bytes(kinds, i, args)?)?;
            return Ok(Side::Out(addr));
        }
        Kind::Out(Presence::Probed, extent) => {
            let wanted = bytes(kinds, i, args)?;
            let mut room = p.process.writable(addr, wanted);
            if let Extent::Records { count } | Extent::Bulk { count } = extent
                && room > 0
            {
                args[usize::from(count)] = room;
            } else if room < wanted {
                room = 0;
            }
            if room == 0 && wanted > 0 {
                return Err(Errno::EFAULT);
            }
            p.place(i, room)?;
            return Ok(Side::Out(addr));
        }
        Kind::Out(..) => {
            let wanted = bytes(kinds, i, args)?;
            if wanted > 0 && is_beyond(addr, 1) {
                return Err(Errno::EFAULT);
            }
            p.place(i, wanted)?;
            return Ok(Side::Out(addr));
        }
        Kind::IovecIn { count } => p.gather(i, &vectors(addr, frame::count(kinds, count, args))?)?,
        Kind::IovecOut { count } => {
            let vectors = vectors(addr, frame::count(kinds, count, args))?;
            let total = vectors.iter().map(|v| v.1).sum::<u64>().min(BULK_MAX as u64);
            p.place(i, total)?;
            return Ok(Side::Scatter(vectors));
        }
        Kind::MsgIn => {
            let m = msghdr::Send::read(addr, p.room())?;
            let start = p.place(i, m.size() as u64)?;
            m.write(p.slot, start)?;
            p.flags |= m.flags();
        }
        Kind::MsgOut => {
            let m = msghdr::Receive::read(addr, p.room())?;
            let start = p.place(i, m.size() as u64)?;
            m.write(p.slot, start);
            p.flags |= m.flags();
            return Ok(Side::Message(m));
        }
        Kind::InterfaceList => {
            let list = interfaces::List::read(addr)?;
            p.place(i, list.size() as u64)?;
            return Ok(Side::Interfaces(list));
        }
        _ => {}
    }
    Ok(Side::None)
}

/// Whether there was room for fewer bytes of records than the guest says: what does not fit is then a fault,
/// not too small a buffer.
fn is_short_of_records(kinds: &[Arg; 6], wanted: &[u64; 6], sent: &[u64; 6]) -> bool {
    kinds.iter().any(|arg| match arg.kind {
        Kind::Out(_, Extent::Records { count }) => {
            frame::count(kinds, count, sent) < frame::count(kinds, count, wanted).min(BULK_MAX as u64)
        }
        _ => false,
    })
}

/// Whether bytes that may be one message were cut.
fn is_part_of_payload(kinds: &[Arg; 6], wanted: &[u64; 6], sent: &[u64; 6]) -> bool {
    kinds.iter().any(|arg| match arg.kind {
        Kind::In(_, Extent::Payload { count }) | Kind::Out(_, Extent::Payload { count }) => {
            sent[usize::from(count)] != wanted[usize::from(count)]
        }
        _ => false,
    })
}

/// The exact number of bytes that the data of argument `i` take.
fn bytes(kinds: &[Arg; 6], i: usize, args: &[u64; 6]) -> Result<u64, Errno> {
    if let Kind::In(_, e) | Kind::Out(_, e) | Kind::InOut(_, e) = kinds[i].kind
        && let Extent::Behind { pointer, cap } = e
    {
        let at = args[pointer as usize];
        let value = if at == 0 { 0 } else { access::read_u32(at)? };
        // A length is an int to the kernel, and a negative one is refused.
        return if value > i32::MAX as u32 { Err(Errno::EINVAL) } else { Ok(u64::from(value.min(cap))) };
    }
    match frame::length(kinds, i, args) {
        Some(Length::Exactly(n) | Length::AtMost(n)) => Ok(n),
        Some(Length::TooMany { errno }) => Err(Errno::from_raw(errno)),
        None => Ok(0),
    }
}

fn unpack(process: &Process, slot: &Slot, side: &Side, start: usize, n: usize) -> Result<(), Errno> {
    match side {
        Side::None => Ok(()),
        Side::Out(addr) => process.copy_from_slot(slot, start, *addr, n),
        Side::Scatter(vectors) => scatter(process, slot, start, n, vectors),
        Side::Message(m) => m.fill(process, slot, start),
        Side::Interfaces(list) => list.fill(process, slot, start),
    }
}

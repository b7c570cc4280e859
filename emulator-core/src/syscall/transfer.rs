//! Reads and writes of any size through a data area of a fixed size.
//!
//! A transfer that exceeds the data area goes in pieces. What the guest sees is what one call gives: a piece
//! follows only where the last one was taken whole, on what the supervisor says has no messages (a regular
//! file, a stream) or in a write(2), and whatever ends the transfer after the first piece ends it with what
//! was done.
//!
//! Memory that cannot be read or written cuts a transfer short or makes it fail, as the kernel has it for the
//! kind of file: a message is whole or an error. So the supervisor is told that bad memory follows the bytes
//! that cross, or that there is no other, and the kernel gets the same. For a read this is looked up before,
//! so that nothing is read that has no place.

use super::vectors::{gather_some, scatter};
use super::{marshal, msghdr};
use crate::base::result::SyscallResult;
use crate::guest::read::{Vectors, advance, is_beyond, vectors};
use crate::signal::descriptor;
use crate::thread::Thread;
use nix::errno::Errno;
use rxbox_wire::frame::{Reply, Request};
use rxbox_wire::kind::{Bulk, Pieces, Splice, Syscall};
use rxbox_wire::sizes::{ABSENT, BULK_MAX, FAULT, PIECE};
use rxbox_wire::table;

/// Linux cuts every transfer to this (read(2)).
const LONGEST: u64 = 0x7fff_f000;

/// Carries out a transfer call.
pub fn transfer(thread: &mut Thread, call: &'static Syscall, args: [u64; 6], shape: Pieces) -> SyscallResult {
    begin(thread, call, args, shape).into()
}

fn begin(
    thread: &mut Thread,
    call: &'static Syscall,
    args: [u64; 6],
    shape: Pieces,
) -> Result<SyscallResult, Errno> {
    let (buffer, count) = (args[usize::from(shape.buffer)], args[usize::from(shape.count)]);
    if !shape.vectored && is_beyond(buffer, count) {
        let (mut args, mut len) = (args, [ABSENT; 6]);
        args[usize::from(shape.count)] = count.min(BULK_MAX as u64);
        len[usize::from(shape.buffer)] = FAULT;
        let request = Request { nr: call.nr, flags: Request::BEYOND, args, len };
        return Ok(SyscallResult::from(&thread.slot.call(&thread.cpu, &request)));
    }
    let rest: Vectors = match shape.vectored.then(|| vectors(buffer, count)) {
        None => vec![(buffer, count.min(LONGEST))],
        Some(Ok(rest)) => rest,
        // The supervisor says so, unless there is something to say of the descriptor.
        Some(Err(_)) => Vec::new(),
    };
    if rest.iter().all(|v| v.1 == 0) {
        return Ok(SyscallResult::from(&marshal::exchange(thread, call, &args)?));
    }
    pieces(thread, call, args, shape, rest, 0)
}

/// vmsplice(2) as a write to a pipe or a read from it; `approved` is the supervisor's [`Splice`].
pub fn vmsplice(thread: &mut Thread, args: &[u64; 6], approved: i64) -> SyscallResult {
    const OWN_POSITION: u64 = u64::MAX;
    if approved == Splice::Nothing as i64 {
        return match vectors(args[1], args[2]) {
            Ok(all) if all.iter().all(|v| v.1 == 0) => SyscallResult::Value(0),
            Ok(_) => Errno::EBADF.into(),
            Err(e) => e.into(),
        };
    }
    let nr = if approved == Splice::Write as i64 { libc::SYS_pwritev2 } else { libc::SYS_preadv2 };
    let Some(call) = table::row(nr as u32) else { return Errno::ENOSYS.into() };
    let flags = if args[3] as u32 & libc::SPLICE_F_NONBLOCK != 0 { libc::RWF_NOWAIT } else { 0 };
    let args = [args[0], args[1], args[2], OWN_POSITION, OWN_POSITION, flags as u64];
    let Bulk::Pieces(shape) = call.bulk(&args) else { return Errno::ENOSYS.into() };
    transfer(thread, call, args, shape)
}

/// sendmsg(2). On a stream, what exceeds the data area follows in pieces that have neither address nor
/// control data.
pub fn send_message(thread: &mut Thread, call: &'static Syscall, args: [u64; 6]) -> SyscallResult {
    let message = match marshal::exchange(thread, call, &args) {
        Ok(reply) if reply.ret > 0 && reply.flags & Reply::MORE != 0 => reply,
        Ok(reply) => return SyscallResult::from(&reply),
        Err(e) => return e.into(),
    };
    let sent = SyscallResult::Value(message.ret);
    let Ok(mut rest) = msghdr::vectors_at(args[1]) else { return sent };
    advance(&mut rest, message.ret as u64);
    let (Some(&(addr, _)), Some(send)) = (rest.first(), table::row(libc::SYS_sendto as u32)) else {
        return sent;
    };
    let send_args = [args[0], addr, 0, args[2], 0, 0];
    let Bulk::Pieces(shape) = send.bulk(&send_args) else { return sent };
    pieces(thread, send, send_args, shape, rest, message.ret as u64).unwrap_or(sent)
}

/// Moves `rest` in pieces, after the `done` bytes that are moved already.
fn pieces(
    thread: &mut Thread,
    call: &'static Syscall,
    args: [u64; 6],
    shape: Pieces,
    mut rest: Vectors,
    mut done: u64,
) -> Result<SyscallResult, Errno> {
    let mut left = rest.iter().map(|v| v.1).sum::<u64>().min(LONGEST - done);
    let ended = |done: u64| Ok(SyscallResult::Value(done as i64));
    loop {
        let part = left > BULK_MAX as u64;
        // The first one may have to take a whole message.
        let most = if done == 0 && !shape.write { BULK_MAX } else { PIECE };
        let next = Piece { n: if part { most } else { left as usize }, done, part };
        let (reply, n) = match send_piece(thread, call, &args, shape, &rest, next) {
            Ok(exchanged) => exchanged,
            Err(_) if done > 0 => return ended(done),
            Err(e) => return Err(e),
        };
        if reply.flags & Reply::GRANTED != 0 {
            return Ok(descriptor::read(thread, reply.ret as u64, &rest));
        }
        if reply.ret < 0 {
            return if done > 0 { ended(done) } else { Ok(SyscallResult::from(&reply)) };
        }
        if reply.ret > n as i64 {
            // The whole length of a message that was cut (MSG_TRUNC).
            return ended(done + reply.ret as u64);
        }
        let moved = reply.ret as u64;
        done += moved;
        left -= moved;
        advance(&mut rest, moved);
        let goes_on = shape.persistent || reply.flags & Reply::MORE != 0;
        if moved < n as u64 || left == 0 || !goes_on || thread.cpu.pending() {
            return ended(done);
        }
    }
}

/// A piece of a transfer.
#[derive(Clone, Copy)]
struct Piece {
    /// Bytes, or more than there are where memory ends.
    n: usize,
    /// How far into the transfer it begins.
    done: u64,
    /// Whether more than it are wanted.
    part: bool,
}

/// Sends one piece; gives how many bytes it had.
fn send_piece(
    thread: &mut Thread,
    call: &'static Syscall,
    args: &[u64; 6],
    shape: Pieces,
    rest: &Vectors,
    Piece { n: wanted, done, part }: Piece,
) -> Result<(Reply, usize), Errno> {
    let slot = &thread.slot;
    let there = if shape.write { gather_some(slot, 0, wanted, rest)? } else { room(thread, wanted, rest) };
    let (len, n) = if there == 0 { (FAULT, wanted) } else { (there as u32, there) };
    let mut args = *args;
    if !shape.vectored {
        args[usize::from(shape.count)] = n as u64;
    }
    // An offset of -1 in preadv2 and pwritev2 is the file's own position.
    if let Some(at) = shape.offset.map(usize::from)
        && args[at] != u64::MAX
    {
        args[at] = args[at].wrapping_add(done);
    }
    let buffer = usize::from(shape.buffer);
    let mut lens = [ABSENT; 6];
    lens[buffer] = len;
    let cut = if there > 0 && there < wanted { Request::CUT } else { 0 };
    let flags = cut | if part { Request::PART } else { 0 };
    let reply = slot.call(&thread.cpu, &Request { nr: call.nr, flags, args, len: lens });
    let filled = (reply.out[buffer] as usize).min(there);
    if !shape.write && filled > 0 {
        scatter(thread.process, slot, 0, filled, rest)?;
    }
    // What ends with its memory has no next piece.
    Ok((reply, if cut == 0 { n } else { wanted }))
}

/// How many of the first `n` bytes of the vectors can be written.
fn room(thread: &Thread, n: usize, rest: &Vectors) -> usize {
    let mut room = 0;
    for &(addr, len) in rest {
        let wanted = len.min(n as u64 - room);
        let writable = thread.process.writable(addr, wanted);
        room += writable;
        if writable < wanted {
            break;
        }
    }
    room as usize
}

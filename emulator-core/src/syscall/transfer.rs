//! Reads and writes of any size through a data area of a fixed size.
//!
//! A transfer that exceeds the data area goes in pieces. What the guest sees is what one call gives: a read goes on only
//! where the supervisor says that a full piece was not a short count (a regular file), a write goes on as long as pieces
//! are taken whole, and whatever ends the transfer after the first piece ends it with what was done.

use super::marshal::{self, Error, Vectors, gather_at, scatter, vectors};
use super::{Answer, answer};
use crate::thread::Thread;
use rxbox_wire::channel::BULK_MAX;
use rxbox_wire::frame::{ABSENT, Reply, Request};
use rxbox_wire::kind::Syscall;

/// How a transfer call is shaped.
#[derive(Clone, Copy, Debug)]
struct Shape {
    write: bool,
    /// The buffer is an array of vectors, counted by argument 2.
    vectored: bool,
    /// Argument 3 is a file offset.
    positioned: bool,
}

fn shape(nr: u32) -> Option<Shape> {
    let (write, vectored, positioned) = match i64::from(nr) {
        libc::SYS_read => (false, false, false),
        libc::SYS_write => (true, false, false),
        libc::SYS_pread64 => (false, false, true),
        libc::SYS_pwrite64 => (true, false, true),
        libc::SYS_readv => (false, true, false),
        libc::SYS_writev => (true, true, false),
        libc::SYS_preadv | libc::SYS_preadv2 => (false, true, true),
        libc::SYS_pwritev | libc::SYS_pwritev2 => (true, true, true),
        _ => return None,
    };
    Some(Shape { write, vectored, positioned })
}

/// Whether the call moves bytes between guest memory and a descriptor.
pub fn is_transfer(nr: u32) -> bool {
    shape(nr).is_some()
}

/// Carries out a transfer call.
pub fn transfer(thread: &mut Thread, call: &'static Syscall, args: [u64; 6]) -> Answer {
    let Some(shape) = shape(call.nr) else { return Answer::Value(-i64::from(libc::ENOSYS)) };
    match pieces(thread, call, args, shape) {
        Ok(answer) => answer,
        Err(e) => e.into(),
    }
}

fn pieces(
    thread: &mut Thread,
    call: &'static Syscall,
    args: [u64; 6],
    shape: Shape,
) -> Result<Answer, Error> {
    // Linux cuts every transfer to this (read(2)).
    const LONGEST: u64 = 0x7fff_f000;
    let mut rest: Vectors =
        if shape.vectored { vectors(args[1], args[2])? } else { vec![(args[1], args[2].min(LONGEST))] };
    let mut left = rest.iter().map(|v| v.1).sum::<u64>().min(LONGEST);
    if shape.vectored && left <= BULK_MAX as u64 || left == 0 {
        let reply = marshal::exchange(thread, call, &args)?;
        return Ok(answer(&reply));
    }
    let mut done = 0u64;
    loop {
        let n = left.min(BULK_MAX as u64) as usize;
        let reply = match piece(thread, call, &args, shape, &rest, n, done) {
            Ok(reply) => reply,
            Err(_) if done > 0 => return Ok(Answer::Value(done as i64)),
            Err(e) => return Err(e),
        };
        if reply.ret < 0 {
            return Ok(if done > 0 { Answer::Value(done as i64) } else { answer(&reply) });
        }
        let moved = (reply.ret as u64).min(n as u64);
        done += moved;
        left -= moved;
        advance(&mut rest, moved);
        let goes_on = shape.write || reply.flags & Reply::MORE != 0;
        if moved < n as u64 || left == 0 || !goes_on || thread.cpu.pending() {
            return Ok(Answer::Value(done as i64));
        }
    }
}

/// Sends one piece of `n` bytes, `done` bytes into the transfer.
fn piece(
    thread: &mut Thread,
    call: &'static Syscall,
    args: &[u64; 6],
    shape: Shape,
    rest: &Vectors,
    n: usize,
    done: u64,
) -> Result<Reply, Error> {
    let mut args = *args;
    if !shape.vectored {
        args[2] = n as u64;
    }
    // An offset of -1 in preadv2 and pwritev2 is the file's own position.
    if shape.positioned && args[3] != u64::MAX {
        args[3] = args[3].wrapping_add(done);
    }
    let slot = &thread.slot;
    if shape.write {
        gather_at(slot, 0, n, rest)?;
    }
    let mut len = [ABSENT; 6];
    len[1] = n as u32;
    let reply = slot.call(&thread.cpu, &Request { nr: call.nr, args, len });
    if !shape.write && reply.ret > 0 {
        scatter(thread.process, slot, 0, (reply.ret as usize).min(n), rest)?;
    }
    Ok(reply)
}

/// Takes `n` bytes off the front of the vectors.
fn advance(rest: &mut Vectors, mut n: u64) {
    for v in rest.iter_mut() {
        let step = v.1.min(n);
        *v = (v.0.wrapping_add(step), v.1 - step);
        n -= step;
    }
    rest.retain(|v| v.1 > 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advancing_vectors_drops_whole_ones_and_cuts_one() {
        let mut v = vec![(0x1000, 10), (0x2000, 0), (0x3000, 20)];
        advance(&mut v, 15);
        assert_eq!(v, [(0x3005, 15)]);
        advance(&mut v, 15);
        assert!(v.is_empty());
    }
}

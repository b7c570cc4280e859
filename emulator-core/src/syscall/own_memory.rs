//! process_vm_readv(2) and process_vm_writev(2) on the caller's own memory.

use crate::guest::access;
use crate::guest::layout::PAGE;
use crate::guest::read::{Vectors, advance, vectors};
use crate::thread::Thread;
use nix::errno::Errno;

/// process_vm_readv(2).
pub fn read(thread: &Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    let [local, remote] = sides(args)?;
    copy(thread, remote, local)
}

/// process_vm_writev(2).
pub fn write(thread: &Thread, args: &[u64; 6]) -> Result<i64, Errno> {
    let [local, remote] = sides(args)?;
    copy(thread, local, remote)
}

/// The vectors of the caller and those of the other side.
fn sides(args: &[u64; 6]) -> Result<[Vectors; 2], Errno> {
    let [_, local, locals, remote, remotes, _] = *args;
    let non_empty = |mut vectors: Vectors| {
        vectors.retain(|vector| vector.1 > 0);
        vectors
    };
    let local = non_empty(vectors(local, locals)?);
    // Where nothing is to be moved the kernel does not look at the other side.
    let remote = if local.is_empty() { Vectors::new() } else { non_empty(vectors(remote, remotes)?) };
    Ok([local, remote])
}

/// Copies until one side is at its end or cannot be accessed: how many bytes, or EFAULT for the first.
fn copy(thread: &Thread, mut from: Vectors, mut to: Vectors) -> Result<i64, Errno> {
    let mut done = 0;
    while let (Some(&(source, left)), Some(&(target, room))) = (from.first(), to.first()) {
        let mut piece = [0; PAGE as usize];
        let piece = &mut piece[..left.min(room).min(PAGE - source % PAGE) as usize];
        let copied = access::copy_in(piece, source).map_err(Errno::from);
        match copied.and_then(|()| thread.process.copy_out(target, piece)) {
            Ok(()) => {}
            Err(e) if done == 0 => return Err(e),
            Err(_) => break,
        }
        done += piece.len() as i64;
        advance(&mut from, piece.len() as u64);
        advance(&mut to, piece.len() as u64);
    }
    Ok(done)
}

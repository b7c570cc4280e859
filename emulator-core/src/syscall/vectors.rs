//! Between guest vectors (readv(2)) and the data area of a slot.

use crate::channel::Slot;
use crate::guest::read::Vectors;
use crate::process::Process;
use nix::errno::Errno;

/// Copies `total` bytes out of the vectors to the data area.
pub fn gather(slot: &Slot, start: usize, total: usize, vectors: &Vectors) -> Result<(), Errno> {
    match gather_some(slot, start, total, vectors)? {
        all if all == total => Ok(()),
        _ => Err(Errno::EFAULT),
    }
}

/// Copies `total` bytes out of the vectors to the data area, or as many as there are before the first that
/// cannot be read.
pub fn gather_some(slot: &Slot, start: usize, total: usize, vectors: &Vectors) -> Result<usize, Errno> {
    let mut done = 0;
    for &(addr, len) in vectors {
        let n = (len as usize).min(total - done);
        if n > slot.room(start + done) {
            return Err(Errno::EMSGSIZE);
        }
        match slot.copy_from_guest(start + done, addr, n) {
            Ok(()) => done += n,
            Err(fault) => return Ok(done + fault.done),
        }
    }
    Ok(done)
}

/// Copies `total` bytes of the data area into the vectors.
pub fn scatter(
    process: &Process,
    slot: &Slot,
    start: usize,
    total: usize,
    vectors: &Vectors,
) -> Result<(), Errno> {
    let mut done = 0;
    for &(addr, len) in vectors {
        let n = (len as usize).min(total - done);
        if n == 0 {
            continue;
        }
        process.copy_from_slot(slot, start + done, addr, n)?;
        done += n;
    }
    Ok(())
}

//! The list of robust futexes that a thread holds (get_robust_list(2), and "robust futexes" in the kernel's
//! documentation).
//!
//! When a thread ends, each word that it still owns gets the mark of a dead owner, and a waiter wakes. The
//! kernel does this for host threads, and is told the guest's list for the case that the process dies at
//! once. A thread that ends by itself does it here: the kernel would come too late, after the word at
//! clear_child_tid has told others that the thread is gone.

use crate::guest::access::{self, Fault};
use crate::host::futex;

/// Entries that are looked at, since a list can be a ring (ROBUST_LIST_LIMIT).
const MOST: usize = 2048;
/// Bit 0 of a pointer to an entry: the futex inherits priority.
const INHERITS: u64 = 1;

/// Marks all that thread `tid` holds in the list at `head`, as far as the list can be read.
pub fn release(head: u64, tid: i32) {
    if head != 0 {
        // As in the kernel, a list that cannot be read ends where it cannot.
        let _ = walk(head, tid as u32 & libc::FUTEX_TID_MASK);
    }
    futex::set_robust_list(0);
}

fn walk(head: u64, tid: u32) -> Result<(), Fault> {
    let offset = access::read_u64(head + 8)?;
    // The entry that was being added or taken off; it may be in the list or not.
    let pending = access::read_u64(head + 16)?;
    let word = |entry: u64| (entry & !INHERITS).wrapping_add(offset);
    let mut entry = access::read_u64(head)?;
    for _ in 0..MOST {
        if entry & !INHERITS == head {
            break;
        }
        let next = access::read_u64(entry & !INHERITS);
        if entry & !INHERITS != pending & !INHERITS {
            mark(word(entry), tid, entry & INHERITS != 0)?;
        }
        entry = next?;
    }
    if pending & !INHERITS != 0 {
        mark(word(pending), tid, pending & INHERITS != 0)?;
    }
    Ok(())
}

/// Marks one word, if the thread owns it.
fn mark(word: u64, tid: u32, inherits: bool) -> Result<(), Fault> {
    let mut value = access::read_u32(word)?;
    while value & libc::FUTEX_TID_MASK == tid {
        let dead = value & libc::FUTEX_WAITERS | libc::FUTEX_OWNER_DIED;
        let found = access::compare_exchange_u32(word, value, dead)?;
        if found == value {
            // Waiters of a futex that inherits priority are the kernel's to wake.
            if value & libc::FUTEX_WAITERS != 0 && !inherits {
                futex::wake(word);
            }
            break;
        }
        value = found;
    }
    Ok(())
}

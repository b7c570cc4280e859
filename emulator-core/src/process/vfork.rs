//! Memory that parent and child share until exec.
//!
//! vfork(2) and posix_spawn(3) let parent and child share memory while the parent waits; glibc's posix_spawn
//! reports a failed exec by writing to it. Host memory is not shared here: the child has a copy, in which
//! every page is write-protected, so that the first store to each is noticed ([`SharedWithParent`]). When the
//! child executes a program or ends, the bytes that it has changed go to its waiting parent through a mailbox
//! of shared memory, and the parent stores them.

use crate::guest::layout::PAGE;
use crate::guest::{AddressSpace, HostMap, Prot, access};
use crate::host::mailbox::Mailbox;
use std::collections::BTreeMap;

/// The pages that the child of a vfork(2) has written to, as they were before.
#[derive(Debug)]
pub struct SharedWithParent {
    before: BTreeMap<u64, Vec<u8>>,
    mailbox: Mailbox,
}

impl SharedWithParent {
    /// Write-protects every private page on the host.
    pub fn watch(space: &AddressSpace, host: &mut impl HostMap, mailbox: Mailbox) -> SharedWithParent {
        for area in space.areas().filter(|a| a.prot.write && !a.shared && !a.is_special()) {
            // Where that fails the child's changes stay its own, as after a fork.
            let _ = host.protect(area.span, Prot { write: false, ..area.prot });
        }
        SharedWithParent { before: BTreeMap::new(), mailbox }
    }

    /// A page is about to be written for the first time; false if it was before.
    pub fn touch(&mut self, page: u64) -> bool {
        if self.before.contains_key(&page) {
            return false;
        }
        let mut bytes = vec![0; PAGE as usize];
        if access::copy_in(&mut bytes, page).is_err() {
            // Unreadable: protected against reading too, so it holds no message.
            bytes.clear();
        }
        self.before.insert(page, bytes);
        true
    }

    /// Gives the changed bytes to the parent.
    pub fn release(self) {
        let mut changes = Vec::new();
        for (page, before) in &self.before {
            let mut now = vec![0; before.len()];
            if access::copy_in(&mut now, *page).is_err() {
                continue;
            }
            changes.extend(differences(*page, before, &now));
        }
        self.mailbox.post(&changes);
    }
}

/// The runs of bytes that differ, by address. Equal bytes are left out, since other threads of the parent may
/// have written there.
fn differences(page: u64, before: &[u8], now: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut runs: Vec<(u64, Vec<u8>)> = Vec::new();
    for (i, (_, &new)) in before.iter().zip(now).enumerate().filter(|(_, (old, new))| old != new) {
        let addr = page + i as u64;
        match runs.last_mut() {
            Some((start, bytes)) if *start + bytes.len() as u64 == addr => bytes.push(new),
            _ => runs.push((addr, vec![new])),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bytes_that_changed_are_given_over() {
        let before = [1, 2, 3, 4, 5, 6];
        let now = [1, 9, 9, 4, 5, 7];
        assert_eq!(differences(0x1000, &before, &now), [(0x1001, vec![9, 9]), (0x1005, vec![7])]);
    }
}

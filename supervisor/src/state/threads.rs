//! The threads of a guest process: which slot each uses, and which worker serves it.
//!
//! A slot is free, or reserved for the first thread of a process that is about to start, or used by a thread
//! whose id is known. The worker's own thread id is kept so that it can be interrupted.

use crate::host::credentials::Credentials;
use crate::host::futex::HostFutex;
use crate::host::interrupt;
use crate::host::shm::{Channel, Interrupt};
use crate::state::ranks::{Guard, Lock, Rank};
use nix::errno::Errno;
use rxbox_wire::handoff::{CLOSED, Futex, Handoff};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Who uses a slot.
#[derive(Clone, Debug, Default)]
struct User {
    /// Guest (and host) id of the thread once it is there.
    guest: Option<i32>,
    /// Host id of the worker once it runs.
    worker: Option<i32>,
    /// Known to the guest as a process of its own.
    companion: bool,
    /// Those of a thread that is not the first of its process.
    credentials: Option<Arc<Credentials>>,
}

/// The slots in use of one process.
#[derive(Debug)]
pub struct Threads {
    slots: Lock<BTreeMap<usize, User>>,
    /// Whether there ever was a companion.
    companions: AtomicBool,
}

impl Default for Threads {
    fn default() -> Self {
        Threads { slots: Lock::new(Rank::Threads, BTreeMap::new()), companions: AtomicBool::new(false) }
    }
}

impl Threads {
    fn slots(&self) -> Guard<'_, BTreeMap<usize, User>> {
        self.slots.lock()
    }

    /// Reserves the lowest free of this many slots, for a guest thread of this id if that is known. EAGAIN if
    /// there is none, EINVAL if the thread has one.
    pub fn reserve(&self, guest: Option<i32>, of: usize) -> Result<usize, Errno> {
        self.reserve_for(guest, None, of)
    }

    /// As [`Threads::reserve`], for a thread with these credentials that is not the first of its process.
    pub fn reserve_for(
        &self,
        guest: Option<i32>,
        credentials: Option<Arc<Credentials>>,
        of: usize,
    ) -> Result<usize, Errno> {
        let mut slots = self.slots();
        if guest.is_some() && slots.values().any(|s| s.guest == guest) {
            return Err(Errno::EINVAL);
        }
        let free = (0..of).find(|n| !slots.contains_key(n)).ok_or(Errno::EAGAIN)?;
        slots.insert(free, User { guest, worker: None, companion: false, credentials });
        Ok(free)
    }

    /// Records the worker that serves a slot; returns the guest thread that uses it, if that is known.
    pub fn set_worker(&self, slot: usize, worker: i32) -> Option<i32> {
        let mut slots = self.slots();
        let user = slots.get_mut(&slot)?;
        user.worker = Some(worker);
        user.guest
    }

    /// The worker that serves a slot.
    #[cfg(test)]
    pub(crate) fn worker(&self, slot: usize) -> Option<i32> {
        self.slots().get(&slot)?.worker
    }

    /// Records the guest thread that uses a slot. EINVAL if another slot has one of this id or this slot has
    /// one.
    pub fn set_guest(&self, slot: usize, guest: i32) -> Result<(), Errno> {
        let mut slots = self.slots();
        if slots.values().any(|s| s.guest == Some(guest)) {
            return Err(Errno::EINVAL);
        }
        let user = slots.get_mut(&slot).filter(|s| s.guest.is_none()).ok_or(Errno::EINVAL)?;
        user.guest = Some(guest);
        Ok(())
    }

    /// The credentials of the thread that uses a slot, if it is not the first of its process.
    pub fn credentials(&self, slot: usize) -> Option<Arc<Credentials>> {
        self.slots().get(&slot)?.credentials.clone()
    }

    /// Changes the credentials of the thread that uses a slot; gives them back if that is the first of its
    /// process, for which they are not kept here.
    pub fn set_credentials(&self, slot: usize, new: Arc<Credentials>) -> Option<Arc<Credentials>> {
        match self.slots().get_mut(&slot) {
            Some(User { credentials: Some(credentials), .. }) => {
                *credentials = new;
                None
            }
            _ => Some(new),
        }
    }

    /// Frees a slot.
    pub fn free(&self, slot: usize) {
        self.slots().remove(&slot);
    }

    /// The slot of the thread with this id.
    pub fn slot_of(&self, guest: i32) -> Option<usize> {
        self.slots().iter().find(|(_, user)| user.guest == Some(guest)).map(|(n, _)| *n)
    }

    /// Ids of the threads that are there.
    pub fn ids(&self) -> Vec<i32> {
        self.slots().values().filter_map(|s| s.guest).collect()
    }

    /// Ids of the workers that serve its threads.
    pub fn workers(&self) -> Vec<i32> {
        self.slots().values().filter_map(|s| s.worker).collect()
    }

    /// The thread of this slot is known to the guest as a process of its own.
    pub fn set_companion(&self, slot: usize) {
        self.companions.store(true, Ordering::Release);
        if let Some(user) = self.slots().get_mut(&slot) {
            user.companion = true;
        }
    }

    /// Whether a thread is known to the guest as a process of its own.
    pub fn is_companion(&self, guest: i32) -> bool {
        self.companions.load(Ordering::Acquire)
            && self.slots().values().any(|user| user.guest == Some(guest) && user.companion)
    }

    /// Ids of the threads that the guest knows as such.
    pub fn own_ids(&self) -> Vec<i32> {
        self.slots().values().filter(|user| !user.companion).filter_map(|user| user.guest).collect()
    }

    /// How many slots are in use.
    pub fn count(&self) -> usize {
        self.slots().len()
    }

    /// Interrupts the calls of all threads that ask for it.
    ///
    /// The message that brings the request says which slot, but all are checked: so a message that found no
    /// room in the socket is made up for by any other that is still to be read.
    pub fn interrupt_requested(&self, channel: &Channel) {
        for (&n, user) in self.slots().iter() {
            let asks = channel.slot(n).is_some_and(|s| s.interrupt().load(Ordering::SeqCst) != 0);
            if let (true, Some(worker)) = (asks, user.worker) {
                interrupt::kick(worker);
            }
        }
    }

    /// Interrupts the calls of all threads, and says why.
    pub fn interrupt_all(&self, channel: &Channel, why: Interrupt) {
        for (&n, user) in self.slots().iter() {
            if let (Some(slot), Some(worker)) = (channel.slot(n), user.worker) {
                slot.interrupt().store(why as u32, Ordering::SeqCst);
                interrupt::kick(worker);
            }
        }
    }

    /// The thread of this slot is the only one left: the others have ended, though their workers may not know
    /// yet.
    pub fn keep_only(&self, slot: usize) {
        for (_, user) in self.slots().iter_mut().filter(|(n, _)| **n != slot) {
            user.guest = None;
        }
    }

    /// Ends all workers: the process has ended.
    pub fn close_all(&self, channel: &Channel) {
        for (&n, user) in self.slots().iter() {
            let Some(slot) = channel.slot(n) else { continue };
            slot.interrupt().store(1, Ordering::SeqCst);
            let handoff: Handoff<'_> = slot.handoff();
            handoff.turn.store(CLOSED, Ordering::SeqCst);
            HostFutex.wake(handoff.turn);
            if let Some(worker) = user.worker {
                interrupt::kick(worker);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rxbox_wire::sizes::MAX_SLOTS;

    #[test]
    fn slots_are_given_out_from_the_lowest_and_only_once() {
        let t = Threads::default();
        assert_eq!(
            (t.reserve(None, MAX_SLOTS), t.reserve(None, MAX_SLOTS), t.reserve(None, MAX_SLOTS)),
            (Ok(0), Ok(1), Ok(2))
        );
        t.free(1);
        assert_eq!(t.reserve(None, MAX_SLOTS), Ok(1));
        for _ in 3..MAX_SLOTS {
            t.reserve(None, MAX_SLOTS).unwrap();
        }
        assert_eq!(t.reserve(None, MAX_SLOTS), Err(Errno::EAGAIN));
    }

    #[test]
    fn a_thread_has_one_slot_and_a_slot_one_thread() {
        let t = Threads::default();
        assert_eq!((t.reserve(None, MAX_SLOTS), t.reserve(None, MAX_SLOTS)), (Ok(0), Ok(1)));
        assert_eq!(t.set_guest(0, 70), Ok(()));
        assert_eq!(t.set_guest(1, 70), Err(Errno::EINVAL));
        assert_eq!(t.set_guest(0, 71), Err(Errno::EINVAL));
        assert_eq!(t.set_guest(5, 72), Err(Errno::EINVAL));
        assert_eq!(t.reserve(Some(70), MAX_SLOTS), Err(Errno::EINVAL));
        assert_eq!(t.reserve(Some(73), MAX_SLOTS), Ok(2));
        assert_eq!(t.set_guest(2, 74), Err(Errno::EINVAL));
        assert_eq!((t.ids(), t.set_worker(1, 9), t.set_worker(2, 9)), (vec![70, 73], None, Some(73)));
    }
}

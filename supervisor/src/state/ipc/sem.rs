//! System V semaphores (semget(2), semop(2), semctl(2)).

use super::changes::{Changes, now};
use super::perm::{Perm, Right};
use super::table::{Get, Owned, Table};
use crate::host::credentials::Credentials;
use crate::state::ranks::{Lock, Rank};
use nix::errno::Errno;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Limits, as the kernel has them by default (kernel.sem, semget(2)).
const SETS: usize = 32000;
const PER_SET: usize = 32000;
/// In all sets together. The kernel allows far more, but they cost the supervisor memory, as does what every
/// process may have to undo of each.
const ALL: usize = 32000;
const OPS: usize = 500;
const HIGHEST: i32 = 32767;

/// One operation on a semaphore (`struct sembuf`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// Which one of the set.
    pub number: u16,
    /// What is added; 0 waits for zero.
    pub change: i16,
    /// `IPC_NOWAIT`, `SEM_UNDO`.
    pub flags: i16,
}

impl Op {
    fn has(&self, flag: i32) -> bool {
        i32::from(self.flags) & flag != 0
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Semaphore {
    value: i32,
    /// Who changed it last.
    pid: i32,
}

/// A caller that waits for a semaphore.
#[derive(Debug, PartialEq)]
struct Waiting {
    number: u16,
    for_zero: bool,
}

#[derive(Debug)]
struct State {
    perm: Perm,
    semaphores: Vec<Semaphore>,
    operated: i64,
    changed: i64,
    /// By process, what is added to each semaphore when it ends.
    undo: HashMap<i32, Vec<i32>>,
    waiting: Vec<Waiting>,
    removed: bool,
}

#[derive(Debug)]
struct Set {
    state: Lock<State>,
    changes: Changes,
}

impl Owned for Arc<Set> {
    fn perm(&self) -> (Perm, bool) {
        (self.state.lock().perm, true)
    }
}

/// Why operations cannot be carried out now.
#[derive(Debug, PartialEq)]
enum Not {
    /// They must wait for this one.
    Now(Op),
    Ever(Errno),
}

impl State {
    /// Carries out all operations, or none. Each sees what those before it did (the kernel's
    /// `perform_atomic_semop`).
    fn perform(&mut self, ops: &[Op], pid: i32) -> Result<(), Not> {
        let mut values: Vec<i32> = self.semaphores.iter().map(|s| s.value).collect();
        let mut undo = self.undo.get(&pid).cloned().unwrap_or_else(|| vec![0; values.len()]);
        for op in ops {
            let n = usize::from(op.number);
            let new = values[n] + i32::from(op.change);
            if op.change == 0 && values[n] != 0 || new < 0 {
                return Err(Not::Now(*op));
            }
            if new > HIGHEST {
                return Err(Not::Ever(Errno::ERANGE));
            }
            if op.has(libc::SEM_UNDO) {
                undo[n] -= i32::from(op.change);
                if !(-HIGHEST - 1..=HIGHEST).contains(&undo[n]) {
                    return Err(Not::Ever(Errno::ERANGE));
                }
            }
            values[n] = new;
        }
        for (semaphore, value) in self.semaphores.iter_mut().zip(values) {
            semaphore.value = value;
        }
        for op in ops {
            self.semaphores[usize::from(op.number)].pid = pid;
        }
        if ops.iter().any(|op| op.has(libc::SEM_UNDO)) {
            self.undo.insert(pid, undo);
        }
        self.operated = now();
        Ok(())
    }

    fn semaphore(&mut self, number: i32) -> Result<&mut Semaphore, Errno> {
        usize::try_from(number).ok().and_then(|n| self.semaphores.get_mut(n)).ok_or(Errno::EINVAL)
    }

    /// What the processes had to undo of a semaphore is forgotten once somebody has set it.
    fn set(&mut self, number: usize, value: i32, pid: i32) {
        self.semaphores[number] = Semaphore { value, pid };
        self.undo.values_mut().for_each(|undo| undo[number] = 0);
        self.changed = now();
    }

    /// `struct semid_ds`.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.perm.encode(0).to_vec();
        for word in [self.operated, 0, self.changed, 0, self.semaphores.len() as i64, 0, 0] {
            bytes.extend(word.to_le_bytes());
        }
        bytes
    }
}

/// The sets of a sandbox, and how many semaphores they have together, which changes under the table's lock.
#[derive(Debug)]
pub struct Semaphores(Lock<Table<Arc<Set>>>, AtomicUsize);

impl Default for Semaphores {
    fn default() -> Semaphores {
        Semaphores(Lock::new(Rank::IpcTable, Table::new(SETS)), AtomicUsize::new(0))
    }
}

impl Semaphores {
    /// semget(2): a set of `count` semaphores.
    pub fn open(&self, get: Get<'_>, count: i32) -> Result<i32, Errno> {
        let count = usize::try_from(count).ok().filter(|&n| n <= PER_SET).ok_or(Errno::EINVAL)?;
        let mut table = self.0.lock();
        let fits = |set: &Arc<Set>| {
            if count > set.state.lock().semaphores.len() { Err(Errno::EINVAL) } else { Ok(()) }
        };
        table.open(get, fits, |perm| match count {
            0 => Err(Errno::EINVAL),
            _ if self.1.load(Ordering::Relaxed) + count > ALL => Err(Errno::ENOSPC),
            _ => {
                self.1.fetch_add(count, Ordering::Relaxed);
                Ok(Arc::new(Set {
                    state: Lock::new(
                        Rank::IpcObject,
                        State {
                            perm,
                            semaphores: vec![Semaphore::default(); count],
                            operated: 0,
                            changed: now(),
                            undo: HashMap::new(),
                            waiting: Vec::new(),
                            removed: false,
                        },
                    ),
                    changes: Changes::default(),
                }))
            }
        })
    }

    fn get(&self, id: i32) -> Result<Arc<Set>, Errno> {
        self.0.lock().get(id)
    }

    /// Looks at a set that somebody may read.
    fn look<T>(
        &self,
        id: i32,
        by: &Credentials,
        what: impl FnOnce(&mut State) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let set = self.get(id)?;
        let mut state = set.state.lock();
        state.perm.check(by, Right::READ)?;
        what(&mut state)
    }

    /// semop(2), semtimedop(2). EAGAIN at the deadline.
    pub fn operate(
        &self,
        id: i32,
        ops: &[Op],
        pid: i32,
        by: &Credentials,
        deadline: Option<Instant>,
    ) -> Result<(), Errno> {
        match ops.len() {
            0 => return Err(Errno::EINVAL),
            1..=OPS => {}
            _ => return Err(Errno::E2BIG),
        }
        let set = self.get(id)?;
        let mut state = set.state.lock();
        if ops.iter().any(|op| usize::from(op.number) >= state.semaphores.len()) {
            return Err(Errno::EFBIG);
        }
        let alters = ops.iter().any(|op| op.change != 0);
        state.perm.check(by, if alters { Right::WRITE } else { Right::READ })?;
        loop {
            if state.removed {
                return Err(Errno::EIDRM);
            }
            let op = match state.perform(ops, pid) {
                Ok(()) if alters => break set.changes.announce(),
                Ok(()) => break,
                Err(Not::Ever(e)) => return Err(e),
                Err(Not::Now(op)) if op.has(libc::IPC_NOWAIT) => return Err(Errno::EAGAIN),
                Err(Not::Now(op)) => op,
            };
            let seen = set.changes.seen();
            state.waiting.push(Waiting { number: op.number, for_zero: op.change == 0 });
            drop(state);
            let waited = set.changes.wait(seen, deadline);
            state = set.state.lock();
            let own = Waiting { number: op.number, for_zero: op.change == 0 };
            if let Some(at) = state.waiting.iter().position(|w| *w == own) {
                state.waiting.swap_remove(at);
            }
            if !state.removed {
                waited?;
            }
        }
        Ok(())
    }

    /// IPC_STAT.
    pub fn status(&self, id: i32, by: &Credentials) -> Result<Vec<u8>, Errno> {
        self.look(id, by, |state| Ok(state.encode()))
    }

    /// SEM_STAT and, if `by` is nobody, SEM_STAT_ANY: of the set in a place, with its identifier.
    pub fn status_at(&self, place: i32, by: Option<&Credentials>) -> Result<(i32, Vec<u8>), Errno> {
        let (id, set) = self.0.lock().at(place)?;
        let state = set.state.lock();
        by.map_or(Ok(()), |by| state.perm.check(by, Right::READ))?;
        Ok((id, state.encode()))
    }

    /// IPC_SET.
    pub fn set_owner(&self, id: i32, by: &Credentials, bytes: &[u8]) -> Result<(), Errno> {
        let set = self.get(id)?;
        let mut state = set.state.lock();
        state.perm.check_owner(by)?;
        state.perm.set(bytes);
        state.changed = now();
        Ok(())
    }

    /// IPC_RMID: whoever waits is told (EIDRM).
    pub fn remove(&self, id: i32, by: &Credentials) -> Result<(), Errno> {
        let mut table = self.0.lock();
        table.get(id)?.state.lock().perm.check_owner(by)?;
        let set = table.remove(id)?;
        let mut state = set.state.lock();
        state.removed = true;
        self.1.fetch_sub(state.semaphores.len(), Ordering::Relaxed);
        drop(state);
        set.changes.announce();
        Ok(())
    }

    /// GETVAL.
    pub fn value(&self, id: i32, number: i32, by: &Credentials) -> Result<i32, Errno> {
        self.look(id, by, |state| Ok(state.semaphore(number)?.value))
    }

    /// GETPID.
    pub fn last(&self, id: i32, number: i32, by: &Credentials) -> Result<i32, Errno> {
        self.look(id, by, |state| Ok(state.semaphore(number)?.pid))
    }

    /// GETNCNT and GETZCNT: how many callers wait, for more or for zero.
    pub fn waiting(&self, id: i32, number: i32, for_zero: bool, by: &Credentials) -> Result<usize, Errno> {
        self.look(id, by, |state| {
            state.semaphore(number)?;
            let same = |w: &&Waiting| i32::from(w.number) == number && w.for_zero == for_zero;
            Ok(state.waiting.iter().filter(same).count())
        })
    }

    /// GETALL, as the guest reads it.
    pub fn values(&self, id: i32, by: &Credentials) -> Result<Vec<u8>, Errno> {
        let bytes = |s: &Semaphore| (s.value as u16).to_le_bytes();
        self.look(id, by, |state| Ok(state.semaphores.iter().flat_map(bytes).collect()))
    }

    /// SETVAL.
    pub fn set_value(
        &self,
        id: i32,
        number: i32,
        value: i32,
        pid: i32,
        by: &Credentials,
    ) -> Result<(), Errno> {
        if !(0..=HIGHEST).contains(&value) {
            return Err(Errno::ERANGE);
        }
        let set = self.get(id)?;
        let mut state = set.state.lock();
        state.semaphore(number)?;
        state.perm.check(by, Right::WRITE)?;
        state.set(number as usize, value, pid);
        set.changes.announce();
        Ok(())
    }

    /// SETALL, from what of the guest's array there is: EFAULT if that is too little.
    pub fn set_values(&self, id: i32, bytes: &[u8], pid: i32, by: &Credentials) -> Result<(), Errno> {
        let set = self.get(id)?;
        let mut state = set.state.lock();
        state.perm.check(by, Right::WRITE)?;
        let values = bytes.chunks_exact(2).map(|b| i32::from(u16::from_le_bytes([b[0], b[1]])));
        let values: Vec<i32> = values.take(state.semaphores.len()).collect();
        if values.len() < state.semaphores.len() {
            return Err(Errno::EFAULT);
        }
        if values.iter().any(|v| *v > HIGHEST) {
            return Err(Errno::ERANGE);
        }
        for (number, value) in values.into_iter().enumerate() {
            state.set(number, value, pid);
        }
        set.changes.announce();
        Ok(())
    }

    /// IPC_INFO, and with `used` SEM_INFO: `struct seminfo`, and the highest place in use.
    pub fn info(&self, used: bool) -> (i64, Vec<u8>) {
        let table = self.0.lock();
        let sets = table.count() as i32;
        let semaphores = self.1.load(Ordering::Relaxed) as i32;
        let (size, adjust) = if used { (sets, semaphores) } else { (20, HIGHEST) };
        let all = (SETS * PER_SET) as i32;
        let words =
            [all, SETS as i32, all, all, PER_SET as i32, OPS as i32, OPS as i32, size, HIGHEST, adjust];
        (table.highest(), words.iter().flat_map(|w| w.to_le_bytes()).collect())
    }

    /// Undoes what a process has done with SEM_UNDO: it ends, or gives its list up.
    pub fn leave(&self, pid: i32) {
        let sets: Vec<_> = self.0.lock().all().collect();
        for (_, set) in sets {
            let mut state = set.state.lock();
            let Some(undo) = state.undo.remove(&pid) else { continue };
            for (semaphore, change) in state.semaphores.iter_mut().zip(undo).filter(|(_, c)| *c != 0) {
                semaphore.value = (semaphore.value + change).clamp(0, HIGHEST);
                semaphore.pid = pid;
            }
            state.operated = now();
            set.changes.announce();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::credentials::own;

    fn op(number: u16, change: i16, flags: i32) -> Op {
        Op { number, change, flags: flags as i16 }
    }

    fn set(count: i32) -> (Semaphores, i32, Credentials) {
        let (sets, me) = (Semaphores::default(), own().unwrap().clone());
        let id = sets.open(Get { key: libc::IPC_PRIVATE, flags: 0o600, by: &me }, count).unwrap();
        (sets, id, me)
    }

    #[test]
    fn operations_are_carried_out_all_or_none() {
        let (sets, id, me) = set(2);
        let both = [op(0, 3, 0), op(1, -1, libc::IPC_NOWAIT)];
        assert_eq!(sets.operate(id, &both, 7, &me, None), Err(Errno::EAGAIN));
        assert_eq!(sets.value(id, 0, &me), Ok(0));
        assert_eq!(sets.operate(id, &[op(1, 1, 0), both[0], both[1]], 7, &me, None), Ok(()));
        assert_eq!(
            (sets.value(id, 0, &me), sets.value(id, 1, &me), sets.last(id, 1, &me)),
            (Ok(3), Ok(0), Ok(7))
        );
        assert_eq!(sets.operate(id, &[op(2, 1, 0)], 7, &me, None), Err(Errno::EFBIG));
        assert_eq!(sets.operate(id, &[op(0, 32767, 0)], 7, &me, None), Err(Errno::ERANGE));
    }

    #[test]
    fn what_a_process_has_done_with_undo_is_undone_when_it_ends_unless_the_value_was_set() {
        let (sets, id, me) = set(2);
        sets.operate(id, &[op(0, 5, 0), op(0, -2, libc::SEM_UNDO), op(1, 4, libc::SEM_UNDO)], 7, &me, None)
            .unwrap();
        sets.set_value(id, 1, 9, 8, &me).unwrap();
        sets.leave(6);
        assert_eq!(sets.value(id, 0, &me), Ok(3));
        sets.leave(7);
        assert_eq!((sets.value(id, 0, &me), sets.value(id, 1, &me)), (Ok(5), Ok(9)));
    }

    #[test]
    fn who_waits_goes_on_when_it_can_and_is_told_of_the_removal() {
        let (sets, id, me) = set(1);
        std::thread::scope(|s| {
            let waits = s.spawn(|| sets.operate(id, &[op(0, -1, 0)], 7, &me, None));
            while sets.waiting(id, 0, false, &me) != Ok(1) {
                std::thread::yield_now();
            }
            sets.operate(id, &[op(0, 1, 0)], 8, &me, None).unwrap();
            assert_eq!(waits.join().unwrap(), Ok(()));
            let waits = s.spawn(|| sets.operate(id, &[op(0, -1, 0)], 7, &me, None));
            while sets.waiting(id, 0, false, &me) != Ok(1) {
                std::thread::yield_now();
            }
            sets.remove(id, &me).unwrap();
            assert_eq!(waits.join().unwrap(), Err(Errno::EIDRM));
        });
        let soon = Some(Instant::now());
        let (sets, id, me) = set(1);
        assert_eq!(sets.operate(id, &[op(0, -1, 0)], 7, &me, soon), Err(Errno::EAGAIN));
    }
}

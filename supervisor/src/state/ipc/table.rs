//! Objects by key and by identifier.
//!
//! An identifier is the object's place and a sequence number, so that one of a removed object is not taken
//! for that of the next in the same place.

use super::perm::{Perm, Right};
use crate::host::credentials::Credentials;
use nix::errno::Errno;
use std::collections::{BTreeSet, HashMap};

/// Places below this (the kernel's IPCMNI).
const PLACES: i32 = 1 << 15;
/// Sequence numbers up to this: an identifier is a positive `int`.
const SEQUENCES: u16 = u16::MAX;
const IPC_CREAT: i32 = libc::IPC_CREAT;
const IPC_EXCL: i32 = libc::IPC_EXCL;

/// What a `get` call asks for.
#[derive(Clone, Copy, Debug)]
pub struct Get<'a> {
    /// Name of the object; `IPC_PRIVATE` for a new one without.
    pub key: i32,
    /// Flags and mode.
    pub flags: i32,
    /// Who asks.
    pub by: &'a Credentials,
}

/// An object with an owner.
pub(super) trait Owned {
    /// Its owner and mode, and whether its key is still in force.
    fn perm(&self) -> (Perm, bool);
}

/// Objects of one kind.
#[derive(Debug)]
pub(super) struct Table<T> {
    objects: Vec<Option<(u16, T)>>,
    /// The places of objects by their keys; one whose key is not in force any more may still be there.
    by_key: HashMap<i32, usize>,
    /// Empty places among the objects.
    free: BTreeSet<usize>,
    sequence: u16,
    most: usize,
}

impl<T: Owned + Clone> Table<T> {
    /// An empty table for so many objects.
    pub(super) fn new(most: usize) -> Table<T> {
        Table { objects: Vec::new(), by_key: HashMap::new(), free: BTreeSet::new(), sequence: 0, most }
    }

    /// The object of an identifier. EINVAL if its place is empty, EIDRM if another is there now.
    pub(super) fn get(&self, id: i32) -> Result<T, Errno> {
        let place = usize::try_from(id % PLACES).map_err(|_| Errno::EINVAL)?;
        match self.objects.get(place) {
            Some(Some((sequence, object))) if i32::from(*sequence) == id / PLACES => Ok(object.clone()),
            Some(Some(_)) => Err(Errno::EIDRM),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The object in a place, with its identifier. EINVAL if there is none.
    pub(super) fn at(&self, place: i32) -> Result<(i32, T), Errno> {
        let (sequence, object) = usize::try_from(place)
            .ok()
            .and_then(|place| self.objects.get(place)?.as_ref())
            .ok_or(Errno::EINVAL)?;
        Ok((i32::from(*sequence) * PLACES + place, object.clone()))
    }

    /// The identifier of the object with a key if that fits (`fits`), or of a new one, which `make` makes
    /// with its owner.
    pub(super) fn open(
        &mut self,
        get: Get<'_>,
        fits: impl FnOnce(&T) -> Result<(), Errno>,
        make: impl FnOnce(Perm) -> Result<T, Errno>,
    ) -> Result<i32, Errno> {
        if get.key != libc::IPC_PRIVATE {
            let known = self.by_key.get(&get.key).and_then(|&place| {
                let (id, object) = self.at(place as i32).ok()?;
                let (perm, named) = object.perm();
                (named && perm.key == get.key).then_some((id, object, perm))
            });
            match known {
                Some(_) if get.flags & (IPC_CREAT | IPC_EXCL) == IPC_CREAT | IPC_EXCL => {
                    return Err(Errno::EEXIST);
                }
                Some((id, object, perm)) => {
                    fits(&object)?;
                    perm.check(get.by, Right::of_flags(get.flags))?;
                    return Ok(id);
                }
                None if get.flags & IPC_CREAT == 0 => return Err(Errno::ENOENT),
                None => {}
            }
        }
        self.add(Perm::new(get.key, get.flags, get.by), make)
    }

    fn add(&mut self, mut perm: Perm, make: impl FnOnce(Perm) -> Result<T, Errno>) -> Result<i32, Errno> {
        if self.count() >= self.most {
            return Err(Errno::ENOSPC);
        }
        perm.sequence = self.sequence;
        let object = make(perm)?;
        let place = self.free.pop_first().unwrap_or_else(|| {
            self.objects.push(None);
            self.objects.len() - 1
        });
        if perm.key != libc::IPC_PRIVATE {
            self.by_key.insert(perm.key, place);
        }
        self.objects[place] = Some((self.sequence, object));
        let id = i32::from(self.sequence) * PLACES + place as i32;
        // Two bytes of sequence and fifteen bits of place make a positive `int`.
        self.sequence = if self.sequence == SEQUENCES { 0 } else { self.sequence + 1 };
        Ok(id)
    }

    /// Removes an object.
    pub(super) fn remove(&mut self, id: i32) -> Result<T, Errno> {
        let object = self.get(id)?;
        let (key, place) = (object.perm().0.key, (id % PLACES) as usize);
        self.objects[place] = None;
        self.free.insert(place);
        if self.by_key.get(&key) == Some(&place) {
            self.by_key.remove(&key);
        }
        Ok(object)
    }

    /// All objects with their identifiers.
    pub(super) fn all(&self) -> impl Iterator<Item = (i32, T)> {
        (0..self.objects.len() as i32).filter_map(|place| self.at(place).ok())
    }

    /// How many objects there are.
    pub(super) fn count(&self) -> usize {
        self.objects.len() - self.free.len()
    }

    /// The highest place in use; 0 if there is none.
    pub(super) fn highest(&self) -> i64 {
        self.objects.iter().rposition(Option::is_some).unwrap_or(0) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::credentials::own;

    #[derive(Clone, Debug, PartialEq)]
    struct Thing(Perm);

    impl Owned for Thing {
        fn perm(&self) -> (Perm, bool) {
            (self.0, true)
        }
    }

    fn get(table: &mut Table<Thing>, key: i32, flags: i32) -> Result<i32, Errno> {
        let me = own().unwrap().clone();
        table.open(Get { key, flags, by: &me }, |_| Ok(()), |perm| Ok(Thing(perm)))
    }

    #[test]
    fn a_key_leads_to_one_object_and_private_ones_are_always_new() {
        let mut t = Table::new(4);
        assert_eq!(get(&mut t, 7, 0o600), Err(Errno::ENOENT));
        let id = get(&mut t, 7, 0o600 | IPC_CREAT).unwrap();
        assert_eq!(get(&mut t, 7, 0), Ok(id));
        assert_eq!(get(&mut t, 7, IPC_CREAT | IPC_EXCL), Err(Errno::EEXIST));
        assert_ne!(get(&mut t, libc::IPC_PRIVATE, 0), get(&mut t, libc::IPC_PRIVATE, 0));
        get(&mut t, 8, IPC_CREAT).unwrap();
        assert_eq!(get(&mut t, 9, IPC_CREAT), Err(Errno::ENOSPC));
    }

    #[test]
    fn an_identifier_of_a_removed_object_is_not_that_of_the_next_one() {
        let mut t = Table::new(4);
        let first = get(&mut t, 7, IPC_CREAT).unwrap();
        t.remove(first).unwrap();
        assert_eq!(t.get(first), Err(Errno::EINVAL));
        let second = get(&mut t, 7, IPC_CREAT).unwrap();
        assert_ne!(first, second);
        assert_eq!(t.get(first), Err(Errno::EIDRM));
        assert!(t.get(second).is_ok() && t.get(-1).is_err() && t.get(i32::MIN).is_err());
    }

    #[test]
    fn identifiers_stay_positive_however_many_there_were() {
        let mut t = Table::new(4);
        for _ in 0..=u32::from(SEQUENCES) + 2 {
            let id = get(&mut t, 7, IPC_CREAT).unwrap();
            assert!(id >= 0);
            t.remove(id).unwrap();
        }
    }
}

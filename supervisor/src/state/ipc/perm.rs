//! Who may do what with an object (`struct ipc_perm`, sysvipc(7)).

use crate::host::credentials::Credentials;
use nix::errno::Errno;

/// The permission bits of a mode.
const BITS: u32 = 0o777;

/// Owner, creator and mode of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Perm {
    /// The key it was made with.
    pub key: i32,
    user: u32,
    group: u32,
    creator: u32,
    creator_group: u32,
    /// Permission bits.
    pub mode: u32,
    /// What tells this object from others that had its place before.
    pub sequence: u16,
}

/// What is asked of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right(u32);

impl Right {
    /// To read it.
    pub const READ: Right = Right(0o4);
    /// To change it.
    pub const WRITE: Right = Right(0o2);
    /// To execute it.
    pub const EXECUTE: Right = Right(0o1);

    /// All that the nine bits of a `get` call ask for.
    pub fn of_flags(flags: i32) -> Right {
        let bits = flags as u32;
        Right((bits >> 6 | bits >> 3 | bits) & 0o7)
    }

    /// Both rights.
    pub fn and(self, other: Right) -> Right {
        Right(self.0 | other.0)
    }
}

impl Perm {
    /// Of an object that somebody makes with the nine bits of `flags`.
    pub(super) fn new(key: i32, flags: i32, by: &Credentials) -> Perm {
        let (user, group) = (by.user.effective, by.group.effective);
        Perm { key, user, group, creator: user, creator_group: group, mode: flags as u32 & BITS, sequence: 0 }
    }

    /// EACCES if somebody may not do this (the kernel's `ipcperms`).
    pub fn check(&self, who: &Credentials, right: Right) -> Result<(), Errno> {
        let (user, group) = (who.user.effective, who.group.effective);
        let in_group = |g: u32| g == group || who.groups.contains(&g);
        let granted = if user == self.user || user == self.creator {
            self.mode >> 6
        } else if in_group(self.group) || in_group(self.creator_group) {
            self.mode >> 3
        } else {
            self.mode
        };
        if right.0 & !granted & 0o7 == 0 || user == 0 { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// EPERM unless somebody may change owner and mode, and remove the object.
    pub fn check_owner(&self, who: &Credentials) -> Result<(), Errno> {
        let user = who.user.effective;
        if [self.user, self.creator, 0].contains(&user) { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// IPC_SET: owner and mode as in the bytes of a structure.
    pub fn set(&mut self, bytes: &[u8]) {
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        (self.user, self.group) = (word(4), word(8));
        self.mode = word(20) & BITS;
    }

    /// Bytes of the structure.
    pub const SIZE: usize = 48;

    /// The structure as the guest reads it, with further bits of the mode.
    pub fn encode(&self, more: u32) -> [u8; Perm::SIZE] {
        let mut bytes = [0; Perm::SIZE];
        let words =
            [self.key as u32, self.user, self.group, self.creator, self.creator_group, self.mode | more];
        for (i, word) in words.into_iter().enumerate() {
            bytes[4 * i..4 * i + 4].copy_from_slice(&word.to_le_bytes());
        }
        bytes[24..26].copy_from_slice(&self.sequence.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::credentials::{Capabilities, Ids};

    fn somebody(user: u32, group: u32) -> Credentials {
        let capabilities = Capabilities::default();
        Credentials { user: Ids::all(user), group: Ids::all(group), groups: vec![900], capabilities }
    }

    #[test]
    fn owner_group_and_others_have_each_their_bits() {
        let perm = Perm::new(7, 0o1640, &somebody(5, 50));
        let may = |user, group, right| perm.check(&somebody(user, group), right).is_ok();
        assert!(may(5, 1, Right::READ.and(Right::WRITE)));
        assert!(may(6, 50, Right::READ) && !may(6, 50, Right::WRITE));
        assert!(!may(6, 51, Right::READ) && may(0, 0, Right::WRITE));
        assert_eq!(perm.check_owner(&somebody(6, 50)), Err(Errno::EPERM));
        assert_eq!(Right::of_flags(0o620), Right::READ.and(Right::WRITE));
    }

    #[test]
    fn a_new_owner_has_the_rights_and_the_creator_keeps_its_own() {
        let mut perm = Perm::new(7, 0o600, &somebody(5, 50));
        let mut bytes = perm.encode(0);
        bytes[4..8].copy_from_slice(&6u32.to_le_bytes());
        perm.set(&bytes);
        for user in [5, 6] {
            assert_eq!(perm.check(&somebody(user, 1), Right::WRITE), Ok(()));
            assert_eq!(perm.check_owner(&somebody(user, 1)), Ok(()));
        }
        assert_eq!(perm.check(&somebody(7, 1), Right::WRITE), Err(Errno::EACCES));
    }
}

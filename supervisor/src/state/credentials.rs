//! What calls make of a thread's credentials: the kernel's rules (credentials(7), capabilities(7)), without
//! carrying anything out.

use crate::host::credentials::{Capabilities, Credentials, Ids};
use nix::errno::Errno;

/// "Leave this one as it is."
pub const KEEP: u32 = u32::MAX;

/// Bits of `PR_SET_SECUREBITS` (`linux/securebits.h`); each is followed by the bit that locks it.
const NO_ROOT: u32 = 1 << 0;
const NO_FIXUP: u32 = 1 << 2;
const KEEP_CAPABILITIES: u32 = 1 << 4;
const NO_AMBIENT: u32 = 1 << 6;
const BITS: u32 = 0x55;
const LOCKS: u32 = BITS << 1;

/// The highest capability that there is (`CAP_CHECKPOINT_RESTORE`).
pub const LAST_CAPABILITY: u32 = 40;
const ALL_CAPABILITIES: u64 = (1 << (LAST_CAPABILITY + 1)) - 1;

/// Those that a thread loses and gets with the user 0 for files: chown, dac_override, dac_read_search,
/// fowner, fsetid, linux_immutable, mknod, mac_override.
const OF_FILES: u64 = 0b1_1111 | 1 << 9 | 1 << 27 | 1 << 32;

/// setuid(2), setgid(2): with the capability all ids, without the effective one, to the real or saved one.
fn set_id(ids: Ids, id: u32, privileged: bool) -> Result<Ids, Errno> {
    match id {
        KEEP => Err(Errno::EINVAL),
        _ if privileged => Ok(Ids::all(id)),
        _ if id == ids.real || id == ids.saved => Ok(Ids { effective: id, file_system: id, ..ids }),
        _ => Err(Errno::EPERM),
    }
}

/// setreuid(2), setregid(2): the saved one follows the effective one when the real one is set, or the
/// effective one to something else than the real one.
fn set_two(ids: Ids, [real, effective]: [u32; 2], privileged: bool) -> Result<Ids, Errno> {
    let mut new = ids;
    if real != KEEP {
        if !privileged && real != ids.real && real != ids.effective {
            return Err(Errno::EPERM);
        }
        new.real = real;
    }
    if effective != KEEP {
        if !privileged && !ids.has(effective) {
            return Err(Errno::EPERM);
        }
        new.effective = effective;
    }
    if real != KEEP || effective != KEEP && effective != ids.real {
        new.saved = new.effective;
    }
    new.file_system = new.effective;
    Ok(new)
}

/// setresuid(2), setresgid(2): without the capability each becomes one of the three.
fn set_three(ids: Ids, wanted: [u32; 3], privileged: bool) -> Result<Ids, Errno> {
    if !privileged && wanted.iter().any(|id| *id != KEEP && !ids.has(*id)) {
        return Err(Errno::EPERM);
    }
    let pick = |old: u32, new: u32| if new == KEEP { old } else { new };
    let effective = pick(ids.effective, wanted[1]);
    Ok(Ids {
        real: pick(ids.real, wanted[0]),
        effective,
        saved: pick(ids.saved, wanted[2]),
        file_system: effective,
    })
}

/// setfsuid(2), setfsgid(2), which never fail: nothing changes instead.
fn set_for_files(ids: Ids, id: u32, privileged: bool) -> Ids {
    let may = id != KEEP && (privileged || ids.has(id) || id == ids.file_system);
    if may { Ids { file_system: id, ..ids } } else { ids }
}

/// Which ids a call changes, and to what.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// setuid(2).
    One(u32),
    /// setreuid(2): real, effective.
    Two([u32; 2]),
    /// setresuid(2): real, effective, saved.
    Three([u32; 3]),
    /// setfsuid(2).
    ForFiles(u32),
}

impl Change {
    fn of(self, ids: Ids, privileged: bool) -> Result<Ids, Errno> {
        match self {
            Change::One(id) => set_id(ids, id, privileged),
            Change::Two(ids_wanted) => set_two(ids, ids_wanted, privileged),
            Change::Three(ids_wanted) => set_three(ids, ids_wanted, privileged),
            Change::ForFiles(id) => Ok(set_for_files(ids, id, privileged)),
        }
    }
}

/// The credentials with other user ids. Capabilities follow the user root (capabilities(7), "Effect of user
/// ID changes on capabilities").
pub fn change_user(old: &Credentials, change: Change) -> Result<Credentials, Errno> {
    let user = change.of(old.user, old.capabilities.has(Capabilities::SETUID))?;
    let mut new = Credentials { user, ..old.clone() };
    let capabilities = &mut new.capabilities;
    if capabilities.secure_bits & NO_FIXUP != 0 {
        return Ok(new);
    }
    match (change, old.user.file_system == 0, user.file_system == 0) {
        (Change::ForFiles(_), true, false) => capabilities.effective &= !OF_FILES,
        (Change::ForFiles(_), false, true) => capabilities.effective |= capabilities.permitted & OF_FILES,
        (Change::ForFiles(_), ..) => {}
        _ => {
            if old.user.has(0) && !user.has(0) {
                if capabilities.secure_bits & KEEP_CAPABILITIES == 0 {
                    (capabilities.permitted, capabilities.effective) = (0, 0);
                }
                capabilities.ambient = 0;
            }
            match (old.user.effective == 0, user.effective == 0) {
                (true, false) => capabilities.effective = 0,
                (false, true) => capabilities.effective = capabilities.permitted,
                _ => {}
            }
        }
    }
    Ok(new)
}

/// The credentials with other group ids.
pub fn change_group(old: &Credentials, change: Change) -> Result<Credentials, Errno> {
    let group = change.of(old.group, old.capabilities.has(Capabilities::SETGID))?;
    Ok(Credentials { group, ..old.clone() })
}

/// The credentials with other supplementary groups (setgroups(2)).
pub fn change_groups(old: &Credentials, mut groups: Vec<u32>) -> Result<Credentials, Errno> {
    if !old.capabilities.has(Capabilities::SETGID) {
        return Err(Errno::EPERM);
    }
    groups.sort_unstable();
    Ok(Credentials { groups, ..old.clone() })
}

/// Whether everything in one set is in another.
fn within(set: u64, other: u64) -> bool {
    set & !other == 0
}

/// capset(2): effective, permitted and inheritable capabilities.
pub fn change_capabilities(old: &Credentials, wanted: [u64; 3]) -> Result<Credentials, Errno> {
    let [effective, permitted, inheritable] = wanted.map(|set| set & ALL_CAPABILITIES);
    let had = old.capabilities;
    let may_inherit = had.has(Capabilities::SETPCAP) || within(inheritable, had.inheritable | had.permitted);
    let fits = within(inheritable, had.inheritable | had.bounding)
        && within(permitted, had.permitted)
        && within(effective, permitted);
    if !may_inherit || !fits {
        return Err(Errno::EPERM);
    }
    let ambient = had.ambient & permitted & inheritable;
    let capabilities = Capabilities { effective, permitted, inheritable, ambient, ..had };
    Ok(Credentials { capabilities, ..old.clone() })
}

/// PR_CAPBSET_DROP: no program gets this capability any more.
pub fn narrow_bounding(old: &Credentials, capability: u32) -> Result<Credentials, Errno> {
    if !old.capabilities.has(Capabilities::SETPCAP) {
        return Err(Errno::EPERM);
    }
    if capability > LAST_CAPABILITY {
        return Err(Errno::EINVAL);
    }
    let mut new = old.clone();
    new.capabilities.bounding &= !(1 << capability);
    Ok(new)
}

/// PR_CAP_AMBIENT_RAISE and PR_CAP_AMBIENT_LOWER for capabilities that there are.
pub fn change_ambient(old: &Credentials, which: u64, raise: bool) -> Result<Credentials, Errno> {
    let mut new = old.clone();
    let capabilities = &mut new.capabilities;
    if raise {
        let locked = capabilities.secure_bits & NO_AMBIENT != 0;
        if locked || !within(which, capabilities.permitted & capabilities.inheritable) {
            return Err(Errno::EPERM);
        }
        capabilities.ambient |= which;
    } else {
        capabilities.ambient &= !which;
    }
    Ok(new)
}

/// PR_SET_SECUREBITS.
pub fn change_secure_bits(old: &Credentials, bits: u64) -> Result<Credentials, Errno> {
    let had = old.capabilities.secure_bits;
    let bits = u32::try_from(bits).map_err(|_| Errno::EPERM)?;
    let of_locked = (had & LOCKS) >> 1 & (had ^ bits);
    if of_locked != 0
        || had & LOCKS & !bits != 0
        || bits & !(LOCKS | BITS) != 0
        || !old.capabilities.has(Capabilities::SETPCAP)
    {
        return Err(Errno::EPERM);
    }
    let mut new = old.clone();
    new.capabilities.secure_bits = bits;
    Ok(new)
}

/// PR_SET_KEEPCAPS.
pub fn change_keeping(old: &Credentials, keep: bool) -> Result<Credentials, Errno> {
    let mut new = old.clone();
    let bits = &mut new.capabilities.secure_bits;
    if *bits & KEEP_CAPABILITIES << 1 != 0 {
        return Err(Errno::EPERM);
    }
    *bits = *bits & !KEEP_CAPABILITIES | if keep { KEEP_CAPABILITIES } else { 0 };
    Ok(new)
}

/// PR_GET_KEEPCAPS.
pub fn keeps_capabilities(credentials: &Credentials) -> bool {
    credentials.capabilities.secure_bits & KEEP_CAPABILITIES != 0
}

/// The credentials after execve(2) of a program. Programs get no new privileges, whatever marks their files
/// have.
pub fn executed(old: &Credentials) -> Credentials {
    let had = old.capabilities;
    let is_root = had.secure_bits & NO_ROOT == 0 && (old.user.effective == 0 || old.user.real == 0);
    let of_root = if is_root { (had.bounding | had.inheritable) & had.permitted } else { 0 };
    let permitted = of_root | had.ambient;
    let effective = if is_root && old.user.effective == 0 { permitted } else { had.ambient };
    let settled = |ids: Ids| Ids { saved: ids.effective, file_system: ids.effective, ..ids };
    Credentials {
        user: settled(old.user),
        group: settled(old.group),
        groups: old.groups.clone(),
        capabilities: Capabilities {
            permitted,
            effective,
            secure_bits: had.secure_bits & !KEEP_CAPABILITIES,
            ..had
        },
    }
}

/// Whether a change makes a process one of which no core is dumped, and into which only root may look
/// (PR_SET_DUMPABLE(2const)).
pub fn hides(old: &Credentials, new: &Credentials) -> bool {
    let seen =
        |c: &Credentials| [c.user.effective, c.user.file_system, c.group.effective, c.group.file_system];
    seen(old) != seen(new) || !within(new.capabilities.permitted, old.capabilities.permitted)
}

/// Whether `sender` may send a signal to somebody with the credentials of `target` (kill(2)).
pub fn may_signal(sender: &Credentials, target: &Credentials) -> bool {
    let known = [target.user.real, target.user.saved];
    known.contains(&sender.user.effective)
        || known.contains(&sender.user.real)
        || sender.capabilities.has(Capabilities::KILL)
}

/// Whether `caller` may change how somebody with the credentials of `target` is scheduled (setpriority(2)).
pub fn may_schedule(caller: &Credentials, target: &Credentials) -> bool {
    [target.user.real, target.user.effective].contains(&caller.user.effective)
        || caller.capabilities.has(Capabilities::SYS_NICE)
}

/// Whether `caller` may ask for and set limits of somebody with the credentials of `target` (prlimit(2)).
pub fn may_limit(caller: &Credentials, target: &Credentials) -> bool {
    let all = |ids: Ids, id: u32| [ids.real, ids.effective, ids.saved] == [id; 3];
    all(target.user, caller.user.real) && all(target.group, caller.group.real)
        || caller.capabilities.has(Capabilities::SYS_RESOURCE)
}

/// Whether `caller` may look into somebody with the credentials of `target`, of whom others of its user may
/// see what is in its memory if it is `dumpable` (ptrace(2), "Ptrace access mode checking", by file system
/// ids).
pub fn may_look_into(caller: &Credentials, target: &Credentials, dumpable: bool) -> bool {
    let all = |ids: Ids, id: u32| [ids.real, ids.effective, ids.saved] == [id; 3];
    let same = all(target.user, caller.user.file_system) && all(target.group, caller.group.file_system);
    let more = within(target.capabilities.permitted, caller.capabilities.effective);
    same && dumpable && more || caller.capabilities.has(Capabilities::SYS_PTRACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Credentials {
        let all = Capabilities::SETUID | Capabilities::SETGID | Capabilities::SETPCAP | OF_FILES;
        Credentials {
            user: Ids::all(0),
            group: Ids::all(0),
            groups: vec![0],
            capabilities: Capabilities {
                effective: all,
                permitted: all,
                bounding: all,
                ..Capabilities::default()
            },
        }
    }

    #[test]
    fn root_that_becomes_another_user_for_good_has_no_way_back() {
        let user = change_user(&root(), Change::One(33)).unwrap();
        assert_eq!(user.user, Ids::all(33));
        assert_eq!((user.capabilities.effective, user.capabilities.permitted), (0, 0));
        for change in [Change::One(0), Change::Two([0, KEEP]), Change::Three([KEEP, 0, KEEP])] {
            assert_eq!(change_user(&user, change), Err(Errno::EPERM));
        }
        assert_eq!(change_group(&user, Change::One(33)), Err(Errno::EPERM));
        assert_eq!(change_groups(&user, Vec::new()), Err(Errno::EPERM));
    }

    #[test]
    fn root_that_is_another_user_for_a_while_gets_its_capabilities_back() {
        let all = root().capabilities.permitted;
        let there = change_user(&root(), Change::Three([KEEP, 33, KEEP])).unwrap();
        assert_eq!((there.user.file_system, there.capabilities.effective), (33, 0));
        assert_eq!(there.capabilities.permitted, all);
        let back = change_user(&there, Change::Three([KEEP, 0, KEEP])).unwrap();
        assert_eq!(back.capabilities.effective, all);
        let files = change_user(&root(), Change::ForFiles(33)).unwrap();
        assert_eq!((files.user.effective, files.capabilities.effective), (0, all & !OF_FILES));
        assert_eq!(change_user(&files, Change::ForFiles(0)), Ok(root()));
        assert_eq!(change_user(&there, Change::ForFiles(KEEP)), Ok(there));
    }

    #[test]
    fn capabilities_are_kept_on_request_and_only_become_fewer() {
        let keeping = change_keeping(&root(), true).unwrap();
        let user = change_user(&keeping, Change::One(33)).unwrap();
        assert_eq!((user.capabilities.effective, user.capabilities.permitted), (0, OF_FILES | 0x1c0));
        let some = change_capabilities(&user, [0x40, 0x40, 0]).unwrap();
        assert!(change_capabilities(&some, [0x40, 0xc0, 0]).is_err());
        assert!(change_capabilities(&some, [0x80, 0x40, 0]).is_err());
        assert_eq!(executed(&some).capabilities.permitted, 0);
        assert!(!keeps_capabilities(&executed(&some)));
        let inherited = change_capabilities(&some, [0x40, 0x40, 0x40]).unwrap();
        let ambient = change_ambient(&inherited, 0x40, true).unwrap();
        assert_eq!(executed(&ambient).capabilities.effective, 0x40);
        assert_eq!(change_ambient(&some, 0x40, true), Err(Errno::EPERM));
    }

    #[test]
    fn a_program_of_root_has_all_that_is_left_and_one_of_another_nothing() {
        let narrow = narrow_bounding(&root(), 7).unwrap();
        assert_eq!(executed(&narrow).capabilities.effective, root().capabilities.effective & !(1 << 7));
        let there = change_user(&root(), Change::Three([KEEP, 33, KEEP])).unwrap();
        let program = executed(&there);
        assert_eq!(program.user, Ids { real: 0, ..Ids::all(33) });
        assert_eq!((program.capabilities.effective, program.capabilities.permitted != 0), (0, true));
        assert_eq!(narrow_bounding(&there, 6), Err(Errno::EPERM));
    }

    #[test]
    fn locked_bits_stay() {
        let locked = change_secure_bits(&root(), 0b11).unwrap();
        assert_eq!(change_secure_bits(&locked, 0b10), Err(Errno::EPERM));
        assert_eq!(change_secure_bits(&locked, 0b01), Err(Errno::EPERM));
        assert!(change_secure_bits(&locked, 0b111).is_ok());
        assert_eq!(change_secure_bits(&root(), 1 << 20), Err(Errno::EPERM));
    }

    #[test]
    fn who_may_do_what_to_whom() {
        let of = |id| change_user(&change_group(&root(), Change::One(id)).unwrap(), Change::One(id)).unwrap();
        assert!(may_signal(&of(1), &of(1)) && !may_signal(&of(1), &of(2)) && !may_signal(&of(1), &root()));
        assert!(may_look_into(&of(1), &of(1), true) && !may_look_into(&of(1), &of(1), false));
        assert!(!may_look_into(&of(1), &root(), true) && may_look_into(&root(), &root(), true));
        assert!(may_limit(&of(1), &of(1)) && !may_limit(&of(1), &of(2)));
        assert!(may_schedule(&of(1), &of(1)) && !may_schedule(&of(1), &root()));
        assert!(hides(&root(), &of(1)) && !hides(&of(1), &of(1)));
    }
}

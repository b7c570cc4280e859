//! The credentials with which a thread of the supervisor makes its calls (credentials(7)).
//!
//! To the kernel credentials are a thread's own. A worker makes the calls of one guest thread, so it makes
//! them with that guest thread's ids, groups and effective capabilities, and the kernel judges them as it
//! would have judged the guest's: files, sockets and what others are told of the sender (`SO_PEERCRED`,
//! `SCM_CREDENTIALS`) are right by themselves.
//!
//! * **Never more than the supervisor kept.** The effective set is cut to what the supervisor has, and only
//!   where the profile lets guests change their identity does it have what the change needs. Those stay in
//!   the permitted set, so that the thread can come back; they are effective only if the guest thread's are.
//! * **Never something in between.** A change that fails is taken back. A thread for which that fails as well
//!   is [`Held::Unknown`]: it makes no call for any guest until it has been set to something again.
//! * What concerns the supervisor's own children (signals, looks below `/proc`, threads that are started) it
//!   does as itself: [`as_own`].
//!
//! The kernel keeps the permitted set through a change of user only with `SECBIT_KEEP_CAPS`
//! ([`keep_permitted`]), which all threads inherit.

use super::SyscallResult;
use super::number::{Wait, raw};
use nix::errno::Errno;
use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

/// The ids of one kind, users or groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// Who started it.
    pub real: u32,
    /// As whom it acts.
    pub effective: u32,
    /// As whom it can act again.
    pub saved: u32,
    /// As whom it reaches files.
    pub file_system: u32,
}

impl Ids {
    /// All of them this one.
    pub const fn all(id: u32) -> Ids {
        Ids { real: id, effective: id, saved: id, file_system: id }
    }

    /// Whether `id` is the real, the effective or the saved one.
    pub fn has(&self, id: u32) -> bool {
        [self.real, self.effective, self.saved].contains(&id)
    }
}

/// The sets of capabilities (capabilities(7)), bit n for capability n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Those that are asked for.
    pub effective: u64,
    /// Those that may become effective.
    pub permitted: u64,
    /// Those that a program with file capabilities may inherit.
    pub inheritable: u64,
    /// The most that a program may get.
    pub bounding: u64,
    /// Those that stay over execve(2) of a user who is not root.
    pub ambient: u64,
    /// The bits of `PR_SET_SECUREBITS`.
    pub secure_bits: u32,
}

impl Capabilities {
    /// `CAP_KILL`.
    pub const KILL: u64 = 1 << 5;
    /// `CAP_SETGID`.
    pub const SETGID: u64 = 1 << 6;
    /// `CAP_SETUID`.
    pub const SETUID: u64 = 1 << 7;
    /// `CAP_SETPCAP`.
    pub const SETPCAP: u64 = 1 << 8;
    /// `CAP_SYS_PTRACE`.
    pub const SYS_PTRACE: u64 = 1 << 19;
    /// `CAP_SYS_NICE`.
    pub const SYS_NICE: u64 = 1 << 23;
    /// `CAP_SYS_RESOURCE`.
    pub const SYS_RESOURCE: u64 = 1 << 24;

    /// Whether this one is effective.
    pub fn has(&self, capability: u64) -> bool {
        self.effective & capability != 0
    }
}

/// What a thread may do, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User ids.
    pub user: Ids,
    /// Group ids.
    pub group: Ids,
    /// Supplementary groups, ascending.
    pub groups: Vec<u32>,
    /// Capabilities.
    pub capabilities: Capabilities,
}

/// What this thread has.
#[derive(Debug)]
enum Held {
    /// What the supervisor started with.
    Own,
    /// Those of a guest thread.
    Guests(Arc<Credentials>),
    /// Neither: a change has failed, and so has taking it back.
    Unknown,
}

thread_local! {
    static HELD: RefCell<Held> = const { RefCell::new(Held::Own) };
}

/// The supervisor's own, as they were when they were first asked for.
pub fn own() -> Result<&'static Credentials, Errno> {
    static OWN: OnceLock<Result<Credentials, Errno>> = OnceLock::new();
    OWN.get_or_init(Credentials::of_this_thread).as_ref().map_err(|e| *e)
}

/// Lets this process and all that it starts keep their permitted capabilities when they change user.
///
/// # Errors
/// EPERM if what started rxbox has locked that.
pub fn keep_permitted() -> Result<(), Errno> {
    nix::sys::prctl::set_keepcaps(true)
}

impl Credentials {
    /// Those that this thread has now. What the supervisor may do is what its guests may.
    fn of_this_thread() -> Result<Credentials, Errno> {
        let (u, g) = (nix::unistd::getresuid()?, nix::unistd::getresgid()?);
        let ids = |[real, effective, saved]: [u32; 3]| Ids { real, effective, saved, file_system: effective };
        let permitted = permitted()?;
        Ok(Credentials {
            user: ids([u.real, u.effective, u.saved].map(nix::unistd::Uid::as_raw)),
            group: ids([g.real, g.effective, g.saved].map(nix::unistd::Gid::as_raw)),
            groups: groups_of_this_thread()?,
            capabilities: Capabilities {
                effective: permitted,
                permitted,
                bounding: bounding(),
                ..Capabilities::default()
            },
        })
    }

    /// The same without any capability.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn without_capabilities(&self) -> Credentials {
        Credentials { capabilities: Capabilities::default(), ..self.clone() }
    }

    /// Whether to the kernel these are the same when a thread of the supervisor has them. Capabilities that
    /// it does not have are only the guest's; and so are ids, if it cannot change its own.
    fn same(&self, other: &Credentials, own: &Credentials) -> bool {
        let kept = own.capabilities.permitted;
        self.capabilities.effective & kept == other.capabilities.effective & kept
            && (!own.can_change_ids()
                || (self.user, self.group) == (other.user, other.group) && self.groups == other.groups)
    }

    /// Whether whoever has these can take on other ids and groups.
    pub fn can_change_ids(&self) -> bool {
        const NEEDED: u64 = Capabilities::SETGID | Capabilities::SETUID;
        self.capabilities.permitted & NEEDED == NEEDED
    }
}

/// Lets this thread make its calls with these credentials from now on.
///
/// # Errors
/// As setresuid(2), setresgid(2), setgroups(2), capset(2): it has those from before.
pub fn act_as(wanted: &Arc<Credentials>) -> Result<(), Errno> {
    let own = own()?;
    if wanted.same(own, own) {
        return act_as_own();
    }
    let same = |held: &Held| match held {
        Held::Guests(held) => held.same(wanted, own),
        Held::Own | Held::Unknown => false,
    };
    if !HELD.with_borrow(same) {
        change(wanted, own)?;
    }
    HELD.set(Held::Guests(wanted.clone()));
    Ok(())
}

/// Lets this thread make its calls as the supervisor again.
///
/// # Errors
/// As for [`act_as`].
pub fn act_as_own() -> Result<(), Errno> {
    if !is_own() {
        change(own()?, own()?)?;
        HELD.set(Held::Own);
    }
    Ok(())
}

/// Whether this thread has the supervisor's own.
pub fn is_own() -> bool {
    HELD.with_borrow(|held| matches!(held, Held::Own))
}

/// Whether it is not known what this thread has: it must not make calls for guests.
pub fn is_unknown() -> bool {
    HELD.with_borrow(|held| matches!(held, Held::Unknown))
}

/// Does something that concerns the supervisor's own processes and threads, as the supervisor. If that cannot
/// be, it is done with less.
pub fn as_own<T>(work: impl FnOnce() -> T) -> T {
    let before = HELD.with_borrow(|held| match held {
        Held::Guests(before) => Some(before.clone()),
        Held::Own | Held::Unknown => None,
    });
    let Some(before) = before else { return work() };
    // A guard comes back even if the work panics.
    struct Back(Arc<Credentials>);
    impl Drop for Back {
        fn drop(&mut self) {
            if !is_unknown() && act_as(&self.0).is_err() {
                HELD.set(Held::Unknown);
            }
        }
    }
    let _ = act_as_own();
    let _back = Back(before);
    work()
}

/// Changes to `wanted`; if that fails, back.
fn change(wanted: &Credentials, own: &Credentials) -> Result<(), Errno> {
    set(wanted, own).inspect_err(|_| {
        let back = HELD.with_borrow(|held| match held {
            Held::Own => set(own, own).is_ok(),
            Held::Guests(before) => set(before, own).is_ok(),
            Held::Unknown => false,
        });
        if !back {
            HELD.set(Held::Unknown);
        }
    })
}

/// Sets everything, whatever it was.
fn set(to: &Credentials, own: &Credentials) -> Result<(), Errno> {
    let permitted = own.capabilities.permitted;
    if own.can_change_ids() {
        // What a change of user makes effective or not is undone by the last step.
        set_effective(permitted, permitted)?;
        if groups_of_this_thread()? != to.groups {
            let list = to.groups.as_slice();
            let args = [list.len() as u64, list.as_ptr() as u64, 0, 0, 0, 0];
            // SAFETY: the kernel reads as many numbers as the list has.
            unsafe { raw(Wait::Short, libc::SYS_setgroups, args) }?;
        }
        set_ids(libc::SYS_setresgid, libc::SYS_setfsgid, &to.group, || Ok(()))?;
        set_ids(libc::SYS_setresuid, libc::SYS_setfsuid, &to.user, || set_effective(permitted, permitted))?;
    }
    set_effective(to.capabilities.effective & permitted, permitted)
}

/// Sets ids of one kind. The one for files follows the effective one, and is changed after `again`.
fn set_ids(
    all: i64,
    for_files: i64,
    ids: &Ids,
    again: impl FnOnce() -> Result<(), Errno>,
) -> Result<(), Errno> {
    scalar(all, [ids.real, ids.effective, ids.saved])?;
    if ids.file_system != ids.effective {
        again()?;
        scalar(for_files, [ids.file_system, 0, 0])?;
        // The call answers what was before, and says nothing of failure.
        if scalar(for_files, [u32::MAX, 0, 0])? != i64::from(ids.file_system) {
            return Err(Errno::EPERM);
        }
    }
    Ok(())
}

/// The raw call, which concerns this thread alone: the C library's would change all.
fn scalar(nr: i64, args: [u32; 3]) -> SyscallResult {
    // SAFETY: the calls made here take no pointer.
    unsafe { raw(Wait::Short, nr, [args[0].into(), args[1].into(), args[2].into(), 0, 0, 0]) }
}

fn groups_of_this_thread() -> Result<Vec<u32>, Errno> {
    let mut groups: Vec<u32> = nix::unistd::getgroups()?.into_iter().map(nix::unistd::Gid::as_raw).collect();
    groups.sort_unstable();
    Ok(groups)
}

/// `_LINUX_CAPABILITY_VERSION_3` (capget(2)), for this thread.
const HEADER: [u32; 2] = [0x2008_0522, 0];

/// The permitted capabilities of this thread.
fn permitted() -> Result<u64, Errno> {
    let (header, mut sets) = (HEADER, [0u32; 6]);
    let args = [header.as_ptr() as u64, sets.as_mut_ptr() as u64, 0, 0, 0, 0];
    // SAFETY: the kernel reads and writes a header of two words and two times three words.
    unsafe { raw(Wait::Short, libc::SYS_capget, args) }?;
    Ok(u64::from(sets[1]) | u64::from(sets[4]) << 32)
}

/// The bounding set of this thread.
fn bounding() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let hex = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    hex.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

fn set_effective(effective: u64, permitted: u64) -> Result<(), Errno> {
    let header = HEADER;
    let [e, p] = [effective, permitted].map(|set| [set as u32, (set >> 32) as u32]);
    let sets = [e[0], p[0], 0, e[1], p[1], 0];
    let args = [header.as_ptr() as u64, sets.as_ptr() as u64, 0, 0, 0, 0];
    // SAFETY: the kernel reads a header of two words and two times three words.
    unsafe { raw(Wait::Short, libc::SYS_capset, args) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_root() -> bool {
        own().unwrap().user == Ids::all(0) && own().unwrap().can_change_ids()
    }

    /// A user without anything.
    fn somebody() -> Arc<Credentials> {
        Arc::new(Credentials {
            user: Ids { file_system: 65_532, ..Ids::all(65_533) },
            group: Ids::all(65_531),
            groups: vec![3, 65_530],
            capabilities: Capabilities::default(),
        })
    }

    fn fields() -> Vec<String> {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let wanted = ["Uid", "Gid", "Groups", "CapEff"];
        let named = |line: &&str| wanted.iter().any(|key| line.starts_with(key));
        status.lines().filter(named).map(|line| line.trim_end().replace('\t', " ")).collect()
    }

    #[test]
    fn a_thread_acts_as_another_and_comes_back_and_no_other_thread_is_concerned() {
        if !is_root() {
            // There is nothing to be had, and nothing is lost.
            assert_eq!((act_as(&somebody()), fields()), (Ok(()), fields()));
            return;
        }
        keep_permitted().unwrap();
        let before = fields();
        act_as(&somebody()).unwrap();
        let (now, elsewhere) = (fields(), as_own(|| std::thread::spawn(fields)).join().unwrap());
        assert_eq!(now[0], "Uid: 65533 65533 65533 65532");
        assert_eq!(now[1], "Gid: 65531 65531 65531 65531");
        assert_eq!(now[2], "Groups: 3 65530");
        assert_eq!(now[3], "CapEff: 0000000000000000");
        assert_eq!(elsewhere, before);
        assert_eq!(as_own(fields), before);
        assert_eq!(fields(), now);
        let made = nix::sys::stat::fstat(nix::unistd::pipe().unwrap().0).unwrap();
        assert_eq!((made.st_uid, made.st_gid), (65_532, 65_531));
        act_as_own().unwrap();
        assert_eq!(fields(), before);
    }

    #[test]
    fn a_change_that_fails_leaves_what_was_before() {
        if !is_root() {
            return;
        }
        keep_permitted().unwrap();
        act_as(&somebody()).unwrap();
        let now = fields();
        let too_many = Credentials { groups: (0..70_000).collect(), ..(*somebody()).clone() };
        assert_eq!((act_as(&Arc::new(too_many)), fields()), (Err(Errno::EINVAL), now));
        act_as_own().unwrap();
    }
}

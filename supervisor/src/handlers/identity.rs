//! Users, groups, capabilities, personality. A guest is an unprivileged process: it may take on only the
//! identities that it has already, as the real, effective or saved one (credentials(7)), and has no
//! capability, whatever its user.

use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::state::process::{Identity, Ids};
use nix::errno::Errno;
use std::sync::atomic::Ordering;

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[
    ("getpid", getpid),
    ("getppid", getppid),
    ("gettid", gettid),
    ("getuid", getuid),
    ("geteuid", geteuid),
    ("getgid", getgid),
    ("getegid", getegid),
    ("getresuid", getresuid),
    ("getresgid", getresgid),
    ("getgroups", getgroups),
    ("setuid", setuid),
    ("setgid", setgid),
    ("setreuid", setreuid),
    ("setregid", setregid),
    ("setresuid", setresuid),
    ("setresgid", setresgid),
    ("setgroups", setgroups),
    ("setfsuid", setfsuid),
    ("setfsgid", setfsgid),
    ("capget", capget),
    ("capset", capset),
    ("personality", personality),
];

fn getpid(call: &mut Call<'_>) -> SyscallResult {
    Ok(call.process.pid.into())
}

fn getppid(call: &mut Call<'_>) -> SyscallResult {
    Ok(call.process.ppid().into())
}

fn gettid(call: &mut Call<'_>) -> SyscallResult {
    Ok(call.tid.into())
}

fn getuid(call: &mut Call<'_>) -> SyscallResult {
    Ok(call.process.identity().user.real.into())
}

fn geteuid(call: &mut Call<'_>) -> SyscallResult {
    Ok(call.process.identity().user.effective.into())
}

fn getgid(call: &mut Call<'_>) -> SyscallResult {
    Ok(call.process.identity().group.real.into())
}

fn getegid(call: &mut Call<'_>) -> SyscallResult {
    Ok(call.process.identity().group.effective.into())
}

fn put_ids(call: &mut Call<'_>, ids: Ids) -> SyscallResult {
    for (i, id) in [ids.real, ids.effective, ids.saved].into_iter().enumerate() {
        call.put(i, &id.to_le_bytes());
    }
    Ok(0)
}

fn getresuid(call: &mut Call<'_>) -> SyscallResult {
    let ids = call.process.identity().user;
    put_ids(call, ids)
}

fn getresgid(call: &mut Call<'_>) -> SyscallResult {
    let ids = call.process.identity().group;
    put_ids(call, ids)
}

fn getgroups(call: &mut Call<'_>) -> SyscallResult {
    let groups = call.process.identity().groups.clone();
    let n = groups.len();
    match call.i32(0) {
        ..0 => return Err(Errno::EINVAL),
        0 => return Ok(n as i64),
        room if (room as usize) < n => return Err(Errno::EINVAL),
        _ => {}
    }
    let bytes: Vec<u8> = groups.iter().flat_map(|g| g.to_le_bytes()).collect();
    call.put(1, &bytes);
    Ok(n as i64)
}

/// "Leave this one as it is."
const KEEP: u32 = u32::MAX;

/// setuid(2) and setgid(2) of an unprivileged process: the effective one becomes the real or the saved one.
fn set_effective(ids: Ids, id: u32) -> Result<Ids, Errno> {
    match id {
        KEEP => Err(Errno::EINVAL),
        _ if id == ids.real || id == ids.saved => Ok(Ids { effective: id, ..ids }),
        _ => Err(Errno::EPERM),
    }
}

/// setreuid(2), setregid(2): the saved one follows the effective one when the real one is set, or the
/// effective one to something else than the real one.
fn set_real_effective(ids: Ids, real: u32, effective: u32) -> Result<Ids, Errno> {
    let mut new = ids;
    if real != KEEP {
        if real != ids.real && real != ids.effective {
            return Err(Errno::EPERM);
        }
        new.real = real;
    }
    if effective != KEEP {
        if ![ids.real, ids.effective, ids.saved].contains(&effective) {
            return Err(Errno::EPERM);
        }
        new.effective = effective;
    }
    if real != KEEP || effective != KEEP && effective != ids.real {
        new.saved = new.effective;
    }
    Ok(new)
}

/// setresuid(2), setresgid(2): each becomes one of the three.
fn set_all(ids: Ids, wanted: [u32; 3]) -> Result<Ids, Errno> {
    let has = [ids.real, ids.effective, ids.saved];
    if wanted.iter().any(|id| *id != KEEP && !has.contains(id)) {
        return Err(Errno::EPERM);
    }
    let pick = |i: usize| if wanted[i] == KEEP { has[i] } else { wanted[i] };
    Ok(Ids { real: pick(0), effective: pick(1), saved: pick(2) })
}

/// Changes the user ids as `change` says.
fn change_user(call: &Call<'_>, change: impl FnOnce(Ids) -> Result<Ids, Errno>) -> SyscallResult {
    call.process.change_identity(|old| Ok(Identity { user: change(old.user)?, ..old.clone() }))?;
    Ok(0)
}

/// Changes the group ids as `change` says.
fn change_group(call: &Call<'_>, change: impl FnOnce(Ids) -> Result<Ids, Errno>) -> SyscallResult {
    call.process.change_identity(|old| Ok(Identity { group: change(old.group)?, ..old.clone() }))?;
    Ok(0)
}

fn setuid(call: &mut Call<'_>) -> SyscallResult {
    change_user(call, |ids| set_effective(ids, call.u32(0)))
}

fn setgid(call: &mut Call<'_>) -> SyscallResult {
    change_group(call, |ids| set_effective(ids, call.u32(0)))
}

fn setreuid(call: &mut Call<'_>) -> SyscallResult {
    change_user(call, |ids| set_real_effective(ids, call.u32(0), call.u32(1)))
}

fn setregid(call: &mut Call<'_>) -> SyscallResult {
    change_group(call, |ids| set_real_effective(ids, call.u32(0), call.u32(1)))
}

fn setresuid(call: &mut Call<'_>) -> SyscallResult {
    change_user(call, |ids| set_all(ids, [call.u32(0), call.u32(1), call.u32(2)]))
}

fn setresgid(call: &mut Call<'_>) -> SyscallResult {
    change_group(call, |ids| set_all(ids, [call.u32(0), call.u32(1), call.u32(2)]))
}

/// Takes a capability.
fn setgroups(_: &mut Call<'_>) -> SyscallResult {
    Err(Errno::EPERM)
}

/// The file system user follows the effective one here; the call answers what it was and never fails.
fn setfsuid(call: &mut Call<'_>) -> SyscallResult {
    geteuid(call)
}

fn setfsgid(call: &mut Call<'_>) -> SyscallResult {
    getegid(call)
}

/// `_LINUX_CAPABILITY_VERSION_3`, and its obsolete predecessors (capget(2)).
const VERSION_3: u32 = 0x2008_0522;
const VERSION_2: u32 = 0x2007_1026;
const VERSION_1: u32 = 0x1998_0330;

/// Checks the header: its version, else EINVAL and the right one in its place, and the process. True if there
/// is nothing more to do, because only the version was asked for.
fn capability_header(call: &mut Call<'_>) -> Result<bool, Errno> {
    let header: [u8; 8] = call.need(0)?.try_into().map_err(|_| Errno::EFAULT)?;
    let [version, pid] = [0, 4].map(|at| u32::from_le_bytes(std::array::from_fn(|i| header[at + i])));
    if ![VERSION_1, VERSION_2, VERSION_3].contains(&version) {
        let told = [VERSION_3.to_le_bytes(), pid.to_le_bytes()].concat();
        call.put(0, &told);
        return if call.present(1) { Err(Errno::EINVAL) } else { Ok(true) };
    }
    let pid = pid as i32;
    if pid < 0 {
        return Err(Errno::EINVAL);
    }
    if pid != 0 && pid != call.tid && call.sandbox.processes.get(pid).is_none() {
        return Err(Errno::ESRCH);
    }
    Ok(!call.present(1))
}

/// Bytes of the sets: the first version had 32 bits of each.
fn set_bytes(call: &Call<'_>) -> usize {
    if call.bytes(0).is_some_and(|h| h.starts_with(&VERSION_1.to_le_bytes())) { 12 } else { 24 }
}

fn capget(call: &mut Call<'_>) -> SyscallResult {
    if !capability_header(call)? {
        let none = [0; 24];
        let n = set_bytes(call);
        call.put(1, &none[..n]);
    }
    Ok(0)
}

fn capset(call: &mut Call<'_>) -> SyscallResult {
    if capability_header(call)? {
        return Err(Errno::EFAULT);
    }
    let n = set_bytes(call);
    if call.need(1)?.iter().take(n).any(|&b| b != 0) { Err(Errno::EPERM) } else { Ok(0) }
}

/// personality(2). It is kept and inherited, but places in memory stay random, for the emulator's sake.
/// Another execution domain, and flags by which calls or mappings would behave otherwise, are refused.
fn personality(call: &mut Call<'_>) -> SyscallResult {
    const ASK: u32 = u32::MAX;
    let kept = libc::ADDR_NO_RANDOMIZE | libc::ADDR_COMPAT_LAYOUT | libc::SHORT_INODE | libc::WHOLE_SECONDS;
    let (new, own) = (call.u32(0), &call.process.attributes.personality);
    let old = own.load(Ordering::Relaxed);
    if new != ASK {
        // What it was started with it may have again.
        if new & !(kept.cast_unsigned() | old) != 0 {
            return Err(Errno::EINVAL);
        }
        own.store(new, Ordering::Relaxed);
    }
    Ok(old.into())
}

//! Users, groups, personality. What a guest may make of its ids the kernel's rules say
//! ([`crate::state::credentials`]); whether it may change them as root does, the profile (`[identity]
//! change`): without that, and without root, there is no capability to do it.

use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::credentials::{self, Credentials, Ids};
use crate::state::credentials::{self as rules, Change};
use nix::errno::Errno;
use std::sync::Arc;
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
    ("personality", personality),
];

fn getpid(call: &mut Call<'_>) -> SyscallResult {
    Ok(call.pid().into())
}

fn getppid(call: &mut Call<'_>) -> SyscallResult {
    let companion = call.process.threads.is_companion(call.tid);
    Ok(if companion { call.process.pid } else { call.process.ppid() }.into())
}

fn gettid(call: &mut Call<'_>) -> SyscallResult {
    Ok(call.tid.into())
}

fn getuid(call: &mut Call<'_>) -> SyscallResult {
    Ok(call.credentials().user.real.into())
}

fn geteuid(call: &mut Call<'_>) -> SyscallResult {
    Ok(call.credentials().user.effective.into())
}

fn getgid(call: &mut Call<'_>) -> SyscallResult {
    Ok(call.credentials().group.real.into())
}

fn getegid(call: &mut Call<'_>) -> SyscallResult {
    Ok(call.credentials().group.effective.into())
}

fn put_ids(call: &mut Call<'_>, ids: Ids) -> SyscallResult {
    for (i, id) in [ids.real, ids.effective, ids.saved].into_iter().enumerate() {
        call.put(i, &id.to_le_bytes())?;
    }
    Ok(0)
}

fn getresuid(call: &mut Call<'_>) -> SyscallResult {
    let ids = call.credentials().user;
    put_ids(call, ids)
}

fn getresgid(call: &mut Call<'_>) -> SyscallResult {
    let ids = call.credentials().group;
    put_ids(call, ids)
}

fn getgroups(call: &mut Call<'_>) -> SyscallResult {
    let credentials = call.credentials();
    let groups = &credentials.groups;
    let n = groups.len();
    match call.i32(0) {
        ..0 => return Err(Errno::EINVAL),
        0 => return Ok(n as i64),
        room if (room as usize) < n => return Err(Errno::EINVAL),
        _ => {}
    }
    let bytes: Vec<u8> = groups.iter().flat_map(|g| g.to_le_bytes()).collect();
    call.put(1, &bytes)?;
    Ok(n as i64)
}

/// Makes something else of the caller's credentials: the thread that makes its calls takes them on first, so
/// that whatever the guest is told holds for the kernel as well.
pub(super) fn change(
    call: &Call<'_>,
    make: impl FnOnce(&Credentials) -> Result<Credentials, Errno>,
) -> SyscallResult {
    let old = call.credentials();
    let new = Arc::new(make(&old)?);
    if new != old {
        credentials::act_as(&new)?;
        if rules::hides(&old, &new) {
            call.process.attributes.hidden();
        }
        call.process.set_credentials(call.slot, new);
    }
    Ok(0)
}

/// Another program runs in the caller's process.
pub fn executed(call: &Call<'_>) -> SyscallResult {
    change(call, |old| Ok(rules::executed(call.process.executing().as_deref().unwrap_or(old))))?;
    let now = call.credentials();
    if now.user.real != now.user.effective || now.group.real != now.group.effective {
        call.process.attributes.hidden();
    } else {
        call.process.attributes.dumpable.store(1, Ordering::Relaxed);
    }
    Ok(0)
}

fn change_user(call: &Call<'_>, change_to: Change) -> SyscallResult {
    change(call, |old| rules::change_user(old, change_to))
}

fn change_group(call: &Call<'_>, change_to: Change) -> SyscallResult {
    change(call, |old| rules::change_group(old, change_to))
}

fn setuid(call: &mut Call<'_>) -> SyscallResult {
    change_user(call, Change::One(call.u32(0)))
}

fn setgid(call: &mut Call<'_>) -> SyscallResult {
    change_group(call, Change::One(call.u32(0)))
}

fn setreuid(call: &mut Call<'_>) -> SyscallResult {
    change_user(call, Change::Two([call.u32(0), call.u32(1)]))
}

fn setregid(call: &mut Call<'_>) -> SyscallResult {
    change_group(call, Change::Two([call.u32(0), call.u32(1)]))
}

fn setresuid(call: &mut Call<'_>) -> SyscallResult {
    change_user(call, Change::Three([call.u32(0), call.u32(1), call.u32(2)]))
}

fn setresgid(call: &mut Call<'_>) -> SyscallResult {
    change_group(call, Change::Three([call.u32(0), call.u32(1), call.u32(2)]))
}

fn setgroups(call: &mut Call<'_>) -> SyscallResult {
    /// Most groups of a process (NGROUPS_MAX).
    const MOST: u32 = 65_536;
    change(call, |old| {
        rules::change_groups(old, Vec::new())?;
        let list = match call.u32(0) {
            0 => &[],
            1..=MOST => call.need(1)?,
            _ => return Err(Errno::EINVAL),
        };
        let word = |bytes: &[u8]| u32::from_le_bytes(std::array::from_fn(|i| bytes[i]));
        rules::change_groups(old, list.chunks_exact(4).map(word).collect())
    })
}

/// Answers what it was, and never fails.
fn setfsuid(call: &mut Call<'_>) -> SyscallResult {
    let old = call.credentials().user.file_system;
    let _ = change_user(call, Change::ForFiles(call.u32(0)));
    Ok(old.into())
}

fn setfsgid(call: &mut Call<'_>) -> SyscallResult {
    let old = call.credentials().group.file_system;
    let _ = change_group(call, Change::ForFiles(call.u32(0)));
    Ok(old.into())
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

//! Capabilities of guest threads (capabilities(7)): the calls on them and the commands of prctl(2).

use super::identity::change;
use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::credentials::Credentials;
use crate::state::credentials as rules;
use crate::state::credentials::LAST_CAPABILITY;
use nix::errno::Errno;
use std::sync::Arc;

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[("capget", capget), ("capset", capset)];

/// `_LINUX_CAPABILITY_VERSION_3`, and its obsolete predecessors (capget(2)).
const VERSION_3: u32 = 0x2008_0522;
const VERSION_2: u32 = 0x2007_1026;
const VERSION_1: u32 = 0x1998_0330;

/// Checks the header: its version, else EINVAL and the right one in its place. The thread that it names;
/// nothing if only the version was asked for.
fn header(call: &mut Call<'_>) -> Result<Option<i32>, Errno> {
    let header: [u8; 8] = call.need(0)?.try_into().map_err(|_| Errno::EFAULT)?;
    let [version, pid] = [0, 4].map(|at| u32::from_le_bytes(std::array::from_fn(|i| header[at + i])));
    if ![VERSION_1, VERSION_2, VERSION_3].contains(&version) {
        let told = [VERSION_3.to_le_bytes(), pid.to_le_bytes()].concat();
        call.put(0, &told)?;
        return if call.present(1) { Err(Errno::EINVAL) } else { Ok(None) };
    }
    let pid = pid as i32;
    if pid < 0 {
        return Err(Errno::EINVAL);
    }
    of_thread(call, pid)?;
    Ok(call.present(1).then_some(pid))
}

/// Bytes of the sets: the first version had 32 bits of each.
fn set_bytes(call: &Call<'_>) -> usize {
    if call.need(0).is_ok_and(|h| h.starts_with(&VERSION_1.to_le_bytes())) { 12 } else { 24 }
}

fn capget(call: &mut Call<'_>) -> SyscallResult {
    let Some(of) = header(call)? else { return Ok(0) };
    let has = of_thread(call, of)?.capabilities;
    let half = |shift: u32| [has.effective, has.permitted, has.inheritable].map(|set| (set >> shift) as u32);
    let words = [half(0), half(32)].concat();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let n = set_bytes(call);
    call.put(1, &bytes[..n])?;
    Ok(0)
}

/// The credentials of the thread with this number, 0 being the caller; ESRCH if there is none.
fn of_thread(call: &Call<'_>, tid: i32) -> Result<Arc<Credentials>, Errno> {
    if tid == 0 || tid == call.tid {
        return Ok(call.credentials());
    }
    let all = call.sandbox.processes.all();
    let owner = all.iter().find(|p| p.pid == tid || p.threads.slot_of(tid).is_some());
    owner.map(|process| process.credentials_of_thread(tid)).ok_or(Errno::ESRCH)
}

fn capset(call: &mut Call<'_>) -> SyscallResult {
    let of = header(call)?.ok_or(Errno::EFAULT)?;
    if of != 0 && of != call.tid {
        return Err(Errno::EPERM);
    }
    let n = set_bytes(call);
    let bytes = call.need(1)?;
    // The halves of each set, the low ones first; of the obsolete version there are no others.
    let word = |i: usize| {
        let at = 4 * i;
        let word = bytes.get(at..at + 4).filter(|_| at < n);
        word.map_or(0, |word| u64::from(u32::from_le_bytes(std::array::from_fn(|k| word[k]))))
    };
    let sets = std::array::from_fn(|i| word(i) | word(i + 3) << 32);
    change(call, |old| rules::change_capabilities(old, sets))
}

/// The commands of prctl(2) on capabilities; `None` for others.
pub(super) fn command(call: &Call<'_>) -> Option<SyscallResult> {
    let held = call.credentials();
    let argument = call.u64(1);
    Some(match call.i32(0) {
        libc::PR_CAPBSET_READ if argument > LAST_CAPABILITY.into() => Err(Errno::EINVAL),
        libc::PR_CAPBSET_READ => Ok((held.capabilities.bounding >> argument & 1) as i64),
        libc::PR_CAPBSET_DROP => {
            change(call, |old| rules::narrow_bounding(old, argument.try_into().unwrap_or(u32::MAX)))
        }
        libc::PR_SET_KEEPCAPS if argument > 1 => Err(Errno::EINVAL),
        libc::PR_SET_KEEPCAPS => change(call, |old| rules::change_keeping(old, argument == 1)),
        libc::PR_GET_KEEPCAPS => Ok(rules::keeps_capabilities(&held).into()),
        libc::PR_SET_SECUREBITS => change(call, |old| rules::change_secure_bits(old, argument)),
        libc::PR_GET_SECUREBITS => Ok(held.capabilities.secure_bits.into()),
        libc::PR_CAP_AMBIENT => ambient(call, &held),
        _ => return None,
    })
}

/// PR_CAP_AMBIENT.
fn ambient(call: &Call<'_>, held: &Credentials) -> SyscallResult {
    let (operation, which) = (call.i32(1), call.u64(2));
    if (3..5).any(|i| call.u64(i) != 0) {
        return Err(Errno::EINVAL);
    }
    if operation == libc::PR_CAP_AMBIENT_CLEAR_ALL {
        return if which == 0 {
            change(call, |old| rules::change_ambient(old, u64::MAX, false))
        } else {
            Err(Errno::EINVAL)
        };
    }
    if which > LAST_CAPABILITY.into() {
        return Err(Errno::EINVAL);
    }
    let set = 1 << which;
    match operation {
        libc::PR_CAP_AMBIENT_IS_SET => Ok((held.capabilities.ambient & set != 0).into()),
        libc::PR_CAP_AMBIENT_RAISE => change(call, |old| rules::change_ambient(old, set, true)),
        libc::PR_CAP_AMBIENT_LOWER => change(call, |old| rules::change_ambient(old, set, false)),
        _ => Err(Errno::EINVAL),
    }
}

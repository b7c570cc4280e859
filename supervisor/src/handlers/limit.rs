//! Resource limits (getrlimit(2)). They start as the policy says and belong to the guest process: a guest may
//! lower them, never raise a hard one. The supervisor itself enforces those on what it does for the guest:
//! descriptors, file size, processes. The limit on processor time is put on the emulator child, whose time it
//! is. The others are recorded and inherited.

use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::schedule::Change;
use crate::state::credentials as rules;
use crate::state::process::{LIMITS, Process, Rlimit};
use nix::errno::Errno;
use std::sync::Arc;

/// The handlers of this module.
pub const HANDLERS: &[Entry] =
    &[("getrlimit", getrlimit), ("setrlimit", setrlimit), ("prlimit64", prlimit64)];

const NOFILE: usize = libc::RLIMIT_NOFILE as usize;
const CPU: usize = libc::RLIMIT_CPU as usize;

fn resource(call: &Call<'_>, i: usize) -> Result<usize, Errno> {
    let resource = call.u32(i) as usize;
    if resource < LIMITS { Ok(resource) } else { Err(Errno::EINVAL) }
}

fn getrlimit(call: &mut Call<'_>) -> SyscallResult {
    let limit = call.process.limit(resource(call, 0)?);
    call.put_words(1, &[limit.soft, limit.hard]).map(|()| 0)
}

fn setrlimit(call: &mut Call<'_>) -> SyscallResult {
    let [soft, hard] = call.words(1)?;
    set(call, call.process, resource(call, 0)?, Rlimit { soft, hard })?;
    Ok(0)
}

fn prlimit64(call: &mut Call<'_>) -> SyscallResult {
    let resource = resource(call, 1)?;
    let target = match call.i32(0) {
        0 => call.process.clone(),
        pid => call.sandbox.processes.meant(pid).ok_or(Errno::ESRCH)?,
    };
    if target.pid != call.process.pid && !rules::may_limit(&call.credentials(), &target.credentials()) {
        return Err(Errno::EPERM);
    }
    let old = if call.present(2) {
        let [soft, hard] = call.words(2)?;
        set(call, &target, resource, Rlimit { soft, hard })?
    } else {
        target.limit(resource)
    };
    call.put_words(3, &[old.soft, old.hard])?;
    Ok(0)
}

/// Sets a limit and tells what it was.
fn set(call: &Call<'_>, process: &Arc<Process>, resource: usize, new: Rlimit) -> Result<Rlimit, Errno> {
    if new.soft > new.hard {
        return Err(Errno::EINVAL);
    }
    let old = process
        .change_limit(resource, |old| if new.hard > old.hard { Err(Errno::EPERM) } else { Ok(new) })?;
    match resource {
        NOFILE => process.fds.set_limit(new.soft),
        CPU => {
            // Any thread stands for its process; the first may have ended.
            let thread = if process.pid == call.process.pid { call.tid } else { process.pid };
            let change = Change::Time([new.soft, new.hard]);
            call.sandbox.change(&process.handle.thread(thread)?, change)?;
        }
        _ => {}
    }
    Ok(old)
}

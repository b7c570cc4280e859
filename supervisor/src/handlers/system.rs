//! Reads about the system, and random numbers.

use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::{limit, transfer};

/// The handlers of this module.
pub const HANDLERS: &[Entry] = &[("uname", uname), ("sysinfo", sysinfo), ("getrandom", getrandom)];

fn put(call: &mut Call<'_>, bytes: &[u8]) -> SyscallResult {
    call.put(0, bytes).map(|()| 0)
}

fn uname(call: &mut Call<'_>) -> SyscallResult {
    put(call, &limit::uname()?)
}

/// The host's, but no more memory than the policy gives, and only the sandbox's processes.
fn sysinfo(call: &mut Call<'_>) -> SyscallResult {
    const TOTAL: usize = 32;
    const FREE: usize = 40;
    const PROCESSES: usize = 80;
    const UNIT: usize = 104;
    let mut info = limit::sysinfo()?;
    let unit = u64::from(u32::from_le_bytes(std::array::from_fn(|i| info[UNIT + i]))).max(1);
    if let Some(memory) = call.sandbox.policy.limits().memory {
        for at in [TOTAL, FREE] {
            let host = u64::from_le_bytes(std::array::from_fn(|i| info[at + i]));
            info[at..at + 8].copy_from_slice(&host.min(memory / unit).to_le_bytes());
        }
    }
    let processes = u16::try_from(call.sandbox.thread_count()).unwrap_or(u16::MAX);
    info[PROCESSES..PROCESSES + 2].copy_from_slice(&processes.to_le_bytes());
    put(call, &info)
}

fn getrandom(call: &mut Call<'_>) -> SyscallResult {
    let n = transfer::getrandom(call.buffer(0), call.u32(2))?;
    call.filled(0, n as usize);
    Ok(n)
}

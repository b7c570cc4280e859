//! How a thread of another process is scheduled, and how long that may run.
//!
//! The calls take numbers. So the process that makes them is one for which a number can only be a guest's:
//! the maker, which is in the guests' PID namespace and has no privileges ([`super::maker`]). Without such a
//! namespace the supervisor makes them itself, between two looks that find the thread there
//! ([`super::process::ThreadHandle::change`]).

use super::SyscallResult;
use super::credentials::as_own;
use super::number::{Wait, raw};
use nix::errno::Errno;

/// How a thread is to be treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// setpriority(2): its nice value.
    Nice(i32),
    /// sched_setscheduler(2) with priority 0: its policy.
    Policy(i32),
    /// sched_setaffinity(2): its processors.
    Affinity(Box<[u8]>),
    /// prlimit(2): the seconds of processor time (RLIMIT_CPU) of its process, soft and hard.
    Time([u64; 2]),
}

/// Bytes of a set of as many processors as Linux can be built for on x86-64 (`NR_CPUS`).
const PROCESSORS: usize = 1024;

impl Change {
    /// Bytes of what follows the words of a change that is told to another process.
    pub(super) const REST: usize = PROCESSORS;

    /// A set of processors as sched_setaffinity(2) takes it, which looks at no more of it than there can be.
    pub fn affinity(mask: &[u8]) -> Change {
        Change::Affinity(mask[..mask.len().min(PROCESSORS)].into())
    }

    /// Two words, and what follows them.
    pub(super) fn encode(&self) -> ([u32; 2], [u8; Change::REST]) {
        let mut rest = [0; Change::REST];
        let words = match self {
            Change::Nice(nice) => [0, *nice as u32],
            Change::Policy(policy) => [1, *policy as u32],
            Change::Affinity(set) => {
                rest[..set.len()].copy_from_slice(set);
                [2, set.len() as u32]
            }
            Change::Time([soft, hard]) => {
                rest[..8].copy_from_slice(&soft.to_le_bytes());
                rest[8..16].copy_from_slice(&hard.to_le_bytes());
                [3, 0]
            }
        };
        (words, rest)
    }

    /// What was encoded; nothing if that is no change.
    pub(super) fn decode([what, value]: [u32; 2], rest: &[u8; Change::REST]) -> Option<Change> {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| rest[at + i]));
        Some(match what {
            0 => Change::Nice(value as i32),
            1 => Change::Policy(value as i32),
            2 => Change::Affinity(rest.get(..value as usize)?.into()),
            3 => Change::Time([word(0), word(8)]),
            _ => return None,
        })
    }

    /// Makes the change for the thread that has this number in the PID namespace of the calling process.
    ///
    /// # Errors
    /// As the calls; ESRCH for a number that is no thread's.
    pub(super) fn make(&self, number: i32) -> SyscallResult {
        if number <= 0 {
            return Err(Errno::ESRCH);
        }
        let thread = number as u64;
        let (nr, args) = match self {
            Change::Nice(nice) => (libc::SYS_setpriority, [libc::PRIO_PROCESS.into(), thread, *nice as u64]),
            Change::Policy(policy) => {
                (libc::SYS_sched_setscheduler, [thread, *policy as u64, &raw const ZERO as u64])
            }
            Change::Affinity(set) => {
                (libc::SYS_sched_setaffinity, [thread, set.len() as u64, set.as_ptr() as u64])
            }
            Change::Time(limit) => {
                (libc::SYS_prlimit64, [thread, libc::RLIMIT_CPU.into(), limit.as_ptr() as u64])
            }
        };
        // SAFETY: the kernel reads what the pointers lead to: a `struct sched_param`, the set, or a `struct
        // rlimit64` of two words, all borrowed here.
        unsafe { raw(Wait::Short, nr, [args[0], args[1], args[2], 0, 0, 0]) }
    }
}

/// From now on the calling process, which has one thread, gives way to others.
///
/// # Errors
/// As setpriority(2).
pub fn give_way() -> SyscallResult {
    const NICE: u64 = 10;
    // SAFETY: only numbers.
    unsafe { raw(Wait::Short, libc::SYS_setpriority, [libc::PRIO_PROCESS.into(), 0, NICE, 0, 0, 0]) }
}

/// ioprio_set(2) for a thread of this process, 0 being the calling one.
///
/// # Errors
/// As ioprio_set(2).
pub fn set_io_priority(thread: i32, priority: u32) -> SyscallResult {
    /// IOPRIO_WHO_PROCESS, which names a thread.
    const THREAD: u64 = 1;
    let args = [THREAD, thread as u64, priority.into(), 0, 0, 0];
    // SAFETY: only numbers.
    as_own(|| unsafe { raw(Wait::Short, libc::SYS_ioprio_set, args) })
}

/// A `struct sched_param` with priority 0.
static ZERO: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_made_for_the_thread_that_is_named_and_for_no_other() {
        let own = nix::unistd::gettid().as_raw();
        let nice = || std::fs::read_to_string(format!("/proc/self/task/{own}/stat")).unwrap();
        let nice = || nice().rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().to_owned();
        assert_ne!(nice(), "19");
        assert_eq!(Change::Nice(19).make(i32::MAX), Err(Errno::ESRCH));
        // To the kernel 0 is the caller.
        assert_eq!(Change::Nice(19).make(0), Err(Errno::ESRCH));
        assert_ne!(nice(), "19");
        assert_eq!(Change::Nice(19).make(own), Ok(0));
        assert_eq!(nice(), "19");
        assert_eq!(Change::Policy(libc::SCHED_BATCH).make(own), Ok(0));
        assert_eq!(Change::affinity(&[0xff; 2048]).make(own), Ok(0));
        assert_eq!(Change::affinity(&[]).make(own), Err(Errno::EINVAL));
        let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_CPU).unwrap();
        assert_eq!(Change::Time(limit.into()).make(own), Ok(0));
    }

    #[test]
    fn what_is_no_change_is_not_decoded() {
        let rest = [0; Change::REST];
        assert_eq!(Change::decode([9, 0], &rest), None);
        assert_eq!(Change::decode([2, u32::MAX], &rest), None);
    }
}

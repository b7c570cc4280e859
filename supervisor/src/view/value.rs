//! Entries of a process's directory that can be written: each is one value of the supervisor's records.

use crate::caller::Caller;
use crate::host::credentials::Capabilities;
use crate::state::attributes::SLACK;
use crate::state::process::Process;
use nix::errno::Errno;
use std::sync::atomic::Ordering::Relaxed;

/// A value that can be written.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// The name of the process or thread (proc_pid_comm(5)).
    Name,
    /// proc_pid_oom_score_adj(5).
    Badness,
    /// The same by its older scale (proc_pid_oom_adj(5)).
    Badness17,
    /// proc_pid_coredump_filter(5).
    CoreFilter,
    /// proc_pid_timerslack_ns(5).
    Slack,
}

/// The most and the least of the older scale; the least is `OOM_DISABLE`.
const MOST_17: i32 = 15;
const LEAST_17: i32 = -17;
/// The range of `oom_score_adj`.
const MOST: i32 = 1000;
const LEAST: i32 = -1000;

fn from_17(old: i32) -> i32 {
    if old == MOST_17 { MOST } else { old * MOST / -LEAST_17 }
}

fn to_17(new: i32) -> i32 {
    if new == MOST { MOST_17 } else { new * -LEAST_17 / MOST }
}

impl Value {
    /// What reading it shows, of a thread of the process.
    pub(super) fn text(self, process: &Process, tid: i32) -> Vec<u8> {
        let own = &process.attributes;
        match self {
            Value::Name => [process.thread_name(tid).as_slice(), b"\n"].concat(),
            Value::Badness => format!("{}\n", own.badness.load(Relaxed)).into(),
            Value::Badness17 => format!("{}\n", to_17(own.badness.load(Relaxed))).into(),
            Value::CoreFilter => format!("{:08x}\n", own.core_filter.load(Relaxed)).into(),
            Value::Slack => format!("{}\n", own.slack.load(Relaxed)).into(),
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// EINVAL for what is no value of it, and for the name of another process; EACCES to become less likely
    /// to be ended without CAP_SYS_RESOURCE; EPERM for another process's timers.
    pub(super) fn write(
        self,
        caller: &Caller<'_>,
        process: &Process,
        tid: i32,
        text: &[u8],
    ) -> Result<(), Errno> {
        let own = &process.attributes;
        let is_own = process.pid == caller.process.pid;
        let may = |capability| caller.credentials().capabilities.has(capability);
        match self {
            Value::Name if !is_own => return Err(Errno::EINVAL),
            Value::Name => process.set_thread_name(tid, text),
            Value::Badness | Value::Badness17 => {
                let number = i32::try_from(number(text, Some(10))?).map_err(|_| Errno::EINVAL)?;
                let range = if matches!(self, Value::Badness) { LEAST..=MOST } else { LEAST_17..=MOST_17 };
                if !range.contains(&number) {
                    return Err(Errno::EINVAL);
                }
                let new = if matches!(self, Value::Badness) { number } else { from_17(number) };
                own.set_badness(new, may(Capabilities::SYS_RESOURCE))?;
            }
            Value::CoreFilter => {
                /// The kinds of mappings there are.
                const KINDS: u32 = 0x1ff;
                let filter = u32::try_from(number(text, None)?).map_err(|_| Errno::EINVAL)?;
                own.core_filter.store(filter & KINDS, Relaxed);
            }
            Value::Slack => {
                if !is_own && !may(Capabilities::SYS_NICE) {
                    return Err(Errno::EPERM);
                }
                let slack = u64::try_from(number(text, Some(10))?).map_err(|_| Errno::EINVAL)?;
                own.slack.store(if slack == 0 { SLACK } else { slack }, Relaxed);
            }
        }
        Ok(())
    }
}

/// A number as the kernel reads it: with a base that its first characters tell, or with a given one.
fn number(text: &[u8], base: Option<u32>) -> Result<i64, Errno> {
    let text = std::str::from_utf8(text).map_err(|_| Errno::EINVAL)?.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (digits, base) = match (base, digits.strip_prefix("0x")) {
        (Some(base), _) => (digits, base),
        (None, Some(rest)) => (rest, 16),
        (None, None) if digits.starts_with('0') && digits.len() > 1 => (digits, 8),
        (None, None) => (digits, 10),
    };
    if digits.starts_with(['+', '-']) {
        return Err(Errno::EINVAL);
    }
    i64::from_str_radix(digits, base).map(|n| sign * n).map_err(|_| Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_kernel_reads_them() {
        assert_eq!(number(b"17\n", Some(10)), Ok(17));
        assert_eq!(number(b" -1000 ", Some(10)), Ok(-1000));
        assert_eq!(
            [b"0x23".as_slice(), b"023", b"23", b"0"].map(|t| number(t, None)),
            [Ok(0x23), Ok(0o23), Ok(23), Ok(0)]
        );
        for wrong in [b"".as_slice(), b"x", b"--1", b"1 2", b"0x10", b"\xff"] {
            assert_eq!(number(wrong, Some(10)), Err(Errno::EINVAL), "{wrong:?}");
        }
    }

    #[test]
    fn the_older_scale_keeps_its_ends() {
        assert_eq!([-17, 0, 15, 8].map(from_17), [-1000, 0, 1000, 470]);
        assert_eq!([-1000, 0, 1000, 470].map(to_17), [-17, 0, 15, 7]);
    }
}

//! Limits that no event reports: processor time and memory of all guest processes together, checked from time
//! to time. What happens between two checks is missed; the guest can pass such a limit by what it gets done
//! in that time.
//!
//! Processor time is that of the emulator children: translation counts as the guest's. Memory is what their
//! pages take: a page that several of them share counts in each.

use crate::report::ending::End;
use nix::unistd::SysconfVar;
use rxbox_policy::Limits;
use std::collections::HashMap;
use std::time::Duration;

/// Measures what the guest uses.
#[derive(Debug)]
pub struct Meter {
    memory: Option<u64>,
    cpu_time: Option<Duration>,
    /// Processor time last seen of each process, so that those that have ended still count.
    seen: HashMap<i32, Duration>,
}

impl Meter {
    /// A meter for these limits.
    pub fn new(limits: &Limits) -> Meter {
        Meter { memory: limits.memory, cpu_time: limits.cpu_time, seen: HashMap::new() }
    }

    /// Whether there is anything to check.
    pub fn needed(&self) -> bool {
        self.memory.is_some() || self.cpu_time.is_some()
    }

    /// The limit that these processes pass, if they do.
    pub fn check(&mut self, pids: &[i32]) -> Option<End> {
        let mut memory = 0;
        for &pid in pids {
            memory += resident(pid).unwrap_or(0);
            if let Some(time) = processor_time(pid) {
                self.seen.insert(pid, time);
            }
        }
        if self.cpu_time.is_some_and(|most| self.seen.values().sum::<Duration>() > most) {
            return Some(End::CpuLimit);
        }
        self.memory.is_some_and(|most| memory > most).then_some(End::MemoryLimit)
    }
}

/// Bytes of memory that a process's pages take (proc_pid_statm(5)).
fn resident(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let size = nix::unistd::sysconf(SysconfVar::PAGE_SIZE).ok().flatten()?;
    Some(pages * size as u64)
}

/// Processor time of all threads of a process, user and system.
fn processor_time(pid: i32) -> Option<Duration> {
    let clock = nix::time::clock_getcpuclockid(nix::unistd::Pid::from_raw(pid)).ok()?;
    let time = clock.now().ok()?;
    Some(Duration::new(u64::try_from(time.tv_sec()).ok()?, u32::try_from(time.tv_nsec()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_takes_memory_and_time() {
        let own = std::process::id() as i32;
        assert!(resident(own).unwrap() > 100_000);
        let before = processor_time(own).unwrap();
        let mut x = 0u64;
        for i in 0..20_000_000u64 {
            x = std::hint::black_box(x ^ i);
        }
        assert!(processor_time(own).unwrap() > before);
        // Beyond the highest process id that Linux gives out.
        assert_eq!((resident(5_000_000), processor_time(5_000_000)), (None, None));
    }

    #[test]
    fn without_limits_nothing_is_measured() {
        assert!(!Meter::new(&Limits::default()).needed());
    }
}

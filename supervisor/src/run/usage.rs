//! Limits that no event reports: processor time and memory of all guest processes together, checked from time
//! to time. What happens between two checks is missed; the guest can pass such a limit by what it gets done
//! in that time.
//!
//! Processor time is that of the emulator children, since translation is for the guest, those that have ended
//! included; and that of the supervisor, but for the thread that measures: whatever else it does it does for
//! the guest. Memory is what their pages take: a page that several of them share counts in each; what the
//! supervisor has taken since the run began; and what the kernel keeps for files and objects of the guest
//! ([`Sandbox::kept_for_guests`](crate::sandbox::Sandbox::kept_for_guests)), mapped or not.
//!
//! Threads are counted here only for the case that a child makes some without telling of them, where the
//! kernel does not hold it to a number of them (the init process sets that).

use crate::host::stat::Stat;
use crate::launch::most_threads;
use crate::report::ending::End;
use crate::state::process::Process;
use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::SysconfVar;
use rxbox_policy::Limits;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Measures what the guest uses.
#[derive(Debug)]
pub struct Meter {
    memory: Option<u64>,
    cpu_time: Option<Duration>,
    /// Threads of emulator children, told of or not.
    threads: Option<u64>,
    /// Processor time last seen of each process, so that those that have ended still count.
    seen: HashMap<i32, Duration>,
    /// The supervisor's when measuring began.
    own: Duration,
    /// Memory of its own that it had then.
    own_memory: u64,
}

impl Meter {
    /// A meter for these limits.
    pub fn new(limits: &Limits) -> Meter {
        Meter {
            memory: limits.memory,
            cpu_time: limits.cpu_time,
            threads: most_threads(limits),
            seen: HashMap::new(),
            own: own_time(),
            own_memory: private(),
        }
    }

    /// Whether there is anything to check.
    pub fn needed(&self) -> bool {
        self.memory.is_some() || self.cpu_time.is_some() || self.threads.is_some()
    }

    /// The limit that these processes pass, if they do, with all that was waited for by these processes of
    /// rxbox (numbers of the host's) and that is kept for them elsewhere.
    pub fn check(
        &mut self,
        processes: &[Arc<Process>],
        reapers: &[i32],
        kept: impl FnOnce() -> u64,
    ) -> Option<End> {
        let mut memory = 0;
        for process in processes {
            memory += process.handle.look(resident).unwrap_or(0);
            if let Ok(time) = process.handle.look(processor_time) {
                self.seen.insert(process.pid, time);
            }
        }
        if self.cpu_time.is_some_and(|most| self.time(processes, reapers) > most) {
            return Some(End::CpuLimit);
        }
        let threads = || processes.iter().filter_map(|p| p.handle.look(threads_of).ok()).sum::<u64>();
        if self.threads.is_some_and(|most| threads() > most) {
            return Some(End::Violation("there are more threads than were told of".to_owned()));
        }
        let most = self.memory?;
        memory += private().saturating_sub(self.own_memory) + kept();
        (memory > most).then_some(End::MemoryLimit)
    }
}

impl Meter {
    /// Processor time used so far. A process that came and went between two checks is known from its parent,
    /// if that waited for it; one whose parent did not, from having been seen.
    fn time(&self, processes: &[Arc<Process>], reapers: &[i32]) -> Duration {
        let seen: Duration = self.seen.values().sum();
        let alive: Duration = processes.iter().filter_map(|process| self.seen.get(&process.pid)).sum();
        let of_guests = processes.iter().filter_map(|process| process.handle.look(time_of_children).ok());
        let of_others = reapers.iter().filter_map(|pid| time_of_children(*pid).ok());
        let waited: Duration = of_guests.chain(of_others).sum();
        seen.max(alive + waited) + own_time().saturating_sub(self.own)
    }
}

/// What a run has used so far.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// Processor time. That of a process which nobody has waited for is missing.
    pub time: Duration,
    /// Bytes of memory that its processes have; what they share counts in each.
    pub memory: u64,
}

/// What these processes have used, with all that was waited for by these processes of rxbox.
pub fn used(processes: &[Arc<Process>], reapers: &[i32]) -> Used {
    let of = |look: fn(i32) -> Result<Duration, Errno>| {
        processes.iter().filter_map(move |process| process.handle.look(look).ok())
    };
    let waited = reapers.iter().filter_map(|pid| time_of_children(*pid).ok());
    let time = of(processor_time).chain(of(time_of_children)).chain(waited).sum::<Duration>() + own_time();
    let memory = processes.iter().filter_map(|process| process.handle.look(resident).ok()).sum();
    Used { time, memory }
}

/// Processor time of this process without that of the calling thread.
fn own_time() -> Duration {
    let time = |clock| clock_gettime(clock).map_or(Duration::ZERO, Duration::from);
    time(ClockId::CLOCK_PROCESS_CPUTIME_ID).saturating_sub(time(ClockId::CLOCK_THREAD_CPUTIME_ID))
}

/// Processor time of the children of a process that it has waited for, and theirs (`cutime` and `cstime`,
/// proc_pid_stat(5)).
fn time_of_children(pid: i32) -> Result<Duration, Errno> {
    let ticks = nix::unistd::sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    let ticks = u32::try_from(ticks).unwrap_or(100).max(1);
    let stat = Stat::of_process(pid).ok_or(Errno::ESRCH)?;
    Ok(Duration::from_secs(stat.field(16) + stat.field(17)) / ticks)
}

/// How many threads a process has.
fn threads_of(pid: i32) -> Result<u64, Errno> {
    Stat::of_process(pid).map(|stat| stat.field(Stat::THREADS)).ok_or(Errno::ESRCH)
}

/// Bytes of memory that a process's pages take.
fn resident(pid: i32) -> Result<u64, Errno> {
    statm(&pid.to_string()).map(|[resident, _]| resident).ok_or(Errno::ESRCH)
}

/// Bytes of memory that this process has for itself.
fn private() -> u64 {
    statm("self").map_or(0, |[resident, shared]| resident.saturating_sub(shared))
}

/// Bytes that are resident, and those of them that others may have, too (proc_pid_statm(5)).
fn statm(process: &str) -> Option<[u64; 2]> {
    let text = std::fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    let mut pages = text.split_ascii_whitespace().skip(1).map(|word| word.parse::<u64>().ok());
    let size = nix::unistd::sysconf(SysconfVar::PAGE_SIZE).ok().flatten()? as u64;
    Some([pages.next()?? * size, pages.next()?? * size])
}

/// Processor time of all threads of a process, user and system.
fn processor_time(pid: i32) -> Result<Duration, Errno> {
    nix::time::clock_getcpuclockid(nix::unistd::Pid::from_raw(pid))?.now().map(Duration::from)
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
        let nobody = 5_000_000;
        assert_eq!((resident(nobody), processor_time(nobody)), (Err(Errno::ESRCH), Err(Errno::ESRCH)));
    }

    #[test]
    fn what_the_supervisor_does_counts_and_measuring_does_not() {
        let limits = Limits { cpu_time: Some(Duration::from_millis(50)), ..Limits::default() };
        let spin = || {
            let start = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap();
            while clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap() - start
                < Duration::from_millis(100)
            {}
        };
        let mut meter = Meter::new(&limits);
        std::thread::scope(|s| s.spawn(spin).join().unwrap());
        assert_eq!(meter.check(&[], &[], || 0), Some(End::CpuLimit));
    }

    #[test]
    fn without_limits_nothing_is_measured() {
        assert!(!Meter::new(&Limits::default()).needed());
    }
}

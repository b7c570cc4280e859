//! Whether processors are to spare: a worker and its guest thread may only spin where nobody else could run meanwhile.
//!
//! What counts is what the host has to run at the moment, guests or not, and that the kernel tells: the fourth word of
//! `/proc/loadavg` begins with the number of tasks that run or could (proc_loadavg(5)). It is looked at when spinning has
//! not been enough, and then at most once in [`FRESH`]: as long as replies come at once, nobody needs to know.

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use rxbox_wire::patience::Cores;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a look holds.
const FRESH: Duration = Duration::from_millis(2);

/// The processors on which this process may run.
#[derive(Debug)]
pub struct Processors {
    count: u64,
    load: Option<File>,
    began: Instant,
    /// When `crowded` is to be looked up again, in nanoseconds since `began`.
    stale: AtomicU64,
    crowded: AtomicBool,
}

impl Processors {
    /// As the host has set it for this process.
    pub fn of_host() -> Processors {
        let allowed = sched_getaffinity(Pid::from_raw(0));
        let count =
            |set: CpuSet| (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).count();
        Processors {
            count: allowed.map_or(1, count) as u64,
            load: File::open("/proc/loadavg").ok(),
            began: Instant::now(),
            stale: AtomicU64::new(0),
            crowded: AtomicBool::new(false),
        }
    }

    /// Whether there are some to spare, as far as that is known without looking.
    pub fn known(&self) -> Cores {
        match self.count {
            0 | 1 => Cores::One,
            _ if self.crowded.load(Ordering::Relaxed) => Cores::Short,
            _ => Cores::Free,
        }
    }

    /// The same, looked up if the last look is too old.
    pub fn look(&self) -> Cores {
        let now = self.began.elapsed();
        let stale = self.stale.load(Ordering::Relaxed);
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let mine = self.count > 1
            && nanos(now) >= stale
            && self
                .stale
                .compare_exchange(stale, nanos(now + FRESH), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if mine {
            let runnable = self.load.as_ref().and_then(runnable);
            self.crowded.store(runnable.is_some_and(|n| n > self.count), Ordering::Relaxed);
        }
        self.known()
    }
}

/// How many tasks of the host run or could.
fn runnable(load: &File) -> Option<u64> {
    let mut text = [0; 64];
    let n = load.read_at(&mut text, 0).ok()?;
    runnable_in(std::str::from_utf8(text.get(..n)?).ok()?)
}

fn runnable_in(text: &str) -> Option<u64> {
    text.split(' ').nth(3)?.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_runnable_tasks_is_the_first_half_of_the_fourth_word() {
        assert_eq!(runnable_in("3.84 4.01 3.80 5/177 23340\n"), Some(5));
        assert_eq!(runnable_in("3.84 4.01\n"), None);
        assert_eq!(runnable_in("a b c d/e f"), None);
        // This test runs.
        assert!(runnable(&File::open("/proc/loadavg").unwrap()) >= Some(1));
    }

    fn with(count: u64, load: &str) -> Processors {
        let path = std::env::temp_dir().join(format!("rxbox-load-{}-{count}", std::process::id()));
        std::fs::write(&path, load).unwrap();
        let load = Some(File::open(&path).unwrap());
        std::fs::remove_file(path).unwrap();
        Processors { count, load, ..Processors::of_host() }
    }

    #[test]
    fn processors_are_short_if_more_tasks_could_run_than_there_are() {
        assert_eq!(with(2, "0 0 0 2/100 1").look(), Cores::Free);
        assert_eq!(with(3, "0 0 0 4/100 1").look(), Cores::Short);
        assert_eq!(with(1, "0 0 0 1/100 1").look(), Cores::One);
        let many = with(4, "0 0 0 5/100 1");
        assert_eq!(many.known(), Cores::Free, "nobody has looked");
        many.look();
        assert_eq!(many.known(), Cores::Short);
    }
}

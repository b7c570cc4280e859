//! What prctl(2) and personality(2) set and get of a process and its threads.

use nix::errno::Errno;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// Bytes of a thread's name with its NUL (TASK_COMM_LEN).
pub const COMM_SIZE: usize = 16;
/// The default timer slack in nanoseconds.
pub const SLACK: u64 = 50_000;

/// The attributes of one process.
#[derive(Debug)]
pub struct Attributes {
    /// Names that threads other than the first gave themselves, by thread id. The first one's is the
    /// process's.
    names: Mutex<HashMap<i32, [u8; COMM_SIZE]>>,
    /// The signal that the process wants when its parent ends; 0 for none.
    pub parent_death_signal: AtomicI32,
    /// PR_SET_DUMPABLE.
    pub dumpable: AtomicI32,
    /// PR_SET_THP_DISABLE.
    pub huge_pages_off: AtomicI32,
    /// PR_SET_TIMERSLACK, in nanoseconds.
    pub slack: AtomicU64,
    /// personality(2).
    pub personality: AtomicU32,
    /// ioprio_set(2); 0 for none.
    pub io_priority: AtomicU32,
    /// `oom_score_adj`, -1000 to 1000.
    pub badness: AtomicI32,
    /// The least that it can be set to without CAP_SYS_RESOURCE.
    least_badness: AtomicI32,
    /// `coredump_filter`: a bit for each kind of mapping.
    pub core_filter: AtomicU32,
}

/// What rxbox was started with, in a file of its own directory in `/proc`; the kernel's default otherwise.
fn started_with(name: &str, base: u32, default: i32) -> i32 {
    let text = std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    i32::from_str_radix(text.trim(), base).unwrap_or(default)
}

static BADNESS: LazyLock<i32> = LazyLock::new(|| started_with("oom_score_adj", 10, 0));
static CORE_FILTER: LazyLock<i32> = LazyLock::new(|| started_with("coredump_filter", 16, 0x33));

/// The `oom_score_adj` that rxbox was started with (proc_pid_oom_score_adj(5)).
pub fn started_badness() -> i32 {
    *BADNESS
}

impl Default for Attributes {
    fn default() -> Self {
        Attributes {
            names: Mutex::default(),
            parent_death_signal: 0.into(),
            dumpable: 1.into(),
            huge_pages_off: 0.into(),
            slack: SLACK.into(),
            personality: 0.into(),
            io_priority: 0.into(),
            badness: (*BADNESS).into(),
            least_badness: (*BADNESS).into(),
            core_filter: (*CORE_FILTER as u32).into(),
        }
    }
}

impl Attributes {
    fn names(&self) -> MutexGuard<'_, HashMap<i32, [u8; COMM_SIZE]>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of a forked child, which wants no signal yet when its parent ends.
    pub fn inherited(&self) -> Attributes {
        let copy = |a: &AtomicI32| AtomicI32::new(a.load(Relaxed));
        Attributes {
            names: Mutex::default(),
            parent_death_signal: 0.into(),
            dumpable: copy(&self.dumpable),
            huge_pages_off: copy(&self.huge_pages_off),
            slack: self.slack.load(Relaxed).into(),
            personality: self.personality.load(Relaxed).into(),
            io_priority: self.io_priority.load(Relaxed).into(),
            badness: copy(&self.badness),
            least_badness: copy(&self.least_badness),
            core_filter: self.core_filter.load(Relaxed).into(),
        }
    }

    /// A new program runs in the process, with its own name.
    pub fn executed(&self) {
        self.names().clear();
        self.dumpable.store(1, Relaxed);
    }

    /// The process has become somebody else: no signal when its parent ends, and nobody but root may look
    /// into it.
    pub fn hidden(&self) {
        static HIDDEN: LazyLock<i32> = LazyLock::new(|| {
            let text = std::fs::read_to_string("/proc/sys/fs/suid_dumpable").unwrap_or_default();
            text.trim().parse().unwrap_or(0)
        });
        self.parent_death_signal.store(0, Relaxed);
        self.dumpable.store(*HIDDEN, Relaxed);
    }

    /// Sets `oom_score_adj` (proc_pid_oom_score_adj(5)): EACCES for less than it was set to by somebody
    /// privileged.
    pub fn set_badness(&self, new: i32, privileged: bool) -> Result<(), Errno> {
        if privileged {
            self.least_badness.store(new, Relaxed);
        } else if new < self.least_badness.load(Relaxed) {
            return Err(Errno::EACCES);
        }
        self.badness.store(new, Relaxed);
        Ok(())
    }

    /// Whether others of the same user may look into the process.
    pub fn is_dumpable(&self) -> bool {
        self.dumpable.load(Relaxed) == 1
    }

    /// A thread has ended.
    pub fn forget(&self, tid: i32) {
        self.names().remove(&tid);
    }

    /// The name that a thread gave itself, if it did.
    pub fn name_of(&self, tid: i32) -> Option<Vec<u8>> {
        let name = self.names().get(&tid).copied();
        name.map(|name| name.iter().copied().take_while(|&b| b != 0).collect())
    }

    /// A thread gives itself a name; what is too long is cut.
    pub fn set_name_of(&self, tid: i32, name: &[u8]) {
        self.names().insert(tid, comm_field(name));
    }
}

/// A name as the kernel keeps it: cut, with NULs behind it.
pub fn comm_field(name: &[u8]) -> [u8; COMM_SIZE] {
    let mut field = [0; COMM_SIZE];
    for (to, from) in field.iter_mut().take(COMM_SIZE - 1).zip(name) {
        *to = *from;
    }
    field
}

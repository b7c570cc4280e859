//! Who carries a call out, how long it may wait, and what area it belongs to.

/// Where a call is carried out once the supervisor has approved it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// On the host, by the supervisor.
    Perform,
    /// By the child on its own address space, threads or signal state, once approved.
    Grant,
    /// From the supervisor's own state.
    Emulate,
    /// Not offered: the errno, and why (shown by `rxbox syscalls`).
    Refuse {
        /// Positive errno.
        errno: i32,
        /// The reason.
        why: &'static str,
    },
}

/// Whether a call may wait for long. The worker makes itself interruptible for one that it performs, the
/// child for one that it carries out itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It is over soon.
    Never,
    /// For what others do.
    Blocking,
    /// For events on descriptors, those that signals are read from among them.
    Polling,
}

/// What becomes of a call that a signal has interrupted, once the signal's handler has run (signal(7)). Where
/// no handler runs the call is made again, but for those of [`Restart::NeverAtAll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// It fails with EINTR whatever the handler's flags: the kernel's ERESTARTNOHAND and
    /// ERESTART_RESTARTBLOCK.
    Never,
    /// The same, and also if no handler runs, once the process was stopped and goes on: the kernel's EINTR.
    NeverAtAll,
    /// It is made again if the handler was installed with SA_RESTART: the kernel's ERESTARTSYS.
    Flagged,
    /// The same unless it has a time limit: futex(2), whose limit would begin again.
    FlaggedUnlessTimed,
}

/// What area a call belongs to; the policy's sections and `rxbox syscalls` group by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Reading, writing and controlling open descriptors.
    Descriptor,
    /// Names in the file system.
    Filesystem,
    /// Address space.
    Memory,
    /// Processes and threads.
    Process,
    /// Signals and timers that raise them.
    Signal,
    /// Sockets.
    Network,
    /// Clocks and sleeping.
    Time,
    /// Who the process is, limits, scheduling.
    Identity,
    /// SysV and POSIX inter-process communication.
    Ipc,
    /// Reads about the system.
    System,
    /// Administration of the machine.
    Admin,
}

//! A row of the table: a system call, or a command of one that has many.

use super::argument::Kind;
use super::shape::Names;
use super::travel::Bulk;
use crate::effect::Effect;

/// One argument of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arg {
    /// The name of the manual page.
    pub name: &'static str,
    /// The kind.
    pub kind: Kind,
}

/// Rows of a multiplexer (ioctl, fcntl, prctl, ...), by command value.
#[derive(Debug, PartialEq, Eq)]
pub struct Commands {
    /// What the commands are called, e.g. `ioctl request`.
    pub title: &'static str,
    /// The bits of the register that select the row: the low 32 for most, without the option bits for
    /// futex(2).
    pub mask: u32,
    /// Names of the remaining bits, if there are any.
    pub options: Option<&'static Names>,
    /// The rows, ascending by value. A command without a row is refused.
    pub rows: &'static [Command],
    /// The errno (positive) that an unknown command answers.
    pub unknown: i32,
}

/// One command of a multiplexer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// The command's value; of a pair, the first is the high half.
    pub value: u64,
    /// Its name.
    pub name: &'static str,
    /// The arguments behind the command argument. Those not listed are unused.
    pub args: &'static [Arg],
    /// What it does beside acting on what these name; nothing if it is refused.
    pub effects: &'static [Effect],
    /// The route, if it is not the call's own.
    pub route: Option<Route>,
    /// Whether it waits; [`Wait::Never`] leaves that to the call's row.
    pub wait: Wait,
    /// What a signal does to it; [`Restart::Never`] leaves that to the call's row.
    pub restart: Restart,
}

impl Commands {
    /// The row of a command; only the bits of the mask count, the high half never, as in the kernel.
    pub fn find(&self, value: u64) -> Option<&'static Command> {
        self.row(u64::from(value as u32 & self.mask))
    }

    /// The row of a command of two arguments ([`Kind::Level`]); the high halves do not count.
    pub fn find_pair(&self, level: u64, name: u64) -> Option<&'static Command> {
        self.row(u64::from(level as u32) << 32 | u64::from(name as u32))
    }

    fn row(&self, value: u64) -> Option<&'static Command> {
        self.rows.binary_search_by_key(&value, |c| c.value).ok().map(|i| &self.rows[i])
    }
}

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

/// One system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syscall {
    /// x86-64 number.
    pub nr: u32,
    /// The kernel's name.
    pub name: &'static str,
    /// Its arguments, at most six.
    pub args: &'static [Arg],
    /// Where it is carried out.
    pub route: Route,
    /// What it lacks of the kernel's call, if it is offered in part; else nothing.
    pub lacks: &'static str,
    /// What area it belongs to.
    pub class: Class,
    /// Whether it may wait for long.
    pub wait: Wait,
    /// What a signal does to it while it waits.
    pub restart: Restart,
    /// Whether an argument, or one of some command, limits its time; read off their kinds.
    pub timed: bool,
    /// How its bulk data travel at most, read off the kinds of its arguments; see [`Syscall::bulk`].
    pub travel: Bulk,
}

//! Signal actions (sigaction(2)): what the guest wants, and how the host is told.
//!
//! The host's action follows the guest's: ignored stays ignored, default stays default, and a handler becomes
//! the runtime's own handler. So the host's kernel does by itself what it does for a native process: it
//! queues, discards, stops, continues and kills, and the supervisor reads a true wait status.

use super::host::{self, SA_RESTORER};
use crate::base::sigset::{LAST, SigSet, is_signal};
use nix::errno::Errno;

/// No `SIGCHLD` when a child stops.
pub(super) const SA_NOCLDSTOP: u64 = 1;
/// Children do not become zombies.
pub(super) const SA_NOCLDWAIT: u64 = 2;
/// The handler takes three arguments.
pub(super) const SA_SIGINFO: u64 = 4;
/// The handler runs on the alternate stack.
pub(super) const SA_ONSTACK: u64 = 0x0800_0000;
/// Interrupted calls go on.
pub(super) const SA_RESTART: u64 = 0x1000_0000;
/// The signal is not blocked in its own handler.
pub(super) const SA_NODEFER: u64 = 0x4000_0000;
/// The handler is called once.
pub(super) const SA_RESETHAND: u64 = 0x8000_0000;
/// Kept, though the processor has no address tags here.
const SA_EXPOSE_TAGBITS: u64 = 0x800;
/// What the kernel keeps of the flags that a program gives (its UAPI_SA_FLAGS).
const KEPT: u64 = SA_NOCLDSTOP
    | SA_NOCLDWAIT
    | SA_SIGINFO
    | SA_EXPOSE_TAGBITS
    | SA_RESTORER
    | SA_ONSTACK
    | SA_RESTART
    | SA_NODEFER
    | SA_RESETHAND;

const SIG_DFL: u64 = 0;
const SIG_IGN: u64 = 1;

/// The kernel's `struct sigaction`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Action {
    /// Guest address of the handler, or 0 for the default, 1 to ignore.
    pub handler: u64,
    /// `SA_*`.
    pub flags: u64,
    /// Guest address that the handler returns to.
    pub restorer: u64,
    /// Blocked while the handler runs.
    pub mask: SigSet,
}

/// What happens when a signal is delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// A guest handler is called.
    Handle,
    /// Nothing.
    Ignore,
    /// The process stops.
    Stop,
    /// The process ends.
    Terminate,
}

impl Action {
    /// Bytes in guest memory.
    pub const SIZE: usize = 32;

    /// As the guest gave it.
    pub fn decode(b: &[u8; Action::SIZE]) -> Action {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| b[at + i]));
        Action {
            handler: word(0),
            flags: word(8) & KEPT,
            restorer: word(16),
            mask: SigSet(word(24)).minus(SigSet::UNBLOCKABLE),
        }
    }

    /// As the guest reads it.
    pub fn encode(&self) -> [u8; Action::SIZE] {
        let mut b = [0; Action::SIZE];
        for (i, word) in [self.handler, self.flags, self.restorer, self.mask.0].into_iter().enumerate() {
            b[8 * i..8 * i + 8].copy_from_slice(&word.to_le_bytes());
        }
        b
    }

    /// What delivery of this signal does.
    pub fn disposition(&self, signal: i32) -> Disposition {
        match self.handler {
            SIG_IGN => Disposition::Ignore,
            SIG_DFL if SigSet::IGNORED_BY_DEFAULT.contains(signal) => Disposition::Ignore,
            SIG_DFL if SigSet::STOPPING_BY_DEFAULT.contains(signal) => Disposition::Stop,
            SIG_DFL => Disposition::Terminate,
            _ => Disposition::Handle,
        }
    }

    /// The action that the host has for it; `watched` are the signals that must reach the runtime in any
    /// case.
    fn on_host(&self, signal: i32, watched: SigSet) -> host::Action {
        let children = self.flags & (SA_NOCLDSTOP | SA_NOCLDWAIT);
        match self.handler {
            SIG_DFL | SIG_IGN if !SigSet::FAULTS.union(watched).contains(signal) => {
                host::Action::fixed(self.handler, children)
            }
            // To ignore SIGCHLD is not to wait for children (wait(2)).
            SIG_IGN if signal == libc::SIGCHLD => host::Action::runtime(children | SA_NOCLDWAIT),
            _ => host::Action::runtime(children),
        }
    }
}

/// The actions of a process, and its timers, which like the actions end with the program.
#[derive(Debug)]
pub struct Actions {
    table: [Action; LAST as usize],
    /// Signals that reach the runtime even where the host could do what is to be done: the guest reads them
    /// from descriptors.
    watched: SigSet,
    /// POSIX timers by the kernel's number, which is the guest's.
    pub(super) timers: Vec<i32>,
}

impl Default for Actions {
    fn default() -> Actions {
        Actions { table: [Action::default(); LAST as usize], watched: SigSet::EMPTY, timers: Vec::new() }
    }
}

impl Actions {
    /// The action of a signal; the default for a number that is none.
    pub fn get(&self, signal: i32) -> Action {
        usize::try_from(signal.wrapping_sub(1))
            .ok()
            .and_then(|i| self.table.get(i))
            .copied()
            .unwrap_or_default()
    }

    /// The signals that the guest ignores, and those that it has handlers for.
    pub fn ignored_and_caught(&self) -> [SigSet; 2] {
        let of = |wanted: fn(u64) -> bool| {
            let signals = (1..=LAST).filter(|&signal| wanted(self.get(signal).handler));
            signals.fold(SigSet::EMPTY, SigSet::with)
        };
        [of(|handler| handler == SIG_IGN), of(|handler| handler > SIG_IGN)]
    }

    /// Sets an action, in the table and on the host.
    ///
    /// # Errors
    /// EINVAL for what is no signal or cannot be caught.
    pub fn set(&mut self, signal: i32, action: Action) -> Result<(), Errno> {
        if !is_signal(signal) || SigSet::UNBLOCKABLE.contains(signal) {
            return Err(Errno::EINVAL);
        }
        self.table[signal as usize - 1] = action;
        self.restore(signal);
        Ok(())
    }

    /// Sets the host's action as it should be, after something else was there.
    pub(super) fn restore(&self, signal: i32) {
        host::set_action(signal, &self.get(signal).on_host(signal, self.watched));
    }

    /// Makes the signals of the set reach the runtime whatever their actions.
    pub(super) fn watch(&mut self, set: SigSet) {
        let new = set.minus(SigSet::UNBLOCKABLE).minus(self.watched);
        self.watched = self.watched.union(new);
        (1..=LAST).filter(|&signal| new.contains(signal)).for_each(|signal| self.restore(signal));
    }

    /// Takes the action for a delivery: one that is for once is the default from now on.
    pub fn take(&mut self, signal: i32) -> Action {
        let action = self.get(signal);
        if action.disposition(signal) == Disposition::Handle && action.flags & SA_RESETHAND != 0 {
            // Cannot fail: a signal that has a handler can be caught.
            let _ = self.set(signal, Action { handler: SIG_DFL, ..action });
        }
        action
    }

    /// The actions of a process that starts. Whatever the run-time libraries have set on the host, it has
    /// these from now on, and the runtime's handler for faults.
    pub(super) fn start(&mut self, ignored: SigSet) {
        for signal in (1..=LAST).filter(|&s| !SigSet::UNBLOCKABLE.contains(s)) {
            let handler = if ignored.contains(signal) { SIG_IGN } else { SIG_DFL };
            // Cannot fail: the signals that can are left out.
            let _ = self.set(signal, Action { handler, ..Action::default() });
        }
    }

    /// execve(2): handlers are gone, ignored signals stay ignored, timers are deleted.
    pub(super) fn exec(&mut self) {
        self.clear();
        for timer in self.timers.drain(..) {
            let _ = host::timer_delete(timer);
        }
    }

    /// Handlers are gone, ignored signals stay ignored.
    pub(super) fn clear(&mut self) {
        for signal in 1..=LAST {
            let handler = match self.get(signal).handler {
                SIG_IGN => SIG_IGN,
                _ => SIG_DFL,
            };
            let cleared = Action { handler, ..Action::default() };
            // Nearly all are so already, and the host's with them.
            if self.get(signal) != cleared {
                // Cannot fail: a signal that has another action can be caught.
                let _ = self.set(signal, cleared);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handler(flags: u64) -> Action {
        Action { handler: 0x40_1000, flags: flags | SA_RESTORER, restorer: 0x40_2000, mask: SigSet::of(&[2]) }
    }

    #[test]
    fn an_action_is_read_back_as_given_without_what_the_kernel_drops() {
        let given = Action { flags: u64::MAX, mask: SigSet::ALL, ..handler(0) };
        let kept = Action::decode(&given.encode());
        assert_eq!(kept.flags, KEPT);
        assert_eq!(kept.mask, SigSet::ALL.minus(SigSet::UNBLOCKABLE));
        assert_eq!((kept.handler, kept.restorer), (given.handler, given.restorer));
        assert_eq!(Action::decode(&kept.encode()), kept);
    }

    #[test]
    fn default_dispositions_are_those_of_signal_7() {
        let d = |signal| Action::default().disposition(signal);
        for signal in [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH] {
            assert_eq!(d(signal), Disposition::Ignore);
        }
        for signal in [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU] {
            assert_eq!(d(signal), Disposition::Stop);
        }
        for signal in [1, libc::SIGSEGV, libc::SIGTERM, libc::SIGALRM, libc::SIGIO, 32, 33, 64] {
            assert_eq!(d(signal), Disposition::Terminate);
        }
    }

    #[test]
    fn the_host_has_its_own_action_only_where_a_handler_or_a_fault_needs_it() {
        let ignore = Action { handler: SIG_IGN, ..Action::default() };
        let with = |f: u64| host::Action::runtime(f);
        assert_eq!(ignore.on_host(libc::SIGCHLD, SigSet::EMPTY), host::Action::fixed(SIG_IGN, 0));
        assert_eq!(Action::default().on_host(libc::SIGTERM, SigSet::EMPTY), host::Action::fixed(SIG_DFL, 0));
        assert_eq!(ignore.on_host(libc::SIGSEGV, SigSet::EMPTY), with(0));
        assert_eq!(Action::default().on_host(libc::SIGTRAP, SigSet::EMPTY), with(0));
        assert_eq!(
            handler(SA_NOCLDWAIT | SA_RESTART).on_host(libc::SIGCHLD, SigSet::EMPTY),
            with(SA_NOCLDWAIT)
        );
    }

    #[test]
    fn what_cannot_be_caught_is_refused() {
        let mut actions = Actions::default();
        for signal in [0, -1, 65, i32::MAX, i32::MIN, libc::SIGKILL, libc::SIGSTOP] {
            assert_eq!(actions.set(signal, handler(0)), Err(Errno::EINVAL));
            assert_eq!(actions.get(signal), Action::default());
        }
    }

    #[test]
    fn a_watched_signal_reaches_the_runtime_whatever_its_action() {
        let (ignore, watched) = (Action { handler: SIG_IGN, ..Action::default() }, SigSet::ALL);
        for signal in [libc::SIGTERM, libc::SIGTSTP, 64] {
            assert_eq!(Action::default().on_host(signal, watched), host::Action::runtime(0));
        }
        assert_eq!(ignore.on_host(libc::SIGCHLD, watched), host::Action::runtime(SA_NOCLDWAIT));
        assert_eq!(ignore.on_host(libc::SIGTERM, watched), host::Action::runtime(0));
    }
}

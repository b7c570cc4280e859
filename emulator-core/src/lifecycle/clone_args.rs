//! The arguments of clone(2), which fork(2), vfork(2) and clone3(2) amount to as well.

/// What a call of the clone(2) family asks for: a thread or a process.
#[derive(Clone, Copy, Debug)]
pub struct CloneArgs {
    /// `CLONE_*`, and in the low byte the signal at the end.
    pub flags: u64,
    /// Stack pointer to begin with; 0 for the caller's.
    pub stack: u64,
    /// Where the parent finds the new thread id (CLONE_PARENT_SETTID).
    pub parent_tid: u64,
    /// Where the child finds its thread id (CLONE_CHILD_SETTID), and what is cleared at its end
    /// (CLONE_CHILD_CLEARTID).
    pub child_tid: u64,
    /// FS base (CLONE_SETTLS).
    pub tls: u64,
    /// Where the descriptor of the new process goes (CLONE_PIDFD).
    pub pidfd: u64,
    /// It starts with default actions where its parent has handlers.
    pub clear_handlers: bool,
}

impl CloneArgs {
    const fn plain(flags: i32) -> CloneArgs {
        let flags = flags as u64;
        CloneArgs { flags, stack: 0, parent_tid: 0, child_tid: 0, tls: 0, pidfd: 0, clear_handlers: false }
    }
    /// fork(2).
    pub const FORK: CloneArgs = CloneArgs::plain(libc::SIGCHLD);
    /// vfork(2).
    pub const VFORK: CloneArgs = CloneArgs::plain(libc::SIGCHLD | libc::CLONE_VM | libc::CLONE_VFORK);

    /// By the arguments of clone(2).
    pub fn of_clone(args: &[u64; 6]) -> CloneArgs {
        let [flags, stack, parent_tid, child_tid, tls, _] = *args;
        // The kernel takes the low half; the descriptor goes where the thread id would (clone(2)).
        let flags = flags & u64::from(u32::MAX);
        CloneArgs { flags, stack, parent_tid, child_tid, tls, pidfd: parent_tid, clear_handlers: false }
    }

    /// By the arguments of the clone(2) that a clone3(2) amounts to, and what that cannot say.
    pub fn of_clone3(args: &[u64; 6], pidfd: u64, clear_handlers: bool) -> CloneArgs {
        CloneArgs { pidfd, clear_handlers, ..CloneArgs::of_clone(args) }
    }

    /// The event by which a tracer can have the new thread or process traced (ptrace(2)); 0 for none.
    pub fn event(&self) -> i32 {
        if self.has(libc::CLONE_UNTRACED) {
            0
        } else if self.has(libc::CLONE_VFORK) {
            libc::PTRACE_EVENT_VFORK
        } else if self.has(libc::CLONE_THREAD) || (self.flags & 0xff) as i32 != libc::SIGCHLD {
            libc::PTRACE_EVENT_CLONE
        } else {
            libc::PTRACE_EVENT_FORK
        }
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: i32) -> bool {
        self.flags & flag as u64 != 0
    }

    /// Whether it is a companion: a process that shares everything with its maker but the signal handlers,
    /// and tells nobody of its end. It is carried out as a thread that is known as a process of its own.
    pub fn is_companion(&self) -> bool {
        const SHARED: i32 = libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES;
        const FREE: i32 = libc::CLONE_UNTRACED
            | libc::CLONE_SETTLS
            | libc::CLONE_PARENT_SETTID
            | libc::CLONE_CHILD_SETTID
            | libc::CLONE_CHILD_CLEARTID;
        self.flags & !(FREE as u64) == SHARED as u64
    }

    /// Whether a process like this is possible here: one that signals its end by SIGCHLD, shares nothing
    /// but its place in the file system, and memory only until it executes a program.
    pub fn offered(&self) -> bool {
        /// Flags that a process may have.
        const KNOWN: i32 = libc::CLONE_VM
            | libc::CLONE_VFORK
            | libc::CLONE_FS
            | libc::CLONE_SETTLS
            | libc::CLONE_PARENT_SETTID
            | libc::CLONE_CHILD_SETTID
            | libc::CLONE_CHILD_CLEARTID
            | libc::CLONE_DETACHED
            | libc::CLONE_UNTRACED
            | libc::CLONE_IO
            | libc::CLONE_PIDFD;
        let signal = (self.flags & 0xff) as i32;
        let rest = self.flags & !0xff & !(KNOWN as u64);
        let one_place = self.has(libc::CLONE_PIDFD)
            && (self.has(libc::CLONE_DETACHED)
                || self.has(libc::CLONE_PARENT_SETTID) && self.pidfd == self.parent_tid);
        rest == 0
            && !one_place
            && signal == libc::SIGCHLD
            && (!self.has(libc::CLONE_VM) || self.has(libc::CLONE_VFORK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_processes_that_are_possible_are_offered() {
        let of = |flags: i32| CloneArgs::plain(flags).offered();
        let companion = |flags: i32| CloneArgs::plain(flags).is_companion();
        let shared = libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES;
        assert!(companion(shared | libc::CLONE_UNTRACED) && !companion(shared | libc::SIGCHLD));
        assert!(!companion(shared | libc::CLONE_VFORK) && !companion(libc::CLONE_VM));
        assert!(of(libc::SIGCHLD) && of(libc::SIGCHLD | libc::CLONE_FS));
        assert!(of(libc::SIGCHLD | libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID));
        assert!(of(libc::SIGCHLD | libc::CLONE_VM | libc::CLONE_VFORK));
        assert!(!of(0));
        assert!(!of(libc::SIGCHLD | libc::CLONE_VM));
        assert!(!of(libc::SIGCHLD | libc::CLONE_FILES));
        assert!(!of(libc::SIGCHLD | libc::CLONE_NEWUSER));
    }
}

//! Process groups and sessions (credentials(7)).
//!
//! The host's kernel keeps them. The emulator children are in a session of the init process's, which has no
//! terminal, and a guest's setpgid(2) or setsid(2) is carried out by its emulator child on itself or on a
//! child of its own. So groups are inherited over fork(2), waited for (wait4(2)) and orphaned as natively,
//! and the numbers are the guest's own process ids. A group or session of the host outside of the sandbox
//! cannot be reached: a group is joined within the session only, and what the session has besides guests is
//! the init process alone.

use crate::host::signal::Info;
use crate::host::stat::{group_of, parent_of, session_of};
use crate::state::process::Process;
use crate::state::processes::Processes;
use std::sync::Arc;

impl Processes {
    /// The processes of a group.
    pub fn members(&self, group: i32) -> Vec<Arc<Process>> {
        self.all().into_iter().filter(|p| p.handle.group() == Some(group)).collect()
    }

    /// Whether there is one in `group` of `session`; its leader counts until it has been waited for.
    pub fn has_group(&self, group: i32, session: i32) -> bool {
        let is = |p: &Process| p.handle.group() == Some(group) && p.handle.session() == Some(session);
        self.all().into_iter().chain(self.zombie(group)).any(|process| is(&process))
    }

    /// Whether no process of the group has a parent that is in another group of the same session: nobody is
    /// there then to continue it once it is stopped (the kernel's `will_become_orphaned_pgrp`). The init
    /// process is such a parent to the first process only; that it is in the session of others' orphans, too,
    /// is no native program's state of things.
    pub fn is_orphaned(&self, group: i32) -> bool {
        let kept = |process: &Arc<Process>| {
            let own = process.handle.on_host();
            let parent = parent_of(own).filter(|p| process.is_first() || self.on_host(*p).is_some());
            parent.is_some_and(|parent| {
                group_of(parent) != group_of(own) && session_of(parent) == session_of(own)
            })
        };
        !self.members(group).iter().any(kept)
    }

    /// A process has left this orphan: if its group has none any more to continue it, and is stopped, it is
    /// hung up.
    pub fn left_alone(&self, orphan: &Process) {
        let Some(group) = orphan.handle.group() else { return };
        if self.is_orphaned(group) && self.members(group).iter().any(|p| p.handle.is_stopped()) {
            self.hang_up(group);
        }
    }

    /// Sends a signal to all processes of a group; to how many.
    pub fn signal_group(&self, group: i32, info: &Info) -> usize {
        self.signal(info, |p| p.handle.group() == Some(group))
    }

    /// Nobody is there any more for whom the group works: its terminal is gone, or who could continue it.
    pub fn hang_up(&self, group: i32) {
        for signal in [libc::SIGHUP, libc::SIGCONT] {
            self.signal_group(group, &Info::sent(signal, libc::SI_KERNEL, 0, 0));
        }
    }
}

//! What a wait for children (wait4(2), waitid(2)) finds of traced threads. Of children that are not traced,
//! and of the end of those that are, the kernel tells.

use super::{Tracees, Waiter};
use rxbox_wire::ptrace::WaitAnswer;

/// Who is waited for.
#[derive(Clone, Debug)]
pub enum Whom {
    /// Anybody.
    Any,
    /// The thread or process of this id.
    One(i32),
    /// The threads of these processes.
    Processes(Vec<i32>),
}

/// A wait.
#[derive(Clone, Debug)]
pub struct WaitFor {
    /// For whom.
    pub whom: Whom,
    /// For those that end, too.
    pub ends: bool,
    /// What is found can be found again (WNOWAIT).
    pub keeps: bool,
    /// It waits until there is something.
    pub blocks: bool,
    /// For children that signal their end to nobody, too.
    pub clones: bool,
}

impl WaitFor {
    fn matches(&self, pid: i32, tid: i32) -> bool {
        match &self.whom {
            Whom::Any => true,
            Whom::One(one) => *one == tid,
            Whom::Processes(all) => all.contains(&pid),
        }
    }
}

impl Tracees {
    /// What a thread of a process finds that waits. If it may find something later it is remembered, and told
    /// when there is something.
    pub fn wait(&self, waiter: Waiter, wait: &WaitFor) -> WaitAnswer {
        let pid = waiter.tracer;
        let mut all = self.all();
        let ended = |e: &super::Ended| {
            let kind = wait.clones || !e.companion;
            wait.ends && kind && e.tracer == pid && wait.matches(e.pid, e.tid)
        };
        if let Some(at) = all.ended.iter().position(ended) {
            let ended = if wait.keeps { all.ended[at] } else { all.ended.remove(at) };
            return WaitAnswer::Event { tid: ended.tid, status: ended.status };
        }
        let child = |(tid, (parent, _)): (&i32, &(i32, u32))| *parent == pid && wait.matches(*tid, *tid);
        let mut any = wait.clones && all.companions.iter().any(child);
        for (&tracee, t) in all.by_tid.iter_mut().filter(|(_, t)| t.tracer == pid && !t.leaves) {
            if !wait.matches(t.pid, tracee) {
                continue;
            }
            any = true;
            if let Some(stop) = t.stop.as_mut().filter(|stop| !stop.shown && !stop.listens) {
                stop.shown = !wait.keeps;
                return WaitAnswer::Event { tid: tracee, status: stop.code << 8 | 0x7f };
            }
        }
        if wait.blocks && !all.waiting.contains(&waiter) {
            all.waiting.push(waiter);
        }
        if any { WaitAnswer::Tracees } else { WaitAnswer::Plain }
    }
}

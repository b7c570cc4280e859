//! No guest process that the supervisor does not know.
//!
//! A child announces a fork, makes it, and tells what came of it ([`crate::worker::start`]). One that is not
//! itself any more can leave out either. So:
//!
//! * a fork passes the gate ([`crate::host::fork_gate`]) only if the very thread has announced it, once for
//!   each announcement; and what is announced counts as a process from then on;
//! * a fork that has passed and is given up (said to have failed, announced over again, left behind by a
//!   process that ends) may have made a process all the same: then all are looked through, and what nobody
//!   is about to tell of is killed ([`Forks::sweep`]). A process that is about to be told of is the child of
//!   one that has forks under way, and hides others for so long; so it is looked again with the next fork.
//!
//! So there are never more processes than were let through and told of or counted. Where the host has no gate
//! every announced fork counts as made, and it is swept from time to time.

use crate::host::descendants::{below, parents};
use crate::host::pid_namespace::PidNamespace;
use crate::host::process::ProcessHandle;
use crate::host::signal::Info;
use crate::state::processes::Processes;
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

/// What is known of forks.
#[derive(Debug, Default)]
pub struct Forks {
    /// The init process, below which all guest processes are; 0 until it is there.
    init: AtomicI32,
    /// There is no gate.
    ungated: AtomicBool,
    /// Some process may be hidden behind the forks under way.
    hidden: AtomicBool,
    /// Children of the init process that are being started and are not known yet.
    expected: AtomicUsize,
}

/// As long as this is there a child of the init process may be one that is about to be known.
#[derive(Debug)]
pub struct Expecting<'a>(&'a Forks);

impl Drop for Expecting<'_> {
    fn drop(&mut self) {
        self.0.expected.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Forks {
    /// Notes below whom all guest processes are, and whether their forks pass a gate.
    pub fn begin(&self, init: i32, gated: bool) {
        self.init.store(init, Ordering::Relaxed);
        self.ungated.store(!gated, Ordering::Relaxed);
    }

    /// A further child of the init process is about to be started.
    pub fn expect(&self) -> Expecting<'_> {
        self.expected.fetch_add(1, Ordering::SeqCst);
        Expecting(self)
    }

    /// Whether forks pass no gate, so that it has to be swept from time to time.
    pub fn are_ungated(&self) -> bool {
        self.ungated.load(Ordering::Relaxed)
    }

    /// Whether a thread may fork now: it has announced it, and has not forked since. The thread waits
    /// meanwhile, so its number on the host is its own.
    pub fn may_pass(processes: &Processes, pids: &PidNamespace, thread: i32) -> bool {
        let Ok(thread) = pids.number_of(thread) else { return false };
        let all = processes.all();
        let asking = all.iter().find_map(|p| Some((p, p.threads.slot_of(thread)?)));
        asking.is_some_and(|(process, slot)| process.let_fork_through(slot))
    }

    /// EAGAIN if there are `most` processes, with those that are announced.
    pub fn room(processes: &Processes, most: u64) -> Result<(), Errno> {
        let all = processes.all();
        let announced: usize = all.iter().map(|p| p.forks_under_way().0).sum();
        if (all.len() + announced) as u64 >= most { Err(Errno::EAGAIN) } else { Ok(()) }
    }

    /// A fork that may have been made was told of, as far as it is to be expected.
    pub fn told(&self, processes: &Processes) {
        if self.hidden.load(Ordering::Relaxed) {
            self.sweep(processes);
        }
    }

    /// Kills the processes that nobody is about to tell of.
    pub fn sweep(&self, processes: &Processes) {
        let init = self.init.load(Ordering::Relaxed);
        if init == 0 {
            return;
        }
        // None is told of meanwhile; and a process that is seen was let through before, so that is known
        // after.
        let _births = processes.births();
        let running = parents();
        let all = processes.all();
        let known: BTreeSet<i32> = all.iter().map(|p| p.handle.on_host()).collect();
        let made = all.iter().map(|p| (p.handle.on_host(), p.forks_under_way().1));
        let mut made: BTreeMap<i32, usize> = made.collect();
        *made.entry(init).or_default() += self.expected.load(Ordering::SeqCst);
        let mut hidden = false;
        for (parent, children) in unknown_below(&running, init, &known) {
            let expected = made.get(&parent).copied().unwrap_or(0);
            if expected > 0 {
                hidden |= children.len() > expected;
                continue;
            }
            for child in
                children.into_iter().filter_map(|pid| ProcessHandle::of_child_on_host(pid, parent).ok())
            {
                // One that has ended meanwhile is as good as killed.
                let _ = child.signal(&Info::sent(libc::SIGKILL, libc::SI_USER, 0, 0));
            }
        }
        self.hidden.store(hidden, Ordering::Relaxed);
    }
}

/// The processes below `top` that are not `known`, by their parents.
fn unknown_below(parents: &BTreeMap<i32, i32>, top: i32, known: &BTreeSet<i32>) -> BTreeMap<i32, Vec<i32>> {
    let mut unknown: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for pid in below(parents, top).difference(known) {
        if let Some(&parent) = parents.get(pid) {
            unknown.entry(parent).or_default().push(*pid);
        }
    }
    unknown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::fixture::{Guest, NOBODY, living};
    use crate::host::shm::Channel;
    use rxbox_wire::sizes::MAX_SLOTS;
    use std::process::{Command, Stdio};

    fn may_pass(guest: &Guest, thread: i32) -> bool {
        Forks::may_pass(&guest.sandbox.processes, &PidNamespace::of_host(), thread)
    }

    #[test]
    fn what_is_unknown_is_found_in_all_generations_and_circles_end() {
        let parents = BTreeMap::from([(2, 1), (3, 2), (4, 3), (5, 9), (6, 7), (7, 6), (8, 2)]);
        let unknown = |top, known: &[i32]| unknown_below(&parents, top, &known.iter().copied().collect());
        assert_eq!(unknown(1, &[2, 3]), BTreeMap::from([(2, vec![8]), (3, vec![4])]));
        assert_eq!(unknown(1, &[2, 3, 4, 8]), BTreeMap::new());
        assert_eq!(unknown(6, &[]), BTreeMap::from([(6, vec![7]), (7, vec![6])]));
    }

    #[test]
    fn a_thread_forks_once_for_each_announcement() {
        let guest = Guest::free();
        let process = &guest.process;
        process.threads.reserve(Some(70), MAX_SLOTS).unwrap();
        process.threads.reserve(Some(71), MAX_SLOTS).unwrap();
        assert!(!may_pass(&guest, 70));
        process.begin_fork(0, Channel::new().unwrap(), false).unwrap();
        assert_eq!(process.forks_under_way(), (1, 0));
        assert!(!may_pass(&guest, 71) && !may_pass(&guest, 72));
        assert!(may_pass(&guest, 70));
        assert!(!may_pass(&guest, 70));
        assert_eq!(process.forks_under_way(), (1, 1));
    }

    #[test]
    fn announced_forks_count_as_processes() {
        let guest = Guest::free();
        assert_eq!(Forks::room(&guest.sandbox.processes, 3), Ok(()));
        guest.process.begin_fork(0, Channel::new().unwrap(), false).unwrap();
        assert_eq!(Forks::room(&guest.sandbox.processes, 3), Ok(()));
        guest.process.begin_fork(1, Channel::new().unwrap(), false).unwrap();
        assert_eq!(Forks::room(&guest.sandbox.processes, 3), Err(Errno::EAGAIN));
    }

    /// The test's own process stands for the init process, a shell for a guest that is known.
    #[test]
    fn a_child_that_nobody_is_about_to_tell_of_is_killed() {
        use std::io::Read;
        let (guest, forks) = (Guest::free(), Forks::default());
        let mut command = Command::new("/bin/sh");
        let mut shell = command.args(["-c", "sleep 1000 & echo; wait; echo over"]);
        shell = shell.stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let mut out = shell.stdout.take().unwrap();
        out.read_exact(&mut [0]).unwrap();
        let pid = shell.id() as i32;
        let known = guest.add(pid, living());
        forks.begin(pid, true);
        known.threads.reserve(Some(pid), MAX_SLOTS).unwrap();
        known.begin_fork(0, Channel::new().unwrap(), false).unwrap();
        // It is about to be told of.
        assert!(may_pass(&guest, pid));
        forks.sweep(&guest.sandbox.processes);
        assert!(shell.try_wait().unwrap().is_none());
        assert!(known.end_fork(0, Err(Errno::EAGAIN)).is_err());
        forks.sweep(&guest.sandbox.processes);
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "over\n");
        shell.wait().unwrap();
        assert!(guest.sandbox.processes.get(NOBODY).is_some());
    }
}

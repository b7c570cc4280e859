//! The processes below another: who they are, and their end.

use super::process::ProcessHandle;
use super::signal::Info;
use super::spawn;
use super::stat::Stat;
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet};

/// All processes of the host that run, by number, with the numbers of their parents.
pub fn parents() -> BTreeMap<i32, i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = Stat::of_process(pid).filter(runs)?;
            Some((pid, stat.parent()?))
        })
        .collect()
}

/// The processes below `top`, in all generations. A look at processes that come and go can find a circle, and
/// then `top` as well.
pub fn below(parents: &BTreeMap<i32, i32>, top: i32) -> BTreeSet<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for (&pid, &parent) in parents {
        children.entry(parent).or_default().push(pid);
    }
    let (mut found, mut todo) = (BTreeSet::new(), vec![top]);
    while let Some(parent) = todo.pop() {
        // Taken out: so a circle ends.
        let of_it = children.remove(&parent).unwrap_or_default();
        found.extend(&of_it);
        todo.extend(of_it);
    }
    found
}

/// Whether a process runs. One whose first thread has ended looks like one that has ended, but has others.
fn runs(stat: &Stat) -> bool {
    stat.state() != Some(b'Z') || stat.field(Stat::THREADS) > 1
}

/// Ends everything below this process, which is to be a subreaper (PR_SET_CHILD_SUBREAPER), and waits until
/// nothing is left.
///
/// # Errors
/// As waitid(2).
pub fn end_all_below() -> Result<(), Errno> {
    loop {
        loop {
            match spawn::ended_child() {
                Ok(Some((pid, _))) => spawn::reap(pid)?,
                Ok(None) => break,
                Err(Errno::ECHILD) => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        kill_below(std::process::id() as i32);
        spawn::wait_for_any()?;
    }
}

/// Kills every process below `parent` that is found. Each is stopped before its own children are looked at,
/// and then killed, so that none can go on to fork. Those that it has made in the meantime, and those that
/// cannot be held for want of descriptors, are the next to be found: whoever adopts them asks again.
fn kill_below(parent: i32) {
    kill_children(&parents(), parent);
}

fn kill_children(parents: &BTreeMap<i32, i32>, parent: i32) {
    let numbers = parents.iter().filter(|(_, of)| **of == parent).map(|(pid, _)| *pid);
    // A handle says that it is the parent's child now; that the parent is whom the caller means, the caller's
    // handle says, which is held all the while.
    for child in numbers.filter_map(|pid| ProcessHandle::of_child_on_host(pid, parent).ok()) {
        // One that has ended meanwhile is as good as killed.
        let _ = child.signal(&Info::sent(libc::SIGSTOP, libc::SI_USER, 0, 0));
        if child.number() != parent && child.is_there().is_ok() {
            kill_children(parents, child.number());
        }
        let _ = child.signal(&Info::sent(libc::SIGKILL, libc::SI_USER, 0, 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::{Command, Stdio};

    #[test]
    fn all_generations_below_a_process_are_killed() {
        let own = std::process::id() as i32;
        assert!(parents().contains_key(&own));
        // The end of the pipe is held by three generations, which are there when the line comes.
        let script = "(sleep 1000 & echo; exec sleep 1000) & exec sleep 1000";
        let mut command = Command::new("/bin/sh");
        let mut shell = command.args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = shell.stdout.take().unwrap();
        out.read_exact(&mut [0]).unwrap();
        kill_below(shell.id() as i32);
        shell.kill().unwrap();
        shell.wait().unwrap();
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
    }
}

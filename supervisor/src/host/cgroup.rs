//! A cgroup of the run's own (cgroups(7)), in which the kernel holds memory and tasks to what the profile
//! says.
//!
//! What the supervisor counts it looks at ten times a second, and it cannot see everything. The kernel counts
//! each page and each thread at once, by group: so rxbox makes a group below the one that it is in, and puts
//! itself there before it starts anything of the guest's. It has to be in there: a page belongs to the
//! group of the process that touched it first, and for what the guest has written (memory files, pipes,
//! sockets, queues) that is the supervisor.
//!
//! rxbox never leaves the group that it was started in, whose limits somebody may have meant for it. In the
//! first version of cgroups a group below can always be made by who may write there, which is root. In the
//! second, only groups without processes have groups with limits below them: so everything that is in the
//! group must be rxbox's own, and moves into a second new one. A service manager starts rxbox so if it is
//! told to delegate a group to it; where it was not told, it is asked for such a group now ([`scope`]).
//!
//! A group is removed by the last of rxbox's processes ([`remove_of`]). One that is left when all of them
//! were killed at once is removed by the next run that makes one there.

use super::scope;
use nix::unistd::{Pid, getpid, getppid};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What has to be held, and in which files of the first and of the second version.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];
/// The beginning of the names of rxbox's groups; the supervisor's number follows.
const NAME: &str = "rxbox-";
/// The end of the name of the group for what is not to be held.
const OUTSIDE: &str = "-outside";

/// What the group holds everything in it to; no value, no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Threads of all processes.
    pub tasks: Option<u64>,
}

/// Why there is no group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The controllers of memory and of tasks are not to be found where this process is.
    #[error("the controllers `memory` and `pids` are not there for the cgroup that rxbox is started in")]
    NoController = 1,
    /// It belongs to somebody else.
    #[error("the cgroup that rxbox is started in is not its own")]
    NotDelegated,
    /// It has processes that are not rxbox's.
    #[error("there are other processes in the cgroup that rxbox is started in")]
    Shared,
    /// The kernel refuses something for another reason.
    #[error("the kernel refuses a cgroup")]
    Kernel,
}

impl Refused {
    /// All of them.
    pub const ALL: [Refused; 4] =
        [Refused::NoController, Refused::NotDelegated, Refused::Shared, Refused::Kernel];
}

impl From<io::Error> for Refused {
    fn from(e: io::Error) -> Refused {
        match e.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Refused::NotDelegated,
            _ => Refused::Kernel,
        }
    }
}

/// The versions of cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// A directory in which rxbox makes groups.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parent {
    version: Version,
    dir: PathBuf,
}

/// The group of this process.
#[derive(Debug)]
pub struct Cgroup {
    /// How often the kernel has ended a process in it for want of memory.
    events: Option<File>,
}

impl Cgroup {
    /// Makes a group within these bounds, and moves this process and these of its children into it.
    ///
    /// # Errors
    /// The host gives none; nothing has changed then.
    pub fn enter(bounds: &Bounds, children: &[Pid]) -> Result<Cgroup, Refused> {
        let own: Vec<_> = children.iter().copied().chain([getppid(), getpid()]).collect();
        let parents = match make_all(parents()?, bounds, &own) {
            Err(Refused::NotDelegated | Refused::Shared) if scope::ask(&own).is_ok() => {
                make_all(parents()?, bounds, &own)
            }
            made => made,
        }?;
        let group = |parent: &Parent| parent.dir.join(name_of(getpid()));
        // A kernel that does not count them has no such file.
        let events = parents.first().map(|parent| match parent.version {
            Version::One => File::open(group(parent).join("memory.oom_control")),
            Version::Two => File::open(group(parent).join("memory.events")),
        });
        Ok(Cgroup { events: events.and_then(Result::ok) })
    }

    /// Whether this process could enter one, as its parent's supervisor.
    ///
    /// # Errors
    /// Why not.
    pub fn attempt() -> Result<(), Refused> {
        Cgroup::enter(&Bounds::default(), &[])?;
        parents()?.iter().for_each(|parent| parent.restore(getpid(), &[getppid(), getpid()]));
        Ok(())
    }

    /// Whether the kernel has ended a process in it for want of memory.
    pub fn has_killed(&self) -> bool {
        let mut text = [0; 512];
        let length = self.events.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
        kills(&String::from_utf8_lossy(&text[..length])) > 0
    }
}

/// The number behind `oom_kill`.
fn kills(events: &str) -> u64 {
    let number = events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
    number.unwrap_or(0)
}

/// Removes the group of the supervisor with this number, which has ended with all that was in it, and puts
/// this process, its job process, back where it was.
pub fn remove_of(supervisor: Pid) {
    for parent in parents().unwrap_or_default() {
        let moved = parent.dir.join(name_of(supervisor) + OUTSIDE).exists().then(getpid);
        parent.restore(supervisor, moved.as_slice());
    }
}

impl Parent {
    /// Makes everything as it was before [`make`], as far as it had come: these processes are back. What
    /// others use by now stays as it is.
    fn restore(&self, supervisor: Pid, processes: &[Pid]) {
        let group = self.dir.join(name_of(supervisor));
        let outside = self.dir.join(name_of(supervisor) + OUTSIDE);
        if outside.exists() {
            let _ = std::fs::write(self.dir.join("cgroup.subtree_control"), "-memory -pids");
        }
        for pid in processes {
            let _ = join(&self.dir, *pid);
        }
        for made in [group, outside] {
            let _ = std::fs::remove_dir(made);
        }
    }
}

fn name_of(supervisor: Pid) -> String {
    format!("{NAME}{supervisor}")
}

fn join(group: &Path, pid: Pid) -> io::Result<()> {
    std::fs::write(group.join("cgroup.procs"), pid.to_string())
}

/// Makes a group in each of these directories and moves these processes there; nothing has changed after an
/// error.
fn make_all(parents: Vec<Parent>, bounds: &Bounds, own: &[Pid]) -> Result<Vec<Parent>, Refused> {
    let made = parents.iter().try_for_each(|parent| make(parent, bounds, own));
    made.inspect_err(|_| parents.iter().for_each(|parent| parent.restore(getpid(), own)))?;
    Ok(parents)
}

/// Of rxbox's processes only the job process, the parent of this one, stays out of the group.
fn make(parent: &Parent, bounds: &Bounds, own: &[Pid]) -> Result<(), Refused> {
    let Parent { version, dir } = parent;
    remove_stale(dir);
    if *version == Version::Two {
        vacate(dir, own)?;
    }
    let group = dir.join(name_of(getpid()));
    std::fs::create_dir(&group)?;
    let limits: &[(&str, Option<u64>)] = match version {
        Version::One => &[
            ("memory.limit_in_bytes", bounds.memory),
            ("memory.memsw.limit_in_bytes", bounds.memory),
            ("pids.max", bounds.tasks),
        ],
        Version::Two => &[
            ("memory.max", bounds.memory),
            ("memory.swap.max", bounds.memory.map(|_| 0)),
            ("pids.max", bounds.tasks),
        ],
    };
    for (file, limit) in limits {
        let file = group.join(file);
        // In the first version each controller has its own files; where there is no swap there are none.
        if let Some(limit) = limit.filter(|_| file.exists()) {
            std::fs::write(file, limit.to_string())?;
        }
    }
    own.iter().filter(|pid| **pid != getppid()).try_for_each(|pid| join(&group, *pid))?;
    Ok(())
}

/// Sees to it that a group with limits can be made below this one of the second version.
fn vacate(dir: &Path, own: &[Pid]) -> Result<(), Refused> {
    let has_all = |file: &str| -> Result<bool, Refused> {
        let words = std::fs::read_to_string(dir.join(file))?;
        Ok(CONTROLLERS.iter().all(|controller| words.split_ascii_whitespace().any(|w| w == *controller)))
    };
    if !has_all("cgroup.controllers")? {
        return Err(Refused::NoController);
    }
    if has_all("cgroup.subtree_control")? {
        return Ok(());
    }
    let inside = std::fs::read_to_string(dir.join("cgroup.procs"))?;
    if inside.lines().any(|pid| own.iter().all(|own| own.to_string() != pid)) {
        return Err(Refused::Shared);
    }
    let outside = dir.join(name_of(getpid()) + OUTSIDE);
    std::fs::create_dir(&outside)?;
    own.iter().try_for_each(|pid| join(&outside, *pid))?;
    std::fs::write(dir.join("cgroup.subtree_control"), "+memory +pids")?;
    Ok(())
}

/// Removes groups of runs of which nothing is left. Those with processes in them stay by themselves.
fn remove_stale(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let supervisor = name.to_str().and_then(|name| name.strip_prefix(NAME)?.split('-').next());
        if supervisor.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

/// Where groups of each controller are made: one directory for all of them in the second version.
fn parents() -> Result<Vec<Parent>, Refused> {
    let own = std::fs::read_to_string("/proc/self/cgroup")?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let mut found = Vec::new();
    for controller in CONTROLLERS {
        let mut parent = parent_of(controller, &own, &mounts).ok_or(Refused::NoController)?;
        // What was moved out of the way is below it.
        let name = parent.dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(NAME) {
            parent.dir.pop();
        }
        if !found.contains(&parent) {
            found.push(parent);
        }
    }
    Ok(found)
}

/// Where a controller's group of a process is, of which these are `/proc/PID/cgroup` (cgroups(7)) and
/// `/proc/PID/mountinfo` (proc_pid_mountinfo(5)).
fn parent_of(controller: &str, own: &str, mounts: &str) -> Option<Parent> {
    let path_of = |named: &dyn Fn(&str) -> bool| {
        own.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            named(controllers).then_some(path)
        })
    };
    let lists = |list: &str| list.split(',').any(|word| word == controller);
    let (version, path) = match path_of(&lists) {
        Some(path) => (Version::One, path),
        None => (Version::Two, path_of(&str::is_empty)?),
    };
    let dir = mounts.lines().find_map(|line| {
        let (place, system) = line.split_once(" - ")?;
        let (mut place, mut system) = (place.split(' ').skip(3), system.split(' '));
        let (root, dir) = (place.next()?, place.next()?);
        let there = match version {
            Version::One => system.next()? == "cgroup" && system.nth(1).is_some_and(lists),
            Version::Two => system.next()? == "cgroup2",
        };
        let below = Path::new(path).strip_prefix(root).ok().filter(|_| there)?;
        Some(Path::new(dir).join(below))
    });
    Some(Parent { version, dir: dir? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
23 1 0:5 / /proc rw - proc proc rw
25 32 0:22 / /sys/fs/cgroup/memory rw,relatime shared:8 - cgroup cgroup rw,memory
26 32 0:23 /jobs /sys/fs/cgroup/tasks rw,relatime - cgroup cgroup rw,cpu,pids
34 32 0:30 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw";

    #[test]
    fn groups_are_found_by_controller_version_and_mount() {
        let of = |controller, own| parent_of(controller, own, MOUNTS).map(|p| (p.version, p.dir));
        let at = |version, dir: &str| Some((version, PathBuf::from(dir)));
        let first = "8:cpu,pids:/jobs/7\n4:memory:/a:b\n0::/\n";
        assert_eq!(of("memory", first), at(Version::One, "/sys/fs/cgroup/memory/a:b"));
        assert_eq!(of("pids", first), at(Version::One, "/sys/fs/cgroup/tasks/7"));
        assert_eq!(of("pids", "0::/user.slice/x\n"), at(Version::Two, "/sys/fs/cgroup/unified/user.slice/x"));
        // Not below what is mounted.
        assert_eq!(of("pids", "8:pids:/other\n"), None);
        assert_eq!(of("pids", ""), None);
    }

    #[test]
    fn what_the_kernel_has_ended_is_counted_in_both_versions() {
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"), 2);
        assert_eq!(kills("low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\noom_group_kill 0\n"), 1);
        assert_eq!(kills(""), 0);
    }
}

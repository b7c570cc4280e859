//! The cgroups of a container (cgroups(7)): where they are, what they hold it to, and everything in them.
//!
//! All of the container is in them, rxbox's own processes too, as with any runtime that runs something beside
//! the program: Kubernetes calls it the overhead of a RuntimeClass. In the first version there is one for
//! each hierarchy that is mounted, in the second one.
//!
//! Which devices can be opened is not held by a cgroup but by mounts without devices and the want of
//! CAP_MKNOD ([`super::root`], [`super::identity`]).

use super::bundle::Bundle;
use crate::host::descendants;
use crate::host::process::ProcessHandle;
use crate::host::signal::Info;
use oci_spec::runtime::LinuxResources;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

/// A hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hierarchy {
    /// Where it is mounted.
    at: PathBuf,
    second: bool,
    /// The group of this process in it.
    own: PathBuf,
}

/// Those that are mounted; of the second version only if there is none of the first.
fn hierarchies() -> Vec<Hierarchy> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let all = of_texts(&mounts, &groups);
    let first = all.iter().any(|hierarchy| !hierarchy.second);
    all.into_iter().filter(|hierarchy| !(first && hierarchy.second)).collect()
}

fn of_texts(mounts: &str, groups: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mounts.lines() {
        let Some((mount, kind)) = line.split_once(" - ") else { continue };
        let mut kind = kind.split(' ');
        let second = match kind.next() {
            Some("cgroup") => false,
            Some("cgroup2") => true,
            _ => continue,
        };
        let Some(at) = mount.split(' ').nth(4).map(PathBuf::from) else { continue };
        let options: BTreeSet<&str> = kind.next_back().unwrap_or_default().split(',').collect();
        let own = groups.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let here = if second {
                controllers.is_empty()
            } else {
                !controllers.is_empty() && controllers.split(',').all(|name| options.contains(name))
            };
            here.then(|| PathBuf::from(path))
        });
        if let Some(own) = own.filter(|_| found.iter().all(|hierarchy| hierarchy.at != at)) {
            found.push(Hierarchy { at, second, own });
        }
    }
    found
}

/// The path of a container's group in each hierarchy, below its mount.
fn path(given: Option<&Path>, systemd: bool, id: &str, own: &Path) -> Result<PathBuf, String> {
    let below = |path: &Path| -> Result<PathBuf, String> {
        let normal = |part: Component<'_>| match part {
            Component::Normal(name) => Some(Ok(PathBuf::from(name))),
            Component::ParentDir => Some(Err("linux.cgroupsPath: it has `..` in it".to_owned())),
            _ => None,
        };
        path.components().filter_map(normal).collect()
    };
    match given.filter(|path| !path.as_os_str().is_empty()) {
        None => Ok(below(own)?.join(id)),
        Some(text) if systemd => {
            let text = text.to_string_lossy();
            let parts: Vec<&str> = text.split(':').collect();
            let [slice, prefix, name] = parts[..] else {
                return Err("linux.cgroupsPath: with --systemd-cgroup it is SLICE:PREFIX:NAME".to_owned());
            };
            let slice = if slice.is_empty() { "system.slice" } else { slice };
            let unit = match (prefix, name.strip_suffix(".slice")) {
                (_, Some(_)) => name.to_owned(),
                ("", None) => format!("{name}.scope"),
                (prefix, None) => format!("{prefix}-{name}.scope"),
            };
            below(&slices(slice).join(unit))
        }
        Some(path) if path.is_absolute() => below(path),
        Some(path) => Ok(below(own)?.join(below(path)?)),
    }
}

/// `a-b.slice` lies in `a.slice` (systemd.slice(5)).
fn slices(slice: &str) -> PathBuf {
    let name = slice.trim_end_matches(".slice");
    let ends = name.match_indices('-').map(|(end, _)| end).chain([name.len()]);
    ends.filter(|end| *end > 0).map(|end| format!("{}.slice", &name[..end])).collect()
}

/// Makes the groups of a container and puts its first process there; where they are, and what is not held.
///
/// # Errors
/// A limit cannot be set.
pub(super) fn enter(
    bundle: &Bundle,
    systemd: bool,
    id: &str,
    pid: i32,
) -> Result<(Vec<PathBuf>, Vec<String>), String> {
    let linux = bundle.spec.linux().as_ref();
    let given = linux.and_then(|linux| linux.cgroups_path().as_deref());
    let resources = linux.and_then(|linux| linux.resources().as_ref());
    let limits = resources.map(limits).transpose()?.unwrap_or_default();
    let (mut made, mut left) = (Vec::new(), Vec::new());
    for hierarchy in hierarchies() {
        let group = hierarchy.at.join(path(given, systemd, id, &hierarchy.own)?);
        let entered =
            make(&hierarchy, &group).and_then(|()| fs::write(group.join("cgroup.procs"), pid.to_string()));
        match entered {
            Ok(()) => made.push(group),
            Err(e) => left.push(format!("cgroup {}: {e}", group.display())),
        }
    }
    let set = set(&made, &limits).inspect_err(|_| _ = remove(&made));
    set.map(|()| (made, left))
}

/// Makes a group and all above it.
fn make(hierarchy: &Hierarchy, group: &Path) -> io::Result<()> {
    let below = group.strip_prefix(&hierarchy.at).unwrap_or(group);
    let mut at = hierarchy.at.clone();
    for name in below.components() {
        if hierarchy.second {
            let there = fs::read_to_string(at.join("cgroup.controllers")).unwrap_or_default();
            for controller in there.split_ascii_whitespace() {
                // What is not delegated here is missed where a limit needs it.
                let _ = fs::write(at.join("cgroup.subtree_control"), format!("+{controller}"));
            }
        }
        let above = at.clone();
        at.push(name);
        match fs::create_dir(&at) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        // In the first version a new group may use none of these.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if !hierarchy.second && fs::read_to_string(at.join(file)).is_ok_and(|text| text.trim().is_empty())
            {
                fs::write(at.join(file), fs::read(above.join(file))?)?;
            }
        }
    }
    Ok(())
}

/// A limit: its file in the first and in the second version, and what is written there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Limit {
    first: Option<(&'static str, String)>,
    second: Option<(String, String)>,
}

/// What the limits come to.
fn limits(resources: &LinuxResources) -> Result<Vec<Limit>, String> {
    let mut limits = Vec::new();
    let mut both = |first: (&'static str, String), second: (&str, String)| {
        limits.push(Limit { first: Some(first), second: Some((second.0.to_owned(), second.1)) });
    };
    let number = |number: i64| if number < 0 { "-1".to_owned() } else { number.to_string() };
    let or_max = |number: i64| if number < 0 { "max".to_owned() } else { number.to_string() };
    if let Some(memory) = resources.memory() {
        let limit = memory.limit().filter(|limit| *limit != 0);
        if let Some(limit) = limit {
            both(("memory.limit_in_bytes", number(limit)), ("memory.max", or_max(limit)));
        }
        if let Some(swap) = memory.swap().filter(|swap| *swap != 0) {
            // In the second version swap is counted for itself.
            let alone = if swap < 0 { -1 } else { swap.saturating_sub(limit.unwrap_or(0)).max(0) };
            both(("memory.memsw.limit_in_bytes", number(swap)), ("memory.swap.max", or_max(alone)));
        }
        if let Some(kept) = memory.reservation().filter(|kept| *kept != 0) {
            both(("memory.soft_limit_in_bytes", number(kept)), ("memory.low", or_max(kept)));
        }
        if memory.disable_oom_killer() == Some(true) {
            return Err("linux.resources.memory.disableOOMKiller is not offered".to_owned());
        }
        if [memory.kernel(), memory.kernel_tcp()].into_iter().flatten().any(|limit| limit > 0) {
            return Err("linux.resources.memory.kernel: limits on kernel memory are not offered".to_owned());
        }
    }
    if let Some(cpu) = resources.cpu() {
        if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
            let weight = 1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142;
            both(("cpu.shares", shares.to_string()), ("cpu.weight", weight.to_string()));
        }
        let (period, quota) = (cpu.period().filter(|p| *p != 0), cpu.quota().filter(|q| *q != 0));
        if period.is_some() || quota.is_some() {
            let most = format!("{} {}", or_max(quota.unwrap_or(-1)), period.unwrap_or(100_000));
            limits.push(Limit { first: None, second: Some(("cpu.max".to_owned(), most)) });
            let files = [
                period.map(|period| ("cpu.cfs_period_us", period.to_string())),
                quota.map(|quota| ("cpu.cfs_quota_us", number(quota))),
            ];
            limits
                .extend(files.into_iter().flatten().map(|first| Limit { first: Some(first), second: None }));
        }
        for (file, list) in [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())] {
            if let Some(list) = list.as_ref().filter(|list| !list.is_empty()) {
                let second = Some((file.to_owned(), list.clone()));
                limits.push(Limit { first: Some((file, list.clone())), second });
            }
        }
        let real_time = cpu.realtime_period().is_some_and(|period| period != 0)
            || cpu.realtime_runtime().is_some_and(|runtime| runtime != 0);
        if real_time
            || cpu.idle().is_some_and(|idle| idle != 0)
            || cpu.burst().is_some_and(|burst| burst != 0)
        {
            return Err("linux.resources.cpu: realtime, idle and burst are not offered".to_owned());
        }
    }
    if let Some(pids) = resources.pids().as_ref().filter(|pids| pids.limit() != 0) {
        let most = or_max(pids.limit());
        limits.push(Limit {
            first: Some(("pids.max", most.clone())),
            second: Some(("pids.max".to_owned(), most)),
        });
    }
    for (file, value) in resources.unified().iter().flatten() {
        if file.contains('/') || !file.contains('.') {
            return Err(format!("linux.resources.unified: {file} is no file of a cgroup"));
        }
        limits.push(Limit { first: None, second: Some((file.clone(), value.clone())) });
    }
    Ok(limits)
}

/// Sets limits in the groups where their files are.
fn set(groups: &[PathBuf], limits: &[Limit]) -> Result<(), String> {
    let second = groups.first().is_some_and(|group| group.join("cgroup.controllers").exists());
    let mut put_off = Vec::new();
    for limit in limits {
        let of_version = if second {
            limit.second.as_ref().map(|(file, value)| (&**file, value))
        } else {
            limit.first.as_ref().map(|(file, value)| (*file, value))
        };
        let Some((file, value)) = of_version else {
            // Of two files of one limit the other version has one.
            if limit.first.is_none() && !second && limit.second.as_ref().is_some_and(|l| l.0 != "cpu.max") {
                return Err("linux.resources.unified needs the second version of cgroups".to_owned());
            }
            continue;
        };
        let there = groups.iter().map(|group| group.join(file)).find(|file| file.exists());
        match there {
            // Where there is no swap there is no file for it.
            None if file.contains("swap") || file.contains("memsw") => {}
            None => return Err(format!("no cgroup holds the container to {file}")),
            Some(there) => put_off.extend(fs::write(&there, value).is_err().then_some((there, value))),
        }
    }
    // Memory and swap together may not be less than memory alone in between.
    put_off.into_iter().try_for_each(|(file, value)| {
        fs::write(&file, value).map_err(|e| format!("cannot write {value} to {}: {e}", file.display()))
    })
}

/// Changes limits.
///
/// # Errors
/// One cannot be set.
pub(super) fn update(groups: &[PathBuf], resources: &LinuxResources) -> Result<(), String> {
    set(groups, &limits(resources)?)
}

/// The files of the freezer in both versions, with what stops and what continues.
const FREEZERS: [(&str, &str, &str); 2] =
    [("freezer.state", "FROZEN", "THAWED"), ("cgroup.freeze", "1", "0")];

/// Whether everything in the groups is stopped.
pub(super) fn is_frozen(groups: &[PathBuf]) -> bool {
    groups.iter().any(|group| {
        FREEZERS.iter().any(|(file, frozen, _)| {
            fs::read_to_string(group.join(file)).is_ok_and(|text| text.trim() == *frozen)
        })
    })
}

/// Stops or continues everything in the groups, and waits until that is done.
///
/// # Errors
/// There is no freezer.
pub(super) fn freeze(groups: &[PathBuf], freeze: bool) -> Result<(), String> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let all = groups.iter().flat_map(|group| FREEZERS.map(|(file, on, off)| (group.join(file), on, off)));
    let Some((file, on, off)) = all.into_iter().find(|(file, ..)| file.exists()) else {
        return Err("the container is in no cgroup that can be frozen".to_owned());
    };
    let failed = |e: io::Error| format!("{}: {e}", file.display());
    fs::write(&file, if freeze { on } else { off }).map_err(failed)?;
    let begun = Instant::now();
    while is_frozen(groups) != freeze {
        if begun.elapsed() > PATIENCE {
            return Err("the container does not come to a stop".to_owned());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// The processes in the groups, by their numbers on the host.
pub(super) fn processes(groups: &[PathBuf]) -> BTreeSet<i32> {
    let texts = groups.iter().filter_map(|group| fs::read_to_string(group.join("cgroup.procs")).ok());
    texts.flat_map(|text| text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<_>>()).collect()
}

/// The processes below one, and it.
pub(super) fn family(pid: i32) -> BTreeSet<i32> {
    let mut family = descendants::below(&descendants::parents(), pid);
    family.insert(pid);
    family
}

/// Kills the processes of a group. A handle is of one of them if its number still stands in the group after
/// the handle was made: else the process that it is of has ended.
fn kill_all(group: &PathBuf) {
    let group = std::slice::from_ref(group);
    let held = processes(group).into_iter().filter_map(|pid| Some((pid, ProcessHandle::open(pid).ok()?)));
    let held: Vec<_> = held.collect();
    let there = processes(group);
    for (_, process) in held.iter().filter(|(pid, _)| there.contains(pid)) {
        let _ = process.signal(&Info::sent(libc::SIGKILL, libc::SI_USER, 0, 0));
    }
}

/// Removes the groups, with everything that is left in them.
///
/// # Errors
/// One stays.
pub(super) fn remove(groups: &[PathBuf]) -> Result<(), String> {
    const PATIENCE: Duration = Duration::from_secs(10);
    if is_frozen(groups) {
        freeze(groups, false)?;
    }
    let begun = Instant::now();
    for group in groups {
        loop {
            match fs::remove_dir(group) {
                Ok(()) => break,
                Err(e) if e.kind() == ErrorKind::NotFound => break,
                Err(e) if begun.elapsed() > PATIENCE => return Err(format!("{}: {e}", group.display())),
                Err(_) => {
                    // The kernel counts those that end a moment longer.
                    kill_all(group);
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn groups_lie_where_engines_say() {
        let own = Path::new("/own");
        let at = |given: &str, systemd| {
            path(Some(Path::new(given)), systemd, "id", own).map(|p| p.display().to_string())
        };
        assert_eq!(path(None, false, "id", own).unwrap(), Path::new("own/id"));
        assert_eq!(at("/docker/x", false).unwrap(), "docker/x");
        assert_eq!(at("x/y", false).unwrap(), "own/x/y");
        assert_eq!(at("a-b.slice:docker:x", true).unwrap(), "a.slice/a-b.slice/docker-x.scope");
        assert_eq!(at(":cri:x", true).unwrap(), "system.slice/cri-x.scope");
        assert!(at("/a/../../b", false).is_err() && at("x", true).is_err());
    }

    #[test]
    fn hierarchies_are_found_with_ones_own_group() {
        let mounts = "31 25 0:27 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
            32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n33 25 0:5 / /x rw - ext4 /dev/a rw";
        let found = of_texts(mounts, "4:cpu,cpuacct:/a\n1:pids:/b\n0::/c\n");
        let first = Hierarchy { at: "/sys/fs/cgroup/cpu".into(), second: false, own: "/a".into() };
        let second = Hierarchy { at: "/sys/fs/cgroup/unified".into(), second: true, own: "/c".into() };
        assert_eq!(found, [first, second]);
    }

    #[test]
    fn limits_are_written_as_each_version_has_them() {
        let resources: LinuxResources = serde_json::from_value(json!({
            "memory": { "limit": 100, "swap": 150 },
            "cpu": { "shares": 1024, "quota": 5000 },
            "pids": { "limit": 7 },
        }))
        .unwrap();
        let second: Vec<_> =
            limits(&resources).unwrap().into_iter().filter_map(|limit| limit.second).collect();
        let text = |file: &str| second.iter().find(|(name, _)| name == file).map(|(_, value)| value.clone());
        assert_eq!(text("memory.max").unwrap(), "100");
        assert_eq!(text("memory.swap.max").unwrap(), "50");
        assert_eq!(text("cpu.weight").unwrap(), "39");
        assert_eq!(text("cpu.max").unwrap(), "5000 100000");
        assert_eq!(text("pids.max").unwrap(), "7");
        let refused = json!({ "memory": { "disableOOMKiller": true } });
        assert!(limits(&serde_json::from_value(refused).unwrap()).is_err());
    }
}

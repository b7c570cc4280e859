//! Whatever of a container is killed, the engine sees it end, and nothing of it is left.

use super::{Engines, IMAGE, error};
use rxbox_tests::eventually;
use std::fs;
use std::path::{Path, PathBuf};

pub(super) fn whatever_is_killed_nothing_is_left(engines: &Engines) {
    let docker = &engines.docker;
    for (who, what) in VICTIMS {
        let options = ["run", "-d", "--name", who, "--network", "none", "--runtime", "rxbox", IMAGE];
        let started = docker.call(&[&options[..], &["/bin/sh", "-c", "sleep 600 & sleep 601"]].concat());
        assert!(started.status.success(), "{who}: {}", error(&started));
        let told = |form: &str| super::told(&docker.call(&["inspect", "-f", form, who])).1.trim().to_owned();
        let (id, pid) = (told("{{.Id}}"), told("{{.State.Pid}}").parse().expect("a number"));
        let exec = docker.call(&["exec", "-d", who, "sleep", "602"]);
        assert!(exec.status.success(), "{who}: {}", error(&exec));
        // What is there while it runs is what is looked for afterwards.
        assert!(!of_container(&id).is_empty());
        let all = [&[pid][..], &below(pid)].concat();
        assert!(all.len() > 5, "{all:?}");
        let victim = what(pid);
        let killed = std::process::Command::new("/bin/kill").args(["-9", &victim.to_string()]).status();
        assert!(killed.expect("kill").success());
        eventually("the end of the container", || told("{{.State.Running}}") == "false");
        assert!(docker.call(&["rm", "-f", who]).status.success(), "{who}");
        eventually("the end of its processes", || !all.iter().any(|pid| is_ours(*pid)));
        eventually("the end of all that is its own", || of_container(&id).is_empty());
    }
}

/// Finds a process of a container from another of its processes.
type Find = fn(i32) -> i32;

/// Who is killed, found from the container's process.
const VICTIMS: [(&str, Find); 4] = [
    ("shim", parent),
    ("process", |pid| pid),
    ("supervisor", |pid| child(pid, "rxbox-runc")),
    ("program", |pid| first_child(child(child(pid, "rxbox-runc"), "rxbox-init"))),
];

/// The fields of `/proc/PID/stat` from the state on; nothing if there is no such process.
fn stat(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}

fn parent(pid: i32) -> i32 {
    stat(pid).expect("a process")[1].parse().expect("a number")
}

fn numbers() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn children(pid: i32) -> Vec<i32> {
    let of = |child: &i32| stat(*child).is_some_and(|stat| stat[1] == pid.to_string());
    numbers().into_iter().filter(of).collect()
}

fn below(pid: i32) -> Vec<i32> {
    children(pid).into_iter().flat_map(|child| [&[child][..], &below(child)].concat()).collect()
}

fn name(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

fn child(pid: i32, called: &str) -> i32 {
    children(pid).into_iter().find(|child| name(*child) == called).expect(called)
}

fn first_child(pid: i32) -> i32 {
    children(pid).into_iter().min().expect("a child")
}

/// Whether a process is there and has not ended, and is rxbox.
fn is_ours(pid: i32) -> bool {
    name(pid).starts_with("rxbox") && stat(pid).is_some_and(|stat| stat[0] != "Z")
}

/// Mounts, cgroups, processes and files of runtimes that have the name of a container.
fn of_container(id: &str) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/mounts").expect("mounts");
    let mounts = mounts.lines().filter(|line| line.contains(id)).map(str::to_owned);
    let command = |pid: i32| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let commands = numbers().into_iter().map(|pid| String::from_utf8_lossy(&command(pid)).into_owned());
    let commands = commands.filter(|command| command.contains(id));
    let entries = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect::<Vec<PathBuf>>()
    };
    let hierarchies = entries(Path::new("/sys/fs/cgroup"));
    let groups = hierarchies.iter().flat_map(|hierarchy| {
        [entries(hierarchy), entries(&hierarchy.join("docker")), entries(&hierarchy.join("system.slice"))]
            .concat()
    });
    let groups = groups.map(|path| path.display().to_string()).filter(|path| path.contains(id));
    mounts.chain(commands).chain(groups).collect()
}

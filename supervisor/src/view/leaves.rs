//! The declaration of what is in a process's directory, and in those of its threads.
//!
//! Every entry that Linux has there stands here once, with what a guest gets and why. Lookups, listings,
//! permissions and `docs/proc.md` come of it; a test looks for entries of this host's kernel that are
//! missing.

use super::memory::Memory;
use super::net::Net;
use super::status;
use super::value::Value;
use crate::caller::Caller;
use crate::state::process::Process;
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// An entry of fixed name.
#[derive(Debug)]
pub(super) struct Leaf {
    /// The name within the process's directory.
    pub(super) name: &'static str,
    /// Permissions, as the kernel gives them.
    pub(super) mode: u32,
    /// What it is.
    pub(super) what: What,
    /// Whether it shows how the process works inside: what lies in its memory, what it has open.
    pub(super) internal: bool,
    /// Which directories have it.
    pub(super) of: Of,
    /// What it shows, or why it is closed or not there; for `docs/proc.md`.
    #[cfg_attr(not(test), expect(dead_code))]
    pub(super) note: &'static str,
}

/// What an entry is.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// A directory.
    Directory,
    /// A link to an object.
    Link,
    /// A text.
    Text(Source),
    /// The memory of the process: open to its tracer.
    Memory,
    /// A value that can be written.
    Value(Value),
    /// A link to a namespace.
    Namespace,
    /// There, as every process has it, but closed: it would show or change the emulator, not the guest.
    Denied,
    /// Not there, though the host's kernel may have it.
    Absent,
}

/// Where a text comes from.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// The supervisor's records of the process.
    Record(fn(&Process) -> Vec<u8>),
    /// The supervisor's records of the thread and of the others of the sandbox.
    Sandbox(fn(&Caller<'_>, &status::Subject<'_>) -> Vec<u8>),
    /// Always this.
    Fixed(&'static str),
    /// A file below `net`.
    Net(Net),
    /// The emulator child, which sends it before it asks for the file (proc_pid_maps(5) and the like).
    Child,
    /// What the process has of memory.
    Memory(fn(&Memory) -> Vec<u8>),
    /// The child's `maps`, each line with its sizes.
    Sizes,
    /// The child's `maps`, each line with its sizes by node (numa(7)).
    Nodes,
    /// The host's file of the same name about the child, as it is: nothing in it is about the emulator.
    Host,
    /// The host's file of the same name about the supervisor: it is in the namespaces in which the guest is
    /// to see itself, the child may be in others.
    Supervisor,
    /// As [`Source::Supervisor`], without the mounts on hidden names: the file of this name.
    Mounts(&'static str),
    /// The host's file, with what is about the emulator replaced.
    Edited(fn(&status::Subject<'_>, Vec<u8>) -> Vec<u8>),
    /// `fdinfo/N`.
    DescriptorInfo(i32),
}

/// Which directories have an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// Those of processes and of threads.
    Both,
    /// Those of processes.
    Processes,
    /// Those of threads.
    Threads,
}

impl Leaf {
    /// With these permissions.
    const fn mode(self, mode: u32) -> Leaf {
        Leaf { mode, ..self }
    }

    /// Only for those who may look into the process.
    const fn inside(self) -> Leaf {
        Leaf { internal: true, ..self }
    }

    /// Only in the directories of processes.
    const fn of_processes(self) -> Leaf {
        Leaf { of: Of::Processes, ..self }
    }

    /// Only in the directories of threads.
    const fn of_threads(self) -> Leaf {
        Leaf { of: Of::Threads, ..self }
    }

    /// The last component.
    pub(super) fn last(&self) -> &'static str {
        self.name.rsplit('/').next().unwrap_or_default()
    }

    /// Whether a guest finds it, in a thread's directory or a process's: it is offered, and the host's kernel
    /// has it as well.
    pub(super) fn is_there(&self, in_thread: bool) -> bool {
        let here = match self.of {
            Of::Both => true,
            Of::Processes => !in_thread,
            Of::Threads => in_thread,
        };
        here && !matches!(self.what, What::Absent) && natives().contains(self.name)
    }
}

const fn leaf(name: &'static str, mode: u32, what: What, note: &'static str) -> Leaf {
    Leaf { name, mode, what, internal: false, of: Of::Both, note }
}

const fn text(name: &'static str, source: Source, note: &'static str) -> Leaf {
    leaf(name, 0o444, What::Text(source), note)
}

const fn folder(name: &'static str, note: &'static str) -> Leaf {
    leaf(name, 0o555, What::Directory, note)
}

const fn link(name: &'static str, note: &'static str) -> Leaf {
    leaf(name, 0o777, What::Link, note)
}

const fn value(name: &'static str, value: Value, note: &'static str) -> Leaf {
    leaf(name, 0o644, What::Value(value), note)
}

const fn closed(name: &'static str, mode: u32, note: &'static str) -> Leaf {
    leaf(name, mode, What::Denied, note)
}

const fn absent(name: &'static str, note: &'static str) -> Leaf {
    leaf(name, 0, What::Absent, note)
}

const fn label(name: &'static str, mode: u32) -> Leaf {
    text(name, Source::Supervisor, "the label of a security module, which is rxbox's; cannot be changed")
        .mode(mode)
}

const fn namespace(name: &'static str) -> Leaf {
    leaf(name, 0o777, What::Namespace, "the namespace in which the guest sees itself").inside()
}

const fn net(name: &'static str, net: Net, note: &'static str) -> Leaf {
    text(name, Source::Net(net), note)
}

const INTERFACES: &str = "of the host's network if the profile shows its interfaces, else of an empty one";
const SOCKETS: &str = "the sandbox's own sockets that a descriptor stands for";

const fn interfaces(name: &'static str, head: usize) -> Leaf {
    net(name, Net::Interfaces { head }, INTERFACES)
}

const fn sockets(name: &'static str) -> Leaf {
    net(name, Net::Sockets { inode: 9, numbered: true }, SOCKETS)
}

const HOSTS: &str = "the host's, about the process that runs the guest's";
const RECORD: &str = "the guest's";
const MODULES: &str = "of one security module; there are the entries of the first only";
const NO_CORES: &str = "a debugging aid of the kernel's own";

/// All of it, by name.
static LEAVES: &[Leaf] = &[
    text("arch_status", Source::Host, HOSTS),
    folder("attr", "labels of security modules"),
    absent("attr/apparmor", MODULES),
    label("attr/current", 0o666),
    label("attr/exec", 0o666),
    label("attr/fscreate", 0o666),
    label("attr/keycreate", 0o666),
    label("attr/prev", 0o444),
    absent("attr/smack", MODULES),
    label("attr/sockcreate", 0o666),
    closed("autogroup", 0o644, "counts the sessions of the host").of_processes(),
    text("auxv", Source::Child, RECORD).mode(0o400).inside(),
    text("cgroup", Source::Host, HOSTS),
    text("children", Source::Sandbox(status::children), "all children of the process, in its first thread's")
        .of_threads(),
    closed("clear_refs", 0o200, "would change the pages of the translator"),
    text("cmdline", Source::Record(status::command_line), "as it was at the last execve(2)"),
    value("comm", Value::Name, "can be written by the process itself"),
    value("coredump_filter", Value::CoreFilter, "can be written; no cores are written").of_processes(),
    absent("cpu_resctrl_groups", "groups of the host's cache control"),
    text("cpuset", Source::Host, HOSTS),
    link("cwd", "leads to the directory itself").inside(),
    text("environ", Source::Record(status::environment), "as it was at the last execve(2)")
        .mode(0o400)
        .inside(),
    link("exe", "leads to the guest's program").inside(),
    absent("fail-nth", NO_CORES),
    folder("fd", "the guest's descriptors; links lead to the open files").mode(0o500).inside(),
    folder("fdinfo", "with the descriptors that a file names as the guest numbers them").inside(),
    text("gid_map", Source::Supervisor, "of rxbox's own user namespace").mode(0o644),
    text(
        "io",
        Source::Record(status::transfers),
        "of the whole process; what reached the storage is not told",
    )
    .mode(0o400)
    .inside(),
    text("ksm_merging_pages", Source::Host, HOSTS).mode(0o400),
    text("ksm_stat", Source::Host, HOSTS).mode(0o400),
    absent("latency", NO_CORES),
    text(
        "limits",
        Source::Record(status::limits),
        "the guest's own, which the profile's limits come on top of",
    ),
    text("loginuid", Source::Supervisor, "rxbox's; cannot be changed").mode(0o644),
    absent("make-it-fail", NO_CORES),
    folder("map_files", "for the mappings in `maps`; links are not followed, for want of privileges")
        .mode(0o500)
        .inside()
        .of_processes(),
    text("maps", Source::Child, "the guest's mappings, for itself and a tracer that has stopped it").inside(),
    leaf("mem", 0o600, What::Memory, "for a tracer that has stopped the process").inside(),
    text("mountinfo", Source::Mounts("mountinfo"), "without mounts on names that the profile hides"),
    text("mounts", Source::Mounts("mounts"), "without mounts on names that the profile hides"),
    text("mountstats", Source::Mounts("mountstats"), "without mounts on names that the profile hides")
        .mode(0o400)
        .of_processes(),
    folder("net", "what is not named below is state of the host's drivers, filters and protocols"),
    interfaces("net/anycast6", 0),
    interfaces("net/arp", 1),
    interfaces("net/dev", 2),
    interfaces("net/dev_mcast", 0),
    interfaces("net/fib_trie", 0),
    interfaces("net/fib_triestat", 0),
    sockets("net/icmp"),
    sockets("net/icmp6"),
    interfaces("net/if_inet6", 0),
    interfaces("net/igmp", 1),
    interfaces("net/igmp6", 0),
    interfaces("net/ipv6_route", 0),
    interfaces("net/mcfilter", 1),
    interfaces("net/mcfilter6", 1),
    interfaces("net/netstat", 0),
    net("net/packet", Net::Sockets { inode: 8, numbered: false }, SOCKETS),
    interfaces("net/protocols", 1),
    interfaces("net/psched", 1),
    sockets("net/raw"),
    sockets("net/raw6"),
    interfaces("net/route", 1),
    interfaces("net/rt6_stats", 0),
    interfaces("net/rt_cache", 1),
    interfaces("net/snmp", 0),
    interfaces("net/snmp6", 0),
    interfaces("net/sockstat", 0),
    interfaces("net/sockstat6", 0),
    sockets("net/tcp"),
    sockets("net/tcp6"),
    sockets("net/udp"),
    sockets("net/udp6"),
    sockets("net/udplite"),
    sockets("net/udplite6"),
    net("net/unix", Net::Unix, SOCKETS),
    interfaces("net/wireless", 2),
    folder("ns", "links lead to descriptors of namespaces, which no call takes").mode(0o511).inside(),
    namespace("ns/cgroup"),
    namespace("ns/ipc"),
    namespace("ns/mnt"),
    namespace("ns/net"),
    namespace("ns/pid"),
    namespace("ns/pid_for_children"),
    namespace("ns/time"),
    namespace("ns/time_for_children"),
    namespace("ns/user"),
    namespace("ns/uts"),
    text("numa_maps", Source::Nodes, "for the mappings in `maps`").inside(),
    value("oom_adj", Value::Badness17, "can be written; the host ends whom it would have ended anyway"),
    text("oom_score", Source::Host, HOSTS),
    value("oom_score_adj", Value::Badness, "can be written; the host ends whom it would have ended anyway"),
    closed("pagemap", 0o400, "would show the pages of the translator").inside(),
    absent("patch_state", NO_CORES),
    text("personality", Source::Record(status::personality), RECORD).mode(0o400).inside(),
    text("projid_map", Source::Supervisor, "of rxbox's own user namespace").mode(0o644),
    link("root", "the root directory").inside(),
    text("sched", Source::Edited(status::sched), HOSTS).mode(0o644),
    text("schedstat", Source::Host, HOSTS),
    absent("seccomp_cache", "would show the filter of the translator"),
    text("sessionid", Source::Supervisor, "rxbox's"),
    text("setgroups", Source::Supervisor, "of rxbox's own user namespace").mode(0o644),
    text("smaps", Source::Sizes, "for the mappings in `maps`").inside(),
    text("smaps_rollup", Source::Memory(Memory::rollup), "the sum over the guest's mappings").inside(),
    closed("stack", 0o400, "would show the kernel's stack of the translator"),
    text("stat", Source::Edited(status::stat), "addresses are 0"),
    text("statm", Source::Memory(|memory| memory.statm().into()), "of the guest's mappings"),
    text("status", Source::Edited(status::status), "the guest's, without what confines the translator"),
    closed("syscall", 0o400, "would show the calls of the translator"),
    folder("task", "the guest's threads").of_processes(),
    text("timens_offsets", Source::Supervisor, "of rxbox's own time namespace").mode(0o644).of_processes(),
    closed("timers", 0o444, "would show the timers of the translator").of_processes(),
    value("timerslack_ns", Value::Slack, "can be written by the process itself").mode(0o666).of_processes(),
    text("uid_map", Source::Supervisor, "of rxbox's own user namespace").mode(0o644),
    text("wchan", Source::Fixed("0"), "where a thread waits in the kernel is not told"),
];

/// The entry of this name.
pub(super) fn find(name: &str) -> Option<&'static Leaf> {
    LEAVES.binary_search_by_key(&name, |leaf| leaf.name).ok().map(|i| &LEAVES[i])
}

/// The entries of a directory of fixed name, or with an empty name of the process's own.
pub(super) fn within(folder: &str) -> impl Iterator<Item = &'static Leaf> {
    LEAVES.iter().filter(move |leaf| match leaf.name.rsplit_once('/') {
        Some((above, _)) => above == folder,
        None => folder.is_empty(),
    })
}

/// Which of the entries the host's kernel has: all processes have the same. The directory of a process that
/// hides itself is root's, and others cannot list all that is in it; names they can look up.
fn natives() -> &'static BTreeSet<&'static str> {
    static NAMES: OnceLock<BTreeSet<&'static str>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let is_there = |leaf: &&Leaf| {
            ["self", "thread-self"]
                .iter()
                .any(|own| std::fs::symlink_metadata(format!("/proc/{own}/{}", leaf.name)).is_ok())
        };
        LEAVES.iter().filter(is_there).map(|leaf| leaf.name).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;
    use std::path::Path;

    #[test]
    fn names_are_in_the_order_that_the_search_needs() {
        assert!(LEAVES.is_sorted_by(|a, b| a.name < b.name));
    }

    /// A kernel that has more than this knows fails here: what a guest is to get of it must be said.
    #[test]
    fn every_entry_of_this_kernel_is_declared() {
        // What `net` has depends on the host's drivers; it says what all else is.
        let mut missing = Vec::new();
        for (folder, before) in
            [("self", ""), ("thread-self", ""), ("self/attr", "attr/"), ("self/ns", "ns/")]
        {
            for entry in std::fs::read_dir(format!("/proc/{folder}")).into_iter().flatten().flatten() {
                let name = format!("{before}{}", entry.file_name().to_string_lossy());
                // Modules of their own, each with the same entries.
                if find(&name).is_none() && !(before == "attr/" && entry.path().is_dir()) {
                    missing.push(name);
                }
            }
        }
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn the_document_holds_what_is_declared() {
        const MARK: &str = "<!-- generated -->\n";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/proc.md");
        let held = std::fs::read_to_string(&path).unwrap();
        let mut text = held[..held.find(MARK).unwrap() + MARK.len()].to_owned();
        let heading = |title| {
            format!("\n## {title}\n\n| name | | what a guest sees, or why not |\n| --- | --- | --- |\n")
        };
        text += &heading("A process's own directory");
        for leaf in LEAVES {
            let what = match leaf.what {
                What::Absent => "not there",
                What::Denied => "closed",
                What::Memory | What::Value(_) => "to read and write",
                _ => "to read",
            };
            let of = match leaf.of {
                Of::Both => "",
                Of::Processes => " (not of threads)",
                Of::Threads => " (only of threads)",
            };
            writeln!(text, "| `/proc/self/{}`{of} | {what} | {} |", leaf.name, leaf.note).unwrap();
        }
        text += &heading("The system");
        for (name, note) in crate::view::system::OFFERED {
            writeln!(text, "| `/proc/{name}` | to read | {note} |").unwrap();
        }
        for (name, note) in crate::view::system::REFUSED {
            writeln!(text, "| `/proc/{name}` | not there | {note} |").unwrap();
        }
        if std::env::var_os("RXBOX_BLESS").is_some_and(|v| v == "1") {
            std::fs::write(&path, &text).unwrap();
        }
        let held = std::fs::read_to_string(&path).unwrap();
        assert!(held == text, "docs/proc.md differs; RXBOX_BLESS=1 writes it");
    }
}

//! A process's directory in the view, and those of its threads.

use super::memory::Memory;
use super::mounts;
use super::procfs::{errno, number};
use super::status;
use crate::caller::Caller;
use crate::host::name::reopen;
use crate::state::fd::{File, Kind};
use crate::state::names::{Object, label_of, root};
use crate::state::process::{Process, number_of};
use nix::errno::Errno;
use rxbox_wire::ptrace::Order;
use std::os::fd::AsFd;
use std::sync::Arc;

/// Something in a process's directory.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The thread whose directory (`task/N`) it is in.
    thread: Option<i32>,
    at: At,
}

#[derive(Clone, Copy, Debug)]
enum At {
    /// The process's or thread's directory itself.
    Top,
    /// `task`.
    Tasks,
    /// A file or directory of fixed name.
    Leaf(&'static Leaf),
    /// `fd/N`.
    Descriptor(i32),
    /// `fdinfo/N`.
    DescriptorInfo(i32),
}

/// An entry of fixed name.
#[derive(Debug)]
struct Leaf {
    name: &'static str,
    what: What,
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
    /// There, as every process has it, but closed: it would show or change the emulator, not the guest.
    Denied,
}

/// Where a link leads.
pub enum Jump {
    /// To an object of the host.
    Host(Object),
    /// To an entry of the view, by its name.
    View(Box<[u8]>),
    /// To an open file.
    Open(Arc<File>),
}

/// Where a text comes from.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// The supervisor's records of the process.
    Record(fn(&Process) -> Vec<u8>),
    /// The name of the process or thread, which can be written.
    Name,
    /// The emulator child, which sends it before it asks for the file (proc_pid_maps(5) and the like).
    Child,
    /// What the process has of memory.
    Memory(fn(&Memory) -> Vec<u8>),
    /// The child's `maps`, each line with its sizes.
    Sizes,
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

/// Everything of fixed name in a process's directory, by name.
static LEAVES: &[Leaf] = &[
    leaf("auxv", What::Text(Source::Child)),
    leaf("cgroup", What::Text(Source::Host)),
    leaf("cmdline", What::Text(Source::Record(status::command_line))),
    leaf("comm", What::Text(Source::Name)),
    leaf("cwd", What::Link),
    leaf("environ", What::Text(Source::Record(status::environment))),
    leaf("exe", What::Link),
    leaf("fd", What::Directory),
    leaf("fdinfo", What::Directory),
    leaf("gid_map", What::Text(Source::Supervisor)),
    leaf("io", What::Denied),
    leaf("limits", What::Text(Source::Record(status::limits))),
    leaf("maps", What::Text(Source::Child)),
    leaf("mem", What::Memory),
    leaf("mountinfo", What::Text(Source::Mounts("mountinfo"))),
    leaf("mounts", What::Text(Source::Mounts("mounts"))),
    leaf("mountstats", What::Text(Source::Mounts("mountstats"))),
    leaf("oom_score", What::Text(Source::Host)),
    leaf("oom_score_adj", What::Text(Source::Host)),
    leaf("pagemap", What::Denied),
    leaf("root", What::Link),
    leaf("setgroups", What::Text(Source::Supervisor)),
    leaf("smaps", What::Text(Source::Sizes)),
    leaf("smaps_rollup", What::Text(Source::Memory(Memory::rollup))),
    leaf("stat", What::Text(Source::Edited(status::stat))),
    leaf("statm", What::Text(Source::Memory(|memory| memory.statm().into()))),
    leaf("status", What::Text(Source::Edited(status::status))),
    leaf("uid_map", What::Text(Source::Supervisor)),
];

const fn leaf(name: &'static str, what: What) -> Leaf {
    Leaf { name, what }
}

impl Entry {
    /// The process's directory itself.
    pub const TOP: Entry = Entry { thread: None, at: At::Top };

    /// The directory of a thread.
    pub const fn of_thread(tid: i32) -> Entry {
        Entry { thread: Some(tid), at: At::Top }
    }

    /// What it is.
    pub fn what(&self) -> What {
        match self.at {
            At::Top | At::Tasks => What::Directory,
            At::Leaf(leaf) => leaf.what,
            At::Descriptor(_) => What::Link,
            At::DescriptorInfo(n) => What::Text(Source::DescriptorInfo(n)),
        }
    }

    /// Whether it is a link.
    pub fn is_link(&self) -> bool {
        matches!(self.what(), What::Link)
    }

    /// Whether it shows how the process works inside: what lies in its memory, what it has open.
    pub fn is_internal(&self) -> bool {
        const INTERNAL: [&str; 13] = [
            "auxv",
            "cwd",
            "environ",
            "exe",
            "fd",
            "fdinfo",
            "io",
            "maps",
            "mem",
            "pagemap",
            "root",
            "smaps",
            "smaps_rollup",
        ];
        match self.at {
            At::Leaf(leaf) => INTERNAL.contains(&leaf.name),
            At::Descriptor(_) | At::DescriptorInfo(_) => true,
            At::Top | At::Tasks => false,
        }
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        matches!(self.what(), What::Directory)
    }

    fn beside(&self, at: At) -> Entry {
        Entry { at, ..*self }
    }

    /// Its directory within the process's; none for the process's own.
    pub fn parent(&self) -> Option<Entry> {
        match self.at {
            At::Top => self.thread.map(|_| Entry { thread: None, at: At::Tasks }),
            At::Tasks | At::Leaf(_) => Some(self.beside(At::Top)),
            At::Descriptor(_) => find("fd").map(|leaf| self.beside(At::Leaf(leaf))),
            At::DescriptorInfo(_) => find("fdinfo").map(|leaf| self.beside(At::Leaf(leaf))),
        }
    }

    /// The entry `name` in this directory.
    pub fn child(&self, process: &Process, name: &[u8]) -> Result<Entry, Errno> {
        if !self.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        let descriptor = || number(name).filter(|&n| process.fds.get(n).is_ok());
        let found = match self.at {
            At::Top if name == b"task" && self.thread.is_none() => Some(self.beside(At::Tasks)),
            At::Top => std::str::from_utf8(name).ok().and_then(find).map(|leaf| self.beside(At::Leaf(leaf))),
            At::Tasks => number(name)
                .filter(|tid| process.threads.own_ids().contains(tid))
                .map(|tid| Entry { thread: Some(tid), at: At::Top }),
            At::Leaf(leaf) if leaf.name == "fd" => descriptor().map(|n| self.beside(At::Descriptor(n))),
            At::Leaf(_) => descriptor().map(|n| self.beside(At::DescriptorInfo(n))),
            At::Descriptor(_) | At::DescriptorInfo(_) => None,
        };
        found.ok_or(Errno::ENOENT)
    }

    /// The entries of this directory with their `d_type`.
    pub fn entries(&self, process: &Process) -> Vec<(Vec<u8>, u8)> {
        let numbers = |list: Vec<i32>, kind| list.into_iter().map(|n| (n.to_string().into(), kind)).collect();
        match self.at {
            At::Top => {
                let tasks = self.thread.is_none().then(|| (b"task".to_vec(), libc::DT_DIR));
                let kind = |leaf: &Leaf| match leaf.what {
                    What::Directory => libc::DT_DIR,
                    What::Link => libc::DT_LNK,
                    What::Text(_) | What::Memory | What::Denied => libc::DT_REG,
                };
                LEAVES.iter().map(|leaf| (leaf.name.into(), kind(leaf))).chain(tasks).collect()
            }
            At::Tasks => numbers(process.threads.own_ids(), libc::DT_DIR),
            At::Leaf(leaf) => {
                let open = process.fds.iter().into_iter().map(|(n, ..)| n).collect();
                numbers(open, if leaf.name == "fd" { libc::DT_LNK } else { libc::DT_REG })
            }
            At::Descriptor(_) | At::DescriptorInfo(_) => Vec::new(),
        }
    }

    /// The name below the process's directory, with a slash before it; empty for the directory itself.
    pub fn path(&self) -> String {
        let dir = self.thread.map(|tid| format!("/task/{tid}")).unwrap_or_default();
        match self.at {
            At::Top => dir,
            At::Tasks => "/task".to_owned(),
            At::Leaf(leaf) => format!("{dir}/{}", leaf.name),
            At::Descriptor(n) => format!("{dir}/fd/{n}"),
            At::DescriptorInfo(n) => format!("{dir}/fdinfo/{n}"),
        }
    }

    /// The object to which a link leads.
    pub fn jump(&self, process: &Process) -> Result<Option<Jump>, Errno> {
        let held = |fd: std::os::fd::BorrowedFd<'_>| -> Result<Jump, Errno> {
            Object::of(reopen(fd, libc::O_PATH)?).map(Jump::Host)
        };
        Ok(Some(match self.at {
            At::Descriptor(n) => Jump::Open(process.fds.get(n).map_err(|_| Errno::ENOENT)?),
            // Of one that has ended nothing is left but its name.
            At::Leaf(Leaf { name: "root" | "exe" | "cwd", .. }) if process.ended() => {
                return Err(Errno::ENOENT);
            }
            At::Leaf(Leaf { name: "root", .. }) => held(root()?)?,
            At::Leaf(Leaf { name: "exe", .. }) => held(process.exe().fd.as_fd())?,
            At::Leaf(Leaf { name: "cwd", .. }) => {
                let cwd = process.cwd();
                if cwd.in_view() { Jump::View(cwd.path.clone()) } else { held(cwd.as_fd())? }
            }
            _ => return Ok(None),
        }))
    }

    /// What readlink(2) shows of a link: for a descriptor what the kernel calls the object, or the view's own
    /// name.
    pub fn text(&self, process: &Process) -> Result<Option<Vec<u8>>, Errno> {
        Ok(Some(match self.at {
            At::Descriptor(n) => {
                let file = process.fds.get(n).map_err(|_| Errno::ENOENT)?;
                match &file.path {
                    _ if file.kind == Kind::Signals => b"anon_inode:[signalfd]".to_vec(),
                    Some(path) if file.kind == Kind::View => path.to_vec(),
                    _ => label_of(file.host.as_fd())?,
                }
            }
            At::Leaf(Leaf { name: "root" | "exe" | "cwd", .. }) if process.ended() => {
                return Err(Errno::ENOENT);
            }
            At::Leaf(Leaf { name: "root", .. }) => b"/".to_vec(),
            At::Leaf(Leaf { name: "exe", .. }) => label_of(process.exe().fd.as_fd())?,
            At::Leaf(Leaf { name: "cwd", .. }) => {
                let cwd = process.cwd();
                if cwd.in_view() { cwd.path.to_vec() } else { label_of(cwd.as_fd())? }
            }
            _ => return Ok(None),
        }))
    }

    /// What reading it shows now.
    pub fn content(&self, caller: &Caller<'_>, process: &Process) -> Result<Vec<u8>, Errno> {
        match self.what() {
            What::Text(Source::Record(_)) if process.ended() => Ok(Vec::new()),
            What::Text(Source::Record(make)) => Ok(make(process)),
            What::Text(Source::Host) => self.host_text(process),
            What::Text(Source::Supervisor) => std::fs::read(self.own_path()).map_err(errno),
            What::Text(Source::Mounts(file)) => {
                let text = std::fs::read(self.own_path()).map_err(errno)?;
                Ok(mounts::without_hidden(&text, file, |name| caller.hides(name)))
            }
            What::Text(Source::Name) => Ok(status::name(&self.subject(caller, process))),
            What::Text(Source::Edited(edit)) => {
                self.host_text(process).map(|text| edit(&self.subject(caller, process), text))
            }
            What::Text(Source::DescriptorInfo(n)) => status::descriptor(process, n),
            What::Text(Source::Memory(make)) => Memory::of(process).map(|memory| make(&memory)),
            What::Text(Source::Child) => {
                let name = self.path();
                told(caller, process, name.rsplit('/').next().unwrap_or_default())
            }
            What::Text(Source::Sizes) => {
                let maps = told(caller, process, "maps")?;
                Memory::of(process).map(|memory| memory.smaps(&maps))
            }
            What::Memory | What::Denied => Err(Errno::EACCES),
            What::Link => Err(Errno::ELOOP),
            What::Directory => Err(Errno::EISDIR),
        }
    }

    /// Whether it can be written: the name can, and the memory.
    pub fn is_writable(&self) -> bool {
        matches!(self.what(), What::Text(Source::Name) | What::Memory)
    }

    /// Whether it is the memory of the process, as whose tracer the caller may open it.
    pub fn is_memory(&self, caller: &Caller<'_>, process: &Process) -> bool {
        matches!(self.what(), What::Memory)
            && caller.sandbox.tracees.stopped_thread(caller.process.pid, process.pid).is_some()
    }

    /// Writes it. EINVAL for the name of another process (proc_pid_comm(5)).
    pub fn write(&self, caller: &Caller<'_>, process: &Process, text: &[u8]) -> Result<(), Errno> {
        if !matches!(self.what(), What::Text(Source::Name)) || process.pid != caller.process.pid {
            return Err(Errno::EINVAL);
        }
        process.set_thread_name(self.thread.unwrap_or(process.pid), text);
        Ok(())
    }

    /// The thread that it is about; the first one for the process's own directory.
    fn subject<'p>(&self, caller: &Caller<'_>, process: &'p Process) -> status::Subject<'p> {
        let tid = self.thread.unwrap_or(process.pid);
        status::Subject { process, tid, running: tid == caller.tid }
    }

    /// The supervisor's own file of the same name.
    fn own_path(&self) -> String {
        let At::Leaf(leaf) = self.at else { return String::new() };
        format!("/proc/self/{}", leaf.name)
    }

    /// The host's file of the same name about the emulator child.
    fn host_text(&self, process: &Process) -> Result<Vec<u8>, Errno> {
        let At::Leaf(Leaf { name, .. }) = self.at else { return Err(Errno::ENOENT) };
        let read = |path: String| std::fs::read(path).map_err(errno);
        match self.thread {
            None => process.handle.look(|pid| read(format!("/proc/{pid}/{name}"))),
            Some(thread) => {
                let of_thread = |pid, tid| read(format!("/proc/{pid}/task/{tid}/{name}"));
                process.handle.look_at_thread(thread, of_thread)
            }
        }
    }
}

/// What a child tells of its process: to that itself, and to a tracer who has stopped it. It tells of its own
/// before it asks.
fn told(caller: &Caller<'_>, process: &Process, view: &str) -> Result<Vec<u8>, Errno> {
    if process.pid != caller.process.pid {
        let (tracer, tracees) = (caller.process.pid, &caller.sandbox.tracees);
        let tid = tracees.stopped_thread(tracer, process.pid).ok_or(Errno::EACCES)?;
        tracees.ask(tracer, tid, Order::Tell(number_of(view).ok_or(Errno::EACCES)?))?;
    }
    process.view(view).ok_or(Errno::EACCES)
}

fn find(name: &str) -> Option<&'static Leaf> {
    LEAVES.binary_search_by_key(&name, |leaf| leaf.name).ok().map(|i| &LEAVES[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_that_the_search_needs() {
        assert!(LEAVES.is_sorted_by(|a, b| a.name < b.name));
    }
}

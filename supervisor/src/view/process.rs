//! A process's directory in the view, and those of its threads.

use super::leaves::{self, Leaf, Source, What, find};
use super::memory::{Memory, range};
use super::procfs::{errno, number};
use super::{fdinfo, mounts, nodes, status};
use crate::caller::Caller;
use crate::host::name::reopen;
use crate::state::fd::{File, Kind};
use crate::state::mounts::{UNREACHABLE, is_private};
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
    /// `map_files/START-END`.
    Mapping(u64, u64),
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

/// A label as the kernel shows that of an object in another mount namespace: as if it were reached.
fn as_shown(label: Vec<u8>) -> Vec<u8> {
    label.strip_prefix(UNREACHABLE).map_or_else(|| label.clone(), <[u8]>::to_vec)
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
            At::Descriptor(_) | At::Mapping(..) => What::Link,
            At::DescriptorInfo(n) => What::Text(Source::DescriptorInfo(n)),
        }
    }

    /// Whether it is a link.
    pub fn is_link(&self) -> bool {
        matches!(self.what(), What::Link | What::Namespace)
    }

    /// Whether it shows how the process works inside: what lies in its memory, what it has open.
    pub fn is_internal(&self) -> bool {
        match self.at {
            At::Leaf(leaf) => leaf.internal,
            At::Descriptor(_) | At::DescriptorInfo(_) | At::Mapping(..) => true,
            At::Top | At::Tasks => false,
        }
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        matches!(self.what(), What::Directory)
    }

    /// Whether what it lists are never directories.
    pub fn lists_no_folders(&self) -> bool {
        matches!(self.at, At::Leaf(_))
    }

    fn beside(&self, at: At) -> Entry {
        Entry { at, ..*self }
    }

    /// Its directory within the process's; none for the process's own.
    pub fn parent(&self) -> Option<Entry> {
        match self.at {
            At::Top => self.thread.map(|_| Entry { thread: None, at: At::Tasks }),
            At::Tasks => Some(self.beside(At::Top)),
            At::Leaf(leaf) => Some(self.beside(match leaf.name.rsplit_once('/') {
                Some((folder, _)) => At::Leaf(find(folder)?),
                None => At::Top,
            })),
            At::Descriptor(_) => find("fd").map(|leaf| self.beside(At::Leaf(leaf))),
            At::DescriptorInfo(_) => find("fdinfo").map(|leaf| self.beside(At::Leaf(leaf))),
            At::Mapping(..) => find("map_files").map(|leaf| self.beside(At::Leaf(leaf))),
        }
    }

    /// The entry `name` in this directory.
    pub fn child(&self, caller: &Caller<'_>, process: &Process, name: &[u8]) -> Result<Entry, Errno> {
        if !self.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        let descriptor = || number(name).filter(|&n| process.fds.get(n).is_ok());
        let found = match self.at {
            At::Top if name == b"task" && self.thread.is_none() => Some(self.beside(At::Tasks)),
            At::Top => self.leaf("", name),
            At::Tasks => number(name)
                .filter(|tid| process.threads.own_ids().contains(tid))
                .map(|tid| Entry { thread: Some(tid), at: At::Top }),
            At::Leaf(leaf) if leaf.name == "fd" => descriptor().map(|n| self.beside(At::Descriptor(n))),
            At::Leaf(leaf) if leaf.name == "fdinfo" => {
                descriptor().map(|n| self.beside(At::DescriptorInfo(n)))
            }
            At::Leaf(leaf) if leaf.name == "map_files" => files(caller, process)?
                .into_iter()
                .find(|(start, end, _)| format!("{start:x}-{end:x}").as_bytes() == name)
                .map(|(start, end, _)| self.beside(At::Mapping(start, end))),
            At::Leaf(leaf) => self.leaf(leaf.name, name),
            At::Descriptor(_) | At::DescriptorInfo(_) | At::Mapping(..) => None,
        };
        found.ok_or(Errno::ENOENT)
    }

    /// The entry of fixed name `name` in the directory `folder`, if it is there.
    fn leaf(&self, folder: &str, name: &[u8]) -> Option<Entry> {
        let name = std::str::from_utf8(name).ok().filter(|name| !name.contains('/'))?;
        let found = if folder.is_empty() { find(name) } else { find(&format!("{folder}/{name}")) };
        let leaf = found.filter(|leaf| leaf.is_there(self.thread.is_some()))?;
        Some(self.beside(if leaf.name == "task" { At::Tasks } else { At::Leaf(leaf) }))
    }

    /// Permissions, as the kernel gives them: those of a descriptor's link say what it is open for.
    pub fn permissions(&self, process: &Process) -> u32 {
        match self.at {
            At::Top | At::Tasks => 0o555,
            At::Leaf(leaf) => leaf.mode,
            At::Descriptor(n) => process.fds.get(n).map_or(0, |file| {
                let to = |may, mode| if may { mode } else { 0 };
                to(file.readable(), 0o500) | to(file.writable(), 0o300)
            }),
            At::DescriptorInfo(_) => 0o444,
            At::Mapping(..) => 0o400,
        }
    }

    /// The size that stat(2) tells: of a link to a file 64, of `fd` how many there are, else 0.
    pub fn size(&self, process: &Process) -> i64 {
        match self.at {
            At::Descriptor(_) | At::Mapping(..) => 64,
            At::Leaf(Leaf { name: "fd", .. }) => process.fds.count() as i64,
            _ => 0,
        }
    }

    /// The entries of this directory with their `d_type`.
    pub fn entries(&self, caller: &Caller<'_>, process: &Process) -> Result<Vec<(Vec<u8>, u8)>, Errno> {
        let numbers = |list: Vec<i32>, kind| list.into_iter().map(|n| (n.to_string().into(), kind)).collect();
        Ok(match self.at {
            At::Top => self.leaves(""),
            At::Tasks => numbers(process.threads.own_ids(), libc::DT_DIR),
            At::Leaf(leaf) if matches!(leaf.name, "fd" | "fdinfo") => {
                let open = process.fds.iter().into_iter().map(|(n, ..)| n).collect();
                numbers(open, if leaf.name == "fd" { libc::DT_LNK } else { libc::DT_REG })
            }
            At::Leaf(leaf) if leaf.name == "map_files" => {
                let name = |(start, end, _)| (format!("{start:x}-{end:x}").into_bytes(), libc::DT_LNK);
                files(caller, process)?.into_iter().map(name).collect()
            }
            At::Leaf(leaf) => self.leaves(leaf.name),
            At::Descriptor(_) | At::DescriptorInfo(_) | At::Mapping(..) => Vec::new(),
        })
    }

    fn leaves(&self, folder: &str) -> Vec<(Vec<u8>, u8)> {
        let kind = |leaf: &Leaf| match leaf.what {
            What::Directory => libc::DT_DIR,
            What::Link | What::Namespace => libc::DT_LNK,
            _ => libc::DT_REG,
        };
        let there = leaves::within(folder).filter(|leaf| leaf.is_there(self.thread.is_some()));
        there.map(|leaf| (leaf.last().into(), kind(leaf))).collect()
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
            At::Mapping(start, end) => format!("{dir}/map_files/{start:x}-{end:x}"),
        }
    }

    /// The object to which a link leads.
    pub fn jump(&self, caller: &Caller<'_>, process: &Process) -> Result<Option<Jump>, Errno> {
        let held = |fd: std::os::fd::BorrowedFd<'_>| -> Result<Jump, Errno> {
            Object::of(reopen(fd, libc::O_PATH)?).map(Jump::Host)
        };
        Ok(Some(match self.at {
            At::Descriptor(n) => Jump::Open(process.fds.get(n).map_err(|_| Errno::ENOENT)?),
            // As without CAP_CHECKPOINT_RESTORE.
            At::Mapping(..) => return Err(Errno::EPERM),
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
            At::Leaf(leaf) if matches!(leaf.what, What::Namespace) => {
                let namespace = caller.sandbox.namespace(leaf.last())?;
                Jump::Open(Arc::new(File::opened(namespace, Kind::Other, libc::O_RDONLY, None)))
            }
            _ => return Ok(None),
        }))
    }

    /// What readlink(2) shows of a link: for a descriptor what the kernel calls the object, or the view's own
    /// name.
    pub fn text(&self, caller: &Caller<'_>, process: &Process) -> Result<Option<Vec<u8>>, Errno> {
        Ok(Some(match self.at {
            At::Descriptor(n) => {
                let file = process.fds.get(n).map_err(|_| Errno::ENOENT)?;
                match &file.path {
                    _ if file.kind == Kind::Signals => b"anon_inode:[signalfd]".to_vec(),
                    Some(path) if file.kind == Kind::View => path.to_vec(),
                    _ => as_shown(label_of(file.host.as_fd())?),
                }
            }
            At::Mapping(start, end) => {
                let found = files(caller, process)?.into_iter().find(|(a, b, _)| (*a, *b) == (start, end));
                found.ok_or(Errno::ENOENT)?.2
            }
            At::Leaf(Leaf { name: "root" | "exe" | "cwd", .. }) if process.ended() => {
                return Err(Errno::ENOENT);
            }
            At::Leaf(Leaf { name: "root", .. }) => b"/".to_vec(),
            At::Leaf(Leaf { name: "exe", .. }) => as_shown(label_of(process.exe().fd.as_fd())?),
            At::Leaf(Leaf { name: "cwd", .. }) => {
                let cwd = process.cwd();
                if cwd.in_view() { cwd.path.to_vec() } else { label_of(cwd.as_fd())? }
            }
            At::Leaf(leaf) if matches!(leaf.what, What::Namespace) => {
                label_of(caller.sandbox.namespace(leaf.last())?.as_fd())?
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
                let hides = |name: &[u8]| caller.hides(name) || is_private(name);
                let mut shown = mounts::without_hidden(&text, file, hides);
                shown.extend(mounts::of_folders(file)?);
                Ok(shown)
            }
            What::Value(value) => Ok(value.text(process, self.thread.unwrap_or(process.pid))),
            What::Text(Source::Sandbox(make)) => Ok(make(caller, &self.subject(caller, process))),
            What::Text(Source::Fixed(text)) => Ok(text.into()),
            What::Text(Source::Net(net)) => {
                let At::Leaf(leaf) = self.at else { return Err(Errno::ENOENT) };
                net.text(caller, process, leaf.name)
            }
            What::Text(Source::Edited(edit)) => {
                self.host_text(process).map(|text| edit(&self.subject(caller, process), text))
            }
            What::Text(Source::DescriptorInfo(n)) => fdinfo::text(process, n),
            What::Text(Source::Memory(make)) => Memory::of(process).map(|memory| make(&memory)),
            What::Text(Source::Child) => {
                let name = self.path();
                told(caller, process, name.rsplit('/').next().unwrap_or_default())
            }
            What::Text(Source::Sizes) => {
                let maps = told(caller, process, "maps")?;
                Memory::of(process).map(|memory| memory.smaps(&maps))
            }
            What::Text(Source::Nodes) => {
                let maps = told(caller, process, "maps")?;
                Ok(nodes::text(&maps, &self.host_text(process)?))
            }
            What::Memory | What::Denied => Err(Errno::EACCES),
            What::Link | What::Namespace => Err(Errno::ELOOP),
            What::Absent => Err(Errno::ENOENT),
            What::Directory => Err(Errno::EISDIR),
        }
    }

    /// Whether it can be written: values can, and the memory.
    pub fn is_writable(&self) -> bool {
        matches!(self.what(), What::Value(_) | What::Memory)
    }

    /// Whether it is the memory of the process, as whose tracer the caller may open it.
    pub fn is_memory(&self, caller: &Caller<'_>, process: &Process) -> bool {
        matches!(self.what(), What::Memory)
            && caller.sandbox.tracees.stopped_thread(caller.process.pid, process.pid).is_some()
    }

    /// Writes it. EINVAL for what is no value.
    pub fn write(&self, caller: &Caller<'_>, process: &Process, text: &[u8]) -> Result<(), Errno> {
        let What::Value(value) = self.what() else { return Err(Errno::EINVAL) };
        value.write(caller, process, self.thread.unwrap_or(process.pid), text)
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

/// The mappings of files that a child tells of its process, with the names of these.
fn files(caller: &Caller<'_>, process: &Process) -> Result<Vec<(u64, u64, Vec<u8>)>, Errno> {
    let maps = told(caller, process, "maps")?;
    let file = |line: &[u8]| {
        let name = line.iter().position(|&b| b == b'/')?;
        let (start, end, _) = range(std::str::from_utf8(&line[..name]).ok()?)?;
        Some((start, end, line[name..].to_vec()))
    };
    Ok(maps.split(|&b| b == b'\n').filter_map(file).collect())
}

//! The entries of the guest's `/proc`.

use crate::caller::Caller;
use crate::host::credentials::as_own;
use crate::state::credentials::may_look_into;
use crate::state::fd::File;
use crate::state::names::{Dir, Object};
use crate::state::process::Process;
use crate::view::leaves::What;
use crate::view::process::{Entry, Jump};
use crate::view::procfs::{errno, number, proc_directory};
use crate::view::system::System;
use nix::errno::Errno;
use std::sync::Arc;

/// Where a link of the view leads.
pub enum Link {
    /// To a path, relative to the link's directory.
    Text(Vec<u8>),
    /// To an object, directly.
    Jump(Target),
}

/// What a name leads to, in the end.
pub enum Target {
    /// An object of the host.
    Host(Object),
    /// An entry of the guest's `/proc`.
    View(Node),
    /// A file that the guest has open: by an empty path, `/proc/self/fd/N`, `/dev/stdin`.
    Open(Arc<File>),
}

/// An entry of the view.
#[derive(Clone)]
pub enum Node {
    /// `/proc`.
    Root,
    /// A link of `/proc` itself, like `/proc/self`.
    Shortcut(&'static str),
    /// A file or directory about the whole system.
    System(System),
    /// A process's directory or something in it.
    Process(Arc<Process>, Entry),
}

/// The links of `/proc` itself.
const SHORTCUTS: [&str; 4] = ["self", "thread-self", "mounts", "net"];

/// The node of an absolute path without links below `/proc`, as [`Node::path`] gives it.
pub fn at(caller: &Caller<'_>, path: &[u8]) -> Result<Node, Errno> {
    let below = path.strip_prefix(b"/proc").ok_or(Errno::ENOENT)?;
    below
        .split(|&b| b == b'/')
        .filter(|name| !name.is_empty())
        .try_fold(Node::Root, |node, name| node.child(caller, name))
}

impl Node {
    /// The view's root directory.
    pub fn root() -> Node {
        Node::Root
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        match self {
            Node::Root => true,
            Node::Shortcut(_) => false,
            Node::System(system) => system.is_dir(),
            Node::Process(_, entry) => entry.is_dir(),
        }
    }

    /// Its directory; none for the root.
    pub fn parent(&self) -> Option<Node> {
        match self {
            Node::Root => None,
            Node::Shortcut(_) => Some(Node::Root),
            Node::System(system) => Some(system.parent().map_or(Node::Root, Node::System)),
            Node::Process(process, entry) => {
                Some(entry.parent().map_or(Node::Root, |entry| Node::Process(process.clone(), entry)))
            }
        }
    }

    /// The entry `name` of this directory.
    pub fn child(&self, caller: &Caller<'_>, name: &[u8]) -> Result<Node, Errno> {
        match self {
            Node::Root => root_entry(caller, name),
            Node::Shortcut(_) => Err(Errno::ENOTDIR),
            Node::System(system) => system.child(name).map(Node::System),
            Node::Process(process, entry) => {
                may_look(caller, process, entry)?;
                entry.child(caller, process, name).map(|entry| Node::Process(process.clone(), entry))
            }
        }
    }

    /// Where it leads, if it is a link.
    pub fn link(&self, caller: &Caller<'_>) -> Result<Option<Link>, Errno> {
        match self {
            Node::Root | Node::System(_) => Ok(None),
            Node::Shortcut(_) => self.text(caller).map(|text| text.map(Link::Text)),
            Node::Process(process, entry) => {
                if entry.is_link() {
                    may_look(caller, process, entry)?;
                }
                let target = match entry.jump(caller, process)? {
                    None => return Ok(None),
                    Some(Jump::Host(object)) => Target::Host(object),
                    Some(Jump::View(path)) => Target::View(at(caller, &path)?),
                    Some(Jump::Open(file)) => Target::Open(file),
                };
                Ok(Some(Link::Jump(target)))
            }
        }
    }

    /// What readlink(2) shows of it, if it is a link.
    pub fn text(&self, caller: &Caller<'_>) -> Result<Option<Vec<u8>>, Errno> {
        let pid = caller.process.pid;
        Ok(match self {
            Node::Shortcut("self") => Some(pid.to_string().into()),
            Node::Shortcut("thread-self") => Some(format!("{pid}/task/{}", caller.tid).into()),
            Node::Shortcut(name) => Some(format!("self/{name}").into()),
            Node::Process(process, entry) if entry.is_link() => {
                may_look(caller, process, entry)?;
                entry.text(caller, process)?
            }
            Node::Process(..) => None,
            Node::Root | Node::System(_) => None,
        })
    }

    /// What reading it shows. EISDIR for a directory, EACCES for what nobody may read.
    pub fn content(&self, caller: &Caller<'_>) -> Result<Content, Errno> {
        match self {
            Node::System(system) if !system.is_dir() => match system.text() {
                Some(text) => text.map(Content::Text),
                None => Ok(Content::Host(system.clone())),
            },
            Node::Process(process, entry) if entry.is_memory(caller, process) => {
                Ok(Content::Memory(process.pid))
            }
            Node::Process(process, entry) if !entry.is_dir() => {
                may_look(caller, process, entry)?;
                // The supervisor looks at its own child.
                as_own(|| entry.content(caller, process)).map(Content::Text)
            }
            Node::Shortcut(_) => Err(Errno::ELOOP),
            _ => Err(Errno::EISDIR),
        }
    }

    /// Whether it can be opened to write.
    pub fn is_writable(&self) -> bool {
        matches!(self, Node::Process(_, entry) if entry.is_writable())
    }

    /// Writes it, whole.
    pub fn write(&self, caller: &Caller<'_>, text: &[u8]) -> Result<(), Errno> {
        match self {
            Node::Process(process, entry) => entry.write(caller, process, text),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The entries of this directory with their `d_type`, without `.` and `..`.
    pub fn entries(&self, caller: &Caller<'_>) -> Result<Vec<(Vec<u8>, u8)>, Errno> {
        match self {
            Node::Root => Ok(root_entries(caller)),
            Node::System(system) => system.entries(),
            Node::Process(process, entry) if entry.is_dir() => {
                may_look(caller, process, entry)?;
                entry.entries(caller, process)
            }
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// The absolute name, with process ids as numbers.
    pub fn path(&self) -> Vec<u8> {
        match self {
            Node::Root => b"/proc".to_vec(),
            Node::Shortcut(name) => format!("/proc/{name}").into(),
            Node::System(system) => system.path(),
            Node::Process(process, entry) => format!("/proc/{}{}", process.pid, entry.path()).into(),
        }
    }

    /// The absolute name by which the policy judges it: the caller's own directory is `/proc/self`.
    pub fn judged_path(&self, caller: &Caller<'_>) -> Vec<u8> {
        match self {
            Node::Process(process, entry) if process.pid == caller.process.pid => {
                format!("/proc/self{}", entry.path()).into()
            }
            _ => self.path(),
        }
    }

    /// As a directory to stand in or to make names in (which will fail there).
    pub fn directory(&self) -> Result<Dir, Errno> {
        Ok(Dir { fd: proc_directory()?.try_clone_to_owned().map_err(errno)?, path: self.path().into() })
    }

    /// The inode number. It is made from the name, so equal names have equal numbers; the root and what is
    /// the host's have the host's.
    pub fn inode(&self) -> Result<u64, Errno> {
        use std::hash::{DefaultHasher, Hash, Hasher};
        match self {
            Node::System(system) => Ok(system.stat.st_ino),
            Node::Root => nix::sys::stat::fstat(proc_directory()?).map(|stat| stat.st_ino),
            _ => {
                let mut hash = DefaultHasher::new();
                self.path().hash(&mut hash);
                Ok(hash.finish() >> 16 | 1 << 32)
            }
        }
    }

    /// Whether it is a symbolic link.
    pub fn is_link(&self) -> bool {
        match self {
            Node::Root | Node::System(_) => false,
            Node::Shortcut(_) => true,
            Node::Process(_, entry) => entry.is_link(),
        }
    }

    /// What stat(2) shows.
    pub fn status(&self, caller: &Caller<'_>) -> Result<libc::stat, Errno> {
        if let Node::System(system) = self {
            return Ok(system.stat);
        }
        let mut stat = nix::sys::stat::fstat(proc_directory()?)?;
        stat.st_nlink = self.links(caller);
        if matches!(self, Node::Root) {
            return Ok(stat);
        }
        stat.st_ino = self.inode()?;
        stat.st_size = 0;
        stat.st_mode = self.mode();
        if let Node::Process(process, entry) = self {
            stat.st_size = entry.size(process);
            let owner = process.credentials();
            let dumpable = process.attributes.is_dumpable() || entry.is_dir();
            let ids = [owner.user.effective, owner.group.effective];
            [stat.st_uid, stat.st_gid] = if dumpable { ids } else { [0; 2] };
        }
        Ok(stat)
    }

    fn mode(&self) -> u32 {
        match self {
            Node::Root | Node::System(_) => libc::S_IFDIR | 0o555,
            Node::Shortcut(_) => libc::S_IFLNK | 0o777,
            Node::Process(process, entry) => {
                entry.permissions(process)
                    | match entry.what() {
                        What::Directory => libc::S_IFDIR,
                        What::Link | What::Namespace => libc::S_IFLNK,
                        _ => libc::S_IFREG,
                    }
            }
        }
    }

    /// How many links lead to it: to a directory its own two and one from each directory in it.
    fn links(&self, caller: &Caller<'_>) -> libc::nlink_t {
        if !self.is_dir() {
            return 1;
        }
        let entries = match self {
            Node::Root => root_entries(caller),
            Node::Process(_, entry) if entry.lists_no_folders() => Vec::new(),
            Node::Process(process, entry) => entry.entries(caller, process).unwrap_or_default(),
            Node::System(_) | Node::Shortcut(_) => Vec::new(),
        };
        2 + entries.iter().filter(|(_, kind)| *kind == libc::DT_DIR).count() as libc::nlink_t
    }
}

/// What reading a node shows.
pub enum Content {
    /// This text, as of now.
    Text(Vec<u8>),
    /// A file of the host's procfs.
    Host(System),
    /// The memory of this process.
    Memory(i32),
}

/// EACCES for what shows how another user's process works inside (proc(5), "ptrace access mode").
fn may_look(caller: &Caller<'_>, process: &Arc<Process>, entry: &Entry) -> Result<(), Errno> {
    if !entry.is_internal() || process.pid == caller.process.pid {
        return Ok(());
    }
    let (own, others) = (caller.credentials(), process.credentials());
    let may = may_look_into(&own, &others, process.attributes.is_dumpable());
    if may { Ok(()) } else { Err(Errno::EACCES) }
}

fn root_entry(caller: &Caller<'_>, name: &[u8]) -> Result<Node, Errno> {
    if let Some(shortcut) = SHORTCUTS.into_iter().find(|s| s.as_bytes() == name) {
        return Ok(Node::Shortcut(shortcut));
    }
    if let Some(pid) = number(name) {
        // A thread's directory has its name here as well, though it is not listed (proc(5)).
        let found = caller.sandbox.processes.meant(pid).filter(|p| is_there(caller, p));
        let process = found.ok_or(Errno::ENOENT)?;
        let entry = if process.pid == pid { Entry::TOP } else { Entry::of_thread(pid) };
        return Ok(Node::Process(process, entry));
    }
    System::top(name).map(Node::System)
}

fn root_entries(caller: &Caller<'_>) -> Vec<(Vec<u8>, u8)> {
    let mut list: Vec<_> = SHORTCUTS.iter().map(|s| (s.as_bytes().to_vec(), libc::DT_LNK)).collect();
    let all: Vec<_> = {
        let processes = &caller.sandbox.processes;
        processes.all().into_iter().chain(processes.zombies()).collect()
    };
    list.extend(all.iter().filter(|p| is_there(caller, p)).map(|p| (p.pid.to_string().into(), libc::DT_DIR)));
    list.extend(System::tops());
    list
}

/// Whether nobody has waited for a process yet; the supervisor may still know one that was waited for. The
/// caller is there.
fn is_there(caller: &Caller<'_>, process: &Process) -> bool {
    process.pid == caller.process.pid || process.handle.is_there().is_ok()
}

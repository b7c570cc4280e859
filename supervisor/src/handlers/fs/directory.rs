//! Directories: getdents64(2), getcwd(2), chdir(2).

use super::named::named;
use crate::caller::Caller;
use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::dirent::{Dirent, append, entries, make_old};
use crate::host::name::{getdents64 as host_getdents64, reopen};
use crate::path::{Lookup, Resolved, Target};
use crate::state::fd::{Extra, File, Kind};
use crate::state::names::{Dir, join, label_of, name_of};
use crate::view::Node;
use libc::AT_FDCWD;
use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use rxbox_policy::Access;
use std::os::fd::{AsFd, BorrowedFd};

/// The handlers of this module.
pub(crate) const HANDLERS: &[Entry] = &[
    ("getdents64", getdents64),
    ("getdents", getdents),
    ("getcwd", getcwd),
    ("chdir", chdir),
    ("fchdir", fchdir),
];

/// Bytes asked of the host at once, at most.
const PIECE: usize = 1 << 16;

fn getdents64(call: &mut Call<'_>) -> SyscallResult {
    let listed = list(call)?;
    call.put(1, &listed)?;
    Ok(listed.len() as i64)
}

fn getdents(call: &mut Call<'_>) -> SyscallResult {
    let mut listed = list(call)?;
    make_old(&mut listed);
    call.put(1, &listed)?;
    Ok(listed.len() as i64)
}

fn list(call: &Call<'_>) -> Result<Vec<u8>, Errno> {
    let file = call.file(0)?;
    let room = call.room(1);
    let caller = Caller::of(call);
    let start = position(&file, None)?;
    let listed = match file.kind {
        Kind::View => view_entries(&caller, &file, room),
        _ => host_entries(&caller, &file, room),
    }?;
    // What the guest cannot take stays to be read.
    if let Err(fault) = call.reach(1)
        && !listed.is_empty()
    {
        position(&file, Some(start))?;
        return Err(fault);
    }
    Ok(listed)
}

/// Where a directory is read next, after it is set if `new` says so.
fn position(file: &File, new: Option<i64>) -> Result<i64, Errno> {
    let (offset, whence) = new.map_or((0, Whence::SeekCur), |at| (at, Whence::SeekSet));
    match file.kind {
        Kind::View => file.seek_view(offset, whence as i32),
        _ => lseek(&file.host, offset, whence).map_err(|_| Errno::ENOTDIR),
    }
}

/// The next entries of a directory without those that the policy hides. An empty answer means the end, so
/// pieces of which nothing is left are passed over.
pub(super) fn host_entries(caller: &Caller<'_>, file: &File, room: usize) -> Result<Vec<u8>, Errno> {
    if file.kind == Kind::Path {
        return Err(Errno::EBADF);
    }
    let dir = file.host.as_fd();
    if !caller.hides_any() {
        return host_getdents64(dir, room.min(PIECE));
    }
    match name_of(dir) {
        Ok(name) if caller.sandbox.policy.hides_any_below(&name) => visible_entries(caller, dir, &name, room),
        // A directory that is deleted has nothing in it to hide.
        _ => host_getdents64(dir, room.min(PIECE)),
    }
}

/// The same where something may be hidden. As many entries come as there is room for, as if there were no
/// others between them; the directory is then read on behind the last of them. Where an entry says the next
/// one starts is the kernel's.
fn visible_entries(
    caller: &Caller<'_>,
    dir: BorrowedFd<'_>,
    name: &[u8],
    room: usize,
) -> Result<Vec<u8>, Errno> {
    loop {
        let start = lseek(dir, 0, Whence::SeekCur)?;
        let listed = host_getdents64(dir, PIECE)?;
        if listed.is_empty() {
            return Ok(listed);
        }
        let mut shown = entries(&listed).filter(|entry| is_shown(caller, name, entry)).peekable();
        if shown.peek().is_none() {
            continue;
        }
        let (mut fitting, mut next) = (Vec::new(), start);
        while let Some(entry) = shown.next_if(|entry| fitting.len() + entry.bytes.len() <= room) {
            fitting.extend_from_slice(entry.bytes);
            next = entry.next;
        }
        if shown.peek().is_some() {
            lseek(dir, next, Whence::SeekSet)?;
        }
        return if fitting.is_empty() { Err(Errno::EINVAL) } else { Ok(fitting) };
    }
}

fn is_shown(caller: &Caller<'_>, dir: &[u8], entry: &Dirent<'_>) -> bool {
    matches!(entry.name, b"." | b"..") || !caller.hides(&join(dir, entry.name))
}

/// Whether a directory of this name, just opened, lists anything.
pub(super) fn shows_any(caller: &Caller<'_>, dir: BorrowedFd<'_>, name: &[u8]) -> Result<bool, Errno> {
    loop {
        let listed = host_getdents64(dir, PIECE)?;
        let mut others = entries(&listed).filter(|entry| !matches!(entry.name, b"." | b".."));
        if listed.is_empty() || others.any(|entry| is_shown(caller, name, &entry)) {
            return Ok(!listed.is_empty());
        }
    }
}

/// A directory of the view as getdents64(2) lists it. Where an entry says the next one starts is its place in
/// this text.
pub(super) fn listing(caller: &Caller<'_>, node: &Node) -> Result<Vec<u8>, Errno> {
    let inode = |node: Option<Node>| node.and_then(|node| node.inode().ok()).unwrap_or(1);
    let mut list = vec![
        (b".".to_vec(), libc::DT_DIR, inode(Some(node.clone()))),
        (b"..".to_vec(), libc::DT_DIR, inode(node.parent())),
    ];
    for (name, kind) in node.entries(caller)? {
        let inode = inode(node.child(caller, &name).ok());
        list.push((name, kind, inode));
    }
    let mut text = Vec::new();
    for (name, kind, inode) in list {
        let mut entry = Vec::new();
        append(&mut entry, usize::MAX, inode, 0, kind, &name);
        let next = (text.len() + entry.len()) as i64;
        append(&mut text, usize::MAX, inode, next, kind, &name);
    }
    Ok(text)
}

/// The next whole entries of a directory of the view. EINVAL if not even one fits.
pub(super) fn view_entries(caller: &Caller<'_>, file: &File, room: usize) -> Result<Vec<u8>, Errno> {
    if !crate::view::at(caller, file.path.as_deref().unwrap_or_default())?.is_dir() {
        return Err(Errno::ENOTDIR);
    }
    let mut extra = file.extra();
    let Extra::View { content, offset } = &mut *extra else { return Err(Errno::EBADF) };
    let rest = usize::try_from(*offset).ok().and_then(|from| content.get(from..)).unwrap_or_default();
    let mut listed = Vec::new();
    for entry in entries(rest) {
        if listed.len() + entry.bytes.len() > room {
            break;
        }
        listed.extend_from_slice(entry.bytes);
    }
    if listed.is_empty() && !rest.is_empty() {
        return Err(Errno::EINVAL);
    }
    *offset += listed.len() as u64;
    Ok(listed)
}

fn getcwd(call: &mut Call<'_>) -> SyscallResult {
    let path = current(&Caller::of(call))?;
    if path.len() + 1 > call.room(0) {
        return Err(Errno::ERANGE);
    }
    call.put(0, &[path.as_slice(), b"\0"].concat())?;
    Ok(path.len() as i64 + 1)
}

/// The working directory's name now; ENOENT if it is deleted.
pub(super) fn current(caller: &Caller<'_>) -> Result<Vec<u8>, Errno> {
    let cwd = caller.process.cwd();
    if cwd.in_view() { Ok(cwd.path.to_vec()) } else { name_of(cwd.as_fd()) }
}

fn chdir(call: &mut Call<'_>) -> SyscallResult {
    let (caller, found) = named(call, AT_FDCWD, 0, Lookup::FOLLOW)?;
    change(&caller, found)
}

fn fchdir(call: &mut Call<'_>) -> SyscallResult {
    let file = call.any_file(0)?;
    change(&Caller::of(call), Resolved { target: Target::Open(file), path: Vec::new() })
}

/// Makes a directory the working directory. For one that the guest has open nobody is asked: it can name
/// everything from there already.
pub(super) fn change(caller: &Caller<'_>, found: Resolved) -> SyscallResult {
    let dir = match found.target {
        Target::Host(object) if object.is_dir() => {
            caller.check(Access::Metadata, &found.path)?;
            Dir { fd: object.fd, path: found.path.into() }
        }
        Target::View(node) if node.is_dir() => {
            caller.check(Access::Metadata, &found.path)?;
            node.directory()?
        }
        Target::Open(file) => match file.path.as_deref().filter(|_| file.kind == Kind::View) {
            Some(path) => crate::view::at(caller, path)?.directory()?,
            None => {
                let path = label_of(file.host.as_fd())?.into();
                Dir { fd: reopen(file.host.as_fd(), libc::O_PATH)?, path }
            }
        },
        _ => return Err(Errno::ENOTDIR),
    };
    // Entering takes the right to search, which the kernel judges by the supervisor's user, who is the
    // guest's.
    nix::fcntl::openat(
        &dir,
        c".",
        nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC,
        nix::sys::stat::Mode::empty(),
    )?;
    caller.process.set_cwd(dir);
    Ok(0)
}

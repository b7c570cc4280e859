//! open(2), openat(2), openat2(2), creat(2).

use super::super::terminal;
use super::directory::listing;
use crate::caller::Caller;
use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::name::{open_waiting, reopen};
use crate::path::{Found, Lookup, Parent, Resolved, Target, parent, resolve};
use crate::state::fd::{File, Kind};
use crate::state::mounts;
use crate::state::names::Object;
use crate::state::names::{join, name_of};
use crate::view::{Content, Node};
use libc::{
    O_ACCMODE, O_ASYNC, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_RDONLY, O_TMPFILE,
    O_TRUNC, O_WRONLY,
};
use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag};
use nix::sys::stat::FileStat;
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use rxbox_policy::{Access, Make};
use rxbox_wire::frame::Reply;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// The handlers of this module.
pub(crate) const HANDLERS: &[Entry] =
    &[("open", open), ("openat", openat), ("openat2", openat2), ("creat", creat)];

/// How often an open starts again because a name came or went in the middle.
const RETRIES: usize = 64;

/// What to open a name for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    /// `O_*`.
    pub(super) flags: i32,
    /// Permissions of a new file, before the umask.
    pub(super) mode: u32,
    /// Restrictions of openat2(2).
    pub(super) restrict: ResolveFlag,
}

fn open(call: &mut Call<'_>) -> SyscallResult {
    let how = Opening { flags: call.i32(1), mode: call.u32(2), restrict: ResolveFlag::empty() };
    serve(call, libc::AT_FDCWD, 0, how)
}

fn creat(call: &mut Call<'_>) -> SyscallResult {
    let how =
        Opening { flags: O_CREAT | O_WRONLY | O_TRUNC, mode: call.u32(1), restrict: ResolveFlag::empty() };
    serve(call, libc::AT_FDCWD, 0, how)
}

fn openat(call: &mut Call<'_>) -> SyscallResult {
    let how = Opening { flags: call.i32(2), mode: call.u32(3), restrict: ResolveFlag::empty() };
    serve(call, call.i32(0), 1, how)
}

fn openat2(call: &mut Call<'_>) -> SyscallResult {
    /// Of `struct open_how`, and the most that the kernel looks at.
    const SIZES: std::ops::RangeInclusive<u64> = 24..=4096;
    match call.u64(3) {
        size if size < *SIZES.start() => return Err(Errno::EINVAL),
        size if size > *SIZES.end() => return Err(Errno::E2BIG),
        _ => {}
    }
    let how = open_how(call.need(2)?)?;
    serve(call, call.i32(0), 1, how)
}

fn serve(call: &mut Call<'_>, dirfd: i32, path: usize, how: Opening) -> SyscallResult {
    // The kernel looks at the flags before it looks at the path.
    let has = |flags| how.flags & flags == flags;
    let wrong = has(O_TMPFILE) && how.flags & O_ACCMODE == O_RDONLY || has(O_CREAT | O_DIRECTORY);
    if wrong && !has(O_PATH) {
        return Err(Errno::EINVAL);
    }
    let caller = Caller::of(call);
    let file = open_file(&caller, dirfd, call.string(path)?, how)?;
    if terminal::takes_opened(&caller, &file, how.flags) {
        call.reply.flags |= Reply::TAKE;
    }
    call.process.fds.insert(file, how.flags & O_CLOEXEC != 0, 0).map(i64::from)
}

/// The checks of openat2(2) on `struct open_how`: nothing unknown, nothing that would be ignored.
fn open_how(bytes: &[u8]) -> Result<Opening, Errno> {
    const KNOWN: i32 = O_ACCMODE
        | O_CREAT
        | O_EXCL
        | libc::O_NOCTTY
        | O_TRUNC
        | libc::O_APPEND
        | libc::O_NONBLOCK
        | libc::O_DSYNC
        | libc::O_SYNC
        | O_ASYNC
        | libc::O_DIRECT
        | libc::O_LARGEFILE
        | O_DIRECTORY
        | O_NOFOLLOW
        | libc::O_NOATIME
        | O_CLOEXEC
        | O_PATH
        | O_TMPFILE
        | 0x8000;
    let mut words = bytes.chunks_exact(8).map(|w| u64::from_le_bytes(std::array::from_fn(|i| w[i])));
    let (Some(flags), Some(mode), Some(restrict)) = (words.next(), words.next(), words.next()) else {
        return Err(Errno::EINVAL);
    };
    if bytes[24..].iter().any(|&b| b != 0) {
        return Err(Errno::E2BIG);
    }
    let flags = i32::try_from(flags).map_err(|_| Errno::EINVAL)?;
    let restrict = ResolveFlag::from_bits(restrict & !libc::RESOLVE_CACHED)
        .map(|r| r | ResolveFlag::from_bits_retain(restrict & libc::RESOLVE_CACHED))
        .ok_or(Errno::EINVAL)?;
    let creates = flags & (O_CREAT | O_TMPFILE & !O_DIRECTORY) != 0;
    let fenced = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_IN_ROOT;
    let for_path = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    if flags & !KNOWN != 0
        || mode & !0o7777 != 0
        || (mode != 0 && !creates)
        || restrict.contains(fenced)
        || (flags & O_PATH != 0 && flags & !for_path != 0)
    {
        return Err(Errno::EINVAL);
    }
    Ok(Opening { flags, mode: mode as u32, restrict })
}

/// Opens a name as the guest asks for it. With `RESOLVE_CACHED` the kernel may say of any name that it does
/// not know without looking, and says so of a missing one that nobody has looked for; of a hidden one it is
/// not asked. So that is the answer for both.
pub(super) fn open_file(caller: &Caller<'_>, dirfd: i32, path: &CStr, how: Opening) -> Result<File, Errno> {
    let cached = how.restrict.bits() & libc::RESOLVE_CACHED != 0;
    match open_name(caller, dirfd, path, how) {
        Err(Errno::ENOENT) if cached => Err(Errno::EAGAIN),
        opened => opened,
    }
}

fn open_name(caller: &Caller<'_>, dirfd: i32, path: &CStr, how: Opening) -> Result<File, Errno> {
    let mut how = how;
    if how.flags & O_PATH != 0 {
        how.flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    }
    // Signals for O_ASYNC would go to the supervisor.
    how.flags &= !O_ASYNC;
    let creates = how.flags & O_CREAT != 0;
    if how.flags & O_TMPFILE == O_TMPFILE {
        return open_nameless(caller, dirfd, path, how);
    }
    if creates && how.flags & O_DIRECTORY != 0 {
        return Err(Errno::EINVAL);
    }
    if creates && path.to_bytes().last() == Some(&b'/') {
        parent(caller, dirfd, path)?;
        return Err(Errno::EISDIR);
    }
    let follow = how.flags & O_NOFOLLOW == 0 && !(creates && how.flags & O_EXCL != 0);
    // Of a name that may not be looked up nobody says whether it is to be made.
    let want = if creates { Some(Access::Create) } else { accesses(how.flags, false).last() };
    let want = want.unwrap_or(Access::Metadata);
    let lookup = Lookup { follow, missing: creates, restrict: how.restrict, want, ..Lookup::FOLLOW };
    for _ in 0..RETRIES {
        match resolve(caller, dirfd, path, lookup)? {
            Found::There(found) if creates && how.flags & O_EXCL != 0 => {
                found.check(caller, Access::Metadata)?;
                return Err(Errno::EEXIST);
            }
            Found::There(found) => return open_there(caller, found, how),
            Found::Missing(place) => match create(caller, &place, how) {
                // Somebody was faster: it is there now.
                Err(Errno::EEXIST) if how.flags & O_EXCL == 0 => continue,
                answer => return answer,
            },
        }
    }
    Err(Errno::EAGAIN)
}

/// What must be allowed to open an existing object so. The access mode 3 (ioctl only) needs both, as in the
/// kernel.
fn accesses(flags: i32, dir: bool) -> impl Iterator<Item = Access> {
    let (read, _) = wants(flags);
    let look = flags & O_PATH != 0;
    [
        (Access::Metadata, look),
        (Access::List, !look && dir && read),
        (Access::Read, !look && !dir && read),
        (Access::Write, !look && changes(flags)),
    ]
    .into_iter()
    .filter_map(|(access, needed)| needed.then_some(access))
}

/// Whether an access mode reads and writes.
fn wants(flags: i32) -> (bool, bool) {
    (flags & O_ACCMODE != O_WRONLY, flags & O_ACCMODE != O_RDONLY)
}

/// Whether what is opened so is changed, or can be.
fn changes(flags: i32) -> bool {
    wants(flags).1 || flags & O_TRUNC != 0
}

fn open_there(caller: &Caller<'_>, found: Resolved, how: Opening) -> Result<File, Errno> {
    match found.target {
        Target::Host(object) => open_object(caller, object, found.path, how),
        Target::View(node) => open_node(caller, &node, &found.path, how),
        Target::Open(file) => open_again(caller, &file, how),
    }
}

/// The refusals of the kernel that come before any permission is asked for.
fn fits(object: &Object, how: Opening) -> Result<(), Errno> {
    let changes = how.flags & (O_CREAT | O_TRUNC) != 0 || how.flags & O_ACCMODE != O_RDONLY;
    match object.kind() {
        libc::S_IFDIR if how.flags & O_PATH == 0 && changes => Err(Errno::EISDIR),
        libc::S_IFDIR => Ok(()),
        _ if how.flags & O_DIRECTORY != 0 => Err(Errno::ENOTDIR),
        libc::S_IFLNK if how.flags & O_PATH == 0 => Err(Errno::ELOOP),
        libc::S_IFSOCK if how.flags & O_PATH == 0 => Err(Errno::ENXIO),
        _ => Ok(()),
    }
}

/// Whether a file is a program that runs in the sandbox. Only what may be executed can be one.
pub(super) fn is_busy_text(caller: &Caller<'_>, file: &FileStat) -> bool {
    const EXECUTABLE: u32 = libc::S_IXUSR | libc::S_IXGRP | libc::S_IXOTH;
    let candidate = file.st_mode & libc::S_IFMT == libc::S_IFREG && file.st_mode & EXECUTABLE != 0;
    candidate && caller.sandbox.processes.runs(file)
}

fn open_object(caller: &Caller<'_>, object: Object, path: Vec<u8>, how: Opening) -> Result<File, Errno> {
    fits(&object, how)?;
    for access in accesses(how.flags, object.is_dir()) {
        caller.check(access, &path)?;
    }
    if how.flags & O_PATH != 0 {
        return Ok(File::opened(object.fd, Kind::Path, how.flags, Some(path.into())));
    }
    if changes(how.flags) && is_busy_text(caller, &object.stat) {
        return Err(Errno::ETXTBSY);
    }
    let terminal = terminal::behind(caller, &object.stat)?;
    let named = terminal.as_ref().map_or(object.as_fd(), AsFd::as_fd);
    let host = reopen(named, how.flags & !(O_CREAT | O_NOFOLLOW))?;
    Ok(opened(host, object.kind(), how.flags, Some(path)))
}

/// An open file of the host with what kind of file it is.
fn opened(host: OwnedFd, format: u32, flags: i32, path: Option<Vec<u8>>) -> File {
    let kind = match format {
        libc::S_IFREG => Kind::Regular,
        libc::S_IFDIR => Kind::Directory,
        libc::S_IFIFO => Kind::Pipe,
        libc::S_IFCHR if nix::unistd::isatty(&host).unwrap_or(false) => Kind::Terminal,
        libc::S_IFCHR => Kind::CharDevice,
        libc::S_IFBLK => Kind::BlockDevice,
        _ => Kind::Other,
    };
    File::opened(host, kind, flags, path.map(Into::into))
}

/// Permissions of a new name: without the bits of the umask, and without set-user-id and set-group-id, which
/// would give the file's runner the rights of the supervisor's user outside of the sandbox. The mask holds in
/// directories with a default access list too, where the kernel would leave it out.
pub(super) fn creation_mode(caller: &Caller<'_>, mode: u32) -> u32 {
    mode & 0o7777 & !caller.process.umask() & !(libc::S_ISUID | libc::S_ISGID)
}

/// Makes a new file; EEXIST if the name is taken meanwhile.
fn create(caller: &Caller<'_>, place: &Parent, how: Opening) -> Result<File, Errno> {
    let path = place.path();
    caller.check_make(Make::File, &path)?;
    for access in accesses(how.flags, false) {
        caller.check(access, &path)?;
    }
    let flags = how.flags | O_EXCL | O_NOFOLLOW;
    let host = open_waiting(place.dir.as_fd(), &place.leaf, flags, creation_mode(caller, how.mode))?;
    Ok(opened(host, libc::S_IFREG, how.flags, Some(path)))
}

/// `O_TMPFILE`: a file without a name in a directory, judged by the directory's own name.
fn open_nameless(caller: &Caller<'_>, dirfd: i32, path: &CStr, how: Opening) -> Result<File, Errno> {
    if how.flags & O_ACCMODE == O_RDONLY || how.flags & O_CREAT != 0 {
        return Err(Errno::EINVAL);
    }
    let lookup = Lookup { follow: how.flags & O_NOFOLLOW == 0, restrict: how.restrict, ..Lookup::FOLLOW };
    let found = super::named::find(caller, dirfd, path, lookup)?;
    let Target::Host(object) = &found.target else { return Err(Errno::EOPNOTSUPP) };
    if !object.is_dir() {
        return Err(if object.is_link() { Errno::ELOOP } else { Errno::ENOTDIR });
    }
    // The name of a private place is one of the host's; what is in it is the run's own, and is counted as a
    // whole.
    let private = mounts::is_private(&found.path);
    let name = if private { &join(&found.path, b"#") } else { &found.path };
    caller.check(Access::Create, name)?;
    let host = open_waiting(object.as_fd(), c".", how.flags & !O_NOFOLLOW, creation_mode(caller, how.mode))?;
    let memory = !private && fstatfs(&host).is_ok_and(|fs| fs.filesystem_type() == TMPFS_MAGIC);
    let file = File::opened(host, Kind::Regular, how.flags, None);
    if memory { caller.sandbox.charged(file) } else { Ok(file) }
}

/// Opens an entry of the guest's `/proc`; few can be written.
fn open_node(caller: &Caller<'_>, node: &Node, judged: &[u8], how: Opening) -> Result<File, Errno> {
    let mode = node.status(caller)?.st_mode & libc::S_IFMT;
    if how.flags & O_DIRECTORY != 0 && !node.is_dir() {
        return Err(Errno::ENOTDIR);
    }
    if how.flags & O_PATH == 0 {
        if mode == libc::S_IFLNK {
            return Err(Errno::ELOOP);
        }
        let changes = how.flags & (O_TRUNC | O_CREAT) != 0 || how.flags & O_ACCMODE != O_RDONLY;
        if changes && !node.is_writable() {
            return Err(if node.is_dir() { Errno::EISDIR } else { Errno::EACCES });
        }
    }
    for access in accesses(how.flags, node.is_dir()) {
        caller.check(access, judged)?;
    }
    let path = node.path().into_boxed_slice();
    let stand_in = node.directory()?.fd;
    if how.flags & O_PATH != 0 {
        return Ok(File::opened(stand_in, Kind::View, how.flags, Some(path)));
    }
    if node.is_dir() {
        return Ok(File::view(stand_in, path, listing(caller, node)?));
    }
    match node.content(caller)? {
        Content::Text(text) => Ok(File::view(stand_in, path, text).with_flags(how.flags)),
        Content::Memory(pid) => Ok(File::memory_of(stand_in, path, pid).with_flags(how.flags)),
        Content::Host(system) => {
            let host = system.open(OFlag::from_bits_truncate(how.flags))?;
            Ok(File::opened(host, Kind::Regular, how.flags, Some(path)))
        }
    }
}

/// Opens what the guest has open already, by the name of its descriptor. A descriptor can be opened again
/// with the rights it has; more than these the policy must allow for the name that the file has now.
fn open_again(caller: &Caller<'_>, file: &Arc<File>, how: Opening) -> Result<File, Errno> {
    if let Some(path) = file.path.as_deref().filter(|_| file.kind == Kind::View) {
        let node = crate::view::at(caller, path)?;
        let judged = node.judged_path(caller);
        return open_node(caller, &node, &judged, how);
    }
    let stat = nix::sys::stat::fstat(&file.host)?;
    let object = Object { fd: reopen(file.host.as_fd(), O_PATH)?, stat };
    let path = name_of(object.as_fd()).ok();
    let (read, write) = (wants(how.flags).0, changes(how.flags));
    let enough = file.kind != Kind::Path && (!read || file.readable()) && (!write || file.writable());
    if !enough && how.flags & O_PATH == 0 {
        return open_object(caller, object, path.ok_or(Errno::EACCES)?, how);
    }
    fits(&object, how)?;
    if how.flags & O_PATH != 0 {
        return Ok(File::opened(object.fd, Kind::Path, how.flags, path.map(Into::into)));
    }
    let host = reopen(object.as_fd(), how.flags & !(O_CREAT | O_NOFOLLOW))?;
    let again = opened(host, object.kind(), how.flags, path);
    let again = if file.kind == Kind::Memory { again.with_kind(Kind::Memory) } else { again };
    Ok(caller.sandbox.recognised(again))
}

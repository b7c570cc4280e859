//! Overlays of directories, in a tmpfs that is mounted nowhere.
//!
//! overlayfs shows the files of a *lower* directory and keeps what is changed in an *upper* one; the lower is
//! never written. The mounts are made by a child in a mount namespace of its own (for a user, in a user
//! namespace too), which then copies the whole tree, out of every namespace, and sends the descriptor:
//! nothing on the host sees the mounts, and the kernel drops them with the last descriptor below them.
//!
//! Directories are given to the kernel by descriptor, so that no letter of a name means anything in an
//! option. They are opened in the child's namespace, through no symbolic link; a lower directory must be the
//! very one that was meant.

use super::maker::same_user;
use super::parcel::{received, send};
use super::spawn;
use super::tmpfs::{self, CREATE, Mounting, SET_FLAG, SET_STRING, configure, mounted, new};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, socketpair};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::{getegid, geteuid};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What is to be overlaid, and where its changes go.
#[derive(Clone, Debug)]
pub struct Overlay {
    /// The directory in the tree on which it is mounted.
    pub name: String,
    /// What it shows.
    pub lower: PathBuf,
    /// Device and number of that.
    pub identity: (u64, u64),
    /// An empty directory for what is changed.
    pub upper: PathBuf,
    /// One beside it, for the kernel's own use.
    pub work: PathBuf,
}

/// What could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The namespaces.
    Namespaces,
    /// The tmpfs and what else is not of one overlay.
    Tree,
    /// Opening the directories of the overlay of this place in the list.
    Open(u8),
    /// Mounting that.
    Mount(u8),
}

/// Why there are no overlays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverlayError {
    /// What could not be done.
    pub step: Step,
    /// Why.
    pub errno: Errno,
}

/// Attributes and flags of open_tree(2) and move_mount(2).
const OPEN_TREE_CLONE: u64 = 1;
const AT_RECURSIVE: u64 = 0x8000;
const MOVE_FROM_EMPTY: u64 = 4;

/// Bytes of the child's answer.
const ANSWER: usize = 6;

/// Mounts a tmpfs for `size` bytes as [`tmpfs::detached`] does, and in a directory `folders` of it, which
/// only this user may enter, the overlays. This process must have one thread. `cover` is a directory that the
/// child, alone, may use to mount on.
///
/// # Errors
/// The host lets this user mount no overlays, or not these.
pub fn detached(
    size: Option<u64>,
    folders: &str,
    overlays: &[Overlay],
    cover: &Path,
) -> Result<OwnedFd, OverlayError> {
    let lost = |errno| OverlayError { step: Step::Tree, errno };
    let ends = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
    let (ours, theirs) = ends.map_err(lost)?;
    let number = ours.as_raw_fd();
    let work = || {
        nix::unistd::close(number)?;
        match build(size, folders, overlays, cover) {
            Ok(tree) => send(theirs.as_fd(), &[0; ANSWER], Some(tree.as_fd())),
            Err(error) => send(theirs.as_fd(), &encode(error), None),
        }
    };
    spawn::fork(|| i32::from(work().is_err())).map_err(lost)?;
    drop(theirs);
    match received::<ANSWER>(ours.as_fd(), MsgFlags::empty()).map_err(lost)? {
        Some((_, Some(tree))) => Ok(tree),
        Some((answer, None)) => Err(decode(answer)),
        None => Err(lost(Errno::EPIPE)),
    }
}

fn encode(error: OverlayError) -> [u8; ANSWER] {
    let (step, at) = match error.step {
        Step::Namespaces => (0, 0),
        Step::Tree => (1, 0),
        Step::Open(at) => (2, at),
        Step::Mount(at) => (3, at),
    };
    let [a, b, c, d] = (error.errno as i32).to_le_bytes();
    [step, at, a, b, c, d]
}

fn decode([step, at, a, b, c, d]: [u8; ANSWER]) -> OverlayError {
    let step = match step {
        0 => Step::Namespaces,
        2 => Step::Open(at),
        3 => Step::Mount(at),
        _ => Step::Tree,
    };
    OverlayError { step, errno: Errno::from_raw(i32::from_le_bytes([a, b, c, d])) }
}

/// The directories of an overlay.
struct Held {
    lower: OwnedFd,
    upper: OwnedFd,
    work: OwnedFd,
}

/// The child's work.
fn build(
    size: Option<u64>,
    folders: &str,
    overlays: &[Overlay],
    cover: &Path,
) -> Result<OwnedFd, OverlayError> {
    let of = |step| move |errno| OverlayError { step, errno };
    enter().map_err(of(Step::Namespaces))?;
    // Before anything is covered.
    let mut held = Vec::new();
    for (at, overlay) in (0..).zip(overlays) {
        held.push(hold(overlay).map_err(of(Step::Open(at)))?);
    }
    let tree = of(Step::Tree);
    let root = tmpfs::mount(size).map_err(tree)?;
    attach(&root, AT_FDCWD, cover).map_err(tree)?;
    mkdirat(&root, folders, Mode::S_IRWXU).map_err(tree)?;
    for ((at, overlay), held) in (0..).zip(overlays).zip(&held) {
        let name = Path::new(folders).join(&overlay.name);
        mkdirat(&root, &name, Mode::S_IRWXU).map_err(tree)?;
        overlaid(held).and_then(|mount| attach(&mount, root.as_fd(), &name)).map_err(of(Step::Mount(at)))?;
    }
    let flags =
        OPEN_TREE_CLONE | AT_RECURSIVE | AtFlags::AT_EMPTY_PATH.bits() as u64 | libc::O_CLOEXEC as u64;
    new(libc::SYS_open_tree, [root.as_raw_fd() as u64, c"".as_ptr() as u64, flags, 0]).map_err(tree)
}

/// A mount namespace in which this process may mount, from which nothing gets out.
fn enter() -> Result<(), Errno> {
    let (user, group) = (geteuid(), getegid());
    match unshare(CloneFlags::CLONE_NEWNS) {
        Err(Errno::EPERM) => {
            unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
            same_user(user, group)?;
        }
        done => done?,
    }
    mount(None::<&CStr>, c"/", None::<&CStr>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&CStr>)
}

fn hold(overlay: &Overlay) -> Result<Held, Errno> {
    let open = |path: &Path| {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
        match openat2(AT_FDCWD, path, how) {
            // What rxbox runs in may not know the call; the identity of the lower directory is looked at.
            Err(Errno::ENOSYS) => openat(AT_FDCWD, path, flags | OFlag::O_NOFOLLOW, Mode::empty()),
            done => done,
        }
    };
    let held =
        Held { lower: open(&overlay.lower)?, upper: open(&overlay.upper)?, work: open(&overlay.work)? };
    let lower = fstat(&held.lower)?;
    if (lower.st_dev, lower.st_ino) == overlay.identity { Ok(held) } else { Err(Errno::ESTALE) }
}

/// The mount, which knows nothing of set-user-id bits and devices, and follows nothing that is written in
/// attributes of files but what is left out below a directory (`userxattr`, which forbids redirections).
fn overlaid(held: &Held) -> Result<OwnedFd, Errno> {
    let context = Mounting::of(c"overlay")?;
    let name =
        |fd: &OwnedFd| CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).map_err(|_| Errno::EINVAL);
    for (key, value) in [
        (c"lowerdir", name(&held.lower)?),
        (c"upperdir", name(&held.upper)?),
        (c"workdir", name(&held.work)?),
        (c"index", c"off".to_owned()),
        (c"xino", c"auto".to_owned()),
    ] {
        configure(context.as_fd(), SET_STRING, Some((key, Some(&value))))?;
    }
    configure(context.as_fd(), SET_FLAG, Some((c"userxattr", None)))?;
    configure(context.as_fd(), CREATE, None)?;
    mounted(context.as_fd())
}

fn attach(from: &OwnedFd, directory: BorrowedFd<'_>, name: &Path) -> Result<(), Errno> {
    use std::os::unix::ffi::OsStrExt;
    let name = CString::new(name.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    tmpfs::move_mount(from.as_fd(), directory, &name, MOVE_FROM_EMPTY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_arrives_as_it_was_sent() {
        for step in [Step::Namespaces, Step::Tree, Step::Open(63), Step::Mount(7)] {
            let error = OverlayError { step, errno: Errno::ESTALE };
            assert_eq!(decode(encode(error)), error);
        }
    }
}

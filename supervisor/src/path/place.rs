//! Where a walk stands.

use super::Lookup;
use crate::caller::Caller;
use crate::state::fd::{File, Kind};
use crate::state::names::{Dir, in_proc, label_of, root};
use crate::view::{self, Node};
use nix::errno::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Where a walk stands on the host.
#[derive(Clone)]
pub(super) enum Base {
    Root(BorrowedFd<'static>),
    Cwd(Arc<Dir>),
    File(Arc<File>),
    Held(Arc<OwnedFd>),
}

impl Base {
    /// The name by which what is looked up in it is judged. A directory that the guest holds can get another
    /// name, but by the guest itself only one below which the same rules hold.
    pub(super) fn name(&self) -> Result<Vec<u8>, Errno> {
        match self {
            Base::Root(_) => Ok(b"/".to_vec()),
            Base::Cwd(dir) => Ok(dir.path.to_vec()),
            Base::File(file) => match &file.path {
                Some(path) => Ok(path.to_vec()),
                None => label_of(file.host.as_fd()),
            },
            Base::Held(fd) => label_of(fd.as_fd()),
        }
    }

    /// A directory just opened, as a place.
    pub(super) fn held(fd: OwnedFd) -> Place {
        Place::Host(Base::Held(Arc::new(fd)))
    }
}

impl AsFd for Base {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Base::Root(fd) => *fd,
            Base::Cwd(dir) => dir.as_fd(),
            Base::File(file) => file.host.as_fd(),
            Base::Held(fd) => fd.as_fd(),
        }
    }
}

/// Where a walk stands.
pub(super) enum Place {
    Host(Base),
    View(Node),
}

impl Place {
    /// The root directory.
    pub(super) fn root() -> Result<Place, Errno> {
        Ok(Place::Host(Base::Root(root()?)))
    }

    /// Where the walk along `path` starts.
    pub(super) fn of(caller: &Caller<'_>, dirfd: i32, path: &CStr, how: Lookup) -> Result<Place, Errno> {
        if path.to_bytes().first() == Some(&b'/') && !how.restrict.intersects(Lookup::FENCED) {
            return Place::root();
        }
        if dirfd == libc::AT_FDCWD {
            let cwd = caller.process.cwd();
            return if in_proc(&cwd.path) {
                view::at(caller, &cwd.path).map(Place::View)
            } else {
                Ok(Place::Host(Base::Cwd(cwd)))
            };
        }
        Place::file(caller, caller.process.fds.get(dirfd)?)
    }

    /// An open file as a place; ENOTDIR if it is no directory.
    pub(super) fn file(caller: &Caller<'_>, file: Arc<File>) -> Result<Place, Errno> {
        match file.path.as_deref().filter(|path| in_proc(path)) {
            Some(path) if file.kind == Kind::View => view::at(caller, path).map(Place::View),
            _ if file.is_directory()? => Ok(Place::Host(Base::File(file))),
            _ => Err(Errno::ENOTDIR),
        }
    }
}

/// One component of what is left of the way.
pub(super) struct Step {
    /// The component.
    pub(super) name: CString,
    /// Nothing but slashes follows.
    pub(super) last: bool,
    /// Slashes follow: the component is a directory, and a link is followed.
    pub(super) slash: bool,
}

impl Step {
    /// Whether it is `.` or `..`, which are always there.
    pub(super) fn is_dots(&self) -> bool {
        matches!(self.name.as_bytes(), b"." | b"..")
    }
    /// Whether a link here is followed.
    pub(super) fn follows(&self, how: Lookup) -> bool {
        !self.last || self.slash || how.follow
    }
    /// Whether anything but a directory can stand here.
    pub(super) fn may_be_file(&self) -> bool {
        self.last && !self.slash
    }
}

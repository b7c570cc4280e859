//! The common beginning of these calls: a name is looked up, and judged by what it led to.

use crate::caller::Caller;
use crate::context::Call;
use crate::host::SyscallResult;
use crate::path::{Found, Lookup, Resolved, Target, resolve};
use crate::state::fd::Kind;
use nix::errno::Errno;
use rxbox_policy::Access;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

/// A name as a call gives it: what it is relative to, and the path or what is wrong with it, which is told
/// once the call comes to it.
pub(super) type Given<'a> = (i32, Result<&'a CStr, Errno>);

/// The errno for everything that would change the view of `/proc`.
pub(super) const VIEW_IS_FIXED: Errno = Errno::EPERM;

/// Looks up a name that must exist.
pub(super) fn find(caller: &Caller<'_>, dirfd: i32, path: &CStr, how: Lookup) -> Result<Resolved, Errno> {
    match resolve(caller, dirfd, path, how)? {
        Found::There(found) => Ok(found),
        Found::Missing(_) => Err(Errno::ENOENT),
    }
}

impl Resolved {
    /// The policy's word on it. What is reached through an open descriptor is judged as
    /// [`Caller::check_open`] says.
    pub(super) fn check(&self, caller: &Caller<'_>, access: Access) -> Result<(), Errno> {
        match &self.target {
            Target::Open(file) => caller.check_open(access, file),
            _ => caller.check(access, &self.path),
        }
    }

    /// The same for a program that only asks whether it could ([`Caller::check_probe`]).
    pub(super) fn check_probe(&self, caller: &Caller<'_>, access: Access) -> Result<(), Errno> {
        match &self.target {
            Target::Open(file) => caller.check_open(access, file),
            _ => caller.check_probe(access, &self.path),
        }
    }

    /// Whether names can be made in this directory, even if it is not the guest's to replace itself: one that
    /// no rule means stands for them.
    pub(super) fn takes_names(&self, caller: &Caller<'_>) -> bool {
        let any = [self.path.strip_suffix(b"/").unwrap_or(&self.path), b"/any"].concat();
        matches!(self.target, Target::Host(_)) && caller.allows(Access::Create, &any)
    }

    /// Whether the guest may know of it: what it has open it knows already.
    pub(super) fn check_known(&self, caller: &Caller<'_>) -> Result<(), Errno> {
        match &self.target {
            Target::Open(_) => Ok(()),
            _ => caller.check(Access::Metadata, &self.path),
        }
    }

    /// The descriptor to change the object through, or the errno for an entry of the view.
    pub(super) fn changeable(&self) -> Result<BorrowedFd<'_>, Errno> {
        match &self.target {
            Target::Host(object) => Ok(object.as_fd()),
            Target::Open(file) if file.kind != Kind::View => Ok(file.host.as_fd()),
            Target::Open(_) | Target::View(_) => Err(VIEW_IS_FIXED),
        }
    }

    /// Whether it is a symbolic link.
    pub(super) fn is_link(&self) -> bool {
        match &self.target {
            Target::Host(object) => object.is_link(),
            Target::View(node) => node.is_link(),
            Target::Open(_) => false,
        }
    }
}

/// Flags of an `*at` call beyond those it knows are an error.
pub(super) fn known(flags: i32, known: i32) -> Result<(), Errno> {
    if flags & !known == 0 { Ok(()) } else { Err(Errno::EINVAL) }
}

/// The common beginning of a handler: the caller, and the name that arguments `dirfd` and `path` give, looked
/// up.
pub(super) fn named<'c>(
    call: &'c Call<'_>,
    dirfd: i32,
    path: usize,
    how: Lookup,
) -> Result<(Caller<'c>, Resolved), Errno> {
    let caller = Caller::of(call);
    let found = find(&caller, dirfd, call.string(path)?, how)?;
    Ok((caller, found))
}

/// The answer of a call that returns nothing.
pub(super) fn done(result: Result<(), Errno>) -> SyscallResult {
    result.map(|()| 0)
}

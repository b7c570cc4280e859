//! Calls that name files.
//!
//! Each call has the same form: the name is looked up once ([`crate::path`]), the policy is asked about what it led to,
//! and the host call is made on the descriptor that the look-up holds. What differs is written in one file per subject:
//! [`open`], [`stat`], [`names`] (calls that make or take away names), [`attributes`], [`xattr`], [`directory`],
//! [`watch`], [`exec`].
//!
//! Order of answers: a name that does not exist says so, whoever asks, unless it is hidden; then the policy speaks; then
//! the kernel. So a program that probes for files finds what it would find without the sandbox, and a denial is only
//! reported for what is there.

mod attributes;
mod directory;
mod exec;
mod names;
mod open;
mod rename;
mod stat;
mod watch;
mod xattr;

pub use exec::open_exec;

use crate::context::Call;
use crate::handlers::Entry;
use crate::host::SyscallResult;
use crate::path::{Caller, Found, Lookup, Resolved, Target, resolve};
use crate::state::fd::Kind;
use nix::errno::Errno;
use rxbox_policy::Access;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

/// The subjects' lists.
const SUBJECTS: [&[Entry]; 8] = [
    open::HANDLERS,
    stat::HANDLERS,
    names::HANDLERS,
    rename::HANDLERS,
    attributes::HANDLERS,
    xattr::HANDLERS,
    directory::HANDLERS,
    watch::HANDLERS,
];

/// The handlers of all calls that name files.
pub const HANDLERS: &[Entry] = &joined();

const fn joined() -> [Entry; total()] {
    let mut all = [SUBJECTS[0][0]; total()];
    let (mut subject, mut at) = (0, 0);
    while subject < SUBJECTS.len() {
        let mut i = 0;
        while i < SUBJECTS[subject].len() {
            all[at] = SUBJECTS[subject][i];
            at += 1;
            i += 1;
        }
        subject += 1;
    }
    all
}

const fn total() -> usize {
    let (mut subject, mut n) = (0, 0);
    while subject < SUBJECTS.len() {
        n += SUBJECTS[subject].len();
        subject += 1;
    }
    n
}

/// The errno for everything that would change the view of `/proc`.
const VIEW_IS_FIXED: Errno = Errno::EPERM;

/// Looks up a name that must exist.
fn find(caller: &Caller<'_>, dirfd: i32, path: &CStr, how: Lookup) -> Result<Resolved, Errno> {
    match resolve(caller, dirfd, path, how)? {
        Found::There(found) => Ok(found),
        Found::Missing(_) => Err(Errno::ENOENT),
    }
}

impl Resolved {
    /// The policy's word on it. What is reached through an open descriptor is judged as [`Caller::check_open`] says.
    fn check(&self, caller: &Caller<'_>, access: Access) -> Result<(), Errno> {
        match &self.target {
            Target::Open(file) => caller.check_open(access, file),
            _ => caller.check(access, &self.path),
        }
    }

    /// Whether the guest may know of it: what it has open it knows already.
    fn check_known(&self, caller: &Caller<'_>) -> Result<(), Errno> {
        match &self.target {
            Target::Open(_) => Ok(()),
            _ => caller.check(Access::Metadata, &self.path),
        }
    }

    /// The descriptor to change the object through, or the errno for an entry of the view.
    fn changeable(&self) -> Result<BorrowedFd<'_>, Errno> {
        match &self.target {
            Target::Host(object) => Ok(object.as_fd()),
            Target::Open(file) if file.kind != Kind::View => Ok(file.host.as_fd()),
            Target::Open(_) | Target::View(_) => Err(VIEW_IS_FIXED),
        }
    }

    /// Whether it is a symbolic link.
    fn is_link(&self) -> bool {
        match &self.target {
            Target::Host(object) => object.is_link(),
            Target::View(node) => {
                !node.is_dir() && node.status().is_ok_and(|s| s.st_mode & libc::S_IFMT == libc::S_IFLNK)
            }
            Target::Open(_) => false,
        }
    }
}

/// Flags of an `*at` call beyond those it knows are an error.
fn known(flags: i32, known: i32) -> Result<(), Errno> {
    if flags & !known == 0 { Ok(()) } else { Err(Errno::EINVAL) }
}

/// The common beginning of a handler: the caller, and the name that arguments `dirfd` and `path` give, looked up.
fn named<'c>(
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
fn done(result: Result<(), Errno>) -> SyscallResult {
    result.map(|()| 0)
}

#[cfg(test)]
mod tests;

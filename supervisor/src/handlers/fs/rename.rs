//! rename(2).
//!
//! A rename takes one name away and makes another, and both are asked for. It must not carry anything from
//! under one rule to under another: a file whose old name may not be read must not get one that may, and a
//! directory takes all below it along. Where the policy distinguishes something below either name, a
//! directory is not moved; where the old name gives less than the new, neither is a file. The errno is then
//! EXDEV, as between two file systems, for that is how it is: programs know it, and copy file by file
//! instead, each judged by its own names.

use super::named::VIEW_IS_FIXED;
use super::names::is_there;
use crate::caller::Caller;
use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::path::{Parent, parent};
use libc::AT_FDCWD;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, RenameFlags, renameat2};
use nix::sys::stat::fstatat;
use rxbox_policy::{Access, Verdict};
use std::ffi::CStr;

/// The handlers of this module.
pub(crate) const HANDLERS: &[Entry] = &[
    ("rename", |call| serve(call, AT_FDCWD, 0, AT_FDCWD, 1, 0)),
    ("renameat", |call| serve(call, call.i32(0), 1, call.i32(2), 3, 0)),
    ("renameat2", |call| serve(call, call.i32(0), 1, call.i32(2), 3, call.u32(4))),
];

fn serve(call: &Call<'_>, old_dir: i32, old: usize, new_dir: i32, new: usize, flags: u32) -> SyscallResult {
    rename(&Caller::of(call), (old_dir, call.string(old)?), (new_dir, call.string(new)?), flags)
}

pub(super) fn rename(caller: &Caller<'_>, old: (i32, &CStr), new: (i32, &CStr), flags: u32) -> SyscallResult {
    let flags = RenameFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if flags.contains(RenameFlags::RENAME_WHITEOUT) {
        return Err(Errno::EINVAL);
    }
    let exchange = flags.contains(RenameFlags::RENAME_EXCHANGE);
    let (from, to) = (parent(caller, old.0, old.1)?, parent(caller, new.0, new.1)?);
    if !from.is_dots() && !to.is_dots() {
        if from.in_view() || to.in_view() {
            return Err(if from.in_view() != to.in_view() { Errno::EXDEV } else { VIEW_IS_FIXED });
        }
        may_move(caller, &from, &to)?;
        if exchange {
            may_move(caller, &to, &from)?;
        } else {
            may_replace(caller, &to, flags)?;
        }
    }
    renameat2(&from.dir, from.leaf(), &to.dir, to.leaf(), flags).map(|()| 0)
}

/// Whether what has the name `from` may have the name `to` instead.
fn may_move(caller: &Caller<'_>, from: &Parent, to: &Parent) -> Result<(), Errno> {
    let (old, new) = (from.path(), to.path());
    if !caller.allows(Access::Remove, &old) && !is_there(caller, from) {
        return Err(Errno::ENOENT);
    }
    caller.check(Access::Remove, &old)?;
    caller.check(Access::Create, &new)?;
    let gains = [Access::Read, Access::Write];
    if gains.into_iter().any(|access| caller.allows(access, &new) && !caller.allows(access, &old)) {
        return Err(Errno::EXDEV);
    }
    // Should a directory take the file's place before the kernel looks, then one that the guest has just
    // made: those in which the policy distinguishes something are moved neither away from a name nor to it.
    let file = fstatat(&from.dir, from.name(), AtFlags::AT_SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| stat.st_mode & libc::S_IFMT != libc::S_IFDIR);
    match caller.sandbox.policy.rename(&old, &new, true).verdict {
        Verdict::Allow => Ok(()),
        _ if file && from.name() == from.leaf.as_bytes() => Ok(()),
        _ => Err(Errno::EXDEV),
    }
}

/// Whether what has the name already may lose it.
fn may_replace(caller: &Caller<'_>, to: &Parent, flags: RenameFlags) -> Result<(), Errno> {
    let name = to.path();
    if flags.contains(RenameFlags::RENAME_NOREPLACE)
        || caller.allows(Access::Remove, &name)
        || !is_there(caller, to)
    {
        return Ok(());
    }
    caller.check(Access::Remove, &name)
}

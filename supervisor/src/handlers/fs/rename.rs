//! rename(2).
//!
//! A rename takes one name away and makes another, and both are asked for. It must not carry anything from
//! under one rule to under another. What has the old name may be exchanged until the kernel looks, by another
//! thread of the guest's or by anybody, so the policy judges the two names alone and allows what is right
//! whatever they lead to ([`rxbox_policy::Policy::rename`]). Else the errno is EXDEV, as between two file
//! systems, for that is how it is: programs know it, and copy file by file instead, each judged by its own
//! names.

use super::named::{Given, VIEW_IS_FIXED};
use super::names::is_missing;
use crate::caller::Caller;
use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::path::{Parent, parent};
use libc::AT_FDCWD;
use nix::errno::Errno;
use nix::fcntl::{RenameFlags, renameat2};
use rxbox_policy::Access;

/// The handlers of this module.
pub(crate) const HANDLERS: &[Entry] = &[
    ("rename", |call| serve(call, AT_FDCWD, 0, AT_FDCWD, 1, 0)),
    ("renameat", |call| serve(call, call.i32(0), 1, call.i32(2), 3, 0)),
    ("renameat2", |call| serve(call, call.i32(0), 1, call.i32(2), 3, call.u32(4))),
];

fn serve(call: &Call<'_>, old_dir: i32, old: usize, new_dir: i32, new: usize, flags: u32) -> SyscallResult {
    rename(&Caller::of(call), (old_dir, call.string(old)), (new_dir, call.string(new)), flags)
}

/// The kernel looks at the flags before it looks at the names.
fn known_flags(flags: u32) -> Result<RenameFlags, Errno> {
    let flags = RenameFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    let makes = RenameFlags::RENAME_NOREPLACE | RenameFlags::RENAME_WHITEOUT;
    let exchange = flags.contains(RenameFlags::RENAME_EXCHANGE);
    if exchange && flags.intersects(makes) { Err(Errno::EINVAL) } else { Ok(flags) }
}

/// With RENAME_WHITEOUT something is made under the old name: a device that is none, which every file system
/// reads as that there is nothing.
pub(super) fn rename(caller: &Caller<'_>, old: Given<'_>, new: Given<'_>, flags: u32) -> SyscallResult {
    let flags = known_flags(flags)?;
    let exchange = flags.contains(RenameFlags::RENAME_EXCHANGE);
    let (from, to) = (parent(caller, old.0, old.1?)?, parent(caller, new.0, new.1?)?);
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
        if flags.contains(RenameFlags::RENAME_WHITEOUT) {
            caller.check(Access::Create, &from.path())?;
        }
    }
    renameat2(&from.dir, from.leaf(), &to.dir, to.leaf(), flags).map(|()| 0)
}

/// Whether what has the name `from` may have the name `to` instead.
fn may_move(caller: &Caller<'_>, from: &Parent, to: &Parent) -> Result<(), Errno> {
    let (old, new) = (from.path(), to.path());
    if !caller.allows(Access::Remove, &old) && is_missing(caller, from) {
        return Err(Errno::ENOENT);
    }
    caller.check(Access::Remove, &old)?;
    caller.check(Access::Create, &new)?;
    caller.check_rename(&old, &new)
}

/// Whether what has the name already may lose it.
fn may_replace(caller: &Caller<'_>, to: &Parent, flags: RenameFlags) -> Result<(), Errno> {
    let name = to.path();
    if flags.contains(RenameFlags::RENAME_NOREPLACE)
        || caller.allows(Access::Remove, &name)
        || is_missing(caller, to)
    {
        return Ok(());
    }
    caller.check(Access::Remove, &name)
}

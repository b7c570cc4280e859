//! Extended attributes (xattr(7)).
//!
//! The guest has those of the `user.` space. `security.`, `system.` and `trusted.` hold capabilities, access
//! lists and labels, by which the kernel decides: they read as absent and cannot be changed, as on a file
//! system without them.

use super::named::{VIEW_IS_FIXED, done, named};
use crate::caller::Caller;
use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::name::{get_attribute, list_attributes, remove_attribute, set_attribute};
use crate::path::{Lookup, Resolved, Target};
use crate::state::fd::Kind;
use libc::AT_FDCWD;
use nix::errno::Errno;
use rxbox_policy::Access;
use std::ffi::CStr;

/// The handlers of this module.
pub(crate) const HANDLERS: &[Entry] = &[
    ("getxattr", |call| get(call, Some(Lookup::FOLLOW))),
    ("lgetxattr", |call| get(call, Some(Lookup::LINK))),
    ("fgetxattr", |call| get(call, None)),
    ("listxattr", |call| list(call, Some(Lookup::FOLLOW))),
    ("llistxattr", |call| list(call, Some(Lookup::LINK))),
    ("flistxattr", |call| list(call, None)),
    ("setxattr", |call| set(call, Some(Lookup::FOLLOW))),
    ("lsetxattr", |call| set(call, Some(Lookup::LINK))),
    ("fsetxattr", |call| set(call, None)),
    ("removexattr", |call| remove(call, Some(Lookup::FOLLOW))),
    ("lremovexattr", |call| remove(call, Some(Lookup::LINK))),
    ("fremovexattr", |call| remove(call, None)),
];

/// Longest name (XATTR_NAME_MAX) and largest value or list (XATTR_SIZE_MAX, XATTR_LIST_MAX) of
/// linux/limits.h.
const NAME_MAX: usize = 255;
const SIZE_MAX: usize = 65536;

/// What argument 0 names: a path, looked up so, or else a descriptor.
fn object<'c>(call: &'c Call<'_>, how: Option<Lookup>) -> Result<(Caller<'c>, Resolved), Errno> {
    match how {
        Some(how) => named(call, AT_FDCWD, 0, how),
        None => {
            let target = Target::Open(call.file(0)?);
            Ok((Caller::of(call), Resolved { target, path: Vec::new() }))
        }
    }
}

/// Whether the guest has this attribute; ERANGE for names that none can have.
fn is_users(name: &CStr) -> Result<bool, Errno> {
    match name.to_bytes() {
        b"" => Err(Errno::ERANGE),
        name if name.len() > NAME_MAX => Err(Errno::ERANGE),
        name => Ok(name.starts_with(b"user.")),
    }
}

/// The attribute that every socket has: the name of its protocol.
const PROTOCOL: &[u8] = b"system.sockprotoname";

/// Whether what argument 0 names shows this attribute, which is not the user's.
fn shows(found: &Resolved, name: &[u8]) -> bool {
    matches!(&found.target, Target::Open(file) if file.kind == Kind::Socket) && name == PROTOCOL
}

/// The answer for an attribute that is not the user's: `privileged` where the kernel knows the class but
/// keeps it for those with capabilities (xattr(7)).
fn foreign(name: &CStr, privileged: Errno) -> Errno {
    let name = name.to_bytes();
    if name.starts_with(b"security.") || name.starts_with(b"trusted.") {
        privileged
    } else {
        Errno::EOPNOTSUPP
    }
}

/// The policy's word on reading attributes. What the guest has open to read, it may read.
fn may_read(caller: &Caller<'_>, found: &Resolved) -> Result<(), Errno> {
    match &found.target {
        Target::Open(file) if file.readable() => Ok(()),
        _ => found.check(caller, Access::Read),
    }
}

fn get(call: &mut Call<'_>, how: Option<Lookup>) -> SyscallResult {
    let room = call.room(2);
    let (length, value) = {
        // The kernel takes the name in before it looks at the object.
        let name = call.string(1)?;
        let users = is_users(name)?;
        let (caller, found) = object(call, how)?;
        if !users && !shows(&found, name.to_bytes()) {
            found.check_known(&caller)?;
            return Err(foreign(name, Errno::ENODATA));
        }
        may_read(&caller, &found)?;
        if found.is_link() {
            return Err(Errno::ENODATA);
        }
        let object = found.changeable().map_err(|_| Errno::EOPNOTSUPP)?;
        get_attribute(object, name, room.min(SIZE_MAX))?
    };
    call.put(2, &value)?;
    Ok(length as i64)
}

fn list(call: &mut Call<'_>, how: Option<Lookup>) -> SyscallResult {
    let users: Vec<u8> = {
        let (caller, found) = object(call, how)?;
        may_read(&caller, &found)?;
        let names = match found.changeable() {
            Ok(object) if !found.is_link() => list_attributes(object, SIZE_MAX)?.1,
            _ => Vec::new(),
        };
        let shown = |name: &&[u8]| {
            name.starts_with(b"user.") || shows(&found, name.strip_suffix(b"\0").unwrap_or(name))
        };
        names.split_inclusive(|&b| b == 0).filter(shown).flatten().copied().collect()
    };
    let room = call.room(1);
    if room != 0 && users.len() > room {
        return Err(Errno::ERANGE);
    }
    call.put(1, &users)?;
    Ok(users.len() as i64)
}

/// The common checks of changing an attribute, then `change` on the object's descriptor.
fn change(
    call: &Call<'_>,
    how: Option<Lookup>,
    change: impl FnOnce(std::os::fd::BorrowedFd<'_>, &CStr) -> Result<(), Errno>,
) -> SyscallResult {
    let name = call.string(1)?;
    let users = is_users(name)?;
    let (caller, found) = object(call, how)?;
    if !users {
        found.check_known(&caller)?;
        return Err(foreign(name, Errno::EPERM));
    }
    let object = found.changeable().map_err(|_| VIEW_IS_FIXED)?;
    found.check(&caller, Access::Attributes)?;
    if found.is_link() {
        return Err(Errno::EPERM);
    }
    done(change(object, name))
}

fn set(call: &mut Call<'_>, how: Option<Lookup>) -> SyscallResult {
    let flags = call.i32(4);
    if flags & !(libc::XATTR_CREATE | libc::XATTR_REPLACE) != 0 {
        return Err(Errno::EINVAL);
    }
    is_users(call.string(1)?)?;
    if call.u64(3) > SIZE_MAX as u64 {
        return Err(Errno::E2BIG);
    }
    let value = call.need(2)?;
    change(call, how, |object, name| set_attribute(object, name, value, flags))
}

fn remove(call: &mut Call<'_>, how: Option<Lookup>) -> SyscallResult {
    change(call, how, remove_attribute)
}

//! inotify(7): watching files by name.
//!
//! A watch tells when something is read and by what name something comes and goes in a directory: it takes
//! the right to read the file or list the directory. A directory in which the policy hides names is not
//! watched at all, for events would tell of them.

use super::named::find;
use crate::caller::Caller;
use crate::context::{Call, Entry};
use crate::host::SyscallResult;
use crate::host::name::{add_watch, is_watcher};
use crate::path::{Lookup, Target};
use crate::state::fd::Kind;
use crate::state::names::label_of;
use nix::errno::Errno;
use rxbox_policy::Access;
use std::os::fd::AsFd;

/// The handlers of this module.
pub(crate) const HANDLERS: &[Entry] = &[("inotify_add_watch", inotify_add_watch)];

/// inotify_add_watch(2). The mask's flags about the name are seen to here, the rest is the kernel's.
fn inotify_add_watch(call: &mut Call<'_>) -> SyscallResult {
    const ALL: u32 = libc::IN_ALL_EVENTS
        | libc::IN_UNMOUNT
        | libc::IN_Q_OVERFLOW
        | libc::IN_IGNORED
        | libc::IN_EXCL_UNLINK
        | libc::IN_MASK_CREATE
        | libc::IN_MASK_ADD
        | libc::IN_ISDIR
        | libc::IN_ONESHOT
        | ABOUT_NAME;
    const ABOUT_NAME: u32 = libc::IN_DONT_FOLLOW | libc::IN_ONLYDIR;
    const TOGETHER: u32 = libc::IN_MASK_ADD | libc::IN_MASK_CREATE;
    let mask = call.u32(2);
    // The kernel looks at the mask first.
    if mask & ALL == 0 || mask & !ALL != 0 {
        return Err(Errno::EINVAL);
    }
    let inotify = call.file(0)?;
    if mask & TOGETHER == TOGETHER || inotify.kind != Kind::Event || !is_watcher(inotify.host.as_fd()) {
        return Err(Errno::EINVAL);
    }
    let caller = Caller::of(call);
    let how = Lookup { follow: mask & libc::IN_DONT_FOLLOW == 0, ..Lookup::FOLLOW };
    let found = find(&caller, libc::AT_FDCWD, call.string(1)?, how)?;
    let (fd, dir) = match &found.target {
        Target::Host(object) => (object.as_fd(), object.is_dir()),
        Target::Open(file) if file.kind != Kind::View => (file.host.as_fd(), file.kind == Kind::Directory),
        // The kernel sends no events for procfs either.
        Target::Open(_) | Target::View(_) => return Err(Errno::EACCES),
    };
    if mask & libc::IN_ONLYDIR != 0 && !dir {
        return Err(Errno::ENOTDIR);
    }
    found.check(&caller, if dir { Access::List } else { Access::Read })?;
    if dir && caller.sandbox.policy.hides_any_below(&label_of(fd)?) {
        return Err(Errno::EACCES);
    }
    add_watch(inotify.host.as_fd(), fd, mask & !ABOUT_NAME).map(i64::from)
}

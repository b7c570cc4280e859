//! What the values of flags, commands, signals and errors are called, under the names of the manual pages.
//!
//! The values come from the C library's headers (crate `libc`); only what is missing there is spelled out.

mod errors;
mod process;
mod sockets;

pub use errors::errno;
pub use process::*;
pub use sockets::*;

use crate::kind::Names;

/// [`Names`] sets: `NAME` takes its value from `libc`, `NAME = value` spells it out. `field` holds the bits
/// that are one value together.
macro_rules! names {
    ($(
        $(#[$doc:meta])*
        $set:ident $title:literal $(field $field:literal)? { $($name:ident $(= $value:expr)?),* $(,)? }
    )*) => {
        $($(#[$doc])* pub static $set: crate::kind::Names = crate::kind::Names {
            title: $title,
            field: 0 $(+ $field)?,
            names: &[$((crate::names::value!($name $(= $value)?), stringify!($name))),*],
        };)*
    };
}

/// The value of a name, as 32 unsigned bits unless it is spelled out.
macro_rules! value {
    ($name:ident) => {
        libc::$name as u32 as u64
    };
    ($name:ident = $value:expr) => {
        $value as u64
    };
}
pub(crate) use {names, value};

impl Names {
    /// The name of a value out of a choice, or of the field of a set of flags.
    pub fn name(&self, value: u64) -> Option<&'static str> {
        self.names.iter().find(|(v, _)| *v == value).map(|(_, name)| *name)
    }

    /// The value of a name.
    pub fn value(&self, name: &str) -> Option<u64> {
        self.names.iter().find(|(_, n)| *n == name).map(|(v, _)| *v)
    }
}

names! {
    /// Flags of open(2), also read and set by fcntl(2).
    OPEN "open flags" field 0o3 {
        O_RDONLY, O_WRONLY, O_RDWR, O_TMPFILE, O_SYNC, O_CREAT, O_EXCL, O_NOCTTY, O_TRUNC, O_APPEND,
        O_NONBLOCK,
        O_DSYNC, FASYNC = 0o20000, O_DIRECT, O_LARGEFILE = 0o100000, O_DIRECTORY, O_NOFOLLOW, O_NOATIME,
        O_CLOEXEC,
        O_PATH,
    }
    /// Flags of pipe2(2).
    PIPE "pipe flags" { O_CLOEXEC, O_NONBLOCK, O_DIRECT, O_NOTIFICATION_PIPE = 0o200 }
    /// Flags of dup3(2).
    DUP "dup3 flags" { O_CLOEXEC }
    /// Flags of the `*at` calls.
    AT "at flags" {
        AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW, AT_NO_AUTOMOUNT, AT_EMPTY_PATH,
        AT_STATX_FORCE_SYNC, AT_STATX_DONT_SYNC,
    }
    /// Flags of unlinkat(2).
    UNLINK "unlinkat flags" { AT_REMOVEDIR }
    /// Flags of faccessat2(2).
    ACCESS_AT "faccessat2 flags" { AT_EACCESS, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH }
    /// Modes of access(2).
    ACCESS "access mode" { F_OK, R_OK, W_OK, X_OK }
    /// Flags of renameat2(2).
    RENAME "rename flags" { RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT }
    /// Bits of statx(2)'s mask.
    STATX "statx mask" {
        STATX_BASIC_STATS, STATX_TYPE, STATX_MODE, STATX_NLINK, STATX_UID, STATX_GID, STATX_ATIME,
        STATX_MTIME,
        STATX_CTIME, STATX_INO, STATX_SIZE, STATX_BLOCKS, STATX_BTIME, STATX_MNT_ID, STATX_DIOALIGN,
    }
    /// Flags of setxattr(2).
    XATTR "xattr flags" { XATTR_CREATE, XATTR_REPLACE }
    /// Where lseek(2) counts from.
    SEEK "whence" { SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE }
    /// Modes of fallocate(2).
    FALLOCATE "fallocate mode" {
        FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_ZERO_RANGE,
        FALLOC_FL_INSERT_RANGE, FALLOC_FL_UNSHARE_RANGE,
    }
    /// Advice of posix_fadvise(2).
    FADVISE "file advice" {
        POSIX_FADV_NORMAL, POSIX_FADV_RANDOM, POSIX_FADV_SEQUENTIAL, POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED,
        POSIX_FADV_NOREUSE,
    }
    /// Operations of flock(2).
    FLOCK "flock operation" { LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN }
    /// Flags of sync_file_range(2).
    SYNC_RANGE "sync_file_range flags" {
        SYNC_FILE_RANGE_WAIT_BEFORE, SYNC_FILE_RANGE_WRITE, SYNC_FILE_RANGE_WAIT_AFTER,
    }
    /// Flags of preadv2(2) and pwritev2(2).
    RWF "read and write flags" { RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_NOWAIT, RWF_APPEND }
    /// Flags of splice(2) and tee(2).
    SPLICE "splice flags" { SPLICE_F_MOVE, SPLICE_F_NONBLOCK, SPLICE_F_MORE, SPLICE_F_GIFT }
    /// Flags of close_range(2).
    CLOSE_RANGE "close_range flags" { CLOSE_RANGE_UNSHARE, CLOSE_RANGE_CLOEXEC }
    /// Flags of memfd_create(2).
    MEMFD "memfd flags" { MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_HUGETLB, MFD_NOEXEC_SEAL, MFD_EXEC }
    /// Flags of a descriptor.
    FD_FLAGS "descriptor flags" { FD_CLOEXEC }
    /// Seals of a memory file.
    SEALS "seals" { F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_FUTURE_WRITE }
    /// Flags of eventfd2(2).
    EVENTFD "eventfd flags" { EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE }
    /// Flags of signalfd4(2).
    SIGNALFD "signalfd flags" { SFD_CLOEXEC, SFD_NONBLOCK }
    /// Flags of timerfd_create(2).
    TIMERFD "timerfd flags" { TFD_CLOEXEC, TFD_NONBLOCK }
    /// Flags of timerfd_settime(2).
    TIMERFD_SET "timerfd_settime flags" { TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET }
    /// Operations of epoll_ctl(2).
    EPOLL_OP "epoll operation" { EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD }
    /// Flags of epoll_create1(2).
    EPOLL_CREATE "epoll flags" { EPOLL_CLOEXEC }
    /// Flags of inotify_init1(2).
    INOTIFY_INIT "inotify flags" { IN_CLOEXEC, IN_NONBLOCK }
    /// Events of inotify_add_watch(2).
    INOTIFY "inotify events" {
        IN_ALL_EVENTS, IN_CLOSE, IN_MOVE, IN_ACCESS, IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE, IN_CLOSE_NOWRITE,
        IN_OPEN,
        IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_MOVE_SELF, IN_ONLYDIR,
        IN_DONT_FOLLOW,
        IN_EXCL_UNLINK, IN_MASK_CREATE, IN_MASK_ADD, IN_ISDIR, IN_ONESHOT,
    }
}

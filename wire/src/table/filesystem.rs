//! Calls that name files, and those on directories and attributes.

use super::structs::*;
use crate::kind::Extent::*;
use crate::kind::Kind::*;
use crate::kind::Presence::*;
use crate::kind::Syscall;
use crate::names::*;

const MOUNTS: &str = "what is mounted where is not the guest's to change";
const HANDLES: &str = "file handles pass by the check of paths";
const NEW: &str = "newer than the check of paths; programs fall back to the call before it";
const OLD: &str = "obsolete";
const OPENS: &str = "O_ASYNC is ignored; set-user-id and set-group-id bits are dropped";
const SET_ID: &str = "set-user-id and set-group-id bits are dropped";
const DEVICES: &str = "devices are EPERM";
const ATTRIBUTES: &str = "only the space user, and the protocol's name of sockets; no access lists";
const WATCHES: &str = "no folder in which a rule hides names; a program that is executed is opened twice";

pub(super) const ROWS: &[Syscall] = calls! { Filesystem:
    2 open Perform[OPENS] blocking restarts (pathname: Path(Needed), flags: Flags(&OPEN), mode: Mode);
    4 stat Perform (pathname: Path(Needed), statbuf: Out(Needed, Struct(&STAT)));
    5 fstat Perform (fd: Fd, statbuf: Out(Needed, Struct(&STAT)));
    6 lstat Perform (pathname: Path(Needed), statbuf: Out(Needed, Struct(&STAT)));
    21 access Perform (pathname: Path(Needed), mode: Flags(&ACCESS));
    76 truncate Perform (path: Path(Needed), length: I64);
    78 getdents Perform (fd: Fd, dirp: Out(Probed, Records { count }), count: I32);
    79 getcwd Emulate (buf: Out(Needed, Bulk { count: size }), size: U64);
    80 chdir Perform (path: Path(Needed));
    81 fchdir Perform (fd: Fd);
    82 rename Perform (oldpath: Path(Needed), newpath: Path(Needed));
    83 mkdir Perform (pathname: Path(Needed), mode: Mode);
    84 rmdir Perform (pathname: Path(Needed));
    85 creat Perform[SET_ID] blocking restarts (pathname: Path(Needed), mode: Mode);
    86 link Perform (oldpath: Path(Needed), newpath: Path(Needed));
    87 unlink Perform (pathname: Path(Needed));
    88 symlink Perform (target: Path(Needed), linkpath: Path(Needed));
    89 readlink Perform (pathname: Path(Needed), buf: Out(Needed, Bulk { count: bufsiz }), bufsiz: I32);
    90 chmod Perform[SET_ID] (pathname: Path(Needed), mode: Mode);
    91 fchmod Perform[SET_ID] (fd: Fd, mode: Mode);
    92 chown Perform (pathname: Path(Needed), owner: U32, group: U32);
    93 fchown Perform (fd: Fd, owner: U32, group: U32);
    94 lchown Perform (pathname: Path(Needed), owner: U32, group: U32);
    95 umask Emulate (mask: Mode);
    132 utime Perform (filename: Path(Needed), times: In(Optional, Struct(&UTIMBUF)));
    133 mknod Perform[DEVICES] (pathname: Path(Needed), mode: Mode, dev: U32);
    134 uselib Refuse[ENOSYS OLD] (library: Path(Needed));
    136 ustat Refuse[ENOSYS OLD] (dev: U32, ubuf: Addr);
    137 statfs Perform (path: Path(Needed), buf: Out(Needed, Struct(&STATFS)));
    138 fstatfs Perform (fd: Fd, buf: Out(Needed, Struct(&STATFS)));
    139 sysfs Refuse[ENOSYS OLD] (option: I32, arg1: U64, arg2: U64);
    155 pivot_root Refuse[EPERM MOUNTS] (new_root: Path(Needed), put_old: Path(Needed));
    161 chroot Refuse[EPERM "the guest has no right to another root"] (path: Path(Needed));
    162 sync Perform blocking ();
    165 mount Refuse[EPERM MOUNTS]
        (source: Text(Needed), target: Path(Needed), filesystemtype: Text(Needed), mountflags: U64,
        data: Addr);
    166 umount2 Refuse[EPERM MOUNTS] (target: Path(Needed), flags: U32);
    188 setxattr Perform[ATTRIBUTES] (path: Path(Needed), name: Text(Needed),
        value: In(Needed, Elements { count: size, size: 1 }), size: U64,
        flags: Flags(&XATTR));
    189 lsetxattr Perform[ATTRIBUTES] (path: Path(Needed), name: Text(Needed),
        value: In(Needed, Elements { count: size, size: 1 }), size: U64,
        flags: Flags(&XATTR));
    190 fsetxattr Perform[ATTRIBUTES] (fd: Fd, name: Text(Needed), value: In(Needed, Elements { count: size,
        size: 1 }),
        size: U64,
        flags: Flags(&XATTR));
    191 getxattr Perform[ATTRIBUTES] (path: Path(Needed), name: Text(Needed), value: Out(Needed,
        Bulk { count: size }),
        size: U64);
    192 lgetxattr Perform[ATTRIBUTES] (path: Path(Needed), name: Text(Needed), value: Out(Needed,
        Bulk { count: size }),
        size: U64);
    193 fgetxattr Perform[ATTRIBUTES] (fd: Fd, name: Text(Needed), value: Out(Needed, Bulk { count: size }),
        size: U64);
    194 listxattr Perform[ATTRIBUTES] (path: Path(Needed), list: Out(Needed, Bulk { count: size }),
        size: U64);
    195 llistxattr Perform[ATTRIBUTES] (path: Path(Needed), list: Out(Needed, Bulk { count: size }),
        size: U64);
    196 flistxattr Perform[ATTRIBUTES] (fd: Fd, list: Out(Needed, Bulk { count: size }), size: U64);
    197 removexattr Perform[ATTRIBUTES] (path: Path(Needed), name: Text(Needed));
    198 lremovexattr Perform[ATTRIBUTES] (path: Path(Needed), name: Text(Needed));
    199 fremovexattr Perform[ATTRIBUTES] (fd: Fd, name: Text(Needed));
    212 lookup_dcookie Refuse[ENOSYS OLD] (cookie: U64, buffer: Addr, size: U64);
    217 getdents64 Perform (fd: Fd, dirp: Out(Probed, Records { count }), count: I32);
    235 utimes Perform (filename: Path(Needed), times: In(Optional, Struct(&TIMEVALS)));
    253 inotify_init Perform ();
    254 inotify_add_watch Perform[WATCHES] (fd: Fd, pathname: Path(Needed), mask: Flags(&INOTIFY));
    255 inotify_rm_watch Perform (fd: Fd, wd: I32);
    257 openat Perform[OPENS] blocking restarts (dirfd: DirFd, pathname: Path(Needed), flags: Flags(&OPEN),
        mode: Mode);
    258 mkdirat Perform (dirfd: DirFd, pathname: Path(Needed), mode: Mode);
    259 mknodat Perform[DEVICES] (dirfd: DirFd, pathname: Path(Needed), mode: Mode, dev: U32);
    260 fchownat Perform (dirfd: DirFd, pathname: Path(Needed), owner: U32, group: U32, flags: Flags(&AT));
    261 futimesat Perform (dirfd: DirFd, pathname: Path(Optional), times: In(Optional, Struct(&TIMEVALS)));
    262 newfstatat Perform (dirfd: DirFd, pathname: Path(Optional), statbuf: Out(Needed, Struct(&STAT)),
        flags: Flags(&AT));
    263 unlinkat Perform (dirfd: DirFd, pathname: Path(Needed), flags: Flags(&UNLINK));
    264 renameat Perform (olddirfd: DirFd, oldpath: Path(Needed), newdirfd: DirFd, newpath: Path(Needed));
    265 linkat Perform (olddirfd: DirFd, oldpath: Path(Needed), newdirfd: DirFd, newpath: Path(Needed),
        flags: Flags(&AT));
    266 symlinkat Perform (target: Path(Needed), newdirfd: DirFd, linkpath: Path(Needed));
    267 readlinkat Perform (dirfd: DirFd, pathname: Path(Needed), buf: Out(Needed, Bulk { count: bufsiz }),
        bufsiz: I32);
    268 fchmodat Perform[SET_ID] (dirfd: DirFd, pathname: Path(Needed), mode: Mode);
    269 faccessat Perform (dirfd: DirFd, pathname: Path(Needed), mode: Flags(&ACCESS));
    280 utimensat Perform (dirfd: DirFd, pathname: Path(Optional), times: In(Optional, Struct(&TIMESPECS)),
        flags: Flags(&AT));
    294 inotify_init1 Perform (flags: Flags(&INOTIFY_INIT));
    300 fanotify_init Refuse[EPERM "watches the whole machine"] (flags: U32, event_f_flags: Flags(&OPEN));
    301 fanotify_mark Refuse[EPERM "watches the whole machine"]
        (fanotify_fd: Fd, flags: U32, mask: U64, dirfd: DirFd, pathname: Path(Needed));
    303 name_to_handle_at Refuse[EOPNOTSUPP HANDLES]
        (dirfd: DirFd, pathname: Path(Needed), handle: Addr, mount_id: Addr, flags: Flags(&AT));
    304 open_by_handle_at Refuse[EPERM HANDLES] (mount_fd: Fd, handle: Addr, flags: Flags(&OPEN));
    306 syncfs Perform blocking (fd: Fd);
    316 renameat2 Perform (olddirfd: DirFd, oldpath: Path(Needed), newdirfd: DirFd, newpath: Path(Needed),
        flags: Flags(&RENAME));
    332 statx Perform (dirfd: DirFd, pathname: Path(Optional), flags: Flags(&AT), mask: Flags(&STATX),
        statxbuf: Out(Needed, Struct(&STATX_BUF)));
    428 open_tree Refuse[EPERM MOUNTS] (dirfd: DirFd, pathname: Path(Needed), flags: U32);
    429 move_mount Refuse[EPERM MOUNTS]
        (from_dirfd: DirFd, from_pathname: Path(Needed), to_dirfd: DirFd, to_pathname: Path(Needed),
        flags: U32);
    430 fsopen Refuse[EPERM MOUNTS] (fsname: Text(Needed), flags: U32);
    431 fsconfig Refuse[EPERM MOUNTS] (fd: Fd, cmd: U32, key: Addr, value: Addr, aux: I32);
    432 fsmount Refuse[EPERM MOUNTS] (fs_fd: Fd, flags: U32, attr_flags: U32);
    433 fspick Refuse[EPERM MOUNTS] (dirfd: DirFd, pathname: Path(Needed), flags: U32);
    437 openat2 Perform[OPENS] blocking restarts (dirfd: DirFd, pathname: Path(Needed),
        how: In(Needed, Elements { count: size,
        size: 1 }),
        size: U64);
    439 faccessat2 Perform (dirfd: DirFd, pathname: Path(Needed), mode: Flags(&ACCESS),
        flags: Flags(&ACCESS_AT));
    442 mount_setattr Refuse[EPERM MOUNTS] (dirfd: DirFd, pathname: Path(Needed), flags: U32, attr: Addr,
        size: U64);
    452 fchmodat2 Perform[SET_ID] (dirfd: DirFd, pathname: Path(Needed), mode: Mode, flags: Flags(&AT));
    457 statmount Refuse[ENOSYS NEW] (req: Addr, buf: Addr, bufsize: U64, flags: U32);
    458 listmount Refuse[ENOSYS NEW] (req: Addr, mnt_ids: Addr, nr_mnt_ids: U64, flags: U32);
    463 setxattrat Refuse[ENOSYS NEW]
        (dirfd: DirFd, pathname: Path(Needed), flags: Flags(&AT), name: Text(Needed), args: Addr, size: U64);
    464 getxattrat Refuse[ENOSYS NEW]
        (dirfd: DirFd, pathname: Path(Needed), flags: Flags(&AT), name: Text(Needed), args: Addr, size: U64);
    465 listxattrat Refuse[ENOSYS NEW]
        (dirfd: DirFd, pathname: Path(Needed), flags: Flags(&AT), list: Addr, size: U64);
    466 removexattrat Refuse[ENOSYS NEW] (dirfd: DirFd, pathname: Path(Needed), flags: Flags(&AT),
        name: Text(Needed));
    467 open_tree_attr Refuse[EPERM MOUNTS] (dirfd: DirFd, pathname: Path(Needed), flags: U32, attr: Addr,
        size: U64);
    468 file_getattr Refuse[ENOSYS NEW]
        (dirfd: DirFd, pathname: Path(Needed), attr: Addr, size: U64, flags: Flags(&AT));
    469 file_setattr Refuse[ENOSYS NEW]
        (dirfd: DirFd, pathname: Path(Needed), attr: Addr, size: U64, flags: Flags(&AT));
};

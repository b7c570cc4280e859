//! Calls on open descriptors.

use super::commands::FCNTL;
use super::ioctl::IOCTL;
use super::structs::*;
use crate::kind::Extent::*;
use crate::kind::Kind::*;
use crate::kind::Presence::*;
use crate::kind::Syscall;
use crate::kind::Timeout::*;
use crate::names::*;

const URING: &str = "io_uring makes calls that pass by every check";
const AIO: &str = "kernel asynchronous I/O holds addresses of the guest; programs fall back to threads";
const OLD_EPOLL: &str = "never offered on x86-64";
const LEASES: &str = "no leases, F_NOTIFY and F_SETSIG";
const COPIED: &str = "pages are copied";
const HUGE: &str = "no huge pages";
const NOTICES: &str = "no O_NOTIFICATION_PIPE";
const CLOSES: &str = "CLOSE_RANGE_UNSHARE unshares nothing";

// A read of a signal descriptor is granted: the signals wait for the child. vmsplice(2) is granted: pages of
// the guest cannot be given to a pipe of the supervisor, and the child writes or reads instead. Signal masks
// (ppoll(2), pselect(2), epoll_pwait(2)) are addresses: the child itself swaps the mask around the wait.
pub(super) const ROWS: &[Syscall] = calls! { Descriptor:
    0 read Perform blocking restarts (fd: Fd, buf: Out(Needed, Transfer { count }), count: U64);
    1 write Perform blocking restarts (fd: Fd, buf: In(Needed, Transfer { count }), count: U64);
    3 close Perform (fd: Fd);
    7 poll Perform polling (fds: InOut(Needed, Array { count: nfds, of: &POLLFD }), nfds: U32,
        timeout: Millis);
    8 lseek Perform (fd: Fd, offset: I64, whence: Choice(&SEEK));
    16 ioctl Perform blocking restarts (fd: Fd, request: Command(&IOCTL), arg: U64);
    17 pread64 Perform blocking (fd: Fd, buf: Out(Needed, Transfer { count }), count: U64, offset: Offset);
    18 pwrite64 Perform blocking (fd: Fd, buf: In(Needed, Transfer { count }), count: U64, offset: Offset);
    19 readv Perform blocking restarts (fd: Fd, iov: IovecOut { count: iovcnt }, iovcnt: U64);
    20 writev Perform blocking restarts (fd: Fd, iov: IovecIn { count: iovcnt }, iovcnt: U64);
    22 pipe Perform (pipefd: Out(Probed, Struct(&PAIR)));
    23 select Perform polling (nfds: I32, readfds: InOut(Optional, Bits { count: nfds }),
        writefds: InOut(Optional, Bits { count: nfds }),
        exceptfds: InOut(Optional, Bits { count: nfds }),
        timeout: InOut(Optional, Timeout(&TIMEVAL, CountedDown)));
    32 dup Perform (oldfd: Fd);
    33 dup2 Perform (oldfd: Fd, newfd: Fd);
    40 sendfile Perform blocking restarts (out_fd: Fd, in_fd: Fd, offset: InOut(Optional, Fixed(8)),
        count: U64);
    72 fcntl Perform[LEASES] blocking (fd: Fd, op: Command(&FCNTL), arg: U64);
    73 flock Perform blocking restarts (fd: Fd, op: Flags(&FLOCK));
    74 fsync Perform blocking (fd: Fd);
    75 fdatasync Perform blocking (fd: Fd);
    77 ftruncate Perform (fd: Fd, length: I64);
    187 readahead Perform (fd: Fd, offset: I64, count: U64);
    206 io_setup Refuse[ENOSYS AIO] (nr_events: U32, ctx_idp: Addr);
    207 io_destroy Refuse[ENOSYS AIO] (ctx_id: Addr);
    208 io_getevents Refuse[ENOSYS AIO] (ctx_id: Addr, min_nr: I64, nr: I64, events: Addr, timeout: Addr);
    209 io_submit Refuse[ENOSYS AIO] (ctx_id: Addr, nr: I64, iocbpp: Addr);
    210 io_cancel Refuse[ENOSYS AIO] (ctx_id: Addr, iocb: Addr, result: Addr);
    213 epoll_create Perform (size: I32);
    214 epoll_ctl_old Refuse[ENOSYS OLD_EPOLL] ();
    215 epoll_wait_old Refuse[ENOSYS OLD_EPOLL] ();
    221 fadvise64 Perform (fd: Fd, offset: I64, len: I64, advice: Choice(&FADVISE));
    232 epoll_wait Perform polling never_restarts (epfd: Fd,
        events: Out(Probed, Batch { count: maxevents, size: 12 }),
        maxevents: I32,
        timeout: Millis);
    233 epoll_ctl Perform (epfd: Fd, op: Choice(&EPOLL_OP), fd: Fd,
        event: In(Optional, Struct(&EPOLL_EVENT)));
    270 pselect6 Perform polling (nfds: I32, readfds: InOut(Optional, Bits { count: nfds }),
        writefds: InOut(Optional, Bits { count: nfds }),
        exceptfds: InOut(Optional, Bits { count: nfds }),
        timeout: InOut(Optional, Timeout(&TIMESPEC, CountedDown)),
            sigmask: SigMaskPair);
    271 ppoll Perform polling (fds: InOut(Needed, Array { count: nfds, of: &POLLFD }), nfds: U32,
        tmo_p: InOut(Optional, Timeout(&TIMESPEC, CountedDown)), sigmask: SigMask { size: sigsetsize },
            sigsetsize: U64);
    275 splice Perform blocking restarts (fd_in: Fd, off_in: InOut(Optional, Fixed(8)), fd_out: Fd,
        off_out: InOut(Optional, Fixed(8)), size: U64,
        flags: Flags(&SPLICE));
    276 tee Perform blocking restarts (fd_in: Fd, fd_out: Fd, size: U64, flags: Flags(&SPLICE));
    277 sync_file_range Perform blocking (fd: Fd, offset: I64, nbytes: I64, flags: Flags(&SYNC_RANGE));
    278 vmsplice Grant[COPIED] (fd: Fd, iov: Addr, nr_segs: U64, flags: Flags(&SPLICE));
    281 epoll_pwait Perform polling never_restarts (epfd: Fd,
        events: Out(Probed, Batch { count: maxevents, size: 12 }),
        maxevents: I32,
        timeout: Millis, sigmask: SigMask { size: sigsetsize }, sigsetsize: U64);
    282 signalfd Perform (fd: Fd, mask: In(Needed, Fixed(8)), sizemask: U64);
    283 timerfd_create Perform (clockid: Choice(&CLOCKS), flags: Flags(&TIMERFD));
    284 eventfd Perform (initval: U32);
    285 fallocate Perform blocking restarts (fd: Fd, mode: Flags(&FALLOCATE), offset: I64, size: I64);
    286 timerfd_settime Perform (fd: Fd, flags: Flags(&TIMERFD_SET),
        new_value: In(Needed, Struct(&ITIMERSPEC)),
        old_value: Out(Optional, Struct(&ITIMERSPEC)));
    287 timerfd_gettime Perform (fd: Fd, curr_value: Out(Needed, Struct(&ITIMERSPEC)));
    289 signalfd4 Perform (fd: Fd, mask: In(Needed, Fixed(8)), sizemask: U64, flags: Flags(&SIGNALFD));
    290 eventfd2 Perform (initval: U32, flags: Flags(&EVENTFD));
    291 epoll_create1 Perform (flags: Flags(&EPOLL_CREATE));
    292 dup3 Perform (oldfd: Fd, newfd: Fd, flags: Flags(&DUP));
    293 pipe2 Perform[NOTICES] (pipefd: Out(Probed, Struct(&PAIR)), flags: Flags(&PIPE));
    295 preadv Perform blocking (fd: Fd, iov: IovecOut { count: iovcnt }, iovcnt: U64, pos_l: Offset,
        pos_h: U64);
    296 pwritev Perform blocking (fd: Fd, iov: IovecIn { count: iovcnt }, iovcnt: U64, pos_l: Offset,
        pos_h: U64);
    319 memfd_create Perform[HUGE] (name: Text(Needed), flags: Flags(&MEMFD));
    326 copy_file_range Perform blocking restarts (fd_in: Fd, off_in: InOut(Optional, Fixed(8)), fd_out: Fd,
        off_out: InOut(Optional, Fixed(8)),
        size: U64, flags: U32);
    327 preadv2 Perform blocking restarts (fd: Fd, iov: IovecOut { count: iovcnt }, iovcnt: U64,
        pos_l: Offset, pos_h: U64,
        flags: Flags(&RWF));
    328 pwritev2 Perform blocking restarts (fd: Fd, iov: IovecIn { count: iovcnt }, iovcnt: U64,
        pos_l: Offset, pos_h: U64,
        flags: Flags(&RWF));
    333 io_pgetevents Refuse[ENOSYS AIO] (ctx_id: Addr, min_nr: I64, nr: I64, events: Addr, timeout: Addr,
        usig: Addr);
    425 io_uring_setup Refuse[ENOSYS URING] (entries: U32, params: Addr);
    426 io_uring_enter Refuse[ENOSYS URING]
        (fd: Fd, to_submit: U32, min_complete: U32, flags: U32, argp: Addr, argsz: U64);
    427 io_uring_register Refuse[ENOSYS URING] (fd: Fd, opcode: U32, arg: Addr, nr_args: U32);
    436 close_range Perform[CLOSES] (first: U32, last: U32, flags: Flags(&CLOSE_RANGE));
    441 epoll_pwait2 Perform polling never_restarts (epfd: Fd,
        events: Out(Probed, Batch { count: maxevents, size: 12 }),
        maxevents: I32,
        timeout: In(Optional, Timeout(&TIMESPEC, FromNow)), sigmask: SigMask { size: sigsetsize },
        sigsetsize: U64);
    451 cachestat Refuse[ENOSYS "tells what others have \
        read"] (fd: Fd, cstat_range: Addr, cstat: Addr, flags: U32);
};

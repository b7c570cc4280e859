//! Layouts of structures on x86-64 (`asm/*.h`, and the manual pages of the calls that take them).

/// `NAME name size { member: Scalar @ offset, … }`.
macro_rules! structs {
    ($($set:ident $name:ident $size:literal { $($field:ident: $scalar:ident @ $at:literal),* $(,)? })*) => {
        $(pub(super) static $set: crate::kind::Struct = crate::kind::Struct {
            name: stringify!($name),
            size: $size,
            fields: &[$(crate::kind::Field {
                name: stringify!($field),
                at: $at,
                scalar: crate::kind::Scalar::$scalar,
            }),*],
        };)*
    };
}

structs! {
    TIMESPEC timespec 16 { tv_sec: S64 @ 0, tv_nsec: S64 @ 8 }
    TIMESPECS timespec 32 {
        atime_sec: S64 @ 0, atime_nsec: S64 @ 8, mtime_sec: S64 @ 16, mtime_nsec: S64 @ 24,
    }
    TIMEVAL timeval 16 { tv_sec: S64 @ 0, tv_usec: S64 @ 8 }
    TIMEVALS timeval 32 { atime_sec: S64 @ 0, atime_usec: S64 @ 8, mtime_sec: S64 @ 16, mtime_usec: S64 @ 24 }
    UTIMBUF utimbuf 16 { actime: S64 @ 0, modtime: S64 @ 8 }
    TIMEZONE timezone 8 { tz_minuteswest: S32 @ 0, tz_dsttime: S32 @ 4 }
    ITIMERSPEC itimerspec 32 {
        interval_sec: S64 @ 0, interval_nsec: S64 @ 8, value_sec: S64 @ 16, value_nsec: S64 @ 24,
    }
    TMS tms 32 { tms_utime: S64 @ 0, tms_stime: S64 @ 8, tms_cutime: S64 @ 16, tms_cstime: S64 @ 24 }
    RLIMIT_STRUCT rlimit 16 { rlim_cur: X64 @ 0, rlim_max: X64 @ 8 }
    RUSAGE_STRUCT rusage 144 {
        utime_sec: S64 @ 0, utime_usec: S64 @ 8, stime_sec: S64 @ 16, stime_usec: S64 @ 24, maxrss: S64 @ 32,
    }
    STAT stat 144 { st_mode: O32 @ 24, st_uid: U32 @ 28, st_gid: U32 @ 32, st_size: S64 @ 48 }
    STATX_BUF statx 256 { stx_mask: U32 @ 0, stx_uid: U32 @ 20, stx_gid: U32 @ 24, stx_size: U64 @ 40 }
    STATFS statfs 120 { f_type: X64 @ 0, f_bsize: S64 @ 8, f_blocks: U64 @ 16, f_bfree: U64 @ 24 }
    FLOCK_STRUCT flock 32 {
        l_type: S16 @ 0, l_whence: S16 @ 2, l_start: S64 @ 8, l_len: S64 @ 16, l_pid: S32 @ 24,
    }
    EPOLL_EVENT epoll_event 12 { events: X32 @ 0, data: X64 @ 4 }
    SYSINFO sysinfo 112 { uptime: S64 @ 0, totalram: U64 @ 32, freeram: U64 @ 40, procs: U16 @ 80 }
    UTSNAME utsname 390 {}
    PAIR pair 8 { first: S32 @ 0, second: S32 @ 4 }
    POLLFD pollfd 8 { fd: S32 @ 0, events: X16 @ 4, revents: X16 @ 6 }
    SIGINFO siginfo 128 {
        si_signo: S32 @ 0, si_errno: S32 @ 4, si_code: S32 @ 8, si_pid: S32 @ 16, si_uid: U32 @ 20,
    }
    SCHED_PARAM sched_param 4 { sched_priority: S32 @ 0 }
    CAP_HEADER cap_user_header 8 { version: U32 @ 0, pid: S32 @ 4 }
    CAP_DATA cap_user_data 24 { effective: U32 @ 0, permitted: U32 @ 4, inheritable: U32 @ 8 }
    WINSIZE winsize 8 { ws_row: U16 @ 0, ws_col: U16 @ 2 }
    SEMBUF sembuf 6 { sem_num: U16 @ 0, sem_op: S16 @ 2, sem_flg: X16 @ 4 }
    SEMID_DS semid_ds 104 { key: X32 @ 0, uid: U32 @ 4, gid: U32 @ 8, mode: O32 @ 20, sem_nsems: U64 @ 80 }
    SHMID_DS shmid_ds 112 { key: X32 @ 0, uid: U32 @ 4, gid: U32 @ 8, mode: O32 @ 20, shm_segsz: U64 @ 48 }
    MSQID_DS msqid_ds 120 { key: X32 @ 0, uid: U32 @ 4, gid: U32 @ 8, mode: O32 @ 20, msg_qbytes: U64 @ 88 }
    MQ_ATTR mq_attr 64 { mq_flags: X64 @ 0, mq_maxmsg: S64 @ 8, mq_msgsize: S64 @ 16, mq_curmsgs: S64 @ 24 }
    SIGEVENT sigevent 64 { sigev_value: X64 @ 0, sigev_signo: S32 @ 8, sigev_notify: S32 @ 12 }
    OWNER f_owner_ex 8 { kind: S32 @ 0, pid: S32 @ 4 }
}

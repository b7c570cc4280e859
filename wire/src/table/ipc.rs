//! System V objects, POSIX message queues, and keys.
//!
//! The objects are the sandbox's own: the supervisor keeps them, and nothing of the host's is reached by
//! their names. A segment of shared memory is granted: the child maps it, and takes it out of its address
//! space.

use super::structs::*;
use crate::effect::Effect::*;
use crate::kind::Extent::*;
use crate::kind::Kind::*;
use crate::kind::Presence::*;
use crate::kind::Timeout::*;
use crate::kind::{Commands, Syscall};
use crate::names::*;

const KEYS: &str = "keyrings are the user's, not the sandbox's; programs go on without";

/// Bytes of the values of the largest set of semaphores (kernel.sem).
const SEMAPHORES: u32 = 2 * 32000;

pub(super) const ROWS: &[Syscall] = calls! { Ipc:
    29 shmget Emulate (key: I32, size: U64, shmflg: Flags(&SHMGET));
    30 shmat Grant (shmid: Segment, shmaddr: Addr, shmflg: Flags(&SHMAT));
    31 shmctl Emulate (shmid: I32, op: Command(&SHMCTL), buf: U64);
    64 semget Emulate (key: I32, nsems: I32, semflg: Flags(&IPCGET));
    65 semop Perform blocking never_restarts (semid: I32,
        sops: In(Needed, Array { count: nsops, of: &SEMBUF }), nsops: U32);
    66 semctl Emulate (semid: I32, semnum: I32, op: Command(&SEMCTL), arg: U64);
    67 shmdt Grant (shmaddr: Addr);
    68 msgget Emulate (key: I32, msgflg: Flags(&IPCGET));
    69 msgsnd Perform blocking (msqid: I32, msgp: In(Needed, Message { count: msgsz }), msgsz: I64,
        msgflg: Flags(&MSGOP));
    70 msgrcv Perform blocking (msqid: I32, msgp: Out(Needed, Message { count: msgsz }), msgsz: I64,
        msgtyp: I64,
        msgflg: Flags(&MSGOP));
    71 msgctl Emulate (msqid: I32, op: Command(&MSGCTL), buf: U64);
    220 semtimedop Perform blocking never_restarts (semid: I32,
        sops: In(Needed, Array { count: nsops, of: &SEMBUF }), nsops: U32,
        timeout: In(Optional, Timeout(&TIMESPEC, FromNow)));
    240 mq_open Perform (name: Text(Needed), oflag: Flags(&OPEN), mode: Mode,
        attr: In(Optional, Struct(&MQ_ATTR)));
    241 mq_unlink Perform (name: Text(Needed));
    242 mq_timedsend Perform blocking (mqdes: Fd, msg_ptr: In(Needed, Elements { count: msg_len, size: 1 }),
        msg_len: U64,
        msg_prio: U32, abs_timeout: In(Optional, Timeout(&TIMESPEC, Until)));
    243 mq_timedreceive Perform blocking (mqdes: Fd, msg_ptr: Out(Needed, Bulk { count: msg_len }),
        msg_len: U64,
        msg_prio: Out(Optional, Fixed(4)), abs_timeout: In(Optional, Timeout(&TIMESPEC, Until)));
    244 mq_notify Perform (mqdes: Fd, sevp: In(Optional, Struct(&SIGEVENT)));
    245 mq_getsetattr Perform (mqdes: Fd, newattr: In(Optional, Struct(&MQ_ATTR)),
        oldattr: Out(Optional, Struct(&MQ_ATTR)));
    248 add_key Refuse[ENOSYS KEYS] (r#type: Text(Needed), description: Text(Needed), payload: Addr,
        plen: U64, keyring: I32);
    249 request_key Refuse[ENOSYS KEYS] (r#type: Text(Needed), description: Text(Needed),
        callout_info: Text(Needed),
        dest_keyring: I32);
    250 keyctl Refuse[ENOSYS KEYS] (operation: I32, arg2: U64, arg3: U64, arg4: U64, arg5: U64);
};

/// Commands of shmctl(2).
static SHMCTL: Commands = Commands {
    title: "shmctl command",
    mask: u32::MAX,
    options: None,
    unknown: libc::EINVAL,
    rows: command_rows! { (shmid, op)
        IPC_RMID = 0 [Harmless];
        IPC_SET = 1 [Harmless] => (buf: In(Needed, Struct(&SHMID_DS)));
        IPC_STAT = 2 [Harmless] => (buf: Out(Needed, Struct(&SHMID_DS)));
        IPC_INFO = 3 [Harmless] => (buf: Out(Needed, Fixed(72)));
        SHM_LOCK = 11 [Harmless];
        SHM_UNLOCK = 12 [Harmless];
        SHM_STAT = 13 [Harmless] => (buf: Out(Needed, Struct(&SHMID_DS)));
        SHM_INFO = 14 [Harmless] => (buf: Out(Needed, Fixed(48)));
        SHM_STAT_ANY = 15 [Harmless] => (buf: Out(Needed, Struct(&SHMID_DS)));
    },
};

/// Commands of semctl(2).
static SEMCTL: Commands = Commands {
    title: "semctl command",
    mask: u32::MAX,
    options: None,
    unknown: libc::EINVAL,
    rows: command_rows! { (semid, semnum, op)
        IPC_RMID = 0 [Harmless];
        IPC_SET = 1 [Harmless] => (buf: In(Needed, Struct(&SEMID_DS)));
        IPC_STAT = 2 [Harmless] => (buf: Out(Needed, Struct(&SEMID_DS)));
        IPC_INFO = 3 [Harmless] => (info: Out(Needed, Fixed(40)));
        GETPID = 11 [Harmless];
        GETVAL = 12 [Harmless];
        GETALL = 13 [Harmless] => (values: Out(Needed, Within(SEMAPHORES)));
        GETNCNT = 14 [Harmless];
        GETZCNT = 15 [Harmless];
        SETVAL = 16 [Harmless] => (value: I32);
        SETALL = 17 [Harmless] => (values: In(Needed, Within(SEMAPHORES)));
        SEM_STAT = 18 [Harmless] => (buf: Out(Needed, Struct(&SEMID_DS)));
        SEM_INFO = 19 [Harmless] => (info: Out(Needed, Fixed(40)));
        SEM_STAT_ANY = 20 [Harmless] => (buf: Out(Needed, Struct(&SEMID_DS)));
    },
};

/// Commands of msgctl(2).
static MSGCTL: Commands = Commands {
    title: "msgctl command",
    mask: u32::MAX,
    options: None,
    unknown: libc::EINVAL,
    rows: command_rows! { (msqid, op)
        IPC_RMID = 0 [Harmless];
        IPC_SET = 1 [Harmless] => (buf: In(Needed, Struct(&MSQID_DS)));
        IPC_STAT = 2 [Harmless] => (buf: Out(Needed, Struct(&MSQID_DS)));
        IPC_INFO = 3 [Harmless] => (buf: Out(Needed, Fixed(32)));
        MSG_STAT = 11 [Harmless] => (buf: Out(Needed, Struct(&MSQID_DS)));
        MSG_INFO = 12 [Harmless] => (buf: Out(Needed, Fixed(32)));
        MSG_STAT_ANY = 13 [Harmless] => (buf: Out(Needed, Struct(&MSQID_DS)));
    },
};

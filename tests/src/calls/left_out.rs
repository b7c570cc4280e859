//! What is not drawn, and why.

use rxbox_wire::kind::{Command, Route, Syscall};

/// Calls by the reason for which they are not drawn.
pub const CALLS: &[(&str, &[&str])] = &[
    (
        "ends, replaces or doubles the process",
        &["exit", "exit_group", "execve", "execveat", "fork", "vfork", "clone", "clone3"],
    ),
    (
        "waits for what nobody does, or comes at a time of its own",
        &[
            "pause",
            "rt_sigsuspend",
            "rt_sigtimedwait",
            "alarm",
            "setitimer",
            "timer_create",
            "timer_settime",
            "nanosleep",
            "clock_nanosleep",
            "futex_waitv",
        ],
    ),
    (
        "opens what waits; its newer form is drawn",
        &["pipe", "eventfd", "signalfd", "inotify_init", "accept", "creat"],
    ),
    (
        "changes how signals reach the program that prints the results",
        &["rt_sigaction", "rt_sigreturn", "rt_sigprocmask", "sigaltstack"],
    ),
    (
        "reaches other processes",
        &["kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"],
    ),
    (
        "changes what the C library relies on",
        &["brk", "set_tid_address", "set_robust_list", "arch_prctl", "setrlimit", "prlimit64"],
    ),
    ("makes namespaces, which is refused", &["unshare"]),
    ("works on the whole machine, or on all processes of the user", &["sync", "setpriority", "ioprio_set"]),
    ("differs for the first process of a session", &["setsid", "setpgid"]),
    (
        "gives numbers of objects that all processes of the machine share",
        &[
            "shmget",
            "shmat",
            "shmctl",
            "shmdt",
            "semget",
            "semop",
            "semctl",
            "semtimedop",
            "msgget",
            "msgsnd",
            "msgrcv",
            "msgctl",
            "mq_open",
            "mq_unlink",
            "mq_timedsend",
            "mq_timedreceive",
            "mq_notify",
            "mq_getsetattr",
        ],
    ),
    (
        "changes who the process is, which sequences share the right to",
        &[
            "setuid",
            "setgid",
            "setreuid",
            "setregid",
            "setgroups",
            "setresuid",
            "setresgid",
            "setfsuid",
            "setfsgid",
            "capset",
            "personality",
        ],
    ),
    ("has what it does in memory that is not copied", &["recvmmsg", "sendmmsg"]),
];

/// Commands of multiplexers by the reason for which they are not drawn.
pub const COMMANDS: &[(&str, &[&str])] = &[
    ("waits for what nobody does", &["F_SETLKW", "F_OFD_SETLKW", "FUTEX_WAIT", "FUTEX_WAIT_BITSET"]),
    (
        "locks memory by the number of a thread",
        &[
            "FUTEX_LOCK_PI",
            "FUTEX_LOCK_PI2",
            "FUTEX_TRYLOCK_PI",
            "FUTEX_UNLOCK_PI",
            "FUTEX_WAIT_REQUEUE_PI",
            "FUTEX_CMP_REQUEUE_PI",
        ],
    ),
    ("lets a call wait", &["F_SETFL", "FIONBIO"]),
    ("sends a signal to a number", &["F_SETOWN", "F_SETOWN_EX", "FIOSETOWN", "SIOCSPGRP"]),
    ("ends the process with one that it has not", &["PR_SET_PDEATHSIG"]),
    ("makes the program's parent trace it", &["PTRACE_TRACEME"]),
    ("is for the rest of the sequence", &["PR_SET_NO_NEW_PRIVS", "PR_CAPBSET_DROP"]),
];

fn is_listed(list: &[(&str, &[&str])], name: &str) -> bool {
    list.iter().any(|(_, names)| names.contains(&name))
}

/// Whether a call is drawn.
pub fn is_drawn(call: &Syscall) -> bool {
    !matches!(call.route, Route::Refuse { .. }) && !is_listed(CALLS, call.name)
}

/// Whether a command is drawn.
pub fn is_command_drawn(command: &Command) -> bool {
    !matches!(command.route, Some(Route::Refuse { .. })) && !is_listed(COMMANDS, command.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rxbox_wire::table;

    #[test]
    fn what_is_left_out_is_in_the_table() {
        let commands: Vec<&str> =
            table::multiplexers().flat_map(|(_, commands)| commands.rows.iter().map(|c| c.name)).collect();
        for name in CALLS.iter().flat_map(|(_, names)| *names) {
            assert!(table::by_name(name).is_some(), "{name}");
        }
        for name in COMMANDS.iter().flat_map(|(_, names)| *names) {
            assert!(commands.contains(name), "{name}");
        }
    }
}

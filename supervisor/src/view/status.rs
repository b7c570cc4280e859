//! Texts about a process: from the supervisor's records, or the host's text about the emulator child with
//! everything replaced that is about the emulator instead of the guest (its name, its addresses, its
//! confinement).

use super::memory::Memory;
use crate::caller::Caller;
use crate::host::credentials::Ids;
use crate::state::process::Process;
use nix::errno::Errno;
use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

/// `cmdline`.
pub(super) fn command_line(process: &Process) -> Vec<u8> {
    strings(&process.arguments())
}

/// `environ`: as it was at the last execve.
pub(super) fn environment(process: &Process) -> Vec<u8> {
    strings(&process.environment())
}

fn strings(list: &[Vec<u8>]) -> Vec<u8> {
    list.iter().flat_map(|s| s.iter().copied().chain([0])).collect()
}

/// The thread that a text is about.
pub struct Subject<'a> {
    /// Its process.
    pub(super) process: &'a Process,
    /// Its id.
    pub(super) tid: i32,
    /// It is the one that asks: to itself it runs, while the emulator's thread waits for the answer.
    pub(super) running: bool,
}

impl Subject<'_> {
    fn name(&self) -> Vec<u8> {
        self.process.thread_name(self.tid)
    }
}

/// `personality` (proc_pid_personality(5)).
pub(super) fn personality(process: &Process) -> Vec<u8> {
    format!("{:08x}\n", process.attributes.personality.load(Relaxed)).into()
}

/// `io` (proc_pid_io(5)).
pub(super) fn transfers(process: &Process) -> Vec<u8> {
    process.transfers.text().into()
}

/// `children` (proc_tid_children(5)): all children of the process are those of its first thread.
pub(super) fn children(caller: &Caller<'_>, subject: &Subject<'_>) -> Vec<u8> {
    if subject.tid != subject.process.pid {
        return Vec::new();
    }
    let known = &caller.sandbox.processes;
    let mut children: Vec<i32> = known
        .all()
        .iter()
        .chain(&known.zombies())
        .filter(|p| p.ppid() == subject.tid)
        .map(|p| p.pid)
        .collect();
    children.sort_unstable();
    children.dedup();
    children.iter().flat_map(|pid| format!("{pid} ").into_bytes()).collect()
}

/// `sched`: the first line has the thread's name and number.
pub(super) fn sched(subject: &Subject<'_>, host: Vec<u8>) -> Vec<u8> {
    let host = String::from_utf8_lossy(&host);
    let Some((_, rest)) = host.split_once(", #threads:") else { return Vec::new() };
    [subject.name().as_slice(), format!(" ({}, #threads:{rest}", subject.tid).as_bytes()].concat()
}

/// `limits` (proc_pid_limits(5)).
pub(super) fn limits(process: &Process) -> Vec<u8> {
    const ROWS: [(&str, &str); 16] = [
        ("Max cpu time", "seconds"),
        ("Max file size", "bytes"),
        ("Max data size", "bytes"),
        ("Max stack size", "bytes"),
        ("Max core file size", "bytes"),
        ("Max resident set", "bytes"),
        ("Max processes", "processes"),
        ("Max open files", "files"),
        ("Max locked memory", "bytes"),
        ("Max address space", "bytes"),
        ("Max file locks", "locks"),
        ("Max pending signals", "signals"),
        ("Max msgqueue size", "bytes"),
        ("Max nice priority", ""),
        ("Max realtime priority", ""),
        ("Max realtime timeout", "us"),
    ];
    let value = |n: u64| if n == libc::RLIM_INFINITY { "unlimited".to_owned() } else { n.to_string() };
    let mut text = format!("{:<25} {:<20} {:<20} {:<10}\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (resource, (name, unit)) in ROWS.into_iter().enumerate() {
        let limit = process.limit(resource);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<25} {:<20} {:<20} {unit:<10}", value(limit.soft), value(limit.hard));
    }
    text.into()
}

/// `stat` (proc_pid_stat(5)): the name, the parent and the sizes of memory are the guest's; addresses, which
/// would be the emulator's, read as 0, as they do for a process that one may not trace.
pub(super) fn stat(subject: &Subject<'_>, host: Vec<u8>) -> Vec<u8> {
    /// Fields, counted from 1 as in the manual page, that are addresses or signal sets of the emulator's.
    const ADDRESSES: [usize; 15] = [26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 45, 46, 47, 48, 49];
    const MORE: [usize; 2] = [50, 51];
    const STATE: usize = 3;
    const PARENT: usize = 4;
    const GROUP: usize = 5;
    const SESSION: usize = 6;
    /// The group in the foreground of the terminal; -1 without one.
    const FOREGROUND: usize = 8;
    const SIZE: usize = 23;
    const RESIDENT: usize = 24;
    let host = String::from_utf8_lossy(&host);
    // The name stands in parentheses and can hold any character, so the last one ends it.
    let Some((_, fields)) = host.trim_end().rsplit_once(") ") else { return Vec::new() };
    // A process that has just ended has no memory.
    let memory = Memory::of(subject.process).ok();
    let sizes = memory.map_or((0, 0), |m| (m.total(), m.resident_pages()));
    let mut text = format!("{} (", subject.tid).into_bytes();
    text.extend(subject.name());
    text.push(b')');
    for (i, field) in fields.split(' ').enumerate() {
        let n = i + 3;
        let field = match n {
            STATE if subject.running => "R",
            PARENT => &subject.process.ppid().to_string(),
            GROUP => &subject.process.handle.group().unwrap_or(0).to_string(),
            SESSION => &subject.process.handle.session().unwrap_or(0).to_string(),
            FOREGROUND if field != "-1" => {
                let group = field.parse().map_err(|_| Errno::ESRCH);
                &group.and_then(|group| subject.process.handle.numbered(group)).unwrap_or(0).to_string()
            }
            SIZE => &sizes.0.to_string(),
            RESIDENT => &sizes.1.to_string(),
            _ if ADDRESSES.contains(&n) || MORE.contains(&n) => "0",
            _ => field,
        };
        text.push(b' ');
        text.extend(field.as_bytes());
    }
    text.push(b'\n');
    text
}

/// The signals that the emulator catches for its own sake: those that faults raise.
const FAULTS: u64 = {
    let (mut set, mut i) = (0, 0);
    const SIGNALS: [i32; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP];
    while i < SIGNALS.len() {
        set |= 1 << (SIGNALS[i] - 1);
        i += 1;
    }
    set
};

/// The signals that a thread blocks and that its process ignores and catches. A thread that asks about itself
/// has told them. Of others there is what the host knows of their emulator, which follows them but for
/// faults.
fn signal_sets(subject: &Subject<'_>, host: &str) -> [u64; 3] {
    let told = subject.process.view("status").filter(|told| subject.running && told.len() == 24);
    if let Some(told) = told {
        return std::array::from_fn(|i| u64::from_le_bytes(std::array::from_fn(|k| told[8 * i + k])));
    }
    let of = |key: &str| {
        let line = host.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t"));
        line.and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0)
    };
    [of("SigBlk"), of("SigIgn"), of("SigCgt") & !FAULTS]
}

/// `status` (proc_pid_status(5)).
pub(super) fn status(subject: &Subject<'_>, host: Vec<u8>) -> Vec<u8> {
    let process = subject.process;
    let host = String::from_utf8_lossy(&host);
    let memory = Memory::of(process).ok();
    let [blocked, ignored, caught] = signal_sets(subject, &host);
    let has = process.credentials_of_thread(subject.tid);
    let ids = |ids: Ids| format!("{}\t{}\t{}\t{}", ids.real, ids.effective, ids.saved, ids.file_system);
    let set = |key: &str, set: u64| format!("{key}:\t{set:016x}");
    let mut text = Vec::with_capacity(host.len());
    for line in host.lines() {
        let key = line.split(':').next().unwrap_or_default();
        if let Some(known) = memory.as_ref().and_then(|memory| memory.status_line(key)) {
            text.extend(known.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()));
            continue;
        }
        let replaced = match key {
            "Name" => {
                text.extend(b"Name:\t");
                text.extend(escaped(&subject.name()));
                text.push(b'\n');
                continue;
            }
            "State" if subject.running => "State:\tR (running)".to_owned(),
            "Tgid" => format!("Tgid:\t{}", process.pid),
            "Pid" => format!("Pid:\t{}", subject.tid),
            "PPid" => format!("PPid:\t{}", process.ppid()),
            "TracerPid" => "TracerPid:\t0".to_owned(),
            "Umask" => format!("Umask:\t{:04o}", process.umask()),
            "FDSize" => format!("FDSize:\t{}", process.fds.iter().len().next_power_of_two().max(64)),
            "Uid" => format!("Uid:\t{}", ids(has.user)),
            "Gid" => format!("Gid:\t{}", ids(has.group)),
            "Groups" => {
                let groups: Vec<_> = has.groups.iter().map(u32::to_string).collect();
                format!("Groups:\t{} ", groups.join(" "))
            }
            "CapInh" => set(key, has.capabilities.inheritable),
            "CapPrm" => set(key, has.capabilities.permitted),
            "CapEff" => set(key, has.capabilities.effective),
            "CapBnd" => set(key, has.capabilities.bounding),
            "CapAmb" => set(key, has.capabilities.ambient),
            "SigBlk" => format!("SigBlk:\t{blocked:016x}"),
            "SigIgn" => format!("SigIgn:\t{ignored:016x}"),
            "SigCgt" => format!("SigCgt:\t{caught:016x}"),
            // What confines the emulator is no part of the guest's machine.
            "Seccomp" => "Seccomp:\t0".to_owned(),
            "Seccomp_filters" => "Seccomp_filters:\t0".to_owned(),
            "NStgid" => format!("NStgid:\t{}", process.pid),
            "NSpid" => format!("NSpid:\t{}", subject.tid),
            "NSpgid" => format!("NSpgid:\t{}", process.handle.group().unwrap_or(0)),
            "NSsid" => format!("NSsid:\t{}", process.handle.session().unwrap_or(0)),
            _ => line.to_owned(),
        };
        text.extend(replaced.as_bytes());
        text.push(b'\n');
    }
    text
}

/// A name as `status` shows it: backslash and newline escaped.
fn escaped(name: &[u8]) -> Vec<u8> {
    name.iter()
        .flat_map(|&b| match b {
            b'\n' => b"\\n".to_vec(),
            b'\\' => b"\\\\".to_vec(),
            _ => vec![b],
        })
        .collect()
}

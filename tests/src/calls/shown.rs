//! What of a call's results is compared.

/// Calls and commands whose results are numbers that differ from run to run: only whether they failed, and
/// how, is compared.
pub const NUMBERS: &[&str] = &[
    "getpid",
    "gettid",
    "getppid",
    "getpgrp",
    "getpgid",
    "setsid",
    "getsid",
    "time",
    "times",
    "mmap",
    "mremap",
    "fcntl F_GETOWN",
    "getcpu",
    "getcwd",
];
/// Calls and commands that write what differs from run to run: times, numbers of processes, files and
/// objects, and how the machine fares.
pub const MEMORY: &[&str] = &[
    "getdents",
    "getdents64",
    "statfs",
    "fstatfs",
    "getrusage",
    "times",
    "time",
    "gettimeofday",
    "clock_gettime",
    "sysinfo",
    "getrandom",
    "timerfd_gettime",
    "timerfd_settime",
    "getcpu",
    "getcwd",
    "sched_getattr",
];

/// The bytes of a `struct stat` that are compared: mode, links, owner, size.
const STAT: &[(usize, usize)] = &[(16, 8), (24, 4), (28, 8), (48, 8)];
/// The bytes of a `struct statx` that are compared.
const STATX: &[(usize, usize)] = &[(16, 4), (20, 8), (28, 2), (40, 8)];

/// What of so many bytes that a call has written is shown.
pub fn of_memory(call: &str, bytes: &[u8]) -> String {
    let parts = match call {
        "stat" | "lstat" | "fstat" | "newfstatat" => STAT,
        "statx" => STATX,
        _ => &[(0, usize::MAX)],
    };
    if MEMORY.contains(&call) {
        return "…".to_owned();
    }
    let seen: Vec<u8> =
        parts.iter().flat_map(|(at, len)| bytes.iter().skip(*at).take(*len)).copied().collect();
    text(&seen)
}

/// Bytes in hexadecimal, long ones as their number and a sum.
fn text(bytes: &[u8]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match bytes.len() {
        0..=40 => hex(bytes),
        len => {
            let sum = bytes.iter().fold(0_u64, |sum, byte| {
                (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(5)
            });
            format!("{}… {len} bytes, sum {sum:016x}", hex(&bytes[..16]))
        }
    }
}
